/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Every fixed device of the board as a guest sees it: registers. The input is a series of records of eight bytes:
 *
 *   op (bits 0-2)  where  size (bits 0-1)  value (4 bytes, little-endian)  spare
 *
 * and the operations are port writes and reads, I/O APIC writes and reads, time, EOIs, INTA cycles and wires. Where
 * something may grow or run long, it is checked: alarms armed, wires high, time passing.
 */

#include <stdlib.h>

#include "base/le.h"
#include "tests/fake/vmm_chips_fake.h"
#include "tests/fake/vmm_clock_fake.h"
#include "vmm/irq/irqchip.h"
#include "vmm/irq/pit.h"
#include "vmm/legacy/devices.h"
#include "vmm/mem/memmap.h"
#include "vmm/serial/uart8250.h"

#define RECORD_SIZE 8u
#define RECORDS_MAX 4096u
#define TIMERS_MAX 4u                     /* of all devices together */
#define TIME_MAX_NSEC (10 * NSEC_PER_SEC) /* per input: the PIT may fire 10,000 times a second */
#define WALL_USEC (UINT64_C(1709209845) * USEC_PER_SEC)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* First port and number of ports of each device, and a few around them. */
static const struct {
        uint16_t base, n;
} ranges[] = {
        {IOPORT_PIC_MASTER, 2},
        {IOPORT_PIC_SLAVE, 2},
        {IOPORT_ELCR, 2},
        {IOPORT_PIT, 4},
        {0x60, 5},
        {IOPORT_RTC, 2},
        {IOPORT_DEBUG_POST, 1},
        {IOPORT_PVPANIC, 1},
        {IOPORT_PM_BASE, 0x10},
        {IOPORT_PM_GPE0, 4},
        {IOPORT_COM1, 8},
        {IOPORT_COM3, 8},
        {IOPORT_RESET_CONTROL, 1},
        {IOPORT_WATCHDOG, 16},
};

typedef struct Board {
        Bus *pio, *mmio;
        Loop *loop;
        GuestClock *clock;
        uint64_t time_left_nsec;
        FakePartition partition;
        FakeHalt halt;
        Irqchip *irqchip;
        IrqLine wire;
        Pit *pit;
        Rtc *rtc;
        I8042 *i8042;
        AcpiPm *acpi_pm;
        ResetControl *reset_control;
        Pvpanic *pvpanic;
        Watchdog *watchdog;
        CharDev *chardevs[2];
        Uart8250 *uarts[2];
} Board;

static void check(bool ok) {
        if (!ok)
                abort();
}

static IrqLine board_line(Board *board, unsigned irq) {
        IrqLine line = {0};

        check(irqchip_add_line(board->irqchip, irq, &line) == 0);
        return line;
}

static void board_add_uart(Board *board, unsigned index, uint16_t base) {
        const VmmSerial sink = {.type = VMM_SERIAL_SINK};

        check(char_new(&sink, board->loop, &board->chardevs[index], NULL) == 0);
        check(uart8250_new(board->pio, base, board_line(board, ISA_IRQ_COM1_COM3),
                           board->chardevs[index], &board->uarts[index]) == 0);
}

static void board_init(Board *board) {
        HaltSink halt = fake_halt_sink(&board->halt);

        fake_partition_init(&board->partition);
        board->time_left_nsec = TIME_MAX_NSEC;
        board->clock = fake_clock_new(NSEC_PER_SEC, WALL_USEC);
        check(bus_new("pio", &board->pio) == 0 && bus_new("mmio", &board->mmio) == 0);
        check(loop_new(&board->loop) == 0);
        check(irqchip_new(board->pio, board->mmio, &board->irqchip) == 0);
        irqchip_connect(board->irqchip, &board->partition.base);
        board->wire = board_line(board, GSI_PCI_INTX_FIRST);
        check(pit_new(board->pio, board->clock, board_line(board, ISA_IRQ_PIT), &board->pit) == 0);
        check(rtc_new(board->pio, board->clock, board_line(board, ISA_IRQ_RTC), UINT64_C(3) << 30,
                      UINT64_C(1) << 40, &board->rtc) == 0);
        check(i8042_new(board->pio, board_line(board, ISA_IRQ_I8042_KEYBOARD), halt,
                        &board->i8042) == 0);
        check(acpi_pm_new(board->pio, board->clock, board_line(board, GSI_SCI), halt,
                          &board->acpi_pm) == 0);
        check(reset_control_new(board->pio, halt, &board->reset_control) == 0);
        check(pvpanic_new(board->pio, halt, &board->pvpanic) == 0);
        check(watchdog_new(board->pio, board->clock, halt, &board->watchdog) == 0);
        check(post_port_add(board->pio) == 0);
        board_add_uart(board, 0, IOPORT_COM1);
        board_add_uart(board, 1, IOPORT_COM3);
}

static void board_deinit(Board *board) {
        for (unsigned i = 0; i < ELEMENTSOF(board->uarts); i++) {
                uart8250_free(board->uarts[i]);
                char_free(board->chardevs[i]);
        }
        watchdog_free(board->watchdog);
        pvpanic_free(board->pvpanic);
        reset_control_free(board->reset_control);
        acpi_pm_free(board->acpi_pm);
        i8042_free(board->i8042);
        rtc_free(board->rtc);
        pit_free(board->pit);
        irqchip_free(board->irqchip);
        guest_clock_free(board->clock);
        loop_free(board->loop);
        bus_free(board->mmio);
        bus_free(board->pio);
}

static uint16_t port_of(uint8_t where) {
        unsigned range = where % ELEMENTSOF(ranges);

        return (uint16_t) (ranges[range].base + where / ELEMENTSOF(ranges) % ranges[range].n);
}

static void pass_time(Board *board, uint32_t nsec) {
        uint64_t step = MIN((uint64_t) nsec, board->time_left_nsec);

        board->time_left_nsec -= step;
        fake_clock_advance(board->clock, step);
}

static void run_record(Board *board, const uint8_t *record) {
        const unsigned size = 1u << (record[2] & 3), port_size = MIN(size, 4u);
        const uint32_t value = le32_load(record + 3);
        const uint64_t mmio = MEMMAP_IOAPIC_BASE + record[1] % 0x48;

        switch (record[0] & 7) {
        case 0:
                bus_write(board->pio, port_of(record[1]), port_size, value);
                break;
        case 1:
                check(bus_read(board->pio, port_of(record[1]), port_size) >> (port_size * 8) == 0);
                break;
        case 2:
                bus_write(board->mmio, mmio, size, value);
                break;
        case 3:
                (void) bus_read(board->mmio, mmio, size);
                break;
        case 4:
                pass_time(board, value);
                break;
        case 5:
                irqchip_handle_eoi(board->irqchip, (uint8_t) value);
                break;
        case 6:
                check(irqchip_acknowledge_pic(board->irqchip) < 256);
                break;
        default:
                irq_line_set(&board->wire, value & 1);
                if (value & 2)
                        acpi_pm_press_power_button(board->acpi_pm);
                if (value & 4)
                        (void) acpi_pm_raise_gpe(board->acpi_pm, value >> 8);
                break;
        }
        check(fake_clock_armed(board->clock) <= TIMERS_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Board board = {0};

        board_init(&board);
        for (unsigned n = 0; n < RECORDS_MAX && size >= RECORD_SIZE; n++) {
                run_record(&board, data);
                data += RECORD_SIZE;
                size -= RECORD_SIZE;
        }
        board_deinit(&board);
        return 0;
}
