/* SPDX-License-Identifier: Apache-2.0 */

/* A balloon between a guest that does what it likes and a peer that says what it likes, reads late or never, and goes. */

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "tests/fake/vmm_virtio_fuzz.h"
#include "vmm/machine/balloon_tube.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ACT_ADJUST, ACT_STATS, ACT_WORKING_SET, ACT_BYTES, ACT_READ, ACT_LONG, ACT_CLOSE, ACTS };

static void say(int peer, const void *message, size_t len) {
        (void) send(peer, message, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void peer_acts(void *userdata, unsigned queue, uint32_t offset, uint64_t value) {
        char message[2 * BALLOON_MESSAGE_MAX] = "";
        int *peer = userdata;

        switch (offset % ACTS) {
        case ACT_ADJUST:
                (void) snprintf(message, sizeof(message),
                                "{\"Adjust\":{\"num_bytes\":%llu,\"allow_failure\":%s}}",
                                (unsigned long long) value, queue & 1 ? "true" : "false");
                say(*peer, message, strlen(message));
                break;
        case ACT_STATS:
                say(*peer, "\"Stats\"", 7);
                break;
        case ACT_WORKING_SET:
                say(*peer, "\"WorkingSet\"", 12);
                break;
        case ACT_BYTES:
                say(*peer, &value, 1 + queue % sizeof(value));
                break;
        case ACT_READ:
                (void) recv(*peer, message, sizeof(message), MSG_DONTWAIT);
                break;
        case ACT_LONG:
                say(*peer, message, value % sizeof(message));
                break;
        default:
                *peer = fd_close(*peer);
                break;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        VirtioBalloonConfig config = {
                .stats = balloon_tube_got_stats,
                .resized = balloon_tube_resized,
                .served = balloon_tube_served,
        };
        BalloonTube *tube;
        VirtioDevice *dev;
        FuzzedDevice f;
        int fds[2], r;

        fuzzed_init(&f);
        r = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds);
        assert(r == 0);
        r = balloon_tube_new_consume(f.board->loop, fds[1], "fuzz", FAKE_MEM_BYTES, &tube);
        assert(r == 0);
        config.loop = f.board->loop;
        config.userdata = tube;
        r = virtio_balloon_new(&config, &dev);
        assert(r == 0);
        balloon_tube_set_device(tube, dev);
        fuzzed_attach(&f, dev);
        fuzzed_run(&f, data, size, peer_acts, &fds[0]);
        (void) balloon_tube_free(tube);
        fuzzed_deinit(&f);
        (void) fd_close(fds[0]);
        return 0;
}
