/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The firmware's devices as a hostile guest uses them: fw_cfg's ports with DMA requests in memory, and the flash chip.
 * The input is a series of records of eight bytes: operation (bits 0-2) and size (bits 3-4), a spare byte, where
 * (2 bytes, little-endian), value (4 bytes).
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/le.h"
#include "base/log.h"
#include "vmm/firmware/flash.h"
#include "vmm/firmware/fw_cfg.h"
#include "vmm/mem/memmap.h"

#define RECORD_SIZE 8u
#define RECORDS_MAX 512u
#define RAM (UINT64_C(2) << 20)
#define FLASH_SIZE 16384u
#define BLOCK 4096u
#define REQUESTS 0x1000u /* where DMA requests are put together */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Board {
        int fd;
        Bus *pio, *mmio;
        GuestMem *mem;
        Partition partition;
        FwCfg *fw;
        Pflash *flash;
} Board;

static int show_rom(Partition *partition, unsigned rom, bool shown) {
        return 0;
}

static const PartitionOps partition_ops = {.show_rom = show_rom};

static void check(bool ok) {
        if (!ok)
                abort();
}

static void board_new(Board *board) {
        char path[32];
        ImageFile image;

        *board = (Board){.fd = memfd_create("flash", 0), .partition.ops = &partition_ops};
        image = (ImageFile){.fd = board->fd, .size = FLASH_SIZE};
        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", board->fd);
        check(board->fd >= 0 && ftruncate(board->fd, FLASH_SIZE) == 0);
        check(bus_new("pio", &board->pio) == 0 && bus_new("mmio", &board->mmio) == 0);
        check(guest_mem_new(RAM, &board->mem) == 0);
        check(fw_cfg_new(board->pio, board->mem, &board->fw) == 0);
        check(fw_cfg_add_file(board->fw, "opt/text", "some text", 9) == 0);
        check(fw_cfg_add_file_image(board->fw, "opt/image", &image) == 0);
        check(pflash_new(path, BLOCK, MEMMAP_HIGH_RAM_BASE, board->mem, &board->flash, NULL) == 0);
        check(pflash_connect(board->flash, board->mmio, &board->partition) == 0);
}

static void board_free(Board *board) {
        (void) fw_cfg_free(board->fw);
        (void) pflash_free(board->flash);
        (void) bus_free(board->pio);
        (void) bus_free(board->mmio);
        (void) guest_mem_free(board->mem);
        (void) fd_close(board->fd);
}

static void run_record(Board *board, const uint8_t *record) {
        const unsigned size = 1u << (record[0] >> 3 & 3);
        const uint32_t where = le16_load(record + 2), value = le32_load(record + 4);
        const uint64_t port = IOPORT_FW_CFG + where % (IOPORT_FW_CFG_SIZE + 2);
        const uint64_t at = MEMMAP_HIGH_RAM_BASE - FLASH_SIZE + where % FLASH_SIZE;

        switch (record[0] & 7) {
        case 0:
                bus_write(board->pio, port, size, value);
                break;
        case 1:
                (void) bus_read(board->pio, port, size);
                break;
        case 2: /* a word of a request */
                (void) guest_mem_write(board->mem, REQUESTS + where % 64, &value, sizeof(value));
                break;
        case 3: /* a request that lies where they are put together */
                bus_write(board->pio, IOPORT_FW_CFG + 8, 4,
                          __builtin_bswap32(REQUESTS + where % 64));
                break;
        case 4:
        case 5:
                bus_write(board->mmio, at, size, value);
                break;
        default:
                (void) bus_read(board->mmio, at, size);
                break;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        uint8_t in_file[FLASH_SIZE / 2];
        Board board;

        log_set_level(LOG_LEVEL_ERROR);
        board_new(&board);
        for (unsigned i = 0; i < RECORDS_MAX && size >= RECORD_SIZE; i++) {
                run_record(&board, data);
                data += RECORD_SIZE;
                size -= RECORD_SIZE;
        }
        /* Whatever happened: the guest sees what the file keeps. */
        check(pread(board.fd, in_file, sizeof(in_file), 0) == sizeof(in_file));
        check(memcmp(board.mem->roms[0].host, in_file, sizeof(in_file)) == 0);
        board_free(&board);
        return 0;
}
