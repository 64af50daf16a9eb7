/* SPDX-License-Identifier: Apache-2.0 */
/* x87; op: bytes of the memory operand. */
#include "vmm/hv/soft/fpu.h"

#include <string.h>
#include "vmm/hv/soft/handlers.h"

void op_x87_r(SoftCpu *c, const Uop *u) {
        need_x87_wait(c, u);
        (void) THUNK(u)(NULL, NULL, NULL);
        NEXT(c, u);
}

void op_x87_load(SoftCpu *c, const Uop *u) {
        need_x87_wait(c, u);
        mem_read_bytes(c, u, ea(c, u), &c->tmp[0], u->op);
        (void) THUNK(u)(NULL, &c->tmp[0], NULL);
        NEXT(c, u);
}

/* The store must be known to work before the instruction pops. */
void op_x87_store(SoftCpu *c, const Uop *u) {
        uint8_t *p;

        need_x87_wait(c, u);
        p = mem_begin(c, u, ea(c, u), u->op);
        (void) THUNK(u)(NULL, p, NULL);
        mem_end(c, u);
        NEXT(c, u);
}

/** fpu_control_changed() - the x87 has another control word: while all exceptions are masked and none is pending, none can become so */
void fpu_control_changed(SoftCpu *c) {
        uint16_t cw, sw;

        __asm__ volatile("fnstcw %0\n\tfnstsw %1" : "=m"(cw), "=m"(sw));
        c->x87_watch = (cw & 0x3f) != 0x3f || (sw & 0x80);
}

void op_x87_fldcw(SoftCpu *c, const Uop *u) {
        uint16_t v;

        need_x87_wait(c, u);
        v = mem_read16(c, u, ea(c, u));
        __asm__ volatile("fldcw %0" : : "m"(v));
        fpu_control_changed(c);
        NEXT(c, u);
}

void op_x87_fnstcw(SoftCpu *c, const Uop *u) {
        uint16_t cw;

        need_x87(c, u);
        __asm__ volatile("fnstcw %0" : "=m"(cw));
        mem_write16(c, u, ea(c, u), cw);
        NEXT(c, u);
}

static uint16_t status_word(void) {
        uint16_t sw;

        __asm__ volatile("fnstsw %0" : "=m"(sw));
        return sw;
}

void op_x87_fnstsw_m(SoftCpu *c, const Uop *u) {
        need_x87(c, u);
        mem_write16(c, u, ea(c, u), status_word());
        NEXT(c, u);
}

void op_x87_fnstsw_ax(SoftCpu *c, const Uop *u) {
        need_x87(c, u);
        R16(c, RAX) = status_word();
        NEXT(c, u);
}

void op_x87_fninit(SoftCpu *c, const Uop *u) {
        need_x87(c, u);
        __asm__ volatile("fninit");
        c->x87_watch = false;
        NEXT(c, u);
}

void op_x87_fnclex(SoftCpu *c, const Uop *u) {
        need_x87(c, u);
        __asm__ volatile("fnclex");
        NEXT(c, u);
}

void op_x87_fwait(SoftCpu *c, const Uop *u) {
        if ((c->cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
                cpu_raise(c, u, EXC_NM);
        check_pending(c, u);
        NEXT(c, u);
}

void op_x87_fcmov(SoftCpu *c, const Uop *u) {
        need_x87_wait(c, u);
        (void) THUNK(u)(NULL, NULL, &c->af);
        NEXT(c, u);
}

void op_x87_fcomi(SoftCpu *c, const Uop *u) {
        need_x87_wait(c, u);
        /* CF, PF and ZF come out, OF, SF and AF are cleared: what the host leaves. */
        c->af = (uint32_t) THUNK(u)(NULL, NULL, NULL);
        NEXT(c, u);
}

/* Environments carry addresses of the last instruction and operand: the host's must not be seen. */
#define ENV_SIZE 28u
#define ENV_SIZE_16 14u
#define X87_REGISTERS 80u

static unsigned env_size(const Uop *u) {
        return u->size == 1 ? ENV_SIZE_16 : ENV_SIZE;
}

static void patch_environment(const Uop *u, uint8_t *env) {
        if (u->size == 1) {
                memset(env + 6, 0, 8);
                return;
        }
        memset(env + 12, 0, 16);
        env[2] = env[3] = env[6] = env[7] = env[10] = env[11] = 0xff;
        env[26] = env[27] = 0xff;
}

void op_x87_fnstenv(SoftCpu *c, const Uop *u) {
        uint8_t env[ENV_SIZE];
        uint64_t va;

        need_x87(c, u);
        va = ea(c, u);
        (void) mem_begin(c, u, va, env_size(u));
        c->post_write = 0;
        /* Masks all exceptions, too. */
        if (u->size == 1)
                __asm__ volatile("data16 fnstenv %0" : "=m"(env));
        else
                __asm__ volatile("fnstenv %0" : "=m"(env));
        fpu_control_changed(c);
        patch_environment(u, env);
        mem_write_bytes(c, u, va, env, env_size(u));
        NEXT(c, u);
}

void op_x87_fldenv(SoftCpu *c, const Uop *u) {
        uint8_t env[ENV_SIZE];

        need_x87_wait(c, u);
        mem_read_bytes(c, u, ea(c, u), env, env_size(u));
        if (u->size == 1)
                __asm__ volatile("data16 fldenv %0" : : "m"(env));
        else
                __asm__ volatile("fldenv %0" : : "m"(env));
        fpu_control_changed(c);
        NEXT(c, u);
}

void op_x87_fnsave(SoftCpu *c, const Uop *u) {
        uint8_t image[ENV_SIZE + X87_REGISTERS];
        unsigned size = env_size(u) + X87_REGISTERS;
        uint64_t va;

        need_x87(c, u);
        va = ea(c, u);
        /* Both ends are writable before anything changes. */
        mem_need_aligned(c, u, va, size);
        (void) mem_begin(c, u, va, 1);
        (void) mem_begin(c, u, va + size - 1, 1);
        c->post_write = 0;
        /* Initialises, too. */
        if (u->size == 1)
                __asm__ volatile("data16 fnsave %0" : "=m"(image));
        else
                __asm__ volatile("fnsave %0" : "=m"(image));
        fpu_control_changed(c);
        patch_environment(u, image);
        mem_write_bytes(c, u, va, image, size);
        NEXT(c, u);
}

void op_x87_frstor(SoftCpu *c, const Uop *u) {
        uint8_t image[ENV_SIZE + X87_REGISTERS];

        need_x87_wait(c, u);
        mem_read_bytes(c, u, ea(c, u), image, env_size(u) + X87_REGISTERS);
        if (u->size == 1)
                __asm__ volatile("data16 frstor %0" : : "m"(image));
        else
                __asm__ volatile("frstor %0" : : "m"(image));
        fpu_control_changed(c);
        NEXT(c, u);
}
