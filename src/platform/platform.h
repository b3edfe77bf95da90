/* SPDX-License-Identifier: Apache-2.0 */
/*
 * platform.h - what the libraries take from the operating system where the embedder hands in nothing: clocks and randomness. For loops; machines get both as arguments.
 */
#ifndef CH_PLATFORM_H
#define CH_PLATFORM_H

#include <chat/chat.h>

/* CLOCK_BOOTTIME and CLOCK_REALTIME. Any thread. */
chat_clock ch_platform_clock(void);
/* libsodium's generator (getrandom). CHAT_E_INTERNAL: it could not be set up. Any thread. */
int ch_platform_random(chat_random *random);

#endif
