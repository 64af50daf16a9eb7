/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Who may use an instruction of operating systems. Each ends the instruction with the exception that SDM volume 2 has for it. */

#include "vmm/hv/soft/cpu.h"

static inline void need_cpl0(SoftCpu *c, const Uop *u) {
        if (unlikely(c->cpl != 0))
                cpu_raise_code(c, u, EXC_GP, 0);
}

/* What CPUID does not show does not exist. */
static inline void need_feature(SoftCpu *c, const Uop *u, CpuFeature feature) {
        if (unlikely(!soft_has(c, feature)))
                cpu_raise(c, u, EXC_UD);
}

/* User-mode instruction prevention */
static inline void need_umip(SoftCpu *c, const Uop *u) {
        if (unlikely((c->cr4 & CR4_UMIP) && c->cpl != 0))
                cpu_raise_code(c, u, EXC_GP, 0);
}
