/* SPDX-License-Identifier: Apache-2.0 */
/* command.h - the table of commands. Each runs to its end and gives an exit code, having said on stderr what went wrong. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include "options.h"
#include "profile.h"

typedef struct command {
  const char *name;     /* one or two words */
  const char *operands; /* as help shows them */
  int operand_min, operand_max;
  const char *options;  /* those of options.c, separated by spaces */
  int (*run)(const options *o, profile *p, int count, char **operands);
  const char *summary;
} command;

enum { OPERANDS_MANY = 1000 };

int command_login(const options *o, profile *p, int count, char **operands);
int command_logout(const options *o, profile *p, int count, char **operands);
int command_whoami(const options *o, profile *p, int count, char **operands);

int command_send(const options *o, profile *p, int count, char **operands);
int command_listen(const options *o, profile *p, int count, char **operands);
int command_open(const options *o, profile *p, int count, char **operands);

int command_history(const options *o, profile *p, int count, char **operands);
int command_search(const options *o, profile *p, int count, char **operands);
int command_conversations(const options *o, profile *p, int count, char **operands);
int command_read(const options *o, profile *p, int count, char **operands);
int command_verify(const options *o, profile *p, int count, char **operands);

int command_outbox(const options *o, profile *p, int count, char **operands);
int command_discard(const options *o, profile *p, int count, char **operands);

int command_presence(const options *o, profile *p, int count, char **operands);
int command_devices(const options *o, profile *p, int count, char **operands);
int command_revoke(const options *o, profile *p, int count, char **operands);

int command_group_create(const options *o, profile *p, int count, char **operands);
int command_group_add(const options *o, profile *p, int count, char **operands);
int command_group_remove(const options *o, profile *p, int count, char **operands);
int command_group_leave(const options *o, profile *p, int count, char **operands);
int command_group_rename(const options *o, profile *p, int count, char **operands);
int command_group_role(const options *o, profile *p, int count, char **operands);
int command_group_owner(const options *o, profile *p, int count, char **operands);
int command_group_channel(const options *o, profile *p, int count, char **operands);
int command_group_from_start(const options *o, profile *p, int count, char **operands);
int command_group_info(const options *o, profile *p, int count, char **operands);

#endif
