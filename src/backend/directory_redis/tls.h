/* SPDX-License-Identifier: Apache-2.0 */
/* tls.h - TLS under a connection of hiredis: tls_hiredis.c where hiredis has it (from 1.0), else tls_none.c. CMake picks one. */
#ifndef CH_DIRECTORY_REDIS_TLS_H
#define CH_DIRECTORY_REDIS_TLS_H

#include <hiredis/async.h>
#include <stdbool.h>

bool ch_redis_tls_is_there(void);
/* Before anything is sent; the certificate must be of `host`. The session, which goes with the connection; NULL: it failed, because of the
 * certificate where *is_refused. */
void *ch_redis_tls_begin(redisAsyncContext *redis, const char *host, bool *is_refused);
/* The same of a failure that came later, while the connection is there; session NULL: no. */
bool ch_redis_tls_is_refused(const void *session);

#endif
