/* SPDX-License-Identifier: Apache-2.0 */
/* What goes into the embedder's log: the facts that the brain tells. No user, no text, no token is among them. */
#include "client/brain/fact.h"
#include "client/loop/client_loop.h"
#include "core/logline.h"

typedef struct fact_row {
  int level;
  const char *msg;
} fact_row;

static const fact_row fact_rows[CH_FACT_KIND_COUNT] = {
    [CH_FACT_LOST] = {CHAT_LOG_WARN, "connection ended"},
    [CH_FACT_TOKEN] = {CHAT_LOG_WARN, "a new token is needed"},
    [CH_FACT_DATABASE] = {CHAT_LOG_ERROR, "database cannot be used"},
};

static const char *const state_msgs[] = {
    [CHAT_STATE_OFFLINE] = "offline", [CHAT_STATE_CONNECTING] = "connecting", [CHAT_STATE_SYNCING] = "syncing",
    [CHAT_STATE_LIVE] = "live",       [CHAT_STATE_SUSPENDED] = "suspended",   [CHAT_STATE_SHUT_OUT] = "shut out",
};

static fact_row row_of(const ch_fact *fact) {
  if (fact->kind == CH_FACT_DATABASE && fact->status == CHAT_E_CORRUPT) return (fact_row){CHAT_LOG_ERROR, "database was damaged, set aside"};
  if (fact->kind != CH_FACT_STATE) return fact_rows[fact->kind];
  return (fact_row){fact->number == CHAT_STATE_SHUT_OUT ? CHAT_LOG_ERROR : CHAT_LOG_INFO, state_msgs[fact->number]};
}

static void write_line(chat_client *client, fact_row row, int status, const uint64_t *retry_ms) {
  ch_log log = {&client->log, CHAT_LOG_DEBUG};
  ch_logline line;
  ch_logline_begin(&line, &log, row.level, ch_client_now(client).wall_ms, row.msg);
  if (status) ch_logline_error(&line, CH_LOG_ERROR, status);
  if (retry_ms) ch_logline_number(&line, CH_LOG_RETRY_MS, (int64_t)*retry_ms);
  ch_logline_end(&line);
}

void ch_client_log_facts(chat_client *client) {
  ch_fact fact;
  while (ch_brain_next_fact(client->brain, &fact))
    if (client->log.write) write_line(client, row_of(&fact), fact.status, fact.kind == CH_FACT_LOST ? &fact.number : NULL);
}

void ch_client_log_start(chat_client *client, int error) {
  if (!client->log.write) return;
  write_line(client, error ? (fact_row){CHAT_LOG_ERROR, "client could not be started"} : (fact_row){CHAT_LOG_INFO, "client started"}, error, NULL);
}
