/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diary.h - what a person saw of its chat, in a file that outlives each of its kills: one write for each line.
 *
 *   L                                  a life begins
 *   N number conversation client_id    intends to send; a later life with no E for it tries again, by the same client_id
 *   E client_id                        entered: the outbox has it
 *   A client_id                        accepted
 *   C client_id seq                    committed
 *   R client_id status                 refused
 *   S conversation seq client_id sender   shown
 *   X                                  RESYNC: events were dropped
 *   ! what status                      never to happen
 */
#ifndef CHAOS_DIARY_H
#define CHAOS_DIARY_H

#include <stdbool.h>
#include <stdint.h>

typedef struct diary {
  int fd;
  /* The last intent. */
  uint64_t number; /* 0: none yet */
  bool is_open;    /* not known to be entered */
  uint8_t conversation_id[16], client_id[16];
} diary;

/* Reads what there is, and begins a life. false: said on stderr. */
bool diary_open(diary *d, const char *path);
__attribute__((format(printf, 2, 3))) void diary_say(diary *d, const char *format, ...);
/* A new one. */
void diary_intend(diary *d, const uint8_t conversation_id[16], const uint8_t client_id[16]);
void diary_entered(diary *d);

/* 32 hexadecimal digits, in one of eight static buffers. */
const char *hex(const uint8_t id[16]);

#endif
