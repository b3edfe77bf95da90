/* SPDX-License-Identifier: Apache-2.0 */
/*
 * profile.h - what `chat login` leaves behind: one folder for each profile, 0700.
 *
 *   account     lines `name = value`: url, token, ca-file, pin-sha256, device-name, user; 0600
 *   N.db        the database of slot N, and so a device of its own. A command takes one that no other command has
 *   N.unsent    there while the outbox of slot N may hold something: that slot is taken first, so that it gets sent
 *   inputs/ID   which slot and client ids `send --id ID` uses (input_id.h)
 */
#ifndef CLI_PROFILE_H
#define CLI_PROFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "options.h"

enum { PROFILE_PATH_LEN = 4096, SLOT_COUNT = 8, ACCOUNT_TEXT_LEN = 8200 };

typedef struct account {
  char url[2048], token[ACCOUNT_TEXT_LEN], ca_file[2048], pin_sha256[80], device_name[80];
  char user[80]; /* as the server said at login */
} account;

typedef struct profile {
  char folder[PROFILE_PATH_LEN - 128];
  account account;
} profile;

/* Finds the folder, and reads the account where there is one. An exit code, said on stderr. */
int profile_find(profile *p, const options *o);
bool profile_is_logged_in(const profile *p);

/* The folder that databases go into. An exit code, said on stderr. */
int profile_make_folder(const profile *p);
/* The account, whole or not at all. An exit code, said on stderr. */
int profile_save(const profile *p);
/* Every file of the profile. */
void profile_remove(const profile *p);

void profile_path(const profile *p, char path[PROFILE_PATH_LEN], const char *name);
void profile_slot_path(const profile *p, char path[PROFILE_PATH_LEN], int slot, const char *ending);

bool profile_is_unsent(const profile *p, int slot);
/* CHAT_E_IO where it cannot be written. */
int profile_set_unsent(const profile *p, int slot, bool unsent);

#endif
