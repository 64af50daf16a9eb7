/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Arguments of CreateVm and CheckConfig, read into a request, and options of other calls. */

#include <systemd/sd-bus.h>

#include "service/request.h"

/* One key of an "a{sv}". */
typedef struct CallOption {
        const char *name;
        const char *type; /* of its value; NULL: @read does not look at it */
        /* Return: 0; SERVICE_E_* with a sentence; negative errno of sd-bus. */
        int (*read)(sd_bus_message *message, void *object, TextError *reterr);
} CallOption;

/* Options that CreateVm knows, NULL-terminated. */
extern const char *const call_args_option_names[];

int call_args_read_config(sd_bus_message *message, const char **ret_json);
int call_args_read_files(sd_bus_message *message, VmRequest *request, TextError *reterr);
int call_args_read_dict(sd_bus_message *message, const CallOption *known, size_t n, void *object,
                        TextError *reterr);
int call_args_read_options(sd_bus_message *message, VmRequest *request, TextError *reterr);
