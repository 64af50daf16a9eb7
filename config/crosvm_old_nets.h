/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Cards in the words of older versions of crosvm, for the flag table and for who reads all arguments. */

#include "config/vmm_config.h"

int crosvm_old_tap_fd_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_old_tap_name_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_old_host_ip_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_old_netmask_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_old_mac_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_old_vq_pairs_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_old_vhost_net_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_old_vhost_net_device_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_old_nets_finish(VmmConfig *config, TextError *reterr);
