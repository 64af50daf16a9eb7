/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a vhost-user process may answer: the first half of the input is its side of the handshake, already in the socket, and
 * what it says later if the handshake succeeds; the second half is what a process that was agreed with says on its back
 * channel, and what it writes into the used ring. Input: one byte that says how many more bytes are the first half.
 */

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "tests/fake/vmm_vhost_fake.h"
#include "vmm/vhost_user/message.h"
#include "vmm/vhost_user/ring.h"
#include "vmm/vhost_user/vhost_user.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEM_BYTES (UINT64_C(1) << 20)
#define REQUESTS 16u
#define CONFIG_LEN 8u

static void end_loop(void *userdata, const char *cause) {
        loop_exit(userdata);
}

/* Asks what may be asked, and hears the process to its end. */
static void converse(VhostUser *vhost, Loop *loop) {
        size_t len;

        vhost_user_set_handler(vhost, &(VhostUserHandler){.gone = end_loop, .userdata = loop});
        (void) vhost_user_set_features(vhost, 1);
        for (unsigned i = 0; i < 2; i++)
                (void) vhost_user_start(vhost, i);
        (void) vhost_user_config(vhost, &len);
        if (len > 0)
                (void) vhost_user_write_config(vhost, 1, "x", 1);
        (void) vhost_user_stop(vhost);
        (void) loop_run(loop);
}

/* A process that began well, and then says the input on its back channel and hangs up. */
static void fuzz_back_channel(const GuestMem *mem, const uint8_t *data, size_t size) {
        const FakeVhostOptions options = {
                .n_queues = 2, .config = (const uint8_t *) "config..", .config_len = CONFIG_LEN};
        VhostUserConfig config = {
                .mem = mem, .min_queues = 2, .max_queues = 2, .config_len = CONFIG_LEN};
        _cleanup_(loop_freep) Loop *loop = NULL;
        _cleanup_(vhost_user_freep) VhostUser *vhost = NULL;
        FakeVhost fake;
        int r;

        r = loop_new(&loop);
        assert(r == 0);
        config.loop = loop;
        r = vhost_user_new_consume(fake_vhost_connect_as(&fake, &options), &config, &vhost, NULL);
        assert(r == 0);
        fake_vhost_meet(&fake);
        (void) !write(fake.back_fd, data, MIN(size, (size_t) 4096));
        (void) shutdown(fake.back_fd, SHUT_WR);
        converse(vhost, loop);
        fake_vhost_deinit(&fake);
}

/* The process has said everything and hung up, so that nobody waits for it. */
static void fuzz_handshake(const GuestMem *mem, const uint8_t *data, size_t size) {
        VhostUserConfig config = {
                .mem = mem, .min_queues = 2, .max_queues = 2, .config_len = CONFIG_LEN};
        _cleanup_(loop_freep) Loop *loop = NULL;
        _cleanup_(vhost_user_freep) VhostUser *vhost = NULL;
        _cleanup_(text_error_deinit) TextError error = {0};
        int fds[2], r;

        r = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
        assert(r == 0);
        r = loop_new(&loop);
        assert(r == 0);
        config.loop = loop;
        (void) !write(fds[1], data, size);
        (void) shutdown(fds[1], SHUT_WR);
        if (vhost_user_new_consume(fds[0], &config, &vhost, &error) == 0)
                converse(vhost, loop);
        (void) fd_close(fds[1]);
}

static void fuzz_ring(const GuestMem *mem, const uint8_t *data, size_t size) {
        uint8_t *shared = aligned_alloc(4096, VHOST_RING_BYTES);
        struct iovec iov[2] = {{mem->base, 100}, {mem->base + 4096, 200}};
        VhostRing *ring = malloc(sizeof(*ring));
        unsigned open = 0;

        assert(shared && ring);
        memset(shared, 0, VHOST_RING_BYTES);
        vhost_ring_init(ring, shared, VHOST_USER_RING_SIZE, mem);
        for (unsigned i = 0; i < REQUESTS; i++, open++)
                assert(vhost_ring_add(ring, (uint16_t) i, iov, 1, 1) == 0); /* NOLINT */
        memcpy(shared + VHOST_RING_USED, data, size < 8192 ? size : 8192);
        for (;;) {
                VhostUserDone done;

                if (vhost_ring_take(ring, &done) != 0)
                        break;
                assert(done.tag < REQUESTS && done.written <= 200 && open > 0);
                open--;
        }
        free(ring);
        free(shared);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static GuestMem *mem;
        size_t first;

        if (!mem) {
                int r = guest_mem_new(MEM_BYTES, &mem);

                assert(r == 0);
        }
        if (size < 1)
                return 0;
        first = (size_t) data[0] < size - 1 ? data[0] : size - 1;
        fuzz_handshake(mem, data + 1, first);
        fuzz_back_channel(mem, data + 1 + first, size - 1 - first);
        fuzz_ring(mem, data + 1 + first, size - 1 - first);
        return 0;
}
