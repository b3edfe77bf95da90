/* SPDX-License-Identifier: Apache-2.0 */
/* codec_example.h - every message with every field set: the values of codec_vectors.py as structs of wire.h. */
#ifndef CH_TEST_CODEC_EXAMPLE_H
#define CH_TEST_CODEC_EXAMPLE_H

#include "core/wire.h"

#define ID(n) {n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n}
#define TEXT(literal) {(const uint8_t *)(literal), sizeof(literal) - 1}
#define COUNT(array) (sizeof(array) / sizeof *(array))

#define EVENT(n)                                                                                                                              \
  {                                                                                                                                           \
    .conversation_id = ID(n), .seq = (n) + 1, .msg_no = (n) + 2, .message_id = UINT64_C(0x0102030405060700) + (n),                            \
    .created_ms = UINT64_C(1700000000000) + (n), .sender = TEXT("ann"), .device_id = ID((n) + 3), .client_seq = (n) + 4,                      \
    .client_id = ID((n) + 5), .type = CHAT_TYPE_MESSAGE, .payload = TEXT("\x12\x02hi")                                                        \
  }
#define VERDICT(n)                                                                                                                            \
  {                                                                                                                                           \
    .code = CH_VERDICT_DUP, .conversation_id = ID(n), .client_id = ID((n) + 1), .client_seq = (n) + 2, .last = (n) + 3, .head = (n) + 4,       \
    .error = CHAT_E_DENIED                                                                                                                    \
  }
#define MARKS(n)                                                                                                                              \
  {                                                                                                                                           \
    {.conversation_id = ID(n), .user = TEXT("ann"), .delivered = (n) + 2, .read = (n) + 1},                                                   \
        {.conversation_id = ID((n) + 3), .user = TEXT("bob"), .delivered = (n) + 5, .read = (n) + 4},                                         \
  }
#define TYPING(n) {.conversation_id = ID(n), .user = TEXT("zo\xc3\xab"), .typing = 1}
#define HEAD(n)                                                                                                                               \
  {                                                                                                                                           \
    .conversation_id = ID(n), .kind = CHAT_GROUP, .role = CHAT_ROLE_OWNER, .head = (n) + 1, .msg_no = (n) + 2, .first = (n) + 3,              \
    .delivered = (n) + 4, .read = (n) + 5, .active_ms = UINT64_C(1700000000000) + (n), .title = TEXT("Gr\xc3\xb6\xc3\x9f" "e")                \
  }

static const uint8_t three_ids[3][16] = {ID(1), ID(2), ID(3)};

static const ch_client_message client_examples[] = {
    {1, CH_HELLO, {.hello = {1, UINT64_C(1) << 63 | 2, TEXT("tok"), 1, ID(3), 4, TEXT("cli/1")}}},
    {127, CH_CONFIRM_SESSION, {.device_session = 300}},
    {128, CH_RENEW_TOKEN, {.token = TEXT("\x00\xff")}},
    {3, CH_HEARTBEAT, {.idle = 1}},
    {UINT64_MAX, CH_SEND, {.send = {ID(1), ID(2), 5, 4, 1, 1, CHAT_TYPE_MESSAGE, TEXT("\x12\x02hi"), TEXT("bob")}}},
    {5, CH_SYNC, {.position = UINT64_C(1) << 48 | 7}},
    {6, CH_RANGE, {.range = {ID(1), .low = 2, .high = 3, .limit = 200, .newest_first = 1}}},
    {7, CH_RECEIPT, {.receipt = {ID(1), .delivered = 3, .read = 2}}},
    {8, CH_GET_RECEIPTS, {.get_receipts = {three_ids, 3}}},
    {9, CH_GET_MEMBERS, {.get_members = {ID(1), TEXT("bob"), 256}}},
    {10, CH_SEARCH, {.search = {TEXT("gr\xc3\xbcn*"), ID(1), .before_message_id = 2, .limit = 3}}},
    {11, CH_WATCH, {.watch = {ID(1), 1}}},
    {12, CH_SET_TYPING, {.typing = {ID(1), 1}}},
    {13, CH_LIST_DEVICES, {.idle = 0}},
    {14, CH_REVOKE_DEVICE, {.device_id = ID(1)}},
};

static const chat_row live_events[] = {EVENT(1), EVENT(50)}, range_events[] = {EVENT(1)}, search_events[] = {EVENT(9)};
static const ch_head_hint live_heads[] = {{ID(3), 4}, {ID(5), 6}};
static const chat_head sync_heads[] = {HEAD(1), HEAD(20)};
static const chat_watermark server_marks[] = MARKS(1);
static const ch_member_info two_members[] = {{TEXT("ann"), CHAT_ROLE_OWNER, 8, 7}, {TEXT("bob"), CHAT_ROLE_MEMBER, 10, 9}};
static const chat_presence one_presence[] = {{TEXT("ann"), 1, 2}};
static const ch_device_info one_device[] = {{ID(1), TEXT("cli/1"), 3, 4, 1, 1}};

static const ch_server_message server_examples[] = {
    {1,
     CH_WELCOME,
     {.welcome = {1, UINT64_C(1) << 63 | 2, TEXT("ann"), ID(4), 5, UINT64_C(1700000000006), UINT64_C(1700000000007),
                  {11, 12, 13, 14, 15, 16, 17}}}},
    {2, CH_ERROR, {.error = {CHAT_E_AGAIN, 1500, TEXT("slow down")}}},
    {3, CH_OK, {.pos = 0}},
    {4, CH_HEARTBEAT_REPLY, {.pos = UINT64_C(1) << 48 | 7}},
    {5, CH_ANSWER, {.answer = {CH_REFUSED, ID(2), ID(3), 4, CHAT_E_TOO_LARGE, 6}}},
    {6, CH_VERDICT, {.verdict = VERDICT(1)}},
    {7, CH_LIVE, {.live = {1, 2, live_events, 2, live_heads, 2}}},
    {8, CH_SYNC_REPLY, {.sync_reply = {sync_heads, 2, UINT64_C(1) << 48 | 9, 1, 1}}},
    {9, CH_RANGE_REPLY, {.range_reply = {ID(1), CH_RANGE_MORE, 3, 4, 5, 6, range_events, 1}}},
    {10, CH_RECEIPTS, {.receipts = {server_marks, 2}}},
    {11, CH_MEMBERS_REPLY, {.members_reply = {ID(1), CHAT_GROUP, TEXT("team"), 1, 5, 6, two_members, 2, 1}}},
    {12, CH_SEARCH_REPLY, {.search_reply = {search_events, 1, 1}}},
    {13, CH_PRESENCE, {.presence = {one_presence, 1}}},
    {14, CH_TYPING, {.typing = TYPING(1)}},
    {15, CH_DEVICES_REPLY, {.devices_reply = {one_device, 1}}},
    {16, CH_GOODBYE, {.goodbye = {CHAT_E_REPLACED, 2}}},
};

static const chat_bytes two_users[] = {TEXT("bob"), TEXT("cy")};

static const ch_content content_examples[] = {
    {.type = CHAT_TYPE_MESSAGE, .kind = TEXT("poll"), .body = TEXT("hi"), .meta = TEXT("\x00\x01")},
    {.type = CHAT_TYPE_CREATE, .conversation_kind = CHAT_CHANNEL, .title = TEXT("team"), .users = two_users, .user_count = 2, .history_from_start = 1},
    {.type = CHAT_TYPE_MEMBERS_ADD, .users = two_users, .user_count = 2, .role = CHAT_ROLE_ADMIN},
    {.type = CHAT_TYPE_MEMBER_REMOVE, .users = two_users, .user_count = 1},
    {.type = CHAT_TYPE_LEAVE},
    {.type = CHAT_TYPE_ROLE, .users = two_users, .user_count = 1, .role = CHAT_ROLE_ADMIN},
    {.type = CHAT_TYPE_OWNER, .users = two_users, .user_count = 1},
    {.type = CHAT_TYPE_TITLE, .title = TEXT("Gr\xc3\xb6\xc3\x9f" "e")},
    {.type = CHAT_TYPE_SETTINGS, .history_from_start = 1},
    {.type = CHAT_TYPE_TO_CHANNEL},
    {.type = CHAT_TYPE_DEVICE_RETIRED, .device_id = ID(9)},
};

static const ch_record record_example = {
    ID(1), TEXT("ann"), ID(2), ID(3), 5, 4, CHAT_TYPE_MESSAGE, TEXT("\x12\x02hi"), TEXT("bob"), 1, CHAT_E_DENIED, 1};

static const chat_bytes task_users[] = {TEXT("ann"), TEXT("bob"), TEXT("cy")};
static const chat_watermark marks_4[] = MARKS(4), marks_40[] = MARKS(40);
static const ch_task four_tasks[] = {
    {.kind = CH_TASK_EVENT, .users = task_users, .user_count = 2, .channel = 1, .u.event = EVENT(1), .has_head = 1, .head = HEAD(7)},
    {.kind = CH_TASK_VERDICT, .users = task_users, .user_count = 1, .has_device = 1, .device_id = ID(8), .u.verdict = VERDICT(3)},
    {.kind = CH_TASK_RECEIPTS, .users = task_users + 1, .user_count = 1, .has_not_device = 1, .not_device = ID(9), .u.receipts = {marks_4, 2}},
    {.kind = CH_TASK_TYPING, .users = task_users + 2, .user_count = 1, .u.typing = TYPING(5)},
};
static const ch_tasks tasks_example = {99, four_tasks, 4};

static const chat_row delivered_events[] = {EVENT(1), EVENT(2)};
static const ch_verdict delivered_verdicts[] = {VERDICT(3)};
static const ch_receipts delivered_receipts[] = {{marks_4, 2}, {marks_40, 2}};
static const ch_typing delivered_typings[] = {TYPING(5)};
static const ch_delivered delivered_example = {delivered_events, 2, delivered_verdicts, 1, delivered_receipts, 2, delivered_typings, 1};

#endif
