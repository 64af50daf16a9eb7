/* SPDX-License-Identifier: Apache-2.0 */
/* Code that changes: decoded blocks must follow whoever writes it, by whatever address. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/le.h"
#include "tests/fake/vmm_soft_guest.h"
#include "vmm/hv/soft/access.h"

#define CODE UINT64_C(0x40000000) /* two pages */
#define ALIAS UINT64_C(0x50000000)
#define DATA UINT64_C(0x60000000)
#define CODE_GPA UINT64_C(0x100000)
#define DATA_GPA UINT64_C(0x110000)

static int setup(void **state) {
        static SoftGuest guest;

        if (soft_guest_new(1, &guest) < 0)
                return -1;
        for (unsigned i = 0; i < 0x2000; i += 0x1000) {
                soft_guest_map(&guest, CODE + i, CODE_GPA + i, SOFT_MAP_USER | SOFT_MAP_WRITE);
                soft_guest_map(&guest, ALIAS + i, CODE_GPA + i, SOFT_MAP_USER | SOFT_MAP_WRITE);
        }
        soft_guest_map(&guest, DATA, DATA_GPA, SOFT_MAP_USER | SOFT_MAP_WRITE);
        memset(soft_guest_memory(&guest, CODE_GPA), 0xf4, 0x2000);
        soft_guest_long_mode(&guest, 3);
        *state = &guest;
        return 0;
}

/* The same with every block translated before it runs for the first time. */
static int setup_translated(void **state) {
        int r = setup(state);

        if (r == 0)
                ((SoftGuest *) *state)->cpu->native_heat = 1;
        return r;
}

/* The same in a machine whose memory others write, too. */
static int setup_foreign(void **state) {
        int r = setup(state);

        if (r == 0)
                ((SoftGuest *) *state)->cpu->foreign_writers = true;
        return r;
}

static int setup_foreign_translated(void **state) {
        int r = setup_translated(state);

        if (r == 0)
                ((SoftGuest *) *state)->cpu->foreign_writers = true;
        return r;
}

static int teardown(void **state) {
        soft_guest_deinit(*state);
        return 0;
}

static void put(SoftGuest *g, uint64_t va, const char *bytes, size_t len) {
        memcpy(soft_guest_memory(g, CODE_GPA + (va - CODE)), bytes, len);
        guest_mem_written(g->tiny->mem, CODE_GPA + (va - CODE), len);
}
#define PUT(g, va, bytes) put(g, va, bytes, sizeof(bytes) - 1)

/* Runs from @rip to the first HLT, which user mode may not. */
static CpuImage run(SoftGuest *g, uint64_t rip) {
        CpuImage image = {.rip = rip, .flags = 0x202};

        image.r[RDI] = ALIAS;
        image.r[RSI] = CODE;
        image.r[RSP] = DATA + 0x800;
        le16_store(image.fx, 0x37f);
        le32_store(image.fx + 24, 0x1f80);
        soft_guest_run(g, &image);
        assert_int_equal(image.vector, EXC_GP);
        return image;
}

static void test_store_through_another_mapping_changes_the_code(void **state) {
        SoftGuest *g = *state;
        CpuImage image;

        PUT(g, CODE, "\xb8\x01\x00\x00\x00\xf4");     /* mov $1, %eax; hlt */
        PUT(g, CODE + 0x100, "\xc6\x47\x01\x02");     /* movb $2, 1(%rdi) */
        PUT(g, CODE + 0x104, "\xe9\xf7\xfe\xff\xff"); /* jmp CODE */
        assert_int_equal(run(g, CODE).r[RAX], 1);
        image = run(g, CODE + 0x100);
        assert_int_equal(image.r[RAX], 2);
        assert_int_equal(image.rip, CODE + 5);
}

static void test_store_reaches_the_next_instruction_of_the_same_block(void **state) {
        SoftGuest *g = *state;

        /* movb $7, 5(%rsi); mov $1, %eax; hlt: the store hits the immediate right behind it */
        PUT(g, CODE, "\xc6\x46\x05\x07\xb8\x01\x00\x00\x00\xf4");
        assert_int_equal(run(g, CODE).r[RAX], 7);
        PUT(g, CODE, "\xc6\x46\x05\x09\xb8\x01\x00\x00\x00\xf4");
        assert_int_equal(run(g, CODE).r[RAX], 9);
}

/* Zero, as any address, may be where a branch into another page goes. */
static void test_branch_to_address_zero_arrives(void **state) {
        SoftGuest *g = *state;

        soft_guest_map(g, 0, CODE_GPA + 0x1000, SOFT_MAP_USER);
        soft_guest_map(g, 0x1000, CODE_GPA, SOFT_MAP_USER);
        PUT(g, CODE, "\xe9\xfb\xef\xff\xff");              /* jmp 0 */
        PUT(g, CODE + 0x1000, "\xb8\x07\x00\x00\x00\xf4"); /* mov $7, %eax; hlt */
        assert_int_equal(run(g, 0x1000).r[RAX], 7);
        assert_int_equal(run(g, 0x1000).r[RAX], 7);
}

static void test_every_kind_of_store_is_noticed(void **state) {
        static const struct {
                const char *bytes;
                unsigned len;
        } stores[] = {
                {"\xf0\x80\x47\x01\x01\x90\x90\x90", 8}, /* lock addb $1, 1(%rdi) */
                {"\x80\x47\x01\x01\x90\x90\x90\x90", 8}, /* addb $1, 1(%rdi) */
                {"\xfe\x47\x01\x90\x90\x90\x90\x90", 8}, /* incb 1(%rdi) */
                {"\xb0\x02\x86\x47\x01\x90\x90\x90", 8}, /* mov $2, %al; xchg %al, 1(%rdi) */
                {"\xff\xc7\xb0\x02\xaa\x90\x90\x90", 8}, /* inc %edi; mov $2, %al; stosb */
                {"\xb0\x02\xb4\x00\x66\x89\x47\x01", 8}, /* mov %ax, 1(%rdi) */
        };
        SoftGuest *g = *state;

        for (unsigned i = 0; i < sizeof(stores) / sizeof(stores[0]); i++) {
                PUT(g, CODE, "\xb8\x01\x00\x00\x00\xf4");
                PUT(g, CODE + 0x800,
                    "\x90\x90\x90\x90\x90\x90\x90\x90\xe9\xf3\xf7\xff\xff"); /* jmp */
                assert_int_equal(run(g, CODE).r[RAX], 1);
                put(g, CODE + 0x800, stores[i].bytes, stores[i].len);
                if (run(g, CODE + 0x800).r[RAX] != 2)
                        fail_msg("store %u was not noticed", i);
        }
}

static void test_device_that_writes_memory_changes_the_code(void **state) {
        SoftGuest *g = *state;
        static const uint8_t three[] = {3};

        PUT(g, CODE, "\xb8\x01\x00\x00\x00\xf4");
        assert_int_equal(run(g, CODE).r[RAX], 1);
        assert_int_equal(guest_mem_write(g->tiny->mem, CODE_GPA + 1, three, 1), 0);
        assert_int_equal(run(g, CODE).r[RAX], 3);
}

static void test_new_mapping_of_the_page_runs_the_new_code(void **state) {
        SoftGuest *g = *state;

        PUT(g, CODE, "\xb8\x01\x00\x00\x00\xf4");
        PUT(g, CODE + 0x1000, "\xb8\x02\x00\x00\x00\xf4");
        assert_int_equal(run(g, CODE).r[RAX], 1);
        soft_guest_map(g, CODE, CODE_GPA + 0x1000, SOFT_MAP_USER);
        assert_int_equal(run(g, CODE).r[RAX], 1); /* still translated */
        tlb_flush_page(g->cpu, CODE);
        assert_int_equal(run(g, CODE).r[RAX], 2);
}

static void test_instruction_in_two_pages_runs_and_changes(void **state) {
        SoftGuest *g = *state;

        PUT(g, CODE + 0xffd, "\xb8\x01\x02\x00\x00\xf4"); /* mov $0x201, %eax */
        assert_int_equal(run(g, CODE + 0xffd).r[RAX], 0x201);
        PUT(g, CODE + 0x1000, "\x03");
        assert_int_equal(run(g, CODE + 0xffd).r[RAX], 0x30201);
        PUT(g, CODE + 0xffe, "\x05");
        assert_int_equal(run(g, CODE + 0xffd).r[RAX], 0x30205);
}

static void test_instruction_in_two_pages_is_reached_again_and_again(void **state) {
        SoftGuest *g = *state;

        PUT(g, CODE + 0x10, "\xe9\xe8\x0f\x00\x00");      /* jmp CODE + 0xffd */
        PUT(g, CODE + 0xffd, "\xb8\x01\x02\x00\x00\xf4"); /* mov $0x201, %eax */
        for (unsigned i = 0; i < 8; i++)
                assert_int_equal(run(g, CODE + 0x10).r[RAX], 0x201);
        PUT(g, CODE + 0x1000, "\x03");
        assert_int_equal(run(g, CODE + 0x10).r[RAX], 0x30201);
}

static void test_instruction_whose_end_is_not_mapped_faults_there(void **state) {
        SoftGuest *g = *state;
        CpuImage image = {.rip = CODE + 0x1ffd, .flags = 0x202};

        PUT(g, CODE + 0x1ffd, "\xb8\x01\x02");
        soft_guest_run(g, &image);
        assert_int_equal(image.vector, EXC_PF);
        assert_int_equal(image.code, 0x14);
        assert_int_equal(image.cr2, CODE + 0x2000);
        assert_int_equal(image.rip, CODE + 0x1ffd);
}

/* A page at the end of a program is used for another one, whose code does not go on behind it. */
static void test_instruction_that_no_longer_lies_in_two_pages_needs_one(void **state) {
        SoftGuest *g = *state;

        PUT(g, CODE + 0xffd, "\xb8\x01\x02\x00\x00\xf4"); /* mov $0x201, %eax */
        assert_int_equal(run(g, CODE + 0xffd).r[RAX], 0x201);
        PUT(g, CODE + 0xffd, "\xb0\x07\xf4"); /* mov $7, %al; hlt */
        soft_guest_map(g, CODE + 0x2000, CODE_GPA, SOFT_MAP_USER);
        assert_int_equal(run(g, CODE + 0x2ffd).r[RAX], 7);
}

static void test_instruction_of_more_than_15_bytes_is_refused(void **state) {
        SoftGuest *g = *state;
        CpuImage image = {.rip = CODE, .flags = 0x202};

        memset(soft_guest_memory(g, CODE_GPA), 0x66, 15);
        *soft_guest_memory(g, CODE_GPA + 15) = 0x90;
        soft_guest_run(g, &image);
        assert_int_equal(image.vector, EXC_GP);
        assert_int_equal(image.rip, CODE);
        PUT(g, CODE, "\x90"); /* 15 bytes are fine */
        image.rip = CODE;
        soft_guest_run(g, &image);
        assert_int_equal(image.rip, CODE + 16);
}

static void test_same_code_is_decoded_anew_in_another_mode(void **state) {
        SoftGuest *g = *state;
        CpuImage image;

        PUT(g, CODE, "\x40\x90\xf4"); /* rex nop; in 32-bit mode inc %eax, nop */
        assert_int_equal(run(g, CODE).r[RAX], 0);
        g->cpu->seg[SEG_CS].attr = 0xc0fb;
        cpu_mode_changed(g->cpu);
        image = run(g, CODE);
        assert_int_equal(image.r[RAX], 1);
        assert_int_equal(image.rip, CODE + 2);
}

/* What CPUID does not offer must not work by accident, whatever the host can do. */
static void test_instructions_that_cpuid_does_not_offer_are_invalid(void **state) {
        static const struct {
                const char *bytes;
                unsigned len;
        } absent[] = {
                {"\xc5\xf8\x77", 3},             /* vzeroupper */
                {"\xc5\xf1\xfe\xc2", 4},         /* vpaddd */
                {"\xc4\xe2\x70\xf2\xc2", 5},     /* andn */
                {"\xc4\xe2\x78\xf7\xc1", 5},     /* bextr */
                {"\x62\xf1\x7d\x48\xfe\xc1", 6}, /* vpaddd zmm */
                {"\x0f\x01\xd0", 3},             /* xgetbv */
                {"\x0f\xae\x20", 3},             /* xsave (%rax) */
                {"\x0f\xc7\x20", 3},             /* xsavec */
                {"\xf3\x0f\xae\xf0", 4},         /* umonitor */
                {"\x0f\x38\xc8\xc1", 4},         /* sha1nexte */
                {"\x66\x0f\x38\xcf\xc1", 5},     /* gf2p8mulb */
                {"\x66\x0f\x38\xf6\xc1", 5},     /* adcx */
                {"\xf3\x0f\x38\xf6\xc1", 5},     /* adox */
                {"\x0f\x01\xc8", 3},             /* monitor */
                {"\x0f\x01\xd5", 3},             /* xend */
                {"\xc7\xf8\x00\x00\x00\x00", 6}, /* xbegin */
                {"\x0f\x0f\xc1\x9e", 4},         /* 3DNow! pfadd */
                {"\x66\x0f\x79\xc1", 4},         /* extrq */
                {"\xf3\x0f\xc7\xf8", 4},         /* rdpid */
                {"\xf3\x0f\xc7\xf0", 4},         /* senduipi: rdrand but for the prefix */
                {"\xf2\x0f\xc7\xf0", 4},
                {"\x0f\xc7\xf8", 3}, /* rdseed */
        };
        SoftGuest *g = *state;

        for (unsigned i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
                CpuImage image = {.rip = CODE, .flags = 0x202};

                image.r[RAX] = DATA;
                le16_store(image.fx, 0x37f);
                le32_store(image.fx + 24, 0x1f80);
                put(g, CODE, absent[i].bytes, absent[i].len);
                soft_guest_run(g, &image);
                if (image.vector != EXC_UD || image.rip != CODE)
                        fail_msg("instruction %u ran: #%u at %#lx", i, image.vector,
                                 (unsigned long) image.rip);
        }
}

/* ---- writers that tell nobody ---- */

/* As a device's DMA writes. */
static void put_untold(SoftGuest *g, uint64_t va, const char *bytes, size_t len) {
        memcpy(soft_guest_memory(g, CODE_GPA + (va - CODE)), bytes, len);
}
#define PUT_UNTOLD(g, va, bytes) put_untold(g, va, bytes, sizeof(bytes) - 1)

static void test_code_that_a_foreign_writer_changed_is_run_as_it_is_now(void **state) {
        SoftGuest *g = *state;

        PUT(g, CODE, "\xb8\x01\x00\x00\x00\xf4"); /* mov $1, %eax; hlt */
        for (unsigned i = 0; i < 4; i++)
                assert_int_equal(run(g, CODE).r[RAX], 1);
        PUT_UNTOLD(g, CODE + 1, "\x02");
        for (unsigned i = 0; i < 4; i++)
                assert_int_equal(run(g, CODE).r[RAX], 2);
        PUT_UNTOLD(g, CODE, "\xb0\x07\xf4"); /* shorter */
        assert_int_equal(run(g, CODE).r[RAX], 7);
}

/* The last byte of each length: the comparison is made of pieces. */
static void test_every_byte_of_a_block_is_compared(void **state) {
        SoftGuest *g = *state;

        for (unsigned len = 1; len <= 40; len++) {
                char code[41];

                memset(code, '\x90', len); /* nop */
                code[len] = '\xf4';
                put(g, CODE, code, len + 1);
                for (unsigned i = 0; i < 2; i++)
                        assert_int_equal(run(g, CODE).rip, CODE + len);
                for (unsigned at = 0; at < len; at++) {
                        put_untold(g, CODE + at, "\xf4", 1);
                        if (run(g, CODE).rip != CODE + at)
                                fail_msg("byte %u of %u was not compared", at, len);
                        put_untold(g, CODE + at, "\x90", 1);
                        assert_int_equal(run(g, CODE).rip, CODE + len);
                }
        }
}

static void test_block_that_a_link_leads_to_is_compared(void **state) {
        SoftGuest *g = *state;

        PUT(g, CODE, "\xe9\x3b\x00\x00\x00");              /* jmp CODE + 0x40 */
        PUT(g, CODE + 0x40, "\xe9\xbb\x0f\x00\x00");       /* jmp CODE + 0x1000 */
        PUT(g, CODE + 0x1000, "\xb8\x01\x00\x00\x00\xf4"); /* mov $1, %eax; hlt */
        for (unsigned i = 0; i < 4; i++)
                assert_int_equal(run(g, CODE).r[RAX], 1);
        PUT_UNTOLD(g, CODE + 0x1001, "\x02"); /* to another page */
        assert_int_equal(run(g, CODE).r[RAX], 2);
        PUT_UNTOLD(g, CODE + 0x40, "\xb0\x07\xf4"); /* to the same page */
        assert_int_equal(run(g, CODE).r[RAX], 7);
}

static void test_instruction_in_two_pages_is_run_as_it_is_now(void **state) {
        SoftGuest *g = *state;

        PUT(g, CODE + 0x10, "\xe9\xe8\x0f\x00\x00");      /* jmp CODE + 0xffd */
        PUT(g, CODE + 0xffd, "\xb8\x01\x02\x00\x00\xf4"); /* mov $0x201, %eax */
        for (unsigned i = 0; i < 4; i++)
                assert_int_equal(run(g, CODE + 0x10).r[RAX], 0x201);
        PUT_UNTOLD(g, CODE + 0x1000, "\x03");
        assert_int_equal(run(g, CODE + 0x10).r[RAX], 0x30201);
        PUT_UNTOLD(g, CODE + 0xffe, "\x05");
        assert_int_equal(run(g, CODE + 0x10).r[RAX], 0x30205);
}

/* The whole of a block's room: 15 bytes each, as many as there may be, and more. */
static void test_long_instructions_fill_blocks(void **state) {
        static const char mov[] = "\x66\x66\x66\x66\x66\x48\xb8\x01\x00\x00\x00\x00\x00\x00\x00";
        SoftGuest *g = *state;
        const unsigned n = 200;

        for (unsigned i = 0; i < n; i++)
                put(g, CODE + 15 * i, mov, 15);
        put(g, CODE + 15 * n, "\xf4", 1);
        for (unsigned i = 0; i < 3; i++)
                assert_int_equal(run(g, CODE).rip, CODE + 15 * n);
        for (unsigned i = 0; i < n; i++) {
                put_untold(g, CODE + 15 * i, "\xf4", 1);
                assert_int_equal(run(g, CODE).rip, CODE + 15 * i);
                put_untold(g, CODE + 15 * i, mov, 1);
        }
        assert_int_equal(run(g, CODE).rip, CODE + 15 * n);
}

/* Interpreted and translated, in machines whose memory is the VMM's alone and in others. */
#define TEST(test)                                                                                 \
        cmocka_unit_test_setup_teardown(test, setup, teardown),                                    \
                {#test " when translated", test, setup_translated, teardown, NULL},                \
                TEST_FOREIGN(test)

#define TEST_FOREIGN(test)                                                                         \
        {#test " with foreign writers", test, setup_foreign, teardown, NULL}, {                    \
#test " when translated, with foreign writers", test, setup_foreign_translated,    \
                        teardown, NULL                                                             \
        }

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_store_through_another_mapping_changes_the_code),
                TEST(test_store_reaches_the_next_instruction_of_the_same_block),
                TEST(test_branch_to_address_zero_arrives),
                TEST(test_every_kind_of_store_is_noticed),
                TEST(test_device_that_writes_memory_changes_the_code),
                TEST(test_new_mapping_of_the_page_runs_the_new_code),
                TEST(test_instruction_in_two_pages_runs_and_changes),
                TEST(test_instruction_in_two_pages_is_reached_again_and_again),
                TEST(test_instruction_whose_end_is_not_mapped_faults_there),
                TEST(test_instruction_that_no_longer_lies_in_two_pages_needs_one),
                TEST(test_instruction_of_more_than_15_bytes_is_refused),
                TEST(test_same_code_is_decoded_anew_in_another_mode),
                TEST(test_instructions_that_cpuid_does_not_offer_are_invalid),
                TEST_FOREIGN(test_code_that_a_foreign_writer_changed_is_run_as_it_is_now),
                TEST_FOREIGN(test_every_byte_of_a_block_is_compared),
                TEST_FOREIGN(test_block_that_a_link_leads_to_is_compared),
                TEST_FOREIGN(test_instruction_in_two_pages_is_run_as_it_is_now),
                TEST_FOREIGN(test_long_instructions_fill_blocks),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
