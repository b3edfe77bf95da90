/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A database that was restored from a copy would use numbers twice (docs/protocol.md, "Restored databases"). The client takes a new device id; in each conversation with
 * rows it writes DEVICE_RETIRED for the old one and parks the rows. When that event is in the cache, everything of the old device that ever counts lies below it: a
 * parked row is there, or never was applied and never will be. Parking is durable, so a crash at any point goes on from there.
 */
#include <string.h>

#include "client/brain/outbox.h"
#include "client/brain/owner.h"
#include "core/assert.h"

enum { RETIREMENT_MAX = 64 };

static bool park_rows(ch_brain *brain, ch_conversation *conversation) {
  bool any = false;
  CH_LIST_FOR_EACH(node, &conversation->rows) {
    ch_outbox_item *item = CH_LIST_ITEM(node, ch_outbox_item, place);
    if (item->facts.state == CH_ITEM_REFUSED || item->is_removed) continue;
    ch_item_change(brain, item)->state = CH_ITEM_PARKED;
    any = true;
  }
  return any;
}

static void add_retirement(ch_brain *brain, ch_conversation *conversation, const uint8_t device_id[16]) {
  ch_content content = {.type = CHAT_TYPE_DEVICE_RETIRED};
  ch_buf payload;
  uint8_t client_id[16];
  memcpy(content.device_id, device_id, 16);
  ch_buf_init(&payload, brain->env.alloc, RETIREMENT_MAX);
  int error = ch_content_encode(&content, &payload);
  ch_client_id_new(brain, client_id);
  if (error) ch_fail(brain, error);
  else ch_outbox_add(brain, conversation, client_id, CHAT_TYPE_DEVICE_RETIRED, ch_buf_bytes(&payload));
  ch_buf_fini(&payload);
}

void ch_restore_begin(ch_brain *brain) {
  ch_connection_drop(brain, CHAT_E_CONFLICT, 0);
  uint8_t retired[16];
  memcpy(retired, brain->database.identity.device_id, 16);
  ch_begin(brain);
  ch_identity *identity = ch_change_identity(brain);
  memset(identity->device_id, 0, 16);
  identity->has_device = 0;
  identity->session = 0;
  CH_LIST_FOR_EACH(node, &brain->outbox.active) {
    ch_conversation *conversation = CH_LIST_ITEM(node, ch_conversation, active);
    if (park_rows(brain, conversation)) add_retirement(brain, conversation, retired);
  }
  if (ch_end(brain, true)) ch_connection_lose(brain, CHAT_E_IO); /* found out again at the next HELLO */
}

static bool is_parked_retirement(const ch_outbox_item *item) {
  return item->facts.state == CH_ITEM_PARKED && item->type == CHAT_TYPE_DEVICE_RETIRED;
}

static void judge_parked(ch_brain *brain, ch_conversation *conversation, bool prove, bool retirements) {
  for (ch_list *node = conversation->rows.next, *next; node != &conversation->rows; node = next) {
    next = node->next;
    ch_outbox_item *item = CH_LIST_ITEM(node, ch_outbox_item, place);
    if (item->facts.state != CH_ITEM_PARKED || item->is_removed || is_parked_retirement(item) != retirements) continue;
    ch_outbox_judge(brain, item, prove);
  }
}

static bool has_open_retirement(const ch_conversation *conversation) {
  CH_LIST_FOR_EACH(node, &conversation->rows) {
    const ch_outbox_item *item = CH_LIST_ITEM(node, ch_outbox_item, place);
    if (item->type == CHAT_TYPE_DEVICE_RETIRED && ch_item_is_open(item)) return true;
  }
  return false;
}

/* Where it was restored twice, the retirement of the first device is itself parked by the second: that one is settled first, and the rest waits while any is open. */
void ch_restore_resolve(ch_brain *brain, ch_conversation *conversation, bool prove) {
  if (has_open_retirement(conversation)) return;
  judge_parked(brain, conversation, prove, true);
  if (!has_open_retirement(conversation)) judge_parked(brain, conversation, prove, false);
}

void ch_restore_give_up(ch_brain *brain, ch_conversation *conversation) {
  judge_parked(brain, conversation, false, false);
}
