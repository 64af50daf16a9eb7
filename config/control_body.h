/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What comes with a request on the control socket, as JSON; for control_request.c alone. */

#include "config/control_message.h"
#include "config/json_reader.h"

/* A request that is being read. */
typedef struct ControlReading {
        ControlRequest request;
        unsigned n_fds; /* descriptors that came along */
        unsigned seen;  /* bits of the members that came */
} ControlReading;

bool control_body_exists(ControlKind kind);
int control_body_read(const JsonValue *value, ControlReading *reading, TextError *reterr);
int control_body_build(const ControlRequest *request, struct json_object **ret);
