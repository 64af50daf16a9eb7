/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/procfs.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "vmm/dump/core.h"
#include "vmm/dump/page_walk.h"

#define RAM_BYTES (UINT64_C(4) << 20)
#define PRESENT UINT64_C(1)
#define LARGE UINT64_C(0x80)
#define TOP UINT64_C(0x1000)
#define KERNEL_BASE UINT64_C(0xffff800000000000)

static const VcpuSystemRegisters long_mode = {
        .cr0 = 0x80000001, .cr3 = TOP, .cr4 = 0x20, .efer = 0x500};

static int setup(void **state) {
        return guest_mem_new(RAM_BYTES, (GuestMem **) state);
}

static int teardown(void **state) {
        (void) guest_mem_free(*state);
        return 0;
}

static void set_entry(const GuestMem *mem, gpa_t table, unsigned index, uint64_t entry) {
        assert_int_equal(guest_mem_write(mem, table + 8 * index, &entry, sizeof(entry)), 0);
}

/* KERNEL_BASE through tables at 0x1000, 0x2000, 0x3000 and 0x4000. */
static void make_tables(const GuestMem *mem) {
        set_entry(mem, TOP, 256, 0x2000 | PRESENT);
        set_entry(mem, 0x2000, 0, 0x3000 | PRESENT);
        set_entry(mem, 0x3000, 0, 0x4000 | PRESENT);
}

static void test_neighbours_become_one_range(void **state) {
        const GuestMem *mem = *state;
        PageWalk walk;

        make_tables(mem);
        set_entry(mem, 0x4000, 0, 0x10000 | PRESENT);
        set_entry(mem, 0x4000, 1, 0x11000 | PRESENT);
        set_entry(mem, 0x4000, 2, 0x20000 | PRESENT); /* elsewhere */
        set_entry(mem, 0x4000, 4, 0x21000 | PRESENT); /* behind a hole */
        set_entry(mem, 0x3000, 1, 0x200000 | PRESENT | LARGE);
        assert_int_equal(page_walk(mem, &long_mode, &walk), 0);
        assert_int_equal(walk.n, 4);
        assert_true(walk.ranges[0].gva == KERNEL_BASE);
        assert_int_equal(walk.ranges[0].len, 0x2000);
        assert_int_equal(walk.ranges[0].gpa, 0x10000);
        assert_true(walk.ranges[2].gva == KERNEL_BASE + 0x4000);
        assert_true(walk.ranges[3].gva == KERNEL_BASE + 0x200000);
        assert_int_equal(walk.ranges[3].len, 0x200000);
        assert_false(walk.cut);
        page_walk_deinit(&walk);
}

static void test_the_user_half_and_what_is_no_ram_are_left_out(void **state) {
        const GuestMem *mem = *state;
        PageWalk walk;

        make_tables(mem);
        set_entry(mem, TOP, 0, 0x2000 | PRESENT);
        set_entry(mem, 0x4000, 0, RAM_BYTES | PRESENT);
        set_entry(mem, 0x4000, 1, UINT64_C(0xffffffffff000) | PRESENT);
        set_entry(mem, 0x3000, 1, (RAM_BYTES - 0x1000) | PRESENT | LARGE);
        assert_int_equal(page_walk(mem, &long_mode, &walk), 0);
        /* A large page is aligned whatever its entry says. */
        assert_int_equal(walk.n, 1);
        assert_true(walk.ranges[0].gpa == RAM_BYTES - 0x200000);
        page_walk_deinit(&walk);
}

static void test_tables_that_loop_end(void **state) {
        const GuestMem *mem = *state;
        PageWalk walk;

        for (unsigned i = 0; i < 512; i++)
                set_entry(mem, TOP, i, TOP | PRESENT);
        assert_int_equal(page_walk(mem, &long_mode, &walk), 0);
        assert_true(walk.cut);
        assert_true(walk.n <= PAGE_WALK_RANGES_MAX);
        page_walk_deinit(&walk);
}

static void test_more_ranges_than_a_core_may_have_are_cut(void **state) {
        const GuestMem *mem = *state;
        PageWalk walk;

        /* No two pages follow each other in memory, and the same table stands for each 2 MiB. */
        make_tables(mem);
        for (unsigned i = 0; i < 512; i++) {
                set_entry(mem, 0x4000, i, (i % 2 ? UINT64_C(0x10000) : 0x20000) | PRESENT);
                set_entry(mem, 0x3000, i, 0x4000 | PRESENT);
        }
        assert_int_equal(page_walk(mem, &long_mode, &walk), 0);
        assert_int_equal(walk.n, PAGE_WALK_RANGES_MAX);
        assert_true(walk.cut);
        page_walk_deinit(&walk);
}

static void test_other_modes_have_no_ranges(void **state) {
        VcpuSystemRegisters real = long_mode, five = long_mode, wild = long_mode;
        PageWalk walk;

        make_tables(*state);
        real.cr0 = 0;
        five.cr4 |= 0x1000;
        wild.cr3 = UINT64_C(0xfffffffff000);
        assert_int_equal(page_walk(*state, &real, &walk), 0);
        assert_int_equal(walk.n, 0);
        assert_int_equal(page_walk(*state, &five, &walk), 0);
        assert_int_equal(walk.n, 0);
        assert_int_equal(page_walk(*state, &wild, &walk), 0);
        assert_int_equal(walk.n, 0);
}

static void read_at(int fd, void *data, size_t len, uint64_t at) {
        assert_int_equal(pread(fd, data, len, (off_t) at), (ssize_t) len);
}

static void test_the_core_has_memory_and_registers(void **state) {
        const GuestMem *mem = *state;
        DumpCpu cpus[2] = {{.general = {.rip = 0x1234}, .system = long_mode},
                           {.general = {.rsp = 0x5678}}};
        _cleanup_(fd_closep) int fd = memfd_create("core", MFD_CLOEXEC);
        atomic_bool cancel = false;
        struct elf_prstatus status;
        Elf64_Ehdr head;
        Elf64_Phdr headers[3];
        Elf64_Nhdr note;
        struct stat st;
        char text[8];

        make_tables(mem);
        set_entry(mem, 0x4000, 0, 0x10000 | PRESENT);
        assert_int_equal(guest_mem_write(mem, 0x10000, "a guest", 8), 0);
        assert_true(fd >= 0);
        assert_int_equal(dump_write_core(fd, mem, cpus, 2, &cancel), 0);

        read_at(fd, &head, sizeof(head), 0);
        assert_memory_equal(head.e_ident, ELFMAG, SELFMAG);
        assert_int_equal(head.e_type, ET_CORE);
        assert_int_equal(head.e_phnum, 3);
        read_at(fd, headers, sizeof(headers), head.e_phoff);
        assert_int_equal(headers[0].p_type, PT_NOTE);
        read_at(fd, &note, sizeof(note), headers[0].p_offset);
        assert_int_equal(note.n_type, NT_PRSTATUS);
        assert_int_equal(note.n_descsz, sizeof(status));
        read_at(fd, &status, sizeof(status), headers[0].p_offset + sizeof(note) + 8);
        assert_int_equal(status.pr_reg[16], 0x1234);
        assert_int_equal(status.pr_pid, 1);

        assert_int_equal(headers[1].p_paddr, 0);
        assert_int_equal(headers[1].p_filesz, RAM_BYTES);
        read_at(fd, text, sizeof(text), headers[1].p_offset + 0x10000);
        assert_string_equal(text, "a guest");
        assert_true(headers[2].p_vaddr == KERNEL_BASE);
        assert_int_equal(headers[2].p_paddr, 0x10000);
        read_at(fd, text, sizeof(text), headers[2].p_offset);
        assert_string_equal(text, "a guest");

        /* What the guest never touched takes up nothing. */
        assert_int_equal(fstat(fd, &st), 0);
        assert_true(st.st_size >= (off_t) RAM_BYTES);
        assert_true((uint64_t) st.st_blocks * 512 < RAM_BYTES / 4);
}

static void test_a_dump_that_nobody_wants_ends(void **state) {
        DumpCpu cpu = {.system = long_mode};
        _cleanup_(fd_closep) int fd = memfd_create("core", MFD_CLOEXEC);
        atomic_bool cancel = true;

        make_tables(*state);
        assert_int_equal(dump_write_core(fd, *state, &cpu, 1, &cancel), -ECANCELED);
}

static void test_a_full_file_system_is_an_error(void **state) {
        DumpCpu cpu = {.system = long_mode};
        _cleanup_(fd_closep) int fd = memfd_create("core", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        atomic_bool cancel = false;

        assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), 0);
        assert_int_equal(dump_write_core(fd, *state, &cpu, 1, &cancel), -EPERM);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_neighbours_become_one_range),
                TEST(test_the_user_half_and_what_is_no_ram_are_left_out),
                TEST(test_tables_that_loop_end),
                TEST(test_more_ranges_than_a_core_may_have_are_cut),
                TEST(test_other_modes_have_no_ranges),
                TEST(test_the_core_has_memory_and_registers),
                TEST(test_a_dump_that_nobody_wants_ends),
                TEST(test_a_full_file_system_is_an_error),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
