/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The VMM's commands that talk to a running VM, `vivarium-vmm VERB [ARGUMENTS] SOCKET`, spelled like crosvm's. */

#include <stdbool.h>
#include <stdio.h>

#include "base/text_error.h"
#include "config/control_message.h"

typedef struct ControlCommand {
        ControlRequest request; /* owned */
        const char *socket;     /* borrowed from the arguments */
        char *file; /* owned, optional: sent along as descriptor 0, opened as @request says */
        bool file_read_only, file_create;
        bool file_new; /* must not exist; goes again if the request fails */
        char *vfio; /* owned, optional: the host's function whose IOMMU group is sent along, if it can be opened */
        char *tap; /* owned, optional: the interface of which a queue is sent along as descriptor 0 */
} ControlCommand;

void control_command_deinit(ControlCommand *command);
bool control_verb_exists(const char *verb);
enum {
        CONTROL_VERB_E_HELP = 1, /* --help behind the verb */
};

int control_verb_parse(int argc, char *const *argv, ControlCommand *ret, TextError *reterr);
void control_verbs_help(FILE *out, const char *name);
