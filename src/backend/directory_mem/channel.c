/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "backend/directory_mem/directory.h"

/* ------------------------------------------------------------------------------------------------ subscriptions of a channel */

static ch_directory_subscription *subscription_of(ch_list *node) {
  return CH_LIST_ITEM(node, ch_directory_subscription, of_channel);
}

static ch_directory_channel *find_channel(const ch_directory_mem *directory, const uint8_t id[CHAT_CONVERSATION_ID_LEN]) {
  return ch_hashmap_find(&directory->channels, (chat_bytes){id, CHAT_CONVERSATION_ID_LEN});
}

static ch_directory_subscription *find_subscription(ch_directory_channel *channel, chat_bytes gateway) {
  CH_LIST_FOR_EACH(node, &channel->subscriptions) {
    if (ch_bytes_equal(ch_gateway_name_bytes(&subscription_of(node)->gateway), gateway)) return subscription_of(node);
  }
  return NULL;
}

static void free_channel_if_empty(ch_directory_mem *directory, ch_directory_channel *channel) {
  if (!ch_list_is_empty(&channel->subscriptions)) return;
  ch_hashmap_remove(&directory->channels, (chat_bytes){channel->id, sizeof channel->id});
  ch_free(directory->config.alloc, channel);
}

void ch_directory_subscription_remove(ch_directory_mem *directory, ch_directory_subscription *subscription) {
  ch_directory_channel *channel = subscription->channel;
  ch_timer_heap_clear(&directory->timers, &subscription->timer);
  ch_list_remove(&subscription->of_channel);
  ch_free(directory->config.alloc, subscription);
  free_channel_if_empty(directory, channel);
}

/* ------------------------------------------------------------------------------------------------ SUBSCRIBE */

static int find_or_make_channel(ch_directory_mem *directory, const uint8_t id[CHAT_CONVERSATION_ID_LEN], ch_directory_channel **out) {
  *out = find_channel(directory, id);
  if (*out) return 0;
  ch_directory_channel *channel = ch_calloc(directory->config.alloc, 1, sizeof *channel);
  if (!channel) return CHAT_E_NOMEM;
  memcpy(channel->id, id, sizeof channel->id);
  ch_list_init(&channel->subscriptions);
  int error = ch_hashmap_insert(&directory->channels, (chat_bytes){channel->id, sizeof channel->id}, channel);
  if (error)
    ch_free(directory->config.alloc, channel);
  else
    *out = channel;
  return error;
}

static int make_subscription(ch_directory_mem *directory, ch_directory_channel *channel, chat_bytes gateway, uint64_t deadline_ms) {
  ch_directory_subscription *made = ch_calloc(directory->config.alloc, 1, sizeof *made);
  if (!made) return CHAT_E_NOMEM;
  made->channel = channel;
  made->gateway = ch_gateway_name_of(gateway);
  made->timer.kind = CH_TIMER_SUBSCRIPTION;
  int error = ch_timer_heap_set(&directory->timers, &made->timer, deadline_ms);
  if (error)
    ch_free(directory->config.alloc, made);
  else
    ch_list_push_back(&channel->subscriptions, &made->of_channel);
  return error;
}

static int subscribe_one(ch_directory_mem *directory, const chat_directory_subscribe *ask, const uint8_t id[CHAT_CONVERSATION_ID_LEN],
                         uint64_t now_ms) {
  ch_directory_channel *channel;
  int error = find_or_make_channel(directory, id, &channel);
  if (error) return error;
  ch_directory_subscription *subscription = find_subscription(channel, ask->gateway);
  if (subscription) return ch_timer_heap_set(&directory->timers, &subscription->timer, now_ms + ask->life_ms);
  error = make_subscription(directory, channel, ask->gateway, now_ms + ask->life_ms);
  free_channel_if_empty(directory, channel);
  return error;
}

static void unsubscribe_one(ch_directory_mem *directory, const chat_directory_subscribe *ask, const uint8_t id[CHAT_CONVERSATION_ID_LEN]) {
  ch_directory_channel *channel = find_channel(directory, id);
  ch_directory_subscription *subscription = channel ? find_subscription(channel, ask->gateway) : NULL;
  if (subscription) ch_directory_subscription_remove(directory, subscription);
}

bool ch_directory_do_subscribe(ch_directory_mem *directory, ch_directory_port *port, chat_op *op, ch_directory_now now, int *status) {
  (void)port;
  const chat_directory_subscribe *ask = (chat_directory_subscribe *)op;
  *status = ch_gateway_name_valid(ask->gateway) ? 0 : CHAT_E_INVALID;
  for (size_t i = 0; i < ask->count && !*status; i++) {
    if (ask->life_ms)
      *status = subscribe_one(directory, ask, ask->channels[i], now.elapsed_ms);
    else
      unsubscribe_one(directory, ask, ask->channels[i]);
  }
  return true;
}

/* ------------------------------------------------------------------------------------------------ SUBSCRIBERS */

static size_t count_subscriptions(const ch_directory_channel *channel) {
  size_t count = 0;
  CH_LIST_FOR_EACH(node, &channel->subscriptions)
  count++;
  return count;
}

static int out_subscribers(chat_directory_subscribers *ask, ch_directory_channel *channel, uint64_t now_ms) {
  ask->gateways = chat_op_alloc(&ask->op, count_subscriptions(channel) * sizeof *ask->gateways);
  if (!ask->gateways) return CHAT_E_NOMEM;
  CH_LIST_FOR_EACH(node, &channel->subscriptions) {
    const ch_directory_subscription *subscription = subscription_of(node);
    if (subscription->timer.deadline_ms <= now_ms) continue;
    chat_bytes gateway = chat_op_copy(&ask->op, ch_gateway_name_bytes(&subscription->gateway));
    if (!gateway.data) return CHAT_E_NOMEM;
    ask->gateways[ask->count++] = gateway;
  }
  return 0;
}

bool ch_directory_do_subscribers(ch_directory_mem *directory, ch_directory_port *port, chat_op *op, ch_directory_now now, int *status) {
  (void)port;
  chat_directory_subscribers *ask = (chat_directory_subscribers *)op;
  ask->count = 0;
  ask->gateways = NULL;
  ch_directory_channel *channel = find_channel(directory, ask->conversation_id);
  *status = channel ? out_subscribers(ask, channel, now.elapsed_ms) : 0;
  return true;
}
