/* SPDX-License-Identifier: Apache-2.0 */
#include "server/loop/mailbox.h"

#include "core/assert.h"

int ch_mailbox_init(ch_mailbox *mailbox, size_t max_count, chat_wake wake) {
  *mailbox = (ch_mailbox){.wake = wake, .max_count = max_count};
  return pthread_mutex_init(&mailbox->lock, NULL) == 0 ? 0 : CHAT_E_NOMEM;
}

void ch_mailbox_fini(ch_mailbox *mailbox) {
  ch_assert(mailbox->first == NULL);
  pthread_mutex_destroy(&mailbox->lock);
}

static void append(ch_mailbox *mailbox, ch_letter *letter) {
  letter->next = NULL;
  if (mailbox->last)
    mailbox->last->next = letter;
  else
    mailbox->first = letter;
  mailbox->last = letter;
  mailbox->count++;
}

/* The wake is given under the lock, so that none follows a close that has returned. */
int ch_mailbox_put(ch_mailbox *mailbox, ch_letter *letter) {
  int error = 0;
  pthread_mutex_lock(&mailbox->lock);
  if (mailbox->closed)
    error = CHAT_E_CLOSED;
  else if (mailbox->count == mailbox->max_count)
    error = CHAT_E_BUSY;
  else {
    append(mailbox, letter);
    mailbox->wake.fn(mailbox->wake.arg);
  }
  pthread_mutex_unlock(&mailbox->lock);
  return error;
}

ch_letter *ch_mailbox_take(ch_mailbox *mailbox) {
  pthread_mutex_lock(&mailbox->lock);
  ch_letter *letter = mailbox->first;
  if (letter) {
    mailbox->first = letter->next;
    if (!mailbox->first) mailbox->last = NULL;
    mailbox->count--;
  }
  pthread_mutex_unlock(&mailbox->lock);
  return letter;
}

void ch_mailbox_close(ch_mailbox *mailbox) {
  pthread_mutex_lock(&mailbox->lock);
  mailbox->closed = true;
  pthread_mutex_unlock(&mailbox->lock);
}
