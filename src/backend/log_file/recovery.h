/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recovery.h - what the newest segment holds after a crash: where its good records end, and whether what follows is a torn commit or damage (docs/decisions/0003, "Open").
 */
#ifndef CH_LOG_FILE_RECOVERY_H
#define CH_LOG_FILE_RECOVERY_H

#include "backend/log_file/record.h"

typedef struct ch_logfile_scan {
  uint64_t end;     /* number of the last good record; first - 1: none */
  uint64_t last_ms; /* its time; 0: none */
  size_t used_len;  /* where it ends */
  size_t tail_from; /* beginning of the first record within the last MiB of used_len: written again at recovery */
} ch_logfile_scan;

/* `in`: a whole segment. 0, or CHAT_E_CORRUPT: the record scan->end + 1 had been synced and is damaged. */
int ch_logfile_recover(const uint8_t *in, size_t len, const ch_logfile_header *header, ch_logfile_scan *scan);

#endif
