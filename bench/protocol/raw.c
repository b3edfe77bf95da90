/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "engine/load.h"
#include "protocol/list.h"

static void path(const bench_client *client, char *path, size_t len) {
  snprintf(path, len, "/%u", client->room ? client->room->index : 0);
}

/* What is shorter than a stamp is an acknowledgement (relay_ack). */
static size_t message(bench_client *client, ch_bytes bytes) {
  if (bytes.len >= STAMP_LEN)
    client_received(client, bytes);
  else
    client_accepted(client);
  return bytes.len;
}

const bench_protocol protocol_raw = {.name = "raw",
                                     .framing = FRAMING_WS_BINARY,
                                     .path = path,
                                     .open = client_ready,
                                     .message = message,
                                     .join = client_joined,
                                     .send = client_put};
