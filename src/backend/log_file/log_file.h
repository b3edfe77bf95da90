/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_file.h - the embedded log: append files with group commit (docs/decisions/0003).
 *
 * "messages" is durable: a directory of segments for each partition, PATH/messages-N. "deliveries" is in memory (log_mem): the embedded store derives heads, so a
 * task is a hint, and the topic has another identity each time it is opened.
 *
 * One thread writes: what has come in goes to the disk with one write and one fdatasync, while the next batch gathers. Another reads files for readers that are far behind; the
 * newest records are kept in memory. A new segment is made by the writing thread when the current one is full: commits wait for that.
 */
#ifndef CH_BACKEND_LOG_FILE_H
#define CH_BACKEND_LOG_FILE_H

#include <chat/backend.h>
#include <sys/types.h>

/* What touches the disk where a failure has a meaning; each as the system's function of that name. For tests. */
typedef struct ch_log_file_io {
  ssize_t (*pwrite)(int fd, const void *data, size_t len, off_t offset);
  int (*fdatasync)(int fd);
} ch_log_file_io;

typedef struct ch_log_file_config {
  const chat_allocator *alloc;
  chat_clock clock;   /* wall_ms: append times */
  chat_random random; /* identity of a new log */
  const char *path;   /* of the directory; made where it is not there */
  uint32_t partitions[CHAT_TOPIC_COUNT]; /* 1 to 64 of "messages"; of an existing log: as it was made with */
  uint16_t epoch;       /* 0 to 16,383; raised by an operator only, never lowered */
  uint32_t commit_ms;   /* 0 to 5: commits that are not full begin at least so far apart; 0: each as soon as the one before it is done */
  size_t segment_len;   /* bytes of a segment file, 4 KiB or more; 0: 64 MiB. A record must fit into one (CHAT_E_TOO_LARGE) */
  size_t bytes_max;     /* of a partition's files; 0: none. Beyond it CHAT_E_FULL, until more is consumed */
  size_t tail_len;      /* bytes of newest records in memory for readers, a partition; 0: 8 MiB */
  size_t waiting_len;   /* bytes of records that may wait for the disk; 0: 64 MiB. Beyond it an append ends with CHAT_E_AGAIN */
  size_t deliveries_len;/* bytes of "deliveries" in memory, a partition; 0: 16 MiB */
  const ch_log_file_io *io; /* NULL: the system's */
} ch_log_file_config;

/* 0, CHAT_E_INVALID (also: another number of partitions, or a lower epoch, than the log was made with), CHAT_E_NOMEM, CHAT_E_BUSY (somebody has it open), CHAT_E_VERSION, CHAT_E_CORRUPT,
 * CHAT_E_FULL, CHAT_E_IO. `damaged`, where not NULL, is the position of the first record that is damaged (CHAT_E_CORRUPT), 0 where that cannot be said. */
int ch_log_file_new(const ch_log_file_config *config, chat_backend *log, uint64_t *damaged);

#endif
