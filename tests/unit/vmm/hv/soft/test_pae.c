/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of three levels, whose highest is loaded when control registers are written. */
#include "tests/unit/vmm/hv/soft/legacy_guest.h"

#define DIRECTORY_POINTERS 0x10a000u
#define DIRECTORY 0x10b000u
#define BAD (DIRECTORY_POINTERS + 0x100)

/* The first 2 MiB as they are; BAD is the same with @bits in its last entry. */
static void make_tables(SoftGuest *g, uint64_t bits) {
        memset(soft_guest_memory(g, DIRECTORY_POINTERS), 0, 0x2000);
        le64_store(soft_guest_memory(g, DIRECTORY_POINTERS), DIRECTORY | 1);
        le64_store(soft_guest_memory(g, BAD), DIRECTORY | 1);
        le64_store(soft_guest_memory(g, BAD + 24), DIRECTORY | bits);
        le64_store(soft_guest_memory(g, DIRECTORY), 0x83);
}

static void test_reserved_bits_keep_the_entries_from_being_loaded(void **state) {
        static const uint64_t bits[] = {0x2,
                                        0x4,
                                        0x20,
                                        0x40,
                                        0x80,
                                        0x100,
                                        UINT64_C(1) << 40,
                                        UINT64_C(1) << 52,
                                        UINT64_C(1) << 63};
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;

        for (size_t i = 0; i < ELEMENTSOF(bits); i++) {
                protected_mode(g, 0);
                make_tables(g, bits[i] | 1);
                c->cr3 = BAD;
                c->cr4 = CR4_PAE;
                c->r[RAX] = CR0_PE | CR0_PG;
                assert_int_equal(RUN(g, "\x0f\x22\xc0"), EXC_GP); /* mov %eax, %cr0 */
                assert_int_equal(c->cr0 & CR0_PG, 0);
                c->cr3 = DIRECTORY_POINTERS;
                assert_int_equal(RUN(g, "\x0f\x22\xc0"), EXC_UD);
                assert_int_equal(c->cr0 & CR0_PG, CR0_PG);
                c->r[RAX] = BAD;
                assert_int_equal(RUN(g, "\x0f\x22\xd8"), EXC_GP); /* mov %eax, %cr3 */
                assert_int_equal(c->cr3, DIRECTORY_POINTERS);
                make_tables(g, bits[i]); /* not present: nobody looks */
                assert_int_equal(RUN(g, "\x0f\x22\xd8"), EXC_UD);
                assert_int_equal(c->cr3, BAD);
                make_tables(g, bits[i] | 1);
                c->r[RAX] = CR4_PAE | CR4_PGE;
                assert_int_equal(RUN(g, "\x0f\x22\xe0"), EXC_GP); /* mov %eax, %cr4 */
                assert_int_equal(c->cr4, CR4_PAE);
        }
}

static void test_other_paging_has_no_such_entries(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;

        make_tables(g, 3);
        le32_store(soft_guest_memory(g, BAD), 0x83); /* 4 MiB, in entries of four bytes */
        c->cr3 = BAD & ~0xfffu;
        le32_store(soft_guest_memory(g, DIRECTORY_POINTERS), 0x83);
        c->cr4 = CR4_PSE;
        c->r[RAX] = CR0_PE | CR0_PG;
        assert_int_equal(RUN(g, "\x0f\x22\xc0"), EXC_UD);
        c->r[RAX] = BAD & ~0xfffu;
        assert_int_equal(RUN(g, "\x0f\x22\xd8"), EXC_UD);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_reserved_bits_keep_the_entries_from_being_loaded),
                TEST(test_other_paging_has_no_such_entries),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
