/* SPDX-License-Identifier: Apache-2.0 */
int example_main(void);
#define main example_main
#include "../../examples/custom_backend.c" /* first: it chooses what the system's headers show */
#include "contract/custom_log.h"

int custom_log_new(chat_backend *log) {
  return own_log_new(log);
}
