/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lws_log.h - libwebsockets has one sink of log lines for the whole process, by default stderr. This is the library's only global (docs/decisions): the warnings and errors
 * of libwebsockets go to the log of the server that attached first and is still attached.
 */
#ifndef CH_SERVER_LWS_LOG_H
#define CH_SERVER_LWS_LOG_H

#include "core/list.h"
#include "core/logline.h"

typedef struct ch_lws_log {
  ch_list node;
  const ch_log *log;
  chat_clock clock;
} ch_lws_log;

/* Any thread. `log` is used until detach returned. */
void ch_lws_log_attach(ch_lws_log *place, const ch_log *log, chat_clock clock);
void ch_lws_log_detach(ch_lws_log *place);

#endif
