/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "tests/fake/vmm_virtio_driver.h"
#include "vmm/virtio/devices.h"

/* A device that answers each request at once, or keeps its reset pending until it is told. */
typedef struct EchoDevice {
        VirtioDevice dev;
        uint8_t config[6];
        unsigned n_resets;
        bool slow_reset;
} EchoDevice;

#define ECHO_FEATURE (UINT64_C(1) << 3)
#define SLOT 3u

static void echo_handle(VirtioDevice *dev, unsigned queue, const VirtqChain *chain) {
        virtq_push(dev->queues + queue, chain->head, chain->in_bytes);
}

static void echo_notify(VirtioDevice *dev, unsigned queue) {
        virtio_device_drain(dev, queue, echo_handle);
}

static int echo_reset(VirtioDevice *dev) {
        EchoDevice *echo = (EchoDevice *) dev;

        echo->n_resets++;
        return echo->slow_reset ? VIRTIO_E_PENDING : 0;
}

static VirtioDevice *echo_free(VirtioDevice *dev) {
        free(dev);
        return NULL;
}

static const VirtioOps echo_ops = {
        .name = "echo",
        .type = VIRTIO_TYPE_RNG,
        .notify = echo_notify,
        .reset = echo_reset,
        .free = echo_free,
};

typedef struct Fixture {
        FakeBoard *board;
        FakeDriver driver;
        EchoDevice *echo;
} Fixture;

static Fixture *fixture_new(unsigned flags) {
        Fixture *f = calloc(1, sizeof(*f));
        VirtioPciConfig config;

        assert_non_null(f);
        f->board = fake_board_new(flags);
        f->echo = calloc(1, sizeof(*f->echo));
        assert_non_null(f->echo);
        f->echo->dev.ops = &echo_ops;
        f->echo->dev.offered = ECHO_FEATURE;
        memcpy(f->echo->config, "abcdef", 6);
        f->echo->dev.config = f->echo->config;
        f->echo->dev.config_len = 6;
        f->echo->dev.n_queues = 2;
        f->echo->dev.queue_size_max[0] = 16;
        f->echo->dev.queue_size_max[1] = 64;
        config = (VirtioPciConfig){.root = f->board->root,
                                   .slot = SLOT,
                                   .partition = &f->board->partition,
                                   .mem = f->board->mem,
                                   .loop = f->board->loop};
        assert_int_equal(virtio_pci_new(&f->echo->dev, &config), 0);
        fake_driver_probe(&f->driver, f->board, SLOT);
        fake_board_run(f->board);
        return f;
}

static void fixture_free(Fixture **f) {
        fake_board_free((*f)->board);
        free(*f);
}

static void echo_once(Fixture *f, unsigned queue) {
        FakeBuffer buffer = {.gpa = fake_alloc(f->board, 64), .len = 64, .in = true};
        uint16_t head = fake_queue_add(f->driver.queues + queue, &buffer, 1), got;
        uint32_t len;

        fake_queue_kick(f->driver.queues + queue);
        assert_true(fake_queue_wait(f->driver.queues + queue, &got, &len));
        assert_int_equal(got, head);
        assert_int_equal(len, 64);
}

/* The interrupt follows the request. */
static void expect_interrupt(Fixture *f, unsigned queue, bool msix) {
        if (msix) {
                assert_true(fake_wait_msi(f->board, 1 + queue, 1));
                assert_int_equal(fake_msi_count(f->board, 0), 0);
                assert_int_equal(f->board->n_edges, 0);
                return;
        }
        assert_true(fake_wait_wire(f->board, SLOT, true));
        assert_int_equal(fake_read(&f->driver, f->driver.isr, 1), 1);
        assert_true(fake_wait_wire(f->board, SLOT, false));
        assert_int_equal(fake_read(&f->driver, f->driver.isr, 1), 0);
}

static void run_with(unsigned flags, bool msix) {
        _cleanup_(fixture_free) Fixture *f = fixture_new(flags);

        fake_driver_start(&f->driver, ECHO_FEATURE, 2, msix);
        assert_int_equal(f->driver.offered, ECHO_FEATURE | VIRTIO_F_VERSION_1 |
                                                    VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX);
        for (unsigned queue = 0; queue < 2; queue++) {
                echo_once(f, queue);
                expect_interrupt(f, queue, msix);
        }
}

static void test_requests_run_with_every_kind_of_kick_and_interrupt(void **state) {
        for (unsigned flags = 0; flags <= (FAKE_ROUTES | FAKE_DOORBELLS); flags++) {
                run_with(flags, false);
                run_with(flags, true);
        }
}

static void test_impossible_features_are_not_agreed_to(void **state) {
        _cleanup_(fixture_free) Fixture *f = fixture_new(0);
        static const uint64_t impossible[] = {
                0,
                ECHO_FEATURE, /* without VERSION_1 */
                VIRTIO_F_VERSION_1 | UINT64_C(1) << 40,
                UINT64_MAX,
        };

        for (size_t i = 0; i < ELEMENTSOF(impossible); i++) {
                fake_driver_negotiate(&f->driver, impossible[i]);
                assert_false(fake_driver_status(&f->driver) & VIRTIO_STATUS_FEATURES_OK);
        }
        /* Without agreement there is no DRIVER_OK either. */
        fake_write(&f->driver, f->driver.common + 0x14, 1, 0x0f);
        assert_int_equal(fake_driver_status(&f->driver) & VIRTIO_STATUS_DRIVER_OK, 0);
        fake_driver_negotiate(&f->driver, VIRTIO_F_VERSION_1);
        assert_true(fake_driver_status(&f->driver) & VIRTIO_STATUS_FEATURES_OK);
        /* Final now. */
        fake_write(&f->driver, f->driver.common + 0x0c, 4, 0);
        assert_int_equal(fake_read(&f->driver, f->driver.common + 0x0c, 4), 1);
}

static void test_reset_forgets_everything(void **state) {
        _cleanup_(fixture_free) Fixture *f = fixture_new(FAKE_DOORBELLS);

        fake_driver_start(&f->driver, VIRTIO_F_EVENT_IDX, 2, true);
        echo_once(f, 0);
        fake_write(&f->driver, f->driver.common + 0x14, 1, 0);
        assert_int_equal(fake_driver_status(&f->driver), 0);
        fake_write(&f->driver, f->driver.common + 0x16, 2, 1);
        assert_int_equal(fake_read(&f->driver, f->driver.common + 0x1c, 2), 0);
        assert_int_equal(fake_read(&f->driver, f->driver.common + 0x1a, 2), 0xffff);
        assert_int_equal(fake_read(&f->driver, f->driver.common + 0x10, 2), 0xffff);
        assert_int_equal(fake_read(&f->driver, f->driver.common + 0x20, 4), 0);
        assert_int_equal(fake_read(&f->driver, f->driver.common + 0x0c, 4), 0);
        assert_int_equal(f->echo->n_resets, 1);
        fake_driver_start(&f->driver, 0, 2, true);
        echo_once(f, 1);
}

static void test_status_stays_until_a_pending_reset_ends(void **state) {
        _cleanup_(fixture_free) Fixture *f = fixture_new(0);

        f->echo->slow_reset = true;
        fake_driver_start(&f->driver, 0, 1, true);
        fake_write(&f->driver, f->driver.common + 0x14, 1, 0);
        assert_int_not_equal(fake_driver_status(&f->driver), 0);
        /* Meanwhile nothing can be changed, and no request is taken. */
        fake_write(&f->driver, f->driver.common + 0x10, 2, 1);
        fake_write(&f->driver, f->driver.common + 0x14, 1, 0);
        assert_int_equal(f->echo->n_resets, 1);
        virtio_device_lock(&f->echo->dev);
        virtio_device_reset_done(&f->echo->dev);
        virtio_device_unlock(&f->echo->dev);
        assert_int_equal(fake_driver_status(&f->driver), 0);
        assert_int_equal(fake_read(&f->driver, f->driver.common + 0x10, 2), 0xffff);
}

static void test_a_reset_that_reads_as_done_ends_no_later(void **state) {
        _cleanup_(fixture_free) Fixture *f = fixture_new(0);
        const uint64_t status = f->driver.common + 0x14;

        f->echo->slow_reset = true;
        fake_write(&f->driver, status, 1, 0); /* as after power-on: there is nothing to wait for */
        assert_int_equal(fake_read(&f->driver, status, 1), 0);
        assert_int_equal(f->echo->n_resets, 0);
        fake_write(&f->driver, status, 1, VIRTIO_STATUS_ACKNOWLEDGE);
        assert_int_equal(fake_read(&f->driver, status, 1), VIRTIO_STATUS_ACKNOWLEDGE);
}

static void test_a_broken_ring_asks_for_a_reset(void **state) {
        _cleanup_(fixture_free) Fixture *f = fixture_new(0);

        fake_driver_start(&f->driver, 0, 2, true);
        fake_queue_publish(f->driver.queues, 9999);
        fake_queue_kick(f->driver.queues);
        assert_true(fake_driver_wait_status(&f->driver, VIRTIO_STATUS_NEEDS_RESET,
                                            VIRTIO_STATUS_NEEDS_RESET));
        assert_true(fake_wait_msi(f->board, 0, 1)); /* configuration interrupt */
        fake_write(&f->driver, f->driver.common + 0x14, 1, 0);
        assert_int_equal(fake_driver_status(&f->driver), 0);
        fake_driver_start(&f->driver, 0, 2, true);
        echo_once(f, 0);
}

static void test_bad_queue_settings_ask_for_a_reset(void **state) {
        static const struct {
                uint64_t reg;
                unsigned size;
                uint64_t value;
        } table[] = {
                {0x18, 2, 0},
                {0x18, 2, 3},
                {0x18, 2, 32}, /* more than offered */
                {0x20, 8, 8},  /* misaligned descriptors */
                {0x28, 8, UINT64_MAX - 1},
                {0x30, 8, UINT64_C(1) << 40},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(fixture_free) Fixture *f = fixture_new(0);

                fake_driver_negotiate(&f->driver, VIRTIO_F_VERSION_1);
                fake_write(&f->driver, f->driver.common + table[i].reg, table[i].size,
                           table[i].value);
                fake_write(&f->driver, f->driver.common + 0x1c, 2, 1);
                assert_true(fake_driver_status(&f->driver) & VIRTIO_STATUS_NEEDS_RESET);
        }
}

static void test_a_packed_queue_may_have_any_size(void **state) {
        _cleanup_(fixture_free) Fixture *f = fixture_new(0);
        const uint64_t common = f->driver.common;

        f->echo->dev.offered |= VIRTIO_F_RING_PACKED;
        fake_driver_negotiate(&f->driver, VIRTIO_F_VERSION_1 | VIRTIO_F_RING_PACKED);
        fake_write(&f->driver, common + 0x18, 2, 3);
        fake_driver_setup_queue(&f->driver, 0);
        assert_int_equal(f->driver.queues[0].size, 3);
        fake_write(&f->driver, common + 0x14, 1, 0xf);
        for (unsigned i = 0; i < 20; i++)
                echo_once(f, 0);
        assert_false(fake_driver_status(&f->driver) & VIRTIO_STATUS_NEEDS_RESET);
}

static void test_registers_answer_only_to_their_width(void **state) {
        _cleanup_(fixture_free) Fixture *f = fixture_new(0);
        uint64_t common = f->driver.common;

        assert_int_equal(fake_read(&f->driver, common + 0x12, 2), 2);
        assert_int_equal(fake_read(&f->driver, common + 0x12, 1), 0);
        assert_int_equal(fake_read(&f->driver, common + 0x12, 4), 0);
        assert_int_equal(fake_read(&f->driver, common + 0x13, 1), 0);
        fake_write(&f->driver, common + 0x14, 4, 0xff);
        assert_int_equal(fake_driver_status(&f->driver), 0);
        fake_write(&f->driver, common + 0x20, 8, UINT64_C(0x1234567890));
        assert_int_equal(fake_read(&f->driver, common + 0x24, 4), 0x12);
        assert_int_equal(fake_read(&f->driver, common + 0x20, 8), UINT64_C(0x1234567890));
        /* A queue that does not exist has no size. */
        fake_write(&f->driver, common + 0x16, 2, 2);
        assert_int_equal(fake_read(&f->driver, common + 0x18, 2), 0);
        fake_write(&f->driver, common + 0x18, 2, 1);
        fake_write(&f->driver, common + 0x1c, 2, 1);
        assert_int_equal(fake_driver_status(&f->driver), 0);
        /* Vectors that do not exist are refused. */
        fake_write(&f->driver, common + 0x10, 2, 3);
        assert_int_equal(fake_read(&f->driver, common + 0x10, 2), 0xffff);
        fake_write(&f->driver, common + 0x10, 2, 2);
        assert_int_equal(fake_read(&f->driver, common + 0x10, 2), 2);
}

static void test_device_configuration_reads_in_any_width(void **state) {
        _cleanup_(fixture_free) Fixture *f = fixture_new(0);

        assert_int_equal(fake_read(&f->driver, f->driver.device, 4), 0x64636261);
        assert_int_equal(fake_read(&f->driver, f->driver.device + 5, 1), 'f');
        assert_int_equal(fake_read(&f->driver, f->driver.device + 4, 8), 0x6665);
        assert_int_equal(fake_read(&f->driver, f->driver.device + 0xff8, 8), 0);
}

static void test_a_changed_configuration_interrupts_and_has_a_new_generation(void **state) {
        _cleanup_(fixture_free) Fixture *f = fixture_new(0);
        uint64_t before = fake_read(&f->driver, f->driver.common + 0x15, 1);

        fake_driver_start(&f->driver, 0, 1, false);
        virtio_device_lock(&f->echo->dev);
        virtio_device_config_changed(&f->echo->dev);
        virtio_device_unlock(&f->echo->dev);
        assert_int_equal(fake_read(&f->driver, f->driver.common + 0x15, 1), before + 1);
        assert_true(fake_wait_wire(f->board, SLOT, true));
        assert_int_equal(fake_read(&f->driver, f->driver.isr, 1), 2);
}

static void test_doorbells_follow_the_bar(void **state) {
        _cleanup_(fixture_free) Fixture *f = fixture_new(FAKE_DOORBELLS);
        uint64_t moved = FAKE_MEM64_BASE + 0x100000;

        assert_true(f->board->bells[0].used);
        fake_config_write(f->board, SLOT, PCI_COMMAND, 2, 0);
        for (unsigned i = 0; i < FAKE_BELLS_MAX; i++)
                assert_false(f->board->bells[i].used);
        fake_config_write(f->board, SLOT, PCI_BAR0, 4, (uint32_t) moved);
        fake_config_write(f->board, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
        assert_int_equal(f->board->bells[0].bell.address, moved + 0x3000);
        assert_int_equal(f->board->bells[1].bell.address, moved + 0x3004);
        fake_driver_probe(&f->driver, f->board, SLOT);
        assert_int_equal(f->driver.bar, moved);
        fake_driver_start(&f->driver, 0, 2, true);
        echo_once(f, 1);
}

static unsigned find_pci_cfg(FakeBoard *board) {
        unsigned capability = fake_config_read(board, SLOT, PCI_CAPABILITIES, 1);

        while (capability && (fake_config_read(board, SLOT, capability, 1) != 9 ||
                              fake_config_read(board, SLOT, capability + 3, 1) != 5))
                capability = fake_config_read(board, SLOT, capability + 1, 1);
        return capability;
}

static void test_configuration_space_is_a_window_on_the_registers(void **state) {
        _cleanup_(fixture_free) Fixture *f = fixture_new(0);
        unsigned capability = find_pci_cfg(f->board);

        assert_int_not_equal(capability, 0);
        fake_config_write(f->board, SLOT, capability + 8, 4, 0x12);
        fake_config_write(f->board, SLOT, capability + 12, 4, 2);
        assert_int_equal(fake_config_read(f->board, SLOT, capability + 16, 4), 2);
        fake_config_write(f->board, SLOT, capability + 8, 4, 0x14);
        fake_config_write(f->board, SLOT, capability + 12, 4, 1);
        fake_config_write(f->board, SLOT, capability + 16, 4, 0xabcdef01);
        assert_int_equal(fake_driver_status(&f->driver), 1);
        /* Windows that make no sense. */
        fake_config_write(f->board, SLOT, capability + 12, 4, 3);
        fake_config_write(f->board, SLOT, capability + 16, 4, 0);
        fake_config_write(f->board, SLOT, capability + 12, 4, 4);
        fake_config_write(f->board, SLOT, capability + 8, 4, 0x8000);
        fake_config_write(f->board, SLOT, capability + 16, 4, 0);
        fake_config_write(f->board, SLOT, capability + 8, 4, 0xfffffffc);
        (void) fake_config_read(f->board, SLOT, capability + 16, 4);
        assert_int_equal(fake_driver_status(&f->driver), 1);
}

static void test_a_flood_of_kicks_does_not_starve_the_other_queue(void **state) {
        _cleanup_(fixture_free) Fixture *f = fixture_new(FAKE_DOORBELLS);

        fake_driver_start(&f->driver, 0, 2, true);
        for (unsigned i = 0; i < 10000; i++)
                fake_queue_kick(f->driver.queues);
        echo_once(f, 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_requests_run_with_every_kind_of_kick_and_interrupt),
                cmocka_unit_test(test_impossible_features_are_not_agreed_to),
                cmocka_unit_test(test_reset_forgets_everything),
                cmocka_unit_test(test_status_stays_until_a_pending_reset_ends),
                cmocka_unit_test(test_a_reset_that_reads_as_done_ends_no_later),
                cmocka_unit_test(test_a_broken_ring_asks_for_a_reset),
                cmocka_unit_test(test_bad_queue_settings_ask_for_a_reset),
                cmocka_unit_test(test_a_packed_queue_may_have_any_size),
                cmocka_unit_test(test_registers_answer_only_to_their_width),
                cmocka_unit_test(test_device_configuration_reads_in_any_width),
                cmocka_unit_test(test_a_changed_configuration_interrupts_and_has_a_new_generation),
                cmocka_unit_test(test_doorbells_follow_the_bar),
                cmocka_unit_test(test_configuration_space_is_a_window_on_the_registers),
                cmocka_unit_test(test_a_flood_of_kicks_does_not_starve_the_other_queue),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
