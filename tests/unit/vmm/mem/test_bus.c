/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>

#include "vmm/mem/bus.h"

typedef struct FakeDevice {
        uint64_t answer;
        uint64_t last_offset, last_value;
        unsigned last_size, n_reads, n_writes;
        pthread_mutex_t *lock;
        bool lock_was_held;
} FakeDevice;

static void fake_note(FakeDevice *device, uint64_t offset, unsigned size) {
        device->last_offset = offset;
        device->last_size = size;
        if (device->lock) {
                device->lock_was_held = pthread_mutex_trylock(device->lock) == EBUSY;
                if (!device->lock_was_held)
                        pthread_mutex_unlock(device->lock);
        }
}

static uint64_t fake_read(void *userdata, uint64_t offset, unsigned size) {
        FakeDevice *device = userdata;

        fake_note(device, offset, size);
        device->n_reads++;
        return device->answer;
}

static void fake_write(void *userdata, uint64_t offset, unsigned size, uint64_t value) {
        FakeDevice *device = userdata;

        fake_note(device, offset, size);
        device->n_writes++;
        device->last_value = value;
}

static const BusOps fake_ops = {.name = "fake", .read = fake_read, .write = fake_write};

static void test_an_access_reaches_the_device_with_its_offset(void **state) {
        _cleanup_(bus_freep) Bus *bus = NULL;
        FakeDevice a = {.answer = 0x1122334455667788}, b = {.answer = 0xbb};

        assert_int_equal(bus_new("test", &bus), 0);
        assert_int_equal(bus_add(bus, 0x2000, 0x100, &fake_ops, &b, NULL), 0);
        assert_int_equal(bus_add(bus, 0x1000, 0x100, &fake_ops, &a, NULL), 0);
        assert_true(bus_read(bus, 0x10f8, 8) == 0x1122334455667788);
        assert_int_equal(a.last_offset, 0xf8);
        assert_int_equal(bus_read(bus, 0x1002, 2), 0x7788);
        bus_write(bus, 0x2004, 4, 0xaabbccdd11223344);
        assert_int_equal(b.last_offset, 4);
        assert_int_equal(b.last_value, 0x11223344);
        assert_int_equal(b.last_size, 4);
}

static void test_nobody_answers_with_all_ones(void **state) {
        _cleanup_(bus_freep) Bus *bus = NULL;
        FakeDevice a = {0};

        assert_int_equal(bus_new("test", &bus), 0);
        assert_true(bus_read(bus, 0, 8) == UINT64_MAX);
        assert_int_equal(bus_add(bus, 0x100, 1, &fake_ops, &a, NULL), 0);
        assert_int_equal(bus_read(bus, 0xff, 1), 0xff);
        assert_int_equal(bus_read(bus, 0x101, 2), 0xffff);
        bus_write(bus, 0x101, 4, 1);
        bus_write(bus, UINT64_MAX, 8, 1);
        assert_int_equal(a.n_reads + a.n_writes, 0);
}

static void test_the_smallest_region_that_holds_the_access_wins(void **state) {
        _cleanup_(bus_freep) Bus *bus = NULL;
        FakeDevice outer = {.answer = 0xeeeeeeee}, inner = {.answer = 0x77}, other = {0};

        assert_int_equal(bus_new("test", &bus), 0);
        assert_int_equal(bus_add(bus, 0xcf9, 1, &fake_ops, &inner, NULL), 0);
        assert_int_equal(bus_add(bus, 0xcf8, 4, &fake_ops, &outer, NULL), 0);
        assert_int_equal(bus_add(bus, 0xcfc, 4, &fake_ops, &other, NULL), 0);
        assert_int_equal(bus_read(bus, 0xcf8, 4), 0xeeeeeeee);
        assert_int_equal(bus_read(bus, 0xcf9, 1), 0x77);
        assert_int_equal(bus_read(bus, 0xcfa, 2), 0xeeee);
        assert_int_equal(outer.last_offset, 2);
        assert_int_equal(bus_read(bus, 0xcf9, 2), 0xeeee);
}

static void test_an_access_across_devices_is_split_into_bytes(void **state) {
        _cleanup_(bus_freep) Bus *bus = NULL;
        FakeDevice a = {.answer = 0x11}, b = {.answer = 0x22};

        assert_int_equal(bus_new("test", &bus), 0);
        assert_int_equal(bus_add(bus, 0x70, 1, &fake_ops, &a, NULL), 0);
        assert_int_equal(bus_add(bus, 0x71, 1, &fake_ops, &b, NULL), 0);
        assert_int_equal(bus_read(bus, 0x70, 2), 0x2211);
        assert_true(bus_read(bus, 0x70, 4) == 0xffff2211);
        bus_write(bus, 0x70, 2, 0xbbaa);
        assert_int_equal(a.last_value, 0xaa);
        assert_int_equal(b.last_value, 0xbb);
}

static void test_partial_overlaps_and_bad_ranges_are_refused(void **state) {
        _cleanup_(bus_freep) Bus *bus = NULL;
        FakeDevice a = {0};

        assert_int_equal(bus_new("test", &bus), 0);
        assert_int_equal(bus_add(bus, 0x100, 0x10, &fake_ops, &a, NULL), 0);
        assert_int_equal(bus_add(bus, 0x108, 0x10, &fake_ops, &a, NULL), -EEXIST);
        assert_int_equal(bus_add(bus, 0xf8, 0x10, &fake_ops, &a, NULL), -EEXIST);
        assert_int_equal(bus_add(bus, 0x100, 0x10, &fake_ops, &a, NULL), -EEXIST);
        assert_int_equal(bus_add(bus, 0x200, 0, &fake_ops, &a, NULL), -EINVAL);
        assert_int_equal(bus_add(bus, UINT64_MAX, 2, &fake_ops, &a, NULL), -EINVAL);
        assert_int_equal(bus_add(bus, 0x110, 0x10, &fake_ops, &a, NULL), 0);
}

static void test_the_table_has_a_limit(void **state) {
        _cleanup_(bus_freep) Bus *bus = NULL;
        FakeDevice a = {0};
        unsigned n = 0;

        assert_int_equal(bus_new("test", &bus), 0);
        while (n < 1000 && bus_add(bus, n * 16, 16, &fake_ops, &a, NULL) == 0)
                n++;
        assert_int_equal(n, 128);
        assert_int_equal(bus_add(bus, 1 << 20, 16, &fake_ops, &a, NULL), -ENOSPC);
        (void) bus_read(bus, 127 * 16 + 3, 1);
        assert_int_equal(a.last_offset, 3);
}

static void test_the_lock_is_held_around_the_device(void **state) {
        _cleanup_(bus_freep) Bus *bus = NULL;
        pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
        FakeDevice a = {.lock = &lock};

        assert_int_equal(bus_new("test", &bus), 0);
        assert_int_equal(bus_add(bus, 0, 16, &fake_ops, &a, &lock), 0);
        (void) bus_read(bus, 0, 1);
        assert_true(a.lock_was_held);
        a.lock_was_held = false;
        bus_write(bus, 0, 1, 0);
        assert_true(a.lock_was_held);
        assert_int_equal(pthread_mutex_trylock(&lock), 0);
        pthread_mutex_unlock(&lock);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_an_access_reaches_the_device_with_its_offset),
                cmocka_unit_test(test_nobody_answers_with_all_ones),
                cmocka_unit_test(test_the_smallest_region_that_holds_the_access_wins),
                cmocka_unit_test(test_an_access_across_devices_is_split_into_bytes),
                cmocka_unit_test(test_partial_overlaps_and_bad_ranges_are_refused),
                cmocka_unit_test(test_the_table_has_a_limit),
                cmocka_unit_test(test_the_lock_is_held_around_the_device),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
