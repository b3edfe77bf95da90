/* SPDX-License-Identifier: Apache-2.0 */
/*
 * option_print.h - what people read about options, printed from the table. Each appends text to out; errors stay in
 * out->error (CHAT_E_TOO_LARGE, CHAT_E_NOMEM).
 */
#ifndef CH_CORE_OPTION_PRINT_H
#define CH_CORE_OPTION_PRINT_H

#include "core/option.h"

/* The options part of `--help`: two lines each. */
void ch_options_print_help(const ch_option_table *table, ch_buf *out);
/* A configuration file with every option at its default, commented out. ch_options_from_file reads it with or without
 * the '#' in front of the names. */
void ch_options_print_sample(const ch_option_table *table, ch_buf *out);
/* The table of docs/options.md, in Markdown. */
void ch_options_print_markdown(const ch_option_table *table, ch_buf *out);

/* In one of the forms CHAT_PRINT_*, as chat_server_print_options and chat_client_print_options promise: into `out` (may be NULL), cut to len with its NUL; returns the length of
 * the whole, 0 for an unknown form or where memory is out. */
size_t ch_options_print(const ch_option_table *table, int form, char *out, size_t len);

#endif
