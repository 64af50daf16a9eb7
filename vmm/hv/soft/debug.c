/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Debug exceptions: breakpoints, watchpoints and single steps (SDM volume 3 chapter 17). While any breakpoint is
 * enabled the processor runs one instruction at a time; pages with a watched address have no translations, so that
 * every access to them takes the slow path and is looked at.
 */
#include "vmm/hv/soft/access.h"

#define DR6_HITS 0xfu
#define DR7_ENABLED 0xffu
#define DR7_GENERAL_DETECT 0x2000u
#define KIND_EXECUTE 0u
#define KIND_WRITE 1u
#define KIND_READ_WRITE 3u

static bool enabled(const SoftCpu *c, unsigned n) {
        return c->dr[7] >> (2 * n) & 3;
}

static unsigned kind(const SoftCpu *c, unsigned n) {
        return (unsigned) (c->dr[7] >> (16 + 4 * n)) & 3;
}

static bool watches(const SoftCpu *c, unsigned n) {
        return enabled(c, n) && (kind(c, n) == KIND_WRITE || kind(c, n) == KIND_READ_WRITE);
}

static unsigned watched_bytes(const SoftCpu *c, unsigned n) {
        static const uint8_t bytes[] = {1, 2, 8, 4};

        return bytes[c->dr[7] >> (18 + 4 * n) & 3];
}

/** debug_changed() - the debug registers have been written: work out what follows */
void debug_changed(SoftCpu *c) {
        bool watched = c->debug_watches;

        c->debug_armed = c->dr[7] & DR7_ENABLED;
        c->debug_watches = false;
        for (unsigned n = 0; n < 4; n++)
                c->debug_watches |= watches(c, n);
        if (watched || c->debug_watches)
                mmu_flush_all(c);
}

/** debug_page_watched() - whether accesses to the page at @va must be looked at one by one */
bool debug_page_watched(const SoftCpu *c, uint64_t va) {
        for (unsigned n = 0; c->debug_watches && n < 4; n++)
                if (watches(c, n) && ((c->dr[n] ^ va) & PAGE_MASK) == 0)
                        return true;
        return false;
}

/** debug_check_data() - note the watchpoints that an access hits; they trap after the instruction */
void debug_check_data(SoftCpu *c, uint64_t va, unsigned size, bool write) {
        for (unsigned n = 0; n < 4; n++) {
                uint64_t len = watched_bytes(c, n), start = c->dr[n] & ~(len - 1);

                if (watches(c, n) && (write || kind(c, n) == KIND_READ_WRITE) && va < start + len &&
                    start < va + size)
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

/** debug_check_code() - fault if a breakpoint is at rip; not while RF is set */
void debug_check_code(SoftCpu *c) {
        uint64_t va = cpu_code64(c) ? c->rip : (c->seg[SEG_CS].base + c->rip) & UINT32_MAX;
        uint32_t hits = 0;

        for (unsigned n = 0; n < 4; n++)
                if (enabled(c, n) && kind(c, n) == KIND_EXECUTE && c->dr[n] == va)
                        hits |= 1u << n;
        if (hits)
                debug_raise(c, NULL, hits);
}

/** debug_check_access() - fault if the debug registers are guarded, before MOV to or from them */
void debug_check_access(SoftCpu *c, const Uop *u) {
        if (c->dr[7] & DR7_GENERAL_DETECT)
                debug_raise(c, u, DR6_BD);
}
