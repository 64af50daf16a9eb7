/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/fd.h"
#include "vmm/virtio/pci_internal.h"

/*
 * Queues that the host's kernel serves (vhost). It waits for the queue's kick eventfd, which the hypervisor's doorbell
 * signals, and signals the queue's call eventfd, which the hypervisor turns into the message of the queue's vector: the
 * VMM is on neither way. Where there is no such route, as with the interrupt wire, the loop forwards the calls.
 */

/* The loop listens to calls only when nobody else does, and somebody wants them. */
static void listen_to_calls(VirtioPci *vpci, QueueKick *k) {
        bool wanted = k->foreign && (!msix_enabled(vpci->msix) || !msix_source_is_routed(k->call));

        (void) loop_set_events(k->call_source, wanted ? EPOLLIN : 0);
}

/** virtio_pci_update_calls() - MSI-X was changed: who forwards the calls of the kernel's queues? The lock is held. */
void virtio_pci_update_calls(VirtioPci *vpci) {
        for (unsigned i = 0; i < vpci->dev->n_queues; i++)
                if (vpci->kicks[i].foreign)
                        listen_to_calls(vpci, vpci->kicks + i);
}

/** virtio_pci_set_queue_vector() - the vector that @queue interrupts by. The lock is held. */
void virtio_pci_set_queue_vector(VirtioPci *vpci, unsigned queue, uint16_t vector) {
        QueueKick *k = vpci->kicks + queue;

        k->vector = vector;
        if (k->foreign) {
                msix_source_set_vector(k->call, vector);
                listen_to_calls(vpci, k);
        }
}

static void forward_call(QueueKick *k) {
        eventfd_t count;

        if (eventfd_read(k->call_fd, &count) == 0)
                virtio_pci_interrupt(k->vpci, k->vector, VIRTIO_PCI_ISR_QUEUE);
}

static void called(void *userdata, int fd, uint32_t events) {
        QueueKick *k = userdata;

        pthread_mutex_lock(&k->vpci->pci.lock);
        if (k->foreign)
                forward_call(k);
        pthread_mutex_unlock(&k->vpci->pci.lock);
}

static int make_call(VirtioPci *vpci, QueueKick *k) {
        int r;

        if (k->call_source)
                return 0;
        k->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (k->call_fd < 0)
                return -errno;
        r = loop_add_fd(vpci->loop, k->call_fd, 0, called, k, &k->call_source);
        if (r < 0)
                k->call_fd = fd_close(k->call_fd);
        return r;
}

/** virtio_pci_hand_over() - VirtioTransportOps.hand_over */
int virtio_pci_hand_over(void *transport, unsigned queue, VirtioQueueFds *ret) {
        VirtioPci *vpci = transport;
        QueueKick *k = vpci->kicks + queue;
        int r;

        r = make_call(vpci, k);
        if (r < 0)
                return r;
        r = msix_source_new(vpci->msix, k->call_fd, &k->call);
        if (r < 0)
                return r;
        k->foreign = true;
        (void) loop_set_events(k->source, 0);
        virtio_pci_set_queue_vector(vpci, queue, k->vector);
        *ret = (VirtioQueueFds){.kick_fd = k->fd, .call_fd = k->call_fd};
        return 0;
}

/** virtio_pci_take_back() - VirtioTransportOps.take_back; of a device that is being reset nobody waits for the last calls */
void virtio_pci_take_back(void *transport, unsigned queue) {
        VirtioPci *vpci = transport;
        QueueKick *k = vpci->kicks + queue;
        eventfd_t count;

        k->call = msix_source_free(k->call);
        k->foreign = false;
        (void) loop_set_events(k->call_source, 0);
        if (vpci->resetting)
                (void) eventfd_read(k->call_fd, &count);
        else
                forward_call(k);
        (void) loop_set_events(k->source, EPOLLIN);
}

/** virtio_pci_free_calls() - the device is gone: what its queues needed goes, too */
void virtio_pci_free_calls(VirtioPci *vpci) {
        for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++) {
                QueueKick *k = vpci->kicks + i;

                k->call = msix_source_free(k->call);
                k->call_source = loop_remove(k->call_source);
                k->call_fd = fd_close(k->call_fd);
        }
}
