/* SPDX-License-Identifier: Apache-2.0 */
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

#define SIZE 8u
#define DESC 0x1000u
#define AVAIL 0x2000u
#define USED 0x3000u
#define TABLE 0x4000u
#define DATA 0x10000u
#define MEM_BYTES (UINT64_C(1) << 20)

#define NEXT 1u
#define WRITE 2u
#define INDIRECT 4u

typedef struct Ring {
        GuestMem *mem;
        VirtQueue queue;
        VirtqChain chain;
        uint16_t avail;
} Ring;

static uint8_t *at(const Ring *ring, gpa_t gpa) {
        uint8_t *host = guest_mem_ptr(ring->mem, gpa, 1);

        assert_non_null(host);
        return host;
}

static int setup(void **state) {
        Ring *ring = calloc(1, sizeof(*ring));

        assert_non_null(ring);
        assert_int_equal(guest_mem_new(MEM_BYTES, &ring->mem), 0);
        virtq_reset(&ring->queue, SIZE);
        ring->queue.desc_gpa = DESC;
        ring->queue.avail_gpa = AVAIL;
        ring->queue.used_gpa = USED;
        *state = ring;
        return 0;
}

static int teardown(void **state) {
        Ring *ring = *state;

        guest_mem_free(ring->mem);
        free(ring);
        return 0;
}

static void enable(Ring *ring, bool event_idx) {
        assert_int_equal(
                virtq_enable(&ring->queue, ring->mem,
                             VIRTIO_F_INDIRECT_DESC | (event_idx ? VIRTIO_F_EVENT_IDX : 0)),
                0);
}

static void set_desc(const Ring *ring, gpa_t table, unsigned index, gpa_t address, uint32_t len,
                     unsigned flags, unsigned next) {
        uint8_t *p = at(ring, table + 16 * index);

        le64_store(p, address);
        le32_store(p + 8, len);
        le16_store(p + 12, (uint16_t) flags);
        le16_store(p + 14, (uint16_t) next);
}

static void offer(Ring *ring, uint16_t head) {
        le16_store(at(ring, AVAIL + 4 + 2 * (ring->avail % SIZE)), head);
        le16_store(at(ring, AVAIL + 2), ++ring->avail);
}

static uint16_t used_index(const Ring *ring) {
        return le16_load(at(ring, USED + 2));
}

static void test_a_chain_is_taken_and_given_back(void **state) {
        Ring *ring = *state;

        enable(ring, false);
        set_desc(ring, DESC, 3, DATA, 100, NEXT, 5);
        set_desc(ring, DESC, 5, DATA + 0x1000, 0, NEXT, 1);
        set_desc(ring, DESC, 1, DATA + 0x2000, 50, WRITE, 0);
        offer(ring, 3);
        assert_int_equal(virtq_pop(&ring->queue, &ring->chain), 0);
        assert_int_equal(ring->chain.head, 3);
        assert_int_equal(ring->chain.n_out, 1);
        assert_int_equal(ring->chain.n_in, 1);
        assert_int_equal(ring->chain.out_bytes, 100);
        assert_int_equal(ring->chain.in_bytes, 50);
        assert_ptr_equal(ring->chain.iov[0].iov_base, at(ring, DATA));
        assert_ptr_equal(ring->chain.iov[1].iov_base, at(ring, DATA + 0x2000));
        assert_int_equal(virtq_pop(&ring->queue, &ring->chain), VIRTQ_E_EMPTY);

        virtq_push(&ring->queue, 3, 42);
        assert_int_equal(used_index(ring), 1);
        assert_int_equal(le32_load(at(ring, USED + 4)), 3);
        assert_int_equal(le32_load(at(ring, USED + 8)), 42);
}

static void test_indices_wrap_at_65536(void **state) {
        Ring *ring = *state;

        enable(ring, true);
        set_desc(ring, DESC, 0, DATA, 1, 0, 0);
        for (unsigned i = 0; i < 70000; i++) {
                offer(ring, 0);
                assert_int_equal(virtq_pop(&ring->queue, &ring->chain), 0);
                virtq_push(&ring->queue, 0, 0);
        }
        assert_int_equal(used_index(ring), (uint16_t) 70000);
        assert_int_equal(virtq_pop(&ring->queue, &ring->chain), VIRTQ_E_EMPTY);
}

static void test_an_indirect_table_is_followed(void **state) {
        Ring *ring = *state;

        enable(ring, false);
        set_desc(ring, DESC, 0, DATA, 8, NEXT, 1);
        /* No alignment is asked of the table. */
        set_desc(ring, DESC, 1, TABLE + 3, 3 * 16, INDIRECT, 0);
        set_desc(ring, TABLE + 3, 0, DATA + 0x100, 16, NEXT, 2);
        set_desc(ring, TABLE + 3, 2, DATA + 0x200, 32, WRITE, 0);
        offer(ring, 0);
        assert_int_equal(virtq_pop(&ring->queue, &ring->chain), 0);
        assert_int_equal(ring->chain.n_out, 2);
        assert_int_equal(ring->chain.n_in, 1);
        assert_int_equal(ring->chain.out_bytes, 24);
}

static void test_no_descriptor_is_read_twice(void **state) {
        Ring *ring = *state;

        enable(ring, false);
        set_desc(ring, DESC, 0, DATA, 64, 0, 0);
        offer(ring, 0);
        assert_int_equal(virtq_pop(&ring->queue, &ring->chain), 0);
        set_desc(ring, DESC, 0, UINT64_MAX - 3, UINT32_MAX, WRITE, 9);
        assert_int_equal(ring->chain.iov[0].iov_len, 64);
        assert_ptr_equal(ring->chain.iov[0].iov_base, at(ring, DATA));
}

static void test_misplaced_rings_are_refused(void **state) {
        static const struct {
                gpa_t desc, avail, used;
                uint16_t size;
        } table[] = {
                {DESC + 8, AVAIL, USED, SIZE},
                {DESC, AVAIL + 1, USED, SIZE},
                {DESC, AVAIL, USED + 2, SIZE},
                {MEM_BYTES - 16, AVAIL, USED, SIZE},
                {DESC, MEM_BYTES - 4, USED, SIZE},
                {DESC, AVAIL, MEM_BYTES - 8, SIZE},
                {UINT64_MAX - 15, AVAIL, USED, SIZE},
                {DESC, UINT64_MAX - 1, USED, SIZE},
                {DESC, AVAIL, USED, 0},
                {DESC, AVAIL, USED, 7},
                {DESC, AVAIL, USED, 2048},
        };
        Ring *ring = *state;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                virtq_reset(&ring->queue, table[i].size);
                ring->queue.desc_gpa = table[i].desc;
                ring->queue.avail_gpa = table[i].avail;
                ring->queue.used_gpa = table[i].used;
                assert_int_equal(virtq_enable(&ring->queue, ring->mem,
                                              VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX),
                                 VIRTQ_E_BROKEN);
                assert_false(ring->queue.enabled);
                assert_non_null(ring->queue.broken);
        }
}

/* Each row writes a few descriptors and offers a head; the ring must break with this cause. */
typedef struct BadDesc {
        unsigned table, index; /* table 0 = ring, 1 = indirect */
        gpa_t address;
        uint32_t len;
        unsigned flags, next;
} BadDesc;

static const struct {
        const char *cause;
        uint16_t head;
        BadDesc descs[3];
} bad_rings[] = {
        {"available entry is outside the ring", SIZE, {{0}}},
        {"available entry is outside the ring", 0xffff, {{0}}},
        {"successor is outside the ring", 0, {{0, 0, DATA, 1, NEXT, SIZE}}},
        {"descriptors form a loop", 0, {{0, 0, DATA, 1, NEXT, 0}}},
        {"descriptors form a loop", 0, {{0, 0, DATA, 1, NEXT, 1}, {0, 1, DATA, 1, NEXT, 0}}},
        {"descriptors form a loop", 0, {{0, 0, DATA, 0, NEXT, 0}}},
        {"buffer lies outside memory", 0, {{0, 0, MEM_BYTES - 1, 2, 0, 0}}},
        {"buffer lies outside memory", 0, {{0, 0, UINT64_MAX, 2, WRITE, 0}}},
        {"buffer lies outside memory", 0, {{0, 0, DATA, UINT32_MAX, 0, 0}}},
        {"buffer to read follows one to write",
         0,
         {{0, 0, DATA, 1, NEXT | WRITE, 1}, {0, 1, DATA, 1, 0, 0}}},
        {"indirect descriptor has a successor", 0, {{0, 0, TABLE, 16, INDIRECT | NEXT, 1}}},
        {"indirect table's length is no multiple of a descriptor",
         0,
         {{0, 0, TABLE, 0, INDIRECT, 0}}},
        {"indirect table's length is no multiple of a descriptor",
         0,
         {{0, 0, TABLE, 17, INDIRECT, 0}}},
        {"indirect table lies outside memory", 0, {{0, 0, MEM_BYTES - 16, 32, INDIRECT, 0}}},
        {"indirect table lies outside memory", 0, {{0, 0, TABLE, 0xfffffff0, INDIRECT, 0}}},
        {"indirect table holds an indirect descriptor",
         0,
         {{0, 0, TABLE, 16, INDIRECT, 0}, {1, 0, TABLE, 16, INDIRECT, 0}}},
        {"indirect successor is outside its table",
         0,
         {{0, 0, TABLE, 32, INDIRECT, 0}, {1, 0, DATA, 1, NEXT, 2}}},
        {"indirect descriptors form a loop",
         0,
         {{0, 0, TABLE, 32, INDIRECT, 0}, {1, 0, DATA, 1, NEXT, 1}, {1, 1, DATA, 0, NEXT, 0}}},
        {"indirect descriptors form a loop",
         0,
         {{0, 0, TABLE, 0x10000, INDIRECT, 0}, {1, 0, DATA, 0, NEXT, 0}}},
        {"request has too many buffers",
         0,
         {{0, 0, TABLE, 0x10000, INDIRECT, 0}, {1, 0, DATA, 1, NEXT, 0}}},
};

static void test_malformed_rings_break_with_their_cause(void **state) {
        Ring *ring = *state;

        for (size_t i = 0; i < ELEMENTSOF(bad_rings); i++) {
                memset(at(ring, DESC), 0, 0x4000);
                ring->avail = 0;
                virtq_reset(&ring->queue, SIZE);
                ring->queue.desc_gpa = DESC;
                ring->queue.avail_gpa = AVAIL;
                ring->queue.used_gpa = USED;
                enable(ring, true);
                for (size_t d = 0; d < 3; d++) {
                        const BadDesc *bad = bad_rings[i].descs + d;

                        if (bad->address)
                                set_desc(ring, bad->table ? TABLE : DESC, bad->index, bad->address,
                                         bad->len, bad->flags, bad->next);
                }
                offer(ring, bad_rings[i].head);
                assert_int_equal(virtq_pop(&ring->queue, &ring->chain), VIRTQ_E_BROKEN);
                assert_string_equal(ring->queue.broken, bad_rings[i].cause);
                /* It stays broken, whatever is offered. */
                set_desc(ring, DESC, 0, DATA, 1, 0, 0);
                offer(ring, 0);
                assert_int_equal(virtq_pop(&ring->queue, &ring->chain), VIRTQ_E_BROKEN);
        }
}

static void test_an_index_ahead_of_the_ring_breaks_it(void **state) {
        Ring *ring = *state;

        enable(ring, false);
        le16_store(at(ring, AVAIL + 2), SIZE + 1);
        assert_int_equal(virtq_pop(&ring->queue, &ring->chain), VIRTQ_E_BROKEN);
}

static void test_more_requests_than_descriptors_break_the_ring(void **state) {
        Ring *ring = *state;

        enable(ring, false);
        set_desc(ring, DESC, 0, DATA, 1, 0, 0);
        for (unsigned i = 0; i < SIZE; i++) {
                offer(ring, 0);
                assert_int_equal(virtq_pop(&ring->queue, &ring->chain), 0);
        }
        offer(ring, 0);
        assert_int_equal(virtq_pop(&ring->queue, &ring->chain), VIRTQ_E_BROKEN);
}

static void test_indirect_needs_its_feature(void **state) {
        Ring *ring = *state;

        assert_int_equal(virtq_enable(&ring->queue, ring->mem, 0), 0);
        set_desc(ring, DESC, 0, TABLE, 16, INDIRECT, 0);
        offer(ring, 0);
        assert_int_equal(virtq_pop(&ring->queue, &ring->chain), VIRTQ_E_BROKEN);
}

static void test_flags_suppress_interrupts_and_notifications(void **state) {
        Ring *ring = *state;

        enable(ring, false);
        assert_false(virtq_should_interrupt(&ring->queue));
        virtq_push(&ring->queue, 0, 0);
        assert_true(virtq_should_interrupt(&ring->queue));
        assert_false(virtq_should_interrupt(&ring->queue));
        le16_store(at(ring, AVAIL), 1);
        virtq_push(&ring->queue, 0, 0);
        assert_false(virtq_should_interrupt(&ring->queue));

        virtq_stop_notify(&ring->queue);
        assert_int_equal(le16_load(at(ring, USED)), 1);
        assert_false(virtq_want_notify(&ring->queue));
        assert_int_equal(le16_load(at(ring, USED)), 0);
        offer(ring, 0);
        assert_true(virtq_want_notify(&ring->queue));
}

static void serve_one(Ring *ring) {
        offer(ring, 0);
        assert_int_equal(virtq_pop(&ring->queue, &ring->chain), 0);
        virtq_push(&ring->queue, 0, 0);
}

static void test_the_event_index_names_the_entry_to_interrupt_for(void **state) {
        Ring *ring = *state;
        uint8_t *used_event = at(ring, AVAIL + 4 + 2 * SIZE);
        uint8_t *avail_event = at(ring, USED + 4 + 8 * SIZE);

        enable(ring, true);
        set_desc(ring, DESC, 0, DATA, 1, 0, 0);
        le16_store(used_event, 2); /* interrupt when the third entry is pushed */
        for (unsigned i = 0; i < 5; i++) {
                serve_one(ring);
                assert_int_equal(virtq_should_interrupt(&ring->queue), i == 2);
        }
        /* A batch interrupts when the entry is inside it. */
        le16_store(used_event, 6);
        for (unsigned i = 0; i < 3; i++)
                serve_one(ring);
        assert_true(virtq_should_interrupt(&ring->queue));

        offer(ring, 0);
        assert_int_equal(virtq_pop(&ring->queue, &ring->chain), 0);
        virtq_stop_notify(&ring->queue);
        assert_int_equal(le16_load(at(ring, USED)), 0);
        assert_false(virtq_want_notify(&ring->queue));
        assert_int_equal(le16_load(avail_event), 9);
}

#define RING_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                RING_TEST(test_a_chain_is_taken_and_given_back),
                RING_TEST(test_indices_wrap_at_65536),
                RING_TEST(test_an_indirect_table_is_followed),
                RING_TEST(test_no_descriptor_is_read_twice),
                RING_TEST(test_misplaced_rings_are_refused),
                RING_TEST(test_malformed_rings_break_with_their_cause),
                RING_TEST(test_an_index_ahead_of_the_ring_breaks_it),
                RING_TEST(test_more_requests_than_descriptors_break_the_ring),
                RING_TEST(test_indirect_needs_its_feature),
                RING_TEST(test_flags_suppress_interrupts_and_notifications),
                RING_TEST(test_the_event_index_names_the_entry_to_interrupt_for),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
