/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/conversation_id.h"
#include "core/uuid7.h"
#include "core/wire.h"
#include "engine/load.h"
#include "protocol/list.h"

enum {
  ARENA_CHUNK_LEN = 1 << 16,
  USER_LEN = 9,
  GROUP_RECEIPT_MS = 200, /* in a group DELIVERED waits for what comes meanwhile */
  TAG_HELLO = 1,
  TAG_SYNC = 2,
  TAG_RANGE = 3,
  TAG_HEARTBEAT = 4,
  TAG_PAGE = 5,
  PAGE = 50,
};

/* What a client's database would hold, and its session. */
typedef struct chat_client_state {
  char user[USER_LEN + 1], peer[USER_LEN + 1]; /* peer: of a direct conversation */
  uint8_t conversation_id[16];
  uint8_t device_id[16];
  bool has_device;
  uint64_t device_session, position;
  uint64_t client_seq; /* of the last message sent */
  uint64_t ended;      /* the highest own number that is known to be committed */
  uint64_t cursor;     /* everything up to this seq came */
  uint64_t head;       /* the highest seq that was heard of */
  uint64_t delivered;  /* last DELIVERED said */
  bool fetching, owes_receipt;
  uint64_t receipt_at_ms; /* of a group; 0: none waits */
  uint32_t heartbeat_ms;
  ch_buf frame; /* messages of this turn, sent as one frame */
} chat_client_state;

static chat_client_state *state_of(const bench_client *client) {
  return client->protocol_state;
}

/* ------------------------------------------------------------------------------------------------ names */

static void name_user(const bench_client *client, char *name) {
  snprintf(name, USER_LEN + 1, "%c%08u", client->load->config.user_prefix, client->user);
}

static void group_client_id(const bench_room *room, uint8_t id[16]) {
  char text[17];
  snprintf(text, sizeof text, "bench-group-%04u", room->index % 10000);
  memcpy(id, text, 16);
}

static void name_conversation(bench_client *client) {
  chat_client_state *state = state_of(client);
  char other[USER_LEN + 1];
  if (!client->room) return;
  if (client->room->group) {
    uint8_t id[16];
    group_client_id(client->room, id);
    name_user(client->room->members, other);
    ch_conversation_id_group(ch_bytes_text(other), id, state->conversation_id);
    return;
  }
  name_user(client_partner(client), state->peer);
  ch_conversation_id_direct(ch_bytes_text(state->user), ch_bytes_text(state->peer), state->conversation_id);
}

/* ------------------------------------------------------------------------------------------------ what goes out */

static void put(bench_client *client, const ch_client_message *message) {
  if (ch_client_message_encode(message, &state_of(client)->frame)) load_fail("a message does not encode");
  client_touch(client);
}

static void put_hello(bench_client *client) {
  chat_client_state *state = state_of(client);
  char token[USER_LEN + 5];
  snprintf(token, sizeof token, "dev:%s", state->user);
  ch_client_message hello = {.tag = TAG_HELLO, .op = CH_HELLO};
  hello.u.hello =
      (ch_hello){.version = 1, .token = ch_bytes_text(token), .client = ch_bytes_text("bench"), .has_device = state->has_device};
  hello.u.hello.device_session = state->device_session;
  memcpy(hello.u.hello.device_id, state->device_id, 16);
  put(client, &hello);
}

static void put_sync(bench_client *client) {
  put(client, &(ch_client_message){.tag = TAG_SYNC, .op = CH_SYNC, .u.position = state_of(client)->position});
}

static void put_range(bench_client *client) {
  chat_client_state *state = state_of(client);
  ch_client_message range = {.tag = TAG_RANGE, .op = CH_RANGE, .u.range = {.low = state->cursor, .limit = CHAT_PAGE_MAX}};
  memcpy(range.u.range.conversation_id, state->conversation_id, 16);
  state->fetching = true;
  put(client, &range);
}

static void put_receipt(bench_client *client) {
  chat_client_state *state = state_of(client);
  state->owes_receipt = false;
  state->receipt_at_ms = 0;
  if (state->delivered == state->cursor) return;
  state->delivered = state->cursor;
  ch_client_message receipt = {.op = CH_RECEIPT, .u.receipt.delivered = state->cursor};
  memcpy(receipt.u.receipt.conversation_id, state->conversation_id, 16);
  put(client, &receipt);
}

/* C2: prev is the highest lower number that has not ended; the committed ones ended in their order. */
static void put_send(bench_client *client, uint32_t type, const uint8_t client_id[16], ch_bytes payload) {
  chat_client_state *state = state_of(client);
  uint64_t number = ++state->client_seq;
  ch_client_message message = {.op = CH_SEND};
  ch_send *send = &message.u.send;
  *send = (ch_send){.client_seq = number, .prev = number - 1 > state->ended ? number - 1 : 0, .type = type, .payload = payload};
  send->peer = ch_bytes_text(state->peer);
  memcpy(send->conversation_id, state->conversation_id, 16);
  memcpy(send->client_id, client_id, 16);
  put(client, &message);
}

static void put_content(bench_client *client, const ch_content *content, const uint8_t client_id[16]) {
  static ch_buf payload;
  if (!payload.max_len) ch_buf_init(&payload, NULL, 1 << 17);
  ch_buf_clear(&payload);
  if (ch_content_encode(content, &payload)) load_fail("a content does not encode");
  put_send(client, content->type, client_id, ch_buf_bytes(&payload));
}

static void send_body(bench_client *client, ch_bytes body) {
  static ch_uuid7_generator generator;
  uint8_t client_id[16], random[CH_UUID7_RANDOM_LEN] = {0};
  uint32_t user = client->user; /* unique by the user; unpredictable it need not be here */
  memcpy(random + 2, &user, sizeof user);
  ch_uuid7_next(&generator, load_now_ms(client->load), random, client_id);
  put_content(client, &(ch_content){.type = CHAT_TYPE_MESSAGE, .body = body}, client_id);
}

/* ------------------------------------------------------------------------------------------------ rooms */

static void create_group(bench_client *client) {
  bench_room *room = client->room;
  char names[CHAT_GROUP_MEMBERS_MAX][USER_LEN + 1];
  chat_bytes users[CHAT_GROUP_MEMBERS_MAX];
  for (uint32_t i = 1; i < room->member_count; i++) {
    name_user(&room->members[i], names[i]);
    users[i - 1] = ch_bytes_text(names[i]);
  }
  uint8_t client_id[16];
  group_client_id(room, client_id);
  put_content(client,
              &(ch_content){.type = CHAT_TYPE_CREATE,
                            .conversation_kind = CHAT_GROUP,
                            .title = ch_bytes_text("bench"),
                            .users = users,
                            .user_count = room->member_count - 1},
              client_id);
}

/* A group is entered by its first event; one that is there already was seen by the sync. */
static void join(bench_client *client) {
  if (!client->room->group || state_of(client)->cursor)
    client_joined(client);
  else if (client_member(client) == 0)
    create_group(client);
}

/* ------------------------------------------------------------------------------------------------ what comes in */

static void owe_receipt(bench_client *client) {
  chat_client_state *state = state_of(client);
  if (!client->room->group) {
    state->owes_receipt = true;
    client_touch(client);
    return;
  }
  if (state->receipt_at_ms) return;
  state->receipt_at_ms = load_now_ms(client->load) + GROUP_RECEIPT_MS;
  client_tick_at(client, state->receipt_at_ms);
}

static void take_message(bench_client *client, const chat_row *row, ch_arena *arena) {
  ch_content content;
  if (ch_content_decode(row->type, row->payload, arena, &content)) load_fail("an event does not decode");
  owe_receipt(client);
  client_received(client, content.body);
}

static void take_event(bench_client *client, const chat_row *row, ch_arena *arena) {
  chat_client_state *state = state_of(client);
  if (memcmp(row->conversation_id, state->conversation_id, 16)) return;
  if (row->seq > state->head) state->head = row->seq;
  if (row->seq != state->cursor + 1) return; /* had already, or missing before it: then it comes with the range */
  state->cursor = row->seq;
  if (!memcmp(row->device_id, state->device_id, 16)) {
    state->ended = row->client_seq;
    if (row->type == CHAT_TYPE_MESSAGE) client_accepted(client);
  } else if (row->type == CHAT_TYPE_MESSAGE) {
    take_message(client, row, arena);
  }
  if (client->state == CLIENT_READY) client_joined(client);
}

static void fetch_missing(bench_client *client) {
  chat_client_state *state = state_of(client);
  if (state->head > state->cursor && !state->fetching) put_range(client);
}

static void take_head(bench_client *client, const uint8_t conversation_id[16], uint64_t head) {
  chat_client_state *state = state_of(client);
  if (!memcmp(conversation_id, state->conversation_id, 16) && head > state->head) state->head = head;
}

static void take_live(bench_client *client, const ch_live *live, ch_arena *arena) {
  for (size_t i = 0; i < live->event_count; i++)
    take_event(client, &live->events[i], arena);
  for (size_t i = 0; i < live->head_count; i++)
    take_head(client, live->heads[i].conversation_id, live->heads[i].head);
  fetch_missing(client);
}

static void take_range(bench_client *client, const ch_range_reply *reply, ch_arena *arena) {
  chat_client_state *state = state_of(client);
  state->fetching = false;
  if (reply->floor > state->cursor) state->cursor = reply->floor;
  for (size_t i = 0; i < reply->event_count; i++)
    take_event(client, &reply->events[i], arena);
  fetch_missing(client);
}

/* The first one is for the head alone, when the sync has told none. */
static void put_page(bench_client *client) {
  chat_client_state *state = state_of(client);
  ch_client_message range = {.tag = TAG_PAGE, .op = CH_RANGE, .u.range.limit = PAGE};
  if (state->head > PAGE) range.u.range.low = (uint64_t)rand() % (state->head - PAGE);
  memcpy(range.u.range.conversation_id, state->conversation_id, 16);
  put(client, &range);
}

static void take_page(bench_client *client, const ch_range_reply *reply) {
  bool first = state_of(client)->head == 0;
  state_of(client)->head = reply->head;
  if (first && reply->head)
    put_page(client);
  else
    client_paged(client, reply->event_count);
}

/* A new device begins at the heads that it finds; one that comes back fetches what it missed. */
static void take_sync(bench_client *client, const ch_sync_reply *reply) {
  chat_client_state *state = state_of(client);
  bool first = !state->has_device;
  for (size_t i = 0; i < reply->head_count; i++)
    take_head(client, reply->heads[i].conversation_id, reply->heads[i].head);
  state->position = reply->position;
  if (reply->more) {
    put_sync(client);
    return;
  }
  if (first) state->cursor = state->delivered = state->head;
  state->has_device = true;
  fetch_missing(client);
  if (client->state == CLIENT_OPEN) client_ready(client);
}

static void take_welcome(bench_client *client, const ch_welcome *welcome) {
  chat_client_state *state = state_of(client);
  memcpy(state->device_id, welcome->device_id, 16);
  state->device_session = welcome->device_session;
  state->heartbeat_ms = welcome->limits.heartbeat_ms;
  put(client, &(ch_client_message){.op = CH_CONFIRM_SESSION, .u.device_session = welcome->device_session});
  put_sync(client);
  client_tick_at(client, load_now_ms(client->load) + state->heartbeat_ms);
}

static void take_answer(bench_client *client, const ch_answer *answer) {
  if (answer->code != CH_ACCEPTED)
    client_fault(client, "message %llu got answer %d, error %d", (unsigned long long)answer->client_seq, (int)answer->code,
                 (int)answer->error);
}

static void take(bench_client *client, const ch_server_message *message, ch_arena *arena) {
  switch (message->op) {
  case CH_WELCOME: take_welcome(client, &message->u.welcome); break;
  case CH_SYNC_REPLY: take_sync(client, &message->u.sync_reply); break;
  case CH_RANGE_REPLY:
    if (message->tag == TAG_PAGE)
      take_page(client, &message->u.range_reply);
    else
      take_range(client, &message->u.range_reply, arena);
    break;
  case CH_LIVE: take_live(client, &message->u.live, arena); break;
  case CH_ANSWER: take_answer(client, &message->u.answer); break;
  case CH_ERROR: client_fault(client, "error %d to request %llu", (int)message->u.error.code, (unsigned long long)message->tag); break;
  case CH_VERDICT: client_fault(client, "verdict %d, error %d", (int)message->u.verdict.code, (int)message->u.verdict.error); break;
  case CH_GOODBYE: client_fault(client, "goodbye %d", (int)message->u.goodbye.code); break;
  default: break; /* receipts, heartbeats, presence: decoded, and no more is to be done with them here */
  }
}

static size_t message(bench_client *client, ch_bytes frame) {
  static ch_arena arena;
  size_t len = frame.len;
  if (!arena.cap_len) ch_arena_init(&arena, NULL, ARENA_CHUNK_LEN, ch_decode_cap(CHAT_FRAME_MAX));
  ch_bytes one;
  while (client->state != CLIENT_CLOSED && ch_frame_next(&frame, &one) == 0) {
    ch_server_message decoded;
    ch_arena_reset(&arena);
    if (ch_server_message_decode(one, &arena, &decoded)) load_fail("client %u: a message does not decode", client->index);
    take(client, &decoded, &arena);
  }
  return len;
}

/* ------------------------------------------------------------------------------------------------ turns and time */

static void turn(bench_client *client) {
  chat_client_state *state = state_of(client);
  if (state->owes_receipt) put_receipt(client);
  if (!state->frame.len) return;
  client_put(client, ch_buf_bytes(&state->frame));
  if (state->frame.cap_len > 4096) ch_buf_fini(&state->frame);
  ch_buf_clear(&state->frame);
}

static uint64_t next_tick_ms(const bench_client *client) {
  const chat_client_state *state = state_of(client);
  uint64_t heartbeat_at_ms = client->written_ms + state->heartbeat_ms;
  return state->receipt_at_ms && state->receipt_at_ms < heartbeat_at_ms ? state->receipt_at_ms : heartbeat_at_ms;
}

static void tick(bench_client *client) {
  chat_client_state *state = state_of(client);
  uint64_t now_ms = load_now_ms(client->load);
  if (state->receipt_at_ms && state->receipt_at_ms <= now_ms) {
    put_receipt(client);
    client->written_ms = now_ms;
  }
  if (client->written_ms + state->heartbeat_ms <= now_ms) {
    put(client, &(ch_client_message){.tag = TAG_HEARTBEAT, .op = CH_HEARTBEAT});
    client->written_ms = now_ms;
  }
  client_tick_at(client, next_tick_ms(client));
}

static void open_session(bench_client *client) {
  chat_client_state *state = state_of(client);
  if (!state->frame.max_len) ch_buf_init(&state->frame, NULL, CHAT_FRAME_MAX);
  name_user(client, state->user);
  name_conversation(client);
  put_hello(client);
}

static void closed(bench_client *client) {
  chat_client_state *state = state_of(client);
  ch_buf_fini(&state->frame);
  state->fetching = state->owes_receipt = false;
  state->receipt_at_ms = 0;
}

const bench_protocol protocol_chat = {.name = "chat",
                                      .framing = FRAMING_WS_BINARY,
                                      .subprotocol = "chat.v1",
                                      .state_len = sizeof(chat_client_state),
                                      .open = open_session,
                                      .message = message,
                                      .join = join,
                                      .send = send_body,
                                      .page = put_page,
                                      .turn = turn,
                                      .tick = tick,
                                      .closed = closed};
