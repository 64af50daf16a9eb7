/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <elf.h>
#include <string.h>

#include "tests/fake/vmm_kernel_image.h"
#include "vmm/boot/elf.h"

typedef struct Fixture {
        GuestMem *mem;
        StrBuf elf;
} Fixture;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        if (!f || guest_mem_new(KERNEL_IMAGE_RAM, &f->mem) < 0)
                return -1;
        kernel_image_elf(&f->elf, KERNEL_IMAGE_TEXT_SIZE);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        (void) guest_mem_free(f->mem);
        strbuf_deinit(&f->elf);
        free(f);
        return 0;
}

static int load(Fixture *f, ElfImage *ret, TextError *error) {
        _cleanup_(image_file_deinit) ImageFile file = kernel_image_file(f->elf.data, f->elf.len);

        return elf_load(&file, f->mem, ret, error);
}

static Elf64_Phdr *phdr(Fixture *f, unsigned i) {
        return (Elf64_Phdr *) (void *) (f->elf.data + sizeof(Elf64_Ehdr)) + i;
}

static Elf64_Ehdr *ehdr(Fixture *f) {
        return (Elf64_Ehdr *) (void *) f->elf.data;
}

static void assert_refused(Fixture *f, int r, const char *words) {
        _cleanup_(text_error_deinit) TextError error = {0};
        ElfImage image;

        assert_int_equal(load(f, &image, &error), r);
        assert_non_null(error.message);
        if (!strstr(error.message, words))
                fail_msg("\"%s\" does not say \"%s\"", error.message, words);
}

static void test_segments_land_at_their_physical_addresses(void **state) {
        Fixture *f = *state;
        ElfImage image;
        const uint8_t *text, *data;

        assert_int_equal(load(f, &image, NULL), 0);
        assert_int_equal(image.entry, KERNEL_IMAGE_TEXT);
        assert_int_equal(image.end, KERNEL_IMAGE_END);
        assert_int_equal(image.n_segments, 3);

        text = guest_mem_ptr(f->mem, KERNEL_IMAGE_TEXT, KERNEL_IMAGE_TEXT_SIZE);
        assert_memory_equal(text, f->elf.data + KERNEL_IMAGE_TEXT_OFFSET, KERNEL_IMAGE_TEXT_SIZE);
        data = guest_mem_ptr(f->mem, KERNEL_IMAGE_DATA, 0x1000);
        assert_memory_equal(data, f->elf.data + phdr(f, 1)->p_offset, KERNEL_IMAGE_DATA_SIZE);
        assert_int_equal(data[KERNEL_IMAGE_DATA_SIZE], 0);
}

static void test_foreign_files_are_refused(void **state) {
        Fixture *f = *state;

        ehdr(f)->e_ident[EI_CLASS] = ELFCLASS32;
        assert_refused(f, -ENOEXEC, "not for x86-64");
        ehdr(f)->e_ident[EI_CLASS] = ELFCLASS64;
        ehdr(f)->e_machine = EM_AARCH64;
        assert_refused(f, -ENOEXEC, "not for x86-64");
        ehdr(f)->e_machine = EM_X86_64;
        ehdr(f)->e_type = ET_REL;
        assert_refused(f, -ENOEXEC, "not an executable");
        ehdr(f)->e_type = ET_EXEC;
        ehdr(f)->e_ident[0] = 0;
        assert_refused(f, -ENOEXEC, "not an ELF file");
}

static void test_program_headers_must_be_in_reach(void **state) {
        Fixture *f = *state;

        ehdr(f)->e_phoff = ELF_HEAD_MAX;
        assert_refused(f, -ENOEXEC, "program headers are not in the first");
        ehdr(f)->e_phoff = UINT64_MAX - 8;
        assert_refused(f, -ENOEXEC, "program headers are not in the first");
        ehdr(f)->e_phoff = sizeof(Elf64_Ehdr);
        ehdr(f)->e_phnum = UINT16_MAX;
        assert_refused(f, -ENOEXEC, "program headers are not in the first");
        ehdr(f)->e_phnum = 0;
        assert_refused(f, -ENOEXEC, "no program headers");
        ehdr(f)->e_phnum = 3;
        ehdr(f)->e_phentsize = 32;
        assert_refused(f, -ENOEXEC, "no program headers");
}

static void test_segments_outside_ram_are_refused(void **state) {
        Fixture *f = *state;

        phdr(f, 0)->p_memsz = KERNEL_IMAGE_RAM;
        assert_refused(f, -EFBIG, "not all inside the 64 MiB of RAM");
        phdr(f, 0)->p_memsz = UINT64_MAX;
        assert_refused(f, -EFBIG, "not all inside");
        phdr(f, 0)->p_memsz = KERNEL_IMAGE_TEXT_SIZE;
        phdr(f, 0)->p_paddr = 0x7000;
        assert_refused(f, -ENOEXEC, "below 1 MiB");
        phdr(f, 0)->p_paddr = UINT64_MAX - 16;
        assert_refused(f, -ENOEXEC, "above 4 GiB");
}

static void test_contradictory_segments_are_refused(void **state) {
        Fixture *f = *state;

        phdr(f, 0)->p_memsz = KERNEL_IMAGE_TEXT_SIZE - 1;
        assert_refused(f, -ENOEXEC, "contradictory sizes");
        phdr(f, 0)->p_memsz = KERNEL_IMAGE_TEXT_SIZE;
        phdr(f, 0)->p_offset = UINT64_MAX - 1;
        assert_refused(f, -ENOEXEC, "contradictory sizes");
        phdr(f, 0)->p_offset = KERNEL_IMAGE_TEXT_OFFSET;
        phdr(f, 1)->p_offset = KERNEL_IMAGE_TEXT_OFFSET + 1;
        assert_refused(f, -ENOEXEC, "overlap");
}

static void test_a_segment_without_bytes_overlaps_nothing(void **state) {
        Fixture *f = *state;
        ElfImage image;

        /* as of a linker that loads the headers and gives .bss a segment of its own */
        phdr(f, 0)->p_offset = 0;
        phdr(f, 1)->p_offset = 0;
        phdr(f, 1)->p_filesz = 0;
        assert_int_equal(load(f, &image, NULL), 0);
        assert_int_equal(image.segments[0].file_size, 0);
        assert_int_equal(image.segments[2].gpa, phdr(f, 0)->p_paddr);
}

static void test_a_file_shorter_than_its_segments_is_truncated(void **state) {
        Fixture *f = *state;

        f->elf.len = KERNEL_IMAGE_TEXT_OFFSET + KERNEL_IMAGE_TEXT_SIZE - 1;
        assert_refused(f, -ENODATA, "truncated");
        f->elf.len = sizeof(Elf64_Ehdr) + 10;
        assert_refused(f, -ENOEXEC, "truncated");
        f->elf.len = 20;
        assert_refused(f, -ENOEXEC, "truncated");
}

static void test_the_entry_must_be_loaded_code(void **state) {
        Fixture *f = *state;

        ehdr(f)->e_entry = KERNEL_IMAGE_TEXT - 1;
        assert_refused(f, -ENOEXEC, "entry point");
        ehdr(f)->e_entry = KERNEL_IMAGE_TEXT + KERNEL_IMAGE_TEXT_SIZE;
        assert_refused(f, -ENOEXEC, "entry point");
        ehdr(f)->e_entry = UINT64_C(0xffffffff81000000);
        assert_refused(f, -ENOEXEC, "entry point");
}

static void test_too_many_segments_are_refused(void **state) {
        Fixture *f = *state;

        ehdr(f)->e_phnum = ELF_SEGMENTS_MAX + 1;
        for (unsigned i = 2; i <= ELF_SEGMENTS_MAX; i++)
                *phdr(f, i) =
                        (Elf64_Phdr){.p_type = PT_LOAD, .p_paddr = KERNEL_IMAGE_TEXT, .p_memsz = 1};
        assert_refused(f, -ENOEXEC, "more than 32 segments");
}

static void test_the_pvh_note_is_found_among_others(void **state) {
        static const uint32_t notes[] = {
                4, 4, 1, 0x00756e47 /* "GNU" */, 7, 4, 8, 18, 0x006e6558 /* "Xen" */, 0x1000850, 0};
        static const uint32_t endless[] = {0xffffffff, 0xffffffff, 18, 0};
        uint32_t entry = 0;

        assert_true(elf_find_pvh_entry(notes, sizeof(notes), &entry));
        assert_int_equal(entry, 0x1000850);
        for (size_t len = 0; len < 36; len++)
                assert_false(elf_find_pvh_entry(notes, len, &entry));
        assert_false(elf_find_pvh_entry(endless, sizeof(endless), &entry));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_segments_land_at_their_physical_addresses),
                TEST(test_foreign_files_are_refused),
                TEST(test_program_headers_must_be_in_reach),
                TEST(test_segments_outside_ram_are_refused),
                TEST(test_contradictory_segments_are_refused),
                TEST(test_a_segment_without_bytes_overlaps_nothing),
                TEST(test_a_file_shorter_than_its_segments_is_truncated),
                TEST(test_the_entry_must_be_loaded_code),
                TEST(test_too_many_segments_are_refused),
                TEST(test_the_pvh_note_is_found_among_others),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
