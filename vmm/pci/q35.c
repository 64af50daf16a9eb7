/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What PC firmware for virtual machines takes for granted of a chipset: Intel's Q35 host bridge, whose registers say
 * where ECAM is, and the LPC bridge of an ICH9 in slot 31, whose registers say where the power management ports are.
 * There is no system management mode, and RAM below 1 MiB is there whatever the shadowing registers say: they keep
 * what is written to them.
 */

#include <errno.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/le.h"
#include "vmm/pci/pci.h"
#include "vmm/pci/pci_internal.h"

#define INTEL 0x8086u
#define Q35_HOST_BRIDGE 0x29c0u
#define ICH9_LPC 0x2918u
#define CLASS_HOST_BRIDGE 0x060000u
#define CLASS_ISA_BRIDGE 0x060100u
/* By these firmware knows that the chipset is an emulated one. */
#define SUBSYSTEM_VENDOR 0x1af4u
#define SUBSYSTEM 0x1100u

/* Host bridge (Intel 3 Series datasheet, chapter 5). */
#define Q35_PCIEXBAR 0x60u /* 8 bytes */
#define PCIEXBAR_ENABLE 0x1u
#define PCIEXBAR_LENGTH(v) ((v) >> 1 & 3u) /* 256, 128, 64 MiB */
#define PCIEXBAR_WRITABLE 0xfc000007u      /* 64 MiB apart, below 4 GiB */
#define Q35_PAM0 0x90u                     /* 7 bytes */
#define PAM_COUNT 7u
#define PAM_WRITABLE 0x33u

/* LPC bridge (Intel I/O Controller Hub 9 datasheet, chapter 13). */
#define LPC_PMBASE 0x40u /* fixed at IOPORT_PM_BASE */
#define LPC_ACPI_CONTROL 0x44u
#define LPC_ACPI_ENABLE 0x80u
#define LPC_PIRQ_A 0x60u /* to D; E to H are at 0x68 */
#define LPC_PIRQ_E 0x68u
#define PIRQ_DISABLED 0x80u
#define PIRQ_WRITABLE 0x8fu
#define LPC_ROOT_COMPLEX 0xf0u /* kept; there are no such registers */

/** q35_ids() - those of the host bridge */
const PciIds *q35_ids(void) {
        static const PciIds ids = {
                .vendor = INTEL,
                .device = Q35_HOST_BRIDGE,
                .subsystem_vendor = SUBSYSTEM_VENDOR,
                .subsystem = SUBSYSTEM,
                .class_code = CLASS_HOST_BRIDGE,
        };

        return &ids;
}

/** q35_init() - give the host bridge @dev its registers */
void q35_init(PciDevice *dev) {
        pci_device_set_writable(dev, Q35_PCIEXBAR, PCIEXBAR_WRITABLE, 4);
        for (unsigned i = 0; i < PAM_COUNT; i++)
                pci_device_set_writable(dev, Q35_PAM0 + i, PAM_WRITABLE, 1);
}

/**
 * q35_ecam() - the range that the host bridge decodes as ECAM now; its lock is held
 *
 * Return: false when it is off, or set to a place that is not the bridge's to decode.
 */
bool q35_ecam(const PciDevice *dev, uint64_t *ret_base, uint64_t *ret_size) {
        const uint32_t value = le32_load(dev->config + Q35_PCIEXBAR);
        const uint64_t size = UINT64_C(0x10000000) >> PCIEXBAR_LENGTH(value);
        const uint64_t base = value & ~(uint32_t) (size - 1);

        if (!(value & PCIEXBAR_ENABLE) || PCIEXBAR_LENGTH(value) == 3 ||
            base < MEMMAP_FIRMWARE_PCI32_BASE || base + size > MEMMAP_FIRMWARE_PCI32_END)
                return false;
        *ret_base = base;
        *ret_size = size;
        return true;
}

static PciDevice *lpc_free(PciDevice *dev) {
        pci_device_deinit(dev);
        free(dev);
        return NULL;
}

static const PciDeviceOps lpc_ops = {.name = "lpc-bridge", .free = lpc_free};

/** q35_lpc_new() - the bridge to the ISA devices; for slot PCI_SLOT_LPC. Return: 0 or -ENOMEM. */
int q35_lpc_new(PciDevice **ret) {
        static const PciIds ids = {
                .vendor = INTEL,
                .device = ICH9_LPC,
                .subsystem_vendor = SUBSYSTEM_VENDOR,
                .subsystem = SUBSYSTEM,
                .class_code = CLASS_ISA_BRIDGE,
                .revision = 2,
        };
        PciDevice *dev = malloc(sizeof(*dev));

        if (!dev)
                return -ENOMEM;
        pci_device_init(dev, &lpc_ops, &ids);
        le32_store(dev->config + LPC_PMBASE, IOPORT_PM_BASE | 1 /* a port */);
        pci_device_set_writable(dev, LPC_ACPI_CONTROL, LPC_ACPI_ENABLE, 1);
        for (unsigned i = 0; i < 4; i++) {
                dev->config[LPC_PIRQ_A + i] = dev->config[LPC_PIRQ_E + i] = PIRQ_DISABLED;
                pci_device_set_writable(dev, LPC_PIRQ_A + i, PIRQ_WRITABLE, 1);
                pci_device_set_writable(dev, LPC_PIRQ_E + i, PIRQ_WRITABLE, 1);
        }
        pci_device_set_writable(dev, LPC_ROOT_COMPLEX, 0xffffc001u, 4);
        *ret = dev;
        return 0;
}
