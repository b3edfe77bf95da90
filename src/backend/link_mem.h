/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link_mem.h - the link between deliverer and gateways of one process: a bounded mailbox for each gateway.
 *
 * A mailbox begins with a gateway's first RECEIVE and ends with the port that asked last. It holds at most deliveries_max and bytes_max; a SEND that would pass one is not taken at
 * all, gets CHAT_E_AGAIN, and the gateway's next RECEIVE says `lost`. One RECEIVE of a gateway at a time (CHAT_E_BUSY); one name more than gateways_max is CHAT_E_LIMIT.
 */
#ifndef CH_BACKEND_LINK_MEM_H
#define CH_BACKEND_LINK_MEM_H

#include <chat/backend.h>

typedef struct ch_link_mem_config {
  const chat_allocator *alloc;
  uint32_t gateways_max;   /* 1 to 4,096 */
  uint32_t deliveries_max; /* waiting for one gateway */
  size_t bytes_max;        /* of their payloads and targets; 0: 64 MiB */
} ch_link_mem_config;

/* 0, CHAT_E_INVALID, CHAT_E_NOMEM. */
int ch_link_mem_new(const ch_link_mem_config *config, chat_backend *link);

#endif
