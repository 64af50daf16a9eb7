/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Guest RAM: one memfd named crosvm_guest, mapped once, cut in two at the PCI hole. Everything that reads guest
 * memory goes through these checks; a guest address never becomes a host pointer any other way.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

typedef uint64_t gpa_t; /* guest physical address; never a host pointer */

#define GUEST_MEM_RAM_REGIONS_MAX 2
#define GUEST_MEM_FILES_MAX 17 /* --pmem, --file-backed-mapping, --pstore */
#define GUEST_MEM_REGIONS_MAX (GUEST_MEM_RAM_REGIONS_MAX + GUEST_MEM_FILES_MAX)

typedef struct GuestRegion {
        gpa_t gpa;            /* page aligned */
        uint64_t size_bytes;  /* page multiple, never 0 */
        uint64_t file_offset; /* of the region in the memfd; a file's region is counted behind it */
        uint8_t *host;        /* borrowed from the mapping of GuestMem, or of the file */
} GuestRegion;

/*
 * Memory that the guest reads and executes, and whose writes go to a device: firmware. Not RAM: devices do not reach it
 * by DMA, and its bytes are their owner's, not the memfd's.
 */
typedef struct GuestRom {
        gpa_t gpa;           /* page aligned; above low RAM */
        uint64_t size_bytes; /* page multiple, never 0 */
        uint8_t *host;       /* borrowed, page aligned; outlives the partition */
} GuestRom;

/* Addresses that are no RAM and not to be used for anything else, for the guest's memory map. */
typedef struct GuestReserved {
        gpa_t gpa;
        uint64_t size_bytes;
} GuestReserved;

#define GUEST_MEM_RESERVED_MAX 4
#define GUEST_MEM_REPLACED_MAX 8
#define GUEST_MEM_ROMS_MAX (2 + GUEST_MEM_FILES_MAX) /* the firmware and its variables; files */

/*
 * What moves pages of RAM out of the memfd and brings them back when they are touched. Offsets are the memfd's. Both
 * functions are called on any thread and do not block.
 */
typedef struct GuestMemMover {
        /* The pages of a range are free: what was in them never comes back. */
        void (*forget)(void *userdata, uint64_t offset, uint64_t len);
        /* The next pages from @offset on that are away. Return: false when there are none. */
        bool (*next_away)(void *userdata, uint64_t offset, uint64_t *ret_from, uint64_t *ret_to);
        void *userdata; /* borrowed */
} GuestMemMover;

typedef struct GuestMem {
        int fd;                                     /* owned memfd */
        uint64_t size_bytes;                        /* RAM in all regions together */
        uint8_t *base;                              /* owned mapping of @size_bytes */
        unsigned n_regions;                         /* of RAM */
        unsigned n_files;                           /* of guest_mem_add_file(), behind those */
        GuestRegion regions[GUEST_MEM_REGIONS_MAX]; /* ascending by gpa */
        unsigned n_roms;
        GuestRom roms[GUEST_MEM_ROMS_MAX];
        unsigned n_reserved;
        GuestReserved reserved[GUEST_MEM_RESERVED_MAX];
        unsigned n_replaced;
        GuestReserved
                replaced[GUEST_MEM_REPLACED_MAX]; /* RAM that is a file: it is not given back */
        void (*written)(void *userdata, gpa_t gpa, uint64_t len); /* guest_mem_watch(), or NULL */
        void *written_userdata;                                   /* borrowed */
        bool pinned;                                              /* guest_mem_pin() */
        GuestMemMover mover;     /* guest_mem_set_mover(); without functions: there is none */
        _Atomic bool dirty_on;   /* between guest_mem_dirty_start() and _stop() */
        _Atomic uint64_t *dirty; /* owned, from the first start on */
} GuestMem;

int guest_mem_new(uint64_t size_bytes, GuestMem **ret);
int guest_mem_new_below(uint64_t size_bytes, gpa_t low_end, GuestMem **ret);
int guest_mem_new_huge(uint64_t size_bytes, gpa_t low_end, uint64_t page_bytes, GuestMem **ret);
GuestMem *guest_mem_free(GuestMem *mem);
DEFINE_CLEANUP(GuestMem *, guest_mem_free)

int guest_mem_add_file(GuestMem *mem, gpa_t gpa, uint8_t *host, uint64_t size_bytes);
uint64_t guest_mem_file_bytes(const GuestMem *mem);
int guest_mem_add_rom(GuestMem *mem, gpa_t gpa, uint8_t *host, uint64_t size_bytes,
                      unsigned *ret_index);
int guest_mem_reserve(GuestMem *mem, gpa_t gpa, uint64_t size_bytes);
void guest_mem_watch(GuestMem *mem, void (*written)(void *userdata, gpa_t gpa, uint64_t len),
                     void *userdata);

/* dirty.c */
int guest_mem_dirty_start(GuestMem *mem);
void guest_mem_dirty_stop(GuestMem *mem);
void guest_mem_dirty_mark(const GuestMem *mem, gpa_t gpa, uint64_t len);
size_t guest_mem_dirty_words(const GuestMem *mem, unsigned region);
void guest_mem_dirty_fetch(const GuestMem *mem, unsigned region, uint64_t *bitmap);

/** guest_mem_dirty_on() - whether writes must be noted */
static inline bool guest_mem_dirty_on(const GuestMem *mem) {
        return atomic_load_explicit(&mem->dirty_on, memory_order_relaxed);
}

/**
 * guest_mem_written() - a device has written [@gpa, @gpa + @len) through a host pointer; any thread
 *
 * After the bytes, never before: who reads them in between, to decode or to copy them, has the old ones and must be told.
 */
static inline void guest_mem_written(const GuestMem *mem, gpa_t gpa, uint64_t len) {
        if (guest_mem_dirty_on(mem))
                guest_mem_dirty_mark(mem, gpa, len);
        if (mem->written)
                mem->written(mem->written_userdata, gpa, len);
}

/** guest_mem_pin() - no page is given back to the host any more: a device of the host reaches what is there now */
static inline void guest_mem_pin(GuestMem *mem) {
        mem->pinned = true;
}

/** guest_mem_unpin() - that device has gone */
static inline void guest_mem_unpin(GuestMem *mem) {
        mem->pinned = false;
}

/* extents.c */
void guest_mem_set_mover(GuestMem *mem, const GuestMemMover *mover);
void guest_mem_forget(const GuestMem *mem, const uint8_t *host, uint64_t len);
int guest_mem_next_data(const GuestMem *mem, uint64_t offset, uint64_t *ret_from, uint64_t *ret_to);

/* host.c */
int guest_mem_replace(GuestMem *mem, gpa_t gpa, uint64_t size_bytes, int fd, uint64_t offset);
bool guest_mem_is_replaced(const GuestMem *mem, gpa_t gpa, uint64_t len);
int guest_mem_bind(const GuestMem *mem, uint64_t nodes);
int guest_mem_prefault(const GuestMem *mem);
int guest_mem_use_huge_pages(const GuestMem *mem);
int guest_mem_lock(const GuestMem *mem);
int guest_mem_unmap_on_fork(const GuestMem *mem);
int guest_mem_use_small_pages(const GuestMem *mem);

int guest_mem_read(const GuestMem *mem, gpa_t gpa, void *data, size_t len);
int guest_mem_write(const GuestMem *mem, gpa_t gpa, const void *data, size_t len);
void *guest_mem_ptr(const GuestMem *mem, gpa_t gpa, uint64_t len);
void guest_mem_populate(const GuestMem *mem, gpa_t gpa, uint64_t len);
void guest_mem_release(const GuestMem *mem, gpa_t gpa, uint64_t len);
void guest_mem_discard(const GuestMem *mem, gpa_t gpa, uint64_t len);
