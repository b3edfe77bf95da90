/* SPDX-License-Identifier: Apache-2.0 */
/* models.h - every model, each in the file of its name. */
#ifndef MODEL_MODELS_H
#define MODEL_MODELS_H

#include "core/rule.h"
#include "model/checker.h"

extern const model model_sending;
extern const model model_takeover;
extern const model model_devices;
extern const model model_receiving;
extern const model model_epochs;
extern const model model_rows;
extern const model model_channels;
extern const model model_tasks;

#endif
