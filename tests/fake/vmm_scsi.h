/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A SCSI disk whose image is memory that takes notes, and a controller that sends one command at a time. */

#include <stddef.h>
#include <stdint.h>

#include "vmm/scsi/scsi.h"

#define FAKE_SCSI_BYTES 65536u
#define FAKE_SCSI_LOG 32u

typedef struct FakeImage {
        BlockDev dev;
        uint8_t bytes[FAKE_SCSI_BYTES];
        char log[FAKE_SCSI_LOG +
                 1];    /* r, w, f, d, z, u (zeroes that unmap), in the order of the calls */
        int error;      /* that all calls end with, if negative */
        bool forgetful; /* writes leave no trace */
        bool hold;      /* calls end when fake_scsi_release() says so */
        BlockDoneFn done;
        void *userdata;
} FakeImage;

typedef struct FakeScsi {
        FakeImage *image; /* the disk's */
        ScsiDisk *disk;   /* owned */
        ScsiTask task;    /* the last command, and its result */
        bool ended;
        unsigned lun;
        uint8_t data[4096];
        struct iovec iov[2]; /* both halves of the data */
} FakeScsi;

void fake_scsi_init(FakeScsi *f, bool read_only);
void fake_scsi_deinit(FakeScsi *f);
void fake_scsi_release(FakeScsi *f, int r);
void fake_scsi_begin(FakeScsi *f, const uint8_t *cdb, size_t cdb_len, bool to_disk, size_t len);
uint32_t fake_scsi_run(FakeScsi *f, const uint8_t *cdb, size_t cdb_len, bool to_disk, size_t len);

#define FAKE_SCSI_OVERRUN UINT32_MAX
/* What fake_scsi_run() returns for a command that failed so; 0 is GOOD. */
#define FAKE_SENSE(key, asc, ascq) ((uint32_t) (key) << 16 | (asc) << 8 | (ascq))

/* A command given by its bytes: without data, with room for @len bytes, with @len bytes of f->data. */
#define SCSI_SAY(f, ...)                                                                           \
        fake_scsi_run((f), (const uint8_t[]){__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__}),       \
                      false, 0)
#define SCSI_ASK(f, len, ...)                                                                      \
        fake_scsi_run((f), (const uint8_t[]){__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__}),       \
                      false, (len))
#define SCSI_SEND(f, len, ...)                                                                     \
        fake_scsi_run((f), (const uint8_t[]){__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__}), true, \
                      (len))
