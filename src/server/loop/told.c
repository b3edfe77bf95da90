/* SPDX-License-Identifier: Apache-2.0 */
#include "server/loop/told.h"

#include "server/loop/ask.h"
#include "server/loop/number_file.h"

enum { SAVE_MS = 1000 };

static int ask_store(const chat_backend *store, const chat_allocator *alloc, uint64_t *position) {
  chat_store_position *op = ch_op_new(alloc, CHAT_OP_STORE_POSITION, sizeof *op);
  if (!op) return CHAT_E_NOMEM;
  op->topic = CHAT_TOPIC_MESSAGES;
  int error = ch_ask(store, &op->op);
  *position = op->position;
  ch_op_free(&op->op);
  return error;
}

int ch_told_open(ch_told *told, const char *path, const chat_backend *store, const chat_allocator *alloc, ch_buf *why) {
  uint64_t position = 0;
  bool is_kept = ch_number_file_load(path, &position);
  int error = is_kept ? 0 : ask_store(store, alloc, &position);
  if (!error && !is_kept) error = ch_number_file_save(path, position);
  if (error) {
    ch_buf_printf(why, "%s: what the hook was told of cannot be kept: %s", path, chat_error_text(error));
    return error;
  }
  *told = (ch_told){.path = path, .saved = position};
  atomic_store(&told->position, position);
  return 0;
}

void ch_told_save(ch_told *told) {
  uint64_t position = atomic_load(&told->position);
  if (told->path && position != told->saved && ch_number_file_save(told->path, position) == 0) told->saved = position;
}

static void raise(ch_told *told, uint64_t position) {
  if (position > atomic_load(&told->position)) atomic_store(&told->position, position);
}

static void follow(ch_told *told, const ch_sequencer_stats *sequencer, const ch_deliverer_stats *deliverer) {
  if (deliverer->position < told->mark_tasks) return;
  raise(told, told->mark);
  told->mark = sequencer->position;
  told->mark_tasks = sequencer->tasks_position;
  if (deliverer->position >= told->mark_tasks) raise(told, told->mark);
}

uint64_t ch_told_turn(ch_told *told, const ch_retell *retell, const ch_sequencer_stats *sequencer, const ch_deliverer_stats *deliverer, ch_now now) {
  raise(told, ch_retell_told(retell));
  if (ch_retell_is_done(retell)) follow(told, sequencer, deliverer);
  if (atomic_load(&told->position) == told->saved) return CH_NEVER_MS;
  if (told->save_at_ms > now.elapsed_ms) return told->save_at_ms;
  ch_told_save(told);
  return told->save_at_ms = now.elapsed_ms + SAVE_MS;
}
