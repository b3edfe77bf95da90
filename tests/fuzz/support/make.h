/* SPDX-License-Identifier: Apache-2.0 */
/*
 * make.h - messages out of the bytes of an input. Names, ids and numbers come from a few that meet each other again (and meet what a world keeps), or from the edges of
 * what is allowed, or are any. A made message encodes; a peer may refuse it all the same.
 *
 * What is made lives in the arena, and as long as the input.
 */
#ifndef CH_TEST_FUZZ_MAKE_H
#define CH_TEST_FUZZ_MAKE_H

#include "core/wire.h"
#include "fuzz/fuzz.h"

/* Mostly small; else at the edges of 8, 16, 31, 32, 53, 63 and 64 bits, or any. */
uint64_t fuzz_number(fuzz_input *input);
/* "ann", "bob", "cat"; a long one; none; or any bytes. */
chat_bytes fuzz_user(fuzz_input *input);
/* Conversations: that of ann and bob, groups 1 and 2, and any 16 bytes. */
void fuzz_conversation(fuzz_input *input, uint8_t id[16]);
/* Devices and client ids: one of eight, or any. */
void fuzz_id(fuzz_input *input, uint8_t id[16]);

/* The content of an event, encoded; or any bytes. */
chat_bytes fuzz_payload(fuzz_input *input, ch_arena *arena, uint32_t type);
void fuzz_row(fuzz_input *input, ch_arena *arena, chat_row *row);
chat_row *fuzz_rows(fuzz_input *input, ch_arena *arena, size_t *count);
void fuzz_receipts(fuzz_input *input, ch_arena *arena, ch_receipts *receipts);
void fuzz_verdict(fuzz_input *input, ch_verdict *verdict);

/* A message with that op, whatever it is for; its tag is the caller's. */
void fuzz_client_message(fuzz_input *input, ch_arena *arena, ch_client_op op, ch_client_message *message);
void fuzz_server_message(fuzz_input *input, ch_arena *arena, ch_server_op op, ch_server_message *message);

#endif
