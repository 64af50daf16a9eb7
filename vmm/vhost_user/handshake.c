/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/le.h"
#include "vmm/vhost_user/vhost_user_internal.h"

/*
 * What is agreed with the process while the machine is built: features, the number of queues, the device's
 * configuration and the memory. Each answer is waited for, five seconds for all.
 */

#define PROTOCOL_F_MQ (UINT64_C(1) << 0)
#define PROTOCOL_F_BACKEND_REQ (UINT64_C(1) << 5)
#define PROTOCOL_F_CONFIG (UINT64_C(1) << 9)

#define MEM_TABLE_HEADER 8u
#define MEM_REGION_LEN 32u

/* Guest physical address that the rings are told to have, where no guest can have memory. */
#define RINGS_GPA (UINT64_C(1) << 56)

/* Of one handshake. */
typedef struct Handshake {
        VhostUser *vhost;
        const VhostUserConfig *config;
        uint64_t deadline_nsec;
        uint64_t features; /* all that the process offers */
        uint64_t protocol; /* features that both sides know */
        TextError *reterr;
} Handshake;

static int ask_u64(const Handshake *shake, VhostRequest request, uint64_t *ret) {
        int fd = shake->vhost->fd, r;
        uint8_t payload[8];

        r = vhost_message_send(fd, request, NULL, 0, NULL, 0);
        if (r == 0)
                r = vhost_message_receive(fd, request, payload, sizeof(payload),
                                          shake->deadline_nsec);
        if (r < 0)
                return r;
        *ret = le64_load(payload);
        return 0;
}

static int tell_u64(const Handshake *shake, VhostRequest request, uint64_t value) {
        uint8_t payload[8];

        le64_store(payload, value);
        return vhost_message_send(shake->vhost->fd, request, payload, sizeof(payload), NULL, 0);
}

static int agree_protocol(Handshake *shake) {
        uint64_t wanted = PROTOCOL_F_MQ, protocol;
        int r;

        if (shake->config->config_len > 0)
                wanted |= PROTOCOL_F_CONFIG;
        r = ask_u64(shake, VHOST_GET_PROTOCOL_FEATURES, &protocol);
        if (r < 0)
                return r;
        if (wanted & protocol & PROTOCOL_F_CONFIG)
                wanted |= PROTOCOL_F_BACKEND_REQ; /* to hear of its changes */
        shake->protocol = protocol & wanted;
        return tell_u64(shake, VHOST_SET_PROTOCOL_FEATURES, shake->protocol);
}

static void make_queues(VhostUser *vhost, unsigned n) {
        for (unsigned i = 0; i < n; i++) {
                vhost->queues[i].vhost = vhost;
                vhost->queues[i].index = i;
                vhost->queues[i].kick_fd = vhost->queues[i].call_fd = -EBADF;
        }
        vhost->n_queues = n;
}

static int agree_queues(Handshake *shake) {
        const VhostUserConfig *config = shake->config;
        uint64_t n = config->min_queues;
        int r;

        if (shake->protocol & PROTOCOL_F_MQ) {
                r = ask_u64(shake, VHOST_GET_QUEUE_NUM, &n);
                if (r < 0)
                        return r;
        }
        if (n < config->min_queues)
                return text_error_set(shake->reterr, -EPROTO, "it has %llu queues, not %u",
                                      (unsigned long long) n, config->min_queues);
        make_queues(shake->vhost, (unsigned) MIN(n, (uint64_t) config->max_queues));
        return 0;
}

static int agree_features(Handshake *shake) {
        VhostUser *vhost = shake->vhost;
        int r;

        r = ask_u64(shake, VHOST_GET_FEATURES, &shake->features);
        if (r < 0)
                return r;
        if (!(shake->features & VHOST_F_VERSION_1))
                return text_error_set(shake->reterr, -EPROTO, "it does not speak virtio 1");
        vhost->features = shake->features & shake->config->features;
        vhost->enables = shake->features & VHOST_F_PROTOCOL_FEATURES;
        r = vhost_message_send(vhost->fd, VHOST_SET_OWNER, NULL, 0, NULL, 0);
        if (r == 0 && vhost->enables)
                r = agree_protocol(shake);
        if (r == 0)
                r = agree_queues(shake);
        return r < 0 ? r
                     : tell_u64(shake, VHOST_SET_FEATURES,
                                shake->features & (VHOST_F_VERSION_1 | VHOST_F_PROTOCOL_FEATURES));
}

/* ---- configuration ---- */

/* A socket on which the process says that its configuration has changed. */
static int give_back_channel(Handshake *shake) {
        int fds[2], r;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
                return -errno;
        shake->vhost->back_fd = fds[0];
        r = vhost_message_send(shake->vhost->fd, VHOST_SET_BACKEND_REQ_FD, NULL, 0, &fds[1], 1);
        (void) fd_close(fds[1]);
        return r;
}

static int read_config(Handshake *shake) {
        uint8_t payload[VHOST_CONFIG_HEADER_LEN + VHOST_USER_CONFIG_MAX] = {0};
        size_t len = VHOST_CONFIG_HEADER_LEN + shake->config->config_len;
        VhostUser *vhost = shake->vhost;
        int r;

        le32_store(payload + 4, (uint32_t) shake->config->config_len);
        r = vhost_message_send(vhost->fd, VHOST_GET_CONFIG, payload, len, NULL, 0);
        if (r == 0)
                r = vhost_message_receive(vhost->fd, VHOST_GET_CONFIG, payload, len,
                                          shake->deadline_nsec);
        if (r < 0)
                return text_error_set(shake->reterr, r,
                                      "it does not tell %zu bytes of configuration: %s",
                                      shake->config->config_len, strerror(-r));
        if (le32_load(payload) != 0 || le32_load(payload + 4) != shake->config->config_len)
                return text_error_set(shake->reterr, -EPROTO,
                                      "it tells another part of its configuration than asked for");
        vhost->config_len = shake->config->config_len;
        memcpy(vhost->config, payload + VHOST_CONFIG_HEADER_LEN, vhost->config_len);
        return 0;
}

/* ---- memory ---- */

static int make_rings(VhostUser *vhost) {
        size_t size = vhost_user_rings_bytes(vhost);
        void *map;

        vhost->rings_fd = memfd_create("vhost_user_rings", MFD_CLOEXEC);
        if (vhost->rings_fd < 0 || ftruncate(vhost->rings_fd, (off_t) size) < 0)
                return -errno;
        map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vhost->rings_fd, 0);
        if (map == MAP_FAILED)
                return -errno;
        vhost->rings = map;
        for (unsigned i = 0; i < vhost->n_queues; i++)
                vhost_ring_init(&vhost->queues[i].ring,
                                vhost->rings + (size_t) i * VHOST_RING_BYTES, vhost->ring_size,
                                vhost->mem);
        return 0;
}

static void put_region(uint8_t *p, gpa_t gpa, uint64_t size, const void *host, uint64_t offset) {
        le64_store(p, gpa);
        le64_store(p + 8, size);
        le64_store(p + 16, (uint64_t) (uintptr_t) host);
        le64_store(p + 24, offset);
}

/* RAM and the rings, each a part of a memfd. RAM that consists of files besides is not for processes. */
static int tell_memory(const Handshake *shake) {
        uint8_t table[MEM_TABLE_HEADER + MEM_REGION_LEN * VHOST_FDS_MAX] = {0};
        const VhostUser *vhost = shake->vhost;
        const GuestMem *mem = vhost->mem;
        int fds[VHOST_FDS_MAX];
        unsigned n = mem->n_regions;
        uint8_t *p = table + MEM_TABLE_HEADER;

        if (n >= VHOST_FDS_MAX)
                return text_error_set(shake->reterr, -E2BIG, "it cannot have so much memory");
        for (unsigned i = 0; i < n; i++, p += MEM_REGION_LEN) {
                const GuestRegion *region = &mem->regions[i];

                put_region(p, region->gpa, region->size_bytes, region->host, region->file_offset);
                fds[i] = mem->fd;
        }
        put_region(p, RINGS_GPA, vhost_user_rings_bytes(vhost), vhost->rings, 0);
        fds[n] = vhost->rings_fd;
        le32_store(table, n + 1);
        return vhost_message_send(vhost->fd, VHOST_SET_MEM_TABLE, table,
                                  MEM_TABLE_HEADER + MEM_REGION_LEN * (n + 1), fds, n + 1);
}

/** vhost_user_shake_hands() - agree on all that does not depend on the guest. Return: 0; negative errno, maybe with a sentence. */
int vhost_user_shake_hands(VhostUser *vhost, const VhostUserConfig *config, TextError *reterr) {
        Handshake shake = {
                .vhost = vhost,
                .config = config,
                .deadline_nsec = clock_monotonic_nsec() + VHOST_USER_ANSWER_NSEC,
                .reterr = reterr,
        };
        uint64_t still_there;
        int r;

        r = agree_features(&shake);
        if (r == 0 && (shake.protocol & PROTOCOL_F_BACKEND_REQ))
                r = give_back_channel(&shake);
        if (r == 0 && (shake.protocol & PROTOCOL_F_CONFIG))
                r = read_config(&shake);
        if (r == 0)
                r = make_rings(vhost);
        if (r == 0)
                r = tell_memory(&shake);
        /* What was only told may have been refused; a process that answers once more has taken it. */
        return r < 0 ? r : ask_u64(&shake, VHOST_GET_FEATURES, &still_there);
}
