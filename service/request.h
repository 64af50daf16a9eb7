/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a client asks for in CreateVm: typed, owned and checked, before a VM exists. */

#include <stdbool.h>
#include <stddef.h>

#include "base/text_error.h"
#include "config/vm_config.h"
#include "config/vmm_config.h"

typedef struct VmFile {
        char *name; /* owned; fd name of the config */
        int fd;     /* owned */
} VmFile;

typedef struct VmRequest {
        VmConfig config;
        VmFile *files; /* owned array */
        size_t n_files;
        char *name; /* owned, optional; goes before the config's */
        bool detach;
        VmmHypervisor hypervisor;
        bool has_boot_timeout;
        uint64_t boot_timeout_usec;           /* then; 0: none */
        int console_out, console_in, log_out; /* owned; -EBADF if absent */
} VmRequest;

void request_init(VmRequest *request);
void request_deinit(VmRequest *request);
int request_add_file(VmRequest *request, const char *name, int fd, TextError *reterr);
int request_set_name(VmRequest *request, const char *name, TextError *reterr);
int request_set_hypervisor(VmRequest *request, const char *name, TextError *reterr);
int request_set_stream(int *stream, const char *option, int fd, bool output, TextError *reterr);
int request_set_config(VmRequest *request, const char *json, TextError *reterr);
int request_check_image(int fd, const char *what, bool writable, TextError *reterr);
unsigned request_count_files(const VmRequest *request);
const char *request_hypervisor_to_string(VmmHypervisor hypervisor);
