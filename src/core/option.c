/* SPDX-License-Identifier: Apache-2.0 */
#include "core/option.h"

#include <chat/chat.h>
#include <inttypes.h>
#include <string.h>

#include "core/assert.h"

enum { QUOTED_LEN_MAX = 64 };

/* --- names --- */

static uint8_t folded(uint8_t byte) {
  if (byte >= 'A' && byte <= 'Z') return byte | 0x20;
  return byte == '_' ? '-' : byte;
}

static bool same_word(const char *word, ch_bytes text) {
  if (strlen(word) != text.len) return false;
  for (size_t i = 0; i < text.len; i++) {
    if (folded(text.data[i]) != (uint8_t)word[i]) return false;
  }
  return true;
}

const ch_option *ch_option_find(const ch_option_table *table, ch_bytes name) {
  for (size_t i = 0; i < table->count; i++) {
    if (same_word(table->rows[i].name, name)) return &table->rows[i];
  }
  return NULL;
}

/* Index of text in words; -1 when it is not there. */
static int word_index(const char *const *words, ch_bytes text) {
  for (int i = 0; words[i]; i++) {
    if (same_word(words[i], text)) return i;
  }
  return -1;
}

/* --- numbers with units --- */

/* From the largest to the smallest, which is 1. */
typedef struct unit_row {
  const char *suffix;
  int64_t factor;
} unit_row;

static const unit_row count_units[] = {{"", 1}};
static const unit_row size_units[] = {
    {"t", INT64_C(1) << 40}, {"g", INT64_C(1) << 30}, {"m", INT64_C(1) << 20}, {"k", INT64_C(1) << 10}, {"", 1}};
static const unit_row duration_units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};

typedef struct unit_list {
  const unit_row *units;
  size_t count;
  const char *noun;
} unit_list;

#define UNITS(list, noun)                                                                                                                  \
  { list, sizeof list / sizeof *list, noun }
static const unit_list unit_lists[] = {
    [CH_OPTION_INT] = UNITS(count_units, "a whole number"),
    [CH_OPTION_SIZE] = UNITS(size_units, "a size in bytes (or 64k, 10m, 1g)"),
    [CH_OPTION_DURATION] = UNITS(duration_units, "a duration (500ms, 15s, 5m, 7d)"),
};

/* Takes the decimal digits at the head of *text. false when there are none or the number does not fit. */
static bool take_digits(ch_bytes *text, int64_t *out) {
  const uint8_t *start = text->data;
  for (*out = 0; text->len > 0 && *text->data >= '0' && *text->data <= '9'; text->data++, text->len--) {
    int digit = *text->data - '0';
    if (*out > (INT64_MAX - digit) / 10) return false;
    *out = *out * 10 + digit;
  }
  return text->data > start;
}

/* Zero is the same in every unit and needs none. */
static bool scale(const unit_list *list, ch_bytes suffix, int64_t *number) {
  if (*number == 0 && suffix.len == 0) return true;
  for (size_t i = 0; i < list->count; i++) {
    const unit_row *unit = &list->units[i];
    if (!same_word(unit->suffix, suffix)) continue;
    if (*number > INT64_MAX / unit->factor) return false;
    *number *= unit->factor;
    return true;
  }
  return false;
}

static bool parse_number(const ch_option *option, ch_bytes text, int64_t *out) {
  bool negative = option->min < 0 && text.len > 0 && *text.data == '-';
  if (negative) text = ch_bytes_of(text.data + 1, text.len - 1);
  if (!take_digits(&text, out) || !scale(&unit_lists[option->type], text, out)) return false;
  if (negative) *out = -*out;
  return *out >= option->min && *out <= option->max;
}

/* In the largest unit that gives a whole number. */
static void put_number(ch_buf *out, ch_option_type type, int64_t number) {
  const unit_row *unit = unit_lists[type].units;
  while (number % unit->factor != 0 || (number == 0 && unit->factor > 1))
    unit++;
  ch_buf_printf(out, "%" PRId64 "%s", number / unit->factor, unit->suffix);
}

/* --- one parser for each type: sets the field at value, or gives false without an effect --- */

static bool parse_bool(const ch_option *option, ch_bytes text, void *value) {
  static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1", NULL};
  (void)option;
  int index = word_index(words, text);
  if (index >= 0) *(bool *)value = index % 2 == 1;
  return index >= 0;
}

static bool parse_int(const ch_option *option, ch_bytes text, void *value) {
  int64_t number;
  if (!parse_number(option, text, &number)) return false;
  *(int64_t *)value = number;
  return true;
}

static bool parse_unsigned(const ch_option *option, ch_bytes text, void *value) {
  int64_t number;
  if (!parse_number(option, text, &number)) return false;
  *(uint64_t *)value = (uint64_t)number;
  return true;
}

/* What an earlier and longer value left behind is wiped. */
static bool parse_string(const ch_option *option, ch_bytes text, void *value) {
  if (text.len >= option->len || text.len < (size_t)option->min) return false;
  if (text.len > 0 && memchr(text.data, '\0', text.len)) return false;
  memset(value, 0, option->len);
  if (text.len > 0) memcpy(value, text.data, text.len);
  return true;
}

static bool parse_enum(const ch_option *option, ch_bytes text, void *value) {
  int index = word_index(option->choices, text);
  if (index >= 0) *(int *)value = index;
  return index >= 0;
}

/* --- one line for each type: what may be written --- */

static void put_bool_allowed(const ch_option *option, ch_buf *out) {
  (void)option;
  ch_buf_put_text(out, "true or false");
}

static void put_number_allowed(const ch_option *option, ch_buf *out) {
  ch_buf_printf(out, "%s from ", unit_lists[option->type].noun);
  put_number(out, option->type, option->min);
  ch_buf_put_text(out, " to ");
  put_number(out, option->type, option->max);
}

static void put_string_allowed(const ch_option *option, ch_buf *out) {
  ch_buf_printf(out, "text of %" PRId64 " to %zu bytes", option->min, option->len - 1);
}

static void put_enum_allowed(const ch_option *option, ch_buf *out) {
  for (int i = 0; option->choices[i]; i++)
    ch_buf_printf(out, "%s%s", i > 0 ? ", " : "one of ", option->choices[i]);
}

static const struct {
  bool (*parse)(const ch_option *option, ch_bytes text, void *value);
  void (*put_allowed)(const ch_option *option, ch_buf *out);
  size_t len; /* of the field; 0: any */
} types[] = {
    [CH_OPTION_BOOL] = {parse_bool, put_bool_allowed, sizeof(bool)},
    [CH_OPTION_INT] = {parse_int, put_number_allowed, sizeof(int64_t)},
    [CH_OPTION_SIZE] = {parse_unsigned, put_number_allowed, sizeof(uint64_t)},
    [CH_OPTION_DURATION] = {parse_unsigned, put_number_allowed, sizeof(uint64_t)},
    [CH_OPTION_STRING] = {parse_string, put_string_allowed, 0},
    [CH_OPTION_ENUM] = {parse_enum, put_enum_allowed, sizeof(int)},
};

void ch_option_put_allowed(const ch_option *option, ch_buf *out) {
  types[option->type].put_allowed(option, out);
}

/* --- errors --- */

/* What was given may be long, or hold bytes that a terminal obeys. */
static void put_quoted(ch_buf *out, ch_bytes given) {
  size_t len = given.len < QUOTED_LEN_MAX ? given.len : QUOTED_LEN_MAX;
  ch_buf_put_u8(out, '\'');
  for (size_t i = 0; i < len; i++)
    ch_buf_put_u8(out, given.data[i] < 0x20 || given.data[i] == 0x7F ? '?' : given.data[i]);
  ch_buf_put_text(out, given.len > len ? "...'" : "'");
}

int ch_options_fail(ch_options options, int error, const char *what, ch_bytes given) {
  if (!options.why) return error;
  if (options.where) ch_buf_printf(options.why, "%s: ", options.where);
  ch_buf_printf(options.why, "%s ", what);
  put_quoted(options.why, given);
  return error;
}

static int fail_value(ch_options options, const ch_option *option, ch_bytes text) {
  bool secret = option->flags & CH_OPTION_SECRET;
  ch_options_fail(options, CHAT_E_INVALID, "option", ch_bytes_text(option->name));
  if (!options.why) return CHAT_E_INVALID;
  ch_buf_put_text(options.why, " cannot be ");
  if (secret)
    ch_buf_put_text(options.why, "what was given");
  else
    put_quoted(options.why, text);
  ch_buf_put_text(options.why, "; allowed is ");
  ch_option_put_allowed(option, options.why);
  return CHAT_E_INVALID;
}

/* --- setting --- */

static bool set_row(ch_options options, const ch_option *option, ch_bytes text) {
  return types[option->type].parse(option, text, (char *)options.values + option->offset);
}

void ch_options_init(ch_options options) {
  for (size_t i = 0; i < options.table->count; i++) {
    const ch_option *option = &options.table->rows[i];
    ch_assert(types[option->type].len == 0 || types[option->type].len == option->len);
    bool is_valid = set_row(options, option, ch_bytes_text(option->initial));
    ch_assert(is_valid);
  }
}

int ch_options_set(ch_options options, ch_bytes name, ch_bytes text) {
  const ch_option *option = ch_option_find(options.table, name);
  if (!option) return ch_options_fail(options, CHAT_E_UNSUPPORTED, "there is no option", name);
  return set_row(options, option, text) ? CHAT_OK : fail_value(options, option, text);
}
