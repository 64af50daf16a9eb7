/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "base/clock.h"
#include "vmm/vsock/muxer_internal.h"

/*
 * Who waits for the other side does not wait for ever. All wait equally long, so that the ring of those who wait is in
 * the order of their ends, and one timer is enough.
 */

static VsockConn *first_waiting(const VsockMuxer *muxer) {
        return vsock_link_is_linked(&muxer->waiting)
                       ? CONTAINER_OF(muxer->waiting.next, VsockConn, wait)
                       : NULL;
}

static void arm(VsockMuxer *muxer) {
        const VsockConn *conn = first_waiting(muxer);

        if (conn)
                (void) loop_set_timer(muxer->patience, conn->wait_until_nsec);
}

static void ended(void *userdata) {
        VsockMuxer *muxer = userdata;
        uint64_t now = clock_monotonic_nsec();
        VsockConn *conn;

        muxer->ops->enter(muxer->device);
        while ((conn = first_waiting(muxer)) && conn->wait_until_nsec <= now)
                vsock_conn_reset(conn);
        arm(muxer);
        muxer->ops->leave(muxer->device);
}

/** vsock_patience_init() - make the timer. Return: 0 or negative errno. */
int vsock_patience_init(VsockMuxer *muxer) {
        return loop_add_timer(muxer->loop, ended, muxer, &muxer->patience);
}

/** vsock_patience_start() - reset @conn unless vsock_patience_end() comes in time */
void vsock_patience_start(VsockConn *conn) {
        VsockMuxer *muxer = conn->muxer;
        bool alone = !vsock_link_is_linked(&muxer->waiting);

        vsock_patience_end(conn);
        conn->wait_until_nsec = clock_monotonic_nsec() + VSOCK_PATIENCE_NSEC;
        vsock_link_append(&muxer->waiting, &conn->wait);
        if (alone)
                arm(muxer);
}

/** vsock_patience_end() - what was awaited has come; a timer that fires for nothing does no harm */
void vsock_patience_end(VsockConn *conn) {
        vsock_link_remove(&conn->wait);
}
