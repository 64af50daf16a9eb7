/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The container is one address space of the host's IOMMU: guest physical addresses, as the guest's drivers give them to
 * the device. A group, the least that the IOMMU can tell apart, joins it as a whole. All of guest memory is mapped, and so
 * pinned, when the first group has joined, because nobody says what a device will reach for.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fd.h"
#include "vmm/vfio/vfio_internal.h"

#define CONTAINER_PATH "/dev/vfio/vfio"
#define GROUP_BUSY_TEXT 512u

typedef struct VfioGroup {
        unsigned number;
        int fd; /* owned */
} VfioGroup;

struct VfioContainer {
        const VfioOps *ops; /* borrowed, as @mem */
        GuestMem *mem;
        int fd; /* owned */
        bool has_iommu;
        VfioGroup groups[VFIO_FUNCTIONS_MAX];
        unsigned n_groups;
};

/* ---- the kernel ---- */

static int kernel_open(const char *path) {
        int fd = open(path, O_RDWR | O_CLOEXEC);

        return fd < 0 ? -errno : fd;
}

static int kernel_control(int fd, unsigned long request, void *argument) {
        int r = ioctl(fd, request, argument);

        return r < 0 ? -errno : r;
}

static ssize_t kernel_read(int fd, void *data, size_t len, uint64_t offset) {
        ssize_t n = pread(fd, data, len, (off_t) offset);

        return n < 0 ? -errno : n;
}

static ssize_t kernel_write(int fd, const void *data, size_t len, uint64_t offset) {
        ssize_t n = pwrite(fd, data, len, (off_t) offset);

        return n < 0 ? -errno : n;
}

static void *kernel_map(int fd, size_t len, uint64_t offset) {
        void *host = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t) offset);

        return host == MAP_FAILED ? NULL : host;
}

static void kernel_unmap(void *host, size_t len) {
        (void) munmap(host, len);
}

const VfioOps vfio_kernel_ops = {
        .open = kernel_open,
        .control = kernel_control,
        .read = kernel_read,
        .write = kernel_write,
        .map = kernel_map,
        .unmap = kernel_unmap,
};

/* ---- life ---- */

static int check_kernel(const VfioContainer *container, TextError *reterr) {
        const VfioOps *ops = container->ops;

        if (ops->control(container->fd, VFIO_GET_API_VERSION, NULL) != VFIO_API_VERSION)
                return text_error_set(reterr, -EOPNOTSUPP,
                                      "%s: not the VFIO that this version knows", CONTAINER_PATH);
        if (ops->control(container->fd, VFIO_CHECK_EXTENSION,
                         (void *) (uintptr_t) VFIO_TYPE1v2_IOMMU) <= 0)
                return text_error_set(reterr, -EOPNOTSUPP,
                                      "%s: no IOMMU: load the host's module vfio_iommu_type1",
                                      CONTAINER_PATH);
        return 0;
}

static int open_container(VfioContainer *container, TextError *reterr) {
        int fd;

        if (container->fd >= 0)
                return 0;
        fd = container->ops->open(CONTAINER_PATH);
        if (fd == -ENOENT || fd == -ENODEV)
                return text_error_set(
                        reterr, fd, "the host has no " CONTAINER_PATH ": load its module vfio-pci");
        if (fd < 0)
                return text_error_set(reterr, fd, "cannot open " CONTAINER_PATH ": %s",
                                      strerror(-fd));
        container->fd = fd;
        return check_kernel(container, reterr);
}

/**
 * vfio_container_new() - an address space that has no device yet; the kernel is asked for it with the first
 * @ops, @mem:  borrowed, outlive the result
 *
 * Return: 0; -ENOMEM.
 */
int vfio_container_new(const VfioOps *ops, GuestMem *mem, VfioContainer **ret) {
        VfioContainer *container = calloc(1, sizeof(*container));

        if (!container)
                return -ENOMEM;
        container->ops = ops;
        container->mem = mem;
        container->fd = -EBADF;
        *ret = container;
        return 0;
}

/** vfio_container_free() - take the memory from the devices; after the bus. NULL is fine. Return: NULL. */
VfioContainer *vfio_container_free(VfioContainer *container) {
        if (!container)
                return NULL;
        for (unsigned i = 0; i < container->n_groups; i++)
                (void) fd_close(container->groups[i].fd);
        (void) fd_close(container->fd);
        free(container);
        return NULL;
}

/** vfio_container_ops() - by which the kernel is asked */
const VfioOps *vfio_container_ops(const VfioContainer *container) {
        return container->ops;
}

/* ---- memory ---- */

static int refuse_memory(const GuestRegion *region, int r, TextError *reterr) {
        struct rlimit limit;

        if (r == -ENOMEM && getrlimit(RLIMIT_MEMLOCK, &limit) == 0 &&
            limit.rlim_cur != RLIM_INFINITY)
                return text_error_set(
                        reterr, r,
                        "guest memory must stay in the host's for the device, and this "
                        "process may lock %" PRIu64
                        " KiB: raise RLIMIT_MEMLOCK (LimitMEMLOCK= of the unit)",
                        (uint64_t) limit.rlim_cur >> 10);
        return text_error_set(reterr, r,
                              "cannot map %" PRIu64 " MiB of guest memory at 0x%" PRIx64
                              " for the device: %s",
                              region->size_bytes >> 20, region->gpa, strerror(-r));
}

static int map_memory(VfioContainer *container, TextError *reterr) {
        const GuestMem *mem = container->mem;

        for (unsigned i = 0; i < mem->n_regions + mem->n_files; i++) {
                const GuestRegion *region = &mem->regions[i];
                struct vfio_iommu_type1_dma_map map = {
                        .argsz = sizeof(map),
                        .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
                        .vaddr = (uintptr_t) region->host,
                        .iova = region->gpa,
                        .size = region->size_bytes,
                };
                int r = container->ops->control(container->fd, VFIO_IOMMU_MAP_DMA, &map);

                if (r < 0)
                        return refuse_memory(region, r, reterr);
        }
        return 0;
}

/* The first group brings the IOMMU that the container is of. */
static int begin(VfioContainer *container, TextError *reterr) {
        int r;

        if (container->has_iommu)
                return 0;
        r = container->ops->control(container->fd, VFIO_SET_IOMMU,
                                    (void *) (uintptr_t) VFIO_TYPE1v2_IOMMU);
        if (r == -EPERM)
                return text_error_set(reterr, r,
                                      "the host's IOMMU does not remap interrupts, so that a guest "
                                      "could send any to "
                                      "the host; the host's administrator may allow it with "
                                      "vfio_iommu_type1.allow_unsafe_interrupts=1");
        if (r < 0)
                return text_error_set(reterr, r, "the host's IOMMU refuses: %s", strerror(-r));
        container->has_iommu = true;
        /* From the first mapping on: a page that were given back to the host would stay with the device. */
        guest_mem_pin(container->mem);
        return map_memory(container, reterr);
}

/* ---- groups ---- */

static int check_viable(const VfioContainer *container, int fd, const char *path,
                        const VfioHostFunction *host, TextError *reterr) {
        struct vfio_group_status status = {.argsz = sizeof(status)};
        char busy[GROUP_BUSY_TEXT];
        int r = container->ops->control(fd, VFIO_GROUP_GET_STATUS, &status);

        if (r < 0)
                return text_error_set(reterr, r, "IOMMU group %u: %s", host->group, strerror(-r));
        if (status.flags & VFIO_GROUP_FLAGS_VIABLE)
                return 0;
        vfio_host_describe_group(path, busy, sizeof(busy));
        return text_error_set(
                reterr, -EBUSY,
                "the host's IOMMU cannot tell %s from others of its group %u, which the "
                "host's drivers still have: %s; bind them to vfio-pci as well",
                host->address, host->group, *busy ? busy : "some function");
}

static int join(VfioContainer *container, const char *path, const VfioHostFunction *host,
                int *ret_fd, TextError *reterr) {
        _cleanup_(fd_closep) int fd = -EBADF;
        char name[64];
        int r;

        (void) snprintf(name, sizeof(name), "/dev/vfio/%u", host->group);
        r = container->ops->open(name);
        if (r < 0)
                return text_error_set(reterr, r, "cannot open %s, the IOMMU group of %s: %s", name,
                                      host->address,
                                      r == -EBUSY ? "another process has it" : strerror(-r));
        fd = r;
        r = check_viable(container, fd, path, host, reterr);
        if (r < 0)
                return r;
        r = container->ops->control(fd, VFIO_GROUP_SET_CONTAINER, &container->fd);
        if (r < 0)
                return text_error_set(reterr, r, "IOMMU group %u: %s", host->group, strerror(-r));
        *ret_fd = TAKE_FD(fd);
        return 0;
}

static int find_group(VfioContainer *container, const char *path, const VfioHostFunction *host,
                      Partition *partition, int *ret_fd, TextError *reterr) {
        VfioGroup *group = &container->groups[container->n_groups];
        int r;

        for (unsigned i = 0; i < container->n_groups; i++)
                if (container->groups[i].number == host->group) {
                        *ret_fd = container->groups[i].fd;
                        return 0;
                }
        if (container->n_groups == VFIO_FUNCTIONS_MAX)
                return text_error_set(reterr, -ENOSPC, "more than %u groups", VFIO_FUNCTIONS_MAX);
        r = open_container(container, reterr);
        if (r < 0)
                return r;
        r = join(container, path, host, &group->fd, reterr);
        if (r < 0)
                return r;
        group->number = host->group;
        container->n_groups++;
        r = begin(container, reterr);
        if (r < 0)
                return r;
        r = partition->passthrough->add_group(partition, group->fd);
        if (r < 0)
                return text_error_set(reterr, r, "IOMMU group %u: the hypervisor refuses: %s",
                                      host->group, strerror(-r));
        *ret_fd = group->fd;
        return 0;
}

/**
 * vfio_container_open_function() - put the group of @host, at @path, into the container and open the function
 * @ret_device_fd: the caller's
 *
 * Before the sandbox. Return: 0; negative errno with a sentence.
 */
int vfio_container_open_function(VfioContainer *container, const char *path,
                                 const VfioHostFunction *host, Partition *partition,
                                 int *ret_device_fd, TextError *reterr) {
        char address[VFIO_ADDRESS_SIZE];
        int group_fd = -EBADF, r;

        r = find_group(container, path, host, partition, &group_fd, reterr);
        if (r < 0)
                return r;
        memcpy(address, host->address, sizeof(address));
        r = container->ops->control(group_fd, VFIO_GROUP_GET_DEVICE_FD, address);
        if (r < 0)
                return text_error_set(reterr, r, "cannot open %s: %s", address, strerror(-r));
        *ret_device_fd = r;
        return 0;
}
