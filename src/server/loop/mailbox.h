/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mailbox.h - letters from any thread to one loop: a bounded queue and a wake. The letter is a member of what is sent; the taker owns it.
 */
#ifndef CH_SERVER_MAILBOX_H
#define CH_SERVER_MAILBOX_H

#include <chat/backend.h>
#include <pthread.h>
#include <stdbool.h>

typedef struct ch_letter {
  struct ch_letter *next;
  int kind; /* the sender's and taker's own */
} ch_letter;

typedef struct ch_mailbox {
  pthread_mutex_t lock;
  chat_wake wake;
  ch_letter *first, *last;
  size_t count, max_count;
  bool closed;
} ch_mailbox;

int ch_mailbox_init(ch_mailbox *mailbox, size_t max_count, chat_wake wake); /* 0, CHAT_E_NOMEM */
void ch_mailbox_fini(ch_mailbox *mailbox);                                  /* is empty */
/* Any thread. CHAT_E_BUSY: full; CHAT_E_CLOSED. The letter then stays the caller's. */
int ch_mailbox_put(ch_mailbox *mailbox, ch_letter *letter);
/* The taker's thread: the oldest letter, or NULL. */
ch_letter *ch_mailbox_take(ch_mailbox *mailbox);
/* Nothing is put from now on; what is in may still be taken. */
void ch_mailbox_close(ch_mailbox *mailbox);

#endif
