/* SPDX-License-Identifier: Apache-2.0 */
/* members.h - the members of a conversation with who is online. */
#ifndef CLI_MEMBERS_H
#define CLI_MEMBERS_H

#include "session.h"
#include "target.h"

/* Opens the conversation, waits a moment for what is known of presence, and shows each member. An exit code, said on stderr. */
int members_show(session *s, const target *t);

#endif
