/* SPDX-License-Identifier: Apache-2.0 */
/* calls.h - for the files that stand in front of the C library: the program's own definition comes first for every shared library, and calls the next one. */
#ifndef CH_TEST_CALLS_H
#define CH_TEST_CALLS_H

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>

#include "failure.h"

/* `next`: the function of that name behind this one. dlsym may not be asked twice at once for nothing: whoever comes second finds the same. */
#define NEXT(name)                                                                                                                         \
  static __typeof__(&name) next;                                                                                                           \
  if (!next) *(void **)&next = dlsym(RTLD_NEXT, #name)

#define ASK(call, name) failure_next(call, name, __builtin_return_address(0))

/* In front of a call that fails with -1. */
#define FAIL_IF(call, name)                                                                                                                \
  do {                                                                                                                                     \
    int error_ = ASK(call, name);                                                                                                          \
    if (error_) {                                                                                                                          \
      errno = error_ > 0 ? error_ : EINTR;                                                                                                 \
      return -1;                                                                                                                           \
    }                                                                                                                                      \
  } while (0)

#endif
