/* SPDX-License-Identifier: Apache-2.0 */
/*
 * case.h - one story with one plan of failures, in a process of its own: what it crashes, leaks, or hangs on is said by how that process ends.
 */
#ifndef CH_TEST_CASE_H
#define CH_TEST_CASE_H

#include <stdio.h>
#include <sys/types.h>

#include "failure.h"
#include "story.h"

enum { CASE_PROBLEM_MAX = 512 };

/* Shared by parent and child. */
typedef struct case_result {
  failure_record record;
  char problem[CASE_PROBLEM_MAX]; /* why it is broken; empty: it is not */
} case_result;

typedef struct test_case {
  const ch_story *story;
  failure_plan plan;
  case_result *result;
  pid_t pid;
  char folder[64]; /* its files, and what it wrote to stderr */
} test_case;

/* A folder for all, what a process does only once is done, and memory in which a child may write. Before the first case. */
void case_prepare(void);
void *case_shared(size_t len);
/* The folder and all in it. */
void case_cleanup(void);

void case_start(test_case *one);
/* After the process has ended with `status` of waitpid: true where all is well. Its folder is gone then, else what it said is printed. */
bool case_judge(test_case *one, int status);

void case_print(FILE *out, const test_case *one);

#endif
