/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "server/loop/server_parts.h"
#include "server/loop/tls.h"

static int refuse(chat_server *server, const char *why) {
  ch_buf_put_text(&server->problem, why);
  return CHAT_E_INVALID;
}

static int plan_addresses(chat_server *server) {
  const ch_server_options *options = &server->options;
  ch_plan *plan = &server->plan;
  if (!ch_address_parse(options->listen, &plan->listen)) return refuse(server, "listen: not a numeric address and port, such as 127.0.0.1:8300 or [::]:8300");
  plan->has_metrics = options->metrics[0] != '\0';
  if (plan->has_metrics && !ch_address_parse(options->metrics, &plan->metrics)) return refuse(server, "metrics: not a numeric address and port, such as 127.0.0.1:8301");
  return 0;
}

static int plan_tls(chat_server *server) {
  const ch_server_options *options = &server->options;
  if (!options->tls_cert[0] != !options->tls_key[0]) return refuse(server, "tls-cert and tls-key go together");
  server->plan.has_tls = options->tls_cert[0] != '\0';
  if (!server->plan.has_tls || ch_tls_check_files(options->tls_cert, options->tls_key) == 0) return 0;
  ch_buf_put_text(&server->problem, "tls-cert and tls-key: not a certificate chain in PEM with its private key");
  return CHAT_E_TLS;
}

/* Development mode lets anybody in as anybody, and plaintext shows tokens to the network. */
static int plan_exposure(chat_server *server) {
  const ch_server_options *options = &server->options;
  if (ch_address_is_loopback(&server->plan.listen)) return 0;
  if (options->dev_mode) return refuse(server, "dev-mode lets anybody in as anybody: it needs a loopback address in listen, such as 127.0.0.1:8300");
  if (server->plan.has_tls || options->plaintext) return 0;
  return refuse(server, "listen is not a loopback address: set tls-cert and tls-key, or plaintext where something in front ends TLS");
}

static int plan_auth(chat_server *server) {
  if (server->seams.hooks.authenticate) return 0;
  const ch_server_options *options = &server->options;
  if (options->dev_mode && options->jwt_key[0]) return refuse(server, "dev-mode and jwt-key exclude each other: with dev-mode no token would be checked");
  if (options->dev_mode || options->jwt_key[0]) return 0;
  return refuse(server, "nothing says who may come in: set jwt-key, or dev-mode for development, or give the hook `authenticate`");
}

/* One client alone may hold out-max: else a reply of that size would cut it off each time. */
static int plan_bounds(chat_server *server) {
  const ch_server_options *options = &server->options;
  if (options->out_total_max / (uint64_t)options->threads >= options->out_max) return 0;
  return refuse(server, "out-total-max must be at least out-max for each of the threads");
}

static int plan_times(chat_server *server) {
  if (server->options.idle_ms <= server->options.heartbeat_ms) return refuse(server, "idle must be above heartbeat: else a quiet client is taken for a dead one");
  return 0;
}

static int plan_roles(chat_server *server) {
  ch_plan *plan = &server->plan;
  struct role {
    const char *name;
    bool *runs;
  } roles[] = {{"gateway", &plan->runs_gateway}, {"sequencer", &plan->runs_sequencer}, {"deliverer", &plan->runs_deliverer}};
  char text[CH_OPTION_TEXT_MAX];
  memcpy(text, server->options.roles, sizeof text);
  char *rest = NULL;
  for (char *name = strtok_r(text, ", ", &rest); name; name = strtok_r(NULL, ", ", &rest)) {
    size_t i = 0;
    while (i < 3 && strcmp(roles[i].name, name) != 0) i++;
    if (i == 3) return refuse(server, "roles: a comma-separated list of gateway, sequencer, deliverer");
    *roles[i].runs = true;
  }
  return plan->runs_gateway || plan->runs_sequencer || plan->runs_deliverer ? 0 : refuse(server, "roles: none is named");
}

static void plan_name(chat_server *server) {
  uint8_t bytes[8];
  if (server->options.name[0]) {
    memcpy(server->plan.name, server->options.name, sizeof server->options.name);
    return;
  }
  server->env.random(server->env.random_arg, bytes, sizeof bytes);
  ch_hex_encode(ch_bytes_of(bytes, sizeof bytes), server->plan.name);
}

int ch_server_plan(chat_server *server) {
  static int (*const steps[])(chat_server *) = {plan_addresses, plan_tls, plan_exposure, plan_auth, plan_times, plan_bounds, plan_roles};
  memset(&server->plan, 0, sizeof server->plan);
  for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
    int error = steps[i](server);
    if (error) return error;
  }
  plan_name(server);
  snprintf(server->plan.told_path, sizeof server->plan.told_path, "%s/told-position", server->options.data);
  snprintf(server->plan.horizon_path, sizeof server->plan.horizon_path, "%s/retention-horizon", server->options.data);
  return 0;
}

bool ch_server_runs_all(const ch_plan *plan) {
  return plan->runs_gateway && plan->runs_sequencer && plan->runs_deliverer;
}

int ch_server_check_roles(chat_server *server) {
  if (ch_server_runs_all(&server->plan) || ch_backends_are_shared(&server->backends)) return 0;
  return refuse(server, "roles: log, store, directory and link of this server live in one process, which must then run all of gateway, sequencer and deliverer");
}
