/* SPDX-License-Identifier: Apache-2.0 */
/* stranger.h - somebody who connects to a port of this process, says bytes and keeps what comes back; and the loop that serves the port, run by hand on a clock of its own. */
#ifndef CH_TEST_FUZZ_STRANGER_H
#define CH_TEST_FUZZ_STRANGER_H

#include "fuzz/fuzz.h"
#include "server/loop/turn_loop.h"

enum { FUZZ_HEARD_MAX = 256 * 1024 };

typedef struct fuzz_loop {
  ch_turn_loop turns;
  uint64_t now_ms;
  int port, listen_fd;
} fuzz_loop;

/* `turn` as for ch_turn_loop_init. listen_fd is for whoever serves it. */
void fuzz_loop_init(fuzz_loop *loop, uint64_t (*turn)(void *arg, ch_now now), void *arg);
/* A few turns, without waiting. */
void fuzz_loop_run(fuzz_loop *loop);

typedef struct fuzz_stranger {
  int fd;
  bool is_cut; /* by the other side */
  size_t heard_len;
  uint8_t heard[FUZZ_HEARD_MAX];
} fuzz_stranger;

void fuzz_stranger_come(fuzz_stranger *stranger, const fuzz_loop *loop);
void fuzz_stranger_say(fuzz_stranger *stranger, chat_bytes bytes);
void fuzz_stranger_hear(fuzz_stranger *stranger);
void fuzz_stranger_go(fuzz_stranger *stranger);

#endif
