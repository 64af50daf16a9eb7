/* SPDX-License-Identifier: Apache-2.0 */
/* Protection keys: what they forbid to whom, and that a new PKRU or PKRS holds for what has been cached. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/le.h"
#include "tests/fake/vmm_soft_guest.h"
#include "vmm/hv/soft/access.h"
#include "vmm/hv/soft/soft_internal.h"

#define CODE UINT64_C(0x100000)
#define USER_VA UINT64_C(0x40001000)
#define SUPERVISOR_VA UINT64_C(0x40002000)
#define PLAIN_VA UINT64_C(0x40003000) /* of user mode, with key 0 */
#define GPA UINT64_C(0x101000)
#define KEY 5u
#define AD (1u << 2 * KEY)
#define WD (2u << 2 * KEY)

#define PRESENT 1u
#define WRITE 2u
#define USER 4u
#define BY_KEY 32u
#define NO_FAULT UINT32_MAX

static uint8_t *entry_of(SoftGuest *g, uint64_t va) {
        uint64_t table = SOFT_PAGE_TABLES;

        for (unsigned level = 3; level > 0; level--)
                table = le64_load(
                                soft_guest_memory(g, table + (va >> (12 + 9 * level) & 511) * 8)) &
                        PAGE_MASK;
        return soft_guest_memory(g, table + (va >> 12 & 511) * 8);
}

static void set_key(SoftGuest *g, uint64_t va, uint64_t key) {
        le64_store(entry_of(g, va), le64_load(entry_of(g, va)) | key << 59);
        tlb_flush_all(g->cpu);
}

static int setup(void **state) {
        static SoftGuest guest;

        if (soft_guest_new(1, &guest) < 0)
                return -1;
        soft_guest_map(&guest, CODE, CODE, SOFT_MAP_WRITE | SOFT_MAP_USER);
        soft_guest_map(&guest, USER_VA, GPA, SOFT_MAP_WRITE | SOFT_MAP_USER);
        soft_guest_map(&guest, SUPERVISOR_VA, GPA, SOFT_MAP_WRITE);
        soft_guest_map(&guest, PLAIN_VA, GPA, SOFT_MAP_WRITE | SOFT_MAP_USER);
        soft_guest_long_mode(&guest, 0);
        guest.cpu->cr4 |= CR4_PKE | CR4_PKS;
        set_key(&guest, USER_VA, KEY);
        set_key(&guest, SUPERVISOR_VA, KEY);
        *state = &guest;
        return 0;
}

static int teardown(void **state) {
        soft_guest_deinit(*state);
        return 0;
}

/* The error code of a page fault, or NO_FAULT. */
static uint32_t access(SoftGuest *g, uint64_t va, unsigned kind, unsigned cpl) {
        SoftCpu *c = g->cpu;

        c->cpl = (uint8_t) cpl;
        cpu_mode_changed(c);
        if (setjmp(c->on_fault) != 0) {
                assert_int_equal(c->fault_vector, EXC_PF);
                assert_int_equal(c->cr2, va);
                return c->fault_code;
        }
        if (kind == ACCESS_EXEC) {
                uint64_t phys;
                bool global;

                (void) tlb_fetch_page(c, va, &phys, &global);
        } else if (kind == ACCESS_WRITE) {
                mem_write8(c, NULL, va, 0x5a);
        } else {
                (void) mem_read8(c, NULL, va);
        }
        return NO_FAULT;
}

static void test_access_disable_forbids_data_and_leaves_code_alone(void **state) {
        SoftGuest *g = *state;

        keys_set_user(g->cpu, AD);
        assert_int_equal(access(g, USER_VA, ACCESS_READ, 3), PRESENT | USER | BY_KEY);
        assert_int_equal(access(g, USER_VA, ACCESS_WRITE, 3), PRESENT | WRITE | USER | BY_KEY);
        assert_int_equal(access(g, USER_VA, ACCESS_EXEC, 3), NO_FAULT);
        assert_int_equal(access(g, USER_VA, ACCESS_READ, 0), PRESENT | BY_KEY);
        g->cpu->cr0 &= ~(uint64_t) CR0_WP;
        assert_int_equal(access(g, USER_VA, ACCESS_WRITE, 0), PRESENT | WRITE | BY_KEY);
        assert_int_equal(access(g, PLAIN_VA, ACCESS_WRITE, 3), NO_FAULT);
        assert_int_equal(access(g, SUPERVISOR_VA, ACCESS_WRITE, 0), NO_FAULT);
}

static void test_write_disable_holds_for_the_supervisor_with_wp_only(void **state) {
        SoftGuest *g = *state;

        keys_set_user(g->cpu, WD);
        assert_int_equal(access(g, USER_VA, ACCESS_READ, 3), NO_FAULT);
        assert_int_equal(access(g, USER_VA, ACCESS_WRITE, 3), PRESENT | WRITE | USER | BY_KEY);
        assert_int_equal(access(g, USER_VA, ACCESS_WRITE, 0), PRESENT | WRITE | BY_KEY);
        g->cpu->cr0 &= ~(uint64_t) CR0_WP;
        assert_int_equal(access(g, USER_VA, ACCESS_WRITE, 0), NO_FAULT);
        tlb_flush_all(g->cpu);
        assert_int_equal(access(g, USER_VA, ACCESS_WRITE, 3), PRESENT | WRITE | USER | BY_KEY);
}

static void test_supervisor_keys_are_for_supervisor_pages(void **state) {
        SoftGuest *g = *state;

        keys_set_supervisor(g->cpu, WD);
        assert_int_equal(access(g, SUPERVISOR_VA, ACCESS_READ, 0), NO_FAULT);
        assert_int_equal(access(g, SUPERVISOR_VA, ACCESS_WRITE, 0), PRESENT | WRITE | BY_KEY);
        assert_int_equal(access(g, USER_VA, ACCESS_WRITE, 0), NO_FAULT);
        keys_set_supervisor(g->cpu, AD);
        assert_int_equal(access(g, SUPERVISOR_VA, ACCESS_READ, 0), PRESENT | BY_KEY);
        assert_int_equal(access(g, SUPERVISOR_VA, ACCESS_EXEC, 0), NO_FAULT);
        if (setjmp(g->cpu->on_fault) == 0) { /* the processor's own reads of its tables, too */
                (void) mem_read_system(g->cpu, NULL, SUPERVISOR_VA, 8);
                fail();
        }
        assert_int_equal(g->cpu->fault_code, PRESENT | BY_KEY);
}

static void test_the_fault_tells_of_the_key_beside_other_causes(void **state) {
        SoftGuest *g = *state;

        keys_set_user(g->cpu, AD);
        le64_store(entry_of(g, USER_VA), le64_load(entry_of(g, USER_VA)) & ~UINT64_C(2));
        tlb_flush_all(g->cpu);
        assert_int_equal(access(g, USER_VA, ACCESS_WRITE, 3), PRESENT | WRITE | USER | BY_KEY);
        keys_set_user(g->cpu, 0);
        assert_int_equal(access(g, USER_VA, ACCESS_WRITE, 3), PRESENT | WRITE | USER);
        le64_store(entry_of(g, USER_VA), le64_load(entry_of(g, USER_VA)) & ~UINT64_C(1));
        tlb_flush_all(g->cpu);
        keys_set_user(g->cpu, AD);
        assert_int_equal(access(g, USER_VA, ACCESS_WRITE, 3), WRITE | USER);
}

static void test_keys_mean_nothing_while_they_are_off(void **state) {
        SoftGuest *g = *state;

        keys_set_user(g->cpu, UINT32_MAX);
        keys_set_supervisor(g->cpu, UINT32_MAX);
        g->cpu->cr4 &= ~(uint64_t) CR4_PKE;
        tlb_flush_all(g->cpu);
        assert_int_equal(access(g, USER_VA, ACCESS_WRITE, 3), NO_FAULT);
        assert_int_equal(access(g, SUPERVISOR_VA, ACCESS_READ, 0), PRESENT | BY_KEY);
        g->cpu->cr4 &= ~(uint64_t) CR4_PKS;
        tlb_flush_all(g->cpu);
        assert_int_equal(access(g, SUPERVISOR_VA, ACCESS_WRITE, 0), NO_FAULT);
}

static void test_fewer_rights_hold_for_what_is_cached(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;

        for (unsigned cpl = 0; cpl <= 3; cpl += 3) {
                keys_set_user(c, 0);
                assert_int_equal(access(g, USER_VA, ACCESS_READ, cpl), NO_FAULT);
                assert_int_equal(access(g, USER_VA, ACCESS_WRITE, cpl), NO_FAULT);
        }
        assert_int_equal(access(g, SUPERVISOR_VA, ACCESS_WRITE, 0), NO_FAULT);
        assert_int_equal(access(g, PLAIN_VA, ACCESS_WRITE, 3), NO_FAULT);
        keys_set_user(c, WD);
        assert_int_equal(access(g, USER_VA, ACCESS_READ, 3), NO_FAULT);
        assert_int_equal(access(g, USER_VA, ACCESS_WRITE, 3), PRESENT | WRITE | USER | BY_KEY);
        keys_set_user(c, AD);
        assert_int_equal(access(g, USER_VA, ACCESS_READ, 0), PRESENT | BY_KEY);
        keys_set_user(c, 1); /* key 0 */
        assert_int_equal(access(g, PLAIN_VA, ACCESS_READ, 3), PRESENT | USER | BY_KEY);
        assert_int_equal(access(g, USER_VA, ACCESS_WRITE, 3), NO_FAULT);
        keys_set_supervisor(c, AD);
        assert_int_equal(access(g, SUPERVISOR_VA, ACCESS_READ, 0), PRESENT | BY_KEY);
}

static void test_large_pages_have_keys(void **state) {
        SoftGuest *g = *state;
        uint64_t table = SOFT_PAGE_TABLES;

        for (unsigned level = 3; level > 1; level--)
                table = le64_load(soft_guest_memory(g, table + (USER_VA >> (12 + 9 * level) & 511) *
                                                                       8)) &
                        PAGE_MASK;
        le64_store(soft_guest_memory(g, table + (USER_VA >> 21 & 511) * 8),
                   UINT64_C(0x87) | (uint64_t) KEY << 59);
        tlb_flush_all(g->cpu);
        assert_int_equal(access(g, USER_VA, ACCESS_WRITE, 3), NO_FAULT);
        keys_set_user(g->cpu, AD);
        assert_int_equal(access(g, USER_VA, ACCESS_READ, 3), PRESENT | USER | BY_KEY);
}

/* Runs what ends in a fault. Return: its vector. */
static unsigned run(SoftGuest *g, const char *code, size_t len) {
        memcpy(soft_guest_memory(g, CODE), code, len);
        guest_mem_written(g->tiny->mem, CODE, len);
        g->cpu->rip = CODE;
        assert_int_equal(soft_guest_blocks(g, 1024), 1);
        return g->cpu->fault_vector;
}
#define RUN(g, code) run(g, code "\x0f\x0b", sizeof(code) - 1 + 2) /* ud2 */
#define RDPKRU "\x0f\x01\xee"
#define WRPKRU "\x0f\x01\xef"

static void test_pkru_is_read_and_written_by_any_privilege(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;

        soft_guest_long_mode(g, 3);
        c->cr4 |= CR4_PKE;
        c->r[RAX] = 0xffffffff55555554;
        c->r[RCX] = c->r[RDX] = 0xffffffff00000000; /* whose upper halves are nobody's */
        assert_int_equal(RUN(g, WRPKRU "\x31\xc0" RDPKRU), EXC_UD);
        assert_int_equal(c->rip, CODE + 8);
        assert_int_equal(c->pkru, 0x55555554);
        assert_int_equal(c->r[RAX], 0x55555554);
        assert_int_equal(c->r[RDX], 0);

        c->r[RDX] = 1;
        assert_int_equal(RUN(g, WRPKRU), EXC_GP);
        assert_int_equal(RUN(g, RDPKRU), EXC_UD);
        assert_int_equal(c->rip, CODE + 3);
        c->r[RCX] = 1;
        assert_int_equal(RUN(g, RDPKRU), EXC_GP);
        assert_int_equal(RUN(g, WRPKRU), EXC_GP);
        c->cr4 &= ~(uint64_t) CR4_PKE;
        assert_int_equal(RUN(g, WRPKRU), EXC_UD);
        assert_int_equal(c->rip, CODE);
        assert_int_equal(RUN(g, RDPKRU), EXC_UD);
        assert_int_equal(c->rip, CODE);
}

static void test_prefixes_make_other_instructions_of_them(void **state) {
        SoftGuest *g = *state;

        g->cpu->r[RCX] = g->cpu->r[RDX] = 0;
        assert_int_equal(RUN(g, "\x66" RDPKRU), EXC_UD);
        assert_int_equal(g->cpu->rip, CODE);
        assert_int_equal(RUN(g, "\xf3" WRPKRU), EXC_UD);
        assert_int_equal(g->cpu->rip, CODE);
        assert_int_equal(RUN(g, "\xf0" RDPKRU), EXC_UD);
        assert_int_equal(g->cpu->rip, CODE);
}

/* A loop that is translated, and that takes the key away in its last round. */
static void test_translated_code_obeys_a_new_pkru(void **state) {
        static const char code[] = "\xb9\xc8\x00\x00\x00" /* mov $200, %ecx */
                                   "\xba\x00\x00\x00\x00" /* mov $0, %edx */
                                   "\xff\x03"             /* 1: incl (%rbx) */
                                   "\xff\xc9"             /* dec %ecx */
                                   "\x75\xfa"             /* jnz 1b */
                                   "\x89\xf0"             /* mov %esi, %eax */
                WRPKRU "\xff\x03\x0f\x0b";                /* incl (%rbx); ud2 */
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;

        for (unsigned round = 0; round < 3; round++) {
                soft_guest_long_mode(g, 3);
                c->cr4 |= CR4_PKE;
                keys_set_user(c, 0);
                le32_store(soft_guest_memory(g, GPA), 0);
                c->r[RBX] = USER_VA;
                c->r[RSI] = round == 1 ? WD : 0;
                assert_int_equal(run(g, code, sizeof(code) - 1), round == 1 ? EXC_PF : EXC_UD);
                assert_int_equal(le32_load(soft_guest_memory(g, GPA)), round == 1 ? 200 : 201);
                if (round == 1)
                        assert_int_equal(c->fault_code, PRESENT | WRITE | USER | BY_KEY);
        }
}

static void test_pkrs_is_a_register_of_32_bits(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;
        uint64_t v = 1;

        assert_true(msr_write(c, 0x6e1, 0xfffffffc));
        assert_true(msr_read(c, 0x6e1, &v));
        assert_int_equal(v, 0xfffffffc);
        assert_false(msr_write(c, 0x6e1, UINT64_C(1) << 32));
        cpu_feature_set_put(&c->partition->model.features, CPU_FEATURE_PKS, false);
        assert_false(msr_read(c, 0x6e1, &v));
        assert_false(msr_write(c, 0x6e1, 0));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_access_disable_forbids_data_and_leaves_code_alone),
                TEST(test_write_disable_holds_for_the_supervisor_with_wp_only),
                TEST(test_supervisor_keys_are_for_supervisor_pages),
                TEST(test_the_fault_tells_of_the_key_beside_other_causes),
                TEST(test_keys_mean_nothing_while_they_are_off),
                TEST(test_fewer_rights_hold_for_what_is_cached),
                TEST(test_large_pages_have_keys),
                TEST(test_pkru_is_read_and_written_by_any_privilege),
                TEST(test_prefixes_make_other_instructions_of_them),
                TEST(test_translated_code_obeys_a_new_pkru),
                TEST(test_pkrs_is_a_register_of_32_bits),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
