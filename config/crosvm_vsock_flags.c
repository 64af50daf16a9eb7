/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "config/crosvm_device_flags.h"
#include "config/kv_list.h"

/* --vsock, --cid */

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

static const KvField vsock_fields[] = {
        {"cid", set_cid},
        {"socket-dir", set_socket_dir},
        {"device", NULL},
        {"max-queue-sizes", NULL},
};

static int parse(VmmConfig *config, const char *value, size_t n_fields, TextError *reterr) {
        if (config->vsock_cid != 0)
                return text_error_set(reterr, -EINVAL, "--cid and --vsock exclude each other");
        return kv_apply(value, "cid", vsock_fields, n_fields, config, reterr);
}

/** crosvm_vsock_parse() - "cid=N,socket-dir=PATH" */
int crosvm_vsock_parse(VmmConfig *config, const char *value, TextError *reterr) {
        return parse(config, value, ELEMENTSOF(vsock_fields), reterr);
}

/** crosvm_cid_parse() - "N", crosvm's older spelling */
int crosvm_cid_parse(VmmConfig *config, const char *value, TextError *reterr) {
        return parse(config, value, 1, reterr);
}

/** crosvm_vsock_emit() - the --vsock value */
int crosvm_vsock_emit(const VmmConfig *config, char **ret) {
        _cleanup_(strbuf_deinit) StrBuf buf = {0};

        strbuf_printf(&buf, "cid=%u", config->vsock_cid);
        if (config->vsock_socket_dir)
                kv_append(&buf, "socket-dir", config->vsock_socket_dir);
        return strbuf_finish(&buf, ret);
}
