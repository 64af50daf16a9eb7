/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Conventional PCI on one bus: functions with a 256-byte configuration space behind a host bridge that decodes ECAM
 * and ports 0xcf8/0xcfc. A device embeds PciDevice as its first member; the bridge owns it from pci_root_add() on.
 *
 * Each device has one lock. It is held around every ops call below, so that a device's own I/O thread takes the same
 * lock before it touches what registers touch. Lock order: device, then bridge.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "vmm/irq/irq_line.h"
#include "vmm/mem/bus.h"
#include "vmm/mem/memmap.h"
#include "vmm/snapshot/snapshot.h"

typedef struct PciDevice PciDevice;
typedef struct PciRoot PciRoot;

#define PCI_SLOTS 32u    /* device numbers on the bus; slot 0 is the host bridge */
#define PCI_SLOT_LPC 31u /* with firmware: the bridge to the ISA devices */
#define PCI_CONFIG_SIZE 256u
#define PCI_BARS 6u

/* Offsets in the type 0 header (PCI 3.0 section 6.1) and the bits that we use. */
#define PCI_VENDOR_ID 0x00u
#define PCI_DEVICE_ID 0x02u
#define PCI_COMMAND 0x04u
#define PCI_COMMAND_IO 0x0001u
#define PCI_COMMAND_MEMORY 0x0002u
#define PCI_COMMAND_MASTER 0x0004u
#define PCI_COMMAND_INTX_DISABLE 0x0400u
#define PCI_STATUS 0x06u
#define PCI_STATUS_INTX 0x0008u
#define PCI_STATUS_CAPABILITIES 0x0010u
#define PCI_REVISION 0x08u
#define PCI_CLASS 0x09u /* 3 bytes */
#define PCI_CACHE_LINE_SIZE 0x0cu
#define PCI_LATENCY_TIMER 0x0du
#define PCI_HEADER_TYPE 0x0eu
#define PCI_BAR0 0x10u
#define PCI_SUBSYSTEM_VENDOR_ID 0x2cu
#define PCI_SUBSYSTEM_ID 0x2eu
#define PCI_CAPABILITIES 0x34u
#define PCI_INTERRUPT_LINE 0x3cu
#define PCI_INTERRUPT_PIN 0x3du
#define PCI_FIRST_FREE 0x40u

#define PCI_CAPABILITY_VENDOR 0x09u
#define PCI_CAPABILITY_MSIX 0x11u

typedef enum PciBarKind {
        PCI_BAR_ABSENT,
        PCI_BAR_MEM32,
        PCI_BAR_MEM64, /* uses the next index as well */
        PCI_BAR_IO,
} PciBarKind;

typedef struct PciBar {
        PciBarKind kind;
        uint64_t size;    /* power of two; memory at least 16, I/O at least 4 */
        uint64_t address; /* in effect while @mapped */
        bool mapped;      /* decoding is enabled and the range lies in a window */
} PciBar;

/** PciCountFn - one counter of one function; both names are static */
typedef void (*PciCountFn)(void *userdata, const char *device, const char *counter, uint64_t value);

/** PciRestFn - a suspended machine's last busy function has come to rest; on the loop's thread, with no lock or that one's held */
typedef void (*PciRestFn)(void *userdata);

/* Called on vCPU threads with the device's lock held; nothing may block. */
typedef struct PciDeviceOps {
        const char *name;
        /* @offset + @size lies inside BAR @bar; @size is 1, 2, 4 or 8. NULL: reads as ones, writes are ignored. */
        uint64_t (*bar_read)(PciDevice *dev, unsigned bar, uint64_t offset, unsigned size);
        void (*bar_write)(PciDevice *dev, unsigned bar, uint64_t offset, unsigned size,
                          uint64_t value);
        /* Optional. The guest is about to read / has written configuration bytes [offset, offset + size). */
        void (*config_reading)(PciDevice *dev, unsigned offset, unsigned size);
        void (*config_written)(PciDevice *dev, unsigned offset, unsigned size);
        /* Optional. bars[bar].mapped or .address changed. */
        void (*bar_moved)(PciDevice *dev, unsigned bar);
        /* Optional. The guest has served the wire that INTA# of this slot is one of those on. */
        void (*intx_eoi)(PciDevice *dev);
        /* Optional, on the loop's thread. Passes each counter to @fn. */
        void (*count)(PciDevice *dev, PciCountFn fn, void *userdata);
        /* Optional, on the loop's thread. The machine is suspended, or goes on; no vCPU runs meanwhile. */
        void (*suspend)(PciDevice *dev);
        void (*resume)(PciDevice *dev);
        /* Optional, on the loop's thread, after suspend(): it is not at rest yet; pci_device_rested() follows. */
        bool (*busy)(PciDevice *dev);
        /*
         * On the loop's thread, at rest. Saves or restores what is more than configuration space, which was restored
         * before, BARs and decoding included. NULL: it cannot be saved.
         */
        void (*snapshot)(PciDevice *dev, Snapshot *s);
        /* No vCPU is in the guest; on the loop's thread, or after it ended. Calls pci_device_deinit(). */
        PciDevice *(*free)(PciDevice *dev);
} PciDeviceOps;

struct PciDevice {
        const PciDeviceOps *ops;
        pthread_mutex_t lock;
        PciRoot *root; /* weak: set by pci_root_add() */
        unsigned slot;
        uint8_t config[PCI_CONFIG_SIZE];
        uint8_t writable[PCI_CONFIG_SIZE]; /* bits that the guest may change */
        unsigned next_capability;          /* offset of the first free byte for one */
        unsigned last_capability;          /* offset of the end of the list, 0 = empty */
        PciBar bars[PCI_BARS];
        bool intx; /* what the device asks for; the wire also looks at the command register */
        bool intx_wire;
        bool restless; /* suspended, and busy still */
};

typedef struct PciIds {
        uint16_t vendor, device;
        uint16_t subsystem_vendor, subsystem;
        uint32_t class_code; /* 24 bits: class, subclass, programming interface */
        uint8_t revision;
        bool intx; /* the function has an interrupt pin (INTA#) */
} PciIds;

/* ---- a device: config.c, bar.c ---- */

void pci_device_init(PciDevice *dev, const PciDeviceOps *ops, const PciIds *ids);
void pci_device_deinit(PciDevice *dev);
int pci_device_add_bar(PciDevice *dev, unsigned index, PciBarKind kind, uint64_t size);
int pci_device_add_capability(PciDevice *dev, uint8_t id, const void *body, size_t len,
                              unsigned *ret_offset);
void pci_device_set_writable(PciDevice *dev, unsigned offset, uint32_t mask, unsigned size);
void pci_device_set_intx(PciDevice *dev, bool level);
uint32_t pci_config_read(PciDevice *dev, unsigned offset, unsigned size);
void pci_config_write(PciDevice *dev, unsigned offset, unsigned size, uint32_t value);

/* ---- the host bridge: root.c ---- */

typedef struct PciRootConfig {
        Bus *mmio, *pio;                  /* borrowed, outlive the bridge's last access */
        uint64_t mem64_base, mem64_size;  /* size 0 = none */
        uint64_t mem32_base, mem32_size;  /* without @firmware; size 0 = memmap.h's */
        uint64_t ecam_base, ecam_size;    /* the same */
        bool no_ports;                    /* nothing is at ports 0xcf8 and 0xcfc */
        IrqLine intx[GSI_PCI_INTX_COUNT]; /* wires GSI_PCI_INTX_FIRST and on */
        bool firmware; /* a chipset that firmware knows; it places ECAM, which is off at first */
} PciRootConfig;

int pci_root_new(const PciRootConfig *config, PciRoot **ret);
PciRoot *pci_root_free(PciRoot *root);
DEFINE_CLEANUP(PciRoot *, pci_root_free)
int pci_root_add(PciRoot *root, PciDevice *dev, unsigned slot);
int pci_root_plug(PciRoot *root, PciDevice *dev, unsigned slot);
unsigned pci_root_free_slot(PciRoot *root);
void pci_root_hide(PciRoot *root, unsigned slot);
void pci_root_unplug(PciRoot *root, unsigned slot);
void pci_root_handle_eoi(PciRoot *root, unsigned gsi);
void pci_root_count(PciRoot *root, unsigned slot, PciCountFn fn, void *userdata);
bool pci_root_ecam(PciRoot *root, uint64_t *ret_base, uint64_t *ret_size);
void pci_root_set_suspended(PciRoot *root, bool suspended);
bool pci_root_is_at_rest(const PciRoot *root);
void pci_root_set_rest_handler(PciRoot *root, PciRestFn fn, void *userdata);
void pci_device_rested(PciDevice *dev);
void pci_root_snapshot(PciRoot *root, Snapshot *s);
void pci_device_has_no_more(PciDevice *dev, Snapshot *s);

/** pci_slot_gsi() - the interrupt that INTA# of @slot is wired to; the _PRT says the same */
static inline unsigned pci_slot_gsi(unsigned slot) {
        return GSI_PCI_INTX_FIRST + slot % GSI_PCI_INTX_COUNT;
}
