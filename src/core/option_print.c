/* SPDX-License-Identifier: Apache-2.0 */
#include "core/option_print.h"

#include <string.h>

enum { PRINT_MAX = 256 * 1024 };

/* Indexed by ch_option_type. */
static const char *const placeholders[] = {"", " NUMBER", " SIZE", " DURATION", " TEXT", " WORD"};

static void put_flags(unsigned flags, ch_buf *out) {
  static const struct {
    unsigned flag;
    const char *text;
  } names[] = {
      {CH_OPTION_DEV, " For development only."},
      {CH_OPTION_RELOADABLE, " Can change without a restart."},
      {CH_OPTION_SECRET, " Secret."},
  };
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (flags & names[i].flag) ch_buf_put_text(out, names[i].text);
  }
}

/* "Help. Allowed is …; default 15s. Can change without a restart." */
static void put_description(const ch_option *option, ch_buf *out) {
  ch_buf_printf(out, "%s Allowed is ", option->help);
  ch_option_put_allowed(option, out);
  if (option->initial[0] != '\0') ch_buf_printf(out, "; default %s", option->initial);
  ch_buf_put_text(out, ".");
  put_flags(option->flags, out);
}

void ch_options_print_help(const ch_option_table *table, ch_buf *out) {
  for (const ch_option *option = table->rows; option < table->rows + table->count; option++) {
    ch_buf_printf(out, "  --%s%s\n        ", option->name, placeholders[option->type]);
    put_description(option, out);
    ch_buf_put_text(out, "\n");
  }
}

void ch_options_print_sample(const ch_option_table *table, ch_buf *out) {
  for (const ch_option *option = table->rows; option < table->rows + table->count; option++) {
    ch_buf_put_text(out, "# ");
    put_description(option, out);
    ch_buf_printf(out, "\n#%s = %s\n\n", option->name, option->initial);
  }
}

void ch_options_print_markdown(const ch_option_table *table, ch_buf *out) {
  ch_buf_put_text(out, "| option | default | allowed | meaning |\n| --- | --- | --- | --- |\n");
  for (const ch_option *option = table->rows; option < table->rows + table->count; option++) {
    ch_buf_printf(out, "| `%s` | %s | ", option->name, option->initial);
    ch_option_put_allowed(option, out);
    ch_buf_printf(out, " | %s", option->help);
    put_flags(option->flags, out);
    ch_buf_put_text(out, " |\n");
  }
}

size_t ch_options_print(const ch_option_table *table, int form, char *out, size_t len) {
  ch_buf text;
  ch_buf_init(&text, NULL, PRINT_MAX);
  switch (form) {
  case CHAT_PRINT_HELP: ch_options_print_help(table, &text); break;
  case CHAT_PRINT_SAMPLE: ch_options_print_sample(table, &text); break;
  case CHAT_PRINT_MARKDOWN: ch_options_print_markdown(table, &text); break;
  default: break;
  }
  size_t whole = text.error ? 0 : text.len;
  if (out && len > 0) {
    size_t cut = whole < len - 1 ? whole : len - 1;
    if (cut) memcpy(out, text.data, cut);
    out[cut] = '\0';
  }
  ch_buf_fini(&text);
  return whole;
}
