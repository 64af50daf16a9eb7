/* SPDX-License-Identifier: Apache-2.0 */
/* XSAVE and what belongs to it; x87 and SSE as the host's own XSAVE has them, where it has one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <cpuid.h>
#include <string.h>

#include "base/le.h"
#include "tests/fake/vmm_soft_guest.h"
#include "vmm/hv/soft/soft_internal.h"

#define CODE UINT64_C(0x100000)
#define AREA UINT64_C(0x101000)
#define AREA_BYTES 2696u
#define END UINT64_C(0x103000)

static int setup(void **state) {
        static SoftGuest guest;

        if (soft_guest_new(1, &guest) < 0)
                return -1;
        for (uint64_t at = CODE; at < END; at += 0x1000)
                soft_guest_map(&guest, at, at, SOFT_MAP_WRITE | SOFT_MAP_USER);
        soft_guest_long_mode(&guest, 0);
        guest.cpu->cr4 |= CR4_OSXSAVE | CR4_PKE;
        guest.cpu->xcr0 = XSTATE_X87 | XSTATE_SSE | XSTATE_PKRU;
        *state = &guest;
        return 0;
}

static int teardown(void **state) {
        soft_guest_deinit(*state);
        return 0;
}

static uint8_t *area(SoftGuest *g) {
        return soft_guest_memory(g, AREA);
}

/* One instruction, with floating point state @fx before and after. Return: the vector that ended it. */
static unsigned run(SoftGuest *g, const char *code, size_t len, uint64_t what, uint8_t fx[512]) {
        static CpuImage image;

        image = (CpuImage){.rip = CODE, .flags = FLAG_FIXED};
        memcpy(image.fx, fx, sizeof(image.fx));
        image.r[RAX] = (uint32_t) what;
        image.r[RDX] = what >> 32;
        image.r[RBX] = AREA;
        memcpy(soft_guest_memory(g, CODE), code, len);
        guest_mem_written(g->tiny->mem, CODE, len);
        soft_guest_run(g, &image);
        memcpy(fx, image.fx, sizeof(image.fx));
        return image.vector;
}
#define RUN(g, code, what, fx) run(g, code "\x0f\x0b", sizeof(code) - 1 + 2, what, fx) /* ud2 */
#define XSAVE "\x0f\xae\x23"
#define XSAVE64 "\x48\x0f\xae\x23"
#define XRSTOR "\x0f\xae\x2b"
#define XGETBV "\x0f\x01\xd0"
#define XSETBV "\x0f\x01\xd1"

/* Registers with something in each. */
static void fill(uint8_t fx[512]) {
        memset(fx, 0, 512);
        le16_store(fx, 0x037f);
        fx[3] = 0x38; /* top of stack 7 */
        fx[4] = 0xff; /* all valid */
        le32_store(fx + 24, 0x9fa0);
        for (unsigned i = 0; i < 8; i++) {
                le64_store(fx + 32 + i * 16, UINT64_C(0x8000000000000000) | i << 20 | 0x12345);
                le16_store(fx + 40 + i * 16, (uint16_t) (0x3fff + i));
        }
        for (unsigned i = 0; i < 256; i++)
                fx[160 + i] = (uint8_t) (i * 7 + 3);
}

static bool host_has_xsave(void) {
        unsigned eax, ebx, ecx, edx;

        return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_OSXSAVE);
}

static void test_x87_and_sse_lie_where_the_host_has_them(void **state) {
        static uint8_t host[4096] __attribute__((aligned(64))),
                keep[512] __attribute__((aligned(16)));
        SoftGuest *g = *state;

        if (!host_has_xsave())
                skip();
        for (uint32_t what = 0; what < 4; what++) {
                uint8_t fx[512] __attribute__((aligned(16)));

                fill(fx);
                memset(host, 0xcc, sizeof(host));
                memset(host + 512, 0, 64);
                host[512] = 3;
                memcpy(area(g), host, AREA_BYTES);
                __asm__ volatile("fxsave64 %0\n\tfxrstor64 %2\n\txsave64 %1\n\tfxrstor64 %0"
                                 : "+m"(keep), "+m"(host)
                                 : "m"(fx), "a"(what), "d"(0)
                                 : "memory");
                assert_int_equal(RUN(g, XSAVE64, what, fx), EXC_UD);
                /* What the last instruction was is not kept, and the masks are those of the processors. */
                if (what & 1) {
                        memset(host + 6, 0, 18);
                        assert_memory_equal(area(g) + 6, host + 6, 18);
                }
                memcpy(host + 28, area(g) + 28, 4);
                assert_memory_equal(area(g), host, 512);
                assert_memory_equal(area(g) + 512, host + 512, 64);
                assert_memory_equal(area(g) + 576, host + 576, AREA_BYTES - 576);
        }
}

static void test_what_was_saved_comes_back(void **state) {
        SoftGuest *g = *state;
        uint8_t fx[512], saved[512];

        fill(fx);
        memset(area(g), 0, AREA_BYTES);
        assert_int_equal(RUN(g, XSAVE, 0, fx), EXC_UD); /* nothing of it */
        assert_int_equal(le64_load(area(g) + 512), 0);
        memcpy(saved, fx, sizeof(saved));
        /* wrpkru; mov $-1, %eax; xsave; ... with the key register other than what soft_guest_run() sets */
        assert_int_equal(RUN(g, "\x31\xd2\x0f\x01\xef\xb8\xff\xff\xff\xff" XSAVE, 0x5554, fx),
                         EXC_UD);
        assert_int_equal(le64_load(area(g) + 512), XSTATE_X87 | XSTATE_SSE | XSTATE_PKRU);
        assert_int_equal(le64_load(area(g) + XSAVE_PKRU), 0x5554);
        memset(fx + 32, 0, sizeof(fx) - 32);
        assert_int_equal(RUN(g, XRSTOR, UINT64_MAX, fx), EXC_UD);
        assert_int_equal(g->cpu->pkru, 0x5554);
        assert_memory_equal(fx, saved, 416);
}

static void test_pkru_that_is_zero_is_not_in_use(void **state) {
        SoftGuest *g = *state;
        uint8_t fx[512];

        fill(fx);
        memset(area(g) + 512, 0xff, 8); /* what is not asked for stays */
        assert_int_equal(RUN(g, XSAVE, UINT64_MAX, fx), EXC_UD);
        assert_int_equal(le64_load(area(g) + 512), UINT64_MAX & ~(uint64_t) XSTATE_PKRU);
}

static void test_components_that_are_not_there_are_initialized(void **state) {
        SoftGuest *g = *state;
        uint8_t fx[512], zero[256] = {0};

        fill(fx);
        memset(area(g), 0xcc, AREA_BYTES);
        memset(area(g) + 512, 0, 64);
        le32_store(area(g) + 24, 0x1fa0); /* MXCSR comes from the area all the same */
        assert_int_equal(RUN(g, XRSTOR, XSTATE_SSE, fx), EXC_UD);
        assert_memory_equal(fx + 160, zero, 256);
        assert_int_equal(le32_load(fx + 24), 0x1fa0);
        assert_int_equal(fx[4], 0xff); /* x87 was not asked for */
        assert_int_equal(RUN(g, XRSTOR, XSTATE_X87, fx), EXC_UD);
        assert_int_equal(le16_load(fx), 0x37f);
        assert_int_equal(fx[4], 0);
}

static void test_header_that_promises_what_is_not_offered_faults(void **state) {
        static const struct {
                unsigned at;
                uint64_t value;
        } bad[] = {
                {512, 4},
                {512, XSTATE_PKRU << 1},
                {520, UINT64_C(1) << 63}, /* compacted */
                {528, 1},
        };
        SoftGuest *g = *state;
        uint8_t fx[512], before[512];

        fill(fx);
        assert_int_equal(RUN(g, "\x90", 0, fx), EXC_UD);
        memcpy(before, fx, sizeof(before));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                memset(area(g), 0, AREA_BYTES);
                le64_store(area(g) + bad[i].at, bad[i].value);
                assert_int_equal(RUN(g, XRSTOR, UINT64_MAX, fx), EXC_GP);
                assert_int_equal(g->cpu->rip, CODE);
                assert_memory_equal(fx, before, sizeof(before));
        }
        memset(area(g), 0, AREA_BYTES);
        le32_store(area(g) + 24, 0x10000); /* MXCSR */
        assert_int_equal(RUN(g, XRSTOR, XSTATE_SSE, fx), EXC_GP);
        assert_int_equal(RUN(g, XRSTOR, XSTATE_X87, fx), EXC_UD);
}

static void test_operating_system_must_have_switched_it_on(void **state) {
        SoftGuest *g = *state;
        uint8_t fx[512];

        fill(fx);
        g->cpu->cr4 &= ~(uint64_t) CR4_OSXSAVE;
        assert_int_equal(RUN(g, XSAVE, 3, fx), EXC_UD);
        assert_int_equal(g->cpu->rip, CODE);
        assert_int_equal(RUN(g, XRSTOR, 3, fx), EXC_UD);
        assert_int_equal(g->cpu->rip, CODE);
        assert_int_equal(RUN(g, XGETBV, 3, fx), EXC_UD);
        assert_int_equal(g->cpu->rip, CODE);
        assert_int_equal(RUN(g, XSETBV, 3, fx), EXC_UD);
        assert_int_equal(g->cpu->rip, CODE);
        g->cpu->cr4 |= CR4_OSXSAVE;
        g->cpu->cr0 |= CR0_TS;
        assert_int_equal(RUN(g, XSAVE, 3, fx), EXC_NM);
        assert_int_equal(RUN(g, XRSTOR, 3, fx), EXC_NM);
}

static void test_area_is_aligned_to_its_lines(void **state) {
        SoftGuest *g = *state;
        uint8_t fx[512];

        fill(fx);
        assert_int_equal(RUN(g, "\x0f\xae\x63\x20", 3, fx), EXC_GP); /* xsave 32(%rbx) */
        assert_int_equal(RUN(g, "\x0f\xae\x6b\x20", 3, fx), EXC_GP);
        assert_int_equal(RUN(g, "\x66" XSAVE, 3, fx), EXC_UD);
        assert_int_equal(g->cpu->rip, CODE);
}

static void test_a_fault_in_the_middle_of_the_area_restores_nothing(void **state) {
        const uint64_t at = AREA + 0x1c00; /* PKRU lies behind the last page */
        SoftGuest *g = *state;
        uint8_t fx[512], before[512];

        fill(fx);
        assert_int_equal(RUN(g, "\x90", 0, fx), EXC_UD);
        memcpy(before, fx, sizeof(before));
        memset(soft_guest_memory(g, at), 0, END - at);
        le64_store(soft_guest_memory(g, at + 512), XSTATE_PKRU);
        assert_int_equal(RUN(g, "\x0f\xae\xab\x00\x1c\x00\x00", UINT64_MAX, fx), EXC_PF);
        assert_int_equal(g->cpu->cr2, at + XSAVE_PKRU);
        assert_int_equal(g->cpu->rip, CODE);
        assert_memory_equal(fx, before, sizeof(before));
}

static void test_xcr0_takes_what_cpuid_shows(void **state) {
        SoftGuest *g = *state;
        uint8_t fx[512];

        fill(fx);
        assert_int_equal(RUN(g, XSETBV, 3, fx), EXC_UD);
        assert_int_equal(g->cpu->xcr0, 3);
        assert_int_equal(RUN(g, XGETBV, UINT64_MAX, fx), EXC_UD);
        assert_int_equal(g->cpu->r[RAX], 3);
        assert_int_equal(g->cpu->r[RDX], 0);
        assert_int_equal(RUN(g, XSETBV, 1, fx), EXC_UD);
        assert_int_equal(g->cpu->xcr0, 1);
        assert_int_equal(RUN(g, XSETBV, 0, fx), EXC_GP);
        assert_int_equal(RUN(g, XSETBV, 2, fx), EXC_GP);
        assert_int_equal(RUN(g, XSETBV, 7, fx), EXC_GP);
        assert_int_equal(RUN(g, XSETBV, UINT64_C(1) << 32 | 3, fx), EXC_GP);
        assert_int_equal(RUN(g, "\xff\xc1" XGETBV, 0, fx), EXC_GP); /* inc %ecx */
        soft_guest_long_mode(g, 3);
        g->cpu->cr4 |= CR4_OSXSAVE;
        assert_int_equal(RUN(g, XSETBV, 3, fx), EXC_GP);
        assert_int_equal(RUN(g, XGETBV, 0, fx), EXC_UD);
        assert_int_equal(g->cpu->r[RAX], 1);
}

static void test_cpuid_follows_what_is_switched_on(void **state) {
        SoftGuest *g = *state;
        const SoftModel *model = g->cpu->model;
        CpuidNow now = {.apic_base = 0xfee00900u, .xcr0 = XSTATE_X87};
        CpuidEntry e;

        soft_cpuid(model, &now, 0xd, 0, &e);
        assert_int_equal(e.eax, XSTATE_X87 | XSTATE_SSE | XSTATE_PKRU);
        assert_int_equal(e.ebx, 576);
        assert_int_equal(e.ecx, AREA_BYTES);
        soft_cpuid(model, &now, 0xd, 1, &e);
        assert_int_equal(e.eax, 0);
        soft_cpuid(model, &now, 0xd, 9, &e);
        assert_int_equal(e.eax, 8);
        assert_int_equal(e.ebx, XSAVE_PKRU);
        soft_cpuid(model, &now, 1, 0, &e);
        assert_int_equal(e.ecx & 3u << 26, 1u << 26);
        soft_cpuid(model, &now, 7, 0, &e);
        assert_int_equal(e.ecx & 3u << 3, 1u << 3);
        now.cr4 = CR4_OSXSAVE | CR4_PKE;
        now.xcr0 |= XSTATE_PKRU;
        soft_cpuid(model, &now, 0xd, 0, &e);
        assert_int_equal(e.ebx, AREA_BYTES);
        soft_cpuid(model, &now, 1, 0, &e);
        assert_int_equal(e.ecx & 3u << 26, 3u << 26);
        soft_cpuid(model, &now, 7, 0, &e);
        assert_int_equal(e.ecx & 3u << 3, 3u << 3);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_x87_and_sse_lie_where_the_host_has_them),
                TEST(test_what_was_saved_comes_back),
                TEST(test_pkru_that_is_zero_is_not_in_use),
                TEST(test_components_that_are_not_there_are_initialized),
                TEST(test_header_that_promises_what_is_not_offered_faults),
                TEST(test_operating_system_must_have_switched_it_on),
                TEST(test_area_is_aligned_to_its_lines),
                TEST(test_a_fault_in_the_middle_of_the_area_restores_nothing),
                TEST(test_xcr0_takes_what_cpuid_shows),
                TEST(test_cpuid_follows_what_is_switched_on),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
