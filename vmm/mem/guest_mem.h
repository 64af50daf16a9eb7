/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Guest RAM: one memfd named crosvm_guest, mapped once, cut in two at the PCI hole. Everything that reads guest
 * memory goes through these checks; a guest address never becomes a host pointer any other way.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

typedef uint64_t gpa_t; /* guest physical address; never a host pointer */

#define GUEST_MEM_REGIONS_MAX 4

typedef struct GuestRegion {
        gpa_t gpa;            /* page aligned */
        uint64_t size_bytes;  /* page multiple, never 0 */
        uint64_t file_offset; /* of the region in the memfd */
        uint8_t *host;        /* borrowed from the mapping of GuestMem */
} GuestRegion;

typedef struct GuestMem {
        int fd;              /* owned memfd */
        uint64_t size_bytes; /* RAM in all regions together */
        uint8_t *base;       /* owned mapping of @size_bytes */
        unsigned n_regions;
        GuestRegion regions[GUEST_MEM_REGIONS_MAX];               /* ascending by gpa */
        void (*written)(void *userdata, gpa_t gpa, uint64_t len); /* guest_mem_watch(), or NULL */
        void *written_userdata;                                   /* borrowed */
} GuestMem;

int guest_mem_new(uint64_t size_bytes, GuestMem **ret);
GuestMem *guest_mem_free(GuestMem *mem);
DEFINE_CLEANUP(GuestMem *, guest_mem_free)

void guest_mem_watch(GuestMem *mem, void (*written)(void *userdata, gpa_t gpa, uint64_t len),
                     void *userdata);

/** guest_mem_will_write() - a device is about to write [@gpa, @gpa + @len) through a host pointer; any thread */
static inline void guest_mem_will_write(const GuestMem *mem, gpa_t gpa, uint64_t len) {
        if (mem->written)
                mem->written(mem->written_userdata, gpa, len);
}

int guest_mem_read(const GuestMem *mem, gpa_t gpa, void *data, size_t len);
int guest_mem_write(const GuestMem *mem, gpa_t gpa, const void *data, size_t len);
void *guest_mem_ptr(const GuestMem *mem, gpa_t gpa, uint64_t len);
void guest_mem_populate(const GuestMem *mem, gpa_t gpa, uint64_t len);
void guest_mem_discard(const GuestMem *mem, gpa_t gpa, uint64_t len);
