/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/le.h"
#include "tests/fake/vmm_kernel_image.h"
#include "vmm/boot/kernel.h"
#include "vmm/boot/pvh.h"
#include "vmm/mem/memmap.h"

#define TEXT 0x400000u
#define TEXT_OFFSET 0x1000u
#define TEXT_SIZE 0x800u
#define VIRTUAL_ENTRY UINT64_C(0xffffffff80400000)
#define RSDP 0xe0000u

typedef struct PvhNote {
        Elf64_Nhdr header;
        char name[4];
        uint32_t entry;
} PvhNote;

/* As FreeBSD's: e_entry is an address of its own page tables, and a note names the entry point without them. */
typedef struct Image {
        Elf64_Ehdr ehdr;
        Elf64_Phdr phdrs[2];
        uint8_t gap[TEXT_OFFSET - sizeof(Elf64_Ehdr) - 2 * sizeof(Elf64_Phdr)];
        PvhNote note;
        uint8_t text[TEXT_SIZE - sizeof(PvhNote)];
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
                .ehdr = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
                                     EV_CURRENT},
                         .e_type = ET_EXEC,
                         .e_machine = EM_X86_64,
                         .e_entry = VIRTUAL_ENTRY,
                         .e_phoff = sizeof(Elf64_Ehdr),
                         .e_phentsize = sizeof(Elf64_Phdr),
                         .e_phnum = 2},
                .phdrs = {{.p_type = PT_LOAD,
                           .p_offset = TEXT_OFFSET,
                           .p_paddr = TEXT,
                           .p_filesz = TEXT_SIZE,
                           .p_memsz = TEXT_SIZE},
                          {.p_type = PT_NOTE,
                           .p_offset = TEXT_OFFSET,
                           .p_filesz = sizeof(PvhNote)}},
                .note = {.header = {.n_namesz = 4, .n_descsz = 4, .n_type = 18},
                         .name = "Xen",
                         .entry = TEXT + sizeof(PvhNote)},
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

static int load(Fixture *f, LoadedKernel *ret, TextError *error) {
        _cleanup_(image_file_deinit) ImageFile file =
                kernel_image_file(&f->image, sizeof(f->image));

        return boot_kernel_load(&file, f->mem, ret, error);
}

static void assert_refused(Fixture *f, int r, const char *words) {
        _cleanup_(text_error_deinit) TextError error = {0};
        LoadedKernel kernel;

        assert_int_equal(load(f, &kernel, &error), r);
        assert_non_null(error.message);
        if (!strstr(error.message, words))
                fail_msg("\"%s\" does not say \"%s\"", error.message, words);
}

static void test_a_kernel_with_only_a_note_is_entered_where_that_says(void **state) {
        Fixture *f = *state;
        LoadedKernel kernel;

        assert_int_equal(load(f, &kernel, NULL), 0);
        assert_int_equal(kernel.protocol, KERNEL_PVH);
        assert_int_equal(kernel.entry, TEXT + sizeof(PvhNote));
}

static void test_a_kernel_with_both_is_entered_in_64_bits(void **state) {
        Fixture *f = *state;
        LoadedKernel kernel;

        f->image.ehdr.e_entry = TEXT + 0x100;
        assert_int_equal(load(f, &kernel, NULL), 0);
        assert_int_equal(kernel.protocol, KERNEL_LINUX64);
        assert_int_equal(kernel.entry, TEXT + 0x100);
}

static void test_a_note_that_names_no_loaded_code_is_refused(void **state) {
        Fixture *f = *state;
        const Image good = f->image;

        f->image.note.entry = TEXT - 1;
        assert_refused(f, -ENOEXEC, "entry point 0x3fffff is not");
        f->image.note.entry = TEXT + TEXT_SIZE;
        assert_refused(f, -ENOEXEC, "entry point 0x400800 is not");
        f->image = good;
        f->image.note.header.n_type = 17;
        assert_refused(f, -ENOEXEC, "entry point 0xffffffff80400000 is not");
        f->image = good;
        f->image.phdrs[1].p_filesz = 1 << 20;
        assert_refused(f, -ENOEXEC, "entry point 0xffffffff80400000 is not");
        f->image = good;
        f->image.phdrs[1].p_offset = UINT64_MAX;
        assert_refused(f, -ENODATA, "truncated");
}

static void test_the_processor_starts_in_protected_mode(void **state) {
        Fixture *f = *state;
        const Initrd none = {0};
        BootEntry entry;

        assert_int_equal(pvh_prepare(f->mem,
                                     &(PvhConfig){.entry = TEXT, .initrd = &none, .cmdline = ""},
                                     &entry),
                         0);
        assert_int_equal(entry.registers.rip, TEXT);
        assert_int_equal(entry.registers.rflags, 2);
        assert_int_equal(entry.registers.rbx, MEMMAP_BOOT_PARAMS);
        assert_int_equal(entry.system_registers.cr0 & 0x80000001, 1);
        assert_int_equal(entry.system_registers.cr4, 0);
        assert_int_equal(entry.system_registers.efer, 0);
        assert_int_equal(entry.system_registers.cs.attributes, 0xc09b);
        assert_int_equal(entry.system_registers.ss.attributes, 0xc093);
        assert_int_equal(entry.system_registers.tr.limit, 0x67);
}

static void test_the_start_information_names_everything(void **state) {
        Fixture *f = *state;
        const Initrd initrd = {.gpa = 0x800000, .size = 0x123};
        const uint8_t *info, *module, *memory;
        BootEntry entry;

        assert_int_equal(pvh_prepare(f->mem,
                                     &(PvhConfig){.entry = TEXT,
                                                  .initrd = &initrd,
                                                  .cmdline = "console=hvc0",
                                                  .rsdp = RSDP},
                                     &entry),
                         0);
        info = guest_mem_ptr(f->mem, entry.registers.rbx, 56);
        assert_int_equal(le32_load(info), 0x336ec578);
        assert_int_equal(le32_load(info + 4), 1);
        assert_int_equal(le32_load(info + 8), 0);
        assert_string_equal(guest_mem_ptr(f->mem, le64_load(info + 24), 16), "console=hvc0");
        assert_int_equal(le64_load(info + 32), RSDP);

        assert_int_equal(le32_load(info + 12), 1);
        module = guest_mem_ptr(f->mem, le64_load(info + 16), 32);
        assert_int_equal(le64_load(module), 0x800000);
        assert_int_equal(le64_load(module + 8), 0x123);

        assert_true(le32_load(info + 48) > 2);
        memory = guest_mem_ptr(f->mem, le64_load(info + 40), le32_load(info + 48) * 24);
        assert_int_equal(le64_load(memory), 0);
        assert_int_equal(le64_load(memory + 8), MEMMAP_EBDA_START);
        assert_int_equal(le32_load(memory + 16), 1);
}

static void test_without_an_initrd_there_is_no_module(void **state) {
        Fixture *f = *state;
        const Initrd none = {0};
        const uint8_t *info;
        BootEntry entry;

        assert_int_equal(pvh_prepare(f->mem,
                                     &(PvhConfig){.entry = TEXT, .initrd = &none, .cmdline = ""},
                                     &entry),
                         0);
        info = guest_mem_ptr(f->mem, entry.registers.rbx, 56);
        assert_int_equal(le32_load(info + 12), 0);
        assert_int_equal(le64_load(info + 16), 0);
}

static void test_a_command_line_without_end_is_refused(void **state) {
        Fixture *f = *state;
        static char words[MEMMAP_BOOT_CMDLINE_SIZE + 1];
        const Initrd none = {0};
        BootEntry entry;

        memset(words, 'x', sizeof(words) - 1);
        assert_int_equal(pvh_prepare(f->mem,
                                     &(PvhConfig){.entry = TEXT, .initrd = &none, .cmdline = words},
                                     &entry),
                         -E2BIG);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_a_kernel_with_only_a_note_is_entered_where_that_says),
                TEST(test_a_kernel_with_both_is_entered_in_64_bits),
                TEST(test_a_note_that_names_no_loaded_code_is_refused),
                TEST(test_the_processor_starts_in_protected_mode),
                TEST(test_the_start_information_names_everything),
                TEST(test_without_an_initrd_there_is_no_module),
                TEST(test_a_command_line_without_end_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
