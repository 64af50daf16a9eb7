/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The options whose value is a comma list or a choice, as one pair of functions each; for the flag table and for requests that carry such a value. */

#include "config/vmm_config.h"

const char *crosvm_serial_type_name(VmmSerialType type);
const char *crosvm_serial_hardware_name(VmmSerialHardware hardware);
int crosvm_serial_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_serial_emit(const VmmSerial *serial, char **ret);

int crosvm_block_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_executor_parse(VmmConfig *config, const char *value, TextError *reterr);
const char *crosvm_executor_to_string(VmmExecutor executor);
int crosvm_block_emit(const VmmDisk *disk, char **ret);
int crosvm_scsi_block_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_scsi_block_emit(const VmmDisk *disk, char **ret);

int crosvm_vsock_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_cid_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_vhost_vsock_device_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_vhost_vsock_fd_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_vsock_emit(const VmmConfig *config, char **ret);

int crosvm_hypervisor_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_hypervisor_emit(const VmmConfig *config, char **ret);
int crosvm_pflash_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_pflash_emit(const VmmPflash *pflash, char **ret);
int crosvm_fw_cfg_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_fw_cfg_emit(const VmmFwCfgFile *file, char **ret);
