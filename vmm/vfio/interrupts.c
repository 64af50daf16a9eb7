/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Interrupts. The kernel turns each of the device's into the signal of an eventfd, and the hypervisor turns that into the
 * message that the guest has written into its table: the VMM is on the way of none but INTx. That one is a wire with a
 * level, of which the kernel tells once and masks it; the guest's end of interrupt lowers our wire and unmasks the
 * device's, which raises it again if the device still pulls it. Where the hypervisor is a part of the VMM, as the software
 * processor is, messages go through the loop as well.
 *
 * Only one kind is on at a time. It is changed where the guest changes it, in a write to configuration space, so that
 * the device is ready when the guest goes on.
 */

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/fd.h"
#include "base/le.h"
#include "base/log.h"
#include "vmm/vfio/vfio_internal.h"

#define MSI_CONTROL 2u
#define MSI_CONTROL_ENABLE 0x0001u
#define MSI_CONTROL_CAPABLE(c) ((c) >> 1 & 7u) /* binary logarithms */
#define MSI_CONTROL_USED(c) ((c) >> 4 & 7u)
#define MSI_CONTROL_64 0x0080u
#define MSI_ADDRESS 4u

static const unsigned irq_index[] = {
        [VFIO_INTERRUPTS_INTX] = VFIO_PCI_INTX_IRQ_INDEX,
        [VFIO_INTERRUPTS_MSI] = VFIO_PCI_MSI_IRQ_INDEX,
        [VFIO_INTERRUPTS_MSIX] = VFIO_PCI_MSIX_IRQ_INDEX,
};

/* ---- the wire ---- */

static void intx_signalled(void *userdata, int fd, uint32_t events) {
        VfioFunction *fn = userdata;
        eventfd_t count;

        pthread_mutex_lock(&fn->pci.lock);
        (void) eventfd_read(fd, &count);
        if (fn->interrupts.kind == VFIO_INTERRUPTS_INTX) {
                fn->interrupts.intx_pending = true;
                fn->interrupts.n_intx++;
                pci_device_set_intx(&fn->pci, true);
        }
        pthread_mutex_unlock(&fn->pci.lock);
}

static void lower_wire(VfioFunction *fn) {
        fn->interrupts.intx_pending = false;
        pci_device_set_intx(&fn->pci, false);
}

/** vfio_interrupts_eoi() - PciDeviceOps.intx_eoi: the guest has served the wire, for us or for who shares it */
void vfio_interrupts_eoi(PciDevice *pci) {
        VfioFunction *fn = (VfioFunction *) pci;

        if (!fn->interrupts.intx_pending)
                return;
        lower_wire(fn);
        (void) vfio_device_unmask_intx(&fn->device);
}

/* ---- messages of MSI; those of MSI-X are vmm/pci/msix.c's ---- */

static uint16_t msi_control(const VfioFunction *fn) {
        return le16_load(fn->pci.config + fn->config.msi + MSI_CONTROL);
}

static bool msi_is_on(const VfioFunction *fn) {
        return fn->config.msi != 0 && (msi_control(fn) & MSI_CONTROL_ENABLE);
}

/* How many vectors the guest has let the device use. */
static unsigned msi_vectors(const VfioFunction *fn) {
        const uint16_t control = msi_control(fn);
        const unsigned used = MIN(MSI_CONTROL_USED(control), MSI_CONTROL_CAPABLE(control));

        return MIN(1u << used, fn->interrupts.n_msi);
}

static void msi_signalled(void *userdata, int fd, uint32_t events) {
        const VfioForward *forward = userdata;
        VfioFunction *fn = forward->fn;
        const VfioMsiVector *vector = &fn->interrupts.msi[forward->vector];
        eventfd_t count;

        pthread_mutex_lock(&fn->pci.lock);
        (void) eventfd_read(fd, &count);
        if (vector->on)
                (void) fn->partition->ops->signal_msi(fn->partition, &vector->message);
        pthread_mutex_unlock(&fn->pci.lock);
}

static void msix_signalled(void *userdata, int fd, uint32_t events) {
        const VfioForward *forward = userdata;
        VfioFunction *fn = forward->fn;
        eventfd_t count;

        pthread_mutex_lock(&fn->pci.lock);
        (void) eventfd_read(fd, &count);
        msix_signal(fn->interrupts.msix, forward->vector);
        pthread_mutex_unlock(&fn->pci.lock);
}

static void set_msi(VfioFunction *fn, unsigned i, const MsiMessage *message) {
        VfioMsiVector *vector = &fn->interrupts.msi[i];
        int r;

        vector->on = message != NULL;
        if (message)
                vector->message = *message;
        if (!vector->route)
                return;
        r = fn->partition->msi_routes->set(vector->route, message);
        if (r < 0)
                log_debug("%s: route MSI vector %u: errno %d", fn->address, i, -r);
}

/* The lowest bits of the data are the vector's number (PCI 3.0 section 6.8.1.6). */
static void route_msi(VfioFunction *fn) {
        const uint8_t *cap = fn->pci.config + fn->config.msi;
        const bool wide = msi_control(fn) & MSI_CONTROL_64;
        const unsigned n = msi_is_on(fn) ? msi_vectors(fn) : 0;
        const uint32_t data = le16_load(cap + MSI_ADDRESS + (wide ? 8 : 4));
        MsiMessage message = {
                .address = le32_load(cap + MSI_ADDRESS) |
                           (wide ? (uint64_t) le32_load(cap + MSI_ADDRESS + 4) << 32 : 0),
        };

        for (unsigned i = 0; i < fn->interrupts.n_msi; i++) {
                message.data = (data & ~(n - 1)) | i;
                set_msi(fn, i, i < n ? &message : NULL);
        }
}

/* ---- which kind is on ---- */

static VfioInterruptKind wanted_kind(const VfioFunction *fn) {
        if (fn->interrupts.msix && msix_enabled(fn->interrupts.msix))
                return VFIO_INTERRUPTS_MSIX;
        if (msi_is_on(fn))
                return VFIO_INTERRUPTS_MSI;
        return fn->interrupts.intx_fd >= 0 ? VFIO_INTERRUPTS_INTX : VFIO_INTERRUPTS_OFF;
}

static unsigned wanted_vectors(const VfioFunction *fn, VfioInterruptKind kind) {
        switch (kind) {
        case VFIO_INTERRUPTS_OFF:
                return 0;
        case VFIO_INTERRUPTS_INTX:
                return 1;
        case VFIO_INTERRUPTS_MSI:
                return msi_vectors(fn);
        case VFIO_INTERRUPTS_MSIX:
                return fn->interrupts.n_msix;
        }
        return 0;
}

static void turn_off(VfioFunction *fn) {
        VfioInterrupts *irqs = &fn->interrupts;

        if (irqs->kind == VFIO_INTERRUPTS_OFF)
                return;
        (void) vfio_device_set_events(&fn->device, irq_index[irqs->kind], NULL, 0);
        if (irqs->kind == VFIO_INTERRUPTS_INTX)
                lower_wire(fn);
        irqs->kind = VFIO_INTERRUPTS_OFF;
        irqs->n_on = 0;
}

static const int *events_of(const VfioFunction *fn, VfioInterruptKind kind,
                            int buf[static VFIO_MSI_MAX]) {
        const VfioInterrupts *irqs = &fn->interrupts;

        if (kind == VFIO_INTERRUPTS_MSIX)
                return irqs->msix_fds;
        if (kind == VFIO_INTERRUPTS_INTX)
                return &irqs->intx_fd;
        for (unsigned i = 0; i < irqs->n_msi; i++)
                buf[i] = irqs->msi[i].event_fd;
        return buf;
}

/* When the host is short of vectors the device gets those that there are: the guest does not hear of the others. */
static void turn_on(VfioFunction *fn, VfioInterruptKind kind, unsigned n) {
        int buf[VFIO_MSI_MAX];
        const int *fds = events_of(fn, kind, buf);
        int r = vfio_device_set_events(&fn->device, irq_index[kind], fds, n);

        if (r > 0 && (unsigned) r < n)
                r = vfio_device_set_events(&fn->device, irq_index[kind], fds, (unsigned) r);
        if (r != 0) {
                log_debug("%s: enable %u interrupts of kind %u: %d", fn->address, n,
                          (unsigned) kind, r);
                return;
        }
        fn->interrupts.kind = kind;
        fn->interrupts.n_on = n;
}

/** vfio_interrupts_update() - look at what the guest has written to configuration space. The lock is held. */
void vfio_interrupts_update(VfioFunction *fn) {
        VfioInterrupts *irqs = &fn->interrupts;
        VfioInterruptKind kind;
        unsigned n;

        if (irqs->msix)
                msix_config_written(irqs->msix);
        if (fn->config.msi != 0)
                route_msi(fn);
        kind = wanted_kind(fn);
        n = wanted_vectors(fn, kind);
        if (kind == irqs->kind && n == irqs->n_on)
                return;
        turn_off(fn);
        if (n > 0)
                turn_on(fn, kind, n);
}

/* ---- life ---- */

static int init_intx(VfioFunction *fn, Loop *loop) {
        VfioInterrupts *irqs = &fn->interrupts;

        if (fn->pci.config[PCI_INTERRUPT_PIN] == 0)
                return 0;
        irqs->intx_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (irqs->intx_fd < 0)
                return -errno;
        return loop_add_fd(loop, irqs->intx_fd, EPOLLIN, intx_signalled, fn, &irqs->intx);
}

static int add_forward(VfioFunction *fn, Loop *loop, int event_fd, LoopFdFn signalled,
                       unsigned vector, VfioForward *ret) {
        *ret = (VfioForward){.fn = fn, .vector = vector};
        return loop_add_fd(loop, event_fd, EPOLLIN, signalled, ret, &ret->source);
}

static int init_msi(VfioFunction *fn, Loop *loop) {
        const MsiRouteOps *routes = fn->partition->msi_routes;
        const unsigned order = fn->config.msi == 0 ? 0 : MSI_CONTROL_CAPABLE(msi_control(fn));
        unsigned n = fn->config.msi == 0 ? 0 : 1u << order;

        n = MIN(n, fn->device.n_msi);
        n = MIN(n, VFIO_MSI_MAX);
        for (unsigned i = 0; i < n; i++) {
                VfioMsiVector *vector = &fn->interrupts.msi[i];
                int r;

                vector->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
                fn->interrupts.n_msi = i + 1;
                if (vector->event_fd < 0)
                        return -errno;
                r = routes ? routes->add(fn->partition, vector->event_fd, &vector->route)
                           : add_forward(fn, loop, vector->event_fd, msi_signalled, i,
                                         &vector->forward);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int init_msix_vector(VfioFunction *fn, Loop *loop, unsigned i) {
        VfioInterrupts *irqs = &fn->interrupts;
        int r;

        irqs->msix_fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (irqs->msix_fds[i] < 0)
                return -errno;
        if (!fn->partition->msi_routes)
                return add_forward(fn, loop, irqs->msix_fds[i], msix_signalled, i,
                                   &irqs->forwards[i]);
        r = msix_source_new(irqs->msix, irqs->msix_fds[i], &irqs->sources[i]);
        if (r < 0)
                return r;
        if (!msix_source_is_routed(irqs->sources[i]))
                return -ENOSPC;
        msix_source_set_vector(irqs->sources[i], i);
        return 0;
}

static int init_msix(VfioFunction *fn, Loop *loop) {
        VfioInterrupts *irqs = &fn->interrupts;
        const MsixConfig config = {.n_vectors = irqs->n_msix, .capability = fn->config.msix};
        int r;

        if (fn->config.msix == 0)
                return 0;
        r = msix_new(&fn->pci, fn->partition, &config, &irqs->msix);
        for (unsigned i = 0; r >= 0 && i < irqs->n_msix; i++)
                r = init_msix_vector(fn, loop, i);
        return r;
}

/**
 * vfio_interrupts_init() - make what the device's interrupts go through, and switch INTx on
 * @loop: borrowed, outlives the function
 *
 * Behind vfio_config_init(). Return: 0; negative errno with a sentence; vfio_interrupts_deinit() in either case.
 */
int vfio_interrupts_init(VfioFunction *fn, Loop *loop, TextError *reterr) {
        int r = init_intx(fn, loop);

        if (r >= 0)
                r = init_msi(fn, loop);
        if (r >= 0)
                r = init_msix(fn, loop);
        if (r == -ENOSPC)
                return text_error_set(
                        reterr, r,
                        "the hypervisor has no routes left for the %u interrupts of the "
                        "device",
                        fn->interrupts.n_msi + fn->interrupts.n_msix);
        if (r < 0)
                return text_error_set(reterr, r, "cannot make its interrupts: %s", strerror(-r));
        vfio_interrupts_update(fn);
        return 0;
}

/** vfio_interrupts_deinit() - the device is told to send none, and what they went through goes */
void vfio_interrupts_deinit(VfioFunction *fn) {
        VfioInterrupts *irqs = &fn->interrupts;

        if (irqs->kind != VFIO_INTERRUPTS_OFF)
                (void) vfio_device_set_events(&fn->device, irq_index[irqs->kind], NULL, 0);
        irqs->intx = loop_remove(irqs->intx);
        irqs->intx_fd = fd_close(irqs->intx_fd);
        for (unsigned i = 0; i < irqs->n_msi; i++) {
                if (irqs->msi[i].route)
                        fn->partition->msi_routes->remove(irqs->msi[i].route);
                irqs->msi[i].forward.source = loop_remove(irqs->msi[i].forward.source);
                (void) fd_close(irqs->msi[i].event_fd);
        }
        for (unsigned i = 0; i < irqs->n_msix; i++) {
                irqs->sources[i] = msix_source_free(irqs->sources[i]);
                irqs->forwards[i].source = loop_remove(irqs->forwards[i].source);
                irqs->msix_fds[i] = fd_close(irqs->msix_fds[i]);
        }
        irqs->msix = msix_free(irqs->msix);
}
