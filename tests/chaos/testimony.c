/* SPDX-License-Identifier: Apache-2.0 */
/* All that a person's database has, read by the public API. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "person.h"

enum { TAG_LIST = 100, TAG_PAGE };

static void tell_outbox(FILE *out, const chat_message *message) {
  fprintf(out, "O %s %s\n", hex(message->conversation_id), hex(message->client_id));
}

static void tell(FILE *out, const chat_message *message) {
  if (message->gap_before) fprintf(out, "G %s %" PRIu64 "\n", hex(message->conversation_id), message->seq);
  if (message->seq == 0) {
    tell_outbox(out, message);
    return;
  }
  fprintf(out, "T %s %" PRIu64 " %" PRIu64 " %s %.*s %u %u %.*s\n", hex(message->conversation_id), message->seq, message->message_id,
          hex(message->client_id), (int)message->sender.len, (const char *)message->sender.data, (unsigned)message->tick,
          (unsigned)message->type, (int)message->body.len, message->body.len ? (const char *)message->body.data : "");
}

/* One page before `*before`; 0 in it: that was the last. */
static int tell_page(person *p, FILE *out, const uint8_t conversation_id[16], uint64_t *before) {
  int error = chat_client_history(p->client, TAG_PAGE, conversation_id, *before, 0, CHAT_PAGE_MAX, 1);
  const chat_event *page = error ? NULL : person_await(p, TAG_PAGE);
  if (!page) return error ? error : CHAT_E_TIMEOUT;
  if (page->status && page->status != CHAT_E_OFFLINE) return page->status;
  for (size_t i = 0; i < page->message_count; i++)
    tell(out, page->messages[i]);
  *before = page->more && page->message_count ? page->messages[0]->seq : 0;
  return 0;
}

static int tell_conversation(person *p, FILE *out, const uint8_t conversation_id[16]) {
  uint64_t before = 0;
  int error;
  do
    error = tell_page(p, out, conversation_id, &before);
  while (!error && before);
  return error;
}

static int list(person *p, uint8_t ids[CONVERSATIONS_MAX][16], size_t *count) {
  int error = chat_client_conversations(p->client, TAG_LIST, 0, CONVERSATIONS_MAX);
  const chat_event *reply = error ? NULL : person_await(p, TAG_LIST);
  if (!reply) return error ? error : CHAT_E_TIMEOUT;
  *count = reply->conversation_count;
  for (size_t i = 0; i < *count; i++)
    memcpy(ids[i], reply->conversations[i]->conversation_id, 16);
  return reply->status;
}

int person_testify(person *p, const char *path) {
  uint8_t ids[CONVERSATIONS_MAX][16];
  size_t count = 0;
  FILE *out = fopen(path, "w");
  if (!out) return CHAT_E_IO;
  int error = list(p, ids, &count);
  for (size_t i = 0; i < count && !error; i++)
    error = tell_conversation(p, out, ids[i]);
  if (fclose(out) != 0 && !error) error = CHAT_E_IO;
  return error;
}
