/* SPDX-License-Identifier: Apache-2.0 */
#include <chat/chat.h>
#include <stddef.h>

/* chat.h is the list; the unit test reads it there and finds what is missing here. */
#define ROW(error, sentence) [-(error)] = {#error, sentence}

static const struct {
  const char *name, *text;
} rows[] = {
    ROW(CHAT_OK, "No error."),
    ROW(CHAT_E_INVALID, "The request breaks a rule of the API, or an argument is out of its bounds."),
    ROW(CHAT_E_NOMEM, "There is not enough memory; nothing was changed."),
    ROW(CHAT_E_BUSY, "A queue is full, or another process owns the database."),
    ROW(CHAT_E_AGAIN, "Not possible at the moment; the same request may succeed later."),
    ROW(CHAT_E_TIMEOUT, "The deadline passed."),
    ROW(CHAT_E_CANCELED, "The request was given up because its owner stopped."),
    ROW(CHAT_E_CLOSED, "The handle or connection is closed."),
    ROW(CHAT_E_OFFLINE, "The request needs a connection to the server and there is none."),
    ROW(CHAT_E_SUSPENDED, "The client is suspended."),
    ROW(CHAT_E_IO, "A file or socket failed."),
    ROW(CHAT_E_FULL, "There is no space left on the device."),
    ROW(CHAT_E_CORRUPT, "Stored data is damaged."),
    ROW(CHAT_E_VERSION, "This was made by, or is meant for, a version that cannot be served."),
    ROW(CHAT_E_UNSUPPORTED, "This request, kind or option is not known here."),
    ROW(CHAT_E_PROTOCOL, "The peer sent bytes that the protocol does not allow."),
    ROW(CHAT_E_TOO_LARGE, "This is larger than its limit."),
    ROW(CHAT_E_AUTH, "The credentials are missing or were not accepted."),
    ROW(CHAT_E_EXPIRED, "The credentials have expired, or are not valid yet."),
    ROW(CHAT_E_NOT_FOUND, "There is no such thing, or it is not for you."),
    ROW(CHAT_E_CONFLICT, "The same id was used before with other content."),
    ROW(CHAT_E_EXISTS, "This exists already."),
    ROW(CHAT_E_LIMIT, "A limit of count is reached."),
    ROW(CHAT_E_REPLACED, "The same device opened a newer session."),
    ROW(CHAT_E_REVOKED, "This device or user was shut out."),
    ROW(CHAT_E_UNKNOWN, "The outcome is not known; keep the id and try again."),
    ROW(CHAT_E_DENIED, "You may not do this here."),
    ROW(CHAT_E_GONE, "This was pruned or is of an earlier epoch, and will not come back."),
    ROW(CHAT_E_TLS, "The server's certificate was not accepted, or TLS could not be set up."),
    ROW(CHAT_E_INTERNAL, "A defect of the library; please report it."),
};

/* Index of an error's row; -1 for a number that is not in the list. Written without negating INT_MIN. */
static int row_of(int error) {
  const int count = (int)(sizeof rows / sizeof *rows);
  return error > 0 || error <= -count ? -1 : -error;
}

const char *chat_error_name(int error) {
  int row = row_of(error);
  return row < 0 ? "CHAT_E_?" : rows[row].name;
}

const char *chat_error_text(int error) {
  int row = row_of(error);
  return row < 0 ? "An error that this version does not know." : rows[row].text;
}
