/* SPDX-License-Identifier: Apache-2.0 */
/*
 * platform.h - what the libraries take from the operating system where the embedder hands in nothing: clocks and randomness, for loops (machines get both as arguments); and
 * what its error numbers mean.
 */
#ifndef CH_PLATFORM_H
#define CH_PLATFORM_H

#include <chat/chat.h>

/* CLOCK_BOOTTIME and CLOCK_REALTIME. Any thread. */
chat_clock ch_platform_clock(void);
/* libsodium's generator (getrandom). CHAT_E_INTERNAL: it could not be set up. Any thread. */
int ch_platform_random(chat_random *random);

/* What a file's errno means: CHAT_E_FULL where room may be made (no space, a quota, a limit of the process), else CHAT_E_IO. Any thread. */
int ch_platform_file_error(int code);

/* What tools such as top -H call the calling thread; 15 bytes of it. */
void ch_platform_name_thread(const char *name);

#endif
