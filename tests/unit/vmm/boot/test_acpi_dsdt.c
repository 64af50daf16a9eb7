/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "vmm/boot/acpi.h"
#include "vmm/mem/memmap.h"

/* Bytes of a PkgLength at @p, and the length it states. */
static size_t package_length(const uint8_t *p, size_t *ret) {
        const size_t extra = p[0] >> 6;
        size_t len = extra == 0 ? p[0] & 0x3f : p[0] & 0xf;

        for (size_t i = 0; i < extra; i++)
                len |= (size_t) p[1 + i] << (4 + 8 * i);
        *ret = len;
        return 1 + extra;
}

static const uint8_t *find(const StrBuf *dsdt, const char *name) {
        const uint8_t *p = memmem(dsdt->data, dsdt->len, name, 4);

        assert_non_null(p);
        return p;
}

static void build(StrBuf *dsdt, unsigned n_vcpus) {
        const BoardInfo board = {.n_vcpus = n_vcpus, .com = {true}};

        acpi_build_dsdt(dsdt, &board);
        assert_false(dsdt->failed);
}

static void test_the_routing_table_names_the_wires_of_the_map(void **state) {
        _cleanup_(strbuf_deinit) StrBuf dsdt = {0};
        const uint8_t *p;
        size_t len;

        build(&dsdt, 1);
        p = find(&dsdt, "_PRT") + 4;
        assert_int_equal(*p++, 0x12);
        p += package_length(p, &len);
        assert_int_equal(*p++, 128);
        for (unsigned slot = 0; slot < 32; slot++)
                for (unsigned pin = 0; pin < 4; pin++) {
                        const uint8_t *entry = p;

                        assert_int_equal(*p++, 0x12);
                        (void) package_length(p, &len);
                        p = entry + 1 + len;
                        /* The last byte of each entry is its interrupt, after a byte prefix. */
                        assert_int_equal(p[-2], 0x0a);
                        assert_int_equal(p[-1], memmap_pci_intx_gsi(slot, pin));
                        assert_in_range(p[-1], 16, 23);
                }
}

static void test_power_off_names_the_sleep_type_of_the_map(void **state) {
        _cleanup_(strbuf_deinit) StrBuf dsdt = {0};
        const uint8_t *p;

        build(&dsdt, 1);
        p = find(&dsdt, "_S5_") + 4;
        assert_int_equal(p[0], 0x12);
        assert_int_equal(p[2], 4);
        assert_int_equal(p[3], 0x0a);
        assert_int_equal(p[4], PM_SLEEP_TYPE_S5);
}

static void test_each_vcpu_is_a_processor_device(void **state) {
        _cleanup_(strbuf_deinit) StrBuf dsdt = {0};

        build(&dsdt, 200);
        (void) find(&dsdt, "C000");
        (void) find(&dsdt, "C0C7");
        assert_null(memmem(dsdt.data, dsdt.len, "C0C8", 4));
}

static void test_the_scope_spans_all_devices(void **state) {
        _cleanup_(strbuf_deinit) StrBuf dsdt = {0};
        const uint8_t *scope;
        size_t len;

        build(&dsdt, 1);
        scope = (const uint8_t *) dsdt.data + ACPI_HEADER_SIZE;
        assert_int_equal(scope[0], 0x10);
        (void) package_length(scope + 1, &len);
        /* What follows the scope is Name (\_S5, …), the scope of events, and nothing after that. */
        assert_memory_equal(scope + 1 + len, "\x08\\_S5_", 6);
        scope += 1 + len + 6 + 1 + 1 + 1 + 2 + 3;
        assert_int_equal(scope[0], 0x10);
        assert_memory_equal(scope + 1 + package_length(scope + 1, &len), "\\_GPE", 5);
        assert_ptr_equal(scope + 1 + len, (const uint8_t *) dsdt.data + dsdt.len);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_routing_table_names_the_wires_of_the_map),
                cmocka_unit_test(test_power_off_names_the_sleep_type_of_the_map),
                cmocka_unit_test(test_each_vcpu_is_a_processor_device),
                cmocka_unit_test(test_the_scope_spans_all_devices),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
