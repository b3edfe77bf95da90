/* SPDX-License-Identifier: Apache-2.0 */
#include "client/loop/client_loop.h"

#define FIELD(name) CH_OPTION_FIELD(ch_client_options, name)

static const ch_option rows[] = {
    {"url", CH_OPTION_STRING, CH_OPTION_RELOADABLE, "ws://127.0.0.1:8300/", 0, 0, NULL, "Server, ws:// or wss://.", FIELD(url)},
    {"token", CH_OPTION_STRING, CH_OPTION_RELOADABLE | CH_OPTION_SECRET, "", 0, 0, NULL, "Credentials; without any the client stays offline.", FIELD(token)},
    {"database", CH_OPTION_STRING, 0, "", 0, 0, NULL, "File of the local database; empty: in memory, nothing survives.", FIELD(database)},
    {"device-name", CH_OPTION_STRING, 0, "libchat", 0, 0, NULL, "How this device calls itself in lists of devices.", FIELD(device_name)},
    {"ca-file", CH_OPTION_STRING, 0, "", 0, 0, NULL, "Authorities to trust instead of the system's, PEM.", FIELD(ca_file)},
    {"pin-sha256", CH_OPTION_STRING, 0, "", 0, 0, NULL, "SHA-256 of the server certificate's public key info, 64 hexadecimal digits.", FIELD(pin_sha256)},
    {"address", CH_OPTION_STRING, 0, "", 0, 0, NULL, "Numeric address to connect to, instead of asking a resolver.", FIELD(address)},
    {"caller-driven", CH_OPTION_BOOL, 0, "false", 0, 0, NULL, "No thread of the library: the caller calls chat_client_process.", FIELD(caller_driven)},
    {"prefetch", CH_OPTION_INT, 0, "200", 0, 1000000, NULL, "Messages fetched of a conversation that is new on this device.", FIELD(prefetch)},
    {"backoff-min", CH_OPTION_DURATION, 0, "500ms", 1, 60000, NULL, "First bound of the random time before a reconnect.", FIELD(backoff_min_ms)},
    {"backoff-max", CH_OPTION_DURATION, 0, "60s", 1, 3600000, NULL, "Last bound of the random time before a reconnect.", FIELD(backoff_max_ms)},
    {"resend", CH_OPTION_DURATION, 0, "10s", 100, 600000, NULL, "An accepted message without an end is sent again after this.", FIELD(resend_ms)},
    {"sync-every", CH_OPTION_DURATION, 0, "5m", 1000, 86400000, NULL, "Sync even where nothing seems to be missing.", FIELD(sync_every_ms)},
    {"hold", CH_OPTION_DURATION, 0, "300ms", 0, 60000, NULL, "Live events out of order wait for so long before the range is fetched.", FIELD(hold_ms)},
    {"events-max", CH_OPTION_INT, 0, "4096", 64, 1000000, NULL, "Events that wait to be pulled; more become one RESYNC.", FIELD(events_max)},
    {"hidden-types", CH_OPTION_STRING, CH_OPTION_DEV, "", 0, 0, NULL, "Types of events treated as unknown, as 3,8: to test an older client.", FIELD(hidden_types)},
};

const ch_option_table ch_client_option_table = {rows, sizeof rows / sizeof rows[0]};
