/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "vmm/hv/kvm/kvm.h"
#include "vmm/machine/machine_internal.h"

/**
 * machine_choose_hypervisor() - the backend that @config asks for
 *
 * `auto` takes a backend only when a probe guest runs on it. Asked for by name, a backend is taken as it is.
 *
 * Return: 0; -EOPNOTSUPP or another negative errno with a sentence saying why none can be used.
 */
int machine_choose_hypervisor(const VmmConfig *config, const HvOps **ret, TextError *reterr) {
        int r;

        switch (config->hypervisor) {
        case VMM_HYPERVISOR_AUTO:
                r = kvm_hv_ops.probe(config->kvm_device, reterr);
                if (r < 0)
                        return text_error_prefix(reterr, r, "no hypervisor can be used");
                *ret = &kvm_hv_ops;
                return 0;
        case VMM_HYPERVISOR_KVM:
                *ret = &kvm_hv_ops;
                return 0;
        case VMM_HYPERVISOR_SOFT:
                return text_error_set(reterr, -EOPNOTSUPP,
                                      "hypervisor 'soft' is not built into this version");
        }
        return -EINVAL;
}
