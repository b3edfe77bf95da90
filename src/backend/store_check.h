/* SPDX-License-Identifier: Apache-2.0 */
/* store_check.h - what no store takes: the bounds of chat/backend.h that every version checks in the same way (what fails gets CHAT_E_INVALID); and what no store shows. */
#ifndef CH_BACKEND_STORE_CHECK_H
#define CH_BACKEND_STORE_CHECK_H

#include <chat/backend.h>

#include "core/bytes.h"

enum { CH_STORE_DEVICE_NAME_MAX = 64, CH_STORE_MARKS_MAX = 4096, CH_STORE_QUERY_MAX = 256, CH_STORE_LIST_MAX = 1000 };

static inline bool ch_store_page_valid(uint32_t limit, uint32_t limit_max) {
  return limit > 0 && limit <= limit_max;
}

static inline bool ch_store_users_valid(const chat_bytes *users, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (!ch_user_id_valid(users[i])) return false;
  return true;
}

static inline bool ch_store_state_valid(const chat_state *state) {
  for (size_t i = 0; i < state->member_count_here; i++)
    if (!ch_user_id_valid(state->members[i].user) || state->members[i].interval_count > CHAT_MEMBER_INTERVALS_MAX) return false;
  for (size_t i = 0; i < state->sender_count; i++)
    if (!ch_user_id_valid(state->senders[i].user)) return false;
  return state->title.len <= CHAT_TITLE_MAX;
}

static inline bool ch_store_apply_valid(const chat_store_apply *apply) {
  for (size_t i = 0; i < apply->row_count; i++)
    if (apply->rows[i].seq == 0 || apply->rows[i].sender.len > CHAT_USER_ID_MAX) return false;
  for (size_t i = 0; i < apply->state_count; i++)
    if (!ch_store_state_valid(&apply->states[i])) return false;
  return true;
}

static inline bool ch_store_marks_valid(const chat_store_watermarks *raise) {
  for (size_t i = 0; i < raise->count; i++)
    if (!ch_user_id_valid(raise->marks[i].user)) return false;
  return raise->count > 0 && raise->count <= CH_STORE_MARKS_MAX;
}

/* The embedder asks without a user: then there is no member in the answer. */
static inline bool ch_store_range_valid(const chat_store_range *range) {
  return ch_store_page_valid(range->limit, CHAT_PAGE_MAX) && (range->user.len == 0 || ch_user_id_valid(range->user));
}

static inline bool ch_store_heads_valid(const chat_store_heads *ask) {
  return ch_store_page_valid(ask->limit, CH_STORE_LIST_MAX) && ch_user_id_valid(ask->user);
}

static inline bool ch_store_members_valid(const chat_store_members *ask) {
  return ch_store_page_valid(ask->limit, CH_STORE_LIST_MAX) && ask->after.len <= CHAT_USER_ID_MAX && ch_user_id_valid(ask->user);
}

static inline bool ch_store_search_valid(const chat_store_search *ask) {
  return ch_store_page_valid(ask->limit, CHAT_PAGE_MAX) && ask->query.len > 0 && ask->query.len <= CH_STORE_QUERY_MAX && ch_user_id_valid(ask->user);
}

static inline bool ch_store_device_valid(const chat_store_device *ask) {
  if (!ch_user_id_valid(ask->user)) return false;
  return ask->verb == CHAT_DEVICE_GET || (ask->verb == CHAT_DEVICE_PUT && ask->device.name.len <= CH_STORE_DEVICE_NAME_MAX);
}

/* Search shows a member what its intervals hold. */
static inline bool ch_store_may_read(const chat_interval *intervals, size_t count, uint64_t seq) {
  for (size_t i = 0; i < count; i++)
    if (seq > intervals[i].joined && seq <= intervals[i].left) return true;
  return false;
}

#endif
