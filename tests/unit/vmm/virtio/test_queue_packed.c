/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/le.h"
#include "vmm/mem/guest_mem.h"
#include "vmm/virtio/queue.h"

#define SIZE 6u /* a packed ring may be of any */
#define RING 0x1000u
#define DRIVER 0x2000u
#define DEVICE 0x3000u
#define TABLE 0x4000u
#define DATA 0x10000u
#define MEM_BYTES (UINT64_C(1) << 20)

#define NEXT 1u
#define WRITE 2u
#define INDIRECT 4u
#define AVAIL 0x80u
#define USED 0x8000u

#define ENABLE 0u
#define DISABLE 1u
#define ONE 2u /* descriptor to be told of */

/* The driver's half: what it offers next, and where it looks for the next used one. */
typedef struct Ring {
        GuestMem *mem;
        VirtQueue queue;
        VirtqChain chain;
        unsigned at, used_at;
        bool wrap, used_wrap;
} Ring;

static uint8_t *host(const Ring *ring, gpa_t gpa) {
        uint8_t *p = guest_mem_ptr(ring->mem, gpa, 1);

        assert_non_null(p);
        return p;
}

static void begin(Ring *ring, uint16_t size) {
        memset(ring->mem->base, 0, 0x8000);
        ring->at = ring->used_at = 0;
        ring->wrap = ring->used_wrap = true;
        virtq_reset(&ring->queue, size);
        ring->queue.desc_gpa = RING;
        ring->queue.avail_gpa = DRIVER;
        ring->queue.used_gpa = DEVICE;
}

static void enable(Ring *ring, uint64_t features) {
        assert_int_equal(virtq_enable(&ring->queue, ring->mem, VIRTIO_F_RING_PACKED | features), 0);
}

static int setup(void **state) {
        Ring *ring = calloc(1, sizeof(*ring));

        assert_non_null(ring);
        assert_int_equal(guest_mem_new(MEM_BYTES, &ring->mem), 0);
        begin(ring, SIZE);
        *state = ring;
        return 0;
}

static int teardown(void **state) {
        Ring *ring = *state;

        guest_mem_free(ring->mem);
        free(ring);
        return 0;
}

static void set_desc(const Ring *ring, gpa_t table, unsigned index, gpa_t address, uint32_t len,
                     unsigned id, unsigned flags) {
        uint8_t *p = host(ring, table + 16 * index);

        le64_store(p, address);
        le32_store(p + 8, len);
        le16_store(p + 12, (uint16_t) id);
        le16_store(p + 14, (uint16_t) flags);
}

/* The next descriptor of the ring is offered. */
static void offer(Ring *ring, gpa_t address, uint32_t len, unsigned id, unsigned flags) {
        set_desc(ring, RING, ring->at, address, len, id, flags | (ring->wrap ? AVAIL : USED));
        if (++ring->at == ring->queue.size) {
                ring->at = 0;
                ring->wrap = !ring->wrap;
        }
}

/* A request of @n descriptors of a byte each. */
static void offer_chain(Ring *ring, unsigned n, unsigned id) {
        for (unsigned i = 1; i <= n; i++)
                offer(ring, DATA + i, 1, i == n ? id : 0xdead, i < n ? NEXT : 0);
}

static int take(Ring *ring) {
        return virtq_pop(&ring->queue, &ring->chain);
}

/* The driver finds a used descriptor of a request of @n with this id and length. */
static void expect_used(Ring *ring, unsigned n, unsigned id, uint32_t len) {
        const uint8_t *p = host(ring, RING + 16 * ring->used_at);
        const unsigned owner = le16_load(p + 14) & (AVAIL | USED);

        assert_int_equal(owner, ring->used_wrap ? AVAIL | USED : 0);
        assert_int_equal(le16_load(p + 12), id);
        assert_int_equal(le32_load(p + 8), len);
        assert_int_equal(!!(le16_load(p + 14) & WRITE), len > 0);
        ring->used_at += n;
        if (ring->used_at >= ring->queue.size) {
                ring->used_at -= ring->queue.size;
                ring->used_wrap = !ring->used_wrap;
        }
}

static void test_a_chain_is_taken_and_given_back(void **state) {
        Ring *ring = *state;

        enable(ring, 0);
        assert_int_equal(take(ring), VIRTQ_E_EMPTY);
        offer(ring, DATA, 100, 1, NEXT);
        offer(ring, DATA + 0x1000, 0, 2, NEXT);
        offer(ring, DATA + 0x2000, 50, 0xabcd, WRITE);
        assert_int_equal(take(ring), 0);
        assert_int_equal(ring->chain.n_out, 1);
        assert_int_equal(ring->chain.n_in, 1);
        assert_int_equal(ring->chain.out_bytes, 100);
        assert_int_equal(ring->chain.in_bytes, 50);
        assert_ptr_equal(ring->chain.iov[0].iov_base, host(ring, DATA));
        assert_ptr_equal(ring->chain.iov[1].iov_base, host(ring, DATA + 0x2000));
        assert_int_equal(take(ring), VIRTQ_E_EMPTY);
        virtq_push(&ring->queue, ring->chain.head, 42);
        expect_used(ring, 3, 0xabcd, 42);
}

static void test_requests_end_in_any_order(void **state) {
        Ring *ring = *state;
        uint32_t heads[3];

        enable(ring, 0);
        for (unsigned i = 0; i < 3; i++) {
                offer_chain(ring, i + 1, 10 + i);
                assert_int_equal(take(ring), 0);
                heads[i] = ring->chain.head;
        }
        assert_int_equal(take(ring), VIRTQ_E_EMPTY);
        virtq_push(&ring->queue, heads[2], 3);
        virtq_push(&ring->queue, heads[0], 0);
        virtq_push(&ring->queue, heads[1], 2);
        expect_used(ring, 3, 12, 3);
        expect_used(ring, 1, 10, 0);
        expect_used(ring, 2, 11, 2);
        offer_chain(ring, SIZE, 13); /* all of the ring, in its second lap */
        assert_int_equal(take(ring), 0);
        assert_int_equal(ring->chain.n_out, SIZE);
        virtq_push(&ring->queue, ring->chain.head, 0);
        expect_used(ring, SIZE, 13, 0);
}

static void test_laps_follow_each_other_for_ever(void **state) {
        static const uint16_t sizes[] = {1, 2, 5, 256, VIRTQ_SIZE_MAX};
        Ring *ring = *state;

        for (size_t s = 0; s < ELEMENTSOF(sizes); s++) {
                begin(ring, sizes[s]);
                ring->queue.avail_gpa = 0x6000;
                ring->queue.used_gpa = 0x6010;
                enable(ring, VIRTIO_F_EVENT_IDX);
                for (unsigned i = 0; i < 70000; i++) {
                        const unsigned n = 1 + i % MIN(3u, (unsigned) sizes[s]);

                        offer_chain(ring, n, i & 0xffff);
                        assert_int_equal(take(ring), 0);
                        assert_int_equal(take(ring), VIRTQ_E_EMPTY);
                        virtq_push(&ring->queue, ring->chain.head, i);
                        expect_used(ring, n, i & 0xffff, i);
                }
        }
}

static void test_what_is_not_wanted_yet_is_offered_once_more(void **state) {
        Ring *ring = *state;
        uint32_t first;

        enable(ring, 0);
        offer_chain(ring, 2, 1);
        offer_chain(ring, 3, 2);
        assert_int_equal(take(ring), 0);
        first = ring->chain.head;
        assert_int_equal(take(ring), 0);
        virtq_unpop(&ring->queue, ring->chain.head);
        virtq_unpop(&ring->queue, first);
        assert_int_equal(take(ring), 0);
        assert_int_equal(ring->chain.head, first);
        assert_int_equal(take(ring), 0);
        assert_int_equal(ring->chain.n_out, 3);
}

static void test_an_indirect_table_is_one_request(void **state) {
        Ring *ring = *state;

        enable(ring, VIRTIO_F_INDIRECT_DESC);
        /* No alignment is asked of the table; of its flags only the direction counts. */
        set_desc(ring, TABLE + 3, 0, DATA, 16, 0, 0);
        set_desc(ring, TABLE + 3, 1, DATA + 0x100, 32, 0, WRITE | NEXT | INDIRECT | USED);
        set_desc(ring, TABLE + 3, 2, DATA + 0x200, 64, 0, WRITE);
        offer(ring, TABLE + 3, 3 * 16, 77, INDIRECT | WRITE);
        assert_int_equal(take(ring), 0);
        assert_int_equal(ring->chain.n_out, 1);
        assert_int_equal(ring->chain.n_in, 2);
        assert_int_equal(ring->chain.in_bytes, 96);
        virtq_push(&ring->queue, ring->chain.head, 96);
        expect_used(ring, 1, 77, 96);
}

static void test_no_descriptor_is_read_twice(void **state) {
        Ring *ring = *state;

        enable(ring, 0);
        offer(ring, DATA, 64, 1, 0);
        assert_int_equal(take(ring), 0);
        set_desc(ring, RING, 0, UINT64_MAX - 3, UINT32_MAX, 9, WRITE | AVAIL);
        assert_int_equal(ring->chain.iov[0].iov_len, 64);
        virtq_push(&ring->queue, ring->chain.head, 0);
        expect_used(ring, 1, 1, 0);
}

static void test_misplaced_rings_are_refused(void **state) {
        static const struct {
                gpa_t ring, driver, device;
                uint16_t size;
        } table[] = {
                {RING + 8, DRIVER, DEVICE, SIZE},
                {RING, DRIVER + 2, DEVICE, SIZE},
                {RING, DRIVER, DEVICE + 2, SIZE},
                {MEM_BYTES - 16 * SIZE + 16, DRIVER, DEVICE, SIZE},
                {UINT64_MAX - 15, DRIVER, DEVICE, SIZE},
                {RING, MEM_BYTES, DEVICE, SIZE},
                {RING, DRIVER, UINT64_MAX - 3, SIZE},
                {RING, DRIVER, DEVICE, 0},
                {RING, DRIVER, DEVICE, VIRTQ_SIZE_MAX + 1},
        };
        Ring *ring = *state;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                virtq_reset(&ring->queue, table[i].size);
                ring->queue.desc_gpa = table[i].ring;
                ring->queue.avail_gpa = table[i].driver;
                ring->queue.used_gpa = table[i].device;
                assert_int_equal(virtq_enable(&ring->queue, ring->mem, VIRTIO_F_RING_PACKED),
                                 VIRTQ_E_BROKEN);
                assert_false(ring->queue.enabled);
                assert_non_null(ring->queue.broken);
        }
}

/* ---- hostile rings ---- */

typedef struct BadDesc {
        gpa_t address;
        uint32_t len;
        unsigned flags;
} BadDesc;

static const struct {
        const char *cause;
        unsigned n; /* of @descs, in the ring; then the last one again, until it is full */
        BadDesc descs[3];
        uint32_t entry_len; /* of the table's entries */
} bad_rings[] = {
        {"request has more descriptors than the ring", SIZE, {{DATA, 1, NEXT}}, 0},
        {"request has more descriptors than the ring", SIZE, {{DATA, 0, NEXT}}, 0},
        {"buffer lies outside memory", 1, {{MEM_BYTES - 1, 2, 0}}, 0},
        {"buffer lies outside memory", 1, {{UINT64_MAX, 2, WRITE}}, 0},
        {"buffer lies outside memory", 1, {{DATA, UINT32_MAX, 0}}, 0},
        {"buffer to read follows one to write", 2, {{DATA, 1, NEXT | WRITE}, {DATA, 1, 0}}, 0},
        {"indirect descriptor has a successor", 1, {{TABLE, 16, INDIRECT | NEXT}}, 0},
        {"indirect descriptor is not alone", 2, {{DATA, 1, NEXT}, {TABLE, 16, INDIRECT}}, 0},
        {"indirect table's length is no multiple of a descriptor", 1, {{TABLE, 0, INDIRECT}}, 0},
        {"indirect table's length is no multiple of a descriptor", 1, {{TABLE, 17, INDIRECT}}, 0},
        {"indirect table lies outside memory", 1, {{MEM_BYTES - 16, 32, INDIRECT}}, 0},
        {"indirect table lies outside memory", 1, {{TABLE, 0xfffffff0, INDIRECT}}, 0},
        {"request has too many buffers", 1, {{TABLE, 16 * 257, INDIRECT}}, 1},
        {"request has too many buffers", 1, {{TABLE, 0x10000, INDIRECT}}, 0},
        {"buffer lies outside memory", 1, {{TABLE, 32, INDIRECT}}, MEM_BYTES + 1},
};

static void test_malformed_rings_break_with_their_cause(void **state) {
        Ring *ring = *state;

        for (size_t i = 0; i < ELEMENTSOF(bad_rings); i++) {
                begin(ring, SIZE);
                enable(ring, VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX);
                for (unsigned k = 0; k < 0x1000; k++)
                        set_desc(ring, TABLE, k, DATA, bad_rings[i].entry_len, 0, 0);
                for (unsigned d = 0; d < bad_rings[i].n; d++) {
                        const BadDesc *bad = &bad_rings[i].descs[bad_rings[i].n == SIZE ? 0 : d];

                        offer(ring, bad->address, bad->len, d, bad->flags);
                }
                assert_int_equal(take(ring), VIRTQ_E_BROKEN);
                assert_string_equal(ring->queue.broken, bad_rings[i].cause);
                /* It stays broken, whatever is offered. */
                begin(ring, SIZE);
                ring->queue.broken = "still";
                enable(ring, 0);
                offer_chain(ring, 1, 0);
                assert_int_equal(take(ring), VIRTQ_E_BROKEN);
        }
}

static void test_more_descriptors_than_the_ring_has_break_it(void **state) {
        Ring *ring = *state;

        enable(ring, 0);
        offer_chain(ring, SIZE, 1);
        assert_int_equal(take(ring), 0);
        offer_chain(ring, 1, 2); /* over one that was not given back */
        assert_int_equal(take(ring), VIRTQ_E_BROKEN);
        assert_string_equal(ring->queue.broken, "more descriptors under way than the ring has");
}

static void test_a_chain_cannot_reach_into_what_is_under_way(void **state) {
        Ring *ring = *state;

        enable(ring, 0);
        offer_chain(ring, SIZE - 1, 1);
        assert_int_equal(take(ring), 0);
        offer_chain(ring, 2, 2);
        assert_int_equal(take(ring), VIRTQ_E_BROKEN);
}

static void test_the_last_laps_descriptors_are_not_offered(void **state) {
        Ring *ring = *state;

        enable(ring, 0);
        for (unsigned i = 0; i < SIZE; i++)
                offer_chain(ring, 1, i);
        for (unsigned i = 0; i < SIZE; i++)
                assert_int_equal(take(ring), 0);
        for (unsigned i = 0; i < SIZE; i++)
                virtq_push(&ring->queue, 1u << 16 | i, 0);
        assert_int_equal(take(ring), VIRTQ_E_EMPTY);
        /* As offered in the first lap, and as none is ever. */
        set_desc(ring, RING, 0, DATA, 1, 0, AVAIL);
        assert_int_equal(take(ring), VIRTQ_E_EMPTY);
        set_desc(ring, RING, 0, DATA, 1, 0, 0);
        assert_int_equal(take(ring), VIRTQ_E_EMPTY);
        set_desc(ring, RING, 0, DATA, 1, 0, USED);
        assert_int_equal(take(ring), 0);
}

static void test_indirect_needs_its_feature(void **state) {
        Ring *ring = *state;

        enable(ring, 0);
        offer(ring, TABLE, 16, 0, INDIRECT);
        assert_int_equal(take(ring), VIRTQ_E_BROKEN);
}

/* ---- interrupts and notifications ---- */

static void serve(Ring *ring, unsigned n) {
        offer_chain(ring, n, 1);
        assert_int_equal(take(ring), 0);
        virtq_push(&ring->queue, ring->chain.head, 0);
}

static void want(Ring *ring, unsigned flags, unsigned index, bool first_lap) {
        le16_store(host(ring, DRIVER), (uint16_t) (index | (first_lap ? 0x8000u : 0)));
        le16_store(host(ring, DRIVER + 2), (uint16_t) flags);
}

static void test_flags_suppress_interrupts_and_notifications(void **state) {
        Ring *ring = *state;

        enable(ring, 0);
        assert_false(virtq_should_interrupt(&ring->queue));
        serve(ring, 1);
        assert_true(virtq_should_interrupt(&ring->queue));
        assert_false(virtq_should_interrupt(&ring->queue));
        want(ring, DISABLE, 0, true);
        serve(ring, 1);
        assert_false(virtq_should_interrupt(&ring->queue));
        want(ring, ONE, 5, true); /* was not agreed on */
        serve(ring, 1);
        assert_true(virtq_should_interrupt(&ring->queue));

        virtq_stop_notify(&ring->queue);
        assert_int_equal(le16_load(host(ring, DEVICE + 2)), DISABLE);
        assert_false(virtq_want_notify(&ring->queue));
        assert_int_equal(le16_load(host(ring, DEVICE + 2)), ENABLE);
        offer_chain(ring, 1, 2);
        assert_true(virtq_want_notify(&ring->queue));
}

static void test_the_driver_names_the_descriptor_to_interrupt_for(void **state) {
        Ring *ring = *state;

        enable(ring, VIRTIO_F_EVENT_IDX);
        want(ring, ONE, 2, true);
        for (unsigned i = 0; i < 5; i++) { /* of six */
                serve(ring, 1);
                assert_int_equal(virtq_should_interrupt(&ring->queue), i == 2);
        }
        want(ring, ONE, 2, false); /* in the next lap, inside a request */
        serve(ring, 1);
        assert_false(virtq_should_interrupt(&ring->queue));
        serve(ring, 2);
        assert_false(virtq_should_interrupt(&ring->queue));
        serve(ring, 3);
        assert_true(virtq_should_interrupt(&ring->queue));
        /* Further than that is nobody's wish. */
        want(ring, ONE, 0x7fff, true);
        serve(ring, 1);
        assert_true(virtq_should_interrupt(&ring->queue));
}

static void test_a_lap_without_a_decision_interrupts(void **state) {
        Ring *ring = *state;

        enable(ring, VIRTIO_F_EVENT_IDX);
        for (unsigned laps = 1; laps <= 4; laps++) {
                want(ring, ONE, 3, laps % 2);
                for (unsigned i = 0; i < laps; i++)
                        serve(ring, SIZE);
                assert_true(virtq_should_interrupt(&ring->queue));
                assert_false(virtq_should_interrupt(&ring->queue));
        }
}

static void test_the_device_names_the_descriptor_to_notify_for(void **state) {
        Ring *ring = *state;

        enable(ring, VIRTIO_F_EVENT_IDX);
        serve(ring, 4);
        assert_false(virtq_want_notify(&ring->queue));
        assert_int_equal(le16_load(host(ring, DEVICE + 2)), ONE);
        assert_int_equal(le16_load(host(ring, DEVICE)), 0x8000 | 4);
        serve(ring, 4);
        assert_false(virtq_want_notify(&ring->queue));
        assert_int_equal(le16_load(host(ring, DEVICE)), 2);
        virtq_stop_notify(&ring->queue); /* what it named is behind it */
        assert_int_equal(le16_load(host(ring, DEVICE + 2)), ONE);
        offer_chain(ring, 1, 2);
        assert_true(virtq_want_notify(&ring->queue));
}

/* ---- snapshots ---- */

#define FEATURES (VIRTIO_F_RING_PACKED | VIRTIO_F_EVENT_IDX)

/* Return: what restoring into a fresh queue says. */
static int move(Ring *ring, uint16_t size_max) {
        Snapshot saved, s;
        int r;

        snapshot_init_saving(&saved);
        virtq_snapshot(&ring->queue, ring->mem, FEATURES, &saved);
        assert_int_equal(saved.error, 0);
        virtq_reset(&ring->queue, size_max);
        snapshot_init_restoring(&s, saved.bytes, saved.len);
        virtq_snapshot(&ring->queue, ring->mem, FEATURES, &s);
        r = s.error;
        snapshot_deinit(&s);
        snapshot_deinit(&saved);
        return r;
}

static void test_a_queue_goes_on_in_the_lap_that_it_was_in(void **state) {
        Ring *ring = *state;
        uint32_t head;

        enable(ring, VIRTIO_F_EVENT_IDX);
        serve(ring, 4);
        (void) virtq_should_interrupt(&ring->queue);
        ring->used_at = 4;
        offer_chain(ring, 3, 7);
        assert_int_equal(take(ring), 0);
        head = ring->chain.head;
        offer_chain(ring, 1, 8);
        assert_int_equal(move(ring, 8), 0);
        assert_int_equal(ring->queue.size, SIZE);
        assert_true(virtq_is_under_way(&ring->queue, head));
        assert_false(virtq_is_under_way(&ring->queue, 4u << 16));
        assert_false(virtq_is_under_way(&ring->queue, 7));
        assert_int_equal(take(ring), 0);
        virtq_push(&ring->queue, ring->chain.head, 0);
        virtq_push(&ring->queue, head, 5);
        expect_used(ring, 1, 8, 0);
        expect_used(ring, 3, 7, 5);
        assert_int_equal(take(ring), VIRTQ_E_EMPTY);
}

static void test_places_that_no_ring_has_are_refused(void **state) {
        static const uint16_t places[][3] = {
                {2 * SIZE, 0, 0}, {0, 2 * SIZE, 0}, {0, 0, 2 * SIZE},      {SIZE + 1, 0, 0},
                {0, 1, 1},        {0, SIZE + 1, 0}, {65535, 65535, 65535},
        };
        Ring *ring = *state;

        for (size_t i = 0; i < ELEMENTSOF(places); i++) {
                begin(ring, SIZE);
                enable(ring, 0);
                ring->queue.next_avail = places[i][0];
                ring->queue.next_used = places[i][1];
                ring->queue.signalled_used = places[i][2];
                assert_int_equal(move(ring, SIZE), -EBADMSG);
        }
}

#define RING_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                RING_TEST(test_a_chain_is_taken_and_given_back),
                RING_TEST(test_requests_end_in_any_order),
                RING_TEST(test_laps_follow_each_other_for_ever),
                RING_TEST(test_what_is_not_wanted_yet_is_offered_once_more),
                RING_TEST(test_an_indirect_table_is_one_request),
                RING_TEST(test_no_descriptor_is_read_twice),
                RING_TEST(test_misplaced_rings_are_refused),
                RING_TEST(test_malformed_rings_break_with_their_cause),
                RING_TEST(test_more_descriptors_than_the_ring_has_break_it),
                RING_TEST(test_a_chain_cannot_reach_into_what_is_under_way),
                RING_TEST(test_the_last_laps_descriptors_are_not_offered),
                RING_TEST(test_indirect_needs_its_feature),
                RING_TEST(test_flags_suppress_interrupts_and_notifications),
                RING_TEST(test_the_driver_names_the_descriptor_to_interrupt_for),
                RING_TEST(test_a_lap_without_a_decision_interrupts),
                RING_TEST(test_the_device_names_the_descriptor_to_notify_for),
                RING_TEST(test_a_queue_goes_on_in_the_lap_that_it_was_in),
                RING_TEST(test_places_that_no_ring_has_are_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
