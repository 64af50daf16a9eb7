/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The container is one address space of the host's IOMMU: guest physical addresses, as the guest's drivers give them to
 * the device. A group, the least that the IOMMU can tell apart, joins it as a whole. All of guest memory is mapped, and so
 * pinned, when the first group has joined, because nobody says what a device will reach for. It leaves with its last function,
 * and with the last group the memory is the host's again.
 *
 * A group is opened by its number at the start; in a machine that runs it comes as a descriptor, as the sandbox opens nothing.
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
#include "base/str.h"
#include "vmm/vfio/vfio_internal.h"

#define CONTAINER_PATH "/dev/vfio/vfio"
#define GROUP_BUSY_TEXT 512u
#define GROUP_NUMBER_UNKNOWN UINT_MAX
#define HELD_MAX (2u * VFIO_FUNCTIONS_MAX) /* from the start, and those that came */

struct VfioGroup {
        unsigned number; /* GROUP_NUMBER_UNKNOWN: it came as a descriptor */
        unsigned n_functions;
        int fd; /* owned; -EBADF: this place is free */
};

struct VfioContainer {
        const VfioOps *ops; /* borrowed, as @mem */
        GuestMem *mem;
        int fd; /* owned */
        bool has_iommu;
        uint64_t lock_limit; /* bytes that may be locked, asked before the sandbox */
        VfioGroup groups[VFIO_FUNCTIONS_MAX];
        char held[HELD_MAX][VFIO_ADDRESS_SIZE]; /* empty: this place is free */
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

/**
 * vfio_container_open() - open the kernel's side, if it is not open yet; before the sandbox
 *
 * Return: 0; negative errno with a sentence.
 */
int vfio_container_open(VfioContainer *container, TextError *reterr) {
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
        struct rlimit limit;

        if (!container)
                return -ENOMEM;
        container->ops = ops;
        container->mem = mem;
        container->fd = -EBADF;
        container->lock_limit =
                getrlimit(RLIMIT_MEMLOCK, &limit) == 0 ? limit.rlim_cur : RLIM_INFINITY;
        for (unsigned i = 0; i < ELEMENTSOF(container->groups); i++)
                container->groups[i].fd = -EBADF;
        *ret = container;
        return 0;
}

/** vfio_container_free() - take the memory from the devices; after the bus. NULL is fine. Return: NULL. */
VfioContainer *vfio_container_free(VfioContainer *container) {
        if (!container)
                return NULL;
        for (unsigned i = 0; i < ELEMENTSOF(container->groups); i++)
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

#define FILES "a file of --pmem, --pstore or --file-backed-mapping"

static int refuse_memory(const VfioContainer *container, const char *what,
                         const struct vfio_iommu_type1_dma_map *map, int r, TextError *reterr) {
        if (r == -ENOMEM && container->lock_limit != RLIM_INFINITY)
                return text_error_set(
                        reterr, r,
                        "guest memory must stay in the host's for the device, and this "
                        "process may lock %" PRIu64
                        " KiB: raise RLIMIT_MEMLOCK (LimitMEMLOCK= of the unit)",
                        container->lock_limit >> 10);
        return text_error_set(reterr, r,
                              "cannot map %s, %" PRIu64 " MiB at 0x%" PRIx64 ", for the device: %s",
                              what, (uint64_t) map->size >> 20, (uint64_t) map->iova, strerror(-r));
}

static int map_range(const VfioContainer *container, const char *what,
                     struct vfio_iommu_type1_dma_map map, TextError *reterr) {
        int r = container->ops->control(container->fd, VFIO_IOMMU_MAP_DMA, &map);

        return r < 0 ? refuse_memory(container, what, &map, r, reterr) : 0;
}

/* RAM and the files that the guest has as memory; what it only reads, a device reads for it. */
static int map_memory(const VfioContainer *container, TextError *reterr) {
        const GuestMem *mem = container->mem;
        int r = 0;

        for (unsigned i = 0; r >= 0 && i < mem->n_regions + mem->n_files; i++) {
                const GuestRegion *region = &mem->regions[i];

                r = map_range(container, i < mem->n_regions ? "guest memory" : FILES,
                              (struct vfio_iommu_type1_dma_map){
                                      .argsz = sizeof(struct vfio_iommu_type1_dma_map),
                                      .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
                                      .vaddr = (uintptr_t) region->host,
                                      .iova = region->gpa,
                                      .size = region->size_bytes,
                              },
                              reterr);
        }
        for (unsigned i = 0; r >= 0 && i < mem->n_roms; i++) {
                const GuestRom *rom = &mem->roms[i];

                r = map_range(container, FILES " or firmware",
                              (struct vfio_iommu_type1_dma_map){
                                      .argsz = sizeof(struct vfio_iommu_type1_dma_map),
                                      .flags = VFIO_DMA_MAP_FLAG_READ,
                                      .vaddr = (uintptr_t) rom->host,
                                      .iova = rom->gpa,
                                      .size = rom->size_bytes,
                              },
                              reterr);
        }
        return r;
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

static int set_container(VfioContainer *container, int fd, TextError *reterr) {
        int r = container->ops->control(fd, VFIO_GROUP_SET_CONTAINER, &container->fd);

        return r < 0 ? text_error_set(reterr, r, "its IOMMU group: %s", strerror(-r)) : 0;
}

/* The group of @host, in the container. */
static int open_group(VfioContainer *container, const char *path, const VfioHostFunction *host,
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
        if (r >= 0)
                r = set_container(container, fd, reterr);
        if (r < 0)
                return r;
        *ret_fd = TAKE_FD(fd);
        return 0;
}

/* Takes @group out of the container, and the memory from it with the last one. */
static void leave(VfioContainer *container, VfioGroup *group) {
        bool left = container->ops->control(group->fd, VFIO_GROUP_UNSET_CONTAINER, NULL) >= 0;

        group->fd = fd_close(group->fd);
        for (unsigned i = 0; i < ELEMENTSOF(container->groups); i++)
                left &= container->groups[i].fd < 0;
        if (!left || !container->has_iommu)
                return;
        container->has_iommu = false;
        guest_mem_unpin(container->mem);
}

/* A group that has joined the container reaches guest memory, and the hypervisor knows of it. */
static int begin_group(VfioContainer *container, Partition *partition, const VfioGroup *group,
                       TextError *reterr) {
        int r = begin(container, reterr);

        if (r < 0 || !partition->passthrough)
                return r;
        r = partition->passthrough->add_group(partition, group->fd);
        return r < 0 ? text_error_set(reterr, r, "its IOMMU group: the hypervisor refuses: %s",
                                      strerror(-r))
                     : 0;
}

static VfioGroup *free_group(VfioContainer *container) {
        for (unsigned i = 0; i < ELEMENTSOF(container->groups); i++)
                if (container->groups[i].fd < 0)
                        return &container->groups[i];
        return NULL;
}

static VfioGroup *find_group(VfioContainer *container, unsigned number) {
        for (unsigned i = 0; i < ELEMENTSOF(container->groups); i++)
                if (container->groups[i].fd >= 0 && container->groups[i].number == number)
                        return &container->groups[i];
        return NULL;
}

static char *find_held(VfioContainer *container, const char *address) {
        for (unsigned i = 0; i < ELEMENTSOF(container->held); i++)
                if (str_eq(container->held[i], address))
                        return container->held[i];
        return NULL;
}

/**
 * vfio_container_hold() - nobody else gets the function at @address, which the kernel would open any number of times
 *
 * Return: 0; -EEXIST or -ENOSPC with a sentence.
 */
int vfio_container_hold(VfioContainer *container, const char *address, TextError *reterr) {
        char *place = find_held(container, "");

        if (find_held(container, address))
                return text_error_set(reterr, -EEXIST, "%s is in the machine already", address);
        if (!place)
                return text_error_set(reterr, -ENOSPC, "there are %u functions already", HELD_MAX);
        memcpy(place, address, VFIO_ADDRESS_SIZE);
        return 0;
}

/** vfio_container_drop() - undo vfio_container_hold() */
void vfio_container_drop(VfioContainer *container, const char *address) {
        char *place = find_held(container, address);

        if (place)
                *place = '\0';
}

/* A descriptor of @group. */
static int open_device(const VfioContainer *container, const VfioGroup *group, const char *address,
                       int *ret) {
        char name[VFIO_ADDRESS_SIZE];
        int r;

        memcpy(name, address, sizeof(name));
        r = container->ops->control(group->fd, VFIO_GROUP_GET_DEVICE_FD, name);
        if (r < 0)
                return r;
        *ret = r;
        return 0;
}

/* @group is new in its place, and goes again if the function does not open. */
static int open_first(VfioContainer *container, VfioGroup *group, Partition *partition,
                      const char *address, int *ret_device_fd, TextError *reterr) {
        int r = begin_group(container, partition, group, reterr);

        if (r >= 0) {
                r = open_device(container, group, address, ret_device_fd);
                if (r >= 0)
                        return 0;
                text_error_set(reterr, r, "cannot open %s: %s", address, strerror(-r));
                if (partition->passthrough)
                        partition->passthrough->remove_group(partition, group->fd);
        }
        leave(container, group);
        return r;
}

/**
 * vfio_container_open_function() - put the group of @host, at @path, into the container and open the function
 * @ret_device_fd: the caller's
 * @ret_group:     for vfio_container_close_function(), when that is closed
 *
 * Before the sandbox. Return: 0; negative errno with a sentence.
 */
int vfio_container_open_function(VfioContainer *container, const char *path,
                                 const VfioHostFunction *host, Partition *partition,
                                 int *ret_device_fd, VfioGroup **ret_group, TextError *reterr) {
        VfioGroup *group = find_group(container, host->group);
        int fd = -EBADF, r;

        if (group) {
                r = open_device(container, group, host->address, ret_device_fd);
                if (r < 0)
                        return text_error_set(reterr, r, "cannot open %s: %s", host->address,
                                              strerror(-r));
        } else {
                group = free_group(container);
                if (!group)
                        return text_error_set(reterr, -ENOSPC, "more than %u groups",
                                              VFIO_FUNCTIONS_MAX);
                r = vfio_container_open(container, reterr);
                if (r >= 0)
                        r = open_group(container, path, host, &fd, reterr);
                if (r < 0)
                        return r;
                *group = (VfioGroup){.number = host->group, .fd = fd};
                r = open_first(container, group, partition, host->address, ret_device_fd, reterr);
                if (r < 0)
                        return r;
        }
        group->n_functions++;
        *ret_group = group;
        return 0;
}

/* A group that is there already may have the function. */
static int open_known(VfioContainer *container, const char *address, int *ret_device_fd,
                      VfioGroup **ret_group, TextError *reterr) {
        for (unsigned i = 0; i < ELEMENTSOF(container->groups); i++) {
                VfioGroup *group = &container->groups[i];

                if (group->fd < 0 || open_device(container, group, address, ret_device_fd) < 0)
                        continue;
                group->n_functions++;
                *ret_group = group;
                return 0;
        }
        return text_error_set(
                reterr, -ENODEV,
                "%s is in no IOMMU group that the machine has, and none came with the "
                "request",
                address);
}

/**
 * vfio_container_open_sent() - the same for a function of a group that was opened by somebody else
 * @group_fd: consumed, on failure too; negative: one that the container has already
 * @address:  "0000:00:04.0"
 *
 * Behind vfio_container_open(); also in the sandbox, on the loop's thread. Waits until the host has all of guest memory in its
 * own, if this is the first group. Return: 0; negative errno with a sentence.
 */
int vfio_container_open_sent(VfioContainer *container, int group_fd, const char *address,
                             Partition *partition, int *ret_device_fd, VfioGroup **ret_group,
                             TextError *reterr) {
        struct vfio_group_status status = {.argsz = sizeof(status)};
        _cleanup_(fd_closep) int fd = group_fd;
        VfioGroup *group = free_group(container);
        int r;

        if (fd < 0)
                return open_known(container, address, ret_device_fd, ret_group, reterr);
        if (!group)
                return text_error_set(reterr, -ENOSPC, "more than %u groups", VFIO_FUNCTIONS_MAX);
        r = container->ops->control(fd, VFIO_GROUP_GET_STATUS, &status);
        if (r < 0)
                return text_error_set(reterr, r, "the descriptor is no IOMMU group: %s",
                                      strerror(-r));
        if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE))
                return text_error_set(
                        reterr, -EBUSY,
                        "the host's drivers still have a function of its IOMMU group");
        r = set_container(container, fd, reterr);
        if (r < 0)
                return r;
        *group = (VfioGroup){.number = GROUP_NUMBER_UNKNOWN, .fd = TAKE_FD(fd)};
        r = open_first(container, group, partition, address, ret_device_fd, reterr);
        if (r < 0)
                return r;
        group->n_functions++;
        *ret_group = group;
        return 0;
}

/** vfio_container_close_function() - a function of @group, whose descriptor is closed, is not the guest's any more */
void vfio_container_close_function(VfioContainer *container, VfioGroup *group,
                                   Partition *partition) {
        if (--group->n_functions > 0)
                return;
        if (partition->passthrough)
                partition->passthrough->remove_group(partition, group->fd);
        leave(container, group);
}
