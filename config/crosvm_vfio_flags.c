/* SPDX-License-Identifier: Apache-2.0 */
#include "config/crosvm_vfio_flags.h"

#include <errno.h>

#include "config/crosvm_pci_flags.h"
#include "config/kv_list.h"

static int set_path(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_string(item, &((VmmVfio *) object)->path, reterr);
}

static int set_guest_address(void *object, const KvItem *item, TextError *reterr) {
        return crosvm_pci_address_set(item, &((VmmVfio *) object)->pci_slot, reterr);
}

/* The guest has no IOMMU of its own: the host's maps all of its memory. */
static int set_iommu(void *object, const KvItem *item, TextError *reterr) {
        static const char *const others[] = {"viommu", "coiommu", "pkvm-iommu", "on"};
        const char *value = item->value ?: "";

        if (str_eq(value, "off"))
                return 0;
        for (size_t i = 0; i < ELEMENTSOF(others); i++)
                if (str_eq(others[i], value))
                        return text_error_set(
                                reterr, -EINVAL,
                                "%s: not supported by this version, guests have no IOMMU", value);
        return text_error_set(reterr, -EINVAL, "expected off, not '%s'", value);
}

/** crosvm_vfio_parse() - "PATH[,guest-address=BUS:DEVICE.FUNCTION][,iommu=off]" */
int crosvm_vfio_parse(VmmConfig *config, const char *value, TextError *reterr) {
        static const KvField fields[] = {
                {"path", set_path},
                {"guest-address", set_guest_address},
                {"iommu", set_iommu},
                {"dt-symbol", NULL},
        };
        _cleanup_(vmm_vfio_deinit) VmmVfio vfio = {0};
        int r;

        if (config->n_vfios >= VMM_VFIOS_MAX)
                return text_error_set(reterr, -EINVAL, "more than %u of them", VMM_VFIOS_MAX);
        r = kv_apply(value, "path", fields, ELEMENTSOF(fields), &vfio, reterr);
        if (r < 0)
                return r;
        if (!vfio.path)
                return text_error_set(reterr, -EINVAL, "path= is missing");
        config->vfios[config->n_vfios++] = vfio;
        vfio = (VmmVfio){0};
        return 0;
}

/** crosvm_vfio_emit() - the --vfio value of one function */
int crosvm_vfio_emit(const VmmVfio *vfio, char **ret) {
        _cleanup_(strbuf_deinit) StrBuf buf = {0};

        kv_append(&buf, "path", vfio->path);
        if (vfio->pci_slot != 0)
                strbuf_printf(&buf, ",guest-address=00:%02x.0", vfio->pci_slot);
        return strbuf_finish(&buf, ret);
}
