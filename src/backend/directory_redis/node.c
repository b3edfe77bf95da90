/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/directory_redis/directory.h"
#include "core/assert.h"
#include "core/env.h"

enum { MAP_PAUSE_MS = 500, MAP_PERIOD_MS = 30000 };

/* ------------------------------------------------------------------------------------------------ servers */

static ch_redis_node *find_node(ch_redis *directory, const ch_redis_address *address) {
  for (size_t i = 0; i < directory->node_count; i++) {
    const ch_redis_address *its = &directory->nodes[i]->address;
    if (its->port == address->port && strcmp(its->host, address->host) == 0) return directory->nodes[i];
  }
  return NULL;
}

static ch_redis_node *add_node(ch_redis *directory, const ch_redis_address *address, bool is_seed) {
  if (directory->node_count == CH_REDIS_NODES_MAX) return NULL;
  ch_redis_node *node = ch_calloc(directory->config.alloc, 1, sizeof *node);
  if (!node) return NULL;
  node->directory = directory;
  node->address = *address;
  node->is_seed = is_seed;
  ch_redis_conn_init(&node->steps, node, false);
  ch_redis_conn_init(&node->changes, node, true);
  directory->nodes[directory->node_count++] = node;
  return node;
}

static ch_redis_node *find_or_add_node(ch_redis *directory, const ch_redis_address *address) {
  ch_redis_node *node = find_node(directory, address);
  return node ? node : add_node(directory, address, false);
}

static void give_slot(ch_redis *directory, size_t slot, ch_redis_node *node) {
  if (directory->slots[slot]) directory->slots[slot]->slot_count--;
  directory->slots[slot] = node;
  node->slot_count++;
}

/* Shards have equal runs of slots. */
int ch_redis_nodes_init(ch_redis *directory) {
  size_t count = directory->url.count;
  for (size_t i = 0; i < count; i++)
    if (!add_node(directory, &directory->url.addresses[i], true)) return CHAT_E_NOMEM;
  for (size_t slot = 0; slot < CH_REDIS_SLOTS && !directory->url.is_cluster; slot++)
    give_slot(directory, slot, directory->nodes[slot * count / CH_REDIS_SLOTS]);
  return 0;
}

void ch_redis_nodes_fini(ch_redis *directory) {
  while (directory->node_count > 0)
    ch_free(directory->config.alloc, directory->nodes[--directory->node_count]);
}

/* While the map is not known any node of a cluster will do: it says where to go. */
static ch_redis_node *any_node(ch_redis *directory) {
  ch_redis_node *best = directory->nodes[0];
  for (size_t i = 0; i < directory->node_count; i++)
    if (directory->nodes[i]->steps.state > best->steps.state) best = directory->nodes[i];
  return best;
}

ch_redis_node *ch_redis_node_of(ch_redis *directory, uint16_t slot) {
  ch_redis_node *node = directory->slots[slot];
  return node ? node : any_node(directory);
}

/* ------------------------------------------------------------------------------------------------ redirected */

/* "host:port"; a node that does not know its own name says ":port" (of the host that was asked). */
static bool read_endpoint(const char *text, const char *asked_host, ch_redis_address *address) {
  const char *colon = strrchr(text, ':');
  size_t len = colon ? (size_t)(colon - text) : 0;
  unsigned long port = colon ? strtoul(colon + 1, NULL, 10) : 0;
  if (port == 0 || port > UINT16_MAX || len > CH_REDIS_HOST_MAX) return false;
  address->port = (uint16_t)port;
  memcpy(address->host, text, len);
  address->host[len] = '\0';
  if (len == 0 || address->host[0] == '?') strcpy(address->host, asked_host);
  return true;
}

ch_redis_node *ch_redis_node_redirected(ch_redis *directory, const ch_redis_node *from, const char *error, bool moved) {
  ch_redis_address address;
  const char *slot_text = strchr(error, ' ');
  const char *endpoint = slot_text ? strchr(slot_text + 1, ' ') : NULL;
  unsigned long slot = slot_text ? strtoul(slot_text + 1, NULL, 10) : CH_REDIS_SLOTS;
  if (!directory->url.is_cluster || !endpoint || slot >= CH_REDIS_SLOTS || !read_endpoint(endpoint + 1, from->address.host, &address)) return NULL;
  ch_redis_node *node = find_or_add_node(directory, &address);
  if (!node) return NULL;
  ch_redis_conn_want(&node->steps);
  if (moved) {
    give_slot(directory, slot, node);
    directory->wants_map = true;
  }
  return node;
}

/* ------------------------------------------------------------------------------------------------ the map of a cluster */

/* [first, last, [host, port, …] of the master, replicas …] */
static bool read_run(const redisReply *run, const char *asked_host, long long *first, long long *last, ch_redis_address *address) {
  if (run->type != REDIS_REPLY_ARRAY || run->elements < 3) return false;
  const redisReply *master = run->element[2];
  *first = run->element[0]->integer;
  *last = run->element[1]->integer;
  if (*first < 0 || *last >= CH_REDIS_SLOTS || master->type != REDIS_REPLY_ARRAY || master->elements < 2) return false;
  const redisReply *host = master->element[0];
  bool is_named = host->type == REDIS_REPLY_STRING && host->len > 0 && host->str[0] != '?';
  if (is_named && (size_t)host->len > CH_REDIS_HOST_MAX) return false;
  strcpy(address->host, is_named ? host->str : asked_host);
  address->port = (uint16_t)master->element[1]->integer;
  return address->port != 0;
}

static void take_run(ch_redis *directory, const redisReply *run, const char *asked_host) {
  ch_redis_address address;
  long long first, last;
  if (!read_run(run, asked_host, &first, &last, &address)) return;
  ch_redis_node *node = find_or_add_node(directory, &address);
  for (long long slot = first; node && slot <= last; slot++)
    give_slot(directory, (size_t)slot, node);
  if (node) ch_redis_conn_want(&node->steps);
}

static bool is_used(const ch_redis_node *node) {
  const ch_redis_conn *steps = &node->steps, *changes = &node->changes;
  return node->is_seed || node->slot_count > 0 || steps->is_naming || changes->is_naming || changes->is_wanted || !ch_list_is_empty(&steps->sent) ||
         !ch_list_is_empty(&steps->waiting);
}

static void remove_unused(ch_redis *directory) {
  for (size_t i = directory->node_count; i-- > 0;) {
    ch_redis_node *node = directory->nodes[i];
    if (is_used(node)) continue;
    if (node->steps.redis) ch_redis_conn_close(&node->steps);
    directory->nodes[i] = directory->nodes[--directory->node_count];
    ch_free(directory->config.alloc, node);
  }
}

static void on_map(redisAsyncContext *redis, void *data, void *arg) {
  const redisReply *reply = data;
  ch_redis *directory = arg;
  directory->is_mapping = false;
  directory->wants_map = !reply || reply->type != REDIS_REPLY_ARRAY || reply->elements == 0;
  if (directory->wants_map) return;
  const ch_redis_conn *conn = redis->data;
  for (size_t i = 0; i < reply->elements; i++)
    take_run(directory, reply->element[i], conn->node->address.host);
  directory->has_map = true;
  pthread_cond_broadcast(&directory->changed);
}

void ch_redis_map_tick(ch_redis *directory, uint64_t now_ms) {
  if (!directory->url.is_cluster || directory->is_mapping) return;
  if (directory->has_map && now_ms - directory->mapped_ms < (directory->wants_map ? MAP_PAUSE_MS : MAP_PERIOD_MS)) return;
  remove_unused(directory);
  ch_redis_node *node = any_node(directory);
  if (node->steps.state != CH_REDIS_UP) return;
  directory->mapped_ms = now_ms;
  directory->is_mapping = redisAsyncCommand(node->steps.redis, on_map, directory, "CLUSTER SLOTS") == REDIS_OK;
}
