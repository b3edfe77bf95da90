/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_check.h - private to the sequencer and the deliverer: is this the log whose records are stored?
 *
 * A log that ends before a position, or has another identity than the one of whose records that position is, contradicts it: to go on there would give numbers
 * twice, or judge what nobody here ever accepted. An operator settles that by raising the log's epoch. One goes on where the raised epoch begins, then; what another
 * log has from before is not looked at.
 */
#ifndef CH_SERVER_ROLE_LOG_CHECK_H
#define CH_SERVER_ROLE_LOG_CHECK_H

#include <chat/backend.h>

/* `known`: the log's identity as it was (zeros: not known, so not compared). `after`: what was read, or stored, of it; moved where one is to go on elsewhere.
 * CHAT_E_GONE: it is contradicted. */
int ch_log_check(const chat_log_info *info, const uint8_t known[16], uint64_t *after);

#endif
