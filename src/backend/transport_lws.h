/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport_lws.h - the client's transport over libwebsockets (chat/backend.h, "client: transport").
 *
 * Each transport has a context of its own, made by the wait that follows open and destroyed when the connection ends, so clients in several threads share nothing. What is
 * shared is libwebsockets': its log is turned off for the whole process when the first transport is made, and it ignores SIGPIPE.
 *
 * `ca_file` names the authorities, instead of the system's, that the server's chain has to end at; "none" (only together with a pin) skips the chain and the host name, so that the
 * pin alone decides. In any other case the chain, the host name and, where it is given, the pin must all hold.
 *
 * Without a numeric address (in the url, or `address`) the wait that connects blocks in getaddrinfo, however short its time.
 */
#ifndef CH_TRANSPORT_LWS_H
#define CH_TRANSPORT_LWS_H

#include <chat/backend.h>

int ch_transport_lws_new(const chat_allocator *alloc, chat_transport **transport); /* 0, CHAT_E_NOMEM, CHAT_E_IO; end it with vtable->free */

#endif
