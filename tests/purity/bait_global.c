/* SPDX-License-Identifier: Apache-2.0 */
int ch_bait_global(void);

extern int ch_bait_count;
int ch_bait_count = 7;

int ch_bait_global(void) {
  return ch_bait_count;
}
