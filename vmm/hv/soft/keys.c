/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protection keys (SDM volume 3, 4.6.2): bits 62 to 59 of the entry of a page name one of 16 keys, and two registers say
 * what a key forbids: PKRU for the pages of user mode, IA32_PKRS for the supervisor's. They hold for data, in long mode.
 *
 * The MMU asks once, before a translation is cached. So more rights need nothing; fewer drop what is cached of the pages
 * with keys. Key 0 is that of all pages that nobody gave one, so that fewer rights for it drop everything.
 */
#include "vmm/hv/soft/access.h"
#include "vmm/hv/soft/handlers.h"

#define KEY_SHIFT 59u
#define KEY_ACCESS_DISABLE 1u
#define KEY_WRITE_DISABLE 2u

/**
 * keys_of() - the key of a page, 0 where keys are off
 * @entry:     that maps it, of whatever size
 * @user_page: whether all levels allow user mode
 */
unsigned keys_of(const SoftCpu *c, uint64_t entry, bool user_page) {
        return c->cr4 & (user_page ? CR4_PKE : CR4_PKS) ? (unsigned) (entry >> KEY_SHIFT) & 15 : 0;
}

/** keys_refuse() - whether the page's key forbids the access (ACCESS_*, MMU_*), which other rights may forbid, too */
bool keys_refuse(const SoftCpu *c, unsigned access, unsigned role, uint64_t entry, bool user_page) {
        const uint32_t all = user_page ? c->pkru : c->pkrs;
        uint32_t rights;

        if (!(c->cr4 & (user_page ? CR4_PKE : CR4_PKS)) || access == ACCESS_EXEC ||
            access == ACCESS_PEEK)
                return false;
        rights = all >> 2 * keys_of(c, entry, user_page);
        return (rights & KEY_ACCESS_DISABLE) ||
               ((rights & KEY_WRITE_DISABLE) && access == ACCESS_WRITE &&
                (role == MMU_USER || (c->cr0 & CR0_WP)));
}

static void set(SoftCpu *c, uint32_t *keys, uint32_t v, uint64_t enabled) {
        const uint32_t less = v & ~*keys;

        *keys = v;
        if (!(c->cr4 & enabled))
                return;
        if (less & (KEY_ACCESS_DISABLE | KEY_WRITE_DISABLE))
                tlb_flush_all(c);
        else if (less)
                tlb_flush_keyed(c);
}

/** keys_set_user() - a new PKRU */
void keys_set_user(SoftCpu *c, uint32_t pkru) {
        set(c, &c->pkru, pkru, CR4_PKE);
}

/** keys_set_supervisor() - a new IA32_PKRS */
void keys_set_supervisor(SoftCpu *c, uint32_t pkrs) {
        set(c, &c->pkrs, pkrs, CR4_PKS);
}

static void need_pke(SoftCpu *c, const Uop *u) {
        if (!(c->cr4 & CR4_PKE))
                cpu_raise(c, u, EXC_UD);
}

void op_rdpkru(SoftCpu *c, const Uop *u) {
        need_pke(c, u);
        if (R32(c, RCX) != 0)
                cpu_raise_code(c, u, EXC_GP, 0);
        c->r[RAX] = c->pkru;
        c->r[RDX] = 0;
        NEXT(c, u);
}

void op_wrpkru(SoftCpu *c, const Uop *u) {
        need_pke(c, u);
        if (R32(c, RCX) != 0 || R32(c, RDX) != 0)
                cpu_raise_code(c, u, EXC_GP, 0);
        keys_set_user(c, R32(c, RAX));
        NEXT(c, u);
}
