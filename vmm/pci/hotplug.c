/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/pci/hotplug.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/fd.h"

/*
 * A slot is handed back on a vCPU's thread, in the middle of a method that expects the function to be gone when it goes
 * on: it is hidden at once, and released by the loop, which can take the vCPUs out of the guest for it. Only slots that
 * were declared removable are: a guest does not get rid of its consoles.
 */

struct PciHotplug {
        pthread_mutex_t lock;     /* of the masks */
        PciRoot *root;            /* borrowed */
        uint32_t plugged, wanted; /* the guest has not read of these yet */
        uint32_t removable, ejected;
        int event_fd;       /* owned; some of @ejected wait for the loop */
        LoopSource *source; /* owned */
        PciEjectedFn fn;
        void *userdata; /* borrowed */
};

/* Lock held. */
static uint32_t take(uint32_t *mask) {
        uint32_t was = *mask;

        *mask = 0;
        return was;
}

static uint64_t hotplug_read(void *device, uint64_t offset, unsigned size) {
        PciHotplug *h = device;

        if (size != 4)
                return 0;
        if (offset == PCI_HOTPLUG_PLUGGED)
                return take(&h->plugged);
        return offset == PCI_HOTPLUG_WANTED ? take(&h->wanted) : 0;
}

static void hotplug_write(void *device, uint64_t offset, unsigned size, uint64_t value) {
        PciHotplug *h = device;
        uint32_t slots = (uint32_t) value & h->removable;

        if (size != 4 || offset != PCI_HOTPLUG_EJECT || slots == 0)
                return;
        for (unsigned i = 0; i < PCI_SLOTS; i++)
                if (slots & 1u << i)
                        pci_root_hide(h->root, i);
        h->removable &= ~slots;
        h->ejected |= slots;
        (void) eventfd_write(h->event_fd, 1);
}

static const BusOps hotplug_ops = {
        .name = "pci-hotplug",
        .read = hotplug_read,
        .write = hotplug_write,
};

static void on_ejected(void *userdata, int fd, uint32_t events) {
        PciHotplug *h = userdata;
        eventfd_t count;
        uint32_t slots;

        (void) eventfd_read(fd, &count);
        pthread_mutex_lock(&h->lock);
        slots = take(&h->ejected);
        pthread_mutex_unlock(&h->lock);
        for (unsigned i = 0; i < PCI_SLOTS; i++)
                if (slots & 1u << i)
                        h->fn(h->userdata, i);
}

/**
 * pci_hotplug_new() - registers that know of no slot yet
 * @root, @pio, @loop: borrowed, outlive it
 * @ejected:           called for each removable slot that the guest hands back
 *
 * Return: 0 or negative errno.
 */
int pci_hotplug_new(PciRoot *root, Bus *pio, Loop *loop, PciEjectedFn ejected, void *userdata,
                    PciHotplug **ret) {
        _cleanup_(pci_hotplug_freep) PciHotplug *h = calloc(1, sizeof(*h));
        int r;

        if (!h)
                return -ENOMEM;
        pthread_mutex_init(&h->lock, NULL);
        h->root = root;
        h->fn = ejected;
        h->userdata = userdata;
        h->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (h->event_fd < 0)
                return -errno;
        r = loop_add_fd(loop, h->event_fd, EPOLLIN, on_ejected, h, &h->source);
        if (r < 0)
                return r;
        r = bus_add(pio, IOPORT_PCI_HOTPLUG, PCI_HOTPLUG_SIZE, &hotplug_ops, h, &h->lock);
        if (r < 0)
                return r;
        *ret = TAKE(h);
        return 0;
}

/** pci_hotplug_free() - release; loop and vCPUs have ended. Return: NULL. */
PciHotplug *pci_hotplug_free(PciHotplug *hotplug) {
        if (!hotplug)
                return NULL;
        loop_remove(hotplug->source);
        (void) fd_close(hotplug->event_fd);
        pthread_mutex_destroy(&hotplug->lock);
        free(hotplug);
        return NULL;
}

/** pci_hotplug_set_removable() - whether the guest may hand @slot back; any thread */
void pci_hotplug_set_removable(PciHotplug *hotplug, unsigned slot, bool removable) {
        pthread_mutex_lock(&hotplug->lock);
        hotplug->removable &= ~(1u << slot);
        hotplug->removable |= (uint32_t) removable << slot;
        pthread_mutex_unlock(&hotplug->lock);
}

/** pci_hotplug_is_removable() - whether it may, and has not yet; any thread */
bool pci_hotplug_is_removable(PciHotplug *hotplug, unsigned slot) {
        bool removable;

        pthread_mutex_lock(&hotplug->lock);
        removable = slot < PCI_SLOTS && (hotplug->removable & 1u << slot);
        pthread_mutex_unlock(&hotplug->lock);
        return removable;
}

/** pci_hotplug_announce() - a function is new in @slot; the caller raises ACPI_GPE_PCI_HOTPLUG next */
void pci_hotplug_announce(PciHotplug *hotplug, unsigned slot) {
        pthread_mutex_lock(&hotplug->lock);
        hotplug->plugged |= 1u << slot;
        pthread_mutex_unlock(&hotplug->lock);
}

/** pci_hotplug_request() - ask the guest to hand @slot back; the caller raises ACPI_GPE_PCI_HOTPLUG next */
void pci_hotplug_request(PciHotplug *hotplug, unsigned slot) {
        pthread_mutex_lock(&hotplug->lock);
        hotplug->wanted |= 1u << slot;
        pthread_mutex_unlock(&hotplug->lock);
}

/** pci_hotplug_snapshot() - save or restore what the guest has not read yet; nothing has been handed back */
void pci_hotplug_snapshot(PciHotplug *hotplug, Snapshot *s) {
        pthread_mutex_lock(&hotplug->lock);
        snapshot_enter(s, "pci-hotplug", 0);
        snapshot_u32(s, &hotplug->plugged);
        snapshot_u32(s, &hotplug->wanted);
        snapshot_expect(s, "the set of removable PCI slots, a bit each,", hotplug->removable);
        if (hotplug->ejected != 0)
                snapshot_refuse(s, "the guest is handing a device back");
        snapshot_leave(s);
        pthread_mutex_unlock(&hotplug->lock);
}
