/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Snapshots as somebody else wrote them. The first byte says of what, the rest is the state:
 *
 *   0 the chips of the board   1 functions on its PCI bus   2 the file, header and all   3 a SCSI controller with two disks
 *
 * What is taken for good is then used: registers are read and written, time passes, queues run. Wrong is what the
 * sanitizers say, a crash, an alarm too many, and a state that is not written again as it was read.
 */

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "base/fd.h"
#include "base/le.h"
#include "tests/fake/vmm_chips_fake.h"
#include "tests/fake/vmm_clock_fake.h"
#include "tests/fake/vmm_virtio_driver.h"
#include "vmm/block/block_internal.h"
#include "vmm/irq/irqchip.h"
#include "vmm/irq/pit.h"
#include "vmm/legacy/devices.h"
#include "vmm/mem/memmap.h"
#include "vmm/serial/uart8250.h"
#include "vmm/snapshot/file.h"
#include "vmm/virtio/devices.h"

#define TIMERS_MAX 4u
#define DISK_BYTES 65536u
#define WALL_USEC (UINT64_C(1709209845) * USEC_PER_SEC)
#define NOW_NSEC (1000 * NSEC_PER_SEC)
#define TURN_NSEC 20000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok) {
        if (!ok)
                abort();
}

/* ---- chips ---- */

typedef struct Board {
        Bus *pio, *mmio;
        Loop *loop;
        GuestClock *clock;
        FakePartition partition;
        FakeHalt halt;
        Irqchip *irqchip;
        Pit *pit;
        Rtc *rtc;
        I8042 *i8042;
        AcpiPm *acpi_pm;
        ResetControl *reset_control;
        Watchdog *watchdog;
        CharDev *chardev;
        Uart8250 *uart;
} Board;

static IrqLine line_of(Board *board, unsigned irq) {
        IrqLine line = {0};

        check(irqchip_add_line(board->irqchip, irq, &line) == 0);
        return line;
}

static void board_init(Board *b) {
        const VmmSerial sink = {.type = VMM_SERIAL_SINK};
        HaltSink halt = fake_halt_sink(&b->halt);

        fake_partition_init(&b->partition);
        b->clock = fake_clock_new(NOW_NSEC, WALL_USEC);
        check(bus_new("pio", &b->pio) == 0 && bus_new("mmio", &b->mmio) == 0);
        check(loop_new(&b->loop) == 0);
        check(irqchip_new(b->pio, b->mmio, &b->irqchip) == 0);
        irqchip_connect(b->irqchip, &b->partition.base);
        check(pit_new(b->pio, b->clock, line_of(b, ISA_IRQ_PIT), &b->pit) == 0);
        check(rtc_new(b->pio, b->clock, line_of(b, ISA_IRQ_RTC), UINT64_C(3) << 30,
                      UINT64_C(1) << 40, &b->rtc) == 0);
        check(i8042_new(b->pio, line_of(b, ISA_IRQ_I8042_KEYBOARD), halt, &b->i8042) == 0);
        check(acpi_pm_new(b->pio, b->clock, line_of(b, GSI_SCI), halt, &b->acpi_pm) == 0);
        check(reset_control_new(b->pio, halt, &b->reset_control) == 0);
        check(watchdog_new(b->pio, b->clock, halt, &b->watchdog) == 0);
        check(char_new(&sink, b->loop, &b->chardev, NULL) == 0);
        check(uart8250_new(b->pio, IOPORT_COM1, line_of(b, ISA_IRQ_COM1_COM3), b->chardev,
                           &b->uart) == 0);
}

static void board_deinit(Board *b) {
        uart8250_free(b->uart);
        char_free(b->chardev);
        watchdog_free(b->watchdog);
        reset_control_free(b->reset_control);
        acpi_pm_free(b->acpi_pm);
        i8042_free(b->i8042);
        rtc_free(b->rtc);
        pit_free(b->pit);
        irqchip_free(b->irqchip);
        guest_clock_free(b->clock);
        loop_free(b->loop);
        bus_free(b->mmio);
        bus_free(b->pio);
}

static void board_snapshot(Board *b, Snapshot *s) {
        irqchip_snapshot(b->irqchip, s);
        pit_snapshot(b->pit, s);
        rtc_snapshot(b->rtc, s);
        i8042_snapshot(b->i8042, s);
        acpi_pm_snapshot(b->acpi_pm, s);
        reset_control_snapshot(b->reset_control, s);
        watchdog_snapshot(b->watchdog, s);
        uart8250_snapshot(b->uart, 0, s);
}

static void use_ports(Bus *pio) {
        static const struct {
                uint16_t base, n;
        } ranges[] = {
                {IOPORT_PIC_MASTER, 2},
                {IOPORT_PIC_SLAVE, 2},
                {IOPORT_ELCR, 2},
                {IOPORT_PIT, 4},
                {0x60, 5},
                {IOPORT_RTC, 2},
                {IOPORT_PM_BASE, 12},
                {IOPORT_PM_GPE0, 4},
                {IOPORT_COM1, 8},
                {IOPORT_WATCHDOG, 16},
        };

        for (unsigned i = 0; i < ELEMENTSOF(ranges); i++)
                for (uint16_t at = 0; at < ranges[i].n; at++) {
                        (void) bus_read(pio, (uint64_t) ranges[i].base + at, 1);
                        bus_write(pio, (uint64_t) ranges[i].base + at, 1, 0x11u * at);
                }
        for (uint16_t reg = 0; reg < 16; reg += 4)
                (void) bus_read(pio, IOPORT_WATCHDOG + reg, 4);
}

static void fuzz_chips(const uint8_t *data, size_t size) {
        Snapshot s, again;
        Board board = {0};

        board_init(&board);
        snapshot_init_restoring(&s, data, size);
        board_snapshot(&board, &s);
        if (snapshot_restored(&s)) {
                snapshot_init_saving(&again);
                board_snapshot(&board, &again);
                check(again.error == 0 && again.len == s.at);
                snapshot_deinit(&again);
                for (unsigned i = 0; i < 3; i++) {
                        fake_clock_advance(board.clock, 50 * (NSEC_PER_SEC / 1000));
                        (void) irqchip_acknowledge_pic(board.irqchip);
                        irqchip_handle_eoi(board.irqchip, (uint8_t) (0x20 + i));
                        use_ports(board.pio);
                        check(fake_clock_armed(board.clock) <= TIMERS_MAX);
                }
        }
        snapshot_deinit(&s);
        board_deinit(&board);
}

/* ---- functions on the bus ---- */

static void end_turn(void *userdata) {
        loop_exit(userdata);
}

static uint64_t bar_of(FakeBoard *board, unsigned slot) {
        return (fake_config_read(board, slot, PCI_BAR0, 4) & ~0xfu) |
               (uint64_t) fake_config_read(board, slot, PCI_BAR0 + 4, 4) << 32;
}

/* Of the slots from 1 to @n_slots. */
static void use_functions(FakeBoard *board, unsigned n_slots, LoopSource *stop) {
        for (unsigned slot = 1; slot <= n_slots; slot++) {
                const uint64_t bar = bar_of(board, slot);

                for (unsigned at = 0; at < 56; at += 4)
                        (void) bus_read(board->mmio, bar + at, 4);
                for (unsigned queue = 0; queue < 5; queue++)
                        bus_write(board->mmio, bar + 0x3000 + 4 * queue, 2, queue);
                bus_write(board->mmio, bar + 0x400c, 4, 0); /* vector 0 is not masked */
        }
        (void) loop_set_timer(stop, clock_monotonic_nsec() + TURN_NSEC);
        (void) loop_run(board->loop);
        for (unsigned slot = 1; slot <= n_slots; slot++)
                bus_write(board->mmio, bar_of(board, slot) + 0x14, 1, 0); /* reset */
}

/* What the bus of @board is in. Return: whether it was taken for good, and used then. */
static bool restore_functions(FakeBoard *board, unsigned n_slots, const uint8_t *data,
                              size_t size) {
        LoopSource *stop;
        Snapshot s, again;
        bool good;

        check(loop_add_timer(board->loop, end_turn, board->loop, &stop) == 0);
        snapshot_init_restoring(&s, data, size);
        pci_root_snapshot(board->root, &s);
        good = snapshot_restored(&s);
        if (good) {
                snapshot_init_saving(&again);
                pci_root_snapshot(board->root, &again);
                check(again.error == 0 && again.len == s.at);
                snapshot_deinit(&again);
                use_functions(board, n_slots, stop);
        }
        snapshot_deinit(&s);
        loop_remove(stop);
        return good;
}

static void fuzz_functions(const uint8_t *data, size_t size) {
        const VmmSerial sink = {.type = VMM_SERIAL_SINK};
        FakeBoard *board = fake_board_new(FAKE_DOORBELLS | FAKE_ROUTES);
        const VirtioBalloonConfig config = {.loop = board->loop, .reporting = true};
        VirtioDevice *rng, *console, *balloon;
        CharDev *chardev;

        check(char_new(&sink, board->loop, &chardev, NULL) == 0);
        check(virtio_rng_new(&rng) == 0);
        check(virtio_console_new(chardev, &console) == 0);
        check(virtio_balloon_new(&config, &balloon) == 0);
        rng->offered |= VIRTIO_F_RING_PACKED;
        fake_board_add(board, rng, 1);
        fake_board_add(board, console, 2);
        fake_board_add(board, balloon, 3);
        if (restore_functions(board, 3, data, size) && balloon->running)
                (void) virtio_balloon_request_stats(balloon);
        pci_root_free(board->root);
        board->root = NULL;
        char_free(chardev);
        fake_board_free(board);
}

/* ---- disks ---- */

static void add_disk(Loop *loop, VirtioDevice *dev, bool read_only) {
        BlockFile file = {.fd = memfd_create("disk", MFD_CLOEXEC),
                          .size_bytes = DISK_BYTES,
                          .align_bytes = 1,
                          .sparse = true,
                          .read_only = read_only};
        BlockDev *disk;
        Aio *aio;

        check(file.fd >= 0 && ftruncate(file.fd, DISK_BYTES) == 0);
        check(aio_workers_new(loop, &aio) == 0);
        check(raw_new(&file, aio, &disk) == 0);
        aio_unref(aio);
        check(virtio_scsi_add(dev, disk, 512, "fuzz", NULL) == 0);
}

static void fuzz_disks(const uint8_t *data, size_t size) {
        FakeBoard *board = fake_board_new(FAKE_DOORBELLS | FAKE_ROUTES);
        VirtioDevice *scsi;

        check(virtio_scsi_new(1, &scsi) == 0);
        add_disk(board->loop, scsi, /* read_only= */ false);
        add_disk(board->loop, scsi, /* read_only= */ true);
        fake_board_add(board, scsi, 1);
        if (restore_functions(board, 1, data, size))
                (void) virtio_scsi_resize(scsi, 0, DISK_BYTES / 2); /* a queue of events */
        pci_root_free(board->root);
        board->root = NULL;
        fake_board_free(board);
}

/* ---- the file ---- */

/* The checksums of a file whose RAM is behind its first page. */
static void put_checksums(int fd) {
        uint8_t page[MEMMAP_PAGE_SIZE] = {0};
        uint64_t len;

        check(pread(fd, page, sizeof(page), 0) >= 0);
        len = MIN(le64_load(page + 16), sizeof(page) - 64);
        le32_store(page + 12, (uint32_t) crc32(0, page + 64, (unsigned) len));
        le32_store(page + 40, (uint32_t) crc32(0, page + 64 + len, (unsigned) (4032 - len)));
        le32_store(page + 60, (uint32_t) crc32(0, page, 60));
        check(pwrite(fd, page, sizeof(page), 0) == (ssize_t) sizeof(page));
}

static void fuzz_file(const uint8_t *data, size_t size) {
        _cleanup_(fd_closep) int fd = memfd_create("snapshot", MFD_CLOEXEC);
        _cleanup_(text_error_deinit) TextError error = {0}, more = {0};
        _cleanup_(guest_mem_freep) GuestMem *mem = NULL;
        _cleanup_(freep) uint8_t *state = NULL;
        size_t len;

        check(fd >= 0 && write(fd, data, size) == (ssize_t) size);
        check(guest_mem_new(UINT64_C(1) << 20, &mem) == 0);
        /* The length is what the header says more often than by chance. */
        if (size > 0 && (data[size - 1] & 1))
                check(ftruncate(fd, (off_t) (MEMMAP_PAGE_SIZE + mem->size_bytes)) == 0);
        /* So are the checksums. */
        if (size > 0 && (data[size - 1] & 2))
                put_checksums(fd);
        (void) snapshot_file_read_state(fd, &state, &len, &error);
        (void) snapshot_file_read_memory(fd, mem, &more);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        if (size == 0)
                return 0;
        switch (data[0] % 4) {
        case 0:
                fuzz_chips(data + 1, size - 1);
                break;
        case 1:
                fuzz_functions(data + 1, size - 1);
                break;
        case 3:
                fuzz_disks(data + 1, size - 1);
                break;
        default:
                fuzz_file(data + 1, size - 1);
                break;
        }
        return 0;
}
