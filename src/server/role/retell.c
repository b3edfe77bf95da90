/* SPDX-License-Identifier: Apache-2.0 */
#include "server/role/retell.h"

#include <string.h>

#include "core/arena.h"
#include "core/assert.h"
#include "core/wire.h"
#include "server/role/deliverer.h"

enum {
  READ_COUNT_MAX = 64,
  READ_BYTES_MAX = 1024 * 1024,
  ARENA_CHUNK_LEN = 4096,
  ARENA_MEMORY_MAX = 4 * 1024 * 1024,
  CLOCK_BACK_MS = 10 * 60 * 1000 /* how far rows of a conversation may be out of order in time, since the log's clock was set back */
};

typedef enum retell_state { POSITION = 1, READ, FIND, TELL, DONE } retell_state;

struct ch_retell {
  ch_env env;
  ch_retell_config config;
  retell_state state;
  bool is_outside; /* its op */
  uint64_t at_ms;  /* elapsed time before which nothing is asked; 0: at once */
  uint64_t told, stored;
  chat_log_read *batch; /* records at work; NULL in POSITION, READ, DONE */
  size_t next;
  ch_arena arena;
  ch_record record; /* batch->records[next], in FIND and TELL */
  uint64_t high;    /* the next page is below it; 0: the newest */
  chat_store_range *page; /* that its row is on; TELL */
  size_t row;             /* of the page */
};

/* ------------------------------------------------------------------------------------------------ from record to record */

static void enter(ch_retell *retell, retell_state state) {
  retell->state = state;
}

static void drop_page(ch_retell *retell) {
  if (retell->page) ch_op_free(&retell->page->op);
  retell->page = NULL;
}

static void drop_batch(ch_retell *retell) {
  if (retell->batch) ch_op_free(&retell->batch->op);
  retell->batch = NULL;
}

static void finish(ch_retell *retell) {
  drop_page(retell);
  drop_batch(retell);
  if (retell->told < retell->stored) retell->told = retell->stored;
  enter(retell, DONE);
}

/* 0; CHAT_E_NOT_FOUND: there is no row of it (a void; or none that we know); CHAT_E_NOMEM. */
static int open_record(ch_retell *retell, const chat_log_record *in) {
  ch_arena_reset(&retell->arena);
  int error = ch_record_decode(in->data, &retell->arena, &retell->record);
  if (error == CHAT_E_NOMEM) return error;
  return error || retell->record.is_void ? CHAT_E_NOT_FOUND : 0;
}

/* To the next record that may have a row; where there is none, or no memory to read it, to the next records. */
static void go_on(ch_retell *retell) {
  drop_page(retell);
  retell->high = 0;
  for (; retell->next < retell->batch->count; retell->next++) {
    const chat_log_record *in = &retell->batch->records[retell->next];
    if (in->position > retell->stored) break;
    int error = open_record(retell, in);
    if (error == CHAT_E_NOMEM) break;
    if (!error) {
      enter(retell, FIND);
      return;
    }
    retell->told = in->position;
  }
  bool is_beyond = retell->next < retell->batch->count && retell->batch->records[retell->next].position > retell->stored;
  bool is_end = is_beyond || retell->told >= retell->stored;
  drop_batch(retell);
  if (is_end) finish(retell);
  else enter(retell, READ);
}

static void close_record(ch_retell *retell) {
  retell->told = retell->batch->records[retell->next++].position;
  go_on(retell);
}

/* ------------------------------------------------------------------------------------------------ a record's row */

static uint64_t append_ms(const ch_retell *retell) {
  return retell->batch->records[retell->next].append_ms;
}

static bool is_same(chat_bytes a, chat_bytes b) {
  return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static bool is_row_of(const ch_retell *retell, const chat_row *row) {
  const ch_record *record = &retell->record;
  return row->created_ms == append_ms(retell) && row->client_seq == record->client_seq && is_same(row->sender, record->sender) &&
         memcmp(row->client_id, record->client_id, sizeof row->client_id) == 0 && memcmp(row->device_id, record->device_id, sizeof row->device_id) == 0;
}

/* The first such row from `from` on; row_count: it is not on this page. */
static size_t find_row(const ch_retell *retell, const chat_store_range *page, size_t from) {
  while (from < page->row_count && !is_row_of(retell, &page->rows[from])) from++;
  return from;
}

/* A record without a row was refused. */
static bool may_be_below(const ch_retell *retell, const chat_store_range *page) {
  return page->row_count > 0 && page->rows[0].seq > 1 && page->rows[0].created_ms + CLOCK_BACK_MS >= append_ms(retell);
}

static void took_page(ch_retell *retell, chat_store_range *page) {
  retell->row = find_row(retell, page, 0);
  if (retell->row < page->row_count) {
    retell->page = page;
    enter(retell, TELL);
    return;
  }
  bool goes_on = may_be_below(retell, page);
  if (goes_on) retell->high = page->rows[0].seq - 1;
  ch_op_free(&page->op);
  if (!goes_on) close_record(retell);
}

/* What the system sends twice in one millisecond under one client id are rows that nothing tells apart: all of them are told. */
static void took_answer(ch_retell *retell) {
  retell->row = find_row(retell, retell->page, retell->row + 1);
  if (retell->row == retell->page->row_count) close_record(retell);
}

/* ------------------------------------------------------------------------------------------------ ops */

static chat_op *ask_position(const ch_retell *retell) {
  chat_store_position *op = ch_op_new(retell->env.alloc, CHAT_OP_STORE_POSITION, sizeof *op);
  if (!op) return NULL;
  op->topic = CHAT_TOPIC_MESSAGES;
  return &op->op;
}

static chat_op *ask_records(const ch_retell *retell) {
  chat_log_read *op = ch_op_new(retell->env.alloc, CHAT_OP_LOG_READ, sizeof *op);
  if (!op) return NULL;
  op->topic = CHAT_TOPIC_MESSAGES;
  op->after = retell->told;
  op->count_max = READ_COUNT_MAX;
  op->bytes_max = READ_BYTES_MAX;
  return &op->op;
}

static chat_op *ask_page(const ch_retell *retell) {
  chat_store_range *op = ch_op_new(retell->env.alloc, CHAT_OP_STORE_RANGE, sizeof *op);
  if (!op) return NULL;
  memcpy(op->conversation_id, retell->record.conversation_id, sizeof op->conversation_id);
  op->high = retell->high;
  op->limit = CHAT_PAGE_MAX;
  op->newest_first = 1;
  return &op->op;
}

static chat_op *ask_hook(const ch_retell *retell) {
  ch_op_after_store *op = ch_op_new(retell->env.alloc, CH_OP_AFTER_STORE, sizeof *op);
  if (!op) return NULL;
  op->row = retell->page->rows[retell->row];
  return &op->op;
}

static chat_op *next_op(void *self) {
  static chat_op *(*const askers[])(const ch_retell *) = {[POSITION] = ask_position, [READ] = ask_records, [FIND] = ask_page, [TELL] = ask_hook};
  ch_retell *retell = self;
  if (retell->is_outside || retell->at_ms || retell->state == DONE) return NULL;
  chat_op *op = askers[retell->state](retell); /* NULL: asked for again at the next turn */
  retell->is_outside = op != NULL;
  return op;
}

static void took_position(ch_retell *retell, const chat_store_position *op) {
  retell->stored = op->position;
  if (retell->told >= retell->stored) finish(retell);
  else enter(retell, READ);
}

/* A log that has nothing up to there was cut: what was not told is told by nobody. */
static void took_records(ch_retell *retell, chat_log_read *op) {
  if (op->count == 0) {
    ch_op_free(&op->op);
    finish(retell);
    return;
  }
  retell->batch = op;
  retell->next = 0;
  go_on(retell);
}

/* What is kept by `took_…` is freed there. */
static void took(ch_retell *retell, chat_op *op) {
  switch (op->kind) {
  case CHAT_OP_LOG_READ: took_records(retell, (chat_log_read *)(void *)op); return;
  case CHAT_OP_STORE_RANGE: took_page(retell, (chat_store_range *)(void *)op); return;
  case CHAT_OP_STORE_POSITION: took_position(retell, (const chat_store_position *)(const void *)op); break;
  default: took_answer(retell); break;
  }
  ch_op_free(op);
}

static void complete(void *self, chat_op *op, ch_now now) {
  ch_retell *retell = self;
  retell->is_outside = false;
  if (op->status == 0) {
    took(retell, op);
    return;
  }
  bool is_cut = op->kind == CHAT_OP_LOG_READ && op->status == CHAT_E_GONE;
  ch_op_free(op);
  if (is_cut) finish(retell);
  else retell->at_ms = now.elapsed_ms + retell->config.retry_ms;
}

static void tick(void *self, ch_now now) {
  ch_retell *retell = self;
  if (retell->at_ms <= now.elapsed_ms) retell->at_ms = 0;
}

static uint64_t deadline_ms(const void *self) {
  const ch_retell *retell = self;
  return retell->at_ms ? retell->at_ms : CH_NEVER_MS;
}

/* ------------------------------------------------------------------------------------------------ life */

int ch_retell_new(const ch_env *env, const ch_retell_config *config, ch_retell **out) {
  ch_retell *retell = ch_calloc(env->alloc, 1, sizeof *retell);
  *out = retell;
  if (!retell) return CHAT_E_NOMEM;
  retell->env = *env;
  retell->config = *config;
  retell->told = config->told;
  ch_arena_init(&retell->arena, env->alloc, ARENA_CHUNK_LEN, ARENA_MEMORY_MAX);
  enter(retell, POSITION);
  return 0;
}

void ch_retell_free(ch_retell *retell) {
  if (!retell) return;
  drop_page(retell);
  drop_batch(retell);
  ch_arena_fini(&retell->arena);
  ch_free(retell->env.alloc, retell);
}

ch_role ch_retell_role(ch_retell *retell) {
  return (ch_role){retell, next_op, complete, tick, deadline_ms};
}

uint64_t ch_retell_told(const ch_retell *retell) {
  return retell->told;
}

bool ch_retell_is_done(const ch_retell *retell) {
  return retell->state == DONE;
}
