/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The client's side of a VM config: JSON as a user writes it, with plain paths where the service wants descriptors.
 * A draft is edited (command line options win over the file), its paths are handed out to be opened, and what is left
 * is the JSON for CreateVm. Whether the config makes sense is the service's to say; only what must be touched is read.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/text_error.h"
#include "config/vm_config.h"

typedef struct VmDraft VmDraft;

int vm_draft_new(const char *json, VmDraft **ret, TextError *reterr);
VmDraft *vm_draft_free(VmDraft *draft);
DEFINE_CLEANUP(VmDraft *, vm_draft_free)

const char *vm_draft_string(const VmDraft *draft, const char *key);
int vm_draft_set_string(VmDraft *draft, const char *key, const char *value);
int vm_draft_set_uint(VmDraft *draft, const char *key, uint64_t value);
void vm_draft_unset(VmDraft *draft, const char *key);
int vm_draft_add_disk(VmDraft *draft, const char *path, bool writable, TextError *reterr);
int vm_draft_add_share(VmDraft *draft, const char *tag, const char *path, TextError *reterr);
int vm_draft_add_device(VmDraft *draft, const char *path, TextError *reterr);
int vm_draft_set_network(VmDraft *draft, const char *text);

/**
 * VmDraftFileFn - open one file of the config
 * @json_path:  of the member, e.g. "disks[1].partitions[0].path"; for messages
 * @fd_name:    the name under which the descriptor has to be passed
 * @path:       as the user wrote it
 * @kind:       how to open it
 *
 * Return: 0; negative errno with @reterr set, which ends the walk.
 */
typedef int (*VmDraftFileFn)(void *userdata, const char *json_path, const char *fd_name,
                             const char *path, VmFileKind kind, TextError *reterr);
int vm_draft_take_files(VmDraft *draft, VmDraftFileFn fn, void *userdata, TextError *reterr);

int vm_draft_to_json(const VmDraft *draft, bool pretty, char **ret);
