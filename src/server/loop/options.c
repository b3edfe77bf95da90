/* SPDX-License-Identifier: Apache-2.0 */
#include "server/loop/options.h"

#define FIELD(field) CH_OPTION_FIELD(ch_server_options, field)

enum { HOUR_MS = 3600 * 1000, DAY_MS = 24 * HOUR_MS };

static const char *const log_levels[] = {"error", "warn", "info", "debug", NULL};

#define LIMIT_ROWS(class, key, rate, burst_, what)                                                                                         \
  {.name = "limit-" key "-rate", .type = CH_OPTION_INT, .initial = rate, .max = CH_LIMITS_RATE_MAX, FIELD(limits[class].rate_per_min),       \
   .help = what " a minute; 0: no limit."},                                                                                \
      {.name = "limit-" key "-burst", .type = CH_OPTION_INT, .initial = burst_, .min = 1, .max = CH_LIMITS_BURST_MAX, FIELD(limits[class].burst), \
       .help = what " at once, after a quiet time."}

/* Ordered as a reader meets them: where it listens, who may come in, where the data is, how it behaves, what it bears. */
static const ch_option rows[] = {
    {.name = "listen", .type = CH_OPTION_STRING, .initial = "127.0.0.1:8300", .min = 1, FIELD(listen),
     .help = "Address and port for clients (WebSocket, subprotocol chat.v1, path / or /chat); [::]:8300 for IPv6; port 0: any that is free."},
    {.name = "metrics", .type = CH_OPTION_STRING, .initial = "127.0.0.1:8301", FIELD(metrics),
     .help = "Address and port for /metrics and /healthz over plain HTTP; empty: none."},
    {.name = "name", .type = CH_OPTION_STRING, .initial = "", FIELD(name),
     .help = "Name of this server in metrics and in the directory; it must be unique among servers that share a directory; empty: one is drawn."},
    {.name = "threads", .type = CH_OPTION_INT, .initial = "1", .min = 1, .max = 64, FIELD(threads), .help = "Event-loop threads for connections; all share the listen port."},
    {.name = "plaintext", .type = CH_OPTION_BOOL, .initial = "false", FIELD(plaintext),
     .help = "Listen without TLS on an address that is not loopback; for use behind a proxy that ends TLS."},
    {.name = "tls-cert", .type = CH_OPTION_STRING, .initial = "", FIELD(tls_cert), .help = "Certificate chain in PEM; with tls-key, clients connect by wss://. Read again at a reload."},
    {.name = "tls-key", .type = CH_OPTION_STRING, .initial = "", FIELD(tls_key), .help = "Private key of tls-cert in PEM."},
    {.name = "dev-mode", .type = CH_OPTION_BOOL, .flags = CH_OPTION_DEV, .initial = "false", FIELD(dev_mode),
     .help = "Whoever says dev:NAME as token is NAME. Starts only on a loopback address."},
    {.name = "jwt-key", .type = CH_OPTION_STRING, .initial = "", FIELD(jwt_key),
     .help = "Keys that tokens are checked with, separated by commas: hs256:KID:FILE, rs256:KID:FILE, es256:KID:FILE or dir:PATH. Read again at a reload."},
    {.name = "jwt-issuer", .type = CH_OPTION_STRING, .initial = "", FIELD(jwt_issuer), .help = "What a token's iss must be; empty: anything."},
    {.name = "jwt-audience", .type = CH_OPTION_STRING, .initial = "", FIELD(jwt_audience),
     .help = "What a token's aud must name; empty: a token that names an audience is refused."},
    {.name = "jwt-leeway", .type = CH_OPTION_DURATION, .initial = "30s", .max = 300 * 1000, FIELD(jwt_leeway_ms), .help = "How far clocks may differ at exp and nbf."},
    {.name = "data", .type = CH_OPTION_STRING, .initial = "chat-data", .min = 1, FIELD(data), .help = "Directory of the embedded log and store; made where it is missing."},
    {.name = "log", .type = CH_OPTION_STRING, .initial = "file", .min = 1, FIELD(log), .help = "Log of messages: file (in data) or mem (lost when the process ends)."},
    {.name = "store", .type = CH_OPTION_STRING, .initial = "sqlite", .min = 1, FIELD(store), .help = "Store: sqlite (in data) or mem (lost when the process ends)."},
    {.name = "directory", .type = CH_OPTION_STRING, .flags = CH_OPTION_SECRET, .initial = "mem", .min = 1, FIELD(directory),
     .help = "Directory of routes and presence: mem (in this process), redis://[[user]:password@]host[:port][,host[:port]…][/database], or redis-cluster://… (docs/backends.md)."},
    {.name = "roles", .type = CH_OPTION_STRING, .initial = "gateway,sequencer,deliverer", .min = 1, FIELD(roles),
     .help = "Roles of this process, separated by commas; all three, unless log, store and directory can be shared by processes."},
    {.name = "log-commit", .type = CH_OPTION_DURATION, .initial = "2ms", .max = 5, FIELD(log_commit_ms),
     .help = "Commits of the embedded log that are not full begin at least so far apart; 0: each as soon as the one before it is done."},
    {.name = "log-epoch", .type = CH_OPTION_INT, .initial = "0", .max = 16383, FIELD(log_epoch),
     .help = "Epoch of the embedded log; raised by an operator where log and store contradict each other (docs/operating.md), and never lowered."},
    {.name = "retention", .type = CH_OPTION_DURATION, .initial = "2557d", .max = (int64_t)DAY_MS * 36525, FIELD(retention_ms),
     .help = "Age at which messages are erased (2557d: 7 years); 0: never."},
    {.name = "search", .type = CH_OPTION_BOOL, .initial = "true", FIELD(search),
     .help = "Keep a full-text index of messages. false: a search is UNSUPPORTED, and an index that is there is removed."},
    {.name = "heartbeat", .type = CH_OPTION_DURATION, .initial = "15s", .min = 1000, .max = 300 * 1000, FIELD(heartbeat_ms), .help = "How often a quiet client says that it is there."},
    {.name = "idle", .type = CH_OPTION_DURATION, .initial = "45s", .min = 2000, .max = 900 * 1000, FIELD(idle_ms), .help = "Silence after which a connection is ended; above heartbeat."},
    {.name = "hello", .type = CH_OPTION_DURATION, .initial = "10s", .min = 100, .max = 60 * 1000, FIELD(hello_ms), .help = "Time for a new connection to say who it is."},
    {.name = "hold", .type = CH_OPTION_DURATION, .initial = "300ms", .max = 5000, FIELD(hold_ms), .help = "How long a message waits for an earlier one that is missing."},
    {.name = "receipt-interval", .type = CH_OPTION_DURATION, .initial = "200ms", .max = 10 * 1000, FIELD(receipt_ms), .help = "How long receipts are collected before they are stored and passed on."},
    {.name = "hook-deadline", .type = CH_OPTION_DURATION, .initial = "5s", .min = 10, .max = 60 * 1000, FIELD(hook_ms), .help = "A hook that has not answered by then has denied."},
    {.name = "drain", .type = CH_OPTION_DURATION, .initial = "10s", .max = 40 * 1000, FIELD(drain_ms), .help = "Time over which clients are spread when a stopping server sends them away."},
    {.name = "devices-max", .type = CH_OPTION_INT, .initial = "16", .min = 1, .max = 1000, FIELD(devices_max), .help = "Devices of a user that are not revoked."},
    {.name = "sessions-max", .type = CH_OPTION_INT, .initial = "10000", .min = 1, .max = 10000000, FIELD(sessions_max), .help = "Connections at each thread."},
    {.name = "in-flight-max", .type = CH_OPTION_INT, .initial = "64", .min = 1, .max = 1024, FIELD(in_flight_max), .help = "Messages of one session and conversation that wait for their answer."},
    {.name = "out-max", .type = CH_OPTION_SIZE, .initial = "4m", .min = 2 * CHAT_FRAME_MAX, .max = 64 << 20, FIELD(out_max),
     .help = "Bytes that may wait for one client; one that reads more slowly is cut off and resumes later."},
    {.name = "out-total-max", .type = CH_OPTION_SIZE, .initial = "256m", .min = 2 * CHAT_FRAME_MAX, .max = INT64_C(1) << 40, FIELD(out_total_max),
     .help = "Memory for what waits for all clients, divided among the threads. From half of it on whoever holds much is told heads without bodies; above it whoever holds "
             "most is cut off and resumes later."},
    LIMIT_ROWS(CH_LIMITS_ADDRESS, "address", "600", "120", "New connections from one address (IPv6: one /64)"),
    LIMIT_ROWS(CH_LIMITS_USER, "user", "6000", "600", "Requests of one user"),
    LIMIT_ROWS(CH_LIMITS_CONVERSATION, "conversation", "60000", "2000", "Messages into one conversation"),
    {.name = "limit-keys-max", .type = CH_OPTION_INT, .initial = "65536", .min = 1, .max = CH_LIMITS_BUCKETS_MAX, FIELD(limit_keys_max),
     .help = "Addresses, users and conversations that are remembered for these limits, of each kind."},
    {.name = "log-level", .type = CH_OPTION_ENUM, .initial = "info", .choices = log_levels, FIELD(log_level), .help = "Least important log lines that are wanted."},
};

const ch_option_table ch_server_option_table = {rows, sizeof rows / sizeof rows[0]};
