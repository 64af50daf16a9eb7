/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fake/vmm_virtio_packed.h"

#include <assert.h>

#include "base/le.h"

#define NEXT 0x1u
#define WRITE 0x2u
#define AVAIL 0x80u
#define USED 0x8000u

static unsigned index_of(const FakeQueue *queue, uint16_t at) {
        return at % queue->size;
}

static bool on_first_lap(const FakeQueue *queue, uint16_t at) {
        return at < queue->size;
}

static uint16_t advance(const FakeQueue *queue, uint16_t at, unsigned n) {
        return (uint16_t) ((at + n) % (2u * queue->size));
}

static uint16_t *flags_of(FakeQueue *queue, uint16_t at) {
        return fake_host(queue->driver->board, queue->desc + 16u * index_of(queue, at) + 14, 2);
}

static uint16_t *length_of(FakeQueue *queue, uint16_t id) {
        return fake_host(queue->driver->board, queue->lengths + 2u * id, 2);
}

/** fake_packed_offer() - a request, whose first descriptor becomes the device's last. Return: its id. */
uint16_t fake_packed_offer(FakeQueue *queue, const FakeBuffer *buffers, unsigned n,
                           unsigned more_flags) {
        const uint16_t first = queue->next_desc, id = queue->next_id++ % queue->size;
        uint16_t first_flags = 0;

        for (unsigned i = 0; i < n; i++) {
                const uint16_t at = queue->next_desc;
                uint16_t flags = (uint16_t) (more_flags | (buffers[i].in ? WRITE : 0) |
                                             (i + 1 < n ? NEXT : 0) |
                                             (on_first_lap(queue, at) ? AVAIL : USED));

                if (i == 0) {
                        first_flags = flags;
                        flags = le16toh(*flags_of(queue, at));
                }
                fake_queue_set_desc(queue, (uint16_t) index_of(queue, at), buffers[i].gpa,
                                    buffers[i].len, flags, id);
                queue->next_desc = advance(queue, at, 1);
        }
        *length_of(queue, id) = (uint16_t) n;
        queue->avail_index++;
        __atomic_store_n(flags_of(queue, first), htole16(first_flags), __ATOMIC_RELEASE);
        return id;
}

/** fake_packed_is_used() - whether the device has given one more request back */
bool fake_packed_is_used(FakeQueue *queue) {
        const uint16_t flags =
                le16toh(__atomic_load_n(flags_of(queue, queue->last_used), __ATOMIC_ACQUIRE));
        const bool lap = on_first_lap(queue, queue->last_used);

        return !!(flags & AVAIL) == lap && !!(flags & USED) == lap;
}

/** fake_packed_take_used() - which, and what the device wrote */
void fake_packed_take_used(FakeQueue *queue, uint16_t *ret_id, uint32_t *ret_len) {
        const uint8_t *desc = fake_host(queue->driver->board,
                                        queue->desc + 16u * index_of(queue, queue->last_used), 16);

        *ret_len = le32_load(desc + 8);
        *ret_id = le16_load(desc + 12);
        assert(*ret_id < queue->size);
        queue->last_used = advance(queue, queue->last_used, *length_of(queue, *ret_id));
}
