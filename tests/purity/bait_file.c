/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>

int ch_bait_file(const char *path);

int ch_bait_file(const char *path) {
  return open(path, O_RDONLY);
}
