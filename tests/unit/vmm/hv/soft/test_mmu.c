/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/cleanup.h"
#include "base/le.h"
#include "tests/fake/vmm_soft_guest.h"
#include "vmm/hv/soft/access.h"
#include "vmm/hv/soft/soft_internal.h"

#define VA UINT64_C(0x40000000)
#define GPA UINT64_C(0x100000)
#define OTHER_GPA UINT64_C(0x101000)

#define FAULT_PRESENT 1u
#define FAULT_WRITE 2u
#define FAULT_USER 4u
#define FAULT_RESERVED 8u
#define FAULT_FETCH 16u
#define NO_FAULT UINT32_MAX

#define ACCESSED UINT64_C(0x20)
#define DIRTY UINT64_C(0x40)
#define LARGE UINT64_C(0x80)
#define GLOBAL UINT64_C(0x100)
#define NX (UINT64_C(1) << 63)

/* Every table on the way to VA; the guest's four levels. */
typedef struct Tables {
        uint64_t pml4e, pdpte, pde, pte; /* where the entries lie */
} Tables;

static int setup(void **state) {
        static SoftGuest guest;

        if (soft_guest_new(1, &guest) < 0)
                return -1;
        soft_guest_map(&guest, VA, GPA, SOFT_MAP_WRITE | SOFT_MAP_USER);
        soft_guest_long_mode(&guest, 0);
        *state = &guest;
        return 0;
}

static int teardown(void **state) {
        soft_guest_deinit(*state);
        return 0;
}

static uint64_t entry(SoftGuest *g, uint64_t at) {
        return le64_load(soft_guest_memory(g, at));
}

static void set_entry(SoftGuest *g, uint64_t at, uint64_t v) {
        le64_store(soft_guest_memory(g, at), v);
}

static Tables tables(SoftGuest *g) {
        Tables t = {.pml4e = SOFT_PAGE_TABLES + (VA >> 39 & 511) * 8};

        t.pdpte = (entry(g, t.pml4e) & PAGE_MASK) + (VA >> 30 & 511) * 8;
        t.pde = (entry(g, t.pdpte) & PAGE_MASK) + (VA >> 21 & 511) * 8;
        t.pte = (entry(g, t.pde) & PAGE_MASK) + (VA >> 12 & 511) * 8;
        return t;
}

/* The error code of a page fault, NO_FAULT, or 0x100 and the vector of another exception. */
static uint32_t access(SoftGuest *g, uint64_t va, unsigned kind, unsigned cpl) {
        SoftCpu *c = g->cpu;
        uint64_t phys;
        bool global;

        c->cpl = (uint8_t) cpl;
        cpu_mode_changed(c);
        if (setjmp(c->on_fault) != 0) {
                if (c->fault_vector != EXC_PF)
                        return 0x100 | c->fault_vector;
                return c->fault_code;
        }
        if (kind == ACCESS_EXEC)
                (void) tlb_fetch_page(c, va, &phys, &global);
        else if (kind == ACCESS_WRITE)
                mem_write8(c, NULL, va, 0x5a);
        else
                (void) mem_read8(c, NULL, va);
        return NO_FAULT;
}

static void test_rights_are_those_of_all_levels_together(void **state) {
        SoftGuest *g = *state;
        Tables t = tables(g);
        const uint64_t levels[] = {t.pml4e, t.pdpte, t.pde, t.pte};

        for (unsigned i = 0; i < ELEMENTSOF(levels); i++) {
                uint64_t was = entry(g, levels[i]);

                set_entry(g, levels[i], was & ~UINT64_C(4));
                tlb_flush_all(g->cpu);
                assert_int_equal(access(g, VA, ACCESS_READ, 3), FAULT_PRESENT | FAULT_USER);
                assert_int_equal(access(g, VA, ACCESS_READ, 0), NO_FAULT);

                set_entry(g, levels[i], was & ~UINT64_C(2));
                tlb_flush_all(g->cpu);
                assert_int_equal(access(g, VA, ACCESS_WRITE, 3),
                                 FAULT_PRESENT | FAULT_WRITE | FAULT_USER);
                assert_int_equal(access(g, VA, ACCESS_READ, 3), NO_FAULT);

                set_entry(g, levels[i], was | NX);
                tlb_flush_all(g->cpu);
                assert_int_equal(access(g, VA, ACCESS_EXEC, 3),
                                 FAULT_PRESENT | FAULT_USER | FAULT_FETCH);
                assert_int_equal(access(g, VA, ACCESS_READ, 3), NO_FAULT);

                set_entry(g, levels[i], was & ~UINT64_C(1));
                tlb_flush_all(g->cpu);
                assert_int_equal(access(g, VA + 5, ACCESS_WRITE, 3), FAULT_WRITE | FAULT_USER);
                assert_int_equal(g->cpu->cr2, VA + 5);
                set_entry(g, levels[i], was);
                tlb_flush_all(g->cpu);
                assert_int_equal(access(g, VA, ACCESS_WRITE, 3), NO_FAULT);
        }
}

static void test_supervisor_writes_read_only_pages_unless_wp_is_set(void **state) {
        SoftGuest *g = *state;
        Tables t = tables(g);

        set_entry(g, t.pte, entry(g, t.pte) & ~UINT64_C(2));
        assert_int_equal(access(g, VA, ACCESS_WRITE, 0), FAULT_PRESENT | FAULT_WRITE);
        g->cpu->cr0 &= ~(uint64_t) CR0_WP;
        assert_int_equal(access(g, VA, ACCESS_WRITE, 0), NO_FAULT);
        assert_int_equal(*soft_guest_memory(g, GPA), 0x5a);
        assert_int_equal(access(g, VA, ACCESS_WRITE, 3), FAULT_PRESENT | FAULT_WRITE | FAULT_USER);
}

static void test_reserved_bits_fault_with_their_own_code(void **state) {
        SoftGuest *g = *state;
        Tables t = tables(g);
        uint64_t was = entry(g, t.pte), pml4e = entry(g, t.pml4e);

        set_entry(g, t.pte, was | UINT64_C(1) << 45);
        assert_int_equal(access(g, VA, ACCESS_READ, 0), FAULT_PRESENT | FAULT_RESERVED);
        set_entry(g, t.pte, was);
        set_entry(g, t.pml4e, pml4e | LARGE);
        assert_int_equal(access(g, VA, ACCESS_READ, 3),
                         FAULT_PRESENT | FAULT_RESERVED | FAULT_USER);
        set_entry(g, t.pml4e, pml4e);
        g->cpu->efer &= ~(uint64_t) EFER_NX;
        set_entry(g, t.pte, was | NX);
        assert_int_equal(access(g, VA, ACCESS_READ, 0), FAULT_PRESENT | FAULT_RESERVED);
        set_entry(g, t.pte, (was | NX) & ~UINT64_C(1)); /* of an absent page nothing is reserved */
        assert_int_equal(access(g, VA, ACCESS_EXEC, 0), 0);
}

static void test_accessed_and_dirty_bits_follow_the_access(void **state) {
        SoftGuest *g = *state;
        Tables t = tables(g);

        assert_int_equal(entry(g, t.pte) & (ACCESSED | DIRTY), 0);
        assert_int_equal(access(g, VA, ACCESS_READ, 3), NO_FAULT);
        assert_int_equal(entry(g, t.pte) & (ACCESSED | DIRTY), ACCESSED);
        assert_int_equal(entry(g, t.pde) & (ACCESSED | DIRTY), ACCESSED);
        assert_int_equal(entry(g, t.pml4e) & (ACCESSED | DIRTY), ACCESSED);
        assert_int_equal(access(g, VA, ACCESS_WRITE, 3), NO_FAULT);
        assert_int_equal(entry(g, t.pte) & (ACCESSED | DIRTY), ACCESSED | DIRTY);
        assert_int_equal(entry(g, t.pde) & (ACCESSED | DIRTY), ACCESSED);
}

static void test_refused_access_leaves_the_entry_alone(void **state) {
        SoftGuest *g = *state;
        Tables t = tables(g);

        set_entry(g, t.pte, entry(g, t.pte) & ~UINT64_C(4));
        assert_int_equal(access(g, VA, ACCESS_WRITE, 3), FAULT_PRESENT | FAULT_WRITE | FAULT_USER);
        assert_int_equal(entry(g, t.pte) & (ACCESSED | DIRTY), 0);
}

static void test_large_page_maps_two_megabytes(void **state) {
        SoftGuest *g = *state;
        Tables t = tables(g);

        set_entry(g, t.pde, LARGE | 7);
        assert_int_equal(access(g, VA + GPA + 0x123, ACCESS_WRITE, 3), NO_FAULT);
        assert_int_equal(*soft_guest_memory(g, GPA + 0x123), 0x5a);
        assert_int_equal(entry(g, t.pde) & (ACCESSED | DIRTY), ACCESSED | DIRTY);
        set_entry(g, t.pde, LARGE | 7 | 0x2000); /* below the page's size */
        tlb_flush_all(g->cpu);
        assert_int_equal(access(g, VA, ACCESS_READ, 3),
                         FAULT_PRESENT | FAULT_RESERVED | FAULT_USER);
}

static void test_gigabyte_page_is_reserved_unless_offered(void **state) {
        SoftGuest *g = *state;
        CpuFeatureSet *features = &g->cpu->partition->model.features;
        Tables t = tables(g);

        cpu_feature_set_put(features, CPU_FEATURE_PDPE1GB, false);
        set_entry(g, t.pdpte, LARGE | 7);
        assert_int_equal(access(g, VA + GPA, ACCESS_READ, 3),
                         FAULT_PRESENT | FAULT_RESERVED | FAULT_USER);
        cpu_feature_set_put(features, CPU_FEATURE_PDPE1GB, true);
        assert_int_equal(access(g, VA + GPA + 0x123, ACCESS_WRITE, 3), NO_FAULT);
        assert_int_equal(*soft_guest_memory(g, GPA + 0x123), 0x5a);
        set_entry(g, t.pdpte, LARGE | 7 | 0x2000);
        tlb_flush_all(g->cpu);
        assert_int_equal(access(g, VA, ACCESS_READ, 3),
                         FAULT_PRESENT | FAULT_RESERVED | FAULT_USER);
}

static void test_one_flush_is_for_a_whole_gigabyte_page(void **state) {
        SoftGuest *g = *state;
        Tables t = tables(g);

        cpu_feature_set_put(&g->cpu->partition->model.features, CPU_FEATURE_PDPE1GB, true);
        set_entry(g, t.pdpte, LARGE | 7);
        assert_int_equal(access(g, VA + GPA, ACCESS_READ, 3), NO_FAULT);
        set_entry(g, t.pdpte, 0);
        tlb_flush_page(g->cpu, VA + 0x20000000);
        assert_int_equal(access(g, VA + GPA, ACCESS_READ, 3), FAULT_USER);
}

static void test_smep_keeps_the_supervisor_from_executing_user_pages(void **state) {
        SoftGuest *g = *state;
        Tables t = tables(g);

        assert_int_equal(access(g, VA, ACCESS_EXEC, 0), NO_FAULT);
        g->cpu->cr4 |= CR4_SMEP;
        tlb_flush_all(g->cpu);
        assert_int_equal(access(g, VA, ACCESS_EXEC, 0), FAULT_PRESENT | FAULT_FETCH);
        assert_int_equal(access(g, VA, ACCESS_EXEC, 3), NO_FAULT);
        assert_int_equal(access(g, VA, ACCESS_READ, 0), NO_FAULT);
        g->cpu->efer &= ~(uint64_t) EFER_NX; /* the code still says that it was a fetch */
        assert_int_equal(access(g, VA, ACCESS_EXEC, 0), FAULT_PRESENT | FAULT_FETCH);
        set_entry(g, t.pte, GPA | 3);
        tlb_flush_all(g->cpu);
        assert_int_equal(access(g, VA, ACCESS_EXEC, 0), NO_FAULT);
}

static void test_smap_keeps_the_supervisor_from_user_data_unless_ac_is_set(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;

        c->cr4 |= CR4_SMAP;
        tlb_flush_all(c);
        assert_int_equal(access(g, VA, ACCESS_WRITE, 3), NO_FAULT);
        assert_int_equal(access(g, VA, ACCESS_READ, 0), FAULT_PRESENT);
        assert_int_equal(access(g, VA, ACCESS_WRITE, 0), FAULT_PRESENT | FAULT_WRITE);
        assert_int_equal(access(g, VA, ACCESS_EXEC, 0), NO_FAULT);
        cpu_set_flags(c, FLAG_AC, FLAG_AC);
        assert_int_equal(access(g, VA, ACCESS_WRITE, 0), NO_FAULT);
        tlb_flush_page(c, VA); /* reaches what was filled under AC, too */
        cpu_set_flags(c, 0, FLAG_AC);
        assert_int_equal(access(g, VA, ACCESS_READ, 0), FAULT_PRESENT);
}

static void test_smap_holds_for_implicit_accesses_whatever_ac_says(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;

        c->cr4 |= CR4_SMAP;
        cpu_set_flags(c, FLAG_AC, FLAG_AC);
        cpu_mode_changed(c);
        tlb_flush_all(c);
        if (setjmp(c->on_fault) == 0) {
                (void) mem_read_system(c, NULL, VA, 8);
                fail();
        }
        assert_int_equal(c->fault_vector, EXC_PF);
        assert_int_equal(c->fault_code, FAULT_PRESENT);
}

static void test_a_debugger_looks_without_leaving_traces(void **state) {
        SoftGuest *g = *state;
        Tables t = tables(g);
        MmuWalk walk;

        set_entry(g, t.pte, GPA | 1);
        set_entry(g, t.pde, entry(g, t.pde) & ~ACCESSED);
        g->cpu->cr4 |= CR4_SMAP | CR4_SMEP;
        assert_true(mmu_translate(g->cpu, VA + 5, ACCESS_PEEK, MMU_SUPERVISOR, &walk));
        assert_int_equal(walk.pa, GPA + 5);
        assert_int_equal(entry(g, t.pte), GPA | 1);
        assert_int_equal(entry(g, t.pde) & ACCESSED, 0);
        set_entry(g, t.pte, GPA);
        assert_false(mmu_translate(g->cpu, VA + 5, ACCESS_PEEK, MMU_SUPERVISOR, &walk));
}

static void test_translations_last_until_they_are_flushed(void **state) {
        SoftGuest *g = *state;
        Tables t = tables(g);
        SoftCpu *c = g->cpu;

        *soft_guest_memory(g, GPA) = 1;
        *soft_guest_memory(g, OTHER_GPA) = 2;
        assert_int_equal(mem_read8(c, NULL, VA), 1);
        set_entry(g, t.pte, OTHER_GPA | 7);
        assert_int_equal(mem_read8(c, NULL, VA), 1);
        tlb_flush_page(c, VA + 0xfff);
        assert_int_equal(mem_read8(c, NULL, VA), 2);
        set_entry(g, t.pte, GPA | 7);
        tlb_flush_nonglobal(c);
        assert_int_equal(mem_read8(c, NULL, VA), 1);
}

static void test_global_translation_survives_a_new_address_space(void **state) {
        SoftGuest *g = *state;
        Tables t = tables(g);
        SoftCpu *c = g->cpu;

        *soft_guest_memory(g, GPA) = 1;
        *soft_guest_memory(g, OTHER_GPA) = 2;
        set_entry(g, t.pte, GPA | GLOBAL | 7);
        assert_int_equal(mem_read8(c, NULL, VA), 1);
        set_entry(g, t.pte, OTHER_GPA | GLOBAL | 7);
        tlb_flush_nonglobal(c);
        assert_int_equal(mem_read8(c, NULL, VA), 1);
        tlb_flush_all(c);
        assert_int_equal(mem_read8(c, NULL, VA), 2);
        c->cr4 &= ~(uint64_t) CR4_PGE; /* without PGE the bit means nothing */
        tlb_flush_all(c);
        assert_int_equal(mem_read8(c, NULL, VA), 2);
        set_entry(g, t.pte, GPA | GLOBAL | 7);
        tlb_flush_nonglobal(c);
        assert_int_equal(mem_read8(c, NULL, VA), 1);
}

static void test_store_across_pages_changes_neither_when_one_refuses(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;

        memset(soft_guest_memory(g, GPA), 0x11, 0x1000);
        assert_int_equal(access(g, VA, ACCESS_WRITE, 0), NO_FAULT);
        if (setjmp(c->on_fault) == 0) {
                mem_write64(c, NULL, VA + 0xffc, UINT64_MAX);
                fail_msg("the second page is not there");
        }
        assert_int_equal(c->fault_vector, EXC_PF);
        assert_int_equal(c->fault_code, FAULT_WRITE);
        assert_int_equal(c->cr2, VA + 0x1000);
        assert_int_equal(*soft_guest_memory(g, GPA + 0xffc), 0x11);

        soft_guest_map(g, VA + 0x1000, OTHER_GPA, SOFT_MAP_WRITE);
        if (setjmp(c->on_fault) != 0)
                fail_msg("both pages are there");
        mem_write64(c, NULL, VA + 0xffc, UINT64_C(0x8877665544332211));
        assert_int_equal(le32_load(soft_guest_memory(g, GPA + 0xffc)), 0x44332211);
        assert_int_equal(le32_load(soft_guest_memory(g, OTHER_GPA)), 0x88776655);
        assert_int_equal(mem_read64(c, NULL, VA + 0xffc), UINT64_C(0x8877665544332211));
}

static void test_address_that_is_not_canonical_is_no_page_fault(void **state) {
        SoftGuest *g = *state;

        assert_int_equal(access(g, UINT64_C(1) << 47, ACCESS_READ, 0), 0x100 | EXC_GP);
        assert_int_equal(access(g, UINT64_C(0xffff7fffffffffff), ACCESS_WRITE, 3), 0x100 | EXC_GP);
        assert_int_equal(access(g, UINT64_C(0xffff800000000000), ACCESS_READ, 3), FAULT_USER);
}

static void legacy(SoftGuest *g, uint64_t cr4) {
        SoftCpu *c = g->cpu;

        c->efer = 0;
        c->cr4 = cr4;
        c->cr3 = 0x30000;
        c->seg[SEG_CS].attr = 0xc09b;
        cpu_mode_changed(c);
        tlb_flush_all(c);
}

static void test_two_level_tables_have_four_byte_entries(void **state) {
        SoftGuest *g = *state;
        const uint64_t pde = 0x30000 + (VA >> 22) * 4, pte = 0x31000;

        legacy(g, CR4_PSE);
        le32_store(soft_guest_memory(g, pde), 0x31007);
        le32_store(soft_guest_memory(g, pte), GPA | 5);
        assert_int_equal(access(g, VA, ACCESS_READ, 3), NO_FAULT);
        assert_int_equal(access(g, VA, ACCESS_WRITE, 3), FAULT_PRESENT | FAULT_WRITE | FAULT_USER);
        assert_int_equal(access(g, VA, ACCESS_EXEC, 3), NO_FAULT);
        assert_int_equal(le32_load(soft_guest_memory(g, pte)), GPA | 5 | ACCESSED);
        le32_store(soft_guest_memory(g, pde), 0x87); /* 4 MiB */
        tlb_flush_all(g->cpu);
        assert_int_equal(access(g, VA + GPA + 7, ACCESS_WRITE, 3), NO_FAULT);
        assert_int_equal(*soft_guest_memory(g, GPA + 7), 0x5a);
        assert_int_equal(le32_load(soft_guest_memory(g, pde)), 0x87 | ACCESSED | DIRTY);
        assert_int_equal(access(g, VA + 0x400000, ACCESS_READ, 0), 0);
}

static void test_pae_tables_have_three_levels(void **state) {
        SoftGuest *g = *state;

        legacy(g, CR4_PAE);
        g->cpu->efer = EFER_NX;
        set_entry(g, 0x30000 + (VA >> 30) * 8, 0x31001);
        set_entry(g, 0x31000, 0x32007);
        set_entry(g, 0x32000, GPA | 7 | NX);
        assert_int_equal(access(g, VA, ACCESS_WRITE, 3), NO_FAULT);
        assert_int_equal(access(g, VA, ACCESS_EXEC, 0), FAULT_PRESENT | FAULT_FETCH);
        assert_int_equal(entry(g, 0x30000 + (VA >> 30) * 8), 0x31001); /* has no accessed bit */
        assert_int_equal(entry(g, 0x32000) & (ACCESSED | DIRTY), ACCESSED | DIRTY);
}

static void test_tables_outside_memory_do_not_translate(void **state) {
        SoftGuest *g = *state;
        Tables t = tables(g);

        set_entry(g, t.pde, UINT64_C(0x7f00000000) | 7);
        assert_int_equal(access(g, VA, ACCESS_READ, 0), 0);
        g->cpu->cr3 = UINT64_C(0xff00000000);
        assert_int_equal(access(g, VA, ACCESS_WRITE, 3), FAULT_WRITE | FAULT_USER);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_rights_are_those_of_all_levels_together),
                TEST(test_supervisor_writes_read_only_pages_unless_wp_is_set),
                TEST(test_reserved_bits_fault_with_their_own_code),
                TEST(test_accessed_and_dirty_bits_follow_the_access),
                TEST(test_refused_access_leaves_the_entry_alone),
                TEST(test_large_page_maps_two_megabytes),
                TEST(test_translations_last_until_they_are_flushed),
                TEST(test_global_translation_survives_a_new_address_space),
                TEST(test_store_across_pages_changes_neither_when_one_refuses),
                TEST(test_address_that_is_not_canonical_is_no_page_fault),
                TEST(test_two_level_tables_have_four_byte_entries),
                TEST(test_pae_tables_have_three_levels),
                TEST(test_tables_outside_memory_do_not_translate),
                TEST(test_gigabyte_page_is_reserved_unless_offered),
                TEST(test_one_flush_is_for_a_whole_gigabyte_page),
                TEST(test_smep_keeps_the_supervisor_from_executing_user_pages),
                TEST(test_smap_keeps_the_supervisor_from_user_data_unless_ac_is_set),
                TEST(test_smap_holds_for_implicit_accesses_whatever_ac_says),
                TEST(test_a_debugger_looks_without_leaving_traces),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
