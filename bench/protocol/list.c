/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/list.h"

#include <string.h>

static const bench_protocol *const all[] = {&protocol_chat, &protocol_raw, &protocol_centrifugo, &protocol_tinode, &protocol_xmpp};

const bench_protocol *protocol_find(const char *name) {
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (!strcmp(all[i]->name, name)) return all[i];
  return NULL;
}
