/* SPDX-License-Identifier: Apache-2.0 */
/*
 * suite.h - one contract, held against every version of a kind: the same tests run between open and close of each, each in a process of its own.
 *
 * What all server backends owe whatever their kind (the first page of chat/backend.h: ports, wakes, cancelling, bounds) is written once, in port.c, and is part of every suite that
 * hands in its port_subject.
 */
#ifndef CH_TEST_CONTRACT_SUITE_H
#define CH_TEST_CONTRACT_SUITE_H

#include <chat/backend.h>
#include <check.h>

typedef struct contract_version {
  const char *name;
  void (*open)(void);
  void (*close)(void);
} contract_version;

/* What port.c needs to know of a kind. */
typedef struct port_subject {
  const chat_backend *backend;  /* opened by the version */
  chat_op *(*quick)(void);      /* makes an op that does not wait for anything … */
  int quick_status;             /* … and ends with this */
  chat_op *(*long_poll)(void);  /* makes one that waits, as long as nothing happens; NULL: the kind has none */
} port_subject;

typedef struct contract_suite {
  const char *kind;
  const contract_version *versions;
  size_t version_count;
  const TTest *const *tests;
  size_t test_count;
  port_subject port;
} contract_suite;

/* Exit code of the program. */
int contract_run(const contract_suite *contract);

#define CONTRACT_LIST(array) array, sizeof(array) / sizeof *(array)

#endif
