/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fake/vmm_vfio_kernel.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/le.h"

#define FUNCTION "devices/" FAKE_VFIO_ADDRESS

/* Where each region is in the descriptor, as vfio-pci has it. */
#define REGION_SHIFT 40u

static FakeVfio *current;

static FakeVfio *fake(void) {
        assert(current);
        return current;
}

/* ---- the kernel ---- */

static int fake_open(const char *path) {
        if (fake()->refused_path && strcmp(path, fake()->refused_path) == 0)
                return fake()->refused;
        fake()->n_opens++;
        return open("/dev/null", O_RDWR | O_CLOEXEC);
}

static void region_info(struct vfio_region_info *info) {
        struct vfio_region_info_cap_sparse_mmap *sparse = (void *) (info + 1);
        const uint32_t room = info->argsz;
        const size_t size = sizeof(*info) + sizeof(*sparse) + sizeof(fake()->sparse);

        info->offset = fake()->offset_base + ((uint64_t) info->index << REGION_SHIFT);
        if (info->index == VFIO_PCI_CONFIG_REGION_INDEX) {
                info->size = PCI_CONFIG_SIZE;
                info->flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
                return;
        }
        info->size = fake()->bar_sizes[info->index];
        info->flags = fake()->bar_flags;
        if (info->index != 0 || fake()->n_sparse == 0)
                return;
        info->flags |= VFIO_REGION_INFO_FLAG_CAPS;
        info->argsz = (uint32_t) size;
        if (room < size)
                return;
        info->cap_offset = sizeof(*info);
        *sparse = (struct vfio_region_info_cap_sparse_mmap){
                .header = {.id = VFIO_REGION_INFO_CAP_SPARSE_MMAP, .version = 1},
                .nr_areas = fake()->n_sparse,
        };
        if (fake()->sparse_loops) {
                sparse->header.id = VFIO_REGION_INFO_CAP_TYPE;
                sparse->header.next = sizeof(*info);
        }
        memcpy(sparse + 1, fake()->sparse, sizeof(fake()->sparse));
}

static int set_irqs(const struct vfio_irq_set *set) {
        const unsigned kind = set->index;

        assert(kind < FAKE_VFIO_KINDS && set->start == 0);
        if (set->flags & VFIO_IRQ_SET_ACTION_UNMASK) {
                fake()->n_unmasks++;
                return 0;
        }
        assert(set->flags & VFIO_IRQ_SET_ACTION_TRIGGER);
        assert(set->count <= FAKE_VFIO_EVENTS_MAX);
        if (kind == VFIO_PCI_MSIX_IRQ_INDEX && fake()->vectors_max > 0 &&
            set->count > fake()->vectors_max)
                return (int) fake()->vectors_max;
        /* Only one kind at a time. */
        for (unsigned i = 0; i < FAKE_VFIO_KINDS && set->count > 0; i++)
                if (fake()->n_events[i] > 0)
                        return -EINVAL;
        fake()->n_events[kind] = set->count;
        memcpy(fake()->events[kind], set->data, set->count * sizeof(int));
        return 0;
}

static int fake_control(int fd, unsigned long request, void *argument) {
        if (request == fake()->refused_request)
                return fake()->refused;
        switch (request) {
        case VFIO_GET_API_VERSION:
                return fake()->api_version;
        case VFIO_CHECK_EXTENSION:
                return (uintptr_t) argument == VFIO_TYPE1v2_IOMMU;
        case VFIO_GROUP_GET_STATUS:
                ((struct vfio_group_status *) argument)->flags = fake()->group_flags;
                return 0;
        case VFIO_GROUP_SET_CONTAINER:
                fake()->n_joined++;
                return 0;
        case VFIO_GROUP_UNSET_CONTAINER:
                assert(fake()->n_joined > 0);
                fake()->n_joined--;
                if (fake()->n_joined == 0)
                        fake()->n_dma = 0;
                return 0;
        case VFIO_SET_IOMMU:
                return 0;
        case VFIO_IOMMU_MAP_DMA:
                assert(fake()->n_dma < FAKE_VFIO_NOTES_MAX);
                memcpy(&fake()->dma[fake()->n_dma++], argument, sizeof(fake()->dma[0]));
                return 0;
        case VFIO_GROUP_GET_DEVICE_FD:
                assert(strcmp(argument, FAKE_VFIO_ADDRESS) == 0);
                return fake_open("the function");
        case VFIO_DEVICE_GET_INFO:
                ((struct vfio_device_info *) argument)->flags = fake()->device_flags;
                return 0;
        case VFIO_DEVICE_GET_REGION_INFO:
                region_info(argument);
                return 0;
        case VFIO_DEVICE_GET_IRQ_INFO: {
                struct vfio_irq_info *info = argument;

                info->flags = VFIO_IRQ_INFO_EVENTFD;
                info->count = fake()->n_irqs[info->index];
                return info->count > 0 ? 0 : -EINVAL;
        }
        case VFIO_DEVICE_SET_IRQS:
                return set_irqs(argument);
        case VFIO_DEVICE_RESET:
                fake()->n_resets++;
                return 0;
        default:
                assert(false);
                return -ENOTTY;
        }
}

/* The bytes of a region, or NULL: nothing is there. */
static uint8_t *region_bytes(uint64_t at, size_t len, unsigned *ret_region, uint64_t *ret_offset) {
        const uint64_t offset = (at - fake()->offset_base) & ((UINT64_C(1) << REGION_SHIFT) - 1);
        const unsigned region = (unsigned) ((at - fake()->offset_base) >> REGION_SHIFT);

        *ret_region = region;
        *ret_offset = offset;
        if (region == VFIO_PCI_CONFIG_REGION_INDEX) {
                assert(offset + len <= PCI_CONFIG_SIZE);
                return fake()->config + offset;
        }
        assert(region < PCI_BARS && offset + len <= fake()->bar_sizes[region]);
        return fake()->deaf || offset + len > FAKE_VFIO_BAR_BYTES ? NULL
                                                                  : fake()->bars[region] + offset;
}

static ssize_t fake_vfio_read(int fd, void *data, size_t len, uint64_t offset) {
        unsigned region;
        uint64_t at;
        const uint8_t *bytes = region_bytes(offset, len, &region, &at);

        if (!bytes)
                return -EIO;
        memcpy(data, bytes, len);
        return (ssize_t) len;
}

static ssize_t fake_vfio_write(int fd, const void *data, size_t len, uint64_t offset) {
        unsigned region;
        uint64_t at;
        uint8_t *bytes = region_bytes(offset, len, &region, &at);
        FakeVfioNote *note = &fake()->writes[fake()->n_writes % FAKE_VFIO_NOTES_MAX];

        if (!bytes)
                return -EIO;
        memcpy(bytes, data, len);
        *note = (FakeVfioNote){.offset = at, .region = region, .size = (unsigned) len};
        memcpy(&note->value, data, len);
        fake()->n_writes++;
        return (ssize_t) len;
}

static void *fake_map(int fd, size_t len, uint64_t offset) {
        void *host;

        if (fake()->refuse_maps)
                return NULL;
        host = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                    -1, 0);
        assert(host != MAP_FAILED);
        fake()->n_mapped++;
        return host;
}

static void fake_unmap(void *host, size_t len) {
        (void) munmap(host, len);
        fake()->n_mapped--;
}

const VfioOps fake_vfio_ops = {
        .open = fake_open,
        .control = fake_control,
        .read = fake_vfio_read,
        .write = fake_vfio_write,
        .map = fake_map,
        .unmap = fake_unmap,
};

/* ---- the hypervisor ---- */

static int map_slot(Partition *partition, gpa_t gpa, void *host, uint64_t size,
                    unsigned *ret_slot) {
        assert(gpa % 4096 == 0 && size % 4096 == 0 && size > 0);
        if (fake()->refuse_slots)
                return -EEXIST;
        for (unsigned i = 0; i < FAKE_VFIO_NOTES_MAX; i++)
                if (!fake()->slots[i].used) {
                        fake()->slots[i] = (FakeVfioMapping){true, gpa, host, size};
                        *ret_slot = i;
                        return 0;
                }
        return -ENOSPC;
}

static void unmap_slot(Partition *partition, unsigned slot) {
        assert(fake()->slots[slot].used);
        fake()->slots[slot].used = false;
}

static int add_group(Partition *partition, int group_fd) {
        fake()->n_groups++;
        return 0;
}

static void remove_group(Partition *partition, int group_fd) {
        assert(fake()->n_groups > 0);
        fake()->n_groups--;
}

static const PassthroughOps passthrough_ops = {
        .map = map_slot, .unmap = unmap_slot, .add_group = add_group, .remove_group = remove_group};

/* ---- sysfs ---- */

static void make_dir(const FakeVfio *f, const char *name) {
        char path[256];

        (void) snprintf(path, sizeof(path), "%s/%s", f->dir, name);
        if (mkdir(path, 0755) < 0)
                assert(errno == EEXIST);
}

/* A link below the directory, in the place of what is there; NULL: nothing is. */
void fake_vfio_link(const FakeVfio *f, const char *target, const char *format, ...) {
        char path[256], name[128];
        va_list args;

        va_start(args, format);
        (void) vsnprintf(name, sizeof(name), format, args);
        va_end(args);
        (void) snprintf(path, sizeof(path), "%s/%s", f->dir, name);
        (void) unlink(path);
        if (target && symlink(target, path) < 0)
                assert(false);
}

static void make_sysfs(FakeVfio *f) {
        static const char *const dirs[] = {
                "pci", "vfio-pci", "nvme", "groups", "groups/7", "groups/7/devices", "devices",
        };

        (void) snprintf(f->dir, sizeof(f->dir), "/tmp/fake-vfio.XXXXXX");
        if (!mkdtemp(f->dir))
                assert(false);
        for (size_t i = 0; i < ELEMENTSOF(dirs); i++)
                make_dir(f, dirs[i]);
        make_dir(f, FUNCTION);
        (void) snprintf(f->path, sizeof(f->path), "%s/devices/" FAKE_VFIO_ADDRESS, f->dir);
        fake_vfio_link(f, "../../pci", "devices/" FAKE_VFIO_ADDRESS "/subsystem");
        fake_vfio_link(f, "../../vfio-pci", "devices/" FAKE_VFIO_ADDRESS "/driver");
        fake_vfio_link(f, "../../groups/7", "devices/" FAKE_VFIO_ADDRESS "/iommu_group");
        fake_vfio_link(f, f->path, "groups/7/devices/" FAKE_VFIO_ADDRESS);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        return remove(path);
}

/* ---- the function ---- */

/*
 * An ordinary one: 16 KiB of 64-bit memory with the MSI-X table of 4 vectors at 0x2000 and their bits at 0x3000, ports, and
 * capabilities: power management, MSI for 4 vectors, Express, MSI-X, and one of its vendor's.
 */
static void make_function(FakeVfio *f) {
        uint8_t *c = f->config;

        le16_store(c + PCI_VENDOR_ID, 0x1b36);
        le16_store(c + PCI_DEVICE_ID, 0x0010);
        le16_store(c + PCI_STATUS, 0x0010);
        le32_store(c + PCI_REVISION, 0x01080202);
        le16_store(c + PCI_SUBSYSTEM_VENDOR_ID, 0x1af4);
        le16_store(c + PCI_SUBSYSTEM_ID, 0x1100);
        c[PCI_INTERRUPT_PIN] = 2;
        c[PCI_BAR0] = 0x0c; /* 64 bits, prefetchable */
        c[PCI_BAR0 + 16] = 0x01;
        c[PCI_CAPABILITIES] = 0x40;
        c[0x40] = 0x01, c[0x41] = 0x48, c[0x44] = 0x03;
        c[0x48] = 0x05, c[0x49] = 0x60, le16_store(c + 0x4a, 0x0184);
        c[0x60] = 0x10, c[0x61] = 0xa0, c[0x62] = 0x02;
        c[0xa0] = 0x11, c[0xa1] = 0xb0, le16_store(c + 0xa2, 3);
        le32_store(c + 0xa4, 0x2000);
        le32_store(c + 0xa8, 0x3000);
        c[0xb0] = 0x09, c[0xb2] = 0x10, c[0xb3] = 0x5a;
        f->bar_sizes[0] = 0x4000;
        f->bar_sizes[4] = 0x20;
        f->bar_flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE |
                       VFIO_REGION_INFO_FLAG_MMAP;
        f->n_irqs[VFIO_PCI_INTX_IRQ_INDEX] = 1;
        f->n_irqs[VFIO_PCI_MSI_IRQ_INDEX] = 4;
        f->n_irqs[VFIO_PCI_MSIX_IRQ_INDEX] = 4;
        f->device_flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
        f->group_flags = VFIO_GROUP_FLAGS_VIABLE;
        f->api_version = VFIO_API_VERSION;
}

static void begin(FakeVfio *f) {
        f->board = fake_board_new(FAKE_ROUTES);
        f->board->partition.passthrough = &passthrough_ops;
        make_function(f);
        current = f;
}

FakeVfio *fake_vfio_new(void) {
        FakeVfio *f = calloc(1, sizeof(*f));

        assert(f && !current);
        make_sysfs(f);
        begin(f);
        return f;
}

/* All that was taken was given back. */
static void end(FakeVfio *f) {
        fake_board_free(f->board);
        assert(f->n_mapped == 0);
        for (unsigned i = 0; i < FAKE_VFIO_NOTES_MAX; i++)
                assert(!f->slots[i].used);
        for (unsigned i = 0; i < FAKE_VFIO_KINDS; i++)
                assert(f->n_events[i] == 0);
        current = NULL;
}

/* As new, in the same directory. */
void fake_vfio_renew(FakeVfio *f) {
        char dir[sizeof(f->dir)], path[sizeof(f->path)];

        end(f);
        memcpy(dir, f->dir, sizeof(dir));
        memcpy(path, f->path, sizeof(path));
        memset(f, 0, sizeof(*f));
        memcpy(f->dir, dir, sizeof(dir));
        memcpy(f->path, path, sizeof(path));
        begin(f);
}

/* Takes the board with all that is on it. */
FakeVfio *fake_vfio_free(FakeVfio *f) {
        end(f);
        (void) nftw(f->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
        free(f);
        return NULL;
}

/* The device interrupts. */
void fake_vfio_signal(const FakeVfio *f, unsigned kind, unsigned vector) {
        assert(vector < f->n_events[kind]);
        (void) eventfd_write(f->events[kind][vector], 1);
}

const FakeVfioMapping *fake_vfio_mapping_at(const FakeVfio *f, gpa_t gpa) {
        for (unsigned i = 0; i < FAKE_VFIO_NOTES_MAX; i++)
                if (f->slots[i].used && f->slots[i].gpa == gpa)
                        return &f->slots[i];
        return NULL;
}
