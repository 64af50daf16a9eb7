/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The parts of a virtqueue: queue.c is what both formats share, queue_split.c and queue_packed.c are the formats. */

#include "base/le.h"
#include "vmm/virtio/queue.h"

#define VIRTQ_DESC_SIZE 16u
#define VIRTQ_DESC_NEXT 0x1u
#define VIRTQ_DESC_WRITE 0x2u
#define VIRTQ_DESC_INDIRECT 0x4u

/* A descriptor as it was when it was copied. */
typedef struct VirtqDesc {
        gpa_t address;
        uint32_t len;
        uint16_t flags;
        uint16_t other; /* at byte 12 or 14, where the flags are not: successor or buffer id */
} VirtqDesc;

/* What a format makes of the calls of queue.h; the queue is enabled and sound but for enable(). */
struct VirtqFormat {
        unsigned flags_at; /* of a descriptor, in bytes */
        /* Size, alignment and place of the rings; fills in the views. Return: 0 or VIRTQ_E_BROKEN. */
        int (*enable)(VirtQueue *queue);
        /* @ret is empty. Return: as virtq_pop(). */
        int (*take)(VirtQueue *queue, VirtqChain *ret);
        void (*untake)(VirtQueue *queue, uint32_t head);
        void (*push)(VirtQueue *queue, uint32_t head, uint32_t written);
        bool (*should_interrupt)(VirtQueue *queue);
        void (*stop_notify)(VirtQueue *queue);
        bool (*want_notify)(VirtQueue *queue);
        /* Whether the indices can be, which somebody else has set. */
        bool (*is_sound)(const VirtQueue *queue);
        bool (*is_under_way)(const VirtQueue *queue, uint32_t head);
};

extern const VirtqFormat virtq_split, virtq_packed;

/* queue.c */
int virtq_broken(VirtQueue *queue, const char *cause);
VirtqDesc virtq_copy_desc(const VirtQueue *queue, const uint8_t *table, uint32_t index);
int virtq_add_buffer(VirtQueue *queue, const VirtqDesc *desc, VirtqChain *chain);
int virtq_find_table(VirtQueue *queue, const VirtqDesc *desc, const uint8_t **ret, uint32_t *ret_n);

/* Fields that a vCPU writes or reads meanwhile. */
static inline uint16_t virtq_load(const uint8_t *p, int order) {
        const uint16_t *v = (const uint16_t *) (const void *) p;

        return le16toh(order == __ATOMIC_ACQUIRE ? __atomic_load_n(v, __ATOMIC_ACQUIRE)
                                                 : __atomic_load_n(v, __ATOMIC_RELAXED));
}

static inline void virtq_store(uint8_t *p, uint16_t value, int order) {
        uint16_t *v = (uint16_t *) (void *) p;

        if (order == __ATOMIC_RELEASE)
                __atomic_store_n(v, htole16(value), __ATOMIC_RELEASE);
        else
                __atomic_store_n(v, htole16(value), __ATOMIC_RELAXED);
}
