/* SPDX-License-Identifier: Apache-2.0 */
/*
 * op_copy.h - a write that arrives late, or twice: a copy of an op that owes nothing to the process that made it.
 */
#ifndef CH_SIM_OP_COPY_H
#define CH_SIM_OP_COPY_H

#include <chat/backend.h>

/* Of an APPEND, APPLY, WRITE_HEADS or LINK_SEND; NULL: of another kind, which is not copied. Ends with ch_op_free. */
chat_op *sim_op_copy(const chat_op *op);

#endif
