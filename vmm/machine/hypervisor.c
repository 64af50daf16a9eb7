/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/log.h"
#include "vmm/hv/kvm/kvm.h"
#include "vmm/hv/soft/soft.h"
#include "vmm/machine/machine_internal.h"

/**
 * machine_choose_hypervisor() - the backend that @config asks for
 *
 * `auto` takes KVM only when a probe guest runs on it, and the software processor otherwise. Asked for by name, a
 * backend is taken as it is.
 *
 * Return: 0; -EINVAL for a value that is not one of the enumeration.
 */
int machine_choose_hypervisor(const VmmConfig *config, const HvOps **ret, TextError *reterr) {
        _cleanup_(text_error_deinit) TextError why = {0};
        int r;

        switch (config->hypervisor) {
        case VMM_HYPERVISOR_AUTO:
                r = kvm_hv_ops.probe(config->kvm_device, &why);
                if (r < 0)
                        log_info("using the software processor, because KVM cannot be used: %s",
                                 text_error_message(&why, r));
                *ret = r < 0 ? &soft_hv_ops : &kvm_hv_ops;
                return 0;
        case VMM_HYPERVISOR_KVM:
                *ret = &kvm_hv_ops;
                return 0;
        case VMM_HYPERVISOR_SOFT:
                *ret = &soft_hv_ops;
                return 0;
        }
        return -EINVAL;
}
