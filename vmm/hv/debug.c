/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/hv/hv.h"

/** vcpu_debug_valid() - whether @debug is something that DebugOps.set_debug() can be asked for at all */
bool vcpu_debug_valid(const VcpuDebug *debug) {
        if (debug->n_breaks > VCPU_BREAKS_MAX)
                return false;
        for (unsigned i = 0; i < debug->n_breaks; i++) {
                const VcpuBreak *b = &debug->breaks[i];

                if (b->kind > VCPU_BREAK_READ_WRITE || b->size == 0 || b->size > 8 ||
                    (b->size & (b->size - 1)) != 0 || b->gva % b->size != 0)
                        return false;
                if (b->kind == VCPU_BREAK_EXECUTE && b->size != 1)
                        return false;
        }
        return true;
}
