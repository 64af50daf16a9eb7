/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/mem/bus.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/checked.h"

#define BUS_REGIONS_MAX 128u
#define BUS_NO_PARENT UINT32_MAX

typedef struct BusRegion {
        uint64_t base, size;
        const BusOps *ops;
        void *device;          /* borrowed */
        pthread_mutex_t *lock; /* borrowed; may be NULL */
        unsigned parent;       /* index of the smallest region around this one, or BUS_NO_PARENT */
} BusRegion;

struct Bus {
        const char *name;
        unsigned n_regions;
        BusRegion regions[BUS_REGIONS_MAX]; /* ascending by base, then outer before inner */
};

/**
 * bus_new() - an address space with nothing in it
 * @name: for log lines; must outlive the bus
 *
 * Return: 0 or -ENOMEM.
 */
int bus_new(const char *name, Bus **ret) {
        Bus *bus = malloc(sizeof(*bus));

        if (!bus)
                return -ENOMEM;
        bus->name = name;
        bus->n_regions = 0;
        *ret = bus;
        return 0;
}

/** bus_free() - release the bus; the devices belong to others. Return: NULL. */
Bus *bus_free(Bus *bus) {
        free(bus);
        return NULL;
}

static uint64_t region_end(const BusRegion *region) {
        return region->base + region->size;
}

static bool region_holds(const BusRegion *region, uint64_t address, uint64_t size) {
        return address >= region->base && range_within(address - region->base, size, region->size);
}

/* Disjoint, or one strictly inside the other. */
static bool regions_compatible(const BusRegion *a, const BusRegion *b) {
        if (region_end(a) <= b->base || region_end(b) <= a->base)
                return true;
        return a->size != b->size &&
               (region_holds(a, b->base, b->size) || region_holds(b, a->base, a->size));
}

/* Sorted order puts every region behind those around it, so that the nearest holder before it is its parent. */
static void bus_link_parents(Bus *bus) {
        for (unsigned i = 0; i < bus->n_regions; i++) {
                BusRegion *region = &bus->regions[i];

                region->parent = BUS_NO_PARENT;
                for (unsigned j = i; j-- > 0;)
                        if (region_holds(&bus->regions[j], region->base, region->size)) {
                                region->parent = j;
                                break;
                        }
        }
}

/**
 * bus_add() - let @device answer for [@base, @base + @size)
 * @ops:    must outlive the bus
 * @device: borrowed, must outlive the bus
 * @lock:   held around every call into the device; borrowed; NULL for devices that lock themselves
 *
 * Regions may nest: the smallest one that holds an access as a whole gets it. That is how the reset register at
 * port 0xcf9 lives inside the four bytes of the PCI address register. Only while the board is built.
 *
 * Return: 0; -EINVAL for an empty or wrapping range; -EEXIST when the range partly overlaps or equals another;
 * -ENOSPC when the table is full.
 */
int bus_add(Bus *bus, uint64_t base, uint64_t size, const BusOps *ops, void *device,
            pthread_mutex_t *lock) {
        BusRegion region = {.base = base, .size = size, .ops = ops, .device = device, .lock = lock};
        uint64_t end;
        unsigned at = 0;

        if (size == 0 || !ADD_CHECKED(base, size, &end))
                return -EINVAL;
        if (bus->n_regions == BUS_REGIONS_MAX)
                return -ENOSPC;
        for (unsigned i = 0; i < bus->n_regions; i++)
                if (!regions_compatible(&bus->regions[i], &region))
                        return -EEXIST;

        while (at < bus->n_regions &&
               (bus->regions[at].base < base ||
                (bus->regions[at].base == base && bus->regions[at].size > size)))
                at++;
        memmove(&bus->regions[at + 1], &bus->regions[at],
                (bus->n_regions - at) * sizeof(bus->regions[0]));
        bus->regions[at] = region;
        bus->n_regions++;
        bus_link_parents(bus);
        return 0;
}

/* The smallest region that holds the access, or NULL. */
static const BusRegion *bus_find(const Bus *bus, uint64_t address, unsigned size) {
        unsigned low = 0, high = bus->n_regions;

        while (low < high) {
                unsigned middle = low + (high - low) / 2;

                if (bus->regions[middle].base <= address)
                        low = middle + 1;
                else
                        high = middle;
        }
        /* Whatever holds the address is the last region that starts at or before it, or encloses that one. */
        for (unsigned i = low == 0 ? BUS_NO_PARENT : low - 1; i != BUS_NO_PARENT;
             i = bus->regions[i].parent)
                if (region_holds(&bus->regions[i], address, size))
                        return &bus->regions[i];
        return NULL;
}

static uint64_t size_mask(unsigned size) {
        return size >= 8 ? UINT64_MAX : (UINT64_C(1) << (size * 8)) - 1;
}

/**
 * bus_read() - a read cycle; vCPU threads
 * @size: 1, 2, 4 or 8 bytes
 *
 * An access that no single device holds is split into bytes, as a real bus splits it. Nobody answers with all ones.
 *
 * Return: the value in the low @size bytes, zero above.
 */
uint64_t bus_read(Bus *bus, uint64_t address, unsigned size) {
        const BusRegion *region = bus_find(bus, address, size);
        uint64_t value = 0;

        if (!region) {
                if (size == 1)
                        return 0xff;
                for (unsigned i = 0; i < size; i++)
                        value |= bus_read(bus, address + i, 1) << (i * 8);
                return value;
        }
        if (region->lock)
                pthread_mutex_lock(region->lock);
        value = region->ops->read(region->device, address - region->base, size);
        if (region->lock)
                pthread_mutex_unlock(region->lock);
        return value & size_mask(size);
}

/**
 * bus_write() - a write cycle; vCPU threads
 * @size:  1, 2, 4 or 8 bytes
 * @value: bits above @size are ignored
 *
 * Split as in bus_read(); a write that nobody claims is lost.
 */
void bus_write(Bus *bus, uint64_t address, unsigned size, uint64_t value) {
        const BusRegion *region = bus_find(bus, address, size);

        if (!region) {
                if (size == 1)
                        return;
                for (unsigned i = 0; i < size; i++)
                        bus_write(bus, address + i, 1, value >> (i * 8));
                return;
        }
        if (region->lock)
                pthread_mutex_lock(region->lock);
        region->ops->write(region->device, address - region->base, size, value & size_mask(size));
        if (region->lock)
                pthread_mutex_unlock(region->lock);
}
