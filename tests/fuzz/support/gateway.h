/* SPDX-License-Identifier: Apache-2.0 */
/* gateway.h - a gateway as targets have it: its configuration, what must hold of all that it says and writes, and its end. */
#ifndef CH_TEST_FUZZ_GATEWAY_H
#define CH_TEST_FUZZ_GATEWAY_H

#include "fuzz/fuzz.h"
#include "server/role/gateway.h"

enum { FUZZ_GATEWAY_OUT_MAX = 64 * 1024 };

/* Bounds are small, so that they are met. */
ch_gateway_config fuzz_gateway_config(void);
/* Goes on until somebody answers it, which does not hold up the end. */
bool fuzz_gateway_is_poll(const chat_op *op);
/* What goes into the log: one that does not decode would stop its partition. */
void fuzz_gateway_writes(const chat_log_append *op);
/* What goes to a client: whole messages. How many of them are answers. */
size_t fuzz_gateway_says(chat_bytes frame);
/* Whatever is outside, `late` (NULL: nothing) too, comes back as when ports are being freed. */
void fuzz_gateway_cancel(ch_role role, ch_op_queue *late, ch_now now);

#endif
