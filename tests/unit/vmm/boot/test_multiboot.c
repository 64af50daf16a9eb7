/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <elf.h>
#include <string.h>

#include "base/le.h"
#include "tests/fake/vmm_kernel_image.h"
#include "vmm/boot/multiboot.h"
#include "vmm/mem/memmap.h"

#define TEXT 0x400000u
#define TEXT_OFFSET 0x1000u
#define TEXT_SIZE 0x800u
#define DATA 0x500000u

/* An image as small as it may be, for tests to spoil. */
typedef struct Image {
        Elf32_Ehdr ehdr;
        Elf32_Phdr phdrs[2];
        uint8_t gap[TEXT_OFFSET - sizeof(Elf32_Ehdr) - 2 * sizeof(Elf32_Phdr)];
        uint32_t header[3];
        uint8_t text[TEXT_SIZE - 12];
} Image;

typedef struct Fixture {
        GuestMem *mem;
        Image image;
} Fixture;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        if (!f || guest_mem_new(16 << 20, &f->mem) < 0)
                return -1;
        f->image = (Image){
                .ehdr = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS32, ELFDATA2LSB,
                                     EV_CURRENT},
                         .e_type = ET_EXEC,
                         .e_machine = EM_386,
                         .e_entry = TEXT + 12,
                         .e_phoff = sizeof(Elf32_Ehdr),
                         .e_phentsize = sizeof(Elf32_Phdr),
                         .e_phnum = 2},
                .phdrs = {{.p_type = PT_LOAD,
                           .p_offset = TEXT_OFFSET,
                           .p_paddr = TEXT,
                           .p_filesz = TEXT_SIZE,
                           .p_memsz = TEXT_SIZE},
                          {.p_type = PT_LOAD, .p_paddr = DATA, .p_memsz = 0x1000}},
                .header = {0x1badb002, 0, -0x1badb002u},
                .text = {0xf4},
        };
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        (void) guest_mem_free(f->mem);
        free(f);
        return 0;
}

static int load(Fixture *f, size_t len, LoadedKernel *ret, TextError *error) {
        _cleanup_(image_file_deinit) ImageFile file = kernel_image_file(&f->image, len);

        return boot_kernel_load(&file, f->mem, ret, error);
}

static void assert_refused(Fixture *f, int r, const char *words) {
        _cleanup_(text_error_deinit) TextError error = {0};
        LoadedKernel kernel;

        assert_int_equal(load(f, sizeof(f->image), &kernel, &error), r);
        assert_non_null(error.message);
        if (!strstr(error.message, words))
                fail_msg("\"%s\" does not say \"%s\"", error.message, words);
}

static void test_segments_land_at_their_physical_addresses(void **state) {
        Fixture *f = *state;
        LoadedKernel kernel;

        assert_int_equal(load(f, sizeof(f->image), &kernel, NULL), 0);
        assert_int_equal(kernel.protocol, KERNEL_MULTIBOOT);
        assert_int_equal(kernel.entry, TEXT + 12);
        assert_int_equal(kernel.end, DATA + 0x1000);
        assert_memory_equal(guest_mem_ptr(f->mem, TEXT, TEXT_SIZE), f->image.header, TEXT_SIZE);
}

static void test_programs_for_real_mode_may_lie_in_low_memory(void **state) {
        Fixture *f = *state;
        LoadedKernel kernel;

        f->image.phdrs[0].p_paddr = 0x8000;
        assert_int_equal(load(f, sizeof(f->image), &kernel, NULL), 0);
        f->image.phdrs[0].p_paddr = MEMMAP_MULTIBOOT_INFO - TEXT_SIZE + 1;
        assert_refused(f, -ENOEXEC, "where boot information and tables are");
        f->image.phdrs[0].p_paddr = MEMMAP_ACPI_BASE;
        assert_refused(f, -ENOEXEC, "where boot information and tables are");
}

static void test_what_is_no_multiboot_image_is_refused(void **state) {
        Fixture *f = *state;
        const Image good = f->image;

        f->image.header[2]++;
        assert_refused(f, -ENOEXEC, "no multiboot header");
        f->image = good;
        f->image.header[1] = 0x4;
        f->image.header[2] = -0x1badb002u - 0x4;
        assert_refused(f, -ENOEXEC, "unsupported features 0x4");
        f->image = good;
        f->image.ehdr.e_machine = EM_ARM;
        assert_refused(f, -ENOEXEC, "not an i386 executable");
        f->image = good;
        f->image.ehdr.e_phentsize = 8;
        assert_refused(f, -ENOEXEC, "no program headers");
        f->image = good;
        f->image.ehdr.e_entry = UINT32_MAX;
        assert_refused(f, -ENOEXEC, "entry point 0xffffffff is not in RAM");
        f->image = good;
        f->image.ehdr.e_phoff = UINT32_MAX;
        assert_refused(f, -ENOEXEC, "program headers are not in the first");
}

static void test_segments_outside_file_or_memory_are_refused(void **state) {
        Fixture *f = *state;
        const Image good = f->image;

        f->image.phdrs[0].p_filesz = TEXT_SIZE + 1;
        assert_refused(f, -ENOEXEC, "contradictory sizes");
        f->image = good;
        f->image.phdrs[0].p_offset = UINT32_MAX;
        assert_refused(f, -ENODATA, "truncated");
        f->image = good;
        f->image.phdrs[1].p_paddr = UINT32_MAX;
        assert_refused(f, -EFBIG, "not all inside the 16 MiB");
        f->image.phdrs[1].p_paddr = (16 << 20) - 0xfff;
        assert_refused(f, -EFBIG, "not all inside the 16 MiB");
}

static void test_a_file_cut_anywhere_is_refused(void **state) {
        Fixture *f = *state;

        for (size_t len = 1; len < sizeof(f->image); len += 13) {
                LoadedKernel kernel;

                assert_true(load(f, len, &kernel, NULL) < 0);
        }
}

static void test_the_information_names_memory_module_and_command_line(void **state) {
        Fixture *f = *state;
        _cleanup_(freep) char *cmdline = NULL;
        char first[] = "first", second[] = "second=2", *words[] = {first, second};
        const StrVec params = {.items = words, .n = 2};
        const BootConfig config = {.kernel = "image", .params = &params};
        const LoadedKernel kernel = {.entry = TEXT};
        const Initrd initrd = {.gpa = 0x800000, .size = 0x123};
        const uint8_t *info, *module, *mmap;
        BootEntry entry;

        assert_int_equal(multiboot_cmdline(&config, &cmdline, NULL), 0);
        assert_int_equal(multiboot_prepare(f->mem, &kernel, &initrd, cmdline, &entry), 0);
        assert_int_equal(entry.registers.rip, TEXT);
        assert_int_equal(entry.registers.rax, 0x2badb002);
        assert_int_equal(entry.system_registers.cr0 & 0x80000001, 1);
        assert_int_equal(entry.system_registers.cs.attributes & 0x4000, 0x4000);

        info = guest_mem_ptr(f->mem, entry.registers.rbx, 88);
        assert_int_equal(le32_load(info), 0x4d);
        assert_int_equal(le32_load(info + 4), 639);
        assert_int_equal(le32_load(info + 8), 15 << 10);
        assert_string_equal(guest_mem_ptr(f->mem, le32_load(info + 16), 64),
                            "image first second=2");
        assert_int_equal(le32_load(info + 20), 1);
        module = guest_mem_ptr(f->mem, le32_load(info + 24), 16);
        assert_int_equal(le32_load(module), 0x800000);
        assert_int_equal(le32_load(module + 4), 0x800123);
        mmap = guest_mem_ptr(f->mem, le32_load(info + 48), le32_load(info + 44));
        assert_int_equal(le32_load(info + 44) % 24, 0);
        assert_int_equal(le32_load(mmap), 20);
        assert_int_equal(le64_load(mmap + 4), 0);
        assert_int_equal(le32_load(mmap + 20), 1);
}

static void test_a_command_line_without_end_is_refused(void **state) {
        char word[MEMMAP_MULTIBOOT_CMDLINE_SIZE] = {0};
        char *words[] = {word};
        const StrVec params = {.items = words, .n = 1};
        const BootConfig config = {.kernel = "image", .params = &params};
        char *cmdline;

        memset(word, 'x', sizeof(word) - 1);
        assert_int_equal(multiboot_cmdline(&config, &cmdline, NULL), -E2BIG);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_segments_land_at_their_physical_addresses,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(test_programs_for_real_mode_may_lie_in_low_memory,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(test_what_is_no_multiboot_image_is_refused, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_segments_outside_file_or_memory_are_refused,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_file_cut_anywhere_is_refused, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(
                        test_the_information_names_memory_module_and_command_line, setup, teardown),
                cmocka_unit_test(test_a_command_line_without_end_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
