/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/vhost/vhost.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/vhost.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include "base/fd.h"
#include "base/fd_path.h"

typedef struct Ring {
        Vhost *vhost; /* owner */
        unsigned index;
        int error_fd;       /* owned eventfd, from the first vhost_ring_set() on */
        LoopSource *source; /* owned */
} Ring;

struct Vhost {
        VhostConfig config;
        int fd; /* owned */
        uint64_t features;
        bool owned; /* the kernel's worker exists and uses our memory */
        VhostErrorFn error;
        void *userdata; /* weak */
        Ring rings[VHOST_RINGS_MAX];
};

static int kernel_control(int fd, unsigned long request, void *argument) {
        return ioctl(fd, request, argument) < 0 ? -errno : 0;
}

const VhostOps vhost_kernel_ops = {.control = kernel_control};

static int control(Vhost *vhost, unsigned long request, void *argument) {
        return vhost->config.ops->control(vhost->fd, request, argument);
}

/* ---- life ---- */

/** vhost_open() - open a vhost device, or duplicate /proc/self/fd/N. Return: 0; negative errno with a sentence. */
int vhost_open(const char *path, int *ret, TextError *reterr) {
        int fd = fd_path_open(path, O_RDWR, 0);

        if (fd < 0)
                return text_error_set(reterr, fd, "cannot open %s: %s", path, strerror(-fd));
        *ret = fd;
        return 0;
}

/**
 * vhost_new_consume() - a vhost device that nobody uses yet
 * @fd:  consumed, on failure too
 *
 * Return: 0; negative errno with a sentence when @fd is no vhost device.
 */
int vhost_new_consume(int fd, const VhostConfig *config, Vhost **ret, TextError *reterr) {
        _cleanup_(vhost_freep) Vhost *vhost = calloc(1, sizeof(*vhost));
        int r;

        if (!vhost) {
                (void) fd_close(fd);
                return -ENOMEM;
        }
        vhost->config = *config;
        vhost->fd = fd;
        for (unsigned i = 0; i < VHOST_RINGS_MAX; i++)
                vhost->rings[i] = (Ring){.vhost = vhost, .index = i, .error_fd = -EBADF};
        r = control(vhost, VHOST_GET_FEATURES, &vhost->features);
        if (r < 0)
                return text_error_set(reterr, r, "descriptor %d is no vhost device: %s", fd,
                                      strerror(-r));
        *ret = TAKE(vhost);
        return 0;
}

/** vhost_free() - the kernel lets go of rings, eventfds and whatever they were attached to; NULL is fine */
Vhost *vhost_free(Vhost *vhost) {
        if (!vhost)
                return NULL;
        (void) fd_close(vhost->fd);
        for (unsigned i = 0; i < VHOST_RINGS_MAX; i++) {
                (void) loop_remove(vhost->rings[i].source);
                (void) fd_close(vhost->rings[i].error_fd);
        }
        free(vhost);
        return NULL;
}

/** vhost_set_handler() - who hears of errors in rings; before vhost_begin() */
void vhost_set_handler(Vhost *vhost, VhostErrorFn error, void *userdata) {
        vhost->error = error;
        vhost->userdata = userdata;
}

/** vhost_features() - virtio features, those of the rings and of the device, that the kernel can serve */
uint64_t vhost_features(const Vhost *vhost) {
        return vhost->features;
}

/* ---- memory and rings ---- */

/* Guest addresses in rings mean our addresses; what is in no region, the kernel does not touch. */
static int set_memory(Vhost *vhost) {
        const GuestMem *mem = vhost->config.mem;
        const unsigned n = mem->n_regions + mem->n_files;
        union {
                struct vhost_memory memory;
                uint8_t room[sizeof(struct vhost_memory) +
                             GUEST_MEM_REGIONS_MAX * sizeof(struct vhost_memory_region)];
        } table = {.memory.nregions = n};

        for (unsigned i = 0; i < n; i++)
                table.memory.regions[i] = (struct vhost_memory_region){
                        .guest_phys_addr = mem->regions[i].gpa,
                        .memory_size = mem->regions[i].size_bytes,
                        .userspace_addr = (uintptr_t) mem->regions[i].host,
                };
        return control(vhost, VHOST_SET_MEM_TABLE, &table);
}

/**
 * vhost_begin() - the driver accepted @features; rings are set up next. While none is served.
 * @features:  those of vhost_features() that the driver accepted
 *
 * Return: 0; negative errno.
 */
int vhost_begin(Vhost *vhost, uint64_t features) {
        int r;

        assert((features & ~vhost->features) == 0);

        if (!vhost->owned) {
                r = control(vhost, VHOST_SET_OWNER, NULL);
                if (r < 0)
                        return r;
                vhost->owned = true;
        }
        r = control(vhost, VHOST_SET_FEATURES, &features);
        return r < 0 ? r : set_memory(vhost);
}

static void on_error(void *userdata, int fd, uint32_t events) {
        const Ring *ring = userdata;
        eventfd_t count;

        (void) eventfd_read(fd, &count);
        if (ring->vhost->error)
                ring->vhost->error(ring->vhost->userdata, ring->index);
}

static int watch_errors(Ring *ring) {
        int r;

        if (ring->source)
                return 0;
        ring->error_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (ring->error_fd < 0)
                return -errno;
        r = loop_add_fd(ring->vhost->config.loop, ring->error_fd, EPOLLIN, on_error, ring,
                        &ring->source);
        if (r < 0)
                ring->error_fd = fd_close(ring->error_fd);
        return r;
}

static int set_number(Vhost *vhost, unsigned long request, unsigned index, unsigned number) {
        struct vhost_vring_state state = {.index = index, .num = number};

        return control(vhost, request, &state);
}

static int set_file(Vhost *vhost, unsigned long request, unsigned index, int fd) {
        struct vhost_vring_file file = {.index = index, .fd = fd};

        return control(vhost, request, &file);
}

static int set_addresses(Vhost *vhost, unsigned index, const VhostRingSetup *ring) {
        struct vhost_vring_addr address = {
                .index = index,
                .desc_user_addr = (uintptr_t) ring->desc,
                .avail_user_addr = (uintptr_t) ring->avail,
                .used_user_addr = (uintptr_t) ring->used,
        };

        return control(vhost, VHOST_SET_VRING_ADDR, &address);
}

/**
 * vhost_ring_set() - where ring @index is and who is told of what. Not while it is served.
 *
 * Return: 0; negative errno.
 */
int vhost_ring_set(Vhost *vhost, unsigned index, const VhostRingSetup *ring) {
        int r;

        assert(index < VHOST_RINGS_MAX);

        r = watch_errors(&vhost->rings[index]);
        if (r < 0)
                return r;
        r = set_number(vhost, VHOST_SET_VRING_NUM, index, ring->size);
        if (r < 0)
                return r;
        r = set_number(vhost, VHOST_SET_VRING_BASE, index, ring->base);
        if (r < 0)
                return r;
        r = set_addresses(vhost, index, ring);
        if (r < 0)
                return r;
        r = set_file(vhost, VHOST_SET_VRING_ERR, index, vhost->rings[index].error_fd);
        if (r < 0)
                return r;
        r = set_file(vhost, VHOST_SET_VRING_CALL, index, ring->call_fd);
        if (r < 0)
                return r;
        return set_file(vhost, VHOST_SET_VRING_KICK, index, ring->kick_fd);
}

/** vhost_ring_base() - the next available entry that the kernel did not take. While it does not serve the ring. */
int vhost_ring_base(Vhost *vhost, unsigned index, uint16_t *ret) {
        struct vhost_vring_state state = {.index = index};
        int r;

        r = control(vhost, VHOST_GET_VRING_BASE, &state);
        if (r < 0)
                return r;
        *ret = (uint16_t) state.num;
        return 0;
}

/* ---- what each kind does ---- */

/**
 * vhost_net_attach() - have the kernel move frames between @ring, 0 receives and 1 transmits, and a TAP queue
 * @tap_fd:  borrowed for the call; -1 = stop: frames wait in the TAP queue, and none is under way on return
 */
int vhost_net_attach(Vhost *vhost, unsigned ring, int tap_fd) {
        return set_file(vhost, VHOST_NET_SET_BACKEND, ring, tap_fd);
}

/**
 * vhost_vsock_set_cid() - the guest's address, under which the host's kernel knows it until the device is freed
 *
 * Return: 0; -EADDRINUSE when another VM of the host has it, other negative errno; with a sentence.
 */
int vhost_vsock_set_cid(Vhost *vhost, uint64_t cid, TextError *reterr) {
        int r = control(vhost, VHOST_VSOCK_SET_GUEST_CID, &cid);

        if (r == -EADDRINUSE)
                return text_error_set(reterr, r,
                                      "context id %" PRIu64 " belongs to another VM of this host",
                                      cid);
        return r < 0 ? text_error_set(reterr, r,
                                      "the host's kernel refuses context id %" PRIu64 ": %s", cid,
                                      strerror(-r))
                     : 0;
}

/** vhost_vsock_set_running() - have the kernel serve both rings, or stop: none is touched any more on return */
int vhost_vsock_set_running(Vhost *vhost, bool running) {
        int value = running;

        return control(vhost, VHOST_VSOCK_SET_RUNNING, &value);
}
