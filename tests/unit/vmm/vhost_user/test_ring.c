/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/le.h"
#include "vmm/vhost_user/ring.h"

#define MEM_BYTES (UINT64_C(1) << 20)

typedef struct Fixture {
        GuestMem *mem;
        uint8_t *shared;
        VhostRing ring;
} Fixture;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        assert_int_equal(guest_mem_new(MEM_BYTES, &f->mem), 0);
        f->shared = aligned_alloc(4096, VHOST_RING_BYTES);
        assert_non_null(f->shared);
        for (size_t i = 0; i < VHOST_RING_BYTES; i++)
                f->shared[i] = 0;
        vhost_ring_init(&f->ring, f->shared, VHOST_USER_RING_SIZE, f->mem);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        guest_mem_free(f->mem);
        free(f->shared);
        free(f);
        return 0;
}

static struct iovec part(Fixture *f, gpa_t gpa, size_t len) {
        return (struct iovec){.iov_base = guest_mem_ptr(f->mem, gpa, len), .iov_len = len};
}

/* What the process would write into the used ring as its entry @n. */
static void use(Fixture *f, uint16_t n, uint32_t head, uint32_t written) {
        uint8_t *entry = f->shared + VHOST_RING_USED + 4 + 8 * (n % VHOST_USER_RING_SIZE);

        le32_store(entry, head);
        le32_store(entry + 4, written);
        le16_store(f->shared + VHOST_RING_USED + 2, (uint16_t) (n + 1));
}

static uint16_t head_of(Fixture *f, uint16_t n) {
        return le16_load(f->shared + VHOST_RING_AVAIL + 4 + 2 * (n % VHOST_USER_RING_SIZE));
}

static void test_a_request_is_described_by_guest_addresses(void **state) {
        Fixture *f = *state;
        struct iovec iov[] = {part(f, 0x1000, 40), part(f, 0x2000, 16), part(f, 0x3000, 100)};
        const uint8_t *desc = f->shared;
        VhostUserDone done;

        assert_int_equal(vhost_ring_add(&f->ring, 7, iov, 1, 2), 0);
        assert_int_equal(le16_load(f->shared + VHOST_RING_AVAIL + 2), 1);
        assert_int_equal(head_of(f, 0), 0);
        assert_int_equal(le64_load(desc), 0x1000);
        assert_int_equal(le32_load(desc + 8), 40);
        assert_int_equal(le16_load(desc + 12), 1);
        assert_int_equal(le64_load(desc + 32), 0x3000);
        assert_int_equal(le16_load(desc + 16 + 12), 3);
        assert_int_equal(le16_load(desc + 32 + 12), 2);
        assert_int_equal(vhost_ring_take(&f->ring, &done), VHOST_USER_E_NONE);
        use(f, 0, 0, 116);
        assert_int_equal(vhost_ring_take(&f->ring, &done), 0);
        assert_int_equal(done.tag, 7);
        assert_int_equal(done.written, 116);
        assert_int_equal(vhost_ring_take(&f->ring, &done), VHOST_USER_E_NONE);
}

static void test_claims_that_cannot_be_are_found_out(void **state) {
        static const struct {
                uint32_t head, written;
        } claims[] = {{1, 0}, {VHOST_USER_RING_SIZE, 0}, {UINT32_MAX, 0}, {0, 17}, {0, UINT32_MAX}};

        for (size_t i = 0; i < ELEMENTSOF(claims); i++) {
                void *fresh;
                Fixture *f;
                struct iovec iov;
                VhostUserDone done;

                setup(&fresh);
                f = fresh;
                iov = part(f, 0x1000, 16);
                assert_int_equal(vhost_ring_add(&f->ring, 1, &iov, 0, 1), 0);
                use(f, 0, claims[i].head, claims[i].written);
                assert_int_equal(vhost_ring_take(&f->ring, &done), -EPROTO);
                teardown(&fresh);
        }
}

static void test_the_same_request_cannot_end_twice(void **state) {
        Fixture *f = *state;
        struct iovec iov = part(f, 0x1000, 16);
        VhostUserDone done;

        assert_int_equal(vhost_ring_add(&f->ring, 1, &iov, 0, 1), 0);
        use(f, 0, 0, 0);
        use(f, 1, 0, 0);
        assert_int_equal(vhost_ring_take(&f->ring, &done), 0);
        assert_int_equal(vhost_ring_take(&f->ring, &done), -EPROTO);
}

/* In an order of their own, for longer than the indices last. */
static void test_descriptors_come_back_and_are_used_again(void **state) {
        Fixture *f = *state;
        struct iovec iov[256];
        uint16_t ended = 0;

        for (unsigned i = 0; i < 256; i++)
                iov[i] = part(f, 0x1000 * (gpa_t) (i % 200), 100);
        for (unsigned round = 0; round < 30000; round++) {
                VhostUserDone done;

                for (uint16_t i = 0; i < 4; i++)
                        assert_int_equal(vhost_ring_add(&f->ring, i, iov, 200, 56), 0);
                assert_int_equal(vhost_ring_add(&f->ring, 9, iov, 1, 0), VHOST_USER_E_FULL);
                for (uint16_t i = 0; i < 4; i++) {
                        uint16_t order = (uint16_t) ((i + round) % 4);

                        use(f, ended++, head_of(f, (uint16_t) (4 * round + order)), 5600);
                        assert_int_equal(vhost_ring_take(&f->ring, &done), 0);
                        assert_int_equal(done.tag, order);
                }
        }
        assert_int_equal(vhost_ring_add(&f->ring, 0, iov, 0, 0), -EINVAL);
}

static void test_a_ring_begins_anew_with_what_has_not_ended(void **state) {
        Fixture *f = *state;
        struct iovec iov = part(f, 0x1000, 40);
        uint16_t heads[4];
        VhostUserDone done;

        for (uint16_t i = 0; i < 4; i++) {
                assert_int_equal(vhost_ring_add(&f->ring, (uint16_t) (10 + i), &iov, 0, 1), 0);
                heads[i] = head_of(f, i);
        }
        use(f, 0, heads[1], 1);
        assert_int_equal(vhost_ring_take(&f->ring, &done), 0);
        /* Its descriptor is used again: then it is the youngest. */
        assert_int_equal(vhost_ring_add(&f->ring, 14, &iov, 0, 1), 0);
        assert_int_equal(head_of(f, 4), heads[1]);
        vhost_ring_rewind(&f->ring);
        assert_int_equal(le16_load(f->shared + VHOST_RING_AVAIL + 2), 4);
        assert_int_equal(head_of(f, 0), heads[0]);
        assert_int_equal(head_of(f, 1), heads[2]);
        assert_int_equal(head_of(f, 2), heads[3]);
        assert_int_equal(head_of(f, 3), heads[1]);
        assert_int_equal(vhost_ring_take(&f->ring, &done), VHOST_USER_E_NONE);
        use(f, 0, heads[2], 40);
        assert_int_equal(vhost_ring_take(&f->ring, &done), 0);
        assert_int_equal(done.tag, 12);
}

static void test_a_smaller_ring_wraps_and_takes_no_more_than_its_size(void **state) {
        Fixture *f = *state;
        struct iovec iov[17];
        VhostUserDone done;

        for (unsigned i = 0; i < 17; i++)
                iov[i] = part(f, 0x1000, 40);
        vhost_ring_init(&f->ring, f->shared, 16, f->mem);
        assert_int_equal(vhost_ring_add(&f->ring, 0, iov, 17, 0), -EINVAL);
        for (uint16_t i = 0; i < 40; i++) {
                assert_int_equal(vhost_ring_add(&f->ring, i, iov, 16, 0), 0);
                assert_int_equal(vhost_ring_add(&f->ring, i, iov, 1, 0), VHOST_USER_E_FULL);
                le32_store(f->shared + VHOST_RING_USED + 4 + 8 * (i % 16),
                           le16_load(f->shared + VHOST_RING_AVAIL + 4 + 2 * (i % 16)));
                le16_store(f->shared + VHOST_RING_USED + 2, (uint16_t) (i + 1));
                assert_int_equal(vhost_ring_take(&f->ring, &done), 0);
                assert_int_equal(done.tag, i);
        }
        le32_store(f->shared + VHOST_RING_USED + 4 + 8 * (40 % 16), 16);
        le16_store(f->shared + VHOST_RING_USED + 2, 41);
        assert_int_equal(vhost_ring_take(&f->ring, &done), -EPROTO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_a_request_is_described_by_guest_addresses),
                TEST(test_claims_that_cannot_be_are_found_out),
                TEST(test_the_same_request_cannot_end_twice),
                TEST(test_descriptors_come_back_and_are_used_again),
                TEST(test_a_ring_begins_anew_with_what_has_not_ended),
                TEST(test_a_smaller_ring_wraps_and_takes_no_more_than_its_size),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
