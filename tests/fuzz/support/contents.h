/* SPDX-License-Identifier: Apache-2.0 */
/*
 * contents.h - what is in a database, changed by its own means: the pages stay whole, so that whoever opens it finds no damage and gets as far as what they say. Values of any type, of
 * other rows, one byte of them; rows that are gone; indices and tables that are gone; another version.
 */
#ifndef CH_TEST_FUZZ_CONTENTS_H
#define CH_TEST_FUZZ_CONTENTS_H

#include "fuzz/fuzz.h"

/* A number of changes, then those. Nothing where the file is no database any more. */
void fuzz_contents_change(const char *path, fuzz_input *input);

#endif
