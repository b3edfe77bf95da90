/* SPDX-License-Identifier: Apache-2.0 */
/* custom_log.h - the log of examples/custom_backend.c, so that the contract is held against it too. */
#ifndef CH_TEST_CUSTOM_LOG_H
#define CH_TEST_CUSTOM_LOG_H

#include <chat/backend.h>

int custom_log_new(chat_backend *log);

#endif
