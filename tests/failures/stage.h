/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stage.h - a server and some people in one process, over the loopback, with their files in a folder of their own. What a story does here it does as any program would: an error that the
 * header promises is taken and the call made again; after a while without success the failures end (they are healed), and from then on it has to work.
 *
 * Clients are caller-driven, in the main thread, so that a call is a client's or the server's by its thread; one story has clients with threads of their own. Their clock runs 20 times as
 * fast: what waits seconds before it tries again does so here.
 *
 * What is broken ends the process (broken): there is nothing to clean up then.
 */
#ifndef CH_TEST_STAGE_H
#define CH_TEST_STAGE_H

#include <chat/backend.h>
#include <chat/client.h>
#include <chat/server.h>
#include <stdbool.h>
#include <stdnoreturn.h>

#include "failure.h"

enum { PEOPLE_MAX = 4, SAID_MAX = 256, PAGE_ROWS_MAX = CHAT_PAGE_MAX, TEXT_MAX = 48, CONVERSATIONS_MAX = 8 };

/* An event of a conversation, as far as it is compared. */
typedef struct event_row {
  uint64_t seq;
  uint8_t client_id[16];
  uint32_t type, tick;
  char body[TEXT_MAX];
} event_row;

typedef struct talk_row {
  uint8_t id[16];
  uint32_t kind, role;
  uint64_t head, cursor, pending;
} talk_row;

/* What a reply said, copied. */
typedef struct ch_reply {
  int status;
  uint8_t conversation_id[16], client_id[16], device_id[16];
  uint64_t seq, head, count;
  uint32_t more;
  size_t row_count;
  event_row rows[PAGE_ROWS_MAX];
  size_t talk_count;
  talk_row talks[CONVERSATIONS_MAX];
  uint8_t other_device[16]; /* devices: one that is not this one and not revoked */
} ch_reply;

typedef struct ch_stage ch_stage;

typedef struct ch_person {
  ch_stage *stage;
  const char *name;     /* user, and its token in development mode */
  const char *database; /* name of the file */
  chat_client *client;
  bool has_thread; /* of the library */
  bool is_suspended;
  bool wants_token;     /* an event asked for it */
  uint32_t state;
  uint64_t tag;     /* last given */
  uint64_t waiting; /* tag without a reply; 0: none */
  ch_reply reply;
} ch_person;

/* A message that was accepted: its reply said durable. */
typedef struct ch_said {
  const char *by;
  uint8_t conversation_id[16], client_id[16];
  char body[TEXT_MAX];
} ch_said;

struct ch_stage {
  const failure_plan *plan;
  failure_record *record;
  const char *folder;
  bool log_by_option; /* the server's own log of 64 MiB segments, instead of one with small ones */
  const chat_hooks *hooks;
  chat_backend log;
  chat_server *server;
  int port;
  ch_person people[PEOPLE_MAX];
  int person_count;
  ch_said said[SAID_MAX];
  size_t said_count;
  uint64_t tag, waiting;
  ch_reply reply; /* of the server */
};

noreturn void broken(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Into what is printed of a case that is broken; writing it never fails. */
extern const chat_log_sink stage_log;

/* From here on calls count, and fail as the plan says. */
void stage_arm(ch_stage *stage);
void stage_heal(ch_stage *stage);
/* Everybody does what there is to do. */
void stage_turn(ch_stage *stage);
/* Until done(arg); heals where that takes long, then is broken where it still does not come. */
void stage_until(ch_stage *stage, bool (*done)(void *arg), void *arg, const char *what);
/* A call that failed is made again: waits a little, and heals after some. */
typedef struct ch_attempts {
  int count;
  uint64_t since_ms;
} ch_attempts;
void stage_again(ch_stage *stage, ch_attempts *attempts, const char *function, bool is_reply, int error);

/* ------------------------------------------------------------------------------------------------ the server */

void stage_open_server(ch_stage *stage);
void stage_close_server(ch_stage *stage);
typedef int (*server_asking)(chat_server *server, uint64_t tag, void *arg);
/* Until its reply is 0, or `accepted`. */
const ch_reply *stage_ask(ch_stage *stage, const char *function, server_asking ask, void *arg, int accepted);

/* ------------------------------------------------------------------------------------------------ people */

ch_person *person_open(ch_stage *stage, const char *name, const char *database);
/* Client, options, start: again after person_close. */
void person_start(ch_person *person);
void person_close(ch_person *person);
void person_live(ch_person *person);
void person_suspend(ch_person *person);
void person_resume(ch_person *person);

typedef int (*asking)(chat_client *client, uint64_t tag, void *arg);
const ch_reply *person_ask(ch_person *person, const char *function, asking ask, void *arg, int accepted);

/* Says it, into a conversation or (NULL) to a user, and writes down what was promised. */
void person_say(ch_person *person, const uint8_t *conversation_id, const char *to, const char *body);
void person_history(ch_person *person, const uint8_t conversation_id[16], uint64_t before_seq, uint32_t limit, bool local);
void person_talks(ch_person *person);
/* One's own message has at least this tick. */
void person_until_tick(ch_person *person, const ch_said *said, uint32_t tick);
/* The person has this message. */
void person_until_there(ch_person *person, const ch_said *said);

/* ------------------------------------------------------------------------------------------------ the end */

/* Heals; then everything that was accepted is there, once, in order, the same for everybody, also after all have been closed and opened again. Frees everything. */
void stage_end(ch_stage *stage);

uint64_t stage_now_ms(void);

#endif
