/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/device.h"

#include <stdlib.h>
#include <string.h>

#include "backend/cache_mem.h"
#include "core/assert.h"
#include "sim/oracle.h"
#include "sim/people.h"

const char *sim_user_name(uint32_t user) {
  static const char *const names[] = {"u0", "u1", "u2", "u3", "u4", "u5", "u6", "u7"};
  return names[user];
}

ch_now sim_device_now(const sim_device *device) {
  const sim *s = device->sim;
  return (ch_now){s->now_ms, (uint64_t)((int64_t)(SIM_EPOCH_MS + s->now_ms) + device->skew_ms)};
}

/* ------------------------------------------------------------------------------------------------ turns */

static void run(sim_device *device);

static void tick(void *arg, uint64_t unused) {
  (void)unused;
  sim_device *device = arg;
  device->tick_at_ms = CH_NEVER_MS;
  if (!device->brain) return;
  if (ch_brain_deadline_ms(device->brain) <= device->sim->now_ms) ch_brain_tick(device->brain, sim_device_now(device));
  run(device);
}

static void set_timer(sim_device *device) {
  uint64_t at_ms = ch_brain_deadline_ms(device->brain);
  if (at_ms == CH_NEVER_MS || at_ms >= device->tick_at_ms) return;
  if (at_ms < device->sim->now_ms + 1) at_ms = device->sim->now_ms + 1; /* a slice of long work takes its time */
  if (at_ms >= device->tick_at_ms) return;
  device->tick_at_ms = at_ms;
  sim_schedule_at(&device->sim->schedule, at_ms, tick, device, 0);
}

static void hang_up(sim_device *device) {
  if (device->connection) sim_network_hang_up(device->connection);
  device->connection = NULL;
  device->is_connected = false;
}

static void do_wants(sim_device *device) {
  for (ch_brain_want want; (want = ch_brain_wants(device->brain)) != CH_WANT_NOTHING;) {
    hang_up(device);
    if (want == CH_WANT_OPEN) device->connection = sim_network_connect(device);
  }
}

static void write_frames(sim_device *device) {
  if (!device->is_connected) return;
  for (chat_bytes frame; (frame = ch_brain_peek(device->brain)).len > 0;) {
    sim_oracle_frame_in(device, frame);
    sim_network_send(device->connection, frame);
    ch_brain_taken(device->brain, sim_device_now(device));
  }
}

static void take_events(sim_device *device) {
  for (ch_client_event *event; (event = ch_brain_next_event(device->brain));) {
    sim_trace(device->sim, event->event.type);
    sim_oracle_event(device, &event->event);
    sim_people_event(device, &event->event);
    ch_client_event_free(event);
  }
}

/* Says what the brain has to say; a process that died inside a call says nothing. */
static void run(sim_device *device) {
  if (device->cache.is_dead) {
    sim_device_kill(device, sim_chance(&device->sim->random, 1, 2));
    return;
  }
  take_events(device);
  do_wants(device);
  write_frames(device);
  do_wants(device);
  set_timer(device);
}

/* ------------------------------------------------------------------------------------------------ the network's */

void sim_device_connected(sim_device *device, sim_connection *connection) {
  if (!device->brain || device->connection != connection) return;
  device->is_connected = true;
  ch_brain_opened(device->brain, sim_device_now(device));
  run(device);
}

void sim_device_frame(sim_device *device, chat_bytes frame) {
  if (!device->brain || !device->is_connected) return;
  ch_brain_frame(device->brain, frame, sim_device_now(device));
  run(device);
}

void sim_device_disconnected(sim_device *device, const sim_connection *connection, int status) {
  if (!device->brain || device->connection != connection) return;
  device->connection = NULL;
  device->is_connected = false;
  ch_brain_closed(device->brain, status, sim_device_now(device));
  run(device);
}

/* ------------------------------------------------------------------------------------------------ life */

static void fill_random(void *arg, void *bytes, size_t len) {
  sim_fill(&((sim_device *)arg)->sim->random, bytes, len);
}

static ch_brain_config config_of(sim_device *device) {
  return (ch_brain_config){
      .cache = &device->cache.base,
      .client_name = ch_bytes_text("sim"),
      .times = {.hello_ms = 10000, .auth_ms = 10000, .heartbeat_ms = 15000, .idle_ms = 45000, .drain_ms = 5000},
      .backoff_min_ms = 500,
      .backoff_max_ms = 20000,
      .prefetch = 20,
      .hold_ms = 300,
      .hold_max = 16,
      .resend_ms = 10000,
      .sync_every_ms = 300000,
      .ranges_max = 4,
      .outbox_max = 1000,
      .in_flight_max = 32,
      .requests_max = 256,
      .events_max = 4096,
  };
}

static void start_again(void *arg, uint64_t unused) {
  (void)unused;
  sim_device *device = arg;
  if (!device->brain && !device->sim->is_ending) sim_device_start(device);
}

void sim_device_start(sim_device *device) {
  ch_env env = {.alloc = NULL, .random = fill_random, .random_arg = device};
  ch_brain_config config = config_of(device);
  ch_now now = sim_device_now(device);
  ch_assert(ch_brain_new(&env, &config, &device->brain) == 0);
  if (ch_brain_start(device->brain, now)) {
    sim_device_kill(device, false);
    return;
  }
  ch_brain_set_token(device->brain, ch_bytes_text(sim_user_name(device->user)), now);
  run(device);
}

void sim_device_kill(sim_device *device, bool power_cut) {
  sim *s = device->sim;
  sim_note(s, "device %u dies%s", device->index, power_cut ? " of a power cut" : "");
  s->power_cuts += power_cut;
  device->cache.is_dead = true; /* the brain's last wishes reach nothing */
  if (device->brain) ch_brain_free(device->brain);
  device->brain = NULL;
  device->is_suspended = false;
  hang_up(device);
  sim_cache_died(&device->cache, power_cut);
  if (!s->is_ending) sim_after(s, s->healing ? 1000 : sim_between(&s->random, 100, 60000), start_again, device, 0);
}

void sim_device_back_up(sim_device *device) {
  if (device->backup) device->backup->vtable->free(device->backup->self);
  ch_assert(ch_cache_mem_clone(device->cache.inner, &device->backup) == 0);
  device->backup_ms = device->sim->now_ms;
}

void sim_device_restore(sim_device *device) {
  if (!device->backup) return;
  sim_note(device->sim, "device %u gets its database of %llu ms back", device->index, (unsigned long long)device->backup_ms);
  sim_device_kill(device, false);
  sim_cache_replace(&device->cache, device->backup);
  device->backup = NULL;
  device->was_restored = true;
  sim_oracle_restored(device, device->backup_ms);
}

void sim_device_suspend(sim_device *device, bool suspend) {
  if (!device->brain || device->is_suspended == suspend) return;
  ch_now now = sim_device_now(device);
  if (suspend)
    ch_brain_suspend(device->brain, now);
  else if (ch_brain_resume(device->brain, now))
    return;
  device->is_suspended = suspend;
  if (suspend) hang_up(device);
  run(device);
}

bool sim_device_request(sim_device *device, const ch_client_request *request) {
  if (!device->brain) return false;
  bool taken = ch_brain_request(device->brain, request, sim_device_now(device)) == 0;
  run(device);
  return taken && device->brain;
}

sim_device *sim_device_new(sim *s, uint32_t index, uint32_t user) {
  sim_device *device = calloc(1, sizeof *device);
  ch_assert(device);
  *device = (sim_device){.sim = s, .index = index, .user = user, .tick_at_ms = CH_NEVER_MS};
  sim_cache_init(&device->cache, device);
  return device;
}

void sim_device_free(sim_device *device) {
  if (device->backup) device->backup->vtable->free(device->backup->self);
  sim_cache_fini(&device->cache);
  free(device);
}
