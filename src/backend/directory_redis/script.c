/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/directory_redis/script.h"

#include <openssl/evp.h>
#include <string.h>

#include "core/bytes.h"

/* Redis's clock, in ms; Lua's numbers hold it exactly. */
#define NOW                                                                                                                                \
  "local t = redis.call('TIME')\n"                                                                                                        \
  "local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"                                                                                   \
  "local function text(n) return string.format('%.0f', n) end\n"

/* Numbers of 64 bits are text; what is none counts as missing. */
#define NUMBERS                                                                                                                            \
  "local function number(v) return v and string.match(v, '^%d+$') end\n"                                                                  \
  "local function above(a, b) return #a > #b or (#a == #b and a > b) end\n"

#define ROUTES "local function read(v) return string.match(v, '^(%d+) (%d+) (.*)$') end\n"

/* Expired routes go when somebody renews. The device's newest session has the route; one that has expired is nobody's. */
static const char renew[] = NOW NUMBERS ROUTES
    "local device, session, gateway, life = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])\n"
    "local mine, count, first, first_at, last_at = nil, 0, nil, nil, now + life\n"
    "local routes = redis.call('HGETALL', KEYS[2])\n"
    "for i = 1, #routes, 2 do\n"
    "  local its, at = read(routes[i + 1])\n"
    "  at = tonumber(at)\n"
    "  if not at or at <= now then redis.call('HDEL', KEYS[2], routes[i])\n"
    "  else\n"
    "    if routes[i] == device then mine = its\n"
    "    else\n"
    "      count = count + 1\n"
    "      if not first_at or at < first_at then first, first_at = routes[i], at end\n"
    "    end\n"
    "    if at > last_at then last_at = at end\n"
    "  end\n"
    "end\n"
    "local newest = session\n"
    "if mine and above(mine, session) then newest = mine\n"
    "else\n"
    "  if not mine and count >= tonumber(ARGV[7]) then redis.call('HDEL', KEYS[2], first) end\n"
    "  redis.call('HSET', KEYS[2], device, session .. ' ' .. text(now + life) .. ' ' .. gateway)\n"
    "  redis.call('PEXPIRE', KEYS[2], text(last_at - now))\n"
    "end\n"
    "local seen = text(now)\n"
    "local was = redis.call('EXISTS', KEYS[1])\n"
    "redis.call('PSETEX', KEYS[1], ARGV[5], seen)\n"
    "redis.call('HSET', KEYS[3], 'seen', seen)\n"
    "redis.call('PEXPIRE', KEYS[3], ARGV[6])\n"
    "if was == 0 then redis.call('PUBLISH', KEYS[1], '1 ' .. seen) end\n"
    "return {number(redis.call('HGET', KEYS[3], 'pos')) or false, newest}\n";

/* A user without routes is offline. */
static const char drop[] = NOW ROUTES
    "local its, at, gateway = read(redis.call('HGET', KEYS[2], ARGV[1]) or '')\n"
    "if its ~= ARGV[2] or gateway ~= ARGV[3] then return 0 end\n"
    "redis.call('HDEL', KEYS[2], ARGV[1])\n"
    "for _, route in ipairs(redis.call('HVALS', KEYS[2])) do\n"
    "  its, at = read(route)\n"
    "  if at and tonumber(at) > now then return 1 end\n"
    "end\n"
    "redis.call('DEL', KEYS[2])\n"
    "local seen = redis.call('GET', KEYS[1])\n"
    "if not seen then return 1 end\n"
    "redis.call('DEL', KEYS[1])\n"
    "redis.call('PUBLISH', KEYS[1], '0 ' .. seen)\n"
    "return 1\n";

/* Rule V1. Without a position: the routes alone. */
static const char raise[] = NOW NUMBERS
    "local previous = false\n"
    "if ARGV[1] ~= '' then\n"
    "  previous = number(redis.call('HGET', KEYS[1], 'pos')) or false\n"
    "  if not previous then redis.call('HDEL', KEYS[1], 'mark') end\n"
    "  if not previous or above(ARGV[1], previous) then redis.call('HSET', KEYS[1], 'pos', ARGV[1]) end\n"
    "  redis.call('PEXPIRE', KEYS[1], ARGV[2])\n"
    "end\n"
    "return {text(now), previous, redis.call('HGETALL', KEYS[2])}\n";

/* Rule V2. Where another marker stands the newer one replaces it: whoever set the older reads the heads in vain, once. */
static const char mark[] = NUMBERS
    "if number(redis.call('HGET', KEYS[1], 'pos')) then return 0 end\n"
    "redis.call('HSET', KEYS[1], 'mark', ARGV[1])\n"
    "redis.call('PEXPIRE', KEYS[1], ARGV[2])\n"
    "return 1\n";

static const char fill[] =
    "if redis.call('HGET', KEYS[1], 'mark') ~= ARGV[1] then return 0 end\n"
    "redis.call('HDEL', KEYS[1], 'mark')\n"
    "if ARGV[2] ~= '0' then redis.call('HSET', KEYS[1], 'pos', ARGV[2]) end\n"
    "redis.call('PEXPIRE', KEYS[1], ARGV[3])\n"
    "return 1\n";

static const char presence[] =
    "local seen = redis.call('GET', KEYS[1])\n"
    "if seen then return {1, seen} end\n"
    "return {0, redis.call('HGET', KEYS[2], 'seen')}\n";

static const char subscribe[] = NOW
    "if ARGV[2] == '0' then return redis.call('HDEL', KEYS[1], ARGV[1]) end\n"
    "local last_at = now + ARGV[2]\n"
    "redis.call('HSET', KEYS[1], ARGV[1], text(last_at))\n"
    "local all = redis.call('HGETALL', KEYS[1])\n"
    "for i = 1, #all, 2 do\n"
    "  local at = tonumber(all[i + 1]) or 0\n"
    "  if at <= now then redis.call('HDEL', KEYS[1], all[i]) end\n"
    "  if at > last_at then last_at = at end\n"
    "end\n"
    "redis.call('PEXPIRE', KEYS[1], text(last_at - now))\n"
    "return 1\n";

static const char subscribers[] = NOW "return {text(now), redis.call('HGETALL', KEYS[1])}\n";

static const char *const texts[CH_REDIS_SCRIPT_COUNT] = {
    [CH_REDIS_RENEW] = renew,       [CH_REDIS_DROP] = drop,           [CH_REDIS_RAISE] = raise,         [CH_REDIS_MARK] = mark, [CH_REDIS_FILL] = fill,
    [CH_REDIS_PRESENCE] = presence, [CH_REDIS_SUBSCRIBE] = subscribe, [CH_REDIS_SUBSCRIBERS] = subscribers,
};

const char *ch_redis_script_text(ch_redis_script script) {
  return texts[script];
}

int ch_redis_scripts_init(ch_redis_scripts *scripts) {
  for (int i = 0; i < CH_REDIS_SCRIPT_COUNT; i++) {
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (!EVP_Digest(texts[i], strlen(texts[i]), digest, &len, EVP_sha1(), NULL) || len != CH_REDIS_SHA_LEN / 2) return CHAT_E_NOMEM;
    ch_hex_encode(ch_bytes_of(digest, len), scripts->sha[i]);
  }
  return 0;
}
