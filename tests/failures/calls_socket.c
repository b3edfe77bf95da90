/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets, other descriptors, threads. */
#define _GNU_SOURCE /* RTLD_NEXT, accept4, pipe2 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "calls.h"

/* As TRANSFER of calls_file.c. */
#define TRANSFER(call, name, len, whole, half)                                                                                             \
  do {                                                                                                                                     \
    int verdict_ = ASK(call, name);                                                                                                        \
    if (verdict_ == -1 && (len) > 1) return half;                                                                                          \
    if (verdict_ <= 0) return whole;                                                                                                       \
    errno = verdict_;                                                                                                                      \
    return -1;                                                                                                                             \
  } while (0)

ssize_t send(int fd, const void *data, size_t len, int flags) {
  NEXT(send);
  TRANSFER(CALL_SEND, "send", len, next(fd, data, len, flags), next(fd, data, len / 2, flags));
}

ssize_t sendto(int fd, const void *data, size_t len, int flags, const struct sockaddr *to, socklen_t to_len) {
  NEXT(sendto);
  TRANSFER(CALL_SEND, "sendto", len, next(fd, data, len, flags, to, to_len), next(fd, data, len / 2, flags, to, to_len));
}

ssize_t recv(int fd, void *out, size_t len, int flags) {
  NEXT(recv);
  TRANSFER(CALL_RECEIVE, "recv", len, next(fd, out, len, flags), next(fd, out, len / 2, flags));
}

ssize_t recvfrom(int fd, void *out, size_t len, int flags, struct sockaddr *from, socklen_t *from_len) {
  NEXT(recvfrom);
  TRANSFER(CALL_RECEIVE, "recvfrom", len, next(fd, out, len, flags, from, from_len), next(fd, out, len / 2, flags, from, from_len));
}

/* Half of several parts is the first of them. */
ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
  NEXT(sendmsg);
  struct msghdr half = *message;
  struct iovec first = half.msg_iovlen ? *half.msg_iov : (struct iovec){0};
  if (half.msg_iovlen == 1) first.iov_len = (first.iov_len + 1) / 2;
  half.msg_iov = &first;
  half.msg_iovlen = 1;
  TRANSFER(CALL_SEND, "sendmsg", 2, next(fd, message, flags), next(fd, &half, flags));
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags) {
  NEXT(recvmsg);
  FAIL_IF(CALL_RECEIVE, "recvmsg");
  return next(fd, message, flags);
}

int connect(int fd, const struct sockaddr *to, socklen_t len) {
  NEXT(connect);
  FAIL_IF(CALL_CONNECT, "connect");
  return next(fd, to, len);
}

/* bind and listen fail in the same way: the address is not to be had. */
int bind(int fd, const struct sockaddr *at, socklen_t len) {
  NEXT(bind);
  FAIL_IF(CALL_CONNECT, "bind");
  return next(fd, at, len);
}

int listen(int fd, int backlog) {
  NEXT(listen);
  FAIL_IF(CALL_CONNECT, "listen");
  return next(fd, backlog);
}

int accept(int fd, struct sockaddr *from, socklen_t *len) {
  NEXT(accept);
  FAIL_IF(CALL_ACCEPT, "accept");
  return next(fd, from, len);
}

int accept4(int fd, struct sockaddr *from, socklen_t *len, int flags) {
  NEXT(accept4);
  FAIL_IF(CALL_ACCEPT, "accept4");
  return next(fd, from, len, flags);
}

int socket(int domain, int type, int protocol) {
  NEXT(socket);
  FAIL_IF(CALL_DESCRIPTOR, "socket");
  return next(domain, type, protocol);
}

int epoll_create1(int flags) {
  NEXT(epoll_create1);
  FAIL_IF(CALL_DESCRIPTOR, "epoll_create1");
  return next(flags);
}

int eventfd(unsigned count, int flags) {
  NEXT(eventfd);
  FAIL_IF(CALL_DESCRIPTOR, "eventfd");
  return next(count, flags);
}

int pipe2(int fds[2], int flags) {
  NEXT(pipe2);
  FAIL_IF(CALL_DESCRIPTOR, "pipe2");
  return next(fds, flags);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg) {
  NEXT(pthread_create);
  int error = ASK(CALL_THREAD, "pthread_create");
  return error ? error : next(thread, attributes, run, arg);
}
