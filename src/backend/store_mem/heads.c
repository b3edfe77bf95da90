/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "backend/store_check.h"
#include "backend/store_mem/store.h"
#include "core/bytes.h"
#include "core/partition.h"

/* Heads that may be in the answer; titles and watermarks point into the table until they are copied out. */
typedef struct candidates {
  chat_head *heads;
  size_t count;
} candidates;

/* ------------------------------------------------------------------------------------------------ one head */

/* The lowest seq above the horizon that lies in an interval. */
static uint64_t first_readable(const ch_stored_member *member, uint64_t horizon) {
  for (size_t i = 0; i < member->interval_count; i++) {
    const chat_interval *interval = &member->intervals[i];
    if (interval->left <= horizon) continue;
    return (interval->joined > horizon ? interval->joined : horizon) + 1;
  }
  return horizon + 1;
}

static void head_of_member(const ch_stored_head *cell, const ch_stored_member *member, chat_head *head) {
  head->head = cell->head;
  head->msg_no = cell->msg_no;
  head->active_ms = cell->active_ms;
  head->position = cell->position > member->position ? cell->position : member->position;
  head->title = (chat_bytes){cell->title, cell->title_len};
}

/* Nothing that happens after its removal concerns a former member, a new title neither. */
static void head_of_former(const ch_stored_removal *removal, const ch_stored_member *member, chat_head *head) {
  head->head = removal->seq;
  head->msg_no = removal->msg_no;
  head->active_ms = removal->active_ms;
  head->position = member->position;
  head->title = (chat_bytes){removal->title, removal->title_len};
}

/* From state and membership. false: there is nothing to say. */
static bool derive(const ch_store_mem *store, chat_bytes user, const uint8_t conversation_id[16], chat_head *head) {
  const ch_stored_head *cell = ch_cell_get(&store->table, ch_cell_key_conversation(CH_CELL_HEAD, conversation_id));
  const ch_stored_member *member = ch_cell_get(&store->table, ch_cell_key_member(CH_CELL_MEMBER, conversation_id, user));
  const ch_stored_removal *removal = ch_cell_get(&store->table, ch_cell_key_member(CH_CELL_REMOVAL, conversation_id, user));
  if (!cell || !cell->kind || !member || member->interval_count == 0) return false;
  *head = (chat_head){.kind = cell->kind, .role = member->role, .first = first_readable(member, ch_store_horizon(store, conversation_id))};
  memcpy(head->conversation_id, conversation_id, 16);
  if (member->role != CHAT_ROLE_NONE)
    head_of_member(cell, member, head);
  else
    head_of_former(removal, member, head);
  return true;
}

/* ------------------------------------------------------------------------------------------------ which heads */

/* Rule V7: derived from one snapshot. */
static void gather_derived(const ch_store_mem *store, const chat_store_heads *ask, candidates *found) {
  ch_cell_key prefix = ch_cell_key_user(CH_CELL_USER, ask->user);
  for (const ch_store_node *node = ch_cell_first(&store->table, &prefix); node; node = ch_cell_next(node, &prefix)) {
    chat_head *head = &found->heads[found->count];
    found->count += derive(store, ask->user, ch_cell_rest(node, &prefix).data, head) && head->position > ask->above;
  }
}

static void gather_written(const ch_store_mem *store, const chat_store_heads *ask, candidates *found) {
  ch_cell_key prefix = ch_cell_key_user(CH_CELL_USER_HEAD, ask->user);
  for (const ch_store_node *node = ch_cell_first(&store->table, &prefix); node; node = ch_cell_next(node, &prefix)) {
    const chat_head *head = ch_store_node_value(node);
    if (head->position > ask->above) found->heads[found->count++] = *head;
  }
}

/* Fan-out on read: all channels that the user is in. Their positions are of another topic, so they are told without one. */
static void gather_channels(const ch_store_mem *store, const chat_store_heads *ask, candidates *found) {
  ch_cell_key prefix = ch_cell_key_user(CH_CELL_USER, ask->user);
  for (const ch_store_node *node = ch_cell_first(&store->table, &prefix); node; node = ch_cell_next(node, &prefix)) {
    chat_head *head = &found->heads[found->count];
    if (!derive(store, ask->user, ch_cell_rest(node, &prefix).data, head)) continue;
    if (head->kind != CHAT_CHANNEL || head->role == CHAT_ROLE_NONE) continue;
    head->position = 0;
    found->count++;
  }
}

static size_t count_all(const ch_store_mem *store, chat_bytes user) {
  ch_cell_key derived = ch_cell_key_user(CH_CELL_USER, user), written = ch_cell_key_user(CH_CELL_USER_HEAD, user);
  return ch_cell_count(&store->table, &derived) + ch_cell_count(&store->table, &written);
}

/* ------------------------------------------------------------------------------------------------ the answer */

static int compare(const void *a, const void *b) {
  const chat_head *x = a, *y = b;
  if (x->position != y->position) return x->position < y->position ? -1 : 1;
  return memcmp(x->conversation_id, y->conversation_id, sizeof x->conversation_id);
}

/* How many of the sorted heads are given: at most limit, but those of one position stay together. */
static size_t cut(const candidates *found, uint32_t limit) {
  if (found->count <= limit) return found->count;
  size_t count = limit;
  while (count > 0 && found->heads[count - 1].position == found->heads[count].position)
    count--;
  if (count > 0) return count;
  for (count = limit; count < found->count && found->heads[count].position == found->heads[0].position;)
    count++;
  return count;
}

static int copy_out(const ch_store_mem *store, chat_store_heads *ask) {
  for (size_t i = 0; i < ask->head_count; i++) {
    chat_head *head = &ask->heads[i];
    const ch_stored_mark *mark = ch_cell_get(&store->table, ch_cell_key_member(CH_CELL_MARK, head->conversation_id, ask->user));
    head->delivered = mark ? mark->delivered : 0;
    head->read = mark ? mark->read : 0;
    int error = ch_store_out_bytes(&ask->op, head->title, &head->title);
    if (error) return error;
  }
  return 0;
}

/* The user's stream of changes: folded positions of "messages" where heads are derived, else what the deliverer has stored (V3). */
static uint64_t stream_position(const ch_store_mem *store, chat_bytes user) {
  if (store->config.derives_heads) return ch_cell_position(&store->table, CHAT_TOPIC_MESSAGES, 0);
  uint32_t partition = ch_partition_of(user, store->config.delivery_partitions);
  return ch_cell_position(&store->table, CHAT_TOPIC_DELIVERIES, partition);
}

int ch_store_do_heads(ch_store_mem *store, chat_op *op) {
  chat_store_heads *ask = (chat_store_heads *)op;
  if (!ch_store_heads_valid(ask)) return CHAT_E_INVALID;
  candidates found = {.heads = ch_store_out_array(op, count_all(store, ask->user), sizeof *found.heads)};
  if (!found.heads) return CHAT_E_NOMEM;
  if (store->config.derives_heads)
    gather_derived(store, ask, &found);
  else
    gather_written(store, ask, &found);
  qsort(found.heads, found.count, sizeof *found.heads, compare);
  ask->heads = found.heads;
  ask->head_count = cut(&found, ask->limit);
  ask->more = ask->head_count < found.count;
  ask->position = ask->more ? found.heads[ask->head_count - 1].position : stream_position(store, ask->user);
  if (!ask->more && !store->config.derives_heads) {
    gather_channels(store, ask, &found);
    qsort(found.heads, found.count, sizeof *found.heads, compare);
    ask->head_count = found.count;
  }
  return copy_out(store, ask);
}
