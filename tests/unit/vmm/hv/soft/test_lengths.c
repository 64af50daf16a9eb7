/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instruction lengths: each instruction is slid towards the end of a page that nothing follows. With all of its bytes
 * before the end it must not ask for the next page, with one less it must; so on the host's processor, and so on the
 * software one, whose decoder says what the length is.
 * VIVARIUM_LENGTH_CASES=N adds a search over N random instructions, VIVARIUM_LENGTH_SEED another one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/le.h"
#include "tests/fake/vmm_soft_guest.h"
#include "vmm/hv/soft/handlers.h"
#include "vmm/hv/soft/native.h"

/* Sanitizers map much of the address space for themselves, which stray operands must not reach. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ON_HOST_TOO false
#else
#define ON_HOST_TOO true
#endif

#define PAGE_VA UINT64_C(0x40000000)
#define PAGE_GPA UINT64_C(0x100000)
#define EDGE (PAGE_VA + 0x1000) /* nothing from here on */
#define LENGTH_MAX 15u
#define REPORTS 20u
#define STRAY                                                                                      \
        UINT64_C(0x1010101010101010) /* in every register: not canonical, no selector, no MSR */

DEFINE_CLEANUP(ThunkCache *, thunk_cache_free)

typedef struct Slide {
        SoftGuest guest;
        ThunkCache *thunks;
        uint8_t *native_page, *guest_page;
        CpuImage start;
        uint64_t random;
        unsigned n_compared, n_wrong;
} Slide;

typedef struct Code {
        uint8_t bytes[24];
        unsigned len; /* so far */
} Code;

static void add(Code *code, unsigned byte) {
        code->bytes[code->len++] = (uint8_t) byte;
}

/* ---- what cannot be asked ---- */

/* A REX that another prefix follows is one of them. */
static const uint8_t *behind_prefixes(const uint8_t *p, bool *ret_osize) {
        for (*ret_osize = false;; p++) {
                if (*p == 0x66)
                        *ret_osize = true;
                else if ((*p & 0xf0) != 0x40 && *p != 0x67 && *p != 0xf2 && *p != 0xf3 &&
                         *p != 0xf0 && *p != 0x2e && *p != 0x36 && *p != 0x3e && *p != 0x26 &&
                         *p != 0x65)
                        return p;
        }
}

static bool is_short_branch(uint8_t op) {
        return (op & 0xf0) == 0x70 || (op >= 0xe0 && op <= 0xe3) || op == 0xeb;
}

/*
 * Calls of the host's kernel and hypervisor, FS, which is the C library's, branches that AMD's make shorter by 66, and
 * those that may go back to themselves for ever.
 */
static bool is_apart(const Code *code) {
        bool osize;
        const uint8_t *p = behind_prefixes(code->bytes, &osize);

        if (*p != 0x0f)
                return *p == 0xcd || *p == 0x64 || (is_short_branch(*p) && p[1] >= 0xf0) ||
                       (osize && (*p == 0xe8 || *p == 0xe9));
        switch (p[1]) {
        case 0x05: /* syscall */
        case 0x34: /* sysenter */
        case 0x35:
                return true;
        case 0x01: /* vmcall, vmmcall */
                return p[2] == 0xc1 || p[2] == 0xd9;
        case 0xae: /* wrfsbase */
                return (p[2] & 0xf8) == 0xd0;
        case 0x80 ... 0x8f:
                return osize;
        default:
                return false;
        }
}

/* ---- one instruction ---- */

static bool wants_next_page(const CpuImage *image, uint64_t rip) {
        return image->vector == EXC_PF && image->rip == rip && image->cr2 == EDGE &&
               (image->code & 0x10);
}

/* Which of the two, as bits: 1 the host, 2 the software processor. */
static unsigned who_wants_more(Slide *s, const Code *code, unsigned n_bytes) {
        const unsigned at = 0x1000 - n_bytes;
        CpuImage native = s->start, soft;
        unsigned who = 0;

        memcpy(s->native_page + at, code->bytes, n_bytes);
        memcpy(s->guest_page + at, code->bytes, n_bytes);
        guest_mem_written(s->guest.tiny->mem, PAGE_GPA + at, n_bytes);
        native.rip = PAGE_VA + at;
        soft = native;
        if (ON_HOST_TOO) {
                native_cpu_run(&native);
                who |= wants_next_page(&native, PAGE_VA + at) ? 1 : 0;
        }
        soft_guest_run(&s->guest, &soft);
        who |= wants_next_page(&soft, PAGE_VA + at) ? 2 : 0;
        memset(s->native_page + at, 0xf4, n_bytes);
        memset(s->guest_page + at, 0xf4, n_bytes);
        return who;
}

static void compare(Slide *s, const Code *code) {
        const unsigned everybody = ON_HOST_TOO ? 3 : 2;
        unsigned len = 0, whole, cut;
        Uop uops[4];

        if (is_apart(code) ||
            decode_block(s->thunks, code->bytes, sizeof(code->bytes), MODE_64, 1, uops, &len) ==
                    0 ||
            uops[0].fn == op_invalid)
                return;
        s->n_compared++;
        whole = who_wants_more(s, code, len);
        cut = len > 1 ? who_wants_more(s, code, len - 1) : everybody;
        if (whole == 0 && cut == everybody)
                return;
        if (s->n_wrong++ >= REPORTS)
                return;
        printf("length %u: host %s, here %s:", len,
               whole & 1                   ? "longer"
               : !(cut & 1) && ON_HOST_TOO ? "shorter"
                                           : "the same",
               whole & 2    ? "longer"
               : !(cut & 2) ? "shorter"
                            : "the same");
        for (unsigned i = 0; i < LENGTH_MAX; i++)
                printf(" %02x", code->bytes[i]);
        printf("\n");
}

/* ---- instructions ---- */

static void add_opcode(Code *code, unsigned map, unsigned op) {
        if (map > 0)
                add(code, 0x0f);
        if (map > 1)
                add(code, map == 2 ? 0x38 : 0x3a);
        add(code, op);
}

/* Immediates and displacements point nowhere that exists. */
static void fill(Code *code) {
        memset(code->bytes + code->len, 0x11, sizeof(code->bytes) - code->len);
}

static bool is_prefix(unsigned op) {
        return (op & 0xf0) == 0x40 || (op >= 0x64 && op <= 0x67) || op == 0xf0 || op == 0xf2 ||
               op == 0xf3 || op == 0x26 || op == 0x2e || op == 0x36 || op == 0x3e;
}

static void sweep_opcode(Slide *s, unsigned map, unsigned op) {
        static const uint8_t prefixes[][2] = {{0},    {0x66}, {0x67},       {0xf2},
                                              {0xf3}, {0x48}, {0x66, 0x48}, {0xf3, 0x48}};
        /* Each shape of ModRM and SIB; the second byte is an immediate where there is no SIB. */
        static const uint8_t shapes[][2] = {{0x00, 0x11}, {0x04, 0x20}, {0x04, 0x25}, {0x05, 0x11},
                                            {0x40, 0x11}, {0x44, 0x25}, {0x80, 0x11}, {0x84, 0x20},
                                            {0xc0, 0x11}, {0xc4, 0x11}};

        for (unsigned p = 0; p < ELEMENTSOF(prefixes); p++)
                for (unsigned i = 0; i < ELEMENTSOF(shapes) * 8; i++) {
                        Code code = {0};

                        for (unsigned n = 0; n < 2 && prefixes[p][n]; n++)
                                add(&code, prefixes[p][n]);
                        add_opcode(&code, map, op);
                        add(&code, shapes[i / 8][0] | i % 8 << 3);
                        add(&code, shapes[i / 8][1]);
                        fill(&code);
                        compare(s, &code);
                }
}

/* cmocka has handlers of its own between set-up and test. */
static void end(Slide *s) {
        native_cpu_close();
        print_message("%u instructions\n", s->n_compared);
        assert_int_equal(s->n_wrong, 0);
}

static void test_every_form_is_as_long_as_on_the_host(void **state) {
        Slide *s = *state;

        assert_int_equal(native_cpu_open(), 0);
        for (unsigned map = 0; map < 4; map++)
                for (unsigned op = 0; op < 256; op++)
                        if (!(map == 0 && (is_prefix(op) || op == 0x0f)) &&
                            !(map == 1 && (op == 0x38 || op == 0x3a)))
                                sweep_opcode(s, map, op);
        end(s);
}

static unsigned next(Slide *s, unsigned n) {
        s->random ^= s->random << 13;
        s->random ^= s->random >> 7;
        s->random ^= s->random << 17;
        return (unsigned) ((s->random * UINT64_C(0x2545f4914f6cdd1d)) >> 33) % n;
}

static void random_code(Slide *s, Code *code) {
        static const uint8_t prefixes[] = {0x66, 0x67, 0xf2, 0xf3, 0xf0,
                                           0x2e, 0x36, 0x3e, 0x26, 0x65};
        unsigned map = next(s, 4);

        *code = (Code){0};
        for (unsigned n = next(s, 4); n > 0; n--)
                add(code, prefixes[next(s, sizeof(prefixes))]);
        if (next(s, 2))
                add(code, 0x40 + next(s, 16));
        add_opcode(code, map, next(s, 256));
        add(code, next(s, 256)); /* ModRM */
        add(code, next(s, 256)); /* SIB */
        fill(code);
}

static void test_random_instructions_are_as_long_as_on_the_host(void **state) {
        const char *cases = getenv("VIVARIUM_LENGTH_CASES"), *seed = getenv("VIVARIUM_LENGTH_SEED");
        const uint64_t n = cases ? strtoull(cases, NULL, 0) : 20000;
        Slide *s = *state;
        Code code;

        assert_int_equal(native_cpu_open(), 0);
        s->random = UINT64_C(0x9e3779b97f4a7c15) ^ (seed ? strtoull(seed, NULL, 0) << 17 : 0);
        for (uint64_t i = 0; i < n; i++) {
                random_code(s, &code);
                compare(s, &code);
        }
        end(s);
}

/* ---- set-up ---- */

/* A page that is executed at @at and written by the result; the one behind it is kept empty. */
static uint8_t *map_native(uint64_t at) {
        _cleanup_(fd_closep) int fd = memfd_create("lengths", MFD_CLOEXEC);
        void *fixed = (void *) (uintptr_t) at; /* NOLINT */
        void *alias;

        assert_true(fd >= 0 && ftruncate(fd, 0x1000) == 0);
        if (mmap(fixed, 0x2000, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
                 0) != fixed) {
                print_message("address %#lx is not free on this machine, skipping\n",
                              (unsigned long) at);
                skip();
        }
        assert_ptr_equal(mmap(fixed, 0x1000, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, fd, 0),
                         fixed);
        alias = mmap(NULL, 0x1000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        assert_true(alias != MAP_FAILED);
        return alias;
}

static int setup(void **state) {
        static Slide s;

        s = (Slide){.start = {.flags = 0x202}};
        for (unsigned i = 0; i < 16; i++)
                s.start.r[i] = STRAY;
        le16_store(s.start.fx, 0x37f);
        le32_store(s.start.fx + 24, 0x1f80);
        le32_store(s.start.fx + 28, 0xffff);
        if (thunk_cache_new(&s.thunks) < 0 || soft_guest_new(1, &s.guest) < 0)
                return -1;
        s.native_page = map_native(PAGE_VA);
        s.guest_page = soft_guest_memory(&s.guest, PAGE_GPA);
        memset(s.native_page, 0xf4, 0x1000);
        memset(s.guest_page, 0xf4, 0x1000);
        soft_guest_map(&s.guest, PAGE_VA, PAGE_GPA, SOFT_MAP_USER);
        soft_guest_long_mode(&s.guest, 3);
        s.guest.cpu->native_heat = NATIVE_HEAT_NEVER;
        *state = &s;
        return 0;
}

static int teardown(void **state) {
        Slide *s = *state;

        (void) munmap((void *) PAGE_VA, 0x2000); /* NOLINT */
        (void) munmap(s->native_page, 0x1000);
        soft_guest_deinit(&s->guest);
        thunk_cache_free(s->thunks);
        return 0;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_every_form_is_as_long_as_on_the_host, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_random_instructions_are_as_long_as_on_the_host,
                                                setup, teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
