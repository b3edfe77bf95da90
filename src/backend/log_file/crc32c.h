/* SPDX-License-Identifier: Apache-2.0 */
/* crc32c.h - CRC32C (Castagnoli; RFC 3720, 12.1 and B.4). */
#ifndef CH_LOG_FILE_CRC32C_H
#define CH_LOG_FILE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Of `len` bytes behind those that gave `crc` (0 at first). Any thread. */
uint32_t ch_crc32c(uint32_t crc, const void *data, size_t len);
/* The same without any instruction of the processor for it. */
uint32_t ch_crc32c_portable(uint32_t crc, const void *data, size_t len);

#endif
