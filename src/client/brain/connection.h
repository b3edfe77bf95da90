/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connection.h - what is wanted of the connection and what there is of it; calls that wait for their reply.
 *
 *   DOWN     no connection; deadline: retry_ms where one is wanted                          → OPENING
 *   OPENING  the transport was asked to open; deadline: hello_ms                           → HELLO, DOWN
 *   HELLO    HELLO is sent; deadline: the session's                                        → UP, DOWN
 *   UP       WELCOME is committed, requests pass; deadline: heartbeat, silence             → DOWN
 */
#ifndef CH_CLIENT_CONNECTION_H
#define CH_CLIENT_CONNECTION_H

#include "client/brain/conversation.h"
#include "core/session.h"

struct ch_client_event;

typedef enum ch_link { CH_LINK_DOWN = 1, CH_LINK_OPENING = 2, CH_LINK_HELLO = 3, CH_LINK_UP = 4 } ch_link;

typedef struct ch_connection {
  ch_link link;
  bool is_wanted;   /* the embedder wants to be online */
  bool is_shut_out; /* until token or url is set anew */
  bool token_spent; /* expired: a new one is needed */
  int status;       /* why it is as it is */
  uint8_t *token;
  size_t token_len;
  uint64_t token_expires_ms; /* Unix time; 0: never */
  bool token_told;
  ch_session session;
  bool has_session; /* `session` is initialised */
  uint64_t number;  /* of sessions of this process; C4 compares it */
  ch_limits_info limits;
  uint32_t attempts;
  uint64_t retry_ms, opening_ms;
  bool want_open, want_close;
  size_t peeked_len;
  uint32_t state_told;
  int status_told;
  bool is_live; /* LIVE was reached in this session */
  uint64_t last_tag;
  ch_list calls;
} ch_connection;

/* A request on the wire that waits for its reply. */
typedef struct ch_call ch_call;
struct ch_call {
  ch_list place;
  uint64_t wire_tag;
  void (*done)(ch_brain *brain, ch_call *call, const ch_server_message *reply); /* reply NULL: the session ended. Ops that do not fit come as CH_ERROR. */
  ch_server_op wanted;
  struct ch_client_event *reply; /* of the request it serves; NULL: none */
  uint8_t conversation_id[16];
  uint64_t number, number2;
  void *job;
};

void ch_connection_init(ch_brain *brain);
void ch_connection_fini(ch_brain *brain);

bool ch_is_up(const ch_brain *brain);
/* Puts a message on the wire. 0, CHAT_E_OFFLINE, CHAT_E_BUSY (too much waits: later), CHAT_E_NOMEM. */
int ch_put(ch_brain *brain, ch_client_message *message);
/* The same, and `call` (copied) gets the reply. */
int ch_call_put(ch_brain *brain, ch_client_message *message, const ch_call *call);
/* The status that a reply carries: 0, that of CH_ERROR, or ch_no_session for NULL. */
int ch_call_status(const ch_brain *brain, const ch_server_message *reply);
/* Why there is no session: CHAT_E_OFFLINE, or CHAT_E_SUSPENDED. */
int ch_no_session(const ch_brain *brain);
/* Hands a reply to its call. False: none waits for it. */
bool ch_call_take(ch_brain *brain, const ch_server_message *reply);

/* Ends the connection; the next one not before delay_ms. */
void ch_connection_drop(ch_brain *brain, int status, uint64_t delay_ms);
/* The same, with the back-off's delay. */
void ch_connection_lose(ch_brain *brain, int status);
void ch_connection_shut_out(ch_brain *brain, int status);
uint64_t ch_random_below(ch_brain *brain, uint64_t bound); /* 0 where bound is 0 */

void ch_on_welcome(ch_brain *brain, const ch_server_message *message);
void ch_on_error(ch_brain *brain, const ch_server_message *message);
void ch_on_goodbye(ch_brain *brain, const ch_server_message *message);

void ch_connection_settle(ch_brain *brain);
uint64_t ch_connection_deadline_ms(const ch_brain *brain);

#endif
