/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Debug exceptions: breakpoints, watchpoints and single steps (SDM volume 3 chapter 17). While any breakpoint is
 * enabled the processor runs one instruction at a time; pages with a watched address have no translations, so that
 * every access to them takes the slow path and is looked at.
 */
#include <errno.h>

#include "vmm/hv/soft/access.h"

#define DR6_HITS 0xfu
#define DR7_ENABLED 0xffu
#define DR7_GENERAL_DETECT 0x2000u
#define KIND_EXECUTE 0u
#define KIND_WRITE 1u
#define KIND_READ_WRITE 3u

/* Breakpoint @n of whoever has the debug registers: the guest, or a debugger in its stead. */
typedef struct Break {
        unsigned kind; /* as DR7 has it; KIND_NONE */
        uint64_t start, len;
} Break;
#define KIND_IO 2u /* while CR4.DE is set */
#define KIND_NONE 4u

static Break break_of_guest(const SoftCpu *c, unsigned n) {
        static const uint8_t bytes[] = {1, 2, 8, 4};
        const uint64_t dr7 = c->dr[7];
        const uint64_t len = bytes[dr7 >> (18 + 4 * n) & 3];
        Break b = {.kind = (unsigned) (dr7 >> (16 + 4 * n)) & 3,
                   .start = c->dr[n] & ~(len - 1),
                   .len = len};

        if (b.kind == KIND_EXECUTE)
                b = (Break){.kind = KIND_EXECUTE, .start = c->dr[n], .len = 1};
        if (!(dr7 >> (2 * n) & 3) || (b.kind == KIND_IO && !(c->cr4 & CR4_DE)))
                b.kind = KIND_NONE;
        return b;
}

static Break break_of_debugger(const SoftCpu *c, unsigned n) {
        static const uint8_t kinds[] = {[VCPU_BREAK_EXECUTE] = KIND_EXECUTE,
                                        [VCPU_BREAK_WRITE] = KIND_WRITE,
                                        [VCPU_BREAK_READ_WRITE] = KIND_READ_WRITE};
        const VcpuBreak *b = &c->debug.breaks[n];

        if (n >= c->debug.n_breaks)
                return (Break){.kind = KIND_NONE};
        return (Break){.kind = kinds[b->kind], .start = b->gva, .len = b->size};
}

static Break break_at(const SoftCpu *c, unsigned n) {
        return c->debugged ? break_of_debugger(c, n) : break_of_guest(c, n);
}

static bool watches(const Break *b) {
        return b->kind == KIND_WRITE || b->kind == KIND_READ_WRITE;
}

/** debug_changed() - the debug registers or the debugger's wishes have changed: work out what follows */
void debug_changed(SoftCpu *c) {
        bool watched = c->debug_watches;

        c->debug_armed = c->debugged ? c->debug.single_step : c->dr[7] & DR7_ENABLED;
        c->debug_watches = false;
        for (unsigned n = 0; n < 4; n++) {
                const Break b = break_at(c, n);

                c->debug_armed |= b.kind != KIND_NONE;
                c->debug_watches |= watches(&b);
        }
        if (watched || c->debug_watches)
                tlb_flush_all(c);
}

/** debug_page_watched() - whether accesses to the page at @va must be looked at one by one */
bool debug_page_watched(const SoftCpu *c, uint64_t va) {
        for (unsigned n = 0; c->debug_watches && n < 4; n++) {
                const Break b = break_at(c, n);

                if (watches(&b) && ((b.start ^ va) & PAGE_MASK) == 0)
                        return true;
        }
        return false;
}

/** debug_check_data() - note the watchpoints that an access hits; they trap after the instruction */
void debug_check_data(SoftCpu *c, uint64_t va, unsigned size, bool write) {
        for (unsigned n = 0; n < 4; n++) {
                const Break b = break_at(c, n);

                if (watches(&b) && (write || b.kind == KIND_READ_WRITE) && va < b.start + b.len &&
                    b.start < va + size)
                        c->debug_hits |= 1u << n;
        }
}

/** debug_check_port() - note the breakpoints on ports that an access hits; likewise */
void debug_check_port(SoftCpu *c, uint16_t port, unsigned size) {
        for (unsigned n = 0; n < 4; n++) {
                const Break b = break_at(c, n);

                if (b.kind == KIND_IO && port < b.start + b.len && b.start < port + size)
                        c->debug_hits |= 1u << n;
        }
}

/** debug_enter() - what delivering a debug exception for @causes (bits of DR6) does to the registers */
void debug_enter(SoftCpu *c, uint32_t causes) {
        c->dr[6] = (c->dr[6] & ~(uint64_t) DR6_HITS) | causes | c->debug_hits;
        c->debug_hits = 0;
        c->dr[7] &= ~(uint64_t) DR7_GENERAL_DETECT;
}

/** debug_raise() - #DB for @causes; @u as for cpu_raise(): NULL after an instruction, as a trap */
_Noreturn void debug_raise(SoftCpu *c, const Uop *u, uint32_t causes) {
        debug_enter(c, causes);
        cpu_raise(c, u, EXC_DB);
}

/* Breakpoints at rip, as DR6 bits. */
static uint32_t code_hits(const SoftCpu *c) {
        uint64_t va = cpu_code64(c) ? c->rip : (c->seg[SEG_CS].base + c->rip) & UINT32_MAX;
        uint32_t hits = 0;

        for (unsigned n = 0; n < 4; n++) {
                const Break b = break_at(c, n);

                if (b.kind == KIND_EXECUTE && b.start == va)
                        hits |= 1u << n;
        }
        return hits;
}

/** debug_check_code() - fault if a breakpoint of the guest is at rip; not while RF is set */
void debug_check_code(SoftCpu *c) {
        const uint32_t hits = c->debugged ? 0 : code_hits(c);

        if (hits)
                debug_raise(c, NULL, hits);
}

/* ---- the debugger outside ---- */

/** debug_set() - DebugOps.set_debug */
int debug_set(SoftCpu *c, const VcpuDebug *debug) {
        if (debug && !vcpu_debug_valid(debug))
                return -EINVAL;
        c->debugged = debug != NULL;
        c->debug = debug ? *debug : (VcpuDebug){0};
        c->debug_hits = 0;
        debug_changed(c);
        return 0;
}

/** debug_stop() - leave the guest for the debugger before the next instruction */
void debug_stop(SoftCpu *c, VcpuDebugCause cause, unsigned which) {
        c->halt = HALT_DEBUG;
        c->debug_stop = (VcpuDebugStop){.cause = cause, .which = which};
}

/** debug_stop_before() - stop if the debugger has a breakpoint at rip. Return: whether. */
bool debug_stop_before(SoftCpu *c) {
        const uint32_t hits = c->debugged ? code_hits(c) : 0;

        if (hits)
                debug_stop(c, VCPU_DEBUG_BREAK, (unsigned) __builtin_ctz(hits));
        return hits != 0;
}

/** debug_stop_after() - an instruction has been executed, or an exception delivered: stop if the debugger wants it */
bool debug_stop_after(SoftCpu *c) {
        if (!c->debugged || (!c->debug_hits && !c->debug.single_step))
                return false;
        if (c->debug_hits)
                debug_stop(c, VCPU_DEBUG_BREAK, (unsigned) __builtin_ctz(c->debug_hits));
        else
                debug_stop(c, VCPU_DEBUG_STEP, 0);
        c->debug_hits = 0;
        return true;
}

/** debug_check_access() - fault if the debug registers are guarded, before MOV to or from them */
void debug_check_access(SoftCpu *c, const Uop *u) {
        if (c->dr[7] & DR7_GENERAL_DETECT)
                debug_raise(c, u, DR6_BD);
}
