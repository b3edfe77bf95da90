/* SPDX-License-Identifier: Apache-2.0 */
/* members.h - the members of a conversation with who is online. */
#ifndef CLI_MEMBERS_H
#define CLI_MEMBERS_H

#include "session.h"
#include "target.h"

/* Asks the server how far everybody has received and read, so that the ticks of what is shown next are right. Where that fails they are what is known here. */
void members_refresh(session *s, const target *t);

/* Opens the conversation, waits a moment for what is known of presence, and shows each member. An exit code, said on stderr. */
int members_show(session *s, const target *t);

#endif
