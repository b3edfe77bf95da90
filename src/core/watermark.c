/* SPDX-License-Identifier: Apache-2.0 */
#include "core/watermark.h"

#include <string.h>

#include "core/assert.h"

enum { KEY_LEN_MAX = CHAT_CONVERSATION_ID_LEN + CHAT_USER_ID_MAX };

static uint64_t lower_of(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

static unsigned raise(uint64_t *value, uint64_t to, unsigned which) {
  if (to <= *value) return 0;
  *value = to;
  return which;
}

unsigned ch_watermark_merge(ch_watermark *mark, ch_watermark news) {
  unsigned moved = raise(&mark->read, news.read, CH_WATERMARK_READ);
  moved |= raise(&mark->delivered, news.delivered, CH_WATERMARK_DELIVERED);
  moved |= raise(&mark->delivered, mark->read, CH_WATERMARK_DELIVERED);
  return moved;
}

ch_watermark ch_watermark_clip(ch_watermark mark, uint64_t head) {
  return (ch_watermark){.delivered = lower_of(mark.delivered, head), .read = lower_of(mark.read, head)};
}

size_t ch_watermark_who(const ch_watermark *marks, size_t count, unsigned which, uint64_t seq, size_t *who) {
  size_t found = 0;
  for (size_t i = 0; i < count; i++) {
    uint64_t mark = which == CH_WATERMARK_READ ? marks[i].read : marks[i].delivered;
    if (mark < seq) continue;
    if (who) who[found] = i;
    found++;
  }
  return found;
}

void ch_receipt_set_init(ch_receipt_set *set, const ch_allocator *alloc, size_t max_count,
                         const uint8_t seed[CH_HASHMAP_SEED_LEN]) {
  set->alloc = alloc;
  set->max_count = max_count;
  ch_hashmap_init(&set->receipts, alloc, seed);
}

void ch_receipt_set_fini(ch_receipt_set *set) {
  for (ch_hashmap_entry *entry = ch_hashmap_first(&set->receipts); entry;
       entry = ch_hashmap_next(&set->receipts, entry))
    ch_free(set->alloc, entry->value);
  ch_hashmap_fini(&set->receipts);
}

size_t ch_receipt_set_count(const ch_receipt_set *set) {
  return set->receipts.count;
}

/* The conversation's id has a fixed length, so the two together are unambiguous. */
static ch_bytes make_key(uint8_t key[KEY_LEN_MAX], const uint8_t *conversation_id, ch_bytes user_id) {
  ch_assert(user_id.len > 0 && user_id.len <= CHAT_USER_ID_MAX);
  memcpy(key, conversation_id, CHAT_CONVERSATION_ID_LEN);
  memcpy(key + CHAT_CONVERSATION_ID_LEN, user_id.data, user_id.len);
  return ch_bytes_of(key, CHAT_CONVERSATION_ID_LEN + user_id.len);
}

static int add(ch_receipt_set *set, ch_bytes key, ch_receipt receipt) {
  if (set->receipts.count >= set->max_count) return CHAT_E_BUSY;
  ch_receipt *added = ch_alloc(set->alloc, sizeof *added);
  if (!added) return CHAT_E_NOMEM;
  *added = receipt;
  int error = ch_hashmap_insert(&set->receipts, key, added);
  if (error) ch_free(set->alloc, added);
  return error;
}

int ch_receipt_set_put(ch_receipt_set *set, const uint8_t conversation_id[CHAT_CONVERSATION_ID_LEN], ch_bytes user_id,
                       ch_watermark mark) {
  uint8_t key_bytes[KEY_LEN_MAX];
  ch_bytes key = make_key(key_bytes, conversation_id, user_id);
  ch_receipt *waiting = ch_hashmap_find(&set->receipts, key);
  if (waiting) {
    ch_watermark_merge(&waiting->mark, mark);
    return CHAT_OK;
  }
  ch_receipt receipt = {.user_id_len = (uint8_t)user_id.len};
  memcpy(receipt.conversation_id, conversation_id, CHAT_CONVERSATION_ID_LEN);
  memcpy(receipt.user_id, user_id.data, user_id.len);
  ch_watermark_merge(&receipt.mark, mark);
  return add(set, key, receipt);
}

size_t ch_receipt_set_take(ch_receipt_set *set, ch_receipt *out, size_t out_max) {
  size_t taken = 0;
  ch_hashmap_entry *oldest;
  while (taken < out_max && (oldest = ch_hashmap_first(&set->receipts))) {
    ch_receipt *receipt = ch_hashmap_remove(&set->receipts, ch_hashmap_key(oldest));
    out[taken++] = *receipt;
    ch_free(set->alloc, receipt);
  }
  return taken;
}
