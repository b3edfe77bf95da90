/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "session.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "exit_code.h"

enum { PATIENCE_MS = 30000, CONNECT_MS = 10000, CONNECT_MORE_MS = 3000, SLOT_WAIT_MS = 100, SETTLE_MS = 300, SETTLE_MAX_MS = 3000 };

int64_t clock_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ------------------------------------------------------------------------------------------------ signals */

static sigset_t stop_signals(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGHUP);
  return set;
}

void session_block_signals(void) {
  sigset_t set = stop_signals();
  sigprocmask(SIG_BLOCK, &set, NULL);
}

/* The first one ends what is under way in order; an impatient second one ends the process. */
static void take_signal(session *s) {
  struct signalfd_siginfo info;
  sigset_t set = stop_signals();
  if (read(s->signals, &info, sizeof info) != (ssize_t)sizeof info) return;
  s->stopped = true;
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* ------------------------------------------------------------------------------------------------ slots */

static int set_account(const session *s, chat_client *client) {
  const account *a = &s->profile->account;
  int error = chat_client_set(client, "url", a->url);
  if (!error && a->ca_file[0]) error = chat_client_set(client, "ca-file", a->ca_file);
  if (!error && a->pin_sha256[0]) error = chat_client_set(client, "pin-sha256", a->pin_sha256);
  if (!error && a->device_name[0]) error = chat_client_set(client, "device-name", a->device_name);
  if (!error && !s->options->offline) error = chat_client_set(client, "token", a->token);
  if (!error) error = chat_client_set(client, "backoff-max", "5s");
  return error;
}

static int open_slot(session *s, int slot) {
  char path[PROFILE_PATH_LEN];
  chat_client *client;
  int error = chat_client_new(CHAT_API_VERSION, NULL, &client);
  if (error) return error;
  profile_slot_path(s->profile, path, slot, "db");
  error = set_account(s, client);
  if (!error) error = chat_client_set(client, "database", path);
  if (!error) error = chat_client_start(client);
  if (error) {
    chat_client_free(client);
    return error;
  }
  s->client = client;
  s->slot = slot;
  return 0;
}

/* A new slot knows nothing before it has been connected. */
static bool is_of_use(const session *s, int slot) {
  char path[PROFILE_PATH_LEN];
  profile_slot_path(s->profile, path, slot, "db");
  return !s->options->offline || access(path, F_OK) == 0;
}

/* Slots with something unsent come first, so that it is not forgotten. */
static int open_any_slot(session *s) {
  int error = CHAT_E_BUSY;
  for (int unsent = 1; unsent >= 0 && error == CHAT_E_BUSY; unsent--)
    for (int slot = 0; slot < SLOT_COUNT && error == CHAT_E_BUSY; slot++)
      if (is_of_use(s, slot) && profile_is_unsent(s->profile, slot) == (unsent == 1)) error = open_slot(s, slot);
  return error;
}

static void pause_ms(int ms) {
  poll(NULL, 0, ms);
}

int session_open(session *s, const options *o, const profile *p, int slot) {
  sigset_t set = stop_signals();
  *s = (session){.options = o, .profile = p, .slot = -1, .patience_ms = o->timeout_s ? (int64_t)o->timeout_s * 1000 : PATIENCE_MS};
  session_progress(s);
  s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  int error = slot < 0 ? open_any_slot(s) : open_slot(s, slot);
  while (error == CHAT_E_BUSY && clock_ms() < s->deadline_ms) {
    pause_ms(SLOT_WAIT_MS);
    error = slot < 0 ? open_any_slot(s) : open_slot(s, slot);
  }
  if (error && s->signals >= 0) close(s->signals);
  return error;
}

/* A local question, answered at once. */
static bool has_pending(session *s) {
  int status;
  uint64_t pending = 0;
  const chat_event *event = session_reply(s, chat_client_conversations(s->client, session_tag(s), 0, 1000), &status);
  for (size_t i = 0; event && i < event->conversation_count; i++) pending += event->conversations[i]->pending;
  return !event || status != 0 || pending > 0 || event->more;
}

/* What an earlier command has left in the outbox is given a moment to go out. Where nothing waits any more, the slot need not be taken first again. */
static void look_for_unsent(session *s) {
  if (!profile_is_unsent(s->profile, s->slot)) return;
  bool waits = s->state == CHAT_STATE_LIVE && !s->stopped;
  s->on_event = NULL;
  s->stopped = false;
  s->deadline_ms = clock_ms() + SETTLE_MAX_MS;
  bool pending = has_pending(s);
  for (int64_t until_ms = clock_ms() + SETTLE_MAX_MS; pending && waits && clock_ms() < until_ms; pending = has_pending(s))
    if (session_step(s, -1, clock_ms() + SLOT_WAIT_MS) == STEP_STOP) return;
  if (!pending) profile_set_unsent(s->profile, s->slot, false);
}

void session_close(session *s) {
  if (!s->client) return;
  look_for_unsent(s);
  chat_client_free(s->client);
  s->client = NULL;
  if (s->signals >= 0) close(s->signals);
}

/* ------------------------------------------------------------------------------------------------ steps */

static void track(session *s, const chat_event *event) {
  if (event->type == CHAT_EVENT_TOKEN && event->until_ms) s->token_until_ms = event->until_ms;
  if (event->type != CHAT_EVENT_STATE) return;
  s->state = event->state;
  s->status = event->status;
}

static bool pull(session *s) {
  s->event = chat_client_wait(s->client, 0);
  if (s->event) track(s, s->event);
  return s->event != NULL;
}

/* How long to wait; the clock may be asked again after a minute. */
static int wait_ms(int64_t until_ms) {
  int64_t left_ms = until_ms - clock_ms();
  return left_ms < 0 ? 0 : left_ms > 60000 ? 60000 : (int)left_ms;
}

session_step_kind session_step(session *s, int input, int64_t until_ms) {
  if (until_ms < 0) until_ms = s->deadline_ms;
  for (;;) {
    take_signal(s); /* before events: where they never end, a signal still does */
    if (s->stopped) return STEP_STOP;
    if (pull(s)) return STEP_EVENT;
    struct pollfd fds[] = {{chat_client_fd(s->client), POLLIN, 0}, {s->signals, POLLIN, 0}, {input, POLLIN, 0}};
    int timeout_ms = wait_ms(until_ms), count = poll(fds, 3, timeout_ms);
    if (count < 0 && errno != EINTR) return STEP_LATE;
    if (count > 0 && fds[2].revents && !fds[1].revents) return STEP_INPUT;
    if (count == 0 && timeout_ms == 0) return STEP_LATE;
  }
}

void session_progress(session *s) {
  s->deadline_ms = clock_ms() + s->patience_ms;
}

uint64_t session_tag(session *s) {
  return ++s->last_tag;
}

const chat_event *session_reply(session *s, int error, int *status) {
  *status = error;
  if (error) return NULL;
  uint64_t tag = s->last_tag;
  for (;;) {
    session_step_kind kind = session_step(s, -1, -1);
    if (kind != STEP_EVENT) {
      *status = kind == STEP_STOP ? CHAT_E_CANCELED : CHAT_E_TIMEOUT;
      return NULL;
    }
    if (s->event->type == CHAT_EVENT_REPLY && s->event->tag == tag) break;
    if (s->on_event) s->on_event(s->on_event_arg, s->event);
  }
  *status = s->event->status;
  return s->event;
}

/* The last word of the server before the answer to this: what went out before has arrived. */
void session_settle(session *s) {
  int status;
  if (s->state != CHAT_STATE_LIVE || s->options->offline) return;
  int64_t until_ms = clock_ms() + SETTLE_MS;
  while (session_step(s, -1, until_ms) == STEP_EVENT)
    if (s->on_event) s->on_event(s->on_event_arg, s->event);
  s->deadline_ms = clock_ms() + SETTLE_MAX_MS;
  session_reply(s, chat_client_devices(s->client, session_tag(s)), &status);
}

/* ------------------------------------------------------------------------------------------------ connecting */

/* 0: not decided yet. */
static int no_hope(const session *s) {
  if (s->state == CHAT_STATE_SHUT_OUT) return s->status ? s->status : CHAT_E_AUTH;
  return s->state == CHAT_STATE_OFFLINE ? s->status : 0;
}

/* With a --timeout of one's own it is tried for so long; else a failed attempt gets a few seconds more. */
static int64_t connect_until(const session *s, int64_t until_ms) {
  int64_t sooner_ms = clock_ms() + CONNECT_MORE_MS;
  if (s->options->timeout_s || s->state != CHAT_STATE_CONNECTING || !s->status) return until_ms;
  return sooner_ms < until_ms ? sooner_ms : until_ms;
}

int session_connect(session *s) {
  int reason = CHAT_E_OFFLINE;
  if (s->options->offline) return 0;
  int64_t until_ms = clock_ms() + (s->options->timeout_s ? s->patience_ms : CONNECT_MS);
  for (;;) {
    session_step_kind kind = session_step(s, -1, until_ms);
    if (kind == STEP_STOP) return CHAT_E_CANCELED;
    if (kind == STEP_LATE) return reason;
    if (s->event->type == CHAT_EVENT_STATE) {
      if (s->state == CHAT_STATE_LIVE) break;
      if (no_hope(s)) return no_hope(s);
      if (s->status) reason = s->status;
      until_ms = connect_until(s, until_ms);
    } else if (s->on_event) {
      s->on_event(s->on_event_arg, s->event);
    }
  }
  session_progress(s);
  return 0;
}

static int fail_to_open(const session *s, int error, int slot) {
  if (error == CHAT_E_BUSY && slot >= 0) return fail_text(EXIT_FAILED, "the device that this has to go out from is in use by another command");
  if (error == CHAT_E_BUSY) return fail_text(EXIT_FAILED, "other commands of this profile are running, as many as there may be%s", s->options->offline ? " while offline" : "");
  return fail_error("the local database cannot be opened", error);
}

/* What to do about it. */
static void hint(const session *s, int error) {
  const char *user = s->profile->account.user;
  if ((error == CHAT_E_AUTH || error == CHAT_E_CONFLICT) && user[0])
    fail_text(0, "this profile is %s's; for another user: chat logout, or --profile", user);
  else if (error == CHAT_E_EXPIRED || error == CHAT_E_REVOKED)
    fail_text(0, "chat login again%s", error == CHAT_E_REVOKED ? ", after chat logout" : "");
  else if (error == CHAT_E_LIMIT)
    fail_text(0, "this user has as many devices as the server allows: chat devices revoke");
  else if (exit_code_of(error) != EXIT_LOGIN && error != CHAT_E_CANCELED)
    fail_text(0, "with --offline what is on this machine is shown");
}

/* Whatever the reason that there is no connection, it is the connection that is missing. */
static int fail_to_connect(const session *s, int error) {
  int code = exit_code_of(error);
  if (error == CHAT_E_CANCELED || error == CHAT_E_LIMIT || error == CHAT_E_VERSION) code = EXIT_FAILED;
  else if (error == CHAT_E_CONFLICT) code = EXIT_LOGIN;
  else if (code != EXIT_LOGIN) code = EXIT_UNREACHABLE;
  fail_text(code, "%s: %s (%s)", s->profile->account.url, chat_error_text(error), chat_error_name(error));
  hint(s, error);
  return code;
}

int session_begin(session *s, const options *o, const profile *p, int slot) {
  if (!profile_is_logged_in(p)) return fail_text(EXIT_LOGIN, "not logged in: chat login URL TOKEN");
  int error = session_open(s, o, p, slot);
  if (error) return fail_to_open(s, error, slot);
  error = session_connect(s);
  if (!error) return EXIT_DONE;
  int code = fail_to_connect(s, error);
  session_close(s);
  return code;
}
