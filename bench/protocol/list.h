/* SPDX-License-Identifier: Apache-2.0 */
/* list.h - every protocol. */
#ifndef BENCH_PROTOCOL_LIST_H
#define BENCH_PROTOCOL_LIST_H

#include "protocol/protocol.h"

/* docs/protocol.md, as a client does it that has its database in memory: HELLO, SYNC, SEND with its numbers, RANGE where something is missing, DELIVERED, heartbeats. */
extern const bench_protocol protocol_chat;
/* bench/relay.c: a frame is a body; the path is the room. */
extern const bench_protocol protocol_raw;
/* Peers (bench/peers). */
extern const bench_protocol protocol_centrifugo;
extern const bench_protocol protocol_tinode;
extern const bench_protocol protocol_xmpp;

#endif
