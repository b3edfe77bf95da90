/* SPDX-License-Identifier: Apache-2.0 */
#include "server/role/retry.h"

ch_retry ch_retry_of(uint32_t first_wait_ms) {
  return (ch_retry){.at_ms = CH_NEVER_MS, .wait_ms = first_wait_ms};
}

bool ch_retry_is_waiting(const ch_retry *retry) {
  return retry->at_ms != CH_NEVER_MS;
}

bool ch_retry_schedule(ch_retry *retry, ch_now now) {
  if (ch_retry_is_waiting(retry)) return false;
  retry->at_ms = now.elapsed_ms + retry->wait_ms;
  retry->wait_ms = retry->wait_ms < CH_RETRY_MAX_MS / 2 ? retry->wait_ms * 2 : CH_RETRY_MAX_MS;
  return true;
}

bool ch_retry_take_due(ch_retry *retry, ch_now now) {
  if (retry->at_ms > now.elapsed_ms) return false;
  retry->at_ms = CH_NEVER_MS;
  return true;
}

bool ch_status_is_passing(int status) {
  switch (status) {
  case CHAT_E_AGAIN:
  case CHAT_E_UNKNOWN:
  case CHAT_E_FULL:
  case CHAT_E_IO:
  case CHAT_E_NOMEM:
  case CHAT_E_BUSY:
  case CHAT_E_TIMEOUT: return true;
  default: return false;
  }
}

int ch_status_fault(int status) {
  if (status == CHAT_E_CANCELED) return 0; /* the port is being freed */
  return status == CHAT_E_GONE || status == CHAT_E_CORRUPT ? status : CHAT_E_INTERNAL;
}
