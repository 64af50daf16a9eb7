/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Arguments of CreateVm and CheckConfig, read into a request. */

#include <systemd/sd-bus.h>

#include "service/request.h"

/* Options that CreateVm knows, NULL-terminated. */
extern const char *const call_args_option_names[];

int call_args_read_config(sd_bus_message *message, const char **ret_json);
int call_args_read_files(sd_bus_message *message, VmRequest *request, TextError *reterr);
int call_args_read_options(sd_bus_message *message, VmRequest *request, TextError *reterr);
