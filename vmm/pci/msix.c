/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/pci/msix.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "base/fd.h"
#include "base/le.h"
#include "base/log.h"

/*
 * A vector that may be sent goes out through an eventfd that the hypervisor turns into the message, when it can do
 * that, and through signal_msi() otherwise. A masked vector sets its pending bit and is sent when the mask goes: since
 * only we signal the eventfd, the route itself never needs to be switched off, and masking costs no system call.
 */

#define CONTROL_OFFSET 2u /* of the message control word in the capability */
#define CONTROL_FUNCTION_MASK 0x4000u
#define CONTROL_ENABLE 0x8000u
#define VECTOR_MASKED 0x1u

typedef struct MsixVector {
        MsiMessage message; /* as the guest wrote it */
        uint32_t control;
        bool pending;

        MsiMessage routed; /* what @route delivers */
        MsiRoute *route;   /* owned, NULL until first used */
        int event_fd;      /* owned, set while @route is */
        bool unroutable;   /* the hypervisor refused once */
} MsixVector;

struct MsixSource {
        Msix *msix; /* weak: outlives its sources */
        MsixSource *next;
        int event_fd; /* borrowed */
        unsigned vector;
        MsiRoute *route; /* owned; NULL when the hypervisor refused */
        bool delivers;
        MsiMessage routed; /* while @delivers */
};

struct Msix {
        PciDevice *dev;       /* borrowed */
        Partition *partition; /* borrowed */
        unsigned capability;  /* offset in configuration space */
        uint16_t control;     /* as last looked at */
        MsixSource *sources;  /* weak: of those who made them */
        unsigned n_vectors;
        MsixVector vectors[];
};

static int add_capability(PciDevice *dev, const MsixConfig *config, unsigned *ret_offset) {
        uint8_t body[10];

        le16_store(body, (uint16_t) (config->n_vectors - 1));
        le32_store(body + 2, config->table_offset | config->bar);
        le32_store(body + 6, config->pba_offset | config->bar);
        return pci_device_add_capability(dev, PCI_CAPABILITY_MSIX, body, sizeof(body), ret_offset);
}

/**
 * msix_new() - add an MSI-X capability to @dev, or serve the one that it has
 * @dev:        borrowed, outlives the result; not on the bus yet
 * @partition:  borrowed, outlives the result
 *
 * The device forwards accesses to the table and the pending bits, and writes to configuration space.
 * Return: 0; -ENOSPC when there is no room for the capability; -ENOMEM.
 */
int msix_new(PciDevice *dev, Partition *partition, const MsixConfig *config, Msix **ret) {
        _cleanup_(msix_freep) Msix *msix = NULL;
        int r;

        assert(config->n_vectors >= 1 && config->n_vectors <= MSIX_VECTORS_MAX);
        assert(config->table_offset % 8 == 0 && config->pba_offset % 8 == 0);

        msix = calloc(1, sizeof(*msix) + config->n_vectors * sizeof(*msix->vectors));
        if (!msix)
                return -ENOMEM;
        msix->dev = dev;
        msix->partition = partition;
        msix->n_vectors = config->n_vectors;
        for (unsigned i = 0; i < msix->n_vectors; i++) {
                msix->vectors[i].control = VECTOR_MASKED;
                msix->vectors[i].event_fd = -EBADF;
        }

        msix->capability = config->capability;
        r = msix->capability != 0 ? 0 : add_capability(dev, config, &msix->capability);
        if (r < 0)
                return r;
        pci_device_set_writable(dev, msix->capability + CONTROL_OFFSET,
                                CONTROL_ENABLE | CONTROL_FUNCTION_MASK, 2);

        *ret = TAKE(msix);
        return 0;
}

/** msix_free() - give back routes and descriptors; NULL is fine */
Msix *msix_free(Msix *msix) {
        if (!msix)
                return NULL;

        for (unsigned i = 0; i < msix->n_vectors; i++) {
                MsixVector *v = msix->vectors + i;

                if (v->route)
                        msix->partition->msi_routes->remove(v->route);
                fd_close(v->event_fd);
        }
        free(msix);
        return NULL;
}

/** msix_enabled() - whether the guest uses MSI-X, and so no INTx */
bool msix_enabled(const Msix *msix) {
        return msix->control & CONTROL_ENABLE;
}

/** msix_vectors() - the size of the table */
unsigned msix_vectors(const Msix *msix) {
        return msix->n_vectors;
}

static bool sendable(const Msix *msix, const MsixVector *v) {
        return (msix->control & (CONTROL_ENABLE | CONTROL_FUNCTION_MASK)) == CONTROL_ENABLE &&
               !(v->control & VECTOR_MASKED);
}

static bool same_message(const MsiMessage *a, const MsiMessage *b) {
        return a->address == b->address && a->data == b->data;
}

static int make_route(Msix *msix, MsixVector *v) {
        const MsiRouteOps *ops = msix->partition->msi_routes;
        _cleanup_(fd_closep) int fd = -EBADF;
        MsiRoute *route;
        int r;

        fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (fd < 0)
                return -errno;
        r = ops->add(msix->partition, fd, &route);
        if (r < 0)
                return r;
        r = ops->set(route, &v->message);
        if (r < 0) {
                ops->remove(route);
                return r;
        }

        v->route = route;
        v->event_fd = TAKE_FD(fd);
        v->routed = v->message;
        return 0;
}

/* Makes the hypervisor's route deliver what the guest last wrote; without one, signal_msi() does it message by message. */
static void update_route(Msix *msix, MsixVector *v) {
        const MsiRouteOps *ops = msix->partition->msi_routes;
        int r;

        if (!ops || v->unroutable)
                return;
        if (!v->route)
                r = make_route(msix, v);
        else if (same_message(&v->routed, &v->message))
                return;
        else {
                r = ops->set(v->route, &v->message);
                v->routed = v->message;
        }
        if (r >= 0)
                return;

        log_debug("%s: route MSI-X vector %td: errno %d, sending it from the VMM instead",
                  msix->dev->ops->name, v - msix->vectors, -r);
        v->unroutable = true;
        if (v->route) {
                ops->remove(v->route);
                v->route = NULL;
                v->event_fd = fd_close(v->event_fd);
        }
}

static void send(Msix *msix, MsixVector *v) {
        v->pending = false;
        if (v->route)
                (void) eventfd_write(v->event_fd,
                                     1); /* fails only when a signal is pending already */
        else
                (void) msix->partition->ops->signal_msi(msix->partition, &v->message);
}

/* ---- sources outside the VMM ---- */

/* What the hypervisor refuses to route, the device has to forward; see msix_source_is_routed(). */
static void update_source(MsixSource *source) {
        const Msix *msix = source->msix;
        const MsiRouteOps *ops = msix->partition->msi_routes;
        const MsixVector *v =
                source->vector < msix->n_vectors ? msix->vectors + source->vector : NULL;
        const MsiMessage *message = v && sendable(msix, v) ? &v->message : NULL;
        int r;

        if (!source->route || (!message && !source->delivers) ||
            (message && source->delivers && same_message(message, &source->routed)))
                return;
        r = ops->set(source->route, message);
        source->delivers = message != NULL;
        if (message)
                source->routed = *message;
        if (r >= 0)
                return;
        log_debug("%s: route an eventfd to MSI-X vector %u: errno %d, forwarding it instead",
                  msix->dev->ops->name, source->vector, -r);
        ops->remove(source->route);
        source->route = NULL;
        source->delivers = false;
}

/**
 * msix_source_new() - have an eventfd that others signal stand for a vector, at first for none
 * @event_fd:  borrowed, outlives the result
 * @ret:       release with msix_source_free() before @msix
 *
 * Return: 0, also when the hypervisor has no route for it; -ENOMEM.
 */
int msix_source_new(Msix *msix, int event_fd, MsixSource **ret) {
        const MsiRouteOps *ops = msix->partition->msi_routes;
        MsixSource *source = malloc(sizeof(*source));

        if (!source)
                return -ENOMEM;
        *source = (MsixSource){.msix = msix,
                               .next = msix->sources,
                               .event_fd = event_fd,
                               .vector = MSIX_VECTORS_MAX};
        if (ops && ops->add(msix->partition, event_fd, &source->route) < 0)
                source->route = NULL;
        msix->sources = source;
        *ret = source;
        return 0;
}

/** msix_source_free() - signals stay in the eventfd from now on; NULL is fine */
MsixSource *msix_source_free(MsixSource *source) {
        MsixSource **link;

        if (!source)
                return NULL;
        for (link = &source->msix->sources; *link != source;)
                link = &(*link)->next;
        *link = source->next;
        if (source->route)
                source->msix->partition->msi_routes->remove(source->route);
        free(source);
        return NULL;
}

/** msix_source_set_vector() - what signals mean; none when @vector is not in the table */
void msix_source_set_vector(MsixSource *source, unsigned vector) {
        source->vector = vector;
        update_source(source);
}

/** msix_source_is_routed() - false: the hypervisor cannot, so the device reads the eventfd and calls msix_signal() */
bool msix_source_is_routed(const MsixSource *source) {
        return source->route != NULL;
}

static bool source_pending(const Msix *msix, uint64_t vector) {
        for (const MsixSource *source = msix->sources; source; source = source->next) {
                struct pollfd fd = {.fd = source->event_fd, .events = POLLIN};

                if (source->vector == vector && source->route && !source->delivers &&
                    poll(&fd, 1, 0) > 0)
                        return true;
        }
        return false;
}

static void update_vector(Msix *msix, MsixVector *v) {
        const unsigned vector = (unsigned) (v - msix->vectors);

        for (MsixSource *source = msix->sources; source; source = source->next)
                if (source->vector == vector)
                        update_source(source);
        if (!sendable(msix, v))
                return;
        update_route(msix, v);
        if (v->pending)
                send(msix, v);
}

/** msix_signal() - send @vector's message, or remember it while masked; no effect while MSI-X is off */
void msix_signal(Msix *msix, unsigned vector) {
        MsixVector *v;

        if (vector >= msix->n_vectors || !msix_enabled(msix))
                return;
        v = msix->vectors + vector;
        if (sendable(msix, v))
                send(msix, v);
        else
                v->pending = true;
}

static uint32_t entry_dword(const MsixVector *v, unsigned index) {
        switch (index) {
        case 0:
                return (uint32_t) v->message.address;
        case 1:
                return (uint32_t) (v->message.address >> 32);
        case 2:
                return v->message.data;
        default:
                return v->control;
        }
}

static void set_entry_dword(MsixVector *v, unsigned index, uint32_t value) {
        switch (index) {
        case 0:
                v->message.address = (v->message.address & ~(uint64_t) UINT32_MAX) | (value & ~3u);
                break;
        case 1:
                v->message.address = (v->message.address & UINT32_MAX) | (uint64_t) value << 32;
                break;
        case 2:
                v->message.data = value;
                break;
        default:
                v->control = value & VECTOR_MASKED;
                break;
        }
}

/**
 * msix_table_read() - a guest's read at @offset in the table
 *
 * Only aligned dwords and qwords are defined by the specification; others read as zero, as do absent vectors.
 */
uint64_t msix_table_read(const Msix *msix, uint64_t offset, unsigned size) {
        unsigned index = (unsigned) (offset % MSIX_ENTRY_SIZE / 4);
        const MsixVector *v;
        uint64_t value;

        if ((size != 4 && size != 8) || offset % size != 0 ||
            offset / MSIX_ENTRY_SIZE >= msix->n_vectors)
                return 0;
        v = msix->vectors + offset / MSIX_ENTRY_SIZE;
        value = entry_dword(v, index);
        if (size == 8)
                value |= (uint64_t) entry_dword(v, index + 1) << 32;
        return value;
}

/** msix_table_write() - a guest's write at @offset in the table; sends what unmasking lets through */
void msix_table_write(Msix *msix, uint64_t offset, unsigned size, uint64_t value) {
        unsigned index = (unsigned) (offset % MSIX_ENTRY_SIZE / 4);
        MsixVector *v;

        if ((size != 4 && size != 8) || offset % size != 0 ||
            offset / MSIX_ENTRY_SIZE >= msix->n_vectors)
                return;
        v = msix->vectors + offset / MSIX_ENTRY_SIZE;
        set_entry_dword(v, index, (uint32_t) value);
        if (size == 8)
                set_entry_dword(v, index + 1, (uint32_t) (value >> 32));
        update_vector(msix, v);
}

/** msix_pba_read() - a guest's read of aligned dwords or qwords of pending bits */
uint64_t msix_pba_read(const Msix *msix, uint64_t offset, unsigned size) {
        uint64_t value = 0;

        if ((size != 4 && size != 8) || offset % size != 0 || offset >= MSIX_VECTORS_MAX / 8)
                return 0;
        for (unsigned bit = 0; bit < 8 * size; bit++) {
                uint64_t vector = 8 * offset + bit;

                if (vector < msix->n_vectors &&
                    (msix->vectors[vector].pending || source_pending(msix, vector)))
                        value |= UINT64_C(1) << bit;
        }
        return value;
}

/** msix_config_written() - look at the enable and mask bits after the guest wrote configuration space */
void msix_config_written(Msix *msix) {
        uint16_t control = le16_load(msix->dev->config + msix->capability + CONTROL_OFFSET);

        if (control == msix->control)
                return;
        msix->control = control;
        for (unsigned i = 0; i < msix->n_vectors; i++)
                update_vector(msix, msix->vectors + i);
}

/** msix_snapshot() - save or restore the table and the pending bits; the control word is in configuration space */
void msix_snapshot(Msix *msix, Snapshot *s) {
        static const SnapshotField fields[] = {
                SNAPSHOT_UINT(MsixVector, message.address),
                SNAPSHOT_UINT(MsixVector, message.data),
                SNAPSHOT_RANGE(MsixVector, control, 0, VECTOR_MASKED),
                SNAPSHOT_BOOL(MsixVector, pending),
        };

        snapshot_expect(s, "MSI-X vectors", msix->n_vectors);
        for (unsigned i = 0; i < msix->n_vectors; i++)
                snapshot_members(s, fields, &msix->vectors[i]);
        if (!snapshot_restored(s))
                return;
        msix->control = le16_load(msix->dev->config + msix->capability + CONTROL_OFFSET);
        for (unsigned i = 0; i < msix->n_vectors; i++)
                update_vector(msix, msix->vectors + i);
}
