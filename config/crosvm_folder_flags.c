/* SPDX-License-Identifier: Apache-2.0 */
#include "config/crosvm_folder_flags.h"

#include <errno.h>

#include "config/crosvm_pci_flags.h"
#include "config/crosvm_vhost_user_flags.h"
#include "config/kv_list.h"

static int set_socket(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_string(item, &((VmmFolder *) object)->socket, reterr);
}

static int set_tag(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_string(item, &((VmmFolder *) object)->tag, reterr);
}

static int set_socket_fd(void *object, const KvItem *item, TextError *reterr) {
        VmmFolder *folder = object;

        if (!item->value || parse_fd(item->value, &folder->socket_fd) < 0)
                return text_error_set(reterr, -EINVAL, "expected a descriptor, not '%s'",
                                      item->value ?: "");
        return 0;
}

static int set_address(void *object, const KvItem *item, TextError *reterr) {
        return crosvm_pci_address_set(item, &((VmmFolder *) object)->pci_slot, reterr);
}

static int set_queue_size(void *object, const KvItem *item, TextError *reterr) {
        return crosvm_queue_size_set(item, &((VmmFolder *) object)->max_queue_size, reterr);
}

static const KvField folder_fields[] = {
        {"socket", set_socket, 0},
        {"tag", set_tag, 0},
        {"socket-fd", set_socket_fd, 0},
        {"pci-address", set_address, 0},
        {"max-queue-size", set_queue_size, 0},
};

/** crosvm_folder_parse() - add the folder that one --vhost-user-fs value describes */
int crosvm_folder_parse(VmmConfig *config, const char *value, TextError *reterr) {
        _cleanup_(vmm_folder_deinit) VmmFolder folder;
        int r;

        vmm_folder_init(&folder);
        if (config->n_folders >= VMM_FOLDERS_MAX)
                return text_error_set(reterr, -EINVAL, "more than %u folders", VMM_FOLDERS_MAX);
        r = kv_apply(value, "socket", folder_fields, ELEMENTSOF(folder_fields), &folder, reterr);
        if (r < 0)
                return r;
        config->folders[config->n_folders++] = folder;
        vmm_folder_init(&folder);
        return 0;
}

/** crosvm_folder_emit() - the --vhost-user-fs value of one folder */
int crosvm_folder_emit(const VmmFolder *folder, char **ret) {
        _cleanup_(strbuf_deinit) StrBuf buf = {0};

        if (folder->socket)
                kv_append(&buf, "socket", folder->socket);
        kv_append(&buf, "tag", folder->tag);
        if (folder->socket_fd >= 0)
                strbuf_printf(&buf, ",socket-fd=%d", folder->socket_fd);
        crosvm_queue_size_append(&buf, folder->max_queue_size);
        crosvm_pci_address_append(&buf, folder->pci_slot);
        return strbuf_finish(&buf, ret);
}

/** crosvm_folder_emit_vhost_user() - the same as a --vhost-user value of crosvm */
int crosvm_folder_emit_vhost_user(const VmmFolder *folder, char **ret) {
        _cleanup_(strbuf_deinit) StrBuf buf = {0};

        strbuf_append(&buf, "type=fs");
        if (folder->socket)
                kv_append(&buf, "socket", folder->socket);
        else
                strbuf_printf(&buf, ",socket=/proc/self/fd/%d", folder->socket_fd);
        crosvm_queue_size_append(&buf, folder->max_queue_size);
        crosvm_pci_address_append(&buf, folder->pci_slot);
        return strbuf_finish(&buf, ret);
}
