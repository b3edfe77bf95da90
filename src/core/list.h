/* SPDX-License-Identifier: Apache-2.0 */
/*
 * list.h - an intrusive doubly linked list. The node lives inside the thing that is listed, so nothing is allocated
 * and nothing can fail; one node is in at most one list. A ch_list is a ring through its own node: empty when it
 * points at itself.
 */
#ifndef CH_CORE_LIST_H
#define CH_CORE_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct ch_list {
  struct ch_list *next, *prev;
} ch_list;

/* The thing of this type whose member is node. */
#define CH_LIST_ITEM(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))
/* Runs over the nodes from the first to the last. The body may not remove nodes; pop in a loop, or take next before. */
#define CH_LIST_FOR_EACH(node, list) for (ch_list *node = (list)->next; node != (list); node = node->next)

/* An empty list, or a node that is in none. */
static inline void ch_list_init(ch_list *list) {
  list->next = list->prev = list;
}

static inline bool ch_list_is_empty(const ch_list *list) {
  return list->next == list;
}

/* Puts node, which is in no list, in front of place; where place is the list, behind the last. */
static inline void ch_list_insert_before(ch_list *place, ch_list *node) {
  node->next = place;
  node->prev = place->prev;
  place->prev->next = node;
  place->prev = node;
}

static inline void ch_list_push_back(ch_list *list, ch_list *node) {
  ch_list_insert_before(list, node);
}

/* Takes node out of its list; for one that is in none, does nothing. */
static inline void ch_list_remove(ch_list *node) {
  node->prev->next = node->next;
  node->next->prev = node->prev;
  ch_list_init(node);
}

/* Takes out the first node and gives it; NULL when the list is empty. */
static inline ch_list *ch_list_pop_front(ch_list *list) {
  ch_list *first = list->next;
  if (first == list) return NULL;
  ch_list_remove(first);
  return first;
}

#endif
