/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* epoll_pwait2 */
#include "engine/load.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "protocol/protocol.h"
#include "workload/workload.h"

enum { EVENTS_MAX = 512, STALL_S = 60, HOLD_NS = 10000000 };
static const size_t out_max = 64u << 20, in_max = 64u << 20;

void load_fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "load: ");
  vfprintf(stderr, format, arguments);
  fprintf(stderr, "\n");
  va_end(arguments);
  exit(1);
}

uint64_t load_now_ms(const bench_load *load) {
  return load->now_ns / 1000000;
}

/* ------------------------------------------------------------------------------------------------ clients and rooms */

static void *zeroed(size_t count, size_t len) {
  void *memory = calloc(count ? count : 1, len ? len : 1);
  if (!memory) load_fail("no memory");
  return memory;
}

static void make_client(bench_load *load, uint32_t index) {
  bench_client *client = &load->clients[index];
  client->load = load;
  client->index = index;
  client->user = load->config.first_user + index;
  client->channel.fd = -1;
  client->protocol_state = zeroed(1, load->config.protocol->state_len);
  ch_buf_init(&client->in, NULL, in_max);
  ch_buf_init(&client->message, NULL, in_max);
  ch_buf_init(&client->out, NULL, out_max);
}

static bool is_online(const bench_client *client) {
  uint32_t online = client->load->config.members_online;
  return !client->room || !online || client_member(client) < online;
}

static uint32_t count_online(const bench_load *load) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < load->config.client_count; i++)
    count += is_online(&load->clients[i]);
  return count;
}

static void make_rooms(bench_load *load, uint32_t size) {
  if (!size) return;
  load->room_count = load->config.client_count / size;
  load->rooms = zeroed(load->room_count, sizeof *load->rooms);
  for (uint32_t i = 0; i < load->room_count; i++) {
    bench_client *members = &load->clients[i * size];
    load->rooms[i] = (bench_room){.load = load, .index = i, .group = size != 2, .members = members, .member_count = size};
    for (uint32_t member = 0; member < size; member++)
      members[member].room = &load->rooms[i];
  }
}

static void make(bench_load *load, const load_config *config) {
  load->config = *config;
  load->epoll = epoll_create1(EPOLL_CLOEXEC);
  ch_timer_heap_init(&load->timers, NULL);
  load->clients = zeroed(config->client_count, sizeof *load->clients);
  for (uint32_t i = 0; i < config->client_count; i++)
    make_client(load, i);
  make_rooms(load, config->workload->room_size(load));
  load->online_count = count_online(load);
  load->now_ns = load->heard_ns = clock_now_ns();
}

static void unmake(bench_load *load) {
  if (load->config.workload->end) load->config.workload->end(load);
  for (uint32_t i = 0; i < load->config.client_count; i++)
    client_free(&load->clients[i]);
  free(load->clients);
  free(load->rooms);
  free(load->workload_state);
  ch_timer_heap_fini(&load->timers);
  close(load->epoll);
}

/* ------------------------------------------------------------------------------------------------ phases */

static void connect_more(bench_load *load) {
  for (; load->connect_next < load->config.client_count && load->connecting_count < load->config.connecting_max; load->connect_next++)
    if (is_online(&load->clients[load->connect_next])) client_connect(&load->clients[load->connect_next]);
}

static void enter_join(bench_load *load) {
  load->phase = LOAD_JOIN;
  for (uint32_t i = 0; i < load->config.client_count; i++) {
    bench_client *client = &load->clients[i];
    if (!is_online(client)) continue;
    if (!client->room) client_joined(client);
    if (client->room) load->config.protocol->join(client);
    client_touch(client);
  }
}

static void enter_warm(bench_load *load) {
  load->phase = LOAD_WARM;
  load->phase_end_ns = load->now_ns + (uint64_t)(load->config.warm_s * 1e9);
  pace_init(&load->pace, load->config.rate, load->now_ns);
  if (load->config.workload->begin) load->config.workload->begin(load);
}

static uint64_t own_cpu_ns(void) {
  struct timespec used;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return (uint64_t)used.tv_sec * CLOCK_SECOND_NS + (uint64_t)used.tv_nsec;
}

static void enter_steady(bench_load *load) {
  load->phase = LOAD_STEADY;
  load->figures.server_begin = process_tree_usage(load->config.watch, load->config.watch_count);
  load->figures.machine_begin = machine_usage_now();
  load->figures.client_cpu_ns = own_cpu_ns();
  load->figures.begin_ns = clock_now_ns();
  load->phase_end_ns = load->figures.begin_ns + (uint64_t)(load->config.steady_s * 1e9);
  if (load->config.workload->steady) load->config.workload->steady(load);
}

void load_finish(bench_load *load) {
  load->figures.end_ns = clock_now_ns();
  load->figures.server_end = process_tree_usage(load->config.watch, load->config.watch_count);
  load->figures.machine_end = machine_usage_now();
  load->figures.client_cpu_ns = own_cpu_ns() - load->figures.client_cpu_ns;
  load->phase = LOAD_DONE;
}

/* Whoever runs several loads beside each other, or measures something between, lets them go on by a line. */
static bool may_go_on(bench_load *load) {
  if (!load->config.hold) return true;
  if (!load->held) {
    puts("ready");
    fflush(stdout);
    load->held = true;
  }
  load->heard_ns = load->now_ns;
  struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
  return poll(&input, 1, 0) > 0;
}

static void next_phase(bench_load *load) {
  uint32_t all = load->online_count;
  if (load->phase == LOAD_CONNECT) connect_more(load);
  if (load->phase == LOAD_CONNECT && load->ready_count == all) enter_join(load);
  if (load->phase == LOAD_JOIN && load->joined_count == all) enter_warm(load);
  if (load->phase == LOAD_WARM && load->now_ns >= load->phase_end_ns && may_go_on(load)) enter_steady(load);
  if (load->phase == LOAD_STEADY && load->now_ns >= load->phase_end_ns) load_finish(load);
}

static void check_progress(const bench_load *load) {
  if (load->now_ns - load->heard_ns < STALL_S * CLOCK_SECOND_NS) return;
  load_fail("nothing came for %d s (phase %d; of %u clients %u are ready, %u in their rooms; %llu bodies)", STALL_S, (int)load->phase,
            load->config.client_count, load->ready_count, load->joined_count, (unsigned long long)load->figures.received);
}

/* ------------------------------------------------------------------------------------------------ a turn */

static void flush_dirty(bench_load *load) {
  while (load->dirty) {
    bench_client *client = load->dirty;
    load->dirty = client->next_dirty;
    client->dirty = false;
    client_flush(client);
  }
}

static void run_timers(bench_load *load) {
  ch_timer *timer;
  while ((timer = ch_timer_heap_due(&load->timers, load_now_ms(load)))) {
    bench_client *client = (struct bench_client *)(void *)((char *)timer - offsetof(struct bench_client, timer));
    load->config.protocol->tick(client);
    client_touch(client);
  }
}

static uint64_t earlier(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

static uint64_t run_workload(bench_load *load) {
  const bench_workload *workload = load->config.workload;
  return load->phase >= LOAD_WARM && workload->due ? workload->due(load, load->now_ns) : CLOCK_NEVER_NS;
}

static uint64_t next_timer_ns(const bench_load *load) {
  uint64_t next_ms = ch_timer_heap_next_ms(&load->timers);
  return next_ms == CH_NEVER_MS ? CLOCK_NEVER_NS : next_ms * 1000000;
}

static void wait_until(bench_load *load, uint64_t deadline_ns) {
  struct epoll_event events[EVENTS_MAX];
  uint64_t now_ns = clock_now_ns();
  uint64_t wait_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
  struct timespec timeout = {(time_t)(wait_ns / CLOCK_SECOND_NS), (long)(wait_ns % CLOCK_SECOND_NS)};
  int count = epoll_pwait2(load->epoll, events, EVENTS_MAX, &timeout, NULL);
  if (count < 0 && errno != EINTR) load_fail("epoll_pwait2: %s", strerror(errno));
  load->now_ns = clock_now_ns();
  for (int i = 0; i < count; i++)
    client_event(events[i].data.ptr, events[i].events);
}

static void turn(bench_load *load) {
  load->now_ns = clock_now_ns();
  next_phase(load);
  uint64_t deadline_ns = earlier(run_workload(load), next_timer_ns(load));
  flush_dirty(load);
  if (load->phase >= LOAD_WARM)
    deadline_ns = earlier(deadline_ns, load->held && load->phase == LOAD_WARM ? load->now_ns + HOLD_NS : load->phase_end_ns);
  if (load->phase == LOAD_DONE) return;
  wait_until(load, earlier(deadline_ns, load->now_ns + CLOCK_SECOND_NS));
  run_timers(load);
  flush_dirty(load);
  check_progress(load);
}

/* ------------------------------------------------------------------------------------------------ figures */

static double seconds(uint64_t ns) {
  return (double)ns / 1e9;
}

static void report(const bench_load *load, FILE *out) {
  const load_figures *figures = &load->figures;
  const process_usage *begin = &figures->server_begin, *end = &figures->server_end;
  fprintf(out, "{\"protocol\": \"%s\", \"workload\": \"%s\", \"clients\": %u, \"window\": %u, \"rate\": %.1f", load->config.protocol->name,
          load->config.workload->name, load->config.client_count, load->config.window, load->config.rate);
  fprintf(out, ", \"seconds\": %.6f, \"sent\": %llu, \"received\": %llu, \"faults\": %llu", seconds(figures->end_ns - figures->begin_ns),
          (unsigned long long)figures->sent, (unsigned long long)figures->received, (unsigned long long)figures->fault_count);
  fprintf(out, ", \"server_cpu_s\": %.6f, \"server_user_s\": %.2f, \"server_system_s\": %.2f", seconds(end->cpu_ns - begin->cpu_ns),
          seconds(end->user_ns - begin->user_ns), seconds(end->system_ns - begin->system_ns));
  fprintf(out, ", \"server_rss_bytes\": %llu, \"server_processes\": %zu, \"client_cpu_s\": %.6f", (unsigned long long)end->rss_bytes,
          end->count, seconds(figures->client_cpu_ns));
  fprintf(out, ", \"machine_busy_s\": %.2f, \"cpu_stalled_s\": %.3f",
          seconds(figures->machine_end.busy_ns - figures->machine_begin.busy_ns),
          seconds(figures->machine_end.stalled_ns - figures->machine_begin.stalled_ns));
  static const struct {
    const char *name;
    double share;
  } percentiles[] = {{"p50_us", 0.5}, {"p99_us", 0.99}, {"p999_us", 0.999}, {"max_us", 1}};
  for (size_t i = 0; i < sizeof percentiles / sizeof *percentiles; i++)
    fprintf(out, ", \"%s\": %.1f", percentiles[i].name, (double)histogram_at(&figures->latency, percentiles[i].share) / 1e3);
  if (load->config.workload->report) load->config.workload->report(load, out);
  fprintf(out, "}\n");
}

void load_run(const load_config *config) {
  bench_load *load = zeroed(1, sizeof *load);
  make(load, config);
  while (load->phase != LOAD_DONE)
    turn(load);
  report(load, stdout);
  unmake(load);
  free(load);
}
