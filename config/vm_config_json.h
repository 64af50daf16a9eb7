/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files that read and write the VM config's JSON share; for config/ only. */

#include "config/json_reader.h"
#include "config/vm_config.h"

/* Every key of vm-config(5), in the documented order. */
extern const JsonField vm_config_fields[];
extern const size_t vm_config_n_fields;
extern const JsonField vm_disk_fields[];
extern const size_t vm_disk_n_fields;
extern const JsonField vm_limits_fields[];
extern const size_t vm_limits_n_fields;
extern const JsonField vm_partition_fields[];
extern const size_t vm_partition_n_fields;
extern const JsonField vm_network_fields[];
extern const size_t vm_network_n_fields;
extern const JsonField vm_share_fields[];
extern const size_t vm_share_n_fields;

int vm_config_read(const JsonValue *value, VmConfig *ret, TextError *reterr);
int vm_config_build(const VmConfig *config, struct json_object **ret);
int vm_devices_read(const JsonValue *value, const JsonField *field, void *object,
                    TextError *reterr);
int vm_disks_read(const JsonValue *value, const JsonField *field, void *object, TextError *reterr);
int vm_limits_read(const JsonValue *value, const JsonField *field, void *object, TextError *reterr);
int vm_file_read(const JsonValue *value, const JsonField *field, void *object, TextError *reterr);
int vm_networks_read(const JsonValue *value, const JsonField *field, void *object,
                     TextError *reterr);
int vm_shares_read(const JsonValue *value, const JsonField *field, void *object, TextError *reterr);
