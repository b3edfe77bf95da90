/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/process.h"

#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "core/partition.h"
#include "core/rule.h"
#include "sim/fleet.h"
#include "sim/network.h"
#include "sim/op_copy.h"
#include "sim/oracle.h"

typedef enum fate {
  DONE,       /* and answered */
  REFUSED,    /* not done, CHAT_E_AGAIN */
  LOST,       /* not done, CHAT_E_UNKNOWN */
  UNANSWERED, /* done, CHAT_E_UNKNOWN */
  LATE,       /* CHAT_E_UNKNOWN, and done some time after */
  TWICE,      /* a delivery alone: done, and once more later */
  DROPPED     /* a delivery alone: answered as done, and gone */
} fate;

/* An op that is outside of its role. */
typedef struct sim_flight {
  struct sim_flight *next; /* in process->flights, while a backend has it */
  sim_process *process;
  chat_op *op;
  fate fate;
} flight;

/* A copy of an op, of a process that will not hear of it. */
typedef struct ghost {
  sim *sim;
  chat_op *op;
  sim_place place;
} ghost;

/* ------------------------------------------------------------------------------------------------ fate */

static sim_place place_of(const chat_op *op) {
  switch (op->kind / 16) {
    case 0: return ((const chat_log_info *)(const void *)op)->topic == CHAT_TOPIC_MESSAGES ? SIM_MESSAGES : SIM_DELIVERIES;
    case 1: return SIM_STORE;
    case 2: return SIM_DIRECTORY;
    default: return SIM_LINK;
  }
}

static bool is_long_poll(const chat_op *op) {
  return op->kind == CHAT_OP_LOG_READ || op->kind == CHAT_OP_DIRECTORY_CHANGES || op->kind == CHAT_OP_LINK_RECEIVE;
}

static fate delivery_fate(sim *s) {
  static const fate fates[] = {TWICE, DROPPED, REFUSED, LOST};
  return fates[sim_pick(&s->random, 4)];
}

/* Backends of one machine are not behind a network: what they do not do, they say. */
static fate bad_fate(sim *s, const chat_op *op) {
  static const fate fates[] = {REFUSED, LOST, UNANSWERED, LATE};
  if (op->kind == CHAT_OP_LINK_SEND) return delivery_fate(s);
  if (is_long_poll(op) || s->plan.embedded) return REFUSED;
  return fates[sim_pick(&s->random, 4)];
}

static fate fate_of(sim *s, const chat_op *op) {
  uint32_t per_mille = s->healing ? 0 : s->outage[place_of(op)];
  return sim_chance(&s->random, per_mille, 1000) ? bad_fate(s, op) : DONE;
}

/* ------------------------------------------------------------------------------------------------ back */

static void finish_if_gone(sim_process *process);

static void complete(sim_process *process, chat_op *op) {
  op->next = NULL;
  process->role.complete(process->role.self, op, sim_server_now(process->sim));
}

static void cancel_new_ops(sim_process *process) {
  for (chat_op *op; (op = process->role.next_op(process->role.self));) {
    op->status = CHAT_E_CANCELED;
    complete(process, op);
  }
}

/* ---- what a store would do without S3 and V3: parts of one answer are read at different times */

static void read_senders_late(sim *s, chat_store_state *op) {
  chat_store_state *late = ch_op_new(NULL, CHAT_OP_STORE_STATE, sizeof *late);
  ch_assert(late);
  memcpy(late->conversation_id, op->conversation_id, 16);
  late->users = op->users;
  late->user_count = op->user_count;
  ch_assert(sim_ghost_do(s, SIM_STORE, &late->op));
  op->state.senders = chat_op_alloc(&op->op, (late->state.sender_count + 1) * sizeof *op->state.senders);
  op->state.sender_count = late->state.sender_count;
  for (size_t i = 0; i < late->state.sender_count; i++) {
    op->state.senders[i] = late->state.senders[i];
    op->state.senders[i].user = chat_op_copy(&op->op, late->state.senders[i].user);
  }
  ch_op_free(&late->op);
}

static void read_position_late(sim *s, chat_store_heads *op) {
  if (s->plan.embedded || op->more) return;
  chat_store_position *late = ch_op_new(NULL, CHAT_OP_STORE_POSITION, sizeof *late);
  ch_assert(late);
  late->topic = CHAT_TOPIC_DELIVERIES;
  late->partition = ch_partition_of(op->user, s->plan.delivery_partitions);
  ch_assert(sim_ghost_do(s, SIM_STORE, &late->op));
  if (late->position > op->position) op->position = late->position;
  ch_op_free(&late->op);
}

static void read_late(sim *s, chat_op *op) {
  if (op->status) return;
  if (!CH_RULE(S3) && op->kind == CHAT_OP_STORE_STATE) read_senders_late(s, (chat_store_state *)(void *)op);
  if (!CH_RULE(V3) && op->kind == CHAT_OP_STORE_HEADS) read_position_late(s, (chat_store_heads *)(void *)op);
}

static void come_back(void *arg, uint64_t unused) {
  (void)unused;
  flight *f = arg;
  sim_process *process = f->process;
  chat_op *op = f->op;
  free(f);
  process->outside--;
  read_late(process->sim, op);
  if (!process->is_alive) op->status = CHAT_E_CANCELED;
  sim_trace(process->sim, op->kind * 64 + (uint64_t)-op->status);
  complete(process, op);
  if (process->is_alive) {
    sim_process_run(process);
  } else {
    cancel_new_ops(process);
    finish_if_gone(process);
  }
}

static uint64_t way_ms(sim *s) {
  return sim_chance(&s->random, 1, 64) ? sim_between(&s->random, 10, 400) : sim_between(&s->random, 0, 2);
}

/* Where parts of an answer are read at different times, there is time between them. */
static uint64_t between_reads_ms(sim *s, const chat_op *op) {
  bool is_parted = (!CH_RULE(S3) && op->kind == CHAT_OP_STORE_STATE) || (!CH_RULE(V3) && op->kind == CHAT_OP_STORE_HEADS);
  return is_parted ? sim_between(&s->random, 0, 2000) : 0;
}

static void answer(flight *f, int status) {
  sim *s = f->process->sim;
  f->op->status = status;
  sim_after(s, way_ms(s) + between_reads_ms(s, f->op), come_back, f, 0);
}

/* Which of the records are in is not known, but perhaps of the first ones. */
static void forget_positions(sim *s, chat_op *op) {
  if (op->kind != CHAT_OP_LOG_APPEND) return;
  chat_log_append *append = (chat_log_append *)(void *)op;
  for (size_t i = (size_t)sim_pick(&s->random, append->count + 1); i < append->count; i++)
    append->records[i].position = 0;
}

/* A replica that has not heard of one row yet; V5 says what that means. */
static void miss_a_row(sim *s, chat_op *op) {
  if (op->kind != CHAT_OP_STORE_RANGE || op->status || s->healing || !sim_chance(&s->random, s->outage[SIM_STORE], 1000)) return;
  chat_store_range *range = (chat_store_range *)(void *)op;
  if (range->row_count == 0) return;
  size_t missing = (size_t)sim_pick(&s->random, range->row_count);
  memmove(&range->rows[missing], &range->rows[missing + 1], (--range->row_count - missing) * sizeof *range->rows);
}

static void answer_done(flight *f) {
  sim *s = f->process->sim;
  sim_oracle_done(s, f->op);
  if (!s->plan.embedded) miss_a_row(s, f->op);
  if (f->fate == UNANSWERED) forget_positions(s, f->op);
  answer(f, f->fate == UNANSWERED ? CHAT_E_UNKNOWN : f->op->status);
}

static flight *flights_take(sim_process *process, const chat_op *op) {
  for (flight **at = &process->flights; *at; at = &(*at)->next) {
    flight *f = *at;
    if (f->op != op) continue;
    *at = f->next;
    return f;
  }
  ch_assert(false);
  return NULL;
}

static void poll_ports(void *arg, uint64_t unused) {
  (void)unused;
  sim_process *process = arg;
  process->wants_poll = false;
  if (process->is_gone) return;
  for (int place = 0; place < SIM_PLACE_COUNT; place++) {
    const chat_backend *backend = &process->backends[place];
    for (chat_op *op; (op = backend->vtable->poll(backend->self, process->ports[place]));)
      answer_done(flights_take(process, op));
  }
}

static void wake(void *arg) {
  sim_process *process = arg;
  if (process->wants_poll) return;
  process->wants_poll = true;
  sim_after(process->sim, 0, poll_ports, process, 0);
}

/* ------------------------------------------------------------------------------------------------ out */

static void submit_ghost(void *arg, uint64_t unused) {
  (void)unused;
  ghost *g = arg;
  if (sim_ghost_do(g->sim, g->place, g->op)) sim_oracle_done(g->sim, g->op);
  ch_op_free(g->op);
  free(g);
}

static void send_ghost(sim *s, const chat_op *op) {
  chat_op *copy = sim_op_copy(op);
  if (!copy) return;
  ghost *g = malloc(sizeof *g);
  ch_assert(g);
  *g = (ghost){s, copy, place_of(op)};
  sim_after(s, sim_between(&s->random, 1, sim_chance(&s->random, 1, 4) ? 40000 : 2000), submit_ghost, g, 0);
}

/* A master that is cut off answers, and nothing of it will be left: the position that was raised is not (V6). */
static bool raise_lost(const sim *s, chat_op *op, uint64_t *position) {
  if (!s->directory_is_cut_off || op->kind != CHAT_OP_DIRECTORY_RAISE) return false;
  *position = ((chat_directory_raise *)(void *)op)->position;
  ((chat_directory_raise *)(void *)op)->position = 1; /* below all */
  return true;
}

static void submit(flight *f) {
  sim_process *process = f->process;
  sim_place place = place_of(f->op);
  const chat_backend *backend = &process->backends[place];
  f->next = process->flights;
  process->flights = f;
  uint64_t position = 0;
  bool is_lost = raise_lost(process->sim, f->op, &position);
  int error = backend->vtable->submit(backend->self, process->ports[place], f->op);
  if (is_lost) ((chat_directory_raise *)(void *)f->op)->position = position; /* it is done, and not polled yet */
  if (!error) return;
  process->flights = f->next;
  answer(f, error == CHAT_E_CLOSED ? CHAT_E_CANCELED : CHAT_E_AGAIN);
}

/* A dead process' packet may have left it, or not. Of a machine alone nothing is left: its backends died with it. */
static bool left_it(sim *s, const chat_op *op) {
  return !s->plan.embedded && !is_long_poll(op) && sim_chance(&s->random, 1, 2);
}

static void arrive(void *arg, uint64_t unused) {
  (void)unused;
  flight *f = arg;
  sim *s = f->process->sim;
  if (!f->process->is_alive && !left_it(s, f->op)) {
    answer(f, CHAT_E_CANCELED);
    return;
  }
  sim_oracle_submitted(s, f->op);
  switch (f->fate) {
    case REFUSED: answer(f, CHAT_E_AGAIN); return;
    case LOST: answer(f, CHAT_E_UNKNOWN); return;
    case DROPPED: answer(f, 0); return;
    case LATE:
      send_ghost(s, f->op);
      answer(f, CHAT_E_UNKNOWN);
      return;
    case TWICE: send_ghost(s, f->op); break;
    case DONE:
    case UNANSWERED: break;
  }
  submit(f);
}

/* Hooks are this file's: a token is the name of its user. */
static void authenticate(flight *f) {
  ch_op_authenticate *op = (ch_op_authenticate *)(void *)f->op;
  op->user = chat_op_copy(&op->op, op->token);
  answer(f, 0);
}

static void only_synced(sim_process *process, chat_op *op) {
  chat_log_consumed *consumed = (chat_log_consumed *)(void *)op;
  if (!process->sim->plan.embedded || op->kind != CHAT_OP_LOG_CONSUMED || consumed->topic != CHAT_TOPIC_MESSAGES) return;
  uint64_t synced = sim_synced_position(process->sim);
  if (synced < consumed->position) consumed->position = synced;
}

static void send_out(sim_process *process, chat_op *op) {
  sim *s = process->sim;
  flight *f = malloc(sizeof *f);
  ch_assert(f);
  *f = (flight){NULL, process, op, DONE};
  process->outside++;
  sim_trace(s, op->kind);
  if (op->kind == CH_OP_AUTHENTICATE) {
    authenticate(f);
    return;
  }
  only_synced(process, op);
  f->fate = fate_of(s, op);
  uint64_t at_ms = s->now_ms + way_ms(s);
  if (op->kind == CHAT_OP_LOG_APPEND) {
    if (at_ms < process->append_at_ms) at_ms = process->append_at_ms;
    process->append_at_ms = at_ms;
  }
  sim_schedule_at(&s->schedule, at_ms, arrive, f, 0);
}

/* ------------------------------------------------------------------------------------------------ turns */

static void tick(void *arg, uint64_t unused) {
  (void)unused;
  sim_process *process = arg;
  process->tick_at_ms = CH_NEVER_MS;
  if (!process->is_alive) return;
  if (process->role.deadline_ms(process->role.self) <= process->sim->now_ms) process->role.tick(process->role.self, sim_server_now(process->sim));
  sim_process_run(process);
}

static void set_timer(sim_process *process) {
  uint64_t at_ms = process->role.deadline_ms(process->role.self);
  if (at_ms >= process->tick_at_ms) return;
  if (at_ms < process->sim->now_ms) at_ms = process->sim->now_ms;
  process->tick_at_ms = at_ms;
  sim_schedule_at(&process->sim->schedule, at_ms, tick, process, 0);
}

void sim_process_run(sim_process *process) {
  for (chat_op *op; (op = process->role.next_op(process->role.self));)
    send_out(process, op);
  if (process->gateway) sim_network_flush(process);
  set_timer(process);
}

/* ------------------------------------------------------------------------------------------------ life */

static void make_gateway(sim_process *process, const ch_env *env) {
  const sim_plan *plan = &process->sim->plan;
  ch_gateway_config config = {
      .name = ch_bytes_text(process->name),
      .times = {.hello_ms = 10000, .auth_ms = 15000, .heartbeat_ms = 15000, .idle_ms = 45000, .drain_ms = 5000},
      .message_partitions = plan->message_partitions,
      .delivery_partitions = plan->delivery_partitions,
      .store_derives_heads = plan->embedded,
      .devices_max = 64, /* restored databases make new devices */
      .sessions_max = 64,
      .in_flight_max = 64,
      .hold_ms = 300,
      .hold_max = 64,
      .append_count_max = 16,
      .receipt_ms = 200,
      .patience_ms = 10,
      .route_ms = 300000,
      .presence_ms = 30000,
      .out_max = 4 * 1024 * 1024,
      .out_total_max = 256 * 1024 * 1024,
      .hook_ms = 5000,
  };
  ch_assert(ch_gateway_new(env, &config, &process->gateway) == 0);
  process->role = ch_gateway_role(process->gateway);
}

static void make_sequencer(sim_process *process, const ch_env *env) {
  const sim_plan *plan = &process->sim->plan;
  ch_sequencer_config config = {.store_derives_heads = plan->embedded,
                                .delivery_partitions = plan->delivery_partitions,
                                .batch_count_max = 8,
                                .batch_bytes_max = 1 << 20,
                                .conversations_max = 4, /* forgets often */
                                .retry_ms = 100};
  ch_assert(ch_sequencer_new(env, &config, &process->sequencer) == 0);
  process->role = ch_sequencer_role(process->sequencer);
}

static void make_deliverer(sim_process *process, const ch_env *env) {
  ch_deliverer_config config = {.store_derives_heads = process->sim->plan.embedded,
                                .records_max = 8,
                                .rewind_ms = process->sim->plan.embedded ? 0 : 30000,
                                .retry_ms = 100};
  ch_assert(ch_deliverer_new(env, &config, &process->deliverer) == 0);
  process->role = ch_deliverer_role(process->deliverer);
}

static void fill_random(void *arg, void *bytes, size_t len) {
  sim_fill(&((sim *)arg)->random, bytes, len);
}

static void open_ports(sim_process *process) {
  for (int place = 0; place < SIM_PLACE_COUNT; place++) {
    process->backends[place] = process->sim->backends[place];
    const chat_backend *backend = &process->backends[place];
    ch_assert(backend->vtable->port_new(backend->self, (chat_wake){wake, process}, &process->ports[place]) == 0);
  }
}

static sim_process **slot_of(sim *s, sim_kind kind, uint32_t index) {
  switch (kind) {
    case SIM_GATEWAY: return &s->gateways[index];
    case SIM_SEQUENCER: return &s->sequencers[index];
    default: return &s->deliverers[index];
  }
}

sim_process *sim_process_start(sim *s, sim_kind kind, uint32_t index) {
  sim_process *process = calloc(1, sizeof *process);
  ch_assert(process);
  *process = (sim_process){.sim = s, .next = s->processes, .kind = kind, .index = index, .life = s->process_count++, .is_alive = true, .tick_at_ms = CH_NEVER_MS};
  s->processes = process;
  snprintf(process->name, sizeof process->name, "g%u.%u", index, process->life);
  ch_env env = {.alloc = NULL, .random = fill_random, .random_arg = s};
  open_ports(process);
  if (kind == SIM_GATEWAY) make_gateway(process, &env);
  if (kind == SIM_SEQUENCER) make_sequencer(process, &env);
  if (kind == SIM_DELIVERER) make_deliverer(process, &env);
  *slot_of(s, kind, index) = process;
  sim_note(s, "process %s kind %d starts", process->name, kind);
  sim_process_run(process);
  return process;
}

static void close_ports(sim_process *process) {
  for (int place = 0; place < SIM_PLACE_COUNT; place++) {
    const chat_backend *backend = &process->backends[place];
    backend->vtable->port_cancel(backend->self, process->ports[place]);
    backend->vtable->port_free(backend->self, process->ports[place]);
  }
}

static void finish_if_gone(sim_process *process) {
  if (process->is_alive || process->outside > 0 || process->is_gone) return;
  process->is_gone = true;
  close_ports(process);
  if (process->gateway) ch_gateway_free(process->gateway);
  if (process->sequencer) ch_sequencer_free(process->sequencer);
  if (process->deliverer) ch_deliverer_free(process->deliverer);
}

/* Long polls end; what else is under way may still be done. */
static void end_ports(void *arg, uint64_t unused) {
  (void)unused;
  sim_process *process = arg;
  if (process->is_gone) return;
  for (int place = 0; place < SIM_PLACE_COUNT; place++)
    process->backends[place].vtable->port_cancel(process->backends[place].self, process->ports[place]);
}

void sim_process_kill(sim_process *process) {
  sim_note(process->sim, "process %s kind %d dies", process->name, process->kind);
  process->is_alive = false;
  *slot_of(process->sim, process->kind, process->index) = NULL;
  if (process->gateway) sim_network_gateway_died(process);
  cancel_new_ops(process);
  sim_after(process->sim, 1000, end_ports, process, 0);
  finish_if_gone(process);
}

void sim_processes_free(sim *s) {
  while (s->processes) {
    sim_process *process = s->processes;
    ch_assert(process->is_gone);
    s->processes = process->next;
    free(process);
  }
}
