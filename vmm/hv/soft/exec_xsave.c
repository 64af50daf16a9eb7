/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images of x87, SSE and what else XCR0 names: FXSAVE and the XSAVE feature set in its standard format (SDM volume 1
 * chapter 13). x87 and SSE always count as in use, PKRU where it is not 0. Where the x87's last instruction and operand
 * were is not kept.
 */
#include "vmm/hv/soft/access.h"

#include <string.h>
#include "vmm/hv/soft/handlers.h"

#define MXCSR_MASK 0xffffu
#define X87_BYTES 24u /* control, status, tags, last instruction and operand */
#define IMAGE_MXCSR 24u
#define IMAGE_ST 32u
#define IMAGE_XMM 160u
#define IMAGE_BYTES 512u
#define HEADER_BYTES 64u

typedef struct FpuImage {
        uint8_t bytes[IMAGE_BYTES] __attribute__((aligned(16)));
} FpuImage;

static unsigned xmm_bytes(const SoftCpu *c) {
        return (cpu_code64(c) ? 16 : 8) * (unsigned) sizeof(Xmm);
}

/* The stack segment's fault for addresses that are not canonical comes before that for alignment. */
static void check_alignment(SoftCpu *c, const Uop *u, uint64_t va, unsigned alignment) {
        if (likely((va & (alignment - 1)) == 0))
                return;
        if (alignment == 16) /* FXSAVE and FXRSTOR; an image of XSAVE's is never told of so */
                mem_need_aligned(c, u, va, IMAGE_BYTES);
        cpu_raise_code(c, u,
                       u->seg == SEG_SS && cpu_code64(c) && !is_canonical(va) ? EXC_SS : EXC_GP, 0);
}

static void image_get(SoftCpu *c, FpuImage *ret) {
        const uint32_t mxcsr = c->mxcsr | (__builtin_ia32_stmxcsr() & 0x3f), mask = MXCSR_MASK;

        __asm__ volatile("fxsave64 %0" : "=m"(ret->bytes));
        memset(ret->bytes + 6, 0, X87_BYTES - 6);
        memcpy(ret->bytes + IMAGE_MXCSR, &mxcsr, 4);
        memcpy(ret->bytes + IMAGE_MXCSR + 4, &mask, 4);
        memcpy(ret->bytes + IMAGE_XMM, c->xmm, xmm_bytes(c));
        memset(ret->bytes + IMAGE_XMM + xmm_bytes(c), 0, IMAGE_BYTES - IMAGE_XMM - xmm_bytes(c));
}

static uint32_t image_mxcsr(SoftCpu *c, const Uop *u, const FpuImage *image) {
        uint32_t mxcsr;

        memcpy(&mxcsr, image->bytes + IMAGE_MXCSR, 4);
        if (mxcsr & ~MXCSR_MASK)
                cpu_raise_code(c, u, EXC_GP, 0);
        return mxcsr;
}

static void set_mxcsr(SoftCpu *c, uint32_t mxcsr) {
        c->mxcsr = mxcsr;
        __builtin_ia32_ldmxcsr(mxcsr | 0x1f80);
}

/* What @image says of x87 becomes the host's, whose MXCSR stays. */
static void set_x87(SoftCpu *c, FpuImage *image) {
        const uint32_t mxcsr = __builtin_ia32_stmxcsr();

        memset(image->bytes + 6, 0, X87_BYTES - 6);
        memcpy(image->bytes + IMAGE_MXCSR, &mxcsr, 4);
        __asm__ volatile("fxrstor64 %0" : : "m"(image->bytes));
        fpu_control_changed(c);
}

/* ---- FXSAVE ---- */

static void need_fxsr(SoftCpu *c, const Uop *u) {
        if (c->cr0 & (CR0_EM | CR0_TS))
                cpu_raise(c, u, c->cr0 & CR0_EM ? EXC_UD : EXC_NM);
}

void op_fxsave(SoftCpu *c, const Uop *u) {
        FpuImage image;
        uint64_t va;

        need_fxsr(c, u);
        va = ea(c, u);
        check_alignment(c, u, va, 16);
        image_get(c, &image);
        /* The last 48 bytes are the operating system's and not written. */
        mem_write_bytes(c, u, va, image.bytes, 416);
        NEXT(c, u);
}

void op_fxrstor(SoftCpu *c, const Uop *u) {
        FpuImage image;
        uint64_t va;

        need_fxsr(c, u);
        va = ea(c, u);
        check_alignment(c, u, va, 16);
        mem_read_bytes(c, u, va, image.bytes, IMAGE_BYTES);
        set_mxcsr(c, image_mxcsr(c, u, &image));
        memcpy(c->xmm, image.bytes + IMAGE_XMM, xmm_bytes(c));
        set_x87(c, &image);
        NEXT(c, u);
}

/* ---- XCR0 ---- */

/** soft_xcr0_known() - the components that XCR0 can name */
uint64_t soft_xcr0_known(const SoftModel *model) {
        return XSTATE_X87 | XSTATE_SSE |
               (cpu_feature_set_has(&model->features, CPU_FEATURE_PKU) ? XSTATE_PKRU : 0);
}

/** soft_xsave_bytes() - of the area with the components of @xcr0 */
uint32_t soft_xsave_bytes(uint64_t xcr0) {
        return xcr0 & XSTATE_PKRU ? XSAVE_PKRU + XSAVE_PKRU_BYTES : IMAGE_BYTES + HEADER_BYTES;
}

/** xcr0_valid() - whether XCR0 may become @v */
bool xcr0_valid(const SoftCpu *c, uint64_t v) {
        return (v & XSTATE_X87) && !(v & ~soft_xcr0_known(c->model));
}

static void need_osxsave(SoftCpu *c, const Uop *u) {
        if (!(c->cr4 & CR4_OSXSAVE))
                cpu_raise(c, u, EXC_UD);
}

void op_xgetbv(SoftCpu *c, const Uop *u) {
        need_osxsave(c, u);
        if (R32(c, RCX) != 0)
                cpu_raise_code(c, u, EXC_GP, 0);
        c->r[RAX] = (uint32_t) c->xcr0;
        c->r[RDX] = c->xcr0 >> 32;
        NEXT(c, u);
}

void op_xsetbv(SoftCpu *c, const Uop *u) {
        const uint64_t v = (uint64_t) R32(c, RDX) << 32 | R32(c, RAX);

        need_osxsave(c, u);
        if (c->cpl != 0 || R32(c, RCX) != 0 || !xcr0_valid(c, v))
                cpu_raise_code(c, u, EXC_GP, 0);
        c->xcr0 = v;
        NEXT(c, u);
}

/* ---- XSAVE ---- */

/* The operand's address, with all checks that come before it is touched. */
static uint64_t xsave_area(SoftCpu *c, const Uop *u) {
        uint64_t va;

        need_osxsave(c, u);
        if (c->cr0 & CR0_TS)
                cpu_raise(c, u, EXC_NM);
        va = ea(c, u);
        check_alignment(c, u, va, 64);
        return va;
}

/* Of the components that the instruction asks for, those that XCR0 names. */
static uint64_t requested(SoftCpu *c) {
        return ((uint64_t) R32(c, RDX) << 32 | R32(c, RAX)) & c->xcr0;
}

/* An area that ends behind the end of the address space wraps as each of its parts does. */
static uint64_t part(const SoftCpu *c, uint64_t va, uint64_t offset) {
        return cpu_long_mode(c) ? va + offset : (uint32_t) (va + offset);
}

/* Where PKRU lies in the area at @va. It is behind what xsave_area() asked the segment for. */
static uint64_t pkru_part(SoftCpu *c, const Uop *u, uint64_t va) {
        Uop at = *u;

        if (cpu_code64(c))
                return part(c, va, XSAVE_PKRU);
        at.disp += (int32_t) XSAVE_PKRU;
        at.ea = (uint8_t) ((at.ea & ~EA_BYTES(15u)) | EA_BYTES(3u));
        return ea_slow(c, &at);
}

void op_xsave(SoftCpu *c, const Uop *u) {
        const uint64_t va = xsave_area(c, u), what = requested(c);
        const uint64_t in_use = XSTATE_X87 | XSTATE_SSE | (c->pkru ? XSTATE_PKRU : 0);
        const uint64_t pkru_at = what & XSTATE_PKRU ? pkru_part(c, u, va) : 0;
        FpuImage image;
        u64u *present;

        image_get(c, &image);
        if (what & XSTATE_X87) {
                mem_write_bytes(c, u, va, image.bytes, X87_BYTES);
                mem_write_bytes(c, u, part(c, va, IMAGE_ST), image.bytes + IMAGE_ST,
                                IMAGE_XMM - IMAGE_ST);
        }
        if (what & XSTATE_SSE) {
                mem_write_bytes(c, u, part(c, va, IMAGE_MXCSR), image.bytes + IMAGE_MXCSR, 8);
                mem_write_bytes(c, u, part(c, va, IMAGE_XMM), image.bytes + IMAGE_XMM,
                                xmm_bytes(c));
        }
        if (what & XSTATE_PKRU)
                mem_write64(c, u, pkru_at, c->pkru);
        present = (u64u *) mem_begin(c, u, part(c, va, XSAVE_HEADER), 8);
        *present = (*present & ~what) | (in_use & what);
        mem_end(c, u);
        NEXT(c, u);
}

typedef struct XsaveHeader {
        uint64_t present, compacted, reserved, more[5];
} XsaveHeader;
_Static_assert(sizeof(XsaveHeader) == HEADER_BYTES, "as the SDM has it");

static void init_x87(FpuImage *image) {
        static const uint8_t control[2] = {0x7f, 0x03};

        memset(image->bytes, 0, X87_BYTES);
        memset(image->bytes + IMAGE_ST, 0, IMAGE_XMM - IMAGE_ST);
        memcpy(image->bytes, control, sizeof(control));
}

/* Everything is read before anything changes. */
void op_xrstor(SoftCpu *c, const Uop *u) {
        const uint64_t va = xsave_area(c, u), what = requested(c);
        uint32_t mxcsr = c->mxcsr, pkru = 0;
        XsaveHeader header;
        FpuImage image;

        mem_read_bytes(c, u, part(c, va, XSAVE_HEADER), &header, sizeof(header));
        if ((header.present & ~c->xcr0) || header.compacted || header.reserved)
                cpu_raise_code(c, u, EXC_GP, 0);
        mem_read_bytes(c, u, va, image.bytes, IMAGE_XMM + xmm_bytes(c));
        if (what & XSTATE_SSE)
                mxcsr = image_mxcsr(c, u, &image);
        if (what & header.present & XSTATE_PKRU)
                pkru = mem_read32(c, u, pkru_part(c, u, va));

        if (what & XSTATE_SSE) {
                set_mxcsr(c, mxcsr);
                if (header.present & XSTATE_SSE)
                        memcpy(c->xmm, image.bytes + IMAGE_XMM, xmm_bytes(c));
                else
                        memset(c->xmm, 0, xmm_bytes(c));
        }
        if (what & XSTATE_X87) {
                if (!(header.present & XSTATE_X87))
                        init_x87(&image);
                set_x87(c, &image);
        }
        if (what & XSTATE_PKRU)
                keys_set_user(c, pkru);
        NEXT(c, u);
}
