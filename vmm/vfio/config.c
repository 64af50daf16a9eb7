/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "base/le.h"
#include "vmm/vfio/vfio_internal.h"

/*
 * Configuration space. The kernel already keeps a guest from what would hurt the host; here is what it must not decide
 * about its own machine, or what has another meaning on our bus:
 *
 *   ours      identity and header (read once), BARs, command, INTx level and line, the links of the capability list, MSI,
 *             MSI-X, the power state
 *   theirs    the rest, capabilities and gaps between them: each access goes to the device, in the width it was made
 *
 * The device answers to memory and port accesses all the time: whether the guest sees a BAR is decided by where our
 * bridge maps it. So a processor that looks at a BAR while another switches it off finds no hole where it maps one.
 */

#define CAPABILITIES_MAX 48u /* as many as fit, 4 bytes apart, behind the header */
#define CAPABILITY_POWER 0x01u
#define CAPABILITY_MSI 0x05u
#define CAPABILITY_EXPRESS 0x10u
#define CAPABILITY_ENHANCED_ALLOCATION 0x14u

#define HEADER_TYPE_MASK 0x7fu

#define POWER_SIZE 8u
#define POWER_CONTROL 4u
#define POWER_STATE 0x03u

#define EXPRESS_FLAGS 2u
#define EXPRESS_SIZE 4u /* of what we look at */
#define EXPRESS_TYPE 0xf0u
#define EXPRESS_ENDPOINT 0x00u
#define EXPRESS_LEGACY_ENDPOINT 0x10u
#define EXPRESS_INTEGRATED_ENDPOINT 0x90u

/* MSI (PCI 3.0 section 6.8.1). */
#define MSI_CONTROL 2u
#define MSI_ADDRESS 4u
#define MSI_CONTROL_ENABLE 0x0001u
#define MSI_CONTROL_USED 0x0070u
#define MSI_CONTROL_64 0x0080u
#define MSI_CONTROL_MASKS 0x0100u

#define MSIX_SIZE 12u
#define MSIX_CONTROL 2u
#define MSIX_CONTROL_SIZE 0x07ffu
#define MSIX_TABLE 4u
#define MSIX_PENDING 8u
#define MSIX_BAR 0x7u
#define MSIX_PENDING_UNIT 8u

/* Read-only for the guest from now on, unless set_writable() says otherwise. */
static void make_ours(VfioFunction *fn, unsigned offset, unsigned size) {
        for (unsigned i = offset; i < offset + size && i < PCI_CONFIG_SIZE; i++) {
                fn->config.foreign[i] = false;
                fn->pci.writable[i] = 0;
        }
}

static void make_theirs(VfioFunction *fn, unsigned offset, unsigned size) {
        for (unsigned i = offset; i < offset + size; i++) {
                fn->config.foreign[i] = true;
                fn->pci.writable[i] = 0xff; /* the device decides */
        }
}

/* ---- capabilities; each returns whether the guest sees it ---- */

static bool show_power(VfioFunction *fn, unsigned at) {
        if (at + POWER_SIZE > PCI_CONFIG_SIZE)
                return false;
        /* The guest believes that it slept; a device that does would take its BARs away from under a mapping. */
        make_ours(fn, at, POWER_SIZE);
        fn->pci.config[at + POWER_CONTROL] &= (uint8_t) ~POWER_STATE;
        fn->pci.config[at + POWER_CONTROL + 1] = 0; /* no wake-up */
        pci_device_set_writable(&fn->pci, at + POWER_CONTROL, POWER_STATE, 1);
        return true;
}

static unsigned msi_size(uint16_t control) {
        return (control & MSI_CONTROL_64 ? 14 : 10) + (control & MSI_CONTROL_MASKS ? 10u : 0u);
}

static bool show_msi(VfioFunction *fn, unsigned at) {
        uint8_t *cap = fn->pci.config + at;
        uint16_t control;
        unsigned size, data;

        if (fn->config.msi != 0 || fn->device.n_msi == 0 || at + MSI_ADDRESS > PCI_CONFIG_SIZE)
                return false;
        control = le16_load(cap + MSI_CONTROL);
        size = msi_size(control);
        if (at + size > PCI_CONFIG_SIZE)
                return false;
        make_ours(fn, at, size);
        memset(cap + MSI_ADDRESS, 0, size - MSI_ADDRESS);
        /* Masks for each vector are optional, and nobody misses them. */
        control &= (uint16_t) ~(MSI_CONTROL_ENABLE | MSI_CONTROL_USED | MSI_CONTROL_MASKS);
        le16_store(cap + MSI_CONTROL, control);
        pci_device_set_writable(&fn->pci, at + MSI_CONTROL, MSI_CONTROL_ENABLE | MSI_CONTROL_USED,
                                2);
        pci_device_set_writable(&fn->pci, at + MSI_ADDRESS, ~3u, 4);
        data = at + MSI_ADDRESS + 4;
        if (control & MSI_CONTROL_64) {
                pci_device_set_writable(&fn->pci, data, UINT32_MAX, 4);
                data += 4;
        }
        pci_device_set_writable(&fn->pci, data, 0xffff, 2);
        fn->config.msi = at;
        return true;
}

/* Where table and pending bits are, if they are where they can be. */
static bool find_msix(VfioFunction *fn, const uint8_t *cap, unsigned n) {
        const uint32_t table = le32_load(cap + MSIX_TABLE), pending = le32_load(cap + MSIX_PENDING);
        const VfioMsixPlace place = {
                .table_bar = table & MSIX_BAR,
                .table_offset = table & ~MSIX_BAR,
                .table_size = n * MSIX_ENTRY_SIZE,
                .pba_bar = pending & MSIX_BAR,
                .pba_offset = pending & ~MSIX_BAR,
                .pba_size = (n + 63) / 64 * MSIX_PENDING_UNIT,
        };
        const VfioRegion *bars = fn->device.bars;

        if (place.table_bar >= PCI_BARS || place.pba_bar >= PCI_BARS ||
            !range_within(place.table_offset, place.table_size, bars[place.table_bar].size) ||
            !range_within(place.pba_offset, place.pba_size, bars[place.pba_bar].size))
                return false;
        fn->msix_place = place;
        return true;
}

static bool show_msix(VfioFunction *fn, unsigned at) {
        uint8_t *cap = fn->pci.config + at;
        unsigned n;

        if (fn->config.msix != 0 || fn->device.n_msix == 0 || at + MSIX_SIZE > PCI_CONFIG_SIZE)
                return false;
        /* The place of the table goes by what the device has, the guest's table by what we serve. */
        n = (le16_load(cap + MSIX_CONTROL) & MSIX_CONTROL_SIZE) + 1u;
        if (!find_msix(fn, cap, n))
                return false;
        make_ours(fn, at, MSIX_SIZE);
        n = MIN(n, fn->device.n_msix);
        n = MIN(n, VFIO_MSIX_MAX);
        le16_store(cap + MSIX_CONTROL, (uint16_t) (n - 1));
        fn->interrupts.n_msix = n;
        fn->config.msix = at;
        return true;
}

/* On a bus without a port above it, an endpoint is one that is part of the root complex. */
static bool show_express(VfioFunction *fn, unsigned at) {
        uint8_t *flags = fn->pci.config + at + EXPRESS_FLAGS;

        if (at + EXPRESS_SIZE > PCI_CONFIG_SIZE)
                return false;
        if ((*flags & EXPRESS_TYPE) == EXPRESS_ENDPOINT ||
            (*flags & EXPRESS_TYPE) == EXPRESS_LEGACY_ENDPOINT)
                *flags = (uint8_t) ((*flags & ~EXPRESS_TYPE) | EXPRESS_INTEGRATED_ENDPOINT);
        make_ours(fn, at + EXPRESS_FLAGS, 1);
        return true;
}

static bool show_capability(VfioFunction *fn, unsigned at) {
        switch (fn->pci.config[at]) {
        case CAPABILITY_POWER:
                return show_power(fn, at);
        case CAPABILITY_MSI:
                return show_msi(fn, at);
        case PCI_CAPABILITY_MSIX:
                return show_msix(fn, at);
        case CAPABILITY_EXPRESS:
                return show_express(fn, at);
        case CAPABILITY_ENHANCED_ALLOCATION: /* BARs that are no BARs */
                return false;
        default:
                return true;
        }
}

/*
 * Follows the device's list and makes ours, of those that the guest sees, at the same offsets. A list that comes back to
 * where it was, or leads into the header, ends there.
 */
static void show_capabilities(VfioFunction *fn) {
        uint8_t *config = fn->pci.config;
        bool seen[PCI_CONFIG_SIZE] = {false};
        unsigned at = config[PCI_CAPABILITIES] & ~3u, link = PCI_CAPABILITIES;

        if (!(config[PCI_STATUS] & PCI_STATUS_CAPABILITIES))
                at = 0;
        config[PCI_CAPABILITIES] = 0;
        for (unsigned i = 0; i < CAPABILITIES_MAX && at >= PCI_FIRST_FREE && !seen[at]; i++) {
                const unsigned next = config[at + 1] & ~3u;

                seen[at] = true;
                if (show_capability(fn, at)) {
                        make_ours(fn, at, 2);
                        config[at + 1] = 0;
                        config[link] = (uint8_t) at;
                        link = at + 1;
                }
                at = next;
        }
        config[PCI_STATUS] &= (uint8_t) ~(PCI_STATUS_CAPABILITIES | PCI_STATUS_INTX);
        if (config[PCI_CAPABILITIES] != 0)
                config[PCI_STATUS] |= PCI_STATUS_CAPABILITIES;
}

/* ---- the header ---- */

static PciIds ids_of(const VfioFunction *fn, const uint8_t *real) {
        return (PciIds){
                .vendor = le16_load(real + PCI_VENDOR_ID),
                .device = le16_load(real + PCI_DEVICE_ID),
                .subsystem_vendor = le16_load(real + PCI_SUBSYSTEM_VENDOR_ID),
                .subsystem = le16_load(real + PCI_SUBSYSTEM_ID),
                .class_code = le32_load(real + PCI_REVISION) >> 8,
                .revision = real[PCI_REVISION],
                .intx = real[PCI_INTERRUPT_PIN] != 0 && fn->device.n_intx > 0,
        };
}

/* The bits of the command register that the device gets to know. */
static void send_command(VfioFunction *fn) {
        uint16_t command = (le16_load(fn->pci.config + PCI_COMMAND) & PCI_COMMAND_MASTER) |
                           PCI_COMMAND_MEMORY | PCI_COMMAND_IO;
        uint8_t raw[2];

        if (command == fn->config.command)
                return;
        le16_store(raw, command);
        if (vfio_device_write(&fn->device, &fn->device.config, PCI_COMMAND, raw, sizeof(raw)))
                fn->config.command = command;
}

/**
 * vfio_config_init() - read the device's configuration space and make the guest's of it, still without BARs
 * @ops:  of the function
 *
 * Initialises @fn's PciDevice. Return: 0; -EOPNOTSUPP for a bridge; -EIO; both with a sentence.
 */
int vfio_config_init(VfioFunction *fn, const PciDeviceOps *ops, TextError *reterr) {
        uint8_t real[PCI_CONFIG_SIZE];
        PciIds ids;

        if (!vfio_device_read(&fn->device, &fn->device.config, 0, real, sizeof(real)) ||
            le16_load(real + PCI_VENDOR_ID) == UINT16_MAX)
                return text_error_set(reterr, -EIO, "the device does not answer");
        if ((real[PCI_HEADER_TYPE] & HEADER_TYPE_MASK) != 0)
                return text_error_set(reterr, -EOPNOTSUPP,
                                      "a bridge: only what is behind it can be given to a guest");
        ids = ids_of(fn, real);
        pci_device_init(&fn->pci, ops, &ids);
        fn->pci.config[PCI_STATUS] = real[PCI_STATUS];
        fn->pci.config[PCI_CAPABILITIES] = real[PCI_CAPABILITIES];
        memcpy(fn->pci.config + PCI_FIRST_FREE, real + PCI_FIRST_FREE,
               sizeof(real) - PCI_FIRST_FREE);
        make_theirs(fn, PCI_STATUS + 1, 1); /* errors, which are cleared by writing */
        make_theirs(fn, PCI_FIRST_FREE, PCI_CONFIG_SIZE - PCI_FIRST_FREE);
        show_capabilities(fn);
        fn->pci.next_capability = PCI_CONFIG_SIZE; /* none is added to them */
        send_command(fn);
        return 0;
}

/* ---- accesses ---- */

/** vfio_config_reading() - PciDeviceOps.config_reading: fetch what is the device's */
void vfio_config_reading(PciDevice *pci, unsigned offset, unsigned size) {
        VfioFunction *fn = (VfioFunction *) pci;
        uint8_t bytes[4];
        bool any = false;

        for (unsigned i = 0; i < size; i++)
                any |= fn->config.foreign[offset + i];
        if (!any)
                return;
        if (!vfio_device_read(&fn->device, &fn->device.config, offset, bytes, size))
                memset(bytes, 0xff, sizeof(bytes));
        for (unsigned i = 0; i < size; i++)
                if (fn->config.foreign[offset + i])
                        pci->config[offset + i] = bytes[i];
}

/* Each run of bytes that are the device's goes to it as one write. */
static void pass_on(VfioFunction *fn, unsigned offset, unsigned end) {
        while (offset < end) {
                unsigned n = 0;

                while (offset + n < end && fn->config.foreign[offset + n])
                        n++;
                if (n > 0)
                        (void) vfio_device_write(&fn->device, &fn->device.config, offset,
                                                 fn->pci.config + offset, n);
                offset += MAX(n, 1u);
        }
}

/** vfio_config_written() - PciDeviceOps.config_written */
void vfio_config_written(PciDevice *pci, unsigned offset, unsigned size) {
        VfioFunction *fn = (VfioFunction *) pci;

        pass_on(fn, offset, offset + size);
        send_command(fn);
        vfio_interrupts_update(fn);
}
