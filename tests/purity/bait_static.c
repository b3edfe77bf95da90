/* SPDX-License-Identifier: Apache-2.0 */
int ch_bait_static(void);

int ch_bait_static(void) {
  static int bait_calls;
  return ++bait_calls;
}
