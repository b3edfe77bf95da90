/* SPDX-License-Identifier: Apache-2.0 */
/* load.c - the load generator: options in, one line of JSON with the figures of the steady window out. bench/README.md says how it is built. */
#define _GNU_SOURCE /* getopt_long */
#include <arpa/inet.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "engine/load.h"
#include "protocol/protocol.h"
#include "workload/workload.h"

static const char usage[] = "usage: load --port PORT [OPTION]...\n"
                            "  --port PORT         of the server, on 127.0.0.1\n"
                            "  --protocol NAME     chat, raw, centrifugo, tinode, xmpp: what it speaks (chat)\n"
                            "  --workload NAME     pairs, group, idle, feed, reconnect, pages, slow, garbage: who sends when (pairs)\n"
                            "  --clients N         connections (100)\n"
                            "  --first-user N      number of the first one's user (0): processes beside each other need different ones\n"
                            "  --user-prefix C     letter before that number (u)\n"
                            "  --room N            members of a group (256)\n"
                            "  --talkers N         of them send (1)\n"
                            "  --window N          messages in flight, of each pair or talker (1)\n"
                            "  --count N           messages of each client, of feed and reconnect (100)\n"
                            "  --online N          members of each room who connect, the first ones (0: all)\n"
                            "  --rate R            open loop: messages a second in all, whatever came back (0: closed loop)\n"
                            "  --body N            bytes of a message (128)\n"
                            "  --warm S            seconds before it counts (1)\n"
                            "  --seconds S         of the steady window (5)\n"
                            "  --watch PID         a process of the server, with its descendants; may be repeated\n"
                            "  --connecting N      handshakes at a time (64)\n"
                            "  --sources N         come from 127.0.0.1 to 127.0.0.N in turn (0: any)\n"
                            "  --narrow            sockets with little room and small segments, as over a slow network\n"
                            "  --hold              at the end of the warm-up print \"ready\" and wait for a line on standard input\n"
                            "  --key KEY           secret or API key of a peer\n"
                            "  --tls               over TLS; the certificate is not checked\n";

static load_config defaults(void) {
  return (load_config){.protocol = protocol_find("chat"),
                       .workload = workload_find("pairs"),
                       .peer = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
                       .user_prefix = 'u',
                       .client_count = 100,
                       .room_size = 256,
                       .talkers = 1,
                       .window = 1,
                       .count = 100,
                       .body_len = 128,
                       .warm_s = 1,
                       .steady_s = 5,
                       .connecting_max = 64};
}

static uint32_t whole(const char *text) {
  char *end;
  unsigned long value = strtoul(text, &end, 10);
  if (!*text || *end || value > UINT32_MAX) load_fail("not a number: %s", text);
  return (uint32_t)value;
}

static double real(const char *text) {
  char *end;
  double value = strtod(text, &end);
  if (!*text || *end || !(value >= 0)) load_fail("not a number: %s", text);
  return value;
}

static SSL_CTX *tls_context(void) {
  SSL_CTX *context = SSL_CTX_new(TLS_client_method());
  if (!context) load_fail("no TLS");
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  return context;
}

static void watch_process(load_config *config, const char *text) {
  if (config->watch_count == PROCESS_ROOTS_MAX) load_fail("at most %d processes are watched", PROCESS_ROOTS_MAX);
  config->watch[config->watch_count++] = (pid_t)whole(text);
}

static const struct option names[] = {
    {"port", 1, NULL, 'p'},       {"protocol", 1, NULL, 'P'},    {"workload", 1, NULL, 'w'},   {"clients", 1, NULL, 'c'},
    {"first-user", 1, NULL, 'f'}, {"user-prefix", 1, NULL, 'U'}, {"room", 1, NULL, 'r'},       {"talkers", 1, NULL, 't'},
    {"window", 1, NULL, 'W'},     {"rate", 1, NULL, 'R'},        {"body", 1, NULL, 'b'},       {"warm", 1, NULL, 'a'},
    {"seconds", 1, NULL, 's'},    {"watch", 1, NULL, 'x'},       {"connecting", 1, NULL, 'k'}, {"sources", 1, NULL, 'S'},
    {"count", 1, NULL, 'n'},      {"online", 1, NULL, 'o'},      {"narrow", 0, NULL, 'N'},     {"hold", 0, NULL, 'H'},
    {"tls", 0, NULL, 'T'},        {"key", 1, NULL, 'K'},         {"help", 0, NULL, 'h'},       {NULL, 0, NULL, 0},
};

static void take_option(load_config *config, int name, const char *value) {
  switch (name) {
  case 'p': config->peer.sin_port = htons((uint16_t)whole(value)); break;
  case 'P': config->protocol = protocol_find(value); break;
  case 'w': config->workload = workload_find(value); break;
  case 'c': config->client_count = whole(value); break;
  case 'f': config->first_user = whole(value); break;
  case 'r': config->room_size = whole(value); break;
  case 't': config->talkers = whole(value); break;
  case 'W': config->window = whole(value); break;
  case 'n': config->count = whole(value); break;
  case 'o': config->members_online = whole(value); break;
  case 'N': config->narrow = true; break;
  case 'H': config->hold = true; break;
  case 'U': config->user_prefix = value[0]; break;
  case 'R': config->rate = real(value); break;
  case 'b': config->body_len = whole(value); break;
  case 'a': config->warm_s = real(value); break;
  case 's': config->steady_s = real(value); break;
  case 'x': watch_process(config, value); break;
  case 'k': config->connecting_max = whole(value); break;
  case 'S': config->sources = whole(value); break;
  case 'K': config->key = value; break;
  case 'T': config->tls = tls_context(); break;
  case 'h': fputs(usage, stdout); exit(0);
  default: fputs(usage, stderr); exit(2);
  }
}

static void check(const load_config *config) {
  if (!config->peer.sin_port) load_fail("--port is needed");
  if (!config->protocol || !config->workload) load_fail("no such protocol or workload");
  if (config->body_len < STAMP_LEN || config->body_len > CHAT_BODY_MAX) load_fail("--body is %d to %d", STAMP_LEN, CHAT_BODY_MAX);
  if (!config->client_count || !config->window || !config->connecting_max) load_fail("--clients, --window and --connecting are at least 1");
}

int main(int argc, char **argv) {
  load_config config = defaults();
  int name;
  while ((name = getopt_long(argc, argv, "", names, NULL)) != -1)
    take_option(&config, name, optarg);
  check(&config);
  load_run(&config);
  SSL_CTX_free(config.tls);
  return 0;
}
