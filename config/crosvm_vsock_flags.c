/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/crosvm_device_flags.h"
#include "config/crosvm_queue_sizes.h"
#include "config/kv_list.h"

/* --vsock, and crosvm's older spellings: --cid, --vhost-vsock-device, --vhost-vsock-fd */

static int set_cid(void *object, const KvItem *item, TextError *reterr) {
        VmmConfig *config = object;
        uint64_t cid;
        int r;

        r = kv_get_u64(item, VMM_CID_MIN, VMM_CID_MAX, &cid, reterr);
        if (r < 0)
                return r;
        config->vsock_cid = (uint32_t) cid;
        return 0;
}

static int set_socket_dir(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_string(item, &((VmmConfig *) object)->vsock_socket_dir, reterr);
}

static int set_device(void *object, const KvItem *item, TextError *reterr) {
        VmmConfig *config = object;

        if (config->vsock_device)
                return text_error_set(reterr, -EINVAL, "the device is given twice");
        return kv_get_string(item, &config->vsock_device, reterr);
}

static int set_queue_sizes(void *object, const KvItem *item, TextError *reterr) {
        return crosvm_queue_sizes_set(item, ((VmmConfig *) object)->vsock_queue_sizes,
                                      VMM_VSOCK_QUEUES, reterr);
}

static const KvField vsock_fields[] = {
        {"cid", set_cid},
        {"socket-dir", set_socket_dir},
        {"device", set_device},
        {"max-queue-sizes", set_queue_sizes, KV_LIST},
};

static int parse(VmmConfig *config, const char *value, size_t n_fields, TextError *reterr) {
        if (config->vsock_cid != 0)
                return text_error_set(reterr, -EINVAL, "--cid and --vsock exclude each other");
        return kv_apply(value, "cid", vsock_fields, n_fields, config, reterr);
}

/** crosvm_vsock_parse() - "cid=N,socket-dir=PATH" or "cid=N,device=PATH" */
int crosvm_vsock_parse(VmmConfig *config, const char *value, TextError *reterr) {
        return parse(config, value, ELEMENTSOF(vsock_fields), reterr);
}

/** crosvm_cid_parse() - "N", crosvm's older spelling */
int crosvm_cid_parse(VmmConfig *config, const char *value, TextError *reterr) {
        return parse(config, value, 1, reterr);
}

static int take_device(VmmConfig *config, char *path, TextError *reterr) {
        if (!path)
                return -ENOMEM;
        if (config->vsock_device) {
                free(path);
                return text_error_set(reterr, -EINVAL, "the device is given twice");
        }
        config->vsock_device = path;
        return 0;
}

/** crosvm_vhost_vsock_device_parse() - the device= of --vsock, in crosvm's older spelling */
int crosvm_vhost_vsock_device_parse(VmmConfig *config, const char *value, TextError *reterr) {
        return take_device(config, strdup(value), reterr);
}

/** crosvm_vhost_vsock_fd_parse() - an inherited descriptor of the device */
int crosvm_vhost_vsock_fd_parse(VmmConfig *config, const char *value, TextError *reterr) {
        char *path;
        int fd;

        if (parse_fd(value, &fd) < 0)
                return text_error_set(reterr, -EINVAL, "expected a descriptor, not '%s'", value);
        if (asprintf(&path, "/proc/self/fd/%d", fd) < 0)
                return -ENOMEM;
        return take_device(config, path, reterr);
}

/** crosvm_vsock_emit() - the --vsock value; a crosvm has the host's kernel for it, and no directory */
int crosvm_vsock_emit(const VmmConfig *config, char **ret) {
        _cleanup_(strbuf_deinit) StrBuf buf = {0};

        strbuf_printf(&buf, "cid=%u", config->vsock_cid);
        if (config->vsock_socket_dir && config->dialect == VMM_DIALECT_VIVARIUM)
                kv_append(&buf, "socket-dir", config->vsock_socket_dir);
        if (config->vsock_device)
                kv_append(&buf, "device", config->vsock_device);
        crosvm_queue_sizes_append(&buf, config->vsock_queue_sizes, VMM_VSOCK_QUEUES);
        return strbuf_finish(&buf, ret);
}
