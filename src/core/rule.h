/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rule.h - where a rule of the design is kept. CH_RULE(C2) marks the place and is true.
 *
 * The simulator is also built with CH_RULES_CAN_BE_LEFT_OUT (chat-sim-rules): there one rule at a time is left out, so that it can be shown what breaks without it. In the library
 * nothing is left of the mark.
 */
#ifndef CH_CORE_RULE_H
#define CH_CORE_RULE_H

#include <stdbool.h>

typedef enum ch_rule {
  CH_RULE_NONE,
  /* docs/architecture.md, "Rules" */
  CH_RULE_C1, CH_RULE_C2, CH_RULE_C3, CH_RULE_C4, CH_RULE_C5, CH_RULE_C6, CH_RULE_C7, CH_RULE_C8,
  CH_RULE_G1, CH_RULE_G2, CH_RULE_G3,
  CH_RULE_S1, CH_RULE_S2, CH_RULE_S3,
  CH_RULE_V1, CH_RULE_V2, CH_RULE_V3, CH_RULE_V4, CH_RULE_V5, CH_RULE_V6, CH_RULE_V7, CH_RULE_V8,
  /* What nobody would call a rule, and what a design without it would be. */
  CH_RULE_APPEND_BEFORE_ACK,
  CH_RULE_ID_AT_COMMIT,      /* else: given at the gateway */
  CH_RULE_DEDUP,
  CH_RULE_NUMBERS_STORED,    /* else: sender numbers are lost at a takeover */
  CH_RULE_EFFECTS_FIRST,     /* else: state is written before them */
  CH_RULE_CURSOR_WITH_ROWS,  /* else: the cursor moves whether the commit succeeds or not */
  CH_RULE_CURSOR_WITHOUT_GAP, /* else: the cursor is the highest id */
  CH_RULE_STORED_BEFORE_SAID, /* else: delivered is said when it is heard of */
  CH_RULE_COUNT
} ch_rule;

#ifdef CH_RULES_CAN_BE_LEFT_OUT
extern ch_rule ch_rule_left_out;
#define CH_RULE(rule) (ch_rule_left_out != CH_RULE_##rule)
#else
#define CH_RULE(rule) true
#endif

#endif
