/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fake/vmm_vhost_guest.h"

#include <stdlib.h>

#define SLOT 1u

int vhost_guest_setup(void **state) {
        VhostGuest *guest = calloc(1, sizeof(*guest));

        if (!guest)
                return -1;
        guest->board = fake_board_new(FAKE_DOORBELLS | FAKE_ROUTES);
        guest->out = fake_alloc(guest->board, 4096);
        guest->in = fake_alloc(guest->board, 4096);
        fake_vhost_init(&guest->process);
        *state = guest;
        return 0;
}

int vhost_guest_teardown(void **state) {
        VhostGuest *guest = *state;

        fake_board_free(guest->board);
        fake_vhost_deinit(&guest->process);
        free(guest);
        return 0;
}

/** vhost_guest_attach() - @dev, consumed, is there and its loop runs; the driver has only found it */
void vhost_guest_attach(VhostGuest *guest, VirtioDevice *dev) {
        fake_board_add(guest->board, dev, SLOT);
        fake_driver_probe(&guest->driver, guest->board, SLOT);
        fake_board_run(guest->board);
}

/** vhost_guest_ask() - offer a request of so many bytes at .out, with room for so many at .in, and notify */
void vhost_guest_ask(VhostGuest *guest, unsigned queue, uint32_t out_len, uint32_t in_len) {
        const FakeBuffer buffers[] = {{guest->out, out_len, false}, {guest->in, in_len, true}};

        (void) fake_queue_add(guest->driver.queues + queue, buffers, 2);
        fake_queue_kick(guest->driver.queues + queue);
}
