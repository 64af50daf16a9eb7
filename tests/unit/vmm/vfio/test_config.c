/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/le.h"
#include "base/text_error.h"
#include "tests/fake/vmm_vfio_guest.h"
#include "vmm/vfio/vfio_internal.h"

#define SLOT VFIO_GUEST_SLOT

static void must_refuse(VfioGuest *f, int error, const char *text) {
        _cleanup_(text_error_deinit) TextError why = {0};

        assert_int_equal(vfio_guest_try_add(f, &why), error);
        assert_non_null(strstr(text_error_message(&why, error), text));
}

static uint32_t get(const VfioGuest *f, unsigned offset, unsigned size) {
        return fake_config_read(f->fake->board, SLOT, offset, size);
}

static void set(const VfioGuest *f, unsigned offset, unsigned size, uint32_t value) {
        fake_config_write(f->fake->board, SLOT, offset, size, value);
}

static const FakeVfioNote *last_write(const VfioGuest *f) {
        assert_true(f->fake->n_writes > 0);
        return &f->fake->writes[(f->fake->n_writes - 1) % FAKE_VFIO_NOTES_MAX];
}

static void test_the_header_is_the_devices_with_our_bars_and_our_wire(void **state) {
        VfioGuest *f = *state;

        f->fake->config[PCI_HEADER_TYPE] = 0x80;            /* one of several functions */
        le32_store(f->fake->config + 0x30, 0xfff00001);     /* a ROM */
        le32_store(f->fake->config + PCI_BAR0, 0xfebf000c); /* where the host has it */
        vfio_guest_add(f);
        assert_int_equal(get(f, 0, 4), 0x00101b36);
        assert_int_equal(get(f, PCI_REVISION, 4), 0x01080202);
        assert_int_equal(get(f, PCI_SUBSYSTEM_VENDOR_ID, 4), 0x11001af4);
        assert_int_equal(get(f, PCI_HEADER_TYPE, 1), 0);
        assert_int_equal(get(f, PCI_INTERRUPT_PIN, 1), 1);
        assert_int_equal(get(f, PCI_INTERRUPT_LINE, 1), pci_slot_gsi(SLOT));
        assert_int_equal(get(f, 0x30, 4), 0);
        set(f, 0x30, 4, UINT32_MAX);
        assert_int_equal(get(f, 0x30, 4), 0);
        set(f, PCI_BAR0, 4, UINT32_MAX);
        set(f, PCI_BAR0 + 4, 4, UINT32_MAX);
        assert_int_equal(get(f, PCI_BAR0, 4), 0xffffc00c);
        assert_int_equal(get(f, PCI_BAR0 + 4, 4), UINT32_MAX);
        set(f, PCI_BAR0 + 16, 4, UINT32_MAX);
        assert_int_equal(get(f, PCI_BAR0 + 16, 4), 0xffffffe1);
        set(f, 0, 4, 0);
        assert_int_equal(get(f, 0, 4), 0x00101b36);
        assert_int_equal(f->fake->n_resets, 1);
}

static void test_the_device_decodes_whatever_the_guest_says(void **state) {
        VfioGuest *f = *state;

        vfio_guest_add(f);
        assert_int_equal(le16_load(f->fake->config + PCI_COMMAND),
                         PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
        set(f, PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
        assert_int_equal(le16_load(f->fake->config + PCI_COMMAND),
                         PCI_COMMAND_MEMORY | PCI_COMMAND_IO | PCI_COMMAND_MASTER);
        assert_int_equal(get(f, PCI_COMMAND, 2), PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
        set(f, PCI_COMMAND, 2, 0);
        assert_int_equal(le16_load(f->fake->config + PCI_COMMAND),
                         PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
}

static void test_what_is_the_devices_goes_there_in_the_width_it_came(void **state) {
        VfioGuest *f = *state;

        vfio_guest_add(f);
        set(f, 0xb3, 1, 0x77);
        assert_int_equal(last_write(f)->region, VFIO_PCI_CONFIG_REGION_INDEX);
        assert_int_equal(last_write(f)->offset, 0xb3);
        assert_int_equal(last_write(f)->size, 1);
        f->fake->config[0xb3] = 0x12; /* it has its own mind */
        assert_int_equal(get(f, 0xb3, 1), 0x12);
        set(f, 0xb4, 4, 0xcafebabe);
        assert_int_equal(last_write(f)->size, 4);
        assert_int_equal(get(f, 0xb4, 4), 0xcafebabe);
        /* Errors are cleared by writing, and are not the status's lower half. */
        set(f, PCI_STATUS, 2, 0xffff);
        assert_int_equal(last_write(f)->offset, PCI_STATUS + 1);
        assert_int_equal(last_write(f)->size, 1);
        assert_int_equal(get(f, PCI_STATUS, 1), 0x10);
        /* The head of a capability stays what it was. */
        set(f, 0xb0, 4, 0);
        assert_int_equal(last_write(f)->offset, 0xb2);
        assert_int_equal(get(f, 0xb0, 2), 0x09);
}

static void test_the_guest_believes_that_it_powers_the_device_down(void **state) {
        VfioGuest *f = *state;

        vfio_guest_add(f);
        assert_int_equal(get(f, 0x44, 1) & 3, 0);
        set(f, 0x44, 2, 0x8103);
        assert_int_equal(get(f, 0x44, 2), 0x0003);
        assert_int_equal(f->fake->config[0x44], 0x03);
        assert_int_equal(f->fake->config[0x45], 0x00);
}

static void test_an_endpoint_is_one_of_the_root_complex(void **state) {
        VfioGuest *f = *state;

        vfio_guest_add(f);
        assert_int_equal(get(f, 0x62, 1), 0x92);
}

/* The offsets of the guest's list, in order; ends at @max. */
static unsigned walk(const VfioGuest *f, unsigned *at, unsigned max) {
        unsigned n = 0;

        if (!(get(f, PCI_STATUS, 2) & PCI_STATUS_CAPABILITIES))
                return 0;
        for (unsigned p = get(f, PCI_CAPABILITIES, 1); p != 0 && n < max; p = get(f, p + 1, 1))
                at[n++] = p;
        return n;
}

static void test_capabilities_stay_where_they_are(void **state) {
        static const unsigned expected[] = {0x40, 0x48, 0x60, 0xa0, 0xb0};
        VfioGuest *f = *state;
        unsigned at[10];

        vfio_guest_add(f);
        assert_int_equal(walk(f, at, ELEMENTSOF(at)), ELEMENTSOF(expected));
        assert_memory_equal(at, expected, sizeof(expected));
        set(f, PCI_CAPABILITIES, 1, 0x60);
        assert_int_equal(get(f, PCI_CAPABILITIES, 1), 0x40);
}

static void test_a_list_that_bites_its_tail_ends(void **state) {
        VfioGuest *f = *state;
        unsigned at[100];

        f->fake->config[0xb1] = 0x60;
        vfio_guest_add(f);
        assert_int_equal(walk(f, at, ELEMENTSOF(at)), 5);
}

static void test_a_list_that_leads_into_the_header_ends(void **state) {
        VfioGuest *f = *state;
        unsigned at[100];

        f->fake->config[0x49] = 0x10;
        vfio_guest_add(f);
        assert_int_equal(walk(f, at, ELEMENTSOF(at)), 2);
}

static void test_what_the_guest_must_not_have_is_out_of_the_list(void **state) {
        VfioGuest *f = *state;
        unsigned at[10];

        f->fake->config[0x60] = 0x14;                /* enhanced allocation */
        f->fake->n_irqs[VFIO_PCI_MSI_IRQ_INDEX] = 0; /* the kernel cannot do them */
        le32_store(f->fake->config + 0xa4, 0x4000);  /* a table behind the BAR's end */
        vfio_guest_add(f);
        assert_int_equal(walk(f, at, ELEMENTSOF(at)), 2);
        assert_int_equal(at[0], 0x40);
        assert_int_equal(at[1], 0xb0);
}

static void test_no_capability_at_all_is_no_list(void **state) {
        VfioGuest *f = *state;
        unsigned at[10];

        f->fake->config[PCI_STATUS] = 0;
        vfio_guest_add(f);
        assert_int_equal(walk(f, at, ELEMENTSOF(at)), 0);
        assert_int_equal(get(f, PCI_CAPABILITIES, 1), 0);
}

static void test_capabilities_at_the_end_are_cut_or_left_out(void **state) {
        static const uint8_t ids[] = {0x01, 0x05, 0x10, 0x11, 0x09};

        for (size_t i = 0; i < ELEMENTSOF(ids); i++) {
                _cleanup_(text_error_deinit) TextError why = {0};
                void *fixture;
                VfioGuest *f;

                (void) vfio_guest_setup(&fixture);
                f = fixture;
                f->fake->config[PCI_CAPABILITIES] = 0xfc;
                f->fake->config[0xfc] = ids[i];
                f->fake->config[0xfd] = 0;
                le16_store(f->fake->config + 0xfe, 0xffff);
                assert_int_equal(vfio_guest_try_add(f, &why), 0);
                set(f, 0xfc, 4, 0);
                (void) get(f, 0xfc, 4);
                (void) vfio_guest_teardown(&fixture);
        }
}

static void test_bridges_and_the_dead_are_refused(void **state) {
        VfioGuest *f = *state;

        f->fake->config[PCI_HEADER_TYPE] = 1;
        must_refuse(f, -EOPNOTSUPP, "a bridge");
        memset(f->fake->config, 0xff, sizeof(f->fake->config));
        must_refuse(f, -EIO, "does not answer");
}

static void test_bars_that_cannot_be_are_refused(void **state) {
        static const struct {
                unsigned bar;
                uint64_t size;
                uint8_t type;
        } bars[] = {
                {0, 0x3000, 0x04},            /* no power of two */
                {0, 8, 0x04},                 /* too small for memory */
                {5, 0x1000, 0x04},            /* 64 bits in the last */
                {3, 0x1000, 0x04},            /* over the next */
                {4, 0x200, 0x01},             /* too many ports */
                {0, UINT64_C(1) << 39, 0x04}, /* more than the window */
        };

        for (size_t i = 0; i < ELEMENTSOF(bars); i++) {
                void *fixture;
                VfioGuest *f;

                (void) vfio_guest_setup(&fixture);
                f = fixture;
                f->fake->bar_flags = VFIO_REGION_INFO_FLAG_READ;
                f->fake->bar_sizes[bars[i].bar] = bars[i].size;
                f->fake->config[PCI_BAR0 + 4 * bars[i].bar] = bars[i].type;
                must_refuse(f, i + 1 == ELEMENTSOF(bars) ? -ENOSPC : -EPROTO,
                            i + 1 == ELEMENTSOF(bars) ? "does not fit" : "makes no sense");
                (void) vfio_guest_teardown(&fixture);
        }
}

static void test_numbers_of_the_kernel_that_wrap_are_refused(void **state) {
        VfioGuest *f = *state;

        f->fake->offset_base = INT64_MAX - 0x1000;
        must_refuse(f, -EPROTO, "not a PCI function of VFIO's");
        f->fake->offset_base = 0;
        f->fake->device_flags = VFIO_DEVICE_FLAGS_PLATFORM;
        must_refuse(f, -ENODEV, "not a PCI function of VFIO's");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, vfio_guest_setup, vfio_guest_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                CASE(test_the_header_is_the_devices_with_our_bars_and_our_wire),
                CASE(test_the_device_decodes_whatever_the_guest_says),
                CASE(test_what_is_the_devices_goes_there_in_the_width_it_came),
                CASE(test_the_guest_believes_that_it_powers_the_device_down),
                CASE(test_an_endpoint_is_one_of_the_root_complex),
                CASE(test_capabilities_stay_where_they_are),
                CASE(test_a_list_that_bites_its_tail_ends),
                CASE(test_a_list_that_leads_into_the_header_ends),
                CASE(test_what_the_guest_must_not_have_is_out_of_the_list),
                CASE(test_no_capability_at_all_is_no_list),
                cmocka_unit_test(test_capabilities_at_the_end_are_cut_or_left_out),
                CASE(test_bridges_and_the_dead_are_refused),
                cmocka_unit_test(test_bars_that_cannot_be_are_refused),
                CASE(test_numbers_of_the_kernel_that_wrap_are_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
