/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/iov.h"
#include "base/le.h"
#include "vmm/virtio/net_internal.h"

/*
 * Frames for the guest. How long a frame is, the kernel tells only together with the frame, so receive buffers for the
 * longest one are taken beforehand and the frame is read straight into them; buffers that it did not need stay for the
 * next. While the driver has offered less than that, the end of a long frame spills into memory of ours, and the
 * frame waits there for more buffers. A frame that can never get enough is dropped, as a full wire would.
 */

static VirtQueue *rx_queue(VirtioNet *net, unsigned pair) {
        return net->dev.queues + 2 * pair;
}

static bool mergeable(const VirtioNet *net) {
        return virtio_device_has(&net->dev, NET_F_MRG_RXBUF);
}

static void forget(NetRx *rx) {
        rx->n_chains = rx->n_iov = 0;
        rx->len = rx->frame_len = rx->direct = 0;
}

/** virtio_net_forget_buffers() - after a reset: no buffer of the driver is kept, no frame is half done */
void virtio_net_forget_buffers(VirtioNet *net) {
        for (unsigned i = 0; i < net->net->n_pairs; i++)
                forget(&net->rx[i]);
}

/**
 * virtio_net_return_buffers() - the driver has all buffers that no frame is in, as if they had not been taken yet
 *
 * A frame whose end is still to be put into buffers is lost. Those that wait were taken last and stand in order, unless
 * the driver has offered some that hold nothing: such a driver gets a buffer back twice, or none any more.
 */
void virtio_net_return_buffers(VirtioNet *net) {
        for (unsigned i = 0; i < net->net->n_pairs; i++) {
                for (unsigned k = net->rx[i].n_chains; !net->in_kernel[i] && k > 0; k--)
                        virtq_unpop(rx_queue(net, i), net->rx[i].chains[k - 1].head);
                forget(&net->rx[i]);
        }
}

/* No more buffers are taken: enough, or all that a short ring can hold. */
static bool is_full(VirtioNet *net, unsigned pair) {
        const NetRx *rx = &net->rx[pair];
        unsigned most = MIN(NET_RX_CHAINS_MAX, (unsigned) rx_queue(net, pair)->size);

        return rx->n_chains >= (mergeable(net) ? most : 1u);
}

static void add_chain(VirtioNet *net, unsigned pair, const VirtqChain *chain) {
        NetRx *rx = &net->rx[pair];
        unsigned n = MIN((unsigned) chain->n_in, NET_RX_IOV_MAX - rx->n_iov);
        uint32_t len = 0;

        for (unsigned i = 0; i < n; i++) {
                rx->iov[rx->n_iov] = chain->iov[chain->n_out + i];
                len += (uint32_t) rx->iov[rx->n_iov++].iov_len;
        }
        if (len == 0) {
                virtq_push(rx_queue(net, pair), chain->head, 0); /* holds nothing */
                return;
        }
        rx->chains[rx->n_chains++] = (NetRxChain){.head = chain->head, .len = len};
        rx->len += len;
}

/*
 * Takes buffers until there are @need bytes of them. The driver is asked to tell of more only when it has offered too
 * few. Return: 0; VIRTQ_E_EMPTY when there are fewer; VIRTQ_E_BROKEN.
 */
static int take_buffers(VirtioNet *net, unsigned pair, size_t need) {
        VirtQueue *queue = rx_queue(net, pair);
        NetRx *rx = &net->rx[pair];
        unsigned budget = queue->size;
        VirtqChain chain;
        int r;

        while (rx->len < need && !is_full(net, pair) && rx->n_iov < NET_RX_IOV_MAX) {
                if (budget-- == 0)
                        return VIRTQ_E_EMPTY;
                r = virtio_device_pop(&net->dev, 2 * pair, &chain);
                if (r == VIRTQ_E_EMPTY) {
                        if (virtq_want_notify(queue))
                                continue;
                        return r;
                }
                if (r != 0)
                        return r;
                add_chain(net, pair, &chain);
        }
        virtq_stop_notify(queue);
        return 0;
}

static void drop_iov(NetRx *rx, size_t len) {
        size_t kept = rx->len - len;

        rx->n_iov = iov_slice(rx->iov, rx->n_iov, len, kept, rx->iov);
        rx->len = kept;
}

/* Gives the buffers that a frame of @len bytes fills to the driver. */
static void give_frame(VirtioNet *net, unsigned pair, size_t len) {
        NetRx *rx = &net->rx[pair];
        size_t left = len, used = 0;
        unsigned n = 0;
        uint8_t count[2];

        for (; left > 0; n++) {
                uint32_t part = (uint32_t) MIN((size_t) rx->chains[n].len, left);

                left -= part;
                used += rx->chains[n].len;
        }
        le16_store(count, (uint16_t) n);
        iov_scatter(rx->iov, rx->n_iov, NET_HEADER_NUM_BUFFERS, count, sizeof(count));
        for (unsigned i = 0; i < n; i++) {
                uint32_t part = (uint32_t) MIN((size_t) rx->chains[i].len, len);

                virtq_push(rx_queue(net, pair), rx->chains[i].head, part);
                len -= part;
        }
        rx->n_chains -= n;
        for (unsigned i = 0; i < rx->n_chains; i++)
                rx->chains[i] = rx->chains[i + n];
        drop_iov(rx, used);
}

/* Goes on with the frame whose end is in the spill. Return: whether it still waits. */
static bool finish_spilled(VirtioNet *net, unsigned pair) {
        NetRx *rx = &net->rx[pair];
        size_t len = rx->frame_len;

        if (len == 0)
                return false;
        if (take_buffers(net, pair, len) != 0)
                return true;
        rx->frame_len = 0;
        if (rx->len < len)
                return false; /* the most buffers that we take do not hold it: dropped */
        iov_scatter(rx->iov, rx->n_iov, rx->direct, rx->spill, len - rx->direct);
        give_frame(net, pair, len);
        return false;
}

static int add_spill(NetRx *rx, unsigned *ret_n) {
        if (!rx->spill) {
                rx->spill = malloc(NET_FRAME_MAX);
                if (!rx->spill)
                        return -ENOMEM;
        }
        rx->iov[rx->n_iov] = (struct iovec){.iov_base = rx->spill, .iov_len = NET_FRAME_MAX};
        *ret_n = rx->n_iov + 1;
        return 0;
}

/* Return: 0 when a frame was taken from the backend; -EAGAIN and others when none was. */
static int receive_frame(VirtioNet *net, unsigned pair) {
        NetRx *rx = &net->rx[pair];
        unsigned n = rx->n_iov;
        size_t len;
        int r;

        if (rx->len < NET_FRAME_MAX) {
                r = add_spill(rx, &n);
                if (r < 0)
                        return r;
        }
        r = net->net->ops->receive(net->net, pair, rx->iov, n, &len);
        if (r < 0)
                return r;
        if (net->unplugged || len <= NET_HEADER_LEN || len > NET_FRAME_MAX)
                return 0; /* nothing that the guest could use */
        if (len <= rx->len) {
                give_frame(net, pair, len);
                return 0;
        }
        rx->frame_len = len;
        rx->direct = rx->len;
        (void) finish_spilled(net, pair);
        return 0;
}

static void watch(VirtioNet *net, unsigned pair, bool on) {
        if (net->rx[pair].watched == on)
                return;
        net->rx[pair].watched = on;
        net->net->ops->watch(net->net, pair, on);
}

/** virtio_net_stop_receiving() - somebody else takes the frames of @pair from the backend, and the buffers that wait */
void virtio_net_stop_receiving(VirtioNet *net, unsigned pair) {
        forget(&net->rx[pair]);
        watch(net, pair, false);
}

/** virtio_net_receive() - move frames of @pair from the backend to the driver, a bounded number of them */
void virtio_net_receive(VirtioNet *net, unsigned pair) {
        unsigned done = 0;
        bool starved = !net->dev.running || net->suspended || pair >= net->n_active ||
                       !rx_queue(net, pair)->enabled;

        if (net->in_kernel[pair])
                return;
        for (; !starved && done < NET_BATCH; done++) {
                int r;

                /* A frame that needs more than is offered spills; with no buffer at all it had better wait outside. */
                starved = finish_spilled(net, pair) ||
                          (take_buffers(net, pair, NET_FRAME_MAX) != 0 && net->rx[pair].len == 0);
                if (starved || !net->dev.running)
                        break;
                r = receive_frame(net, pair);
                if (r < 0)
                        break;
        }
        if (done == NET_BATCH)
                virtio_device_kick(&net->dev,
                                   2 * pair); /* the backend may hold more than the loop can see */
        watch(net, pair, !starved && net->dev.running);
        if (net->dev.running && rx_queue(net, pair)->enabled)
                virtio_device_interrupt(&net->dev, 2 * pair);
}
