/* SPDX-License-Identifier: Apache-2.0 */
/*
 * assert.h - broken invariants end the process, in every build.
 *
 * For what cannot be false unless libchat itself is wrong: never for what a peer, a disk or an embedder can cause (those
 * get a CHAT_E_*). It prints nothing, because the core has nowhere to print to; the core dump or debugger names the line.
 * Include it as "core/assert.h" (as "assert.h" inside src/core); <assert.h> stays the one of libc.
 */
#ifndef CH_CORE_ASSERT_H
#define CH_CORE_ASSERT_H

#include <stdlib.h>

/* Evaluates `expr` exactly once, also in release builds; still, do not hide side effects in it. */
#define ch_assert(expr) ((expr) ? (void)0 : abort())

#endif
