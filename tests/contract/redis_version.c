/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE
#include "contract/redis_version.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/directory_redis/directory_redis.h"
#include "core/assert.h"
#include "platform/platform.h"

bool redis_version_is_there(void) {
  return getenv("REDIS_URL") != NULL;
}

/* ------------------------------------------------------------------------------------------------ their clock */

static volatile uint64_t *clock_ms(void) {
  static volatile uint64_t *page;
  const char *path = getenv("REDIS_CLOCK");
  if (page || !path) return page;
  int fd = open(path, O_RDWR);
  ch_assert(fd >= 0);
  page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ch_assert(page != MAP_FAILED);
  close(fd);
  return page;
}

uint64_t redis_version_wall_ms(void) {
  struct timeval now;
  gettimeofday(&now, NULL);
  uint64_t now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_usec / 1000;
  return *clock_ms() > now_ms ? *clock_ms() : now_ms;
}

void redis_version_set_clock(uint64_t wall_ms) {
  if (redis_version_is_there()) *clock_ms() = wall_ms;
}

/* ------------------------------------------------------------------------------------------------ said to a server */

int redis_version_port(int server) {
  const char *ports = getenv("REDIS_PORTS");
  char *end = NULL;
  long port = strtol(ports, &end, 10);
  for (; server > 0; server--)
    port = strtol(end, &end, 10);
  return (int)port;
}

int redis_version_count(void) {
  return strchr(getenv("REDIS_PORTS"), ' ') ? 3 : 1;
}

static int reach(int server) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)redis_version_port(server)), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  ch_assert(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
  return fd;
}

/* Redis takes a line as a command, too. */
const char *redis_version_say(int server, const char *command) {
  static char answer[512];
  size_t len = 0;
  int fd = reach(server);
  ch_assert(dprintf(fd, "%s\r\n", command) > 0);
  while (len < sizeof answer - 1 && (len == 0 || answer[len - 1] != '\n') && read(fd, answer + len, 1) == 1)
    len++;
  while (len > 0 && strchr("\r\n", answer[len - 1]))
    len--;
  answer[len] = '\0';
  close(fd);
  return answer;
}

/* ------------------------------------------------------------------------------------------------ the directory */

static int open_directory(chat_backend *directory, ch_buf *why) {
  ch_directory_redis_config config = {.url = getenv("REDIS_URL"), .timeout_ms = 20000, .look_ms = 20};
  ch_assert(ch_platform_random(&config.random) == 0);
  ch_buf_init(why, NULL, 1000);
  return ch_directory_redis_new(&config, directory, why);
}

static int try_once(void) {
  chat_backend directory;
  ch_buf why;
  int error = open_directory(&directory, &why);
  if (error == CHAT_E_UNSUPPORTED) printf("skipped: %.*s%s\n", (int)why.len, (const char *)why.data, chat_error_text(error));
  if (!error) directory.vtable->free(directory.self);
  ch_buf_fini(&why);
  return error == CHAT_E_UNSUPPORTED;
}

/* In a process of its own: those of the tests must not inherit threads. */
bool redis_version_is_missing(void) {
  int status = 0;
  pid_t child = fork();
  ch_assert(child >= 0);
  if (child == 0) exit(try_once());
  ch_assert(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

chat_backend redis_version_open(void) {
  chat_backend directory;
  ch_buf why;
  for (int i = 0; i < redis_version_count(); i++)
    ch_assert(strcmp(redis_version_say(i, "FLUSHALL"), "+OK") == 0);
  int error = open_directory(&directory, &why);
  if (error || why.len) fprintf(stderr, "%s: %.*s\n", getenv("REDIS_URL"), (int)why.len, (const char *)why.data);
  ch_assert(!error && !why.len);
  ch_buf_fini(&why);
  return directory;
}
