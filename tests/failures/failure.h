/* SPDX-License-Identifier: Apache-2.0 */
/*
 * failure.h - which call of this process is to fail, and which did. The files calls_*.c stand between everybody (also SQLite, libwebsockets, libuv) and the C library, and ask
 * here before each call.
 *
 * A plan names what fails (its mode), whose calls count (its side), the first call that fails, and how many from there on. Calls are counted while the plan is in force: from
 * failure_begin to failure_heal.
 *
 * Whose call it is: threads that a library started are the server's; the main thread says it (FAILURE_BY), and what it does in between, the test's own business, never fails.
 */
#ifndef CH_TEST_FAILURE_H
#define CH_TEST_FAILURE_H

#include <chat/chat.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum failure_mode {
  FAILURE_MEMORY = 0,      /* malloc and its sisters, whoever calls */
  FAILURE_SEAM = 1,        /* the allocator that was handed in */
  FAILURE_IO = 2,          /* files: EIO; sockets: reset, refused, aborted; locks: ENOLCK */
  FAILURE_FULL = 3,        /* whatever needs space: ENOSPC */
  FAILURE_CUT = 4,         /* reads and writes do half; accept: EINTR */
  FAILURE_DESCRIPTORS = 5, /* EMFILE; a thread: EAGAIN */
  FAILURE_MODE_COUNT = 6
} failure_mode;

typedef enum failure_side { SIDE_NONE = 0, SIDE_CLIENT = 1, SIDE_SERVER = 2, SIDE_BOTH = 3 } failure_side;

typedef enum failure_call {
  CALL_ALLOC,
  CALL_SEAM,
  CALL_READ, /* of files, from here to CALL_MAP */
  CALL_WRITE,
  CALL_SYNC,
  CALL_OPEN,
  CALL_CREATE,
  CALL_RENAME, /* mkdir too: a new name */
  CALL_UNLINK,
  CALL_SIZE,
  CALL_LOCK,
  CALL_MAP,
  CALL_CONNECT, /* of sockets, from here to CALL_RECEIVE */
  CALL_ACCEPT,
  CALL_SEND,
  CALL_RECEIVE,
  CALL_DESCRIPTOR, /* what makes one without being open() or accept() */
  CALL_THREAD,
  CALL_COUNT
} failure_call;

enum { FAILURE_FOREVER = 1000000000, FAILURE_FRAMES = 24, FAILURE_PATHS_MAX = 100000 };

typedef struct failure_plan {
  failure_mode mode;
  failure_side side;
  uint32_t first; /* 1: the first call; 0: none, calls are only counted, those of every mode */
  uint32_t run;   /* how many, FAILURE_FOREVER: until healed */
} failure_plan;

/* In memory that parent and child share. */
typedef struct failure_record {
  uint32_t calls[FAILURE_MODE_COUNT]; /* while the plan was in force; of its mode, or of all */
  uint32_t failed;
  const char *name; /* of the first that failed */
  void *frames[FAILURE_FRAMES];
  int frame_count;
  uint64_t *paths[FAILURE_MODE_COUNT]; /* where calls are only counted: the way to each, FAILURE_PATHS_MAX of them */
} failure_record;

/* Once, before any fork. */
void failure_prepare(void);
void failure_begin(const failure_plan *plan, failure_record *record);
/* From here on nothing fails, or counts. */
void failure_heal(void);
bool failure_is_over(void); /* healed, or the run has ended */

/* 0: let it through; -1: do half; else the errno. */
int failure_next(failure_call call, const char *name, const void *caller);

void failure_enter(failure_side side);
int failure_leave(int result);
const void *failure_leave_with(const void *result);
#define FAILURE_BY(side, call)     (failure_enter(side), failure_leave(call))
#define FAILURE_BY_FOR(side, call) (failure_enter(side), failure_leave_with(call))

/* The seam; counts what was not given back. */
extern const chat_allocator failure_allocator;
long failure_allocator_live(void);

const char *failure_mode_name(failure_mode mode);

#endif
