/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The MSI-X capability of one function: vector table, pending bits, masking (PCI 3.0 section 6.8.2). */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "vmm/hv/hv.h"
#include "vmm/pci/pci.h"

#define MSIX_VECTORS_MAX 2048u
#define MSIX_ENTRY_SIZE 16u

typedef struct Msix Msix;
typedef struct MsixSource MsixSource;

typedef struct MsixConfig {
        unsigned n_vectors;                /* 1..MSIX_VECTORS_MAX */
        unsigned bar;                      /* table and pending bits lie in this memory BAR */
        uint32_t table_offset, pba_offset; /* multiples of 8 */
        unsigned
                capability; /* 0: it is added; else where it is already, and the three above do not matter */
} MsixConfig;

int msix_new(PciDevice *dev, Partition *partition, const MsixConfig *config, Msix **ret);
Msix *msix_free(Msix *msix);
DEFINE_CLEANUP(Msix *, msix_free)

/* The device's lock is held for all of these. */
bool msix_enabled(const Msix *msix);
unsigned msix_vectors(const Msix *msix);
void msix_signal(Msix *msix, unsigned vector);
uint64_t msix_table_read(const Msix *msix, uint64_t offset, unsigned size);
void msix_table_write(Msix *msix, uint64_t offset, unsigned size, uint64_t value);
uint64_t msix_pba_read(const Msix *msix, uint64_t offset, unsigned size);
void msix_config_written(Msix *msix);
void msix_snapshot(Msix *msix, Snapshot *s);

int msix_source_new(Msix *msix, int event_fd, MsixSource **ret);
MsixSource *msix_source_free(MsixSource *source);
void msix_source_set_vector(MsixSource *source, unsigned vector);
bool msix_source_is_routed(const MsixSource *source);
