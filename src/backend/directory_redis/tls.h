/* SPDX-License-Identifier: Apache-2.0 */
/* tls.h - TLS under a connection of hiredis: tls_hiredis.c where hiredis has it (from 1.0), else tls_none.c. CMake picks one. */
#ifndef CH_DIRECTORY_REDIS_TLS_H
#define CH_DIRECTORY_REDIS_TLS_H

#include <hiredis/async.h>
#include <stdbool.h>

bool ch_redis_tls_is_there(void);
/* Before anything is sent; the certificate must be of `host`. */
bool ch_redis_tls_begin(redisAsyncContext *redis, const char *host);

#endif
