/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdio.h>

#include "base/text_error.h"
#include "config/control_verbs.h"

int control_client_run(ControlCommand *command, FILE *out, TextError *reterr);
