/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* --vhost-user and its older spellings, but for that of folders; used by the flag tables only. */

#include "config/kv_list.h"
#include "config/vmm_config.h"

int crosvm_vhost_user_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_vhost_user_blk_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_vhost_user_console_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_vhost_user_net_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_vhost_user_vsock_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_vhost_user_timeout_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_vhost_user_emit(const VmmVhostUser *device, char **ret);
int crosvm_queue_size_set(const KvItem *item, unsigned *ret, TextError *reterr);
void crosvm_queue_size_append(StrBuf *buf, unsigned size);
