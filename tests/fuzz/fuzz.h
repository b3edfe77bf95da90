/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz.h - what a target is. Each file of this folder is one: with clang it becomes a libFuzzer program (make fuzz), without it a test that replays the seeds in
 * corpus/NAME and a fixed number of mutations of each (replay/replay.c). A target asserts what must hold for any bytes; it prints nothing.
 */
#ifndef CH_TEST_FUZZ_H
#define CH_TEST_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "core/assert.h"
#include "core/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The input from the front, in pieces; behind its end there are zeros and empty pieces. */
typedef struct fuzz_input {
  const uint8_t *data;
  size_t len;
} fuzz_input;

static inline uint8_t fuzz_byte(fuzz_input *input) {
  if (input->len == 0) return 0;
  input->len--;
  return *input->data++;
}

/* A length of two bytes, and so many bytes (or what is left of them). */
static inline chat_bytes fuzz_piece(fuzz_input *input) {
  size_t len = fuzz_byte(input);
  len |= (size_t)fuzz_byte(input) << 8;
  if (len > input->len) len = input->len;
  chat_bytes piece = ch_bytes_of(input->data, len);
  input->data += len;
  input->len -= len;
  return piece;
}

#endif
