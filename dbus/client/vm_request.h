/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What run, create and check-config ask for: the config as JSON, and the open files that it names. */

#include <systemd/sd-bus.h>

#include "base/text_error.h"
#include "dbus/client/client.h"

typedef struct RequestFile {
        char *name; /* owned */
        int fd;     /* owned */
} RequestFile;

typedef struct VmRequest {
        char *json;         /* owned */
        RequestFile *files; /* owned array */
        size_t n_files, room;
} VmRequest;

int vm_request_build(const Args *args, VmRequest *ret, TextError *reterr);
int vm_request_open_disk(const char *value, int *ret, bool *ret_writable, TextError *reterr);
int vm_request_append(const VmRequest *request, sd_bus_message *call);
int vm_request_call_error(const Client *client, const VmRequest *request, const sd_bus_error *error,
                          int r, const char *act, TextError *reterr);
void vm_request_deinit(VmRequest *request);

int client_require_fds(Client *client, TextError *reterr);
