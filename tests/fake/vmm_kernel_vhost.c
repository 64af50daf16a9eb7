/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fake/vmm_kernel_vhost.h"

#include <assert.h>
#include <errno.h>
#include <linux/vhost.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/le.h"
#include "tests/fake/vmm_wait.h"

#define DEVICES_MAX 4u

/* ioctl() finds a device by its descriptor; so do we. */
static KernelVhost *devices[DEVICES_MAX];

static KernelVhost *find(int fd) {
        for (unsigned i = 0; i < DEVICES_MAX; i++)
                if (devices[i] && devices[i]->fd == fd)
                        return devices[i];
        return NULL;
}

static bool is_served(const KernelVhost *fake, unsigned ring) {
        return fake->running || fake->rings[ring].backend >= 0;
}

static KernelVhostRing *idle_ring(KernelVhost *fake, unsigned index) {
        assert(index < VHOST_RINGS_MAX && fake->owned && !is_served(fake, index));
        return &fake->rings[index];
}

static void set_memory(KernelVhost *fake, const struct vhost_memory *memory) {
        assert(fake->owned && memory->nregions <= KERNEL_VHOST_REGIONS_MAX && memory->padding == 0);
        fake->n_regions = memory->nregions;
        for (unsigned i = 0; i < memory->nregions; i++) {
                fake->regions[i][0] = memory->regions[i].guest_phys_addr;
                fake->regions[i][1] = memory->regions[i].memory_size;
                fake->regions[i][2] = memory->regions[i].userspace_addr;
        }
}

static void set_address(KernelVhost *fake, const struct vhost_vring_addr *address) {
        KernelVhostRing *ring = idle_ring(fake, address->index);

        assert(address->flags == 0 && ring->size > 0);
        ring->desc = address->desc_user_addr;
        ring->avail = address->avail_user_addr;
        ring->used = address->used_user_addr;
}

static void check_complete(KernelVhost *fake, unsigned index) {
        const KernelVhostRing *ring = &fake->rings[index];

        assert(fake->n_regions > 0 && ring->size > 0 && ring->desc && ring->avail && ring->used);
        assert(ring->kick_fd >= 0 && ring->call_fd >= 0 && ring->error_fd >= 0);
}

static int set_backend(KernelVhost *fake, const struct vhost_vring_file *file) {
        assert(file->index < VHOST_RINGS_MAX);
        if (file->fd >= 0)
                check_complete(fake, file->index);
        fake->rings[file->index].backend = file->fd;
        return 0;
}

static int set_running(KernelVhost *fake, bool running) {
        for (unsigned i = 0; running && i < VHOST_RINGS_MAX; i++)
                check_complete(fake, i);
        fake->running = running;
        return 0;
}

static int serve_request(KernelVhost *fake, unsigned long request, void *argument) {
        const struct vhost_vring_state *state = argument;
        const struct vhost_vring_file *file = argument;
        struct vhost_vring_state *asked = argument;

        switch (request) {
        case VHOST_GET_FEATURES:
                *(uint64_t *) argument = fake->offered;
                return 0;
        case VHOST_SET_OWNER:
                assert(!fake->owned);
                fake->owned = true;
                fake->n_owners++;
                return 0;
        case VHOST_SET_FEATURES:
                fake->features = *(uint64_t *) argument;
                return fake->features & ~fake->offered ? -EOPNOTSUPP : 0;
        case VHOST_SET_MEM_TABLE:
                set_memory(fake, argument);
                return 0;
        case VHOST_SET_VRING_NUM:
                idle_ring(fake, state->index)->size = state->num;
                return 0;
        case VHOST_SET_VRING_BASE:
                idle_ring(fake, state->index)->base = state->num;
                return 0;
        case VHOST_GET_VRING_BASE:
                asked->num = idle_ring(fake, asked->index)->base;
                return 0;
        case VHOST_SET_VRING_ADDR:
                set_address(fake, argument);
                return 0;
        case VHOST_SET_VRING_ERR:
                idle_ring(fake, file->index)->error_fd = file->fd;
                return 0;
        case VHOST_SET_VRING_CALL:
                idle_ring(fake, file->index)->call_fd = file->fd;
                return 0;
        case VHOST_SET_VRING_KICK:
                idle_ring(fake, file->index)->kick_fd = file->fd;
                return 0;
        case VHOST_NET_SET_BACKEND:
                return set_backend(fake, file);
        case VHOST_VSOCK_SET_GUEST_CID:
                fake->cid = *(uint64_t *) argument;
                return 0;
        case VHOST_VSOCK_SET_RUNNING:
                return set_running(fake, *(int *) argument);
        default:
                return -ENOTTY;
        }
}

static int fake_control(int fd, unsigned long request, void *argument) {
        KernelVhost *fake = find(fd);
        int r;

        if (!fake)
                return -ENOTTY;
        pthread_mutex_lock(&fake->lock);
        r = fake->refuse == request ? -fake->refuse_errno : serve_request(fake, request, argument);
        pthread_cond_broadcast(&fake->changed);
        pthread_mutex_unlock(&fake->lock);
        return r;
}

const VhostOps kernel_vhost_fake_ops = {.control = fake_control};

KernelVhost *kernel_vhost_new(uint64_t features) {
        KernelVhost *fake = calloc(1, sizeof(*fake));
        pthread_condattr_t monotonic;
        unsigned i = 0;

        assert(fake);
        pthread_mutex_init(&fake->lock, NULL);
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_cond_init(&fake->changed, &monotonic);
        pthread_condattr_destroy(&monotonic);
        fake->fd = eventfd(0, EFD_CLOEXEC);
        fake->offered = features;
        for (unsigned j = 0; j < VHOST_RINGS_MAX; j++)
                fake->rings[j] = (KernelVhostRing){
                        .kick_fd = -1, .call_fd = -1, .error_fd = -1, .backend = -1};
        while (i < DEVICES_MAX && devices[i])
                i++;
        assert(i < DEVICES_MAX);
        devices[i] = fake;
        return fake;
}

/* After vhost_free(), which closes the descriptor. */
KernelVhost *kernel_vhost_free(KernelVhost *fake) {
        for (unsigned i = 0; i < DEVICES_MAX; i++)
                if (devices[i] == fake)
                        devices[i] = NULL;
        pthread_cond_destroy(&fake->changed);
        pthread_mutex_destroy(&fake->lock);
        free(fake);
        return NULL;
}

void kernel_vhost_refuse(KernelVhost *fake, KernelVhostRequest request, int error) {
        static const unsigned long requests[] = {
                [KERNEL_VHOST_NOTHING] = 0,
                [KERNEL_VHOST_SET_OWNER] = VHOST_SET_OWNER,
                [KERNEL_VHOST_SET_KICK] = VHOST_SET_VRING_KICK,
                [KERNEL_VHOST_SET_BACKEND] = VHOST_NET_SET_BACKEND,
                [KERNEL_VHOST_SET_CID] = VHOST_VSOCK_SET_GUEST_CID,
                [KERNEL_VHOST_SET_RUNNING] = VHOST_VSOCK_SET_RUNNING,
        };

        pthread_mutex_lock(&fake->lock);
        fake->refuse = requests[request];
        fake->refuse_errno = error;
        pthread_mutex_unlock(&fake->lock);
}

bool kernel_vhost_wait(KernelVhost *fake, unsigned ring, bool served) {
        struct timespec deadline;
        bool there;
        int r = 0;

        clock_gettime(CLOCK_MONOTONIC, &deadline);
        deadline.tv_sec += FAKE_WAIT_SECONDS;
        pthread_mutex_lock(&fake->lock);
        while (is_served(fake, ring) != served && r == 0)
                r = pthread_cond_timedwait(&fake->changed, &fake->lock, &deadline);
        there = is_served(fake, ring) == served;
        pthread_mutex_unlock(&fake->lock);
        return there;
}

static uint16_t *word(uint64_t address, uint64_t offset) {
        return (uint16_t *) (uintptr_t) (address + offset);
}

unsigned kernel_vhost_serve(KernelVhost *fake, unsigned index, uint32_t written) {
        KernelVhostRing *ring = &fake->rings[index];
        unsigned n = 0;

        pthread_mutex_lock(&fake->lock);
        assert(is_served(fake, index));
        for (; (uint16_t) ring->base != le16toh(*word(ring->avail, 2)); ring->base++, n++) {
                uint16_t head =
                        le16toh(*word(ring->avail, 4 + 2 * (ring->base & (ring->size - 1))));
                uint16_t used = le16toh(*word(ring->used, 2));
                uint8_t *entry = (uint8_t *) word(ring->used, 4 + 8 * (used & (ring->size - 1)));

                le32_store(entry, head);
                le32_store(entry + 4, written);
                __atomic_store_n(word(ring->used, 2), htole16((uint16_t) (used + 1)),
                                 __ATOMIC_RELEASE);
        }
        pthread_mutex_unlock(&fake->lock);
        return n;
}

bool kernel_vhost_kicked(KernelVhost *fake, unsigned ring) {
        struct pollfd fd = {.fd = fake->rings[ring].kick_fd, .events = POLLIN};
        eventfd_t count;

        return poll(&fd, 1, FAKE_WAIT_SECONDS * 1000) == 1 && eventfd_read(fd.fd, &count) == 0;
}

void kernel_vhost_call(KernelVhost *fake, unsigned ring) {
        int r = eventfd_write(fake->rings[ring].call_fd, 1);

        assert(r == 0);
}

void kernel_vhost_fail(KernelVhost *fake, unsigned ring) {
        int r = eventfd_write(fake->rings[ring].error_fd, 1);

        assert(r == 0);
}
