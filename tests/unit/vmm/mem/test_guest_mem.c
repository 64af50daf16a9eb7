/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/mem/guest_mem.h"
#include "vmm/mem/memmap.h"

#define MIB UINT64_C(0x100000)
#define GIB UINT64_C(0x40000000)

static void test_small_ram_is_one_region_from_zero(void **state) {
        _cleanup_(guest_mem_freep) GuestMem *mem = NULL;

        assert_int_equal(guest_mem_new(256 * MIB, &mem), 0);
        assert_int_equal(mem->n_regions, 1);
        assert_int_equal(mem->regions[0].gpa, 0);
        assert_int_equal(mem->regions[0].size_bytes, 256 * MIB);
        assert_ptr_equal(mem->regions[0].host, mem->base);
}

static void test_ram_beyond_the_hole_continues_at_4_gib(void **state) {
        _cleanup_(guest_mem_freep) GuestMem *mem = NULL;
        uint32_t value = 0x12345678;

        assert_int_equal(guest_mem_new(6 * GIB, &mem), 0);
        assert_int_equal(mem->n_regions, 2);
        assert_int_equal(mem->regions[0].size_bytes, MEMMAP_LOW_RAM_END);
        assert_int_equal(mem->regions[1].gpa, MEMMAP_HIGH_RAM_BASE);
        assert_int_equal(mem->regions[1].size_bytes, 6 * GIB - MEMMAP_LOW_RAM_END);
        assert_int_equal(mem->regions[1].file_offset, MEMMAP_LOW_RAM_END);

        assert_int_equal(guest_mem_write(mem, 4 * GIB, &value, sizeof(value)), 0);
        value = 0;
        assert_int_equal(pread(mem->fd, &value, sizeof(value), (off_t) MEMMAP_LOW_RAM_END), 4);
        assert_int_equal(value, 0x12345678);
}

static void test_the_hole_and_the_ends_are_not_memory(void **state) {
        _cleanup_(guest_mem_freep) GuestMem *mem = NULL;
        uint64_t end = 4 * GIB + MIB;
        uint8_t bytes[8] = {1, 2, 3};

        assert_int_equal(guest_mem_new(MEMMAP_LOW_RAM_END + MIB, &mem), 0);
        assert_null(guest_mem_ptr(mem, MEMMAP_LOW_RAM_END, 1));
        assert_null(guest_mem_ptr(mem, MEMMAP_LOW_RAM_END - 4, 8));
        assert_null(guest_mem_ptr(mem, 4 * GIB - 1, 1));
        assert_null(guest_mem_ptr(mem, end - 4, 8));
        assert_null(guest_mem_ptr(mem, end, 1));
        assert_null(guest_mem_ptr(mem, 0, UINT64_MAX));
        assert_null(guest_mem_ptr(mem, UINT64_MAX, 2));
        assert_null(guest_mem_ptr(mem, 4096, UINT64_MAX - 4095));
        assert_non_null(guest_mem_ptr(mem, MEMMAP_LOW_RAM_END - 8, 8));
        assert_non_null(guest_mem_ptr(mem, end - 8, 8));

        assert_int_equal(guest_mem_read(mem, end - 7, bytes, sizeof(bytes)), -EFAULT);
        assert_int_equal(bytes[0], 1);
        assert_int_equal(guest_mem_write(mem, end - 7, bytes, sizeof(bytes)), -EFAULT);
        assert_int_equal(guest_mem_read(mem, end - 8, bytes, sizeof(bytes)), 0);
        assert_int_equal(bytes[1], 0);
}

static void test_bad_sizes_are_refused(void **state) {
        GuestMem *mem = NULL;

        assert_int_equal(guest_mem_new(0, &mem), -EINVAL);
        assert_int_equal(guest_mem_new(MIB - 4096, &mem), -EINVAL);
        assert_int_equal(guest_mem_new(MIB + 1, &mem), -EINVAL);
        assert_int_equal(guest_mem_new(UINT64_MAX & ~UINT64_C(4095), &mem), -EINVAL);
        assert_null(mem);
}

static void test_the_memfd_has_crosvms_name_and_a_fixed_size(void **state) {
        _cleanup_(guest_mem_freep) GuestMem *mem = NULL;
        char link[64], path[64];
        ssize_t n;

        assert_int_equal(guest_mem_new(16 * MIB, &mem), 0);
        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", mem->fd);
        n = readlink(path, link, sizeof(link) - 1);
        assert_true(n > 0);
        link[n] = '\0';
        assert_string_equal(link, "/memfd:crosvm_guest (deleted)");
        assert_int_equal(ftruncate(mem->fd, 0), -1);
        assert_int_equal(errno, EPERM);
}

static void test_populated_pages_keep_what_they_hold(void **state) {
        _cleanup_(guest_mem_freep) GuestMem *mem = NULL;
        uint32_t value = 0xabcdef01;

        assert_int_equal(guest_mem_new(16 * MIB, &mem), 0);
        assert_int_equal((uintptr_t) mem->base % (2 * MIB), 0);
        assert_int_equal(guest_mem_write(mem, 5 * MIB, &value, sizeof(value)), 0);
        guest_mem_populate(mem, MIB + 123, 8 * MIB);
        guest_mem_populate(mem, 16 * MIB - 1, 1);
        guest_mem_populate(mem, 16 * MIB - 1, 2); /* outside: a hint is never an error */
        guest_mem_populate(mem, 0, UINT64_MAX);
        value = 0;
        assert_int_equal(guest_mem_read(mem, 5 * MIB, &value, sizeof(value)), 0);
        assert_int_equal(value, 0xabcdef01);
        assert_int_equal(guest_mem_read(mem, 6 * MIB, &value, sizeof(value)), 0);
        assert_int_equal(value, 0);
}

static void test_discarded_bytes_are_zero_and_their_neighbours_stay(void **state) {
        static const struct {
                gpa_t gpa;
                uint64_t len;
        } ranges[] = {{0x1000, 0x3000}, {0x1800, 0x3000}, {0x1800, 0x100}, {0x1ff0, 0x20}};
        _cleanup_(guest_mem_freep) GuestMem *mem = NULL;
        uint8_t *ram;

        assert_int_equal(guest_mem_new(2 << 20, &mem), 0);
        ram = guest_mem_ptr(mem, 0, 0x8000);
        for (size_t i = 0; i < ELEMENTSOF(ranges); i++) {
                guest_mem_populate(mem, 0x123, 0x4567);
                memset(ram, 0xaa, 0x8000);
                guest_mem_discard(mem, ranges[i].gpa, ranges[i].len);
                for (gpa_t gpa = 0; gpa < 0x8000; gpa++)
                        assert_int_equal(ram[gpa], gpa - ranges[i].gpa < ranges[i].len ? 0 : 0xaa);
        }
        /* Hints about what is not RAM are ignored. */
        guest_mem_populate(mem, UINT64_MAX, UINT64_MAX);
        guest_mem_populate(mem, 2 << 20, 0x1000);
        guest_mem_discard(mem, 2 << 20, 0x1000);
}

static void test_the_hole_may_begin_lower(void **state) {
        _cleanup_(guest_mem_freep) GuestMem *mem = NULL, *bad = NULL;

        assert_int_equal(guest_mem_new_below(3 * GIB, 2 * GIB, &mem), 0);
        assert_int_equal(mem->regions[0].size_bytes, 2 * GIB);
        assert_int_equal(mem->regions[1].size_bytes, GIB);
        assert_int_equal(guest_mem_new_below(3 * GIB, MEMMAP_LOW_RAM_END + MIB, &bad), -EINVAL);
        assert_int_equal(guest_mem_new_below(3 * GIB, 2 * GIB + 1, &bad), -EINVAL);
}

static void test_rom_is_not_memory_for_devices(void **state) {
        static uint8_t bytes[8192] __attribute__((aligned(4096)));
        _cleanup_(guest_mem_freep) GuestMem *mem = NULL;
        unsigned index;

        assert_int_equal(guest_mem_new(MIB, &mem), 0);
        assert_int_equal(guest_mem_add_rom(mem, 4 * GIB - 4096, bytes, 4096, &index), 0);
        assert_int_equal(index, 0);
        assert_null(guest_mem_ptr(mem, 4 * GIB - 4096, 1));
        assert_int_equal(guest_mem_read(mem, 4 * GIB - 16, bytes, 16), -EFAULT);
        assert_int_equal(guest_mem_write(mem, 4 * GIB - 16, bytes, 16), -EFAULT);
}

static void test_rom_lies_apart_from_ram_and_other_rom(void **state) {
        static uint8_t bytes[8192] __attribute__((aligned(4096)));
        _cleanup_(guest_mem_freep) GuestMem *mem = NULL;
        unsigned index = 99;

        assert_int_equal(guest_mem_new(MIB, &mem), 0);
        assert_int_equal(guest_mem_add_rom(mem, MIB - 4096, bytes, 8192, &index), -EINVAL);
        assert_int_equal(guest_mem_add_rom(mem, 2 * MIB, bytes + 1, 4096, &index), -EINVAL);
        assert_int_equal(guest_mem_add_rom(mem, 2 * MIB, bytes, 4095, &index), -EINVAL);
        assert_int_equal(guest_mem_add_rom(mem, 2 * MIB, bytes, 0, &index), -EINVAL);
        assert_int_equal(guest_mem_add_rom(mem, UINT64_MAX - 4095, bytes, 4096, &index), -EINVAL);
        assert_int_equal(guest_mem_add_rom(mem, 2 * MIB, bytes, 8192, &index), 0);
        assert_int_equal(guest_mem_add_rom(mem, 2 * MIB + 4096, bytes, 4096, &index), -EINVAL);
        assert_int_equal(guest_mem_add_rom(mem, 2 * MIB + 8192, bytes, 4096, &index), 0);
        assert_int_equal(index, 1);
        for (unsigned i = 2; i < GUEST_MEM_ROMS_MAX; i++)
                assert_int_equal(guest_mem_add_rom(mem, (i + 2) * MIB, bytes, 4096, &index), 0);
        assert_int_equal(guest_mem_add_rom(mem, 64 * MIB, bytes, 4096, &index), -ENOSPC);
}

/* The flags of the mapping at @at, as /proc/self/smaps has them: "rd wr sh … ". */
static bool mapping_has(const void *at, const char *flag) {
        FILE *maps = fopen("/proc/self/smaps", "re");
        char line[512], want[8];
        bool inside = false, has = false;

        assert_non_null(maps);
        (void) snprintf(want, sizeof(want), " %s", flag);
        while (fgets(line, sizeof(line), maps)) {
                unsigned long start, end;

                if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
                        inside = start <= (uintptr_t) at && (uintptr_t) at < end;
                else if (inside && strncmp(line, "VmFlags:", 8) == 0)
                        has = strstr(line, want);
        }
        assert_int_equal(fclose(maps), 0);
        return has;
}

static void test_the_host_is_told_how_to_hold_memory(void **state) {
        _cleanup_(guest_mem_freep) GuestMem *mem = NULL;
        int r;

        assert_int_equal(guest_mem_new(UINT64_C(4) << 20, &mem), 0);
        assert_false(mapping_has(mem->base, "dc"));
        assert_int_equal(guest_mem_unmap_on_fork(mem), 0);
        assert_true(mapping_has(mem->base, "dc"));
        r = guest_mem_lock(mem);
        if (r == 0)
                assert_true(mapping_has(mem->base, "lo"));
        else
                assert_true(r == -ENOMEM || r == -EPERM); /* the limit of locked memory */
        r = guest_mem_use_huge_pages(mem);
        assert_true(r == 0 ? mapping_has(mem->base, "hg") : r == -EINVAL);
}

static void test_files_are_memory_behind_ram_that_the_balloon_leaves_alone(void **state) {
        static uint8_t file[8192] __attribute__((aligned(4096))) = {7};
        const gpa_t at = UINT64_C(8) << 30;
        _cleanup_(guest_mem_freep) GuestMem *mem = NULL;
        unsigned rom;

        assert_int_equal(guest_mem_new(UINT64_C(4) << 20, &mem), 0);
        assert_int_equal(guest_mem_add_file(mem, 0, file, 4096), -EINVAL);
        assert_int_equal(guest_mem_add_file(mem, at + 1, file, 4096), -EINVAL);
        assert_int_equal(guest_mem_add_file(mem, at, file, 0), -EINVAL);
        assert_int_equal(guest_mem_add_file(mem, -UINT64_C(4096), file, 8192), -EINVAL);
        assert_int_equal(guest_mem_add_file(mem, at, file, 4096), 0);
        assert_int_equal(guest_mem_add_file(mem, at, file + 4096, 4096), -EINVAL);
        assert_int_equal(guest_mem_add_rom(mem, at, file, 4096, &rom), -EINVAL);
        assert_int_equal(guest_mem_add_file(mem, at + 4096, file + 4096, 4096), 0);
        assert_int_equal(mem->n_regions, 1);
        assert_int_equal(guest_mem_file_bytes(mem), 8192);

        assert_ptr_equal(guest_mem_ptr(mem, at, 4096), file);
        assert_null(guest_mem_ptr(mem, at, 8192)); /* two files */
        assert_null(guest_mem_ptr(mem, at + 8192, 1));
        guest_mem_release(mem, at, 4096);
        assert_int_equal(file[0], 7);
        for (unsigned i = 2; i < GUEST_MEM_FILES_MAX; i++)
                assert_int_equal(guest_mem_add_file(mem, at + 4096 * i, file, 4096), 0);
        assert_int_equal(guest_mem_add_file(mem, at << 1, file, 4096), -ENOSPC);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_small_ram_is_one_region_from_zero),
                cmocka_unit_test(test_ram_beyond_the_hole_continues_at_4_gib),
                cmocka_unit_test(test_the_hole_and_the_ends_are_not_memory),
                cmocka_unit_test(test_bad_sizes_are_refused),
                cmocka_unit_test(test_populated_pages_keep_what_they_hold),
                cmocka_unit_test(test_the_memfd_has_crosvms_name_and_a_fixed_size),
                cmocka_unit_test(test_discarded_bytes_are_zero_and_their_neighbours_stay),
                cmocka_unit_test(test_the_hole_may_begin_lower),
                cmocka_unit_test(test_rom_is_not_memory_for_devices),
                cmocka_unit_test(test_rom_lies_apart_from_ram_and_other_rom),
                cmocka_unit_test(test_files_are_memory_behind_ram_that_the_balloon_leaves_alone),
                cmocka_unit_test(test_the_host_is_told_how_to_hold_memory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
