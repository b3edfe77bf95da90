/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/directory_redis/url.h"

#include <string.h>

#include "core/bytes.h"

enum { DATABASE_MAX = 16383, PORT_MAX = 65535 };

static int refuse(ch_buf *why, const char *what) {
  ch_buf_put_text(why, what);
  return CHAT_E_INVALID;
}

/* A run of the text; it ends before `end`. */
typedef struct span {
  const char *at, *end;
} span;

static size_t span_len(span s) {
  return (size_t)(s.end - s.at);
}

/* The first of `stops` in s, or its end. */
static const char *span_find(span s, char stop) {
  const char *found = memchr(s.at, stop, span_len(s));
  return found ? found : s.end;
}

static bool read_number(span s, uint32_t max, uint32_t *out) {
  uint32_t number = 0;
  if (s.at == s.end || span_len(s) > 5) return false;
  for (; s.at < s.end; s.at++) {
    if (*s.at < '0' || *s.at > '9') return false;
    number = number * 10 + (uint32_t)(*s.at - '0');
  }
  *out = number;
  return number <= max;
}

/* ------------------------------------------------------------------------------------------------ scheme */

static const struct {
  const char *text;
  bool is_cluster, has_tls;
} schemes[] = {{"redis://", false, false}, {"rediss://", false, true}, {"redis-cluster://", true, false}, {"rediss-cluster://", true, true}};

static bool take_scheme(const char **text, ch_redis_url *url) {
  for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
    size_t len = strlen(schemes[i].text);
    if (strncmp(*text, schemes[i].text, len) != 0) continue;
    url->is_cluster = schemes[i].is_cluster;
    url->has_tls = schemes[i].has_tls;
    *text += len;
    return true;
  }
  return false;
}

/* ------------------------------------------------------------------------------------------------ who */

/* Percent-decoded (RFC 3986, 2.1); no NUL. */
static bool read_secret(span s, char out[CH_REDIS_SECRET_MAX + 1]) {
  size_t len = 0;
  while (s.at < s.end) {
    uint8_t byte = (uint8_t)*s.at++;
    if (byte == '%') {
      if (span_len(s) < 2 || !ch_hex_decode(ch_bytes_of(s.at, 2), &byte, 1)) return false;
      s.at += 2;
    }
    if (byte == 0 || len == CH_REDIS_SECRET_MAX) return false;
    out[len++] = (char)byte;
  }
  out[len] = '\0';
  return true;
}

static bool read_user(span s, ch_redis_url *url) {
  const char *colon = span_find(s, ':');
  if (colon == s.end) return false;
  return read_secret((span){s.at, colon}, url->user) && read_secret((span){colon + 1, s.end}, url->password) && url->password[0];
}

/* ------------------------------------------------------------------------------------------------ where */

/* [v6]:port, host:port, host. */
static bool read_address(span s, ch_redis_address *address) {
  span host = s;
  uint32_t port = CH_REDIS_PORT;
  if (s.at < s.end && *s.at == '[') {
    host = (span){s.at + 1, span_find(s, ']')};
    if (host.end == s.end) return false;
    s.at = host.end + 1;
    if (s.at < s.end && *s.at != ':') return false;
  } else {
    host.end = s.at = span_find(s, ':');
  }
  if (s.at < s.end && !read_number((span){s.at + 1, s.end}, PORT_MAX, &port)) return false;
  if (port == 0 || host.at == host.end || span_len(host) > CH_REDIS_HOST_MAX) return false;
  memcpy(address->host, host.at, span_len(host));
  address->host[span_len(host)] = '\0';
  address->port = (uint16_t)port;
  return true;
}

static int read_addresses(span s, ch_redis_url *url, ch_buf *why) {
  for (;;) {
    const char *comma = span_find(s, ',');
    if (url->count == CH_REDIS_SEEDS_MAX) return refuse(why, "the url names more than 128 servers, ");
    if (!read_address((span){s.at, comma}, &url->addresses[url->count++])) return refuse(why, "the url needs host:port, separated by commas, ");
    if (comma == s.end) return 0;
    s.at = comma + 1;
  }
}

int ch_redis_url_parse(const char *text, ch_redis_url *url, ch_buf *why) {
  memset(url, 0, sizeof *url);
  if (!take_scheme(&text, url)) return refuse(why, "the url begins with redis:// or redis-cluster://, ");
  span rest = {text, text + strlen(text)};
  const char *slash = span_find(rest, '/');
  if (slash != rest.end && slash + 1 != rest.end && (url->is_cluster || !read_number((span){slash + 1, rest.end}, DATABASE_MAX, &url->database)))
    return refuse(why, url->is_cluster ? "a cluster has no databases, " : "behind the / of the url stands the number of a database, ");
  rest.end = slash;
  const char *at = span_find(rest, '@');
  if (at != rest.end) {
    if (!read_user((span){rest.at, at}, url)) return refuse(why, "before the @ of the url stands user:password or :password, percent-encoded, ");
    rest.at = at + 1;
  }
  return read_addresses(rest, url, why);
}
