/* SPDX-License-Identifier: Apache-2.0 */
/* That the comparison with the host leaves out nothing that the decoder knows, but for what is named here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/cleanup.h"
#include "tests/unit/vmm/hv/soft/differential_forms.h"
#include "vmm/hv/soft/handlers.h"

DEFINE_CLEANUP(ThunkCache *, thunk_cache_free)

/* One place in the opcode maps: what decides which handler comes out. */
typedef struct Place {
        uint8_t map, op, prefix, digit;
        bool mem;
} Place;

/* What user mode on the host cannot be asked, and why. */
static const struct {
        uint8_t map, first, last;
        int8_t digit;
        const char *why;
} apart[] = {
        {0, 0x8e, 0x8e, -1, "loads from the host's descriptor tables"},
        {0, 0xca, 0xcb, -1, "the same"},
        {0, 0xcc, 0xcd, -1, "goes to the host's interrupt table"},
        {0, 0xcf, 0xcf, -1, "loads from the host's descriptor tables"},
        {0, 0xf1, 0xf1, -1, "goes to the host's interrupt table"},
        {0, 0xff, 0xff, 3, "loads from the host's descriptor tables"},
        {0, 0xff, 0xff, 5, "the same"},
        {1, 0x00, 0x00, -1, "reads the host's descriptor tables"},
        {1, 0x01, 0x01, -1, "reads the host's tables, calls its hypervisor"},
        {1, 0x02, 0x03, -1, "reads the host's descriptor tables"},
        {1, 0x05, 0x05, -1, "calls the host's kernel"},
        {1, 0x0d, 0x0d, -1, "with a register a NOP of Intel's and invalid of AMD's"},
        {1, 0x20, 0x23, -1, "may not exist before it may not be used, or the other way round"},
        {1, 0x31, 0x31, -1, "tells the time"},
        {1, 0x33, 0x33, -1, "the host's counters"},
        {1, 0x34, 0x35, -1, "calls the host's kernel, and AMD's have it in legacy mode only"},
        {1, 0xa1, 0xa1, -1, "the host's thread pointer"},
        {1, 0xa2, 0xa2, -1, "tells of another processor"},
        {1, 0xa9, 0xa9, -1, "loads from the host's descriptor tables"},
        {1, 0xae, 0xae, 0, "the host's segment bases"},
        {1, 0xae, 0xae, 1, "the same"},
        {1, 0xae, 0xae, 2, "the same"},
        {1, 0xae, 0xae, 3, "the same"},
        {1, 0xae, 0xae, 4, "in test_xsave, as the host has more components"},
        {1, 0xae, 0xae, 5, "the same"},
        {1, 0xae, 0xae, 6, "wait instructions of newer processors"},
        {1, 0xb2, 0xb2, -1, "loads from the host's descriptor tables"},
        {1, 0xb4, 0xb5, -1, "the same"},
        {1, 0xc7, 0xc7, 6, "random"},
        {2, 0x82, 0x82, -1, "privileged, and newer than some hosts"},
};

static bool decodes(ThunkCache *cache, const Place *p) {
        static const uint8_t escapes[4][2] = {{0, 0}, {0x0f, 0}, {0x0f, 0x38}, {0x0f, 0x3a}};
        uint8_t code[24] = {0};
        unsigned len = 0, bytes;
        Uop uops[4];

        if (p->prefix)
                code[len++] = p->prefix;
        for (unsigned i = 0; i < 2 && escapes[p->map][i]; i++)
                code[len++] = escapes[p->map][i];
        code[len++] = p->op;
        code[len++] = (uint8_t) (p->digit << 3 | (p->mem ? 0 : 0xc0)) + 1u;
        return decode_block(cache, code, sizeof(code), MODE_64, 1, uops, &bytes) > 0 &&
               uops[0].fn != op_invalid;
}

static bool is_prefix(uint8_t op) {
        return (op & 0xf0) == 0x40 || (op >= 0x64 && op <= 0x67) || op == 0xf0 || op == 0xf2 ||
               op == 0xf3 || op == 0x26 || op == 0x2e || op == 0x36 || op == 0x3e || op == 0x0f;
}

static bool generates(const Form *f, const Place *p) {
        return f->map == p->map && p->op >= f->first && p->op <= f->last &&
               (f->prefix == p->prefix || (p->prefix == 0x66 && !f->prefix && (f->flags & O))) &&
               (f->digit < 0 || (unsigned) f->digit == p->digit) &&
               (!(f->flags & M) || (f->flags & 7) == M || ((f->flags & MEM) == MEM) == p->mem);
}

static bool is_generated(const Place *p) {
        for (unsigned i = 0; i < N_FORMS; i++)
                if (generates(&forms[i], p))
                        return true;
        return false;
}

static bool is_apart(const Place *p) {
        for (unsigned i = 0; i < ELEMENTSOF(apart); i++)
                if (apart[i].map == p->map && p->op >= apart[i].first && p->op <= apart[i].last &&
                    (apart[i].digit < 0 || (unsigned) apart[i].digit == p->digit))
                        return true;
        return false;
}

/* Where a prefix chooses among instructions. */
static bool takes_prefixes(uint8_t map, uint8_t op) {
        return map >= 2 ||
               (map == 1 &&
                ((op >= 0x10 && op <= 0x17) || (op >= 0x28 && op <= 0x2f) ||
                 (op >= 0x50 && op <= 0x7f) || op >= 0xc2 || op == 0xae || op == 0xb8) &&
                op != 0xc7 && (op & 0xf8) != 0xc8);
}

static void test_every_decoded_form_is_compared_or_named(void **state) {
        static const uint8_t prefixes[] = {0, 0x66, 0xf3, 0xf2};
        _cleanup_(thunk_cache_freep) ThunkCache *cache = NULL;
        unsigned missing = 0;

        assert_int_equal(thunk_cache_new(&cache), 0);
        for (unsigned at = 0; at < 4 * 256 * 4 * 8 * 2; at++) {
                const Place p = {.map = (uint8_t) (at >> 14),
                                 .op = (uint8_t) (at >> 6),
                                 .prefix = prefixes[at >> 4 & 3],
                                 .digit = at >> 1 & 7,
                                 .mem = at & 1};

                if ((p.map == 0 && is_prefix(p.op)) ||
                    (p.map == 1 && (p.op == 0x38 || p.op == 0x3a)) ||
                    (p.prefix && !takes_prefixes(p.map, p.op)))
                        continue;
                if (decodes(cache, &p) && !is_generated(&p) && !is_apart(&p)) {
                        printf("map %u op %02x prefix %02x /%u %s\n", p.map, p.op, p.prefix,
                               p.digit, p.mem ? "memory" : "register");
                        missing++;
                }
        }
        assert_int_equal(missing, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_decoded_form_is_compared_or_named),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
