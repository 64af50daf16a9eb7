/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fake/vmm_virtio_driver.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/checked.h"
#include "base/le.h"
#include "tests/fake/vmm_virtio_packed.h"
#include "tests/fake/vmm_wait.h"
#include "vmm/virtio/devices.h"

/* Our own numbers, so that a mistake in the device's is seen. */
#define REG_OFFERED_SELECT 0x00
#define REG_OFFERED 0x04
#define REG_ACCEPTED_SELECT 0x08
#define REG_ACCEPTED 0x0c
#define REG_CONFIG_VECTOR 0x10
#define REG_STATUS 0x14
#define REG_QUEUE_SELECT 0x16
#define REG_QUEUE_SIZE 0x18
#define REG_QUEUE_VECTOR 0x1a
#define REG_QUEUE_ENABLE 0x1c
#define REG_QUEUE_NOTIFY_OFFSET 0x1e
#define REG_QUEUE_DESC 0x20
#define REG_QUEUE_AVAIL 0x28
#define REG_QUEUE_USED 0x30

static FakeBoard *board_of(Partition *partition) {
        return CONTAINER_OF(partition, FakeBoard, partition);
}

/* ---- the hypervisor ---- */

static void count_msi(FakeBoard *board, const MsiMessage *message) {
        pthread_mutex_lock(&board->lock);
        if (message->data < FAKE_MSIS_MAX)
                board->msi_counts[message->data]++;
        pthread_cond_broadcast(&board->changed);
        pthread_mutex_unlock(&board->lock);
}

static int fake_signal_msi(Partition *partition, const MsiMessage *message) {
        count_msi(board_of(partition), message);
        return 0;
}

static const PartitionOps partition_ops = {.signal_msi = fake_signal_msi};

static int bell_add(Partition *partition, const Doorbell *bell, int fd) {
        FakeBoard *board = board_of(partition);
        int r = -ENOSPC;

        pthread_mutex_lock(&board->lock);
        for (unsigned i = 0; i < FAKE_BELLS_MAX && r < 0; i++)
                if (!board->bells[i].used) {
                        board->bells[i] = (FakeBell){.bell = *bell, .fd = fd, .used = true};
                        r = 0;
                }
        pthread_mutex_unlock(&board->lock);
        return r;
}

static int bell_remove(Partition *partition, const Doorbell *bell, int fd) {
        FakeBoard *board = board_of(partition);
        int r = -ENOENT;

        pthread_mutex_lock(&board->lock);
        for (unsigned i = 0; i < FAKE_BELLS_MAX; i++)
                if (board->bells[i].used && board->bells[i].fd == fd &&
                    board->bells[i].bell.address == bell->address) {
                        board->bells[i].used = false;
                        r = 0;
                }
        pthread_mutex_unlock(&board->lock);
        assert(r == 0);
        return r;
}

static const DoorbellOps doorbell_ops = {.add = bell_add, .remove = bell_remove};

static bool ring_bell(FakeBoard *board, uint64_t address) {
        bool rung = false;

        pthread_mutex_lock(&board->lock);
        for (unsigned i = 0; i < FAKE_BELLS_MAX; i++)
                if (board->bells[i].used && board->bells[i].bell.address == address) {
                        (void) eventfd_write(board->bells[i].fd, 1);
                        rung = true;
                }
        pthread_mutex_unlock(&board->lock);
        return rung;
}

/* Routes are collected when somebody looks: a signal waits in the eventfd until then, as in the kernel for a moment. */
static void collect_routes(FakeBoard *board) {
        for (unsigned i = 0; i < FAKE_ROUTES_MAX; i++) {
                MsiRoute *route = board->routes + i;
                eventfd_t count;

                if (route->used && route->set && eventfd_read(route->fd, &count) == 0 &&
                    route->message.data < FAKE_MSIS_MAX)
                        board->msi_counts[route->message.data] += 1;
        }
}

static int route_add(Partition *partition, int fd, MsiRoute **ret) {
        FakeBoard *board = board_of(partition);
        int r = -ENOSPC;

        pthread_mutex_lock(&board->lock);
        for (unsigned i = 0; i < FAKE_ROUTES_MAX && r < 0 && !board->refuse_routes; i++)
                if (!board->routes[i].used) {
                        board->routes[i] = (MsiRoute){.board = board, .fd = fd, .used = true};
                        *ret = board->routes + i;
                        r = 0;
                }
        pthread_mutex_unlock(&board->lock);
        return r;
}

static int route_set(MsiRoute *route, const MsiMessage *message) {
        pthread_mutex_lock(&route->board->lock);
        collect_routes(route->board);
        route->set = message;
        if (message)
                route->message = *message;
        pthread_mutex_unlock(&route->board->lock);
        return 0;
}

static void route_remove(MsiRoute *route) {
        pthread_mutex_lock(&route->board->lock);
        collect_routes(route->board);
        route->used = false;
        pthread_mutex_unlock(&route->board->lock);
}

static const MsiRouteOps route_ops = {.add = route_add, .set = route_set, .remove = route_remove};

static void set_wire(void *controller, unsigned pin, bool level) {
        FakeBoard *board = controller;

        pthread_mutex_lock(&board->lock);
        if (level && !board->wires[pin])
                board->n_edges++;
        board->wires[pin] = level;
        pthread_cond_broadcast(&board->changed);
        pthread_mutex_unlock(&board->lock);
}

/* ---- the board ---- */

FakeBoard *fake_board_new(unsigned flags) {
        FakeBoard *board = calloc(1, sizeof(*board));
        pthread_condattr_t monotonic;
        PciRootConfig config = {.mem64_base = FAKE_MEM64_BASE, .mem64_size = UINT64_C(1) << 32};

        assert(board);
        pthread_mutex_init(&board->lock, NULL);
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_cond_init(&board->changed, &monotonic);
        pthread_condattr_destroy(&monotonic);
        board->partition.ops = &partition_ops;
        if (flags & FAKE_DOORBELLS)
                board->partition.doorbells = &doorbell_ops;
        if (flags & FAKE_ROUTES)
                board->partition.msi_routes = &route_ops;
        if (guest_mem_new(FAKE_MEM_BYTES, &board->mem) < 0 || bus_new("mmio", &board->mmio) < 0 ||
            bus_new("pio", &board->pio) < 0 || loop_new(&board->loop) < 0)
                assert(false);
        config.mmio = board->mmio;
        config.pio = board->pio;
        for (unsigned i = 0; i < GSI_PCI_INTX_COUNT; i++)
                config.intx[i] = (IrqLine){.set = set_wire, .controller = board, .pin = i};
        if (pci_root_new(&config, &board->root) < 0)
                assert(false);
        board->next_alloc = 0x10000;
        return board;
}

/* Puts @dev, consumed, on the bus. */
void fake_board_add(FakeBoard *board, VirtioDevice *dev, unsigned slot) {
        const VirtioPciConfig config = {.root = board->root,
                                        .slot = slot,
                                        .partition = &board->partition,
                                        .mem = board->mem,
                                        .loop = board->loop};
        int r = virtio_pci_new(dev, &config);

        assert(r == 0);
}

static void *loop_thread(void *userdata) {
        FakeBoard *board = userdata;

        (void) loop_run(board->loop);
        return NULL;
}

/* After all devices are there. */
void fake_board_run(FakeBoard *board) {
        int r = pthread_create(&board->thread, NULL, loop_thread, board);

        assert(r == 0);
        board->thread_runs = r == 0;
}

void fake_board_stop(FakeBoard *board) {
        if (!board->thread_runs)
                return;
        loop_exit(board->loop);
        pthread_join(board->thread, NULL);
        board->thread_runs = false;
}

FakeBoard *fake_board_free(FakeBoard *board) {
        fake_board_stop(board);
        pci_root_free(board->root);
        for (unsigned i = 0; i < FAKE_BELLS_MAX; i++)
                assert(!board->bells[i].used);
        for (unsigned i = 0; i < FAKE_ROUTES_MAX; i++)
                assert(!board->routes[i].used);
        bus_free(board->mmio);
        bus_free(board->pio);
        loop_free(board->loop);
        guest_mem_free(board->mem);
        pthread_cond_destroy(&board->changed);
        pthread_mutex_destroy(&board->lock);
        free(board);
        return NULL;
}

gpa_t fake_alloc(FakeBoard *board, uint64_t size) {
        gpa_t gpa = board->next_alloc;

        board->next_alloc += align_up(size, 4096);
        assert(board->next_alloc <= FAKE_MEM_BYTES);
        return gpa;
}

void *fake_host(FakeBoard *board, gpa_t gpa, uint64_t len) {
        void *host = guest_mem_ptr(board->mem, gpa, len);

        assert(host);
        return host;
}

/* Waits on the condition, but looks again every few milliseconds, since routed messages make no sound. */
static bool wait_changed(FakeBoard *board, const struct timespec *deadline) {
        struct timespec now, until;

        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec > deadline->tv_sec)
                return false;
        until = now;
        until.tv_nsec += 2000000;
        if (until.tv_nsec >= 1000000000) {
                until.tv_nsec -= 1000000000;
                until.tv_sec++;
        }
        (void) pthread_cond_timedwait(&board->changed, &board->lock, &until);
        return true;
}

static struct timespec deadline_from_now(void) {
        struct timespec deadline;

        clock_gettime(CLOCK_MONOTONIC, &deadline);
        deadline.tv_sec += FAKE_WAIT_SECONDS;
        return deadline;
}

/* Until @is_there, which is asked without the board's lock and may use its registers; false when it never is. */
bool fake_wait(FakeBoard *board, bool (*is_there)(void *userdata), void *userdata) {
        struct timespec deadline = deadline_from_now();
        bool there, time_left = true;

        while (!(there = is_there(userdata)) && time_left) {
                pthread_mutex_lock(&board->lock);
                time_left = wait_changed(board, &deadline);
                pthread_mutex_unlock(&board->lock);
        }
        return there;
}

unsigned fake_msi_count(FakeBoard *board, uint32_t data) {
        unsigned count;

        pthread_mutex_lock(&board->lock);
        collect_routes(board);
        count = board->msi_counts[data];
        pthread_mutex_unlock(&board->lock);
        return count;
}

bool fake_wait_msi(FakeBoard *board, uint32_t data, unsigned count) {
        struct timespec deadline = deadline_from_now();
        bool there;

        pthread_mutex_lock(&board->lock);
        do {
                collect_routes(board);
                there = board->msi_counts[data] >= count;
        } while (!there && wait_changed(board, &deadline));
        pthread_mutex_unlock(&board->lock);
        return there;
}

bool fake_wait_wire(FakeBoard *board, unsigned line, bool level) {
        struct timespec deadline = deadline_from_now();
        bool there;

        pthread_mutex_lock(&board->lock);
        do
                there = board->wires[line] == level;
        while (!there && wait_changed(board, &deadline));
        pthread_mutex_unlock(&board->lock);
        return there;
}

static uint64_t config_address(unsigned slot, unsigned offset) {
        return MEMMAP_ECAM_BASE + ((uint64_t) slot << 15) + offset;
}

uint32_t fake_config_read(FakeBoard *board, unsigned slot, unsigned offset, unsigned size) {
        return (uint32_t) bus_read(board->mmio, config_address(slot, offset), size);
}

void fake_config_write(FakeBoard *board, unsigned slot, unsigned offset, unsigned size,
                       uint32_t value) {
        bus_write(board->mmio, config_address(slot, offset), size, value);
}

/* ---- the driver ---- */

uint64_t fake_read(FakeDriver *driver, uint64_t address, unsigned size) {
        return bus_read(driver->board->mmio, address, size);
}

void fake_write(FakeDriver *driver, uint64_t address, unsigned size, uint64_t value) {
        if (ring_bell(driver->board, address))
                return;
        bus_write(driver->board->mmio, address, size, value);
}

static uint32_t read_config(FakeDriver *driver, unsigned offset, unsigned size) {
        return fake_config_read(driver->board, driver->slot, offset, size);
}

static void take_structure(FakeDriver *driver, unsigned capability) {
        uint64_t address = driver->bar + read_config(driver, capability + 8, 4);

        switch (read_config(driver, capability + 3, 1)) {
        case 1:
                driver->common = address;
                break;
        case 2:
                driver->notify = address;
                driver->notify_step = read_config(driver, capability + 16, 4);
                break;
        case 3:
                driver->isr = address;
                break;
        case 4:
                driver->device = address;
                break;
        default:
                break;
        }
}

/* Finds the structures and enables decoding; no register is written yet. */
void fake_driver_probe(FakeDriver *driver, FakeBoard *board, unsigned slot) {
        unsigned capability;

        *driver = (FakeDriver){.board = board, .slot = slot};
        fake_config_write(board, slot, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
        driver->bar = (read_config(driver, PCI_BAR0, 4) & ~0xfu) |
                      (uint64_t) read_config(driver, PCI_BAR0 + 4, 4) << 32;
        for (capability = read_config(driver, PCI_CAPABILITIES, 1); capability != 0;
             capability = read_config(driver, capability + 1, 1))
                if (read_config(driver, capability, 1) == PCI_CAPABILITY_VENDOR)
                        take_structure(driver, capability);
}

uint8_t fake_driver_status(FakeDriver *driver) {
        return (uint8_t) fake_read(driver, driver->common + REG_STATUS, 1);
}

typedef struct StatusWait {
        FakeDriver *driver;
        uint8_t mask, value;
} StatusWait;

static bool has_status(void *userdata) {
        const StatusWait *wait = userdata;

        return (fake_driver_status(wait->driver) & wait->mask) == wait->value;
}

bool fake_driver_wait_status(FakeDriver *driver, uint8_t mask, uint8_t value) {
        return fake_wait(driver->board, has_status,
                         &(StatusWait){.driver = driver, .mask = mask, .value = value});
}

static void add_status(FakeDriver *driver, uint8_t bits) {
        fake_write(driver, driver->common + REG_STATUS, 1, fake_driver_status(driver) | bits);
}

/* Up to FEATURES_OK; the caller checks whether the device agreed. */
void fake_driver_negotiate(FakeDriver *driver, uint64_t features) {
        add_status(driver, VIRTIO_STATUS_ACKNOWLEDGE);
        add_status(driver, VIRTIO_STATUS_DRIVER);
        fake_write(driver, driver->common + REG_OFFERED_SELECT, 4, 0);
        driver->offered = fake_read(driver, driver->common + REG_OFFERED, 4);
        fake_write(driver, driver->common + REG_OFFERED_SELECT, 4, 1);
        driver->offered |= fake_read(driver, driver->common + REG_OFFERED, 4) << 32;
        driver->accepted = features;
        fake_write(driver, driver->common + REG_ACCEPTED_SELECT, 4, 0);
        fake_write(driver, driver->common + REG_ACCEPTED, 4, (uint32_t) features);
        fake_write(driver, driver->common + REG_ACCEPTED_SELECT, 4, 1);
        fake_write(driver, driver->common + REG_ACCEPTED, 4, features >> 32);
        add_status(driver, VIRTIO_STATUS_FEATURES_OK);
}

static unsigned find_msix(FakeDriver *driver) {
        unsigned capability = read_config(driver, PCI_CAPABILITIES, 1);

        while (capability && read_config(driver, capability, 1) != PCI_CAPABILITY_MSIX)
                capability = read_config(driver, capability + 1, 1);
        assert(capability);
        return capability;
}

/* Vector N sends a message with data N. The device may have fewer than @n_vectors. */
void fake_driver_setup_msix(FakeDriver *driver, unsigned n_vectors) {
        unsigned capability = find_msix(driver);
        unsigned has = (read_config(driver, capability + 2, 2) & 0x7ffu) + 1;
        uint64_t table = driver->bar + (read_config(driver, capability + 4, 4) & ~7u);

        fake_config_write(driver->board, driver->slot, capability + 2, 2, 0xc000);
        driver->n_vectors = n_vectors < has ? n_vectors : has;
        for (unsigned i = 0; i < driver->n_vectors; i++) {
                fake_write(driver, table + 16 * i, 4, 0xfee00000);
                fake_write(driver, table + 16 * i + 4, 4, 0);
                fake_write(driver, table + 16 * i + 8, 4, i);
                fake_write(driver, table + 16 * i + 12, 4, 0);
        }
        fake_config_write(driver->board, driver->slot, capability + 2, 2, 0x8000);
        driver->msix = true;
}

/* Queue N interrupts by vector N + 1, or the last one that there is; the configuration by vector 0. */
void fake_driver_setup_queue(FakeDriver *driver, unsigned index) {
        FakeQueue *queue = driver->queues + index;
        FakeBoard *board = driver->board;

        *queue = (FakeQueue){.driver = driver,
                             .index = index,
                             .packed = driver->accepted & VIRTIO_F_RING_PACKED};
        fake_write(driver, driver->common + REG_QUEUE_SELECT, 2, index);
        queue->size = (uint16_t) fake_read(driver, driver->common + REG_QUEUE_SIZE, 2);
        assert(queue->size > 0);
        queue->desc = fake_alloc(board, 16u * queue->size);
        queue->avail = fake_alloc(board, 6 + 2u * queue->size);
        queue->used = fake_alloc(board, 6 + 8u * queue->size);
        queue->indirect = fake_alloc(board, UINT64_C(16) * 1024);
        if (queue->packed)
                queue->lengths = fake_alloc(board, 2u * queue->size);
        memset(fake_host(board, queue->desc, 16), 0, 16u * queue->size);
        memset(fake_host(board, queue->avail, 6), 0, 6 + 2u * queue->size);
        memset(fake_host(board, queue->used, 6), 0, 6 + 8u * queue->size);
        if (driver->msix) {
                fake_write(driver, driver->common + REG_CONFIG_VECTOR, 2, 0);
                fake_write(driver, driver->common + REG_QUEUE_VECTOR, 2,
                           index + 1 < driver->n_vectors ? index + 1 : driver->n_vectors - 1);
        }
        fake_write(driver, driver->common + REG_QUEUE_DESC, 4, (uint32_t) queue->desc);
        fake_write(driver, driver->common + REG_QUEUE_DESC + 4, 4, queue->desc >> 32);
        fake_write(driver, driver->common + REG_QUEUE_AVAIL, 8, queue->avail);
        fake_write(driver, driver->common + REG_QUEUE_USED, 8, queue->used);
        fake_write(driver, driver->common + REG_QUEUE_ENABLE, 2, 1);
}

void fake_driver_start(FakeDriver *driver, uint64_t features, unsigned n_queues, bool msix) {
        fake_driver_negotiate(driver, features | VIRTIO_F_VERSION_1);
        assert(fake_driver_status(driver) & VIRTIO_STATUS_FEATURES_OK);
        if (msix)
                fake_driver_setup_msix(driver, n_queues + 1);
        for (unsigned i = 0; i < n_queues; i++)
                fake_driver_setup_queue(driver, i);
        add_status(driver, VIRTIO_STATUS_DRIVER_OK);
}

/* @flags and @next: in a packed ring those of its descriptors, and the buffer id. */
void fake_queue_set_desc(FakeQueue *queue, uint16_t index, gpa_t address, uint32_t len,
                         uint16_t flags, uint16_t next) {
        uint8_t *desc = fake_host(queue->driver->board, queue->desc + 16u * index, 16);

        le64_store(desc, address);
        le32_store(desc + 8, len);
        le16_store(desc + 12, queue->packed ? next : flags);
        /* In a packed ring the device may look at the flags meanwhile. */
        __atomic_store_n((uint16_t *) (void *) (desc + 14), htole16(queue->packed ? flags : next),
                         __ATOMIC_RELAXED);
}

/* Offers @head of a split ring; the ring's index is the last thing that the device sees change. */
void fake_queue_publish(FakeQueue *queue, uint16_t head) {
        FakeBoard *board = queue->driver->board;
        uint16_t slot = queue->avail_index & (queue->size - 1);
        uint16_t *index = fake_host(board, queue->avail + 2, 2);

        le16_store(fake_host(board, queue->avail + 4 + 2u * slot, 2), head);
        queue->avail_index++;
        __atomic_store_n(index, htole16(queue->avail_index), __ATOMIC_RELEASE);
}

static uint16_t split_add(FakeQueue *queue, const FakeBuffer *buffers, unsigned n) {
        uint16_t head = queue->next_desc & (queue->size - 1);

        for (unsigned i = 0; i < n; i++) {
                uint16_t at = queue->next_desc++ & (queue->size - 1);
                uint16_t flags = (uint16_t) ((buffers[i].in ? 2 : 0) | (i + 1 < n ? 1 : 0));

                fake_queue_set_desc(queue, at, buffers[i].gpa, buffers[i].len, flags,
                                    queue->next_desc & (queue->size - 1));
        }
        fake_queue_publish(queue, head);
        return head;
}

uint16_t fake_queue_add(FakeQueue *queue, const FakeBuffer *buffers, unsigned n) {
        if (queue->packed)
                return fake_packed_offer(queue, buffers, n, 0);
        return split_add(queue, buffers, n);
}

/* One table for all requests: one request at a time. In a packed ring its order is all that links it. */
uint16_t fake_queue_add_indirect(FakeQueue *queue, const FakeBuffer *buffers, unsigned n) {
        uint8_t *table = fake_host(queue->driver->board, queue->indirect, UINT64_C(16) * n);
        const FakeBuffer whole = {queue->indirect, 16 * n, false};
        uint16_t head;

        for (unsigned i = 0; i < n; i++) {
                const uint16_t flags = (uint16_t) ((buffers[i].in ? 2 : 0) |
                                                   (i + 1 < n && !queue->packed ? 1 : 0));

                le64_store(table + 16 * i, buffers[i].gpa);
                le32_store(table + 16 * i + 8, buffers[i].len);
                le16_store(table + 16 * i + (queue->packed ? 14 : 12), flags);
                le16_store(table + 16 * i + (queue->packed ? 12 : 14), (uint16_t) (i + 1));
        }
        if (queue->packed)
                return fake_packed_offer(queue, &whole, 1, 4);
        head = queue->next_desc++ & (queue->size - 1);
        fake_queue_set_desc(queue, head, whole.gpa, whole.len, 4, 0);
        fake_queue_publish(queue, head);
        return head;
}

void fake_queue_kick(FakeQueue *queue) {
        FakeDriver *driver = queue->driver;
        uint64_t offset;

        fake_write(driver, driver->common + REG_QUEUE_SELECT, 2, queue->index);
        offset = fake_read(driver, driver->common + REG_QUEUE_NOTIFY_OFFSET, 2);
        fake_write(driver, driver->notify + offset * driver->notify_step, 2, queue->index);
}

static bool is_used(FakeQueue *queue) {
        const uint16_t *index;

        if (queue->packed)
                return fake_packed_is_used(queue);
        index = fake_host(queue->driver->board, queue->used + 2, 2);
        return le16toh(__atomic_load_n(index, __ATOMIC_ACQUIRE)) != queue->last_used;
}

static void take_used(FakeQueue *queue, uint16_t *ret_head, uint32_t *ret_len) {
        const gpa_t ring = queue->used + 4;
        const uint8_t *entry = fake_host(queue->driver->board,
                                         ring + 8u * (queue->last_used & (queue->size - 1)), 8);

        queue->last_used++;
        *ret_head = (uint16_t) le32_load(entry);
        *ret_len = le32_load(entry + 4);
}

/* The next used entry, in the device's order; false when none comes. */
bool fake_queue_wait(FakeQueue *queue, uint16_t *ret_head, uint32_t *ret_len) {
        FakeBoard *board = queue->driver->board;
        struct timespec deadline = deadline_from_now();
        bool there;

        pthread_mutex_lock(&board->lock);
        do
                there = is_used(queue);
        while (!there && wait_changed(board, &deadline));
        pthread_mutex_unlock(&board->lock);
        if (there && queue->packed)
                fake_packed_take_used(queue, ret_head, ret_len);
        else if (there)
                take_used(queue, ret_head, ret_len);
        return there;
}
