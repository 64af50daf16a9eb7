/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One device model behind the PCI transport, driven by a script of what its guest does and what its host's side does: the
 * common part of the fuzz targets of devices.
 *
 * The script: records of 16 bytes: act, queue, width or bytes to follow, spare, u32 offset, u64 value, little endian. Behind
 * an act that offers a request come the bytes of it.
 */

#include "tests/fake/vmm_virtio_driver.h"

#define FUZZ_SLOT 1u

typedef struct FuzzedDevice {
        FakeBoard *board;
        FakeDriver driver;
        VirtioDevice *dev; /* the bus's */
        LoopSource *stop;  /* a timer that ends a turn */
        unsigned n_queues;
        bool started;
} FuzzedDevice;

/* What the host's side does; @value is the script's. May be NULL. */
typedef void (*FuzzHostFn)(void *userdata, unsigned queue, uint32_t offset, uint64_t value);

void fuzzed_init(FuzzedDevice *f);
void fuzzed_attach(FuzzedDevice *f, VirtioDevice *dev);
void fuzzed_run(FuzzedDevice *f, const uint8_t *data, size_t size, FuzzHostFn host, void *userdata);
void fuzzed_turn(FuzzedDevice *f);
void fuzzed_deinit(FuzzedDevice *f);
