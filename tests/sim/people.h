/* SPDX-License-Identifier: Apache-2.0 */
/* people.h - what persons do with their devices, and what they make of its events. */
#ifndef CH_SIM_PEOPLE_H
#define CH_SIM_PEOPLE_H

#include <chat/client.h>

#include "sim/sim.h"

void sim_people_begin(sim *s);
void sim_people_event(sim_device *device, const chat_event *event);

#endif
