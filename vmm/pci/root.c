/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/pci/pci.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/checked.h"
#include "vmm/pci/pci_internal.h"

/*
 * The host bridge: configuration accesses by ECAM and by ports 0xcf8/0xcfc, and the windows behind which BARs move.
 * The buses dispatch a whole window to the bridge once and for all; which device answers is looked up here, in the
 * list of mapped BARs. That list has its own lock, taken last and never held while a device is called.
 */

typedef struct Mapping {
        PciDevice *dev;
        unsigned bar;
        bool io;
        uint64_t base, size;
} Mapping;

struct PciRoot {
        PciDevice bridge;                       /* slot 0 */
        _Atomic(PciDevice *) slots[PCI_SLOTS];  /* owned, but for the bridge */
        _Atomic(PciDevice *) hidden[PCI_SLOTS]; /* owned; what pci_root_hide() took off the bus */
        PciWindow windows[PCI_WINDOW_COUNT];
        bool firmware;              /* ECAM lies in the 32-bit window, where firmware puts it */
        _Atomic uint64_t ecam_base; /* 0 = nowhere */
        _Atomic uint64_t ecam_size;
        IrqLine intx[GSI_PCI_INTX_COUNT];
        _Atomic uint32_t config_address;

        pthread_mutex_t wires_lock;
        unsigned wires[GSI_PCI_INTX_COUNT]; /* devices that pull each line */

        pthread_rwlock_t mappings_lock;
        Mapping mappings[PCI_SLOTS * PCI_BARS];
        unsigned n_mappings;

        /* The loop thread's. */
        unsigned n_restless;
        PciRestFn rest_fn;
        void *rest_userdata; /* weak */
};

static PciDevice *bridge_free(PciDevice *dev) {
        pci_device_deinit(dev);
        return NULL;
}

static const PciDeviceOps bridge_ops = {
        .name = "pci-host-bridge", .snapshot = pci_device_has_no_more, .free = bridge_free};

static const PciIds bridge_ids = {
        /* Red Hat's number for a host bridge that exists only in software. */
        .vendor = 0x1b36,    .device = 0x0008,       .subsystem_vendor = 0x1af4,
        .subsystem = 0x1100, .class_code = 0x060000,
};

/* Firmware moved ECAM. Accesses that other processors make meanwhile go to the old or the new place. */
static void q35_written(PciDevice *dev, unsigned offset, unsigned size) {
        PciRoot *root = dev->root;
        uint64_t base = 0, bytes = 0;

        (void) q35_ecam(dev, &base, &bytes);
        atomic_store(&root->ecam_size, bytes);
        atomic_store(&root->ecam_base, base);
}

static const PciDeviceOps q35_ops = {
        .name = "pci-host-bridge", .config_written = q35_written, .free = bridge_free};

static uint64_t ones(unsigned size) {
        return size >= 8 ? UINT64_MAX : (UINT64_C(1) << (8 * size)) - 1;
}

/* ---- configuration space; the reset port 0xcf9 is a region of its own inside ours ---- */

static PciDevice *slot_device(PciRoot *root, uint64_t slot) {
        return atomic_load_explicit(&root->slots[slot], memory_order_acquire);
}

static uint64_t ecam_read(void *userdata, uint64_t offset, unsigned size) {
        PciRoot *root = userdata;
        PciDevice *dev = slot_device(root, offset >> 15 & (PCI_SLOTS - 1));

        if (offset >> 20 != 0 || (offset >> 12 & 7) != 0 || !dev || size > 4)
                return ones(size);
        return pci_config_read(dev, offset & 0xfff, size) & ones(size);
}

static void ecam_write(void *userdata, uint64_t offset, unsigned size, uint64_t value) {
        PciRoot *root = userdata;
        PciDevice *dev = slot_device(root, offset >> 15 & (PCI_SLOTS - 1));

        if (offset >> 20 != 0 || (offset >> 12 & 7) != 0 || !dev || size > 4)
                return;
        pci_config_write(dev, offset & 0xfff, size, (uint32_t) value);
}

static const BusOps ecam_ops = {.name = "pci-ecam", .read = ecam_read, .write = ecam_write};

#define CONFIG_ENABLE 0x80000000u
#define PORT_DATA (IOPORT_PCI_CONFIG_DATA - IOPORT_PCI_CONFIG_ADDRESS)

/* The function and register that ports 0xcfc..0xcff stand for now, or NULL. */
static PciDevice *port_target(PciRoot *root, uint64_t offset, unsigned *ret_register) {
        uint32_t address = atomic_load(&root->config_address);

        if (!(address & CONFIG_ENABLE) || (address >> 16 & 0xff) != 0 || (address >> 8 & 7) != 0)
                return NULL;
        *ret_register = (address & 0xfc) + (unsigned) (offset - PORT_DATA);
        return slot_device(root, address >> 11 & (PCI_SLOTS - 1));
}

static uint64_t port_read(void *userdata, uint64_t offset, unsigned size) {
        PciRoot *root = userdata;
        PciDevice *dev;
        unsigned reg;

        if (offset == 0 && size == 4)
                return atomic_load(&root->config_address);
        if (offset < PORT_DATA || size > 4)
                return ones(size);

        dev = port_target(root, offset, &reg);
        return dev ? pci_config_read(dev, reg, size) & ones(size) : ones(size);
}

static void port_write(void *userdata, uint64_t offset, unsigned size, uint64_t value) {
        PciRoot *root = userdata;
        PciDevice *dev;
        unsigned reg;

        if (offset == 0 && size == 4) {
                atomic_store(&root->config_address, (uint32_t) value);
                return;
        }
        if (offset < PORT_DATA || size > 4)
                return;

        dev = port_target(root, offset, &reg);
        if (dev)
                pci_config_write(dev, reg, size, (uint32_t) value);
}

static const BusOps port_ops = {.name = "pci-config", .read = port_read, .write = port_write};

/* ---- BAR accesses ---- */

/** pci_root_window() - a range in which BARs may decode */
const PciWindow *pci_root_window(const PciRoot *root, PciWindowKind kind) {
        return root->windows + kind;
}

/** pci_root_bar_map() - @dev answers at its BAR's address from now on; the device's lock is held */
void pci_root_bar_map(PciRoot *root, PciDevice *dev, unsigned bar) {
        pthread_rwlock_wrlock(&root->mappings_lock);
        assert(root->n_mappings < ELEMENTSOF(root->mappings));
        root->mappings[root->n_mappings++] = (Mapping){
                .dev = dev,
                .bar = bar,
                .io = dev->bars[bar].kind == PCI_BAR_IO,
                .base = dev->bars[bar].address,
                .size = dev->bars[bar].size,
        };
        pthread_rwlock_unlock(&root->mappings_lock);
}

/** pci_root_bar_unmap() - undo pci_root_bar_map(); an access in progress may still arrive */
void pci_root_bar_unmap(PciRoot *root, PciDevice *dev, unsigned bar) {
        pthread_rwlock_wrlock(&root->mappings_lock);
        for (unsigned i = 0; i < root->n_mappings; i++)
                if (root->mappings[i].dev == dev && root->mappings[i].bar == bar) {
                        root->mappings[i] = root->mappings[--root->n_mappings];
                        break;
                }
        pthread_rwlock_unlock(&root->mappings_lock);
}

/*
 * Finds who answers and returns with the device's lock held, or NULL. The BAR may move between the two locks, so it
 * is looked at again.
 */
static PciDevice *lock_target(PciRoot *root, bool io, uint64_t address, unsigned size,
                              unsigned *ret_bar, uint64_t *ret_offset) {
        Mapping found = {0};
        const PciBar *bar;

        pthread_rwlock_rdlock(&root->mappings_lock);
        for (unsigned i = 0; i < root->n_mappings && !found.dev; i++) {
                const Mapping *m = root->mappings + i;

                if (m->io == io && address >= m->base &&
                    range_within(address - m->base, size, m->size))
                        found = *m;
        }
        pthread_rwlock_unlock(&root->mappings_lock);
        if (!found.dev)
                return NULL;

        pthread_mutex_lock(&found.dev->lock);
        bar = found.dev->bars + found.bar;
        if (!bar->mapped || bar->address != found.base) {
                pthread_mutex_unlock(&found.dev->lock);
                return NULL;
        }
        *ret_bar = found.bar;
        *ret_offset = address - found.base;
        return found.dev;
}

/* Whether a memory access is one to configuration space, at @ret_offset of ECAM. */
static bool in_ecam(const PciRoot *root, bool io, uint64_t address, uint64_t *ret_offset) {
        const uint64_t base = atomic_load(&root->ecam_base), size = atomic_load(&root->ecam_size);

        *ret_offset = address - base;
        return !io && base != 0 && address >= base && address - base < size;
}

static uint64_t window_read(PciRoot *root, bool io, uint64_t address, unsigned size) {
        uint64_t offset, value = ones(size);
        unsigned bar;
        PciDevice *dev;

        if (in_ecam(root, io, address, &offset))
                return ecam_read(root, offset, size);
        dev = lock_target(root, io, address, size, &bar, &offset);
        if (!dev)
                return value;
        if (dev->ops->bar_read)
                value = dev->ops->bar_read(dev, bar, offset, size) & ones(size);
        pthread_mutex_unlock(&dev->lock);
        return value;
}

static void window_write(PciRoot *root, bool io, uint64_t address, unsigned size, uint64_t value) {
        uint64_t offset;
        unsigned bar;
        PciDevice *dev;

        if (in_ecam(root, io, address, &offset)) {
                ecam_write(root, offset, size, value);
                return;
        }
        dev = lock_target(root, io, address, size, &bar, &offset);
        if (!dev)
                return;
        if (dev->ops->bar_write)
                dev->ops->bar_write(dev, bar, offset, size, value & ones(size));
        pthread_mutex_unlock(&dev->lock);
}

/* The bus hands over offsets into the region, one pair of functions per window turns them into addresses. */
#define WINDOW_BUS_OPS(name_, kind, io)                                                            \
        static uint64_t name_##_read(void *root, uint64_t offset, unsigned size) {                 \
                return window_read(root, io, pci_root_window(root, kind)->base + offset, size);    \
        }                                                                                          \
        static void name_##_write(void *root, uint64_t offset, unsigned size, uint64_t value) {    \
                window_write(root, io, pci_root_window(root, kind)->base + offset, size, value);   \
        }                                                                                          \
        static const BusOps name_##_ops = {                                                        \
                .name = "pci-" #name_, .read = name_##_read, .write = name_##_write}

WINDOW_BUS_OPS(mem32, PCI_WINDOW_MEM32, false);
WINDOW_BUS_OPS(mem64, PCI_WINDOW_MEM64, false);
WINDOW_BUS_OPS(io, PCI_WINDOW_IO, true);

/* ---- interrupt wires ---- */

/** pci_root_set_wire() - one device more or fewer pulls its slot's line, which is the OR of all of them */
void pci_root_set_wire(PciRoot *root, unsigned slot, bool level) {
        unsigned line = pci_slot_gsi(slot) - GSI_PCI_INTX_FIRST;

        pthread_mutex_lock(&root->wires_lock);
        assert(level || root->wires[line] > 0);
        root->wires[line] += level ? 1 : -1u;
        /* Under the lock: two threads must not deliver their levels in the wrong order. */
        irq_line_set(root->intx + line, root->wires[line] > 0);
        pthread_mutex_unlock(&root->wires_lock);
}

/** pci_root_handle_eoi() - the guest has served the line @gsi: those of its functions that ask for it hear of it; any thread */
void pci_root_handle_eoi(PciRoot *root, unsigned gsi) {
        for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
                PciDevice *dev = pci_slot_gsi(slot) == gsi ? slot_device(root, slot) : NULL;

                if (!dev || !dev->ops->intx_eoi)
                        continue;
                pthread_mutex_lock(&dev->lock);
                dev->ops->intx_eoi(dev);
                pthread_mutex_unlock(&dev->lock);
        }
}

/* ---- life ---- */

static int add_regions(PciRoot *root, const PciRootConfig *config) {
        const PciWindow *w = root->windows;
        int r;

        if (!config->firmware) {
                r = bus_add(config->mmio, atomic_load(&root->ecam_base),
                            atomic_load(&root->ecam_size), &ecam_ops, root, NULL);
                if (r < 0)
                        return r;
        }
        if (!config->no_ports) {
                r = bus_add(config->pio, IOPORT_PCI_CONFIG_ADDRESS, 8, &port_ops, root, NULL);
                if (r < 0)
                        return r;
        }
        r = bus_add(config->mmio, w[PCI_WINDOW_MEM32].base, w[PCI_WINDOW_MEM32].size, &mem32_ops,
                    root, NULL);
        if (r < 0)
                return r;
        r = bus_add(config->pio, w[PCI_WINDOW_IO].base, w[PCI_WINDOW_IO].size, &io_ops, root, NULL);
        if (r < 0 || w[PCI_WINDOW_MEM64].size == 0)
                return r;
        return bus_add(config->mmio, w[PCI_WINDOW_MEM64].base, w[PCI_WINDOW_MEM64].size, &mem64_ops,
                       root, NULL);
}

static int add_bridges(PciRoot *root) {
        PciDevice *lpc;
        int r;

        pci_device_init(&root->bridge, root->firmware ? &q35_ops : &bridge_ops,
                        root->firmware ? q35_ids() : &bridge_ids);
        if (root->firmware)
                q35_init(&root->bridge);
        r = pci_root_add(root, &root->bridge, 0);
        if (r < 0 || !root->firmware)
                return r;
        r = q35_lpc_new(&lpc);
        if (r < 0)
                return r;
        r = pci_root_add(root, lpc, PCI_SLOT_LPC);
        if (r < 0)
                (void) lpc->ops->free(lpc);
        return r;
}

/**
 * pci_root_ecam() - where configuration space is mapped now; any thread
 *
 * Return: false when firmware has not said where.
 */
bool pci_root_ecam(PciRoot *root, uint64_t *ret_base, uint64_t *ret_size) {
        *ret_base = atomic_load(&root->ecam_base);
        *ret_size = atomic_load(&root->ecam_size);
        return *ret_base != 0;
}

static PciWindow mem32_window(const PciRootConfig *config) {
        if (config->firmware)
                return (PciWindow){.base = MEMMAP_FIRMWARE_PCI32_BASE,
                                   .size = MEMMAP_FIRMWARE_PCI32_END - MEMMAP_FIRMWARE_PCI32_BASE};
        if (config->mem32_size > 0)
                return (PciWindow){.base = config->mem32_base, .size = config->mem32_size};
        return (PciWindow){.base = MEMMAP_PCI32_BASE, .size = MEMMAP_PCI32_SIZE};
}

/**
 * pci_root_new() - make the host bridge and put it on the buses
 * @config:  copied; the buses are borrowed. On failure regions may stay on them, then they must not be used.
 *
 * Return: 0; -ENOMEM; what bus_add() says.
 */
int pci_root_new(const PciRootConfig *config, PciRoot **ret) {
        _cleanup_(pci_root_freep) PciRoot *root = NULL;
        int r;

        root = calloc(1, sizeof(*root));
        if (!root)
                return -ENOMEM;

        pthread_mutex_init(&root->wires_lock, NULL);
        pthread_rwlock_init(&root->mappings_lock, NULL);
        root->firmware = config->firmware;
        root->windows[PCI_WINDOW_MEM32] = mem32_window(config);
        if (!config->firmware) {
                root->ecam_base = config->ecam_size ? config->ecam_base : MEMMAP_ECAM_BASE;
                root->ecam_size = config->ecam_size ?: MEMMAP_ECAM_SIZE;
        }
        root->windows[PCI_WINDOW_MEM64] =
                (PciWindow){.base = config->mem64_base, .size = config->mem64_size};
        root->windows[PCI_WINDOW_IO] =
                (PciWindow){.base = IOPORT_PCI_WINDOW_BASE, .size = IOPORT_PCI_WINDOW_SIZE};
        for (unsigned i = 0; i < GSI_PCI_INTX_COUNT; i++)
                root->intx[i] = config->intx[i];

        r = add_bridges(root);
        if (r < 0)
                return r;
        r = add_regions(root, config);
        if (r < 0)
                return r;

        *ret = TAKE(root);
        return 0;
}

/** pci_root_free() - free the bridge and every device on it, last slot first; NULL is fine */
PciRoot *pci_root_free(PciRoot *root) {
        if (!root)
                return NULL;

        for (unsigned i = PCI_SLOTS; i-- > 0;) {
                PciDevice *dev = atomic_load(&root->hidden[i]) ?: slot_device(root, i);

                if (dev)
                        dev->ops->free(dev);
        }
        pthread_rwlock_destroy(&root->mappings_lock);
        pthread_mutex_destroy(&root->wires_lock);
        free(root);
        return NULL;
}

static int place_bar(PciRoot *root, PciDevice *dev, unsigned bar) {
        PciBarKind kind = dev->bars[bar].kind;
        uint64_t size = dev->bars[bar].size, start;
        PciWindow *window = root->windows + PCI_WINDOW_MEM32;

        if (kind == PCI_BAR_IO)
                window = root->windows + PCI_WINDOW_IO;
        else if (kind == PCI_BAR_MEM64 && root->windows[PCI_WINDOW_MEM64].size > 0)
                window = root->windows + PCI_WINDOW_MEM64;

        start = align_up(window->base + window->used, size) - window->base;
        if (!range_within(start, size, window->size))
                return -ENOSPC;
        window->used = start + size;
        pci_bar_set_address(dev, bar, window->base + start);
        return 0;
}

static bool is_free(PciRoot *root, unsigned slot) {
        return !slot_device(root, slot) && !atomic_load(&root->hidden[slot]);
}

static void attach(PciRoot *root, PciDevice *dev, unsigned slot) {
        if (dev->config[PCI_INTERRUPT_PIN] != 0)
                dev->config[PCI_INTERRUPT_LINE] = (uint8_t) pci_slot_gsi(slot);
        dev->root = root;
        dev->slot = slot;
        atomic_store_explicit(&root->slots[slot], dev, memory_order_release);
}

/**
 * pci_root_add() - put @dev on the bus: place its BARs, wire its interrupt
 * @dev:   owned by @root on success
 * @slot:  1..PCI_SLOTS - 1
 *
 * Before vCPUs run. Return: 0; -EINVAL for a bad slot; -EBUSY for a used one; -ENOSPC when a window is full.
 */
int pci_root_add(PciRoot *root, PciDevice *dev, unsigned slot) {
        if (slot >= PCI_SLOTS)
                return -EINVAL;
        if (!is_free(root, slot))
                return -EBUSY;

        for (unsigned i = 0; i < PCI_BARS; i++)
                if (dev->bars[i].kind != PCI_BAR_ABSENT) {
                        int r = place_bar(root, dev, i);

                        if (r < 0)
                                return r;
                }
        attach(root, dev, slot);
        return 0;
}

/**
 * pci_root_plug() - put @dev on the bus of a machine that runs; the guest places its BARs
 * @dev: owned by @root on success
 *
 * On the loop's thread. Return: 0; -EINVAL for a bad slot; -EBUSY for a used one.
 */
int pci_root_plug(PciRoot *root, PciDevice *dev, unsigned slot) {
        if (slot == 0 || slot >= PCI_SLOTS)
                return -EINVAL;
        if (!is_free(root, slot))
                return -EBUSY;
        attach(root, dev, slot);
        return 0;
}

/** pci_root_free_slot() - the lowest slot that nothing is in, or 0; the loop's thread */
unsigned pci_root_free_slot(PciRoot *root) {
        for (unsigned i = 1; i < PCI_SLOTS; i++)
                if (is_free(root, i))
                        return i;
        return 0;
}

/**
 * pci_root_hide() - the guest finds nothing in @slot any more; any thread
 *
 * Accesses under way may still arrive: the device stays until pci_root_unplug().
 */
void pci_root_hide(PciRoot *root, unsigned slot) {
        PciDevice *dev = slot_device(root, slot);

        if (!dev)
                return;
        /* In this order: a slot is free when it is in neither. */
        atomic_store(&root->hidden[slot], dev);
        atomic_store(&root->slots[slot], NULL);
}

static void detach(PciRoot *root, PciDevice *dev) {
        pthread_mutex_lock(&dev->lock);
        for (unsigned i = 0; i < PCI_BARS; i++) {
                if (!dev->bars[i].mapped)
                        continue;
                pci_root_bar_unmap(root, dev, i);
                dev->bars[i].mapped = false;
                if (dev->ops->bar_moved)
                        dev->ops->bar_moved(dev, i);
        }
        pci_device_set_intx(dev, false);
        pthread_mutex_unlock(&dev->lock);
}

/** pci_root_unplug() - free what is in @slot, hidden or not; the loop's thread, no vCPU in the guest */
void pci_root_unplug(PciRoot *root, unsigned slot) {
        PciDevice *dev;

        pci_root_hide(root, slot);
        dev = atomic_exchange(&root->hidden[slot], NULL);
        if (!dev)
                return;
        detach(root, dev);
        pci_device_rested(dev); /* for it waits for what it is busy with */
        dev->ops->free(dev);
}

/** pci_root_set_suspended() - tell every function that the machine is suspended, or goes on; the loop's thread */
void pci_root_set_suspended(PciRoot *root, bool suspended) {
        root->n_restless = 0;
        for (unsigned i = 0; i < PCI_SLOTS; i++) {
                PciDevice *dev = slot_device(root, i);
                void (*fn)(PciDevice *) = NULL;

                if (dev)
                        fn = suspended ? dev->ops->suspend : dev->ops->resume;
                if (!fn)
                        continue;
                pthread_mutex_lock(&dev->lock);
                fn(dev);
                dev->restless = suspended && dev->ops->busy && dev->ops->busy(dev);
                root->n_restless += dev->restless;
                pthread_mutex_unlock(&dev->lock);
        }
}

/** pci_root_is_at_rest() - whether no function of a suspended machine is busy any more; the loop's thread */
bool pci_root_is_at_rest(const PciRoot *root) {
        return root->n_restless == 0;
}

/** pci_root_set_rest_handler() - who is told when a machine that was suspended has come to rest */
void pci_root_set_rest_handler(PciRoot *root, PciRestFn fn, void *userdata) {
        root->rest_fn = fn;
        root->rest_userdata = userdata;
}

/** pci_device_rested() - a function that was busy() is not any more; of no effect on others; the loop's thread */
void pci_device_rested(PciDevice *dev) {
        PciRoot *root = dev->root;

        if (!dev->restless)
                return;
        dev->restless = false;
        if (--root->n_restless == 0 && root->rest_fn)
                root->rest_fn(root->rest_userdata);
}

/** pci_root_count() - pass the counters of the function in @slot, if there is one, to @fn; the loop's thread */
void pci_root_count(PciRoot *root, unsigned slot, PciCountFn fn, void *userdata) {
        PciDevice *dev = slot_device(root, slot);

        if (!dev || !dev->ops->count)
                return;
        pthread_mutex_lock(&dev->lock);
        dev->ops->count(dev, fn, userdata);
        pthread_mutex_unlock(&dev->lock);
}

/** pci_device_has_no_more() - PciDeviceOps.snapshot of a function that is its configuration space */
void pci_device_has_no_more(PciDevice *dev, Snapshot *s) {
}

static void snapshot_slot(PciDevice *dev, unsigned slot, Snapshot *s) {
        pthread_mutex_lock(&dev->lock);
        if (!dev->ops->snapshot)
                snapshot_refuse(s, "%s in PCI slot %u cannot be saved", dev->ops->name, slot);
        else {
                snapshot_enter(s, "pci", slot);
                pci_config_snapshot(dev, s);
                dev->ops->snapshot(dev, s);
                snapshot_leave(s);
        }
        pthread_mutex_unlock(&dev->lock);
}

/**
 * pci_root_snapshot() - save or restore the bridge and what is on its bus; the loop's thread, all at rest
 *
 * The same functions must be in the same slots. After the interrupt controllers.
 */
void pci_root_snapshot(PciRoot *root, Snapshot *s) {
        uint32_t address = atomic_load(&root->config_address);

        snapshot_enter(s, "pci-root", 0);
        snapshot_u32(s, &address);
        for (unsigned i = 0; i < PCI_SLOTS; i++) {
                const PciDevice *dev = slot_device(root, i);
                char slot[16];

                (void) snprintf(slot, sizeof(slot), "PCI slot %u", i);
                snapshot_expect_text(s, slot, dev ? dev->ops->name : "");
        }
        snapshot_leave(s);
        if (snapshot_restored(s))
                atomic_store(&root->config_address, address);
        for (unsigned i = 0; i < PCI_SLOTS; i++)
                if (slot_device(root, i))
                        snapshot_slot(slot_device(root, i), i, s);
}
