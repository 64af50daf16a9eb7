/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/iov.h"
#include "vmm/virtio/devices.h"

/*
 * The console device (virtio 1.2 section 5.3) with one port and no further features: one device per hvcN, as crosvm
 * does it. The host side is a CharDev, which never blocks on output and holds input back while there is no buffer.
 *
 * Input is also held back until the guest has sent something: Linux offers receive buffers before its port is on the
 * list where the interrupt looks for it, and throws away what arrives until then.
 */

#define QUEUE_RECEIVE 0u
#define QUEUE_TRANSMIT 1u

/* Linux fills the receive queue with one page an entry, so it is kept short. */
#define RECEIVE_SIZE 8u
#define TRANSMIT_SIZE 32u

/* Bytes taken of one request: bounds the time that one takes. Linux sends less than a page; the rest is dropped. */
#define TRANSMIT_MAX (64u * 1024u)

typedef struct VirtioConsole {
        VirtioDevice dev;
        CharDev *chardev;   /* borrowed */
        bool suspended;     /* input waits */
        bool spoken;        /* the guest has sent something since the last reset */
        uint8_t config[12]; /* cols, rows, max_nr_ports, emerg_wr: nothing that was offered */
} VirtioConsole;

/*
 * Puts input into receive buffers while there are any; the driver is asked to tell of more when they run out. Buffers
 * that hold nothing, and a driver that offers and takes back, must not keep us: then the rest has another turn.
 */
static size_t fill_buffers(VirtioConsole *console, const uint8_t *data, size_t len) {
        VirtQueue *queue = console->dev.queues + QUEUE_RECEIVE;
        unsigned budget = 2u * queue->size;
        size_t done = 0;

        while (done < len) {
                VirtqChain chain;
                size_t n;
                int r;

                if (budget-- == 0) {
                        char_input_ready(console->chardev);
                        break;
                }
                r = virtio_device_pop(&console->dev, QUEUE_RECEIVE, &chain);
                if (r == VIRTQ_E_EMPTY && virtq_want_notify(queue))
                        continue;
                if (r != 0)
                        break;
                n = iov_scatter(chain.iov + chain.n_out, chain.n_in, 0, data + done, len - done);
                virtq_push(queue, chain.head, (uint32_t) n);
                done += n;
        }
        return done;
}

static size_t console_receive(void *frontend, const uint8_t *data, size_t len) {
        VirtioConsole *console = frontend;
        VirtioDevice *dev = &console->dev;
        VirtQueue *queue = dev->queues + QUEUE_RECEIVE;
        size_t done = 0;

        virtio_device_lock(dev);
        if (dev->running && queue->enabled && console->spoken && !console->suspended) {
                done = fill_buffers(console, data, len);
                virtio_device_interrupt(dev, QUEUE_RECEIVE);
        }
        virtio_device_unlock(dev);
        return done;
}

static void console_transmit(VirtioDevice *dev, unsigned queue, const VirtqChain *chain) {
        VirtioConsole *console = (VirtioConsole *) dev;
        size_t left = TRANSMIT_MAX;

        for (unsigned i = 0; i < chain->n_out && left > 0; i++) {
                size_t n = MIN(chain->iov[i].iov_len, left);

                char_write(console->chardev, chain->iov[i].iov_base, n);
                left -= n;
        }
        virtq_push(dev->queues + queue, chain->head, 0);
        if (!console->spoken) {
                console->spoken = true;
                char_input_ready(console->chardev);
        }
}

static void console_notify(VirtioDevice *dev, unsigned queue) {
        VirtioConsole *console = (VirtioConsole *) dev;

        if (queue == QUEUE_TRANSMIT)
                virtio_device_drain(dev, queue, console_transmit);
        else
                char_input_ready(console->chardev); /* there may be input waiting for buffers */
}

static int console_reset(VirtioDevice *dev) {
        ((VirtioConsole *) dev)->spoken = false;
        return 0;
}

static void console_suspend(VirtioDevice *dev) {
        ((VirtioConsole *) dev)->suspended = true;
}

static void console_resume(VirtioDevice *dev) {
        VirtioConsole *console = (VirtioConsole *) dev;

        console->suspended = false;
        char_input_ready(console->chardev);
}

static void console_snapshot(VirtioDevice *dev, Snapshot *s) {
        snapshot_bool(s, &((VirtioConsole *) dev)->spoken);
}

static VirtioDevice *console_free(VirtioDevice *dev) {
        free(dev);
        return NULL;
}

static const VirtioOps console_ops = {
        .name = "virtio-console",
        .type = VIRTIO_TYPE_CONSOLE,
        .notify = console_notify,
        .reset = console_reset,
        .suspend = console_suspend,
        .resume = console_resume,
        .snapshot = console_snapshot,
        .free = console_free,
};

/**
 * virtio_console_new() - a console whose bytes come from and go to @chardev
 * @chardev:  borrowed, outlives the device; on the same loop as the device's queues
 *
 * Return: 0; -ENOMEM.
 */
int virtio_console_new(CharDev *chardev, VirtioDevice **ret) {
        VirtioConsole *console;

        console = calloc(1, sizeof(*console));
        if (!console)
                return -ENOMEM;
        console->dev.ops = &console_ops;
        console->dev.config = console->config;
        console->dev.config_len = sizeof(console->config);
        console->dev.n_queues = 2;
        console->dev.queue_size_max[QUEUE_RECEIVE] = RECEIVE_SIZE;
        console->dev.queue_size_max[QUEUE_TRANSMIT] = TRANSMIT_SIZE;
        console->chardev = chardev;
        char_set_handler(chardev, &(CharHandler){.receive = console_receive, .frontend = console});

        *ret = &console->dev;
        return 0;
}
