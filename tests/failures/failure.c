/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* dl_iterate_phdr */
#include "failure.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <link.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { HALF = -1, OWN_FRAMES = 3, PATH_FRAMES = 12 };

/* 0: such a call does not fail in this mode, and does not count. */
static const int errors[FAILURE_MODE_COUNT][CALL_COUNT] = {
    [FAILURE_MEMORY] = {[CALL_ALLOC] = ENOMEM},
    [FAILURE_SEAM] = {[CALL_SEAM] = ENOMEM},
    [FAILURE_IO] = {[CALL_READ] = EIO,
                    [CALL_WRITE] = EIO,
                    [CALL_SYNC] = EIO,
                    [CALL_OPEN] = EIO,
                    [CALL_CREATE] = EIO,
                    [CALL_RENAME] = EIO,
                    [CALL_UNLINK] = EIO,
                    [CALL_SIZE] = EIO,
                    [CALL_LOCK] = ENOLCK,
                    [CALL_MAP] = ENOMEM,
                    [CALL_CONNECT] = ECONNREFUSED,
                    [CALL_ACCEPT] = ECONNABORTED,
                    [CALL_SEND] = ECONNRESET,
                    [CALL_RECEIVE] = ECONNRESET},
    [FAILURE_FULL] = {[CALL_WRITE] = ENOSPC, [CALL_SYNC] = ENOSPC, [CALL_CREATE] = ENOSPC, [CALL_RENAME] = ENOSPC, [CALL_SIZE] = ENOSPC},
    [FAILURE_CUT] = {[CALL_READ] = HALF, [CALL_WRITE] = HALF, [CALL_SEND] = HALF, [CALL_RECEIVE] = HALF, [CALL_ACCEPT] = EINTR},
    [FAILURE_DESCRIPTORS] =
        {[CALL_OPEN] = EMFILE, [CALL_CREATE] = EMFILE, [CALL_ACCEPT] = EMFILE, [CALL_DESCRIPTOR] = EMFILE, [CALL_THREAD] = EAGAIN},
};

static const char *const mode_names[FAILURE_MODE_COUNT] = {"memory", "seam", "io", "full", "cut", "descriptors"};

static failure_plan plan;
static failure_record *record;
static atomic_bool in_force;
static atomic_uint counted[FAILURE_MODE_COUNT];
static uintptr_t loader_low, loader_high;
static _Thread_local failure_side my_side = SIDE_SERVER;
static _Thread_local bool is_inside; /* what asking costs does not count itself */

const char *failure_mode_name(failure_mode mode) {
  return mode_names[mode];
}

/* ------------------------------------------------------------------------------------------------ the way to a call */

/* The dynamic linker ends the process where it has no memory for a thread's variables: not ours to mend, so its calls never fail. */
static int find_loader(struct dl_phdr_info *info, size_t size, void *arg) {
  (void)size, (void)arg;
  if (!info->dlpi_name || !strstr(info->dlpi_name, "/ld-linux")) return 0;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    if (info->dlpi_phdr[i].p_type != PT_LOAD) continue;
    uintptr_t low = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
    if (!loader_low) loader_low = low;
    loader_high = low + info->dlpi_phdr[i].p_memsz;
  }
  return 0;
}

/* What a third party does with a failure, and we cannot mend; it is named by the functions that it is in. */
static const struct {
  const char *function;
  bool memory_alone;
} excused[] = {
    {"pthread_getattr_np", false},         /* asked by AddressSanitizer at the begin of each thread; it ends the process */
    {"uv_loop_init", false},               /* 1.44 loses its epoll descriptor */
    {"lws_create_context", true},          /* 4.1 closes descriptor 0, which it had not opened */
    {"lws_create_vhost", true},            /* 4.1 loses the vhost */
    {"lws_client_connect_via_info", true}, /* 4.1 loses the connection */
};

static bool is_excused_function(const char *name) {
  for (size_t i = 0; i < sizeof excused / sizeof excused[0]; i++)
    if (strcmp(name, excused[i].function) == 0 && (!excused[i].memory_alone || plan.mode == FAILURE_MEMORY)) return true;
  return false;
}

static bool is_excused(void *const *frames, int count) {
  Dl_info info;
  for (int i = 0; i < count; i++)
    if (dladdr(frames[i], &info) && info.dli_sname && is_excused_function(info.dli_sname)) return true;
  return false;
}

void failure_prepare(void) {
  void *frames[4];
  my_side = SIDE_NONE;
  backtrace(frames, 4); /* loads what it needs */
  dl_iterate_phdr(find_loader, NULL);
}

/* By the functions nearest to the call; the first few frames are of this file. */
static uint64_t path_number(void *const *frames, int count) {
  uint64_t number = 14695981039346656037u;
  for (int i = OWN_FRAMES; i < count && i < OWN_FRAMES + PATH_FRAMES; i++)
    number = (number ^ (uint64_t)(uintptr_t)frames[i]) * 1099511628211u;
  return number;
}

/* ------------------------------------------------------------------------------------------------ counting */

void failure_begin(const failure_plan *wanted, failure_record *into) {
  plan = *wanted;
  record = into;
  for (int mode = 0; mode < FAILURE_MODE_COUNT; mode++)
    atomic_store(&counted[mode], 0);
  atomic_store(&in_force, true);
}

void failure_heal(void) {
  if (!atomic_exchange(&in_force, false)) return;
  for (int mode = 0; mode < FAILURE_MODE_COUNT; mode++)
    record->calls[mode] = atomic_load(&counted[mode]);
}

bool failure_is_over(void) {
  return !atomic_load(&in_force) || plan.first == 0 || atomic_load(&counted[plan.mode]) >= (uint64_t)plan.first + plan.run - 1;
}

static void note_path(failure_mode mode, uint32_t number) {
  void *frames[FAILURE_FRAMES];
  int count = backtrace(frames, FAILURE_FRAMES);
  record->paths[mode][number - 1] = path_number(frames, count);
}

static uint32_t next_number(failure_mode mode) {
  return atomic_fetch_add(&counted[mode], 1) + 1;
}

static void count_call(failure_call call) {
  for (int mode = 0; mode < FAILURE_MODE_COUNT; mode++) {
    if (!errors[mode][call]) continue;
    uint32_t number = next_number((failure_mode)mode);
    if (record->paths[mode] && number <= FAILURE_PATHS_MAX) note_path((failure_mode)mode, number);
  }
}

static int fail_call(int error, const char *name) {
  void *frames[FAILURE_FRAMES];
  uint32_t number = next_number(plan.mode);
  if (number < plan.first || number - plan.first >= plan.run) return 0;
  int count = backtrace(frames, FAILURE_FRAMES);
  if (is_excused(frames, count)) return 0;
  if (__atomic_fetch_add(&record->failed, 1, __ATOMIC_RELAXED)) return error;
  record->name = name;
  record->frame_count = count;
  memcpy(record->frames, frames, sizeof frames);
  return error;
}

static bool is_counted(failure_call call, const void *caller) {
  uintptr_t at = (uintptr_t)caller;
  if (!atomic_load_explicit(&in_force, memory_order_relaxed) || !(my_side & plan.side) || is_inside) return false;
  return (plan.first == 0 || errors[plan.mode][call]) && (at < loader_low || at >= loader_high);
}

int failure_next(failure_call call, const char *name, const void *caller) {
  int error = 0;
  if (!is_counted(call, caller)) return 0;
  is_inside = true;
  if (plan.first == 0)
    count_call(call);
  else
    error = fail_call(errors[plan.mode][call], name);
  is_inside = false;
  return error;
}

void failure_enter(failure_side side) {
  my_side = side;
}

int failure_leave(int result) {
  my_side = SIDE_NONE;
  return result;
}

const void *failure_leave_with(const void *result) {
  my_side = SIDE_NONE;
  return result;
}

/* ------------------------------------------------------------------------------------------------ the seam */

static atomic_long live;

static void *seam_resize(void *arg, void *old, size_t len) {
  (void)arg;
  if (len == 0) {
    if (old) atomic_fetch_sub(&live, 1);
    free(old);
    return NULL;
  }
  if (failure_next(CALL_SEAM, old ? "resize" : "allocate", __builtin_return_address(0))) return NULL;
  void *memory = realloc(old, len);
  if (memory && !old) atomic_fetch_add(&live, 1);
  return memory;
}

const chat_allocator failure_allocator = {seam_resize, NULL};

long failure_allocator_live(void) {
  return atomic_load(&live);
}
