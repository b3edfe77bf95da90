/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.h - output for programs: one object a line (docs/cli.md, "JSON"). Each has "object", the kind of line. 64-bit numbers are strings; ids are hexadecimal;
 * bytes that need not be UTF-8 are under "body" where they are, else in base64 under "body_base64" (meta likewise).
 */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include <chat/client.h>
#include <jansson.h>

/* NULL where memory runs out. */
json_t *json_message(const chat_message *m);
json_t *json_conversation(const chat_conversation *c);
json_t *json_member(const chat_member_info *m);
json_t *json_device(const chat_device_info *d);
/* An event that carries none of these: state, receipt, presence, typing, database, resync … NULL: of no interest, or a type that is not known. */
json_t *json_event(const chat_event *e);
json_t *json_object_named(const char *object);

void json_put_u64(json_t *to, const char *key, uint64_t number);
void json_put_text(json_t *to, const char *key, chat_bytes text);
void json_put_id(json_t *to, const char *key, const uint8_t id[16]);

/* Writes the line and lets go of it. */
void json_print(json_t *line);

#endif
