/* SPDX-License-Identifier: Apache-2.0 */
#include "server/role/log_check.h"

#include <string.h>

#include "core/bytes.h"

enum { EPOCH_SHIFT = 48 }; /* chat/backend.h, "POSITION" */

int ch_log_check(const chat_log_info *info, const uint8_t known[16], uint64_t *after) {
  if (info->end < *after) return CHAT_E_GONE;
  if (ch_id_is_zero(known) || memcmp(known, info->identity, sizeof info->identity) == 0) return 0;
  uint64_t raised = ((*after >> EPOCH_SHIFT) + 1) << EPOCH_SHIFT;
  if (info->end < raised) return CHAT_E_GONE;
  *after = raised;
  return 0;
}
