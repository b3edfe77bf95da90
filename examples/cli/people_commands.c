/* SPDX-License-Identifier: Apache-2.0 */
/* presence, devices. */
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "exit_code.h"
#include "members.h"
#include "session.h"
#include "show.h"
#include "target.h"

static int with_session(const options *o, profile *p, int (*work)(session *s, char **operands), char **operands) {
  session s;
  int code = session_begin(&s, o, p, -1);
  if (code) return code;
  code = work(&s, operands);
  session_close(&s);
  return code ? code : show_end();
}

/* ------------------------------------------------------------------------------------------------ presence */

static int show_presence(session *s, char **operands) {
  target t;
  int code = target_find(s, operands[0], true, &t);
  return code ? code : members_show(s, &t);
}

int command_presence(const options *o, profile *p, int count, char **operands) {
  (void)count;
  return with_session(o, p, show_presence, operands);
}

/* ------------------------------------------------------------------------------------------------ devices */

static int show_devices(session *s, char **operands) {
  int status;
  (void)operands;
  const chat_event *event = session_reply(s, chat_client_devices(s->client, session_tag(s)), &status);
  if (status) return fail_error("devices", status);
  for (size_t i = 0; i < event->device_count; i++) show_device(s->options, event->devices[i]);
  return EXIT_DONE;
}

int command_devices(const options *o, profile *p, int count, char **operands) {
  (void)count;
  return with_session(o, p, show_devices, operands);
}

static int revoke(session *s, char **operands) {
  int status;
  uint8_t id[16];
  if (!hex_read(operands[0], id)) return fail_text(EXIT_USAGE, "DEVICE is an id of 32 hexadecimal digits, see chat devices");
  session_reply(s, chat_client_revoke_device(s->client, session_tag(s), id), &status);
  return status ? fail_error("devices revoke", status) : EXIT_DONE;
}

int command_revoke(const options *o, profile *p, int count, char **operands) {
  (void)count;
  return with_session(o, p, revoke, operands);
}
