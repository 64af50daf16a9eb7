/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>

#include "vmm/legacy/devices.h"
#include "vmm/mem/memmap.h"

/*
 * The controller alone, as a board has it with nothing plugged into its keyboard port and no mouse port. It passes its
 * self-test and keeps its command byte; bytes for the keyboard time out at once, so that a driver's probe ends fast.
 * What it is really there for: commands 0xf0-0xff pulse its output lines, and line 0 is the processor's reset.
 */

#define STATUS_OUTPUT_FULL 0x01u
#define STATUS_SELF_TEST_PASSED 0x04u
#define STATUS_LAST_WAS_COMMAND 0x08u
#define STATUS_NOT_LOCKED 0x10u
#define STATUS_TIMEOUT 0x40u

#define COMMAND_BYTE_KEYBOARD_INTERRUPT 0x01u
#define COMMAND_BYTE_SELF_TEST_PASSED 0x04u
#define COMMAND_BYTE_KEYBOARD_DISABLED 0x10u
#define COMMAND_BYTE_MOUSE_DISABLED 0x20u

enum {
        COMMAND_READ_RAM = 0x20, /* to 0x3f; address 0 is the command byte */
        COMMAND_WRITE_RAM = 0x60,
        COMMAND_DISABLE_MOUSE = 0xa7,
        COMMAND_ENABLE_MOUSE = 0xa8,
        COMMAND_TEST_MOUSE = 0xa9,
        COMMAND_SELF_TEST = 0xaa,
        COMMAND_TEST_KEYBOARD = 0xab,
        COMMAND_DISABLE_KEYBOARD = 0xad,
        COMMAND_ENABLE_KEYBOARD = 0xae,
        COMMAND_READ_INPUT_PORT = 0xc0,
        COMMAND_READ_OUTPUT_PORT = 0xd0,
        COMMAND_WRITE_OUTPUT_PORT = 0xd1,
        COMMAND_ECHO_AS_KEYBOARD = 0xd2,
        COMMAND_ECHO_AS_MOUSE = 0xd3,
        COMMAND_PULSE = 0xf0, /* to 0xff; a 0 in bits 3-0 pulses that line low */
};

#define OUTPUT_PORT_NOT_RESET 0x01u
#define OUTPUT_PORT_A20 0x02u
#define ANSWER_SELF_TEST 0x55u
#define ANSWER_PORT_GOOD 0x00u
#define ANSWER_PORT_CLOCK_STUCK 0x02u /* what a port that does not exist looks like */
#define ANSWER_RESEND 0xfeu
#define INPUT_PORT 0xa0u /* not locked */

struct I8042 {
        pthread_mutex_t lock;
        IrqLine irq;
        HaltSink halt;
        uint8_t ram[32]; /* [0] is the command byte */
        uint8_t status;
        uint8_t output; /* valid while STATUS_OUTPUT_FULL */
        uint8_t output_port;
        uint8_t pending_command; /* whose data byte comes next, 0 = the keyboard's */
};

static void i8042_update_irq(I8042 *kbc) {
        irq_line_set(&kbc->irq, (kbc->status & STATUS_OUTPUT_FULL) &&
                                        (kbc->ram[0] & COMMAND_BYTE_KEYBOARD_INTERRUPT));
}

static void i8042_answer(I8042 *kbc, uint8_t value) {
        kbc->output = value;
        kbc->status = (kbc->status | STATUS_OUTPUT_FULL) & (uint8_t) ~STATUS_TIMEOUT;
}

static void i8042_pulse(I8042 *kbc, uint8_t lines) {
        if (!(lines & OUTPUT_PORT_NOT_RESET))
                halt_sink_report(&kbc->halt, HALT_RESET);
}

static void i8042_command(I8042 *kbc, uint8_t command) {
        kbc->pending_command = 0;
        kbc->status |= STATUS_LAST_WAS_COMMAND;
        if (command >= COMMAND_PULSE) {
                i8042_pulse(kbc, command);
                return;
        }
        if (command >= COMMAND_READ_RAM && command < COMMAND_READ_RAM + 32) {
                i8042_answer(kbc, kbc->ram[command & 31]);
                return;
        }
        if (command >= COMMAND_WRITE_RAM && command < COMMAND_WRITE_RAM + 32) {
                kbc->pending_command = command;
                return;
        }
        switch (command) {
        case COMMAND_DISABLE_MOUSE:
                kbc->ram[0] |= COMMAND_BYTE_MOUSE_DISABLED;
                break;
        case COMMAND_ENABLE_MOUSE:
                kbc->ram[0] &= (uint8_t) ~COMMAND_BYTE_MOUSE_DISABLED;
                break;
        case COMMAND_TEST_MOUSE:
                i8042_answer(kbc, ANSWER_PORT_CLOCK_STUCK);
                break;
        case COMMAND_SELF_TEST:
                kbc->ram[0] |= COMMAND_BYTE_SELF_TEST_PASSED;
                kbc->status |= STATUS_SELF_TEST_PASSED;
                i8042_answer(kbc, ANSWER_SELF_TEST);
                break;
        case COMMAND_TEST_KEYBOARD:
                i8042_answer(kbc, ANSWER_PORT_GOOD);
                break;
        case COMMAND_DISABLE_KEYBOARD:
                kbc->ram[0] |= COMMAND_BYTE_KEYBOARD_DISABLED;
                break;
        case COMMAND_ENABLE_KEYBOARD:
                kbc->ram[0] &= (uint8_t) ~COMMAND_BYTE_KEYBOARD_DISABLED;
                break;
        case COMMAND_READ_INPUT_PORT:
                i8042_answer(kbc, INPUT_PORT);
                break;
        case COMMAND_READ_OUTPUT_PORT:
                i8042_answer(kbc, kbc->output_port);
                break;
        case COMMAND_WRITE_OUTPUT_PORT:
        case COMMAND_ECHO_AS_KEYBOARD:
        case COMMAND_ECHO_AS_MOUSE:
                kbc->pending_command = command;
                break;
        default: /* as the chip: unknown commands do nothing */
                break;
        }
}

static void i8042_data(I8042 *kbc, uint8_t value) {
        uint8_t command = kbc->pending_command;

        kbc->pending_command = 0;
        kbc->status &= (uint8_t) ~STATUS_LAST_WAS_COMMAND;
        if (command >= COMMAND_WRITE_RAM && command < COMMAND_WRITE_RAM + 32) {
                kbc->ram[command & 31] = value;
                return;
        }
        switch (command) {
        case COMMAND_WRITE_OUTPUT_PORT:
                kbc->output_port = value;
                i8042_pulse(kbc, value);
                break;
        case COMMAND_ECHO_AS_KEYBOARD:
        case COMMAND_ECHO_AS_MOUSE: /* there is no mouse port: comes back without its flag */
                i8042_answer(kbc, value);
                break;
        default: /* for the keyboard that is not there */
                i8042_answer(kbc, ANSWER_RESEND);
                kbc->status |= STATUS_TIMEOUT;
                break;
        }
}

static uint64_t i8042_read_data(void *device, uint64_t offset, unsigned size) {
        I8042 *kbc = device;

        kbc->status &= (uint8_t) ~(STATUS_OUTPUT_FULL | STATUS_TIMEOUT);
        i8042_update_irq(kbc);
        return kbc->output;
}

static void i8042_write_data(void *device, uint64_t offset, unsigned size, uint64_t value) {
        i8042_data(device, (uint8_t) value);
        i8042_update_irq(device);
}

static uint64_t i8042_read_status(void *device, uint64_t offset, unsigned size) {
        return ((I8042 *) device)->status;
}

static void i8042_write_command(void *device, uint64_t offset, unsigned size, uint64_t value) {
        i8042_command(device, (uint8_t) value);
        i8042_update_irq(device);
}

static const BusOps i8042_data_ops = {
        .name = "i8042-data",
        .read = i8042_read_data,
        .write = i8042_write_data,
};
static const BusOps i8042_command_ops = {
        .name = "i8042-command",
        .read = i8042_read_status,
        .write = i8042_write_command,
};

/**
 * i8042_new() - the controller after power-on
 * @pio:          gets ports 0x60 and 0x64
 * @keyboard_irq: ISA line 1
 * @halt:         told HALT_RESET
 *
 * Return: 0 or negative errno.
 */
int i8042_new(Bus *pio, IrqLine keyboard_irq, HaltSink halt, I8042 **ret) {
        _cleanup_(i8042_freep) I8042 *kbc = calloc(1, sizeof(*kbc));
        int r;

        if (!kbc)
                return -ENOMEM;
        pthread_mutex_init(&kbc->lock, NULL);
        kbc->irq = keyboard_irq;
        kbc->halt = halt;
        kbc->status = STATUS_NOT_LOCKED;
        kbc->ram[0] = COMMAND_BYTE_KEYBOARD_DISABLED | COMMAND_BYTE_MOUSE_DISABLED;
        kbc->output_port = OUTPUT_PORT_NOT_RESET | OUTPUT_PORT_A20;
        r = bus_add(pio, IOPORT_I8042_DATA, 1, &i8042_data_ops, kbc, &kbc->lock);
        if (r < 0)
                return r;
        r = bus_add(pio, IOPORT_I8042_COMMAND, 1, &i8042_command_ops, kbc, &kbc->lock);
        if (r < 0)
                return r;
        *ret = TAKE(kbc);
        return 0;
}

/** i8042_free() - release; the vCPUs have ended. Return: NULL. */
I8042 *i8042_free(I8042 *kbc) {
        if (!kbc)
                return NULL;
        pthread_mutex_destroy(&kbc->lock);
        free(kbc);
        return NULL;
}

/** i8042_snapshot() - save or restore */
void i8042_snapshot(I8042 *kbc, Snapshot *s) {
        static const SnapshotField fields[] = {
                SNAPSHOT_ARRAY(I8042, ram),
                SNAPSHOT_UINT(I8042, status),
                SNAPSHOT_UINT(I8042, output),
                SNAPSHOT_UINT(I8042, output_port),
                SNAPSHOT_UINT(I8042, pending_command),
        };

        pthread_mutex_lock(&kbc->lock);
        snapshot_enter(s, "i8042", 0);
        snapshot_members(s, fields, kbc);
        snapshot_leave(s);
        if (snapshot_restored(s))
                i8042_update_irq(kbc);
        pthread_mutex_unlock(&kbc->lock);
}
