/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/firmware/fw_cfg.h"

#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fd.h"
#include "base/le.h"
#include "vmm/mem/memmap.h"

#define ITEMS_MAX (FW_CFG_FILES_MAX + 32u)
#define KEY_NONE UINT16_MAX

/* Offsets from IOPORT_FW_CFG. */
#define PORT_SELECTOR 0u /* 2 bytes, write-only */
#define PORT_DATA 1u
#define PORT_DMA 4u /* 8 bytes, big-endian; writing the last starts the transfer */
#define PORT_DMA_LOW 8u

#define ID_BYTEWISE 1u
#define ID_DMA 2u

#define DMA_ERROR 0x01u
#define DMA_READ 0x02u
#define DMA_SKIP 0x04u
#define DMA_SELECT 0x08u
#define DMA_WRITE 0x10u

/* What DMA is asked for, in guest memory; big-endian. */
typedef struct __attribute__((packed)) DmaAccess {
        uint32_t control, length;
        uint64_t address;
} DmaAccess;

/* In the directory; numbers are big-endian. */
typedef struct __attribute__((packed)) DirectoryEntry {
        uint32_t size;
        uint16_t key, reserved;
        char name[FW_CFG_NAME_SIZE];
} DirectoryEntry;

#define IMAGE_CACHE_SIZE 4096u

typedef struct Item {
        uint16_t key;
        uint32_t size;
        uint8_t *data; /* owned, @size bytes; NULL while they are in @fd or @fill was not called */
        int fd;        /* owned, or −EBADF */
        uint64_t offset;                                          /* in @fd */
        void (*fill)(void *userdata, uint8_t *data, size_t size); /* before the first read */
        void *userdata;                                           /* borrowed */
} Item;

struct FwCfg {
        pthread_mutex_t lock;
        const GuestMem *mem; /* borrowed */
        unsigned n_items, n_files;
        Item items[ITEMS_MAX];
        DirectoryEntry directory[FW_CFG_FILES_MAX];
        Item *selected; /* NULL: reads as zeros */
        uint32_t position;
        uint32_t dma_high;

        /* What single bytes of an image are read through. */
        const Item *cached;
        uint32_t cached_at, cached_len;
        uint8_t cache[IMAGE_CACHE_SIZE];
};

static Item *find_item(FwCfg *fw, unsigned key) {
        for (unsigned i = 0; i < fw->n_items; i++)
                if (fw->items[i].key == key)
                        return &fw->items[i];
        return NULL;
}

static int new_item(FwCfg *fw, unsigned key, uint64_t size, Item **ret) {
        if (key >= KEY_NONE || size > UINT32_MAX)
                return -EFBIG;
        if (find_item(fw, key))
                return -EEXIST;
        if (fw->n_items == ITEMS_MAX)
                return -ENOSPC;
        *ret = &fw->items[fw->n_items++];
        **ret = (Item){.key = (uint16_t) key, .size = (uint32_t) size, .fd = -EBADF};
        return 0;
}

/**
 * fw_cfg_add() - an item of @size bytes that are copied; 0 are possible
 *
 * Return: 0; -EEXIST for a key that is taken; -ENOSPC when there are too many; -EFBIG; -ENOMEM.
 */
int fw_cfg_add(FwCfg *fw, unsigned key, const void *data, size_t size) {
        _cleanup_(freep) uint8_t *copy = NULL;
        Item *item;
        int r;

        copy = malloc(MAX(size, (size_t) 1));
        if (!copy)
                return -ENOMEM;
        if (size > 0)
                memcpy(copy, data, size);
        r = new_item(fw, key, size, &item);
        if (r < 0)
                return r;
        item->data = TAKE(copy);
        return 0;
}

/** fw_cfg_add_number() - a little-endian number of @size bytes, at most 8 */
int fw_cfg_add_number(FwCfg *fw, unsigned key, uint64_t value, unsigned size) {
        uint8_t bytes[8];

        le64_store(bytes, value);
        return fw_cfg_add(fw, key, bytes, size);
}

/**
 * fw_cfg_add_image() - an item that is read from a file when the guest asks for it
 * @image:  its descriptor is duplicated
 * @offset, @size: the part of it; inside the file now, and zeros where it is no more
 */
int fw_cfg_add_image(FwCfg *fw, unsigned key, const ImageFile *image, uint64_t offset,
                     uint32_t size) {
        _cleanup_(fd_closep) int fd = -EBADF;
        Item *item;
        int r;

        if (!range_within(offset, size, image->size))
                return -EINVAL;
        fd = fd_dup_cloexec(image->fd);
        if (fd < 0)
                return fd;
        r = new_item(fw, key, size, &item);
        if (r < 0)
                return r;
        item->fd = TAKE_FD(fd);
        item->offset = offset;
        return 0;
}

/* Finds the key for the next file and lists it; the item is added under that key right after. */
static int list_file(FwCfg *fw, const char *name, uint64_t size, unsigned *ret_key) {
        DirectoryEntry *entry = &fw->directory[fw->n_files];
        const size_t len = strlen(name);

        if (len == 0 || len >= FW_CFG_NAME_SIZE)
                return -EINVAL;
        if (size > UINT32_MAX)
                return -EFBIG;
        for (unsigned i = 0; i < fw->n_files; i++)
                if (strcmp(fw->directory[i].name, name) == 0)
                        return -EEXIST;
        if (fw->n_files == FW_CFG_FILES_MAX)
                return -ENOSPC;
        *ret_key = FW_CFG_FILE_FIRST + fw->n_files;
        *entry = (DirectoryEntry){.size = htobe32((uint32_t) size),
                                  .key = htobe16((uint16_t) *ret_key)};
        memcpy(entry->name, name, len);
        fw->n_files++;
        return 0;
}

/**
 * fw_cfg_add_file() - a named file with a copy of @data
 * @name: 1 to FW_CFG_NAME_SIZE - 1 bytes
 *
 * Return: 0; -EINVAL for a bad name; -EEXIST for one that is taken; -ENOSPC; -EFBIG; -ENOMEM.
 */
int fw_cfg_add_file(FwCfg *fw, const char *name, const void *data, size_t size) {
        unsigned key = 0;
        int r = list_file(fw, name, size, &key);

        return r < 0 ? r : fw_cfg_add(fw, key, data, size);
}

/** fw_cfg_add_file_image() - a named file with all of @image, as fw_cfg_add_image() */
int fw_cfg_add_file_image(FwCfg *fw, const char *name, const ImageFile *image) {
        unsigned key = 0;
        int r = list_file(fw, name, image->size, &key);

        return r < 0 ? r : fw_cfg_add_image(fw, key, image, 0, (uint32_t) image->size);
}

/**
 * fw_cfg_add_file_late() - a named file whose contents depend on what the firmware does first
 * @fill: called once, on the vCPU's thread that selects the file; writes all @size bytes
 */
int fw_cfg_add_file_late(FwCfg *fw, const char *name, size_t size,
                         void (*fill)(void *userdata, uint8_t *data, size_t size), void *userdata) {
        unsigned key = 0;
        Item *item;
        int r = list_file(fw, name, size, &key);

        if (r >= 0)
                r = new_item(fw, key, size, &item);
        if (r < 0)
                return r;
        item->data = calloc(1, size);
        if (!item->data)
                return -ENOMEM;
        item->fill = fill;
        item->userdata = userdata;
        return 0;
}

/* ---- what the guest does ---- */

/* Bytes of the directory: the count, then the entries. Its size follows from what was added last. */
static uint32_t directory_size(const FwCfg *fw) {
        return (uint32_t) (sizeof(uint32_t) + fw->n_files * sizeof(DirectoryEntry));
}

static void select_item(FwCfg *fw, unsigned key) {
        Item *item = find_item(fw, key);

        fw->position = 0;
        fw->selected = item;
        if (item && item->fill) {
                item->fill(item->userdata, item->data, item->size);
                item->fill = NULL;
        }
}

/* Copies [@at, @at + @len) of the item to @to, which lies in memory of ours or in guest RAM. */
static void copy_item(const Item *item, uint32_t at, uint8_t *to, uint32_t len) {
        if (item->data)
                memcpy(to, item->data + at, len);
        else if (fd_pread_all(item->fd, to, len, item->offset + at) < 0)
                memset(to, 0, len); /* the file became shorter */
}

static uint8_t item_byte(FwCfg *fw, const Item *item, uint32_t at) {
        if (item->data)
                return item->data[at];
        if (fw->cached != item || at < fw->cached_at || at - fw->cached_at >= fw->cached_len) {
                fw->cached = item;
                fw->cached_at = at;
                fw->cached_len = MIN(item->size - at, IMAGE_CACHE_SIZE);
                copy_item(item, at, fw->cache, fw->cached_len);
        }
        return fw->cache[at - fw->cached_at];
}

static uint8_t read_data(FwCfg *fw) {
        if (!fw->selected || fw->position >= fw->selected->size)
                return 0;
        return item_byte(fw, fw->selected, fw->position++);
}

/* Bytes of the selected item from the position on. */
static uint32_t bytes_left(const FwCfg *fw) {
        const uint32_t size = fw->selected ? fw->selected->size : 0;

        return fw->position < size ? size - fw->position : 0;
}

static void dma_skip(FwCfg *fw, uint32_t len) {
        fw->position += MIN(len, bytes_left(fw));
}

/* What lies behind an item's end reads as zeros. Return: false when the destination is not RAM. */
static bool dma_read(FwCfg *fw, gpa_t address, uint32_t len) {
        const uint32_t left = bytes_left(fw), have = MIN(len, left);
        uint8_t *to = guest_mem_ptr(fw->mem, address, len);

        if (!to)
                return false;
        if (have > 0)
                copy_item(fw->selected, fw->position, to, have);
        memset(to + have, 0, len - have);
        guest_mem_written(fw->mem, address, len);
        fw->position += have;
        return true;
}

/* The request is copied once; its first word tells the guest the outcome, after everything else was written. */
static void dma_run(FwCfg *fw, gpa_t gpa) {
        uint32_t control, length, result = 0;
        DmaAccess access;

        if (guest_mem_read(fw->mem, gpa, &access, sizeof(access)) < 0)
                return;
        control = be32toh(access.control);
        length = be32toh(access.length);
        if (control & DMA_SELECT)
                select_item(fw, control >> 16);
        if (control & DMA_READ) {
                if (!dma_read(fw, be64toh(access.address), length))
                        result = DMA_ERROR;
        } else if (control & DMA_WRITE) {
                result = DMA_ERROR; /* nothing here is for writing */
        } else if (control & DMA_SKIP) {
                dma_skip(fw, length);
        }
        result = htobe32(result);
        (void) guest_mem_write(fw->mem, gpa, &result, sizeof(result));
}

static uint64_t fw_cfg_read(void *device, uint64_t offset, unsigned size) {
        static const char signature[8] = {'Q', 'E', 'M', 'U', ' ', 'C', 'F', 'G'};
        uint64_t value = 0;

        if (offset == PORT_DATA && size == 1)
                return read_data(device);
        if (offset < PORT_DMA)
                return 0;
        memcpy(&value, signature + (offset - PORT_DMA), size);
        return value;
}

static void fw_cfg_write(void *device, uint64_t offset, unsigned size, uint64_t value) {
        FwCfg *fw = device;

        if (offset == PORT_SELECTOR && size == 2) {
                select_item(fw, (unsigned) value);
        } else if (offset == PORT_DMA && size == 4) {
                fw->dma_high = __builtin_bswap32((uint32_t) value);
        } else if (offset == PORT_DMA_LOW && size == 4) {
                const gpa_t gpa = (gpa_t) fw->dma_high << 32 | __builtin_bswap32((uint32_t) value);

                fw->dma_high = 0;
                dma_run(fw, gpa);
        }
}

static const BusOps fw_cfg_ops = {.name = "fw-cfg", .read = fw_cfg_read, .write = fw_cfg_write};

static void fill_directory(void *userdata, uint8_t *data, size_t size) {
        const FwCfg *fw = userdata;
        const uint32_t count = htobe32(fw->n_files);

        memset(data, 0, size);
        memcpy(data, &count, sizeof(count));
        memcpy(data + sizeof(count), fw->directory, directory_size(fw) - sizeof(count));
}

static int add_own_items(FwCfg *fw) {
        Item *directory;
        int r;

        r = fw_cfg_add(fw, FW_CFG_SIGNATURE, "QEMU", 4);
        if (r < 0)
                return r;
        r = fw_cfg_add_number(fw, FW_CFG_ID, ID_BYTEWISE | ID_DMA, 4);
        if (r < 0)
                return r;
        r = new_item(fw, FW_CFG_FILE_DIR, sizeof(uint32_t) + sizeof(fw->directory), &directory);
        if (r < 0)
                return r;
        directory->data = calloc(1, directory->size);
        if (!directory->data)
                return -ENOMEM;
        directory->fill = fill_directory;
        directory->userdata = fw;
        return 0;
}

/**
 * fw_cfg_new() - the device at IOPORT_FW_CFG, with its signature and an empty directory
 * @mem: borrowed; what DMA reaches
 *
 * Return: 0 or negative errno.
 */
int fw_cfg_new(Bus *pio, const GuestMem *mem, FwCfg **ret) {
        _cleanup_(fw_cfg_freep) FwCfg *fw = calloc(1, sizeof(*fw));
        int r;

        if (!fw)
                return -ENOMEM;
        pthread_mutex_init(&fw->lock, NULL);
        fw->mem = mem;
        r = add_own_items(fw);
        if (r < 0)
                return r;
        r = bus_add(pio, IOPORT_FW_CFG, IOPORT_FW_CFG_SIZE, &fw_cfg_ops, fw, &fw->lock);
        if (r < 0)
                return r;
        *ret = TAKE(fw);
        return 0;
}

/** fw_cfg_free() - release the device and what it serves; the vCPUs have ended. Return: NULL. */
FwCfg *fw_cfg_free(FwCfg *fw) {
        if (!fw)
                return NULL;
        for (unsigned i = 0; i < fw->n_items; i++) {
                free(fw->items[i].data);
                (void) fd_close(fw->items[i].fd);
        }
        pthread_mutex_destroy(&fw->lock);
        free(fw);
        return NULL;
}
