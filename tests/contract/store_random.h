/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_random.h - the same random history, written into store_mem and store_sqlite, must give the same answers.
 *
 * CHAT_STORE_SEED=n runs that seed alone and CHAT_STORE_SEEDS=n as many from 1 on; what fails is printed with its seed.
 */
#ifndef CH_TEST_STORE_RANDOM_H
#define CH_TEST_STORE_RANDOM_H

/* Exit code. */
int store_random_run(void);

#endif
