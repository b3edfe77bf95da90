/* SPDX-License-Identifier: Apache-2.0 */
/* trouble.h - what goes wrong, and when. */
#ifndef CH_SIM_TROUBLE_H
#define CH_SIM_TROUBLE_H

#include "sim/sim.h"

void sim_trouble_begin(sim *s);
/* Everything is whole again, and nothing goes wrong any more. */
void sim_trouble_end(sim *s);

#endif
