/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/people.h"

#include <string.h>

#include "core/conversation_id.h"
#include "core/wire.h"
#include "sim/device.h"
#include "sim/oracle.h"

/* In the lower bits of a tag: what its reply is for. */
enum { TAG_CREATE = 1, TAG_SEND = 2, TAG_DISCARD = 3, TAG_OTHER = 4 };

static uint64_t tag_of(sim_device *device, uint32_t what) {
  return ++device->tags << 8 | what;
}

/* ------------------------------------------------------------------------------------------------ messages */

static void new_client_id(sim_device *device, uint8_t id[16]) {
  uint8_t random[CH_UUID7_RANDOM_LEN];
  sim_fill(&device->sim->random, random, sizeof random);
  ch_uuid7_next(&device->uuids, sim_device_now(device).wall_ms, random, id);
}

/* The intent is made before the request, since a device may die of it. What the outbox did not say that it has was not promised anything. */
static void send_as(sim_device *device, ch_client_request *request, const uint8_t conversation_id[16]) {
  sim *s = device->sim;
  char body[32];
  if (!device->brain) return;
  new_client_id(device, request->client_id);
  request->has_client_id = 1;
  request->kind = CH_REQ_SEND;
  request->tag = tag_of(device, TAG_SEND);
  sim_intent *intent = sim_oracle_intend(device, conversation_id, request->client_id);
  snprintf(body, sizeof body, "message %u", intent->number);
  request->body = ch_bytes_text(body);
  s->sent++;
  sim_device_request(device, request);
}

static void send_direct(sim_device *device) {
  sim *s = device->sim;
  const char *peer = sim_user_name((uint32_t)sim_pick(&s->random, s->plan.users));
  ch_client_request request = {.user = ch_bytes_text(peer)};
  uint8_t id[16];
  ch_conversation_id_direct(ch_bytes_text(sim_user_name(device->user)), request.user, id);
  send_as(device, &request, id);
}

static const uint8_t *any_group(sim *s) {
  return s->group_count ? s->groups[sim_pick(&s->random, s->group_count)] : NULL;
}

static void send_to_group(sim_device *device) {
  const uint8_t *id = any_group(device->sim);
  if (!id) return;
  ch_client_request request = {.has_conversation = 1};
  memcpy(request.conversation_id, id, 16);
  send_as(device, &request, id);
}

static void send_some(sim_device *device) {
  sim *s = device->sim;
  bool direct = sim_chance(&s->random, 1, 3);
  for (uint64_t i = sim_chance(&s->random, 1, 3) ? sim_between(&s->random, 2, 8) : 1; i > 0 && !sim_failed(s); i--)
    if (direct)
      send_direct(device);
    else
      send_to_group(device);
}

/* ------------------------------------------------------------------------------------------------ groups */

static void create(sim_device *device) {
  sim *s = device->sim;
  if (s->group_count == SIM_GROUPS_MAX) return;
  chat_bytes users[SIM_USERS_MAX];
  ch_client_request request = {.kind = CH_REQ_CREATE, .tag = tag_of(device, TAG_CREATE), .text = ch_bytes_text("a group"), .users = users};
  request.number = sim_chance(&s->random, 1, 6) ? CHAT_CHANNEL : CHAT_GROUP;
  request.flag = sim_chance(&s->random, 1, 3);
  for (uint32_t user = 0; user < s->plan.users; user++)
    if (user != device->user && sim_chance(&s->random, 4, 5)) users[request.user_count++] = ch_bytes_text(sim_user_name(user));
  sim_device_request(device, &request);
}

static void control(sim_device *device) {
  static const uint32_t types[] = {CHAT_TYPE_MEMBERS_ADD, CHAT_TYPE_MEMBERS_ADD, CHAT_TYPE_MEMBERS_ADD, CHAT_TYPE_MEMBER_REMOVE, CHAT_TYPE_MEMBER_REMOVE, CHAT_TYPE_LEAVE,
                                   CHAT_TYPE_ROLE,        CHAT_TYPE_OWNER,       CHAT_TYPE_TITLE,       CHAT_TYPE_SETTINGS};
  sim *s = device->sim;
  const uint8_t *id = any_group(s);
  if (!id) return;
  chat_bytes user = ch_bytes_text(sim_user_name((uint32_t)sim_pick(&s->random, s->plan.users)));
  ch_client_request request = {.kind = CH_REQ_CONTROL, .tag = tag_of(device, TAG_OTHER), .has_conversation = 1, .users = &user, .user_count = 1};
  memcpy(request.conversation_id, id, 16);
  request.type = sim_chance(&s->random, 1, 60) ? CHAT_TYPE_TO_CHANNEL : types[sim_pick(&s->random, sizeof types / sizeof *types)];
  request.role = (uint32_t)sim_between(&s->random, CHAT_ROLE_MEMBER, CHAT_ROLE_ADMIN);
  request.text = ch_bytes_text("renamed");
  request.flag = (uint32_t)sim_pick(&s->random, 2);
  if (request.type == CHAT_TYPE_LEAVE || request.type == CHAT_TYPE_TITLE || request.type == CHAT_TYPE_SETTINGS || request.type == CHAT_TYPE_TO_CHANNEL) request.user_count = 0;
  sim_device_request(device, &request);
}

/* ------------------------------------------------------------------------------------------------ the rest */

static void any_conversation(sim_device *device, ch_client_request *request) {
  sim *s = device->sim;
  const uint8_t *group = any_group(s);
  request->has_conversation = 1;
  if (group && sim_chance(&s->random, 2, 3))
    memcpy(request->conversation_id, group, 16);
  else
    ch_conversation_id_direct(ch_bytes_text(sim_user_name(device->user)), ch_bytes_text(sim_user_name((uint32_t)sim_pick(&s->random, s->plan.users))), request->conversation_id);
}

static void look(sim_device *device) {
  static const ch_client_request_kind kinds[] = {CH_REQ_MARK_READ, CH_REQ_MARK_READ, CH_REQ_OPEN, CH_REQ_CLOSE, CH_REQ_HISTORY, CH_REQ_HISTORY,
                                                 CH_REQ_SEARCH,    CH_REQ_MEMBERS,   CH_REQ_TYPING, CH_REQ_VERIFY, CH_REQ_CONVERSATIONS};
  sim *s = device->sim;
  ch_client_request request = {.kind = kinds[sim_pick(&s->random, sizeof kinds / sizeof *kinds)], .tag = tag_of(device, TAG_OTHER), .limit = 20};
  any_conversation(device, &request);
  if (request.kind == CH_REQ_MARK_READ || request.kind == CH_REQ_HISTORY) request.number = sim_pick(&s->random, 40);
  if (request.kind == CH_REQ_CONVERSATIONS) request.number = 0;
  request.text = ch_bytes_text("message");
  request.flag = (uint32_t)sim_pick(&s->random, 2);
  sim_device_request(device, &request);
}

typedef struct choosing {
  sim *sim;
  uint8_t client_id[16];
  uint32_t count;
} choosing;

/* A refused one enters anew as another message, which the oracle does not know: people do not do that here. */
static int choose(void *arg, const chat_outbox_row *row) {
  choosing *c = arg;
  if (row->state == CHAT_OUTBOX_REFUSED) return 0;
  if (sim_pick(&c->sim->random, ++c->count) == 0) memcpy(c->client_id, row->client_id, 16);
  return 0;
}

/* A row of the outbox is taken back, or pushed. */
static void meddle(sim_device *device) {
  sim *s = device->sim;
  choosing c = {.sim = s};
  if (!device->brain || device->is_suspended) return;
  device->cache.inner->vtable->outbox_list(device->cache.inner->self, choose, &c);
  if (c.count == 0) return;
  bool discard = sim_chance(&s->random, 1, 2);
  ch_client_request request = {.kind = discard ? CH_REQ_DISCARD : CH_REQ_RETRY, .tag = tag_of(device, discard ? TAG_DISCARD : TAG_OTHER), .has_client_id = 1};
  memcpy(request.client_id, c.client_id, 16);
  sim_intent *intent = sim_oracle_intent(s, c.client_id);
  if (intent && request.kind == CH_REQ_DISCARD) intent->is_discarded = true;
  sim_device_request(device, &request);
}

static void go_online(sim_device *device) {
  sim *s = device->sim;
  ch_client_request request = {.kind = CH_REQ_SET_ONLINE, .tag = tag_of(device, TAG_OTHER), .flag = sim_chance(&s->random, 1, 2)};
  sim_device_request(device, &request);
}

/* ------------------------------------------------------------------------------------------------ a life of it */

static void act(sim *s, sim_device *device) {
  if (s->group_count == 0 || sim_chance(&s->random, 1, 60)) create(device);
  switch (sim_pick(&s->random, 16)) {
    case 0:
    case 1: control(device); break;
    case 2:
    case 3:
    case 4: look(device); break;
    case 5: meddle(device); break;
    case 6: go_online(device); break;
    default: send_some(device); break;
  }
}

/* People pause for as long as it takes that the time of trouble is filled. */
static void live(void *arg, uint64_t unused) {
  (void)unused;
  sim *s = arg;
  if (s->healing) return;
  act(s, s->devices[sim_pick(&s->random, s->plan.devices)]);
  uint64_t pause_ms = s->plan.trouble_ms / s->plan.messages;
  sim_after(s, sim_between(&s->random, 1, 2 * pause_ms), live, s, 0);
}

void sim_people_begin(sim *s) {
  sim_after(s, 100, live, s, 0);
}

static void group_made(sim *s, const uint8_t id[16]) {
  if (s->group_count == SIM_GROUPS_MAX) return;
  memcpy(s->groups[s->group_count++], id, 16);
}

static void sent(sim *s, const chat_event *event) {
  sim_intent *intent = sim_oracle_intent(s, event->client_id);
  if (intent) intent->is_entered = true;
}

static int is_it(void *arg, const chat_outbox_row *row) {
  choosing *c = arg;
  c->count += memcmp(row->client_id, c->client_id, 16) == 0;
  return 0;
}

/* One that has left the outbox at once was never sent, so the person was told, it can never be committed (C8). */
static void taken_back(sim_device *device, const chat_event *event) {
  choosing c = {.sim = device->sim};
  sim_intent *intent = sim_oracle_intent(device->sim, event->client_id);
  memcpy(c.client_id, event->client_id, 16);
  if (!intent || intent->committed_seq || device->cache.inner->vtable->outbox_list(device->cache.inner->self, is_it, &c)) return;
  intent->is_gone = c.count == 0;
}

void sim_people_event(sim_device *device, const chat_event *event) {
  if (event->type != CHAT_EVENT_REPLY || event->status) return;
  if ((event->tag & 255) == TAG_CREATE) group_made(device->sim, event->conversation_id);
  if ((event->tag & 255) == TAG_DISCARD) taken_back(device, event);
  if ((event->tag & 255) == TAG_SEND) sent(device->sim, event);
}
