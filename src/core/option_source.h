/* SPDX-License-Identifier: Apache-2.0 */
/*
 * option_source.h - options as people write them: command line, configuration file, environment. The text is handed in;
 * each option ends in ch_options_set. Later sources win, so a program calls file, environment, command line in this order.
 *
 * All stop at the first error, with its sentence in options.why; what came before it stays set. Errors of ch_options_set,
 * and CHAT_E_INVALID where a line or argument has not the right form.
 */
#ifndef CH_CORE_OPTION_SOURCE_H
#define CH_CORE_OPTION_SOURCE_H

#include "core/option.h"

/* Takes `--name value`, `--name=value` and, for true and CH_OPTION_BOOL only, `--name` from the head of args: count
 * arguments, without the program's name. Ends at the first that does not begin with "--", or behind "--". *used is how
 * many were taken, also on an error. */
int ch_options_from_args(ch_options options, int count, const char *const *args, int *used);

/* Reads lines `name = value`; blanks around both are dropped, empty lines and those whose first character is '#' skipped. A
 * '#' in a value belongs to it. The sentence about an error names the line. */
int ch_options_from_file(ch_options options, ch_bytes text);

/* Takes NAME=value strings, ended by NULL, that begin with prefix ("CHATD_"): CHATD_LOG_DIR sets log-dir. Names that no
 * option has are skipped, since others put variables there too (Kubernetes does for each service). */
int ch_options_from_environment(ch_options options, const char *prefix, const char *const *environment);

#endif
