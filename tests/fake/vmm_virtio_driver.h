/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A board with a PCI bus and a hypervisor that only takes notes, and the guest's half of virtio: a driver that goes
 * through configuration space and registers as a kernel does, builds rings in guest memory, and waits for interrupts.
 * The rings are packed when that is among the features that it accepts.
 * The device's loop runs on a thread of its own, as in the machine.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/event/loop.h"
#include "vmm/hv/hv.h"
#include "vmm/mem/guest_mem.h"
#include "vmm/pci/pci.h"
#include "vmm/virtio/virtio.h"

#define FAKE_MEM_BYTES (UINT64_C(16) << 20)
#define FAKE_MSIS_MAX 64u
#define FAKE_BELLS_MAX 64u
#define FAKE_ROUTES_MAX 64u
#define FAKE_MEM64_BASE UINT64_C(0x4000000000)

typedef struct FakeBoard FakeBoard;

typedef struct FakeBell {
        Doorbell bell;
        int fd;
        bool used;
} FakeBell;

struct MsiRoute {
        FakeBoard *board;
        int fd;
        bool used, set;
        MsiMessage message;
};

struct FakeBoard {
        Partition partition;
        GuestMem *mem;
        Bus *mmio, *pio;
        Loop *loop;
        PciRoot *root;
        pthread_t thread;
        bool thread_runs;
        gpa_t next_alloc;

        pthread_mutex_t lock; /* covers all below */
        pthread_cond_t changed;
        unsigned msi_counts[FAKE_MSIS_MAX]; /* by the message's data */
        bool wires[GSI_PCI_INTX_COUNT];
        unsigned n_edges; /* rising, of all wires */
        FakeBell bells[FAKE_BELLS_MAX];
        MsiRoute routes[FAKE_ROUTES_MAX];
        bool refuse_routes;
};

typedef struct FakeDriver FakeDriver;

typedef struct FakeQueue {
        FakeDriver *driver;
        unsigned index;
        uint16_t size, next_desc, avail_index, last_used;
        gpa_t desc, avail, used, indirect;
        bool packed; /* then next_desc and last_used go around the ring twice */
        uint16_t next_id;
        gpa_t lengths; /* in descriptors, of requests by their ids: 2 bytes each */
} FakeQueue;

struct FakeDriver {
        FakeBoard *board;
        unsigned slot;
        uint64_t bar, common, notify, isr, device;
        uint32_t notify_step;
        uint64_t offered, accepted;
        bool msix;
        unsigned n_vectors; /* that are set up */
        FakeQueue queues[VIRTIO_QUEUES_MAX];
};

typedef struct FakeBuffer {
        gpa_t gpa;
        uint32_t len;
        bool in; /* the device writes */
} FakeBuffer;

enum { FAKE_ROUTES = 1, FAKE_DOORBELLS = 2 };

FakeBoard *fake_board_new(unsigned flags);
FakeBoard *fake_board_free(FakeBoard *board);
void fake_board_add(FakeBoard *board, VirtioDevice *dev, unsigned slot);
void fake_board_run(FakeBoard *board);
void fake_board_stop(FakeBoard *board);
gpa_t fake_alloc(FakeBoard *board, uint64_t size);
void *fake_host(FakeBoard *board, gpa_t gpa, uint64_t len);
unsigned fake_msi_count(FakeBoard *board, uint32_t data);
bool fake_wait(FakeBoard *board, bool (*is_there)(void *userdata), void *userdata);
bool fake_wait_msi(FakeBoard *board, uint32_t data, unsigned count);
bool fake_wait_wire(FakeBoard *board, unsigned line, bool level);
uint32_t fake_config_read(FakeBoard *board, unsigned slot, unsigned offset, unsigned size);
void fake_config_write(FakeBoard *board, unsigned slot, unsigned offset, unsigned size,
                       uint32_t value);

void fake_driver_probe(FakeDriver *driver, FakeBoard *board, unsigned slot);
uint64_t fake_read(FakeDriver *driver, uint64_t address, unsigned size);
void fake_write(FakeDriver *driver, uint64_t address, unsigned size, uint64_t value);
void fake_driver_start(FakeDriver *driver, uint64_t features, unsigned n_queues, bool msix);
void fake_driver_negotiate(FakeDriver *driver, uint64_t features);
void fake_driver_setup_msix(FakeDriver *driver, unsigned n_vectors);
void fake_driver_setup_queue(FakeDriver *driver, unsigned index);
uint8_t fake_driver_status(FakeDriver *driver);
bool fake_driver_wait_status(FakeDriver *driver, uint8_t mask, uint8_t value);
uint16_t fake_queue_add(FakeQueue *queue, const FakeBuffer *buffers, unsigned n);
uint16_t fake_queue_add_indirect(FakeQueue *queue, const FakeBuffer *buffers, unsigned n);
void fake_queue_publish(FakeQueue *queue, uint16_t head);
void fake_queue_set_desc(FakeQueue *queue, uint16_t index, gpa_t address, uint32_t len,
                         uint16_t flags, uint16_t next);
void fake_queue_kick(FakeQueue *queue);
bool fake_queue_wait(FakeQueue *queue, uint16_t *ret_head, uint32_t *ret_len);
