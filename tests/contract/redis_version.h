/* SPDX-License-Identifier: Apache-2.0 */
/* redis_version.h - the directory on the Redis servers that tests/services/with_redis.py has started. They are emptied, not started, for each test. */
#ifndef CH_TEST_CONTRACT_REDIS_VERSION_H
#define CH_TEST_CONTRACT_REDIS_VERSION_H

#include <chat/backend.h>
#include <stdbool.h>

bool redis_version_is_there(void);
/* Why this build cannot use them, printed as a skipped test prints it; false: it can. */
bool redis_version_is_missing(void);
/* A directory on servers without keys, which looks at watched users ten times a second. */
chat_backend redis_version_open(void);
/* A time that their clock has not passed yet, Unix ms. */
uint64_t redis_version_wall_ms(void);
/* Their clock stands there from now on; where there are none, nothing. */
void redis_version_set_clock(uint64_t wall_ms);

/* Says a command to one of them, by words without spaces or control characters; what it answers, up to the first line's end, in a static buffer. */
const char *redis_version_say(int server, const char *command);
int redis_version_count(void);
int redis_version_port(int server);

#endif
