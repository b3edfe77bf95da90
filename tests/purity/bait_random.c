/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

int ch_bait_random(void);

int ch_bait_random(void) {
  return rand();
}
