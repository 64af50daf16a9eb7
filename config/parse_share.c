/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "config/vm_config_json.h"

static int read_tag(const JsonValue *value, const JsonField *field, void *object,
                    TextError *reterr) {
        VmShare *share = object;
        const char *text;
        int r;

        r = json_read_string(value, &text, reterr);
        if (r < 0)
                return r;
        /* It becomes part of a list of the VMM's command line and of the guest's mount command. */
        if (!*text || strlen(text) > VM_SHARE_TAG_MAX ||
            strspn(text, "abcdefghijklmnopqrstuvwxyz"
                         "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                         "0123456789._-") != strlen(text))
                return json_error(value, reterr, "expected 1 to %u of A-Z a-z 0-9 . _ -",
                                  VM_SHARE_TAG_MAX);
        share->tag = strdup(text);
        return share->tag ? 0 : -ENOMEM;
}

/* The last number means "no one" to the kernel. */
static int read_id(const JsonValue *value, const JsonField *field, void *object,
                   TextError *reterr) {
        int64_t id;
        int r = json_read_i64(value, 0, UINT32_MAX - 1, &id, reterr);

        if (r < 0)
                return r;
        *(uint32_t *) (void *) ((char *) object + field->offset) = (uint32_t) id;
        return 0;
}

const JsonField vm_share_fields[] = {
        {"tag", read_tag},
        {"path", vm_file_read, offsetof(VmShare, path)},
        {"socket", vm_file_read, offsetof(VmShare, socket)},
        {"guest_uid", read_id, offsetof(VmShare, guest_uid)},
        {"guest_gid", read_id, offsetof(VmShare, guest_gid)},
};
const size_t vm_share_n_fields = ELEMENTSOF(vm_share_fields);

static int read_share(const JsonValue *value, void *object, TextError *reterr) {
        VmConfig *config = object;
        VmShare *share = &config->shares[config->n_shares++];
        int r;

        r = json_read_object(value, vm_share_fields, vm_share_n_fields, share, reterr);
        if (r < 0)
                return r;
        return share->tag ? 0 : json_error(value, reterr, "tag is missing");
}

/** vm_shares_read() - the member "shared_paths" of a VmConfig */
int vm_shares_read(const JsonValue *value, const JsonField *field, void *object,
                   TextError *reterr) {
        VmConfig *config = object;

        config->shares = calloc(VM_SHARES_MAX, sizeof(*config->shares));
        if (!config->shares)
                return -ENOMEM;
        return json_read_array(value, VM_SHARES_MAX, read_share, config, reterr);
}
