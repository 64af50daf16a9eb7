/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The function's descriptor: regions that are read, written and mapped, and interrupts that become eventfds. What the
 * kernel says of them is derived from the device's own registers, so nothing of it is believed beyond what it must fit in.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fd.h"
#include "vmm/mem/memmap.h"
#include "vmm/vfio/vfio_internal.h"

#define REGION_INFO_MAX 65536u /* bytes, with its capabilities */
#define CAPABILITIES_MAX 16u   /* in one region's list */

/* ---- regions ---- */

/* One area that the kernel would map: kept if it is what it should be. */
static void add_area(VfioRegion *region, uint64_t offset, uint64_t size) {
        const uint64_t last = region->n_areas > 0 ? region->areas[region->n_areas - 1].offset +
                                                            region->areas[region->n_areas - 1].size
                                                  : 0;

        if (region->n_areas == VFIO_AREAS_MAX || size == 0 || offset % MEMMAP_PAGE_SIZE != 0 ||
            size % MEMMAP_PAGE_SIZE != 0 || !range_within(offset, size, region->size) ||
            offset < last)
                return;
        region->areas[region->n_areas].offset = offset;
        region->areas[region->n_areas].size = size;
        region->n_areas++;
}

/* @cap is in a copy of the list, with @room bytes from its begin on. */
static void add_sparse_areas(VfioRegion *region, const uint8_t *cap, size_t room) {
        struct vfio_region_info_cap_sparse_mmap head;

        if (room < sizeof(head))
                return;
        memcpy(&head, cap, sizeof(head));
        for (size_t i = 0; i < head.nr_areas && i < VFIO_AREAS_MAX; i++) {
                struct vfio_region_sparse_mmap_area area;
                size_t at = sizeof(head) + i * sizeof(area);

                if (!range_within(at, sizeof(area), room))
                        return;
                memcpy(&area, cap + at, sizeof(area));
                add_area(region, area.offset, area.size);
        }
}

/* Return: whether there was a list of areas; without one the whole region can be mapped. */
static bool add_listed_areas(VfioRegion *region, const uint8_t *info, size_t size) {
        const struct vfio_region_info *head = (const struct vfio_region_info *) info;
        uint32_t at = head->cap_offset;

        if (!(head->flags & VFIO_REGION_INFO_FLAG_CAPS))
                return false;
        for (unsigned i = 0; i < CAPABILITIES_MAX && at >= sizeof(*head); i++) {
                struct vfio_info_cap_header cap;

                if (!range_within(at, sizeof(cap), size))
                        break;
                memcpy(&cap, info + at, sizeof(cap));
                if (cap.id == VFIO_REGION_INFO_CAP_SPARSE_MMAP) {
                        add_sparse_areas(region, info + at, size - at);
                        return true;
                }
                at = cap.next;
        }
        return false;
}

static int take_region(VfioRegion *region, const uint8_t *info, size_t size, bool mappable) {
        const struct vfio_region_info *head = (const struct vfio_region_info *) info;
        uint64_t end;

        if (!ADD_CHECKED(head->offset, head->size, &end) || end > INT64_MAX)
                return -EPROTO;
        *region = (VfioRegion){
                .size = head->size,
                .offset = head->offset,
                .readable = head->flags & VFIO_REGION_INFO_FLAG_READ,
                .writable = head->flags & VFIO_REGION_INFO_FLAG_WRITE,
        };
        if (mappable && (head->flags & VFIO_REGION_INFO_FLAG_MMAP) && region->readable &&
            region->writable && !add_listed_areas(region, info, size))
                add_area(region, 0, align_down(region->size, MEMMAP_PAGE_SIZE));
        return 0;
}

/* The kernel says in a first answer how long the second will be. */
static int get_region(const VfioDevice *device, unsigned index, VfioRegion *ret) {
        struct vfio_region_info head = {.argsz = sizeof(head), .index = index};
        _cleanup_(freep) uint8_t *info = NULL;
        size_t size;
        int r;

        r = device->ops->control(device->fd, VFIO_DEVICE_GET_REGION_INFO, &head);
        if (r < 0)
                return r;
        size = MIN(MAX((size_t) head.argsz, sizeof(head)), (size_t) REGION_INFO_MAX);
        info = calloc(1, size);
        if (!info)
                return -ENOMEM;
        head = (struct vfio_region_info){.argsz = (uint32_t) size, .index = index};
        memcpy(info, &head, sizeof(head));
        r = device->ops->control(device->fd, VFIO_DEVICE_GET_REGION_INFO, info);
        return r < 0 ? r : take_region(ret, info, size, index <= VFIO_PCI_BAR5_REGION_INDEX);
}

static int get_regions(VfioDevice *device) {
        int r;

        for (unsigned i = 0; i < PCI_BARS; i++) {
                r = get_region(device, VFIO_PCI_BAR0_REGION_INDEX + i, &device->bars[i]);
                if (r < 0)
                        return r;
        }
        r = get_region(device, VFIO_PCI_CONFIG_REGION_INDEX, &device->config);
        if (r < 0)
                return r;
        return device->config.size >= PCI_CONFIG_SIZE ? 0 : -EPROTO;
}

/* ---- interrupts ---- */

/* How many there are of the kind @index; one that the device has not is an error to the kernel, and 0 to us. */
static unsigned count_interrupts(const VfioDevice *device, unsigned index) {
        struct vfio_irq_info info = {.argsz = sizeof(info), .index = index};

        if (device->ops->control(device->fd, VFIO_DEVICE_GET_IRQ_INFO, &info) < 0 ||
            !(info.flags & VFIO_IRQ_INFO_EVENTFD))
                return 0;
        return info.count;
}

/**
 * vfio_device_set_events() - have the interrupts of kind @index signal @fds from the first on, and enable them
 * @n: 0 disables the kind
 *
 * Any thread that the caller keeps from doing it twice at once. Return: 0; the number, less than @n, that the host has
 * vectors for: then nothing was done; negative errno.
 */
int vfio_device_set_events(const VfioDevice *device, unsigned index, const int *fds, unsigned n) {
        struct {
                struct vfio_irq_set head;
                int32_t fds[VFIO_MSIX_MAX];
        } set = {
                .head = {.argsz = (uint32_t) (sizeof(set.head) + n * sizeof(set.fds[0])),
                         .flags = VFIO_IRQ_SET_ACTION_TRIGGER |
                                  (n > 0 ? VFIO_IRQ_SET_DATA_EVENTFD : VFIO_IRQ_SET_DATA_NONE),
                         .index = index,
                         .count = n},
        };

        for (unsigned i = 0; i < n; i++)
                set.fds[i] = fds[i];
        return device->ops->control(device->fd, VFIO_DEVICE_SET_IRQS, &set);
}

/** vfio_device_unmask_intx() - let the wire be raised again; if the device still pulls it, that is at once */
int vfio_device_unmask_intx(const VfioDevice *device) {
        struct vfio_irq_set set = {
                .argsz = sizeof(set),
                .flags = VFIO_IRQ_SET_ACTION_UNMASK | VFIO_IRQ_SET_DATA_NONE,
                .index = VFIO_PCI_INTX_IRQ_INDEX,
                .count = 1,
        };

        return device->ops->control(device->fd, VFIO_DEVICE_SET_IRQS, &set);
}

/* ---- life ---- */

/**
 * vfio_device_init_consume() - ask the kernel about the function, and reset it if it can be
 * @fd:  consumed, on failure too
 *
 * Return: 0; negative errno with a sentence; then there is nothing to deinit.
 */
int vfio_device_init_consume(VfioDevice *device, const VfioOps *ops, int fd, TextError *reterr) {
        struct vfio_device_info info = {.argsz = sizeof(info)};
        int r;

        *device = (VfioDevice){.ops = ops, .fd = fd};
        r = ops->control(fd, VFIO_DEVICE_GET_INFO, &info);
        if (r >= 0 && !(info.flags & VFIO_DEVICE_FLAGS_PCI))
                r = -ENODEV;
        if (r >= 0) {
                device->can_reset = info.flags & VFIO_DEVICE_FLAGS_RESET;
                r = get_regions(device);
        }
        if (r < 0) {
                vfio_device_deinit(device);
                return text_error_set(reterr, r, "not a PCI function of VFIO's: %s", strerror(-r));
        }
        device->n_intx = count_interrupts(device, VFIO_PCI_INTX_IRQ_INDEX);
        device->n_msi = count_interrupts(device, VFIO_PCI_MSI_IRQ_INDEX);
        device->n_msix = count_interrupts(device, VFIO_PCI_MSIX_IRQ_INDEX);
        /* What others left in it is not the guest's to know. One without reset was just opened, which is all there is. */
        if (device->can_reset)
                (void) ops->control(fd, VFIO_DEVICE_RESET, NULL);
        return 0;
}

/** vfio_device_deinit() - close it; the kernel resets it with that */
void vfio_device_deinit(VfioDevice *device) {
        device->fd = fd_close(device->fd);
}

/** vfio_device_read() - read @len bytes at @offset of @region. Return: whether all of them came. */
bool vfio_device_read(const VfioDevice *device, const VfioRegion *region, uint64_t offset,
                      void *data, size_t len) {
        return region->readable && range_within(offset, len, region->size) &&
               device->ops->read(device->fd, data, len, region->offset + offset) == (ssize_t) len;
}

/** vfio_device_write() - write @len bytes at @offset of @region. Return: whether all of them went. */
bool vfio_device_write(const VfioDevice *device, const VfioRegion *region, uint64_t offset,
                       const void *data, size_t len) {
        return region->writable && range_within(offset, len, region->size) &&
               device->ops->write(device->fd, data, len, region->offset + offset) == (ssize_t) len;
}
