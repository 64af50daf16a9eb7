/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/serial/uart8250.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "vmm/mem/bus_bytes.h"

/*
 * National Semiconductor PC16550D data sheet. The line is infinitely fast: a byte written is sent at once, so the
 * transmitter is always empty, and received bytes below the FIFO's trigger level time out at once. The baud rate is
 * remembered and means nothing.
 *
 * The host keeps to the handshake: it sends only while RTS is up, and not before somebody listens, by interrupt or by
 * polling. A driver that probes and resets the port on its way would otherwise throw away what was typed ahead.
 */

#define UART_PORTS 8u
#define UART_FIFO_SIZE 16u
#define UART_POLLS_OF_A_LISTENER                                                                   \
        8u /* reads of LSR in a row; one that only sends needs one or two */

enum { REG_DATA, REG_IER, REG_IIR_FCR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCRATCH };

#define IER_RECEIVED 0x01u
#define IER_TRANSMITTER_EMPTY 0x02u
#define IER_LINE_STATUS 0x04u
#define IER_MODEM_STATUS 0x08u
#define IER_WRITABLE 0x0fu

#define IIR_NONE 0x01u
#define IIR_MODEM_STATUS 0x00u
#define IIR_TRANSMITTER_EMPTY 0x02u
#define IIR_RECEIVED 0x04u
#define IIR_LINE_STATUS 0x06u
#define IIR_TIMEOUT 0x0cu
#define IIR_FIFO_ENABLED 0xc0u

#define FCR_ENABLE 0x01u
#define FCR_RESET_RECEIVER 0x02u
#define FCR_RESET_TRANSMITTER 0x04u
#define FCR_TRIGGER(fcr) ((fcr) >> 6)

#define LCR_DIVISOR 0x80u /* the first two ports are the divisor latch */

#define MCR_DTR 0x01u
#define MCR_RTS 0x02u
#define MCR_OUT1 0x04u
#define MCR_OUT2 0x08u /* on a PC it gates the interrupt */
#define MCR_LOOP 0x10u
#define MCR_WRITABLE 0x1fu

#define LSR_RECEIVED 0x01u
#define LSR_OVERRUN 0x02u
#define LSR_TRANSMITTER_EMPTY 0x60u /* holding register and shift register */

#define MSR_DELTA_CTS 0x01u
#define MSR_DELTA_DSR 0x02u
#define MSR_TRAILING_RI 0x04u
#define MSR_DELTA_DCD 0x08u
#define MSR_DELTAS 0x0fu
#define MSR_CTS 0x10u
#define MSR_DSR 0x20u
#define MSR_RI 0x40u
#define MSR_DCD 0x80u
#define MSR_CONNECTED (MSR_CTS | MSR_DSR | MSR_DCD)

struct Uart8250 {
        pthread_mutex_t lock;
        IrqLine irq;
        CharDev *chardev; /* borrowed */

        uint8_t ier, fcr, lcr, mcr, scratch;
        uint8_t msr; /* with its delta bits */
        uint8_t divisor_low, divisor_high;
        bool overrun;
        bool transmitter_empty_pending; /* the THRE interrupt, which a read of IIR takes away */

        uint8_t received[UART_FIFO_SIZE]; /* ring */
        unsigned received_start, n_received;
        bool input_waits; /* the host side has more than we took */
        uint8_t n_polls;  /* reads of LSR since a byte was sent, up to UART_POLLS_OF_A_LISTENER */
};

static bool uart_has_fifo(const Uart8250 *uart) {
        return uart->fcr & FCR_ENABLE;
}

static unsigned uart_fifo_size(const Uart8250 *uart) {
        return uart_has_fifo(uart) ? UART_FIFO_SIZE : 1;
}

static unsigned uart_trigger_level(const Uart8250 *uart) {
        static const uint8_t levels[] = {1, 4, 8, 14};

        return uart_has_fifo(uart) ? levels[FCR_TRIGGER(uart->fcr)] : 1;
}

/* The interrupt of highest priority, as IIR names it. */
static uint8_t uart_interrupt(const Uart8250 *uart) {
        if ((uart->ier & IER_LINE_STATUS) && uart->overrun)
                return IIR_LINE_STATUS;
        if ((uart->ier & IER_RECEIVED) && uart->n_received > 0)
                return uart->n_received >= uart_trigger_level(uart) ? IIR_RECEIVED : IIR_TIMEOUT;
        if ((uart->ier & IER_TRANSMITTER_EMPTY) && uart->transmitter_empty_pending)
                return IIR_TRANSMITTER_EMPTY;
        if ((uart->ier & IER_MODEM_STATUS) && (uart->msr & MSR_DELTAS))
                return IIR_MODEM_STATUS;
        return IIR_NONE;
}

/* Loopback disconnects OUT2 from the pin, but kernels test the interrupt in loopback with OUT2 set. */
static void uart_update_irq(Uart8250 *uart) {
        irq_line_set(&uart->irq, (uart->mcr & MCR_OUT2) && uart_interrupt(uart) != IIR_NONE);
}

static void uart_clear_received(Uart8250 *uart) {
        uart->received_start = 0;
        uart->n_received = 0;
        uart->overrun = false;
}

static bool uart_put_received(Uart8250 *uart, uint8_t byte) {
        if (uart->n_received >= uart_fifo_size(uart))
                return false;
        uart->received[(uart->received_start + uart->n_received++) % UART_FIFO_SIZE] = byte;
        return true;
}

/* Whether the host may send. */
static bool uart_listens(const Uart8250 *uart) {
        if ((uart->mcr & MCR_LOOP) || !(uart->mcr & MCR_RTS))
                return false;
        return (uart->ier & IER_RECEIVED) || uart->n_polls == UART_POLLS_OF_A_LISTENER;
}

/* Lets the host side go on if it was held back and need not be any more. Lock held. */
static void uart_resume_input(Uart8250 *uart) {
        if (!uart->input_waits || uart->n_received > 0 || !uart_listens(uart))
                return;
        uart->input_waits = false;
        char_input_ready(uart->chardev);
}

static uint8_t uart_read_data(Uart8250 *uart) {
        uint8_t byte = 0;

        if (uart->n_received > 0) {
                byte = uart->received[uart->received_start];
                uart->received_start = (uart->received_start + 1) % UART_FIFO_SIZE;
                uart->n_received--;
        }
        uart_resume_input(uart);
        return byte;
}

static uint8_t uart_read_iir(Uart8250 *uart) {
        uint8_t interrupt = uart_interrupt(uart);

        if (interrupt == IIR_TRANSMITTER_EMPTY)
                uart->transmitter_empty_pending = false;
        return uart_has_fifo(uart) ? interrupt | IIR_FIFO_ENABLED : interrupt;
}

static uint8_t uart_read_lsr(Uart8250 *uart) {
        uint8_t lsr = LSR_TRANSMITTER_EMPTY;

        if (uart->n_polls < UART_POLLS_OF_A_LISTENER)
                uart->n_polls++;
        if (uart->n_received > 0)
                lsr |= LSR_RECEIVED;
        if (uart->overrun)
                lsr |= LSR_OVERRUN;
        uart->overrun = false;
        uart_resume_input(uart);
        return lsr;
}

static uint8_t uart_read_msr(Uart8250 *uart) {
        uint8_t msr = uart->msr;

        uart->msr &= (uint8_t) ~MSR_DELTAS;
        return msr;
}

static uint8_t uart_read_byte(void *device, unsigned offset) {
        Uart8250 *uart = device;

        switch (offset) {
        case REG_DATA:
                return uart->lcr & LCR_DIVISOR ? uart->divisor_low : uart_read_data(uart);
        case REG_IER:
                return uart->lcr & LCR_DIVISOR ? uart->divisor_high : uart->ier;
        case REG_IIR_FCR:
                return uart_read_iir(uart);
        case REG_LCR:
                return uart->lcr;
        case REG_MCR:
                return uart->mcr;
        case REG_LSR:
                return uart_read_lsr(uart);
        case REG_MSR:
                return uart_read_msr(uart);
        default:
                return uart->scratch;
        }
}

static void uart_write_data(Uart8250 *uart, uint8_t byte) {
        uart->n_polls = 0;
        if (!(uart->mcr & MCR_LOOP))
                char_write(uart->chardev, &byte, 1);
        else if (!uart_put_received(uart, byte))
                uart->overrun = true;
        uart->transmitter_empty_pending = true;
}

static void uart_write_ier(Uart8250 *uart, uint8_t value) {
        /* Enabling the interrupt while the transmitter is empty, which it always is, raises it. */
        if ((value & ~uart->ier) & IER_TRANSMITTER_EMPTY)
                uart->transmitter_empty_pending = true;
        uart->ier = value & IER_WRITABLE;
        uart_resume_input(uart);
}

static void uart_write_fcr(Uart8250 *uart, uint8_t value) {
        bool toggled = (value ^ uart->fcr) & FCR_ENABLE;

        uart->n_polls = 0;
        if (toggled || (value & FCR_RESET_RECEIVER))
                uart_clear_received(uart);
        if (toggled || (value & FCR_RESET_TRANSMITTER))
                uart->transmitter_empty_pending = true;
        /* The other bits can be set only together with the enable bit. */
        uart->fcr = value & FCR_ENABLE ? value : 0;
        uart_resume_input(uart);
}

/* The modem inputs: a cable whose other end is ready, or in loopback our own outputs. */
static uint8_t uart_modem_inputs(const Uart8250 *uart) {
        uint8_t msr = 0;

        if (!(uart->mcr & MCR_LOOP))
                return MSR_CONNECTED;
        if (uart->mcr & MCR_RTS)
                msr |= MSR_CTS;
        if (uart->mcr & MCR_DTR)
                msr |= MSR_DSR;
        if (uart->mcr & MCR_OUT1)
                msr |= MSR_RI;
        if (uart->mcr & MCR_OUT2)
                msr |= MSR_DCD;
        return msr;
}

static void uart_write_mcr(Uart8250 *uart, uint8_t value) {
        uint8_t old = uart->msr, now, changed;

        uart->mcr = value & MCR_WRITABLE;
        now = uart_modem_inputs(uart);
        changed = now ^ old;
        uart->msr = (old & MSR_DELTAS) | now;
        if (changed & MSR_CTS)
                uart->msr |= MSR_DELTA_CTS;
        if (changed & MSR_DSR)
                uart->msr |= MSR_DELTA_DSR;
        if ((old & MSR_RI) && !(now & MSR_RI))
                uart->msr |= MSR_TRAILING_RI;
        if (changed & MSR_DCD)
                uart->msr |= MSR_DELTA_DCD;
        uart_resume_input(uart);
}

static void uart_write_byte(void *device, unsigned offset, uint8_t value) {
        Uart8250 *uart = device;

        switch (offset) {
        case REG_DATA:
                if (uart->lcr & LCR_DIVISOR)
                        uart->divisor_low = value;
                else
                        uart_write_data(uart, value);
                break;
        case REG_IER:
                if (uart->lcr & LCR_DIVISOR)
                        uart->divisor_high = value;
                else
                        uart_write_ier(uart, value);
                break;
        case REG_IIR_FCR:
                uart_write_fcr(uart, value);
                break;
        case REG_LCR:
                uart->lcr = value;
                break;
        case REG_MCR:
                uart_write_mcr(uart, value);
                break;
        case REG_SCRATCH:
                uart->scratch = value;
                break;
        default: /* LSR and MSR: factory test only */
                break;
        }
}

static uint64_t uart_read(void *device, uint64_t offset, unsigned size) {
        uint64_t value = bus_bytes_read(device, offset, size, uart_read_byte);

        uart_update_irq(device);
        return value;
}

static void uart_write(void *device, uint64_t offset, unsigned size, uint64_t value) {
        bus_bytes_write(device, offset, size, value, uart_write_byte);
        uart_update_irq(device);
}

/* CharHandler.receive: input of the host, on the loop's thread. What does not fit is left for later. */
static size_t uart_receive(void *frontend, const uint8_t *data, size_t len) {
        Uart8250 *uart = frontend;
        size_t n = 0;

        pthread_mutex_lock(&uart->lock);
        if (uart_listens(uart))
                while (n < len && uart_put_received(uart, data[n]))
                        n++;
        uart->input_waits = n < len;
        uart_update_irq(uart);
        pthread_mutex_unlock(&uart->lock);
        return n;
}

static const BusOps uart_bus_ops = {.name = "uart8250", .read = uart_read, .write = uart_write};

/**
 * uart8250_new() - a port with eight registers at @base
 * @irq:     driven as OUT2 allows; may be shared with other ports
 * @chardev: the other end of the line; borrowed, must outlive the port. Its handler is set
 *
 * Return: 0 or negative errno.
 */
int uart8250_new(Bus *pio, uint16_t base, IrqLine irq, CharDev *chardev, Uart8250 **ret) {
        _cleanup_(uart8250_freep) Uart8250 *uart = calloc(1, sizeof(*uart));
        int r;

        if (!uart)
                return -ENOMEM;
        pthread_mutex_init(&uart->lock, NULL);
        uart->irq = irq;
        uart->chardev = chardev;
        uart->divisor_low = 12; /* 9600 baud, as firmware leaves it */
        uart->msr = MSR_CONNECTED;
        r = bus_add(pio, base, UART_PORTS, &uart_bus_ops, uart, &uart->lock);
        if (r < 0)
                return r;
        char_set_handler(chardev, &(CharHandler){.receive = uart_receive, .frontend = uart});
        *ret = TAKE(uart);
        return 0;
}

/** uart8250_free() - release; the loop and the vCPUs have ended. Return: NULL. */
Uart8250 *uart8250_free(Uart8250 *uart) {
        if (!uart)
                return NULL;
        pthread_mutex_destroy(&uart->lock);
        free(uart);
        return NULL;
}

/** uart8250_snapshot() - save or restore port @number; input that the host has not sent yet is not part of it */
void uart8250_snapshot(Uart8250 *uart, unsigned number, Snapshot *s) {
        static const SnapshotField fields[] = {
                SNAPSHOT_RANGE(Uart8250, ier, 0, IER_WRITABLE),
                SNAPSHOT_UINT(Uart8250, fcr),
                SNAPSHOT_UINT(Uart8250, lcr),
                SNAPSHOT_RANGE(Uart8250, mcr, 0, MCR_WRITABLE),
                SNAPSHOT_UINT(Uart8250, scratch),
                SNAPSHOT_UINT(Uart8250, msr),
                SNAPSHOT_UINT(Uart8250, divisor_low),
                SNAPSHOT_UINT(Uart8250, divisor_high),
                SNAPSHOT_BOOL(Uart8250, overrun),
                SNAPSHOT_BOOL(Uart8250, transmitter_empty_pending),
                SNAPSHOT_ARRAY(Uart8250, received),
                SNAPSHOT_RANGE(Uart8250, received_start, 0, UART_FIFO_SIZE - 1),
                SNAPSHOT_RANGE(Uart8250, n_received, 0, UART_FIFO_SIZE),
                SNAPSHOT_RANGE(Uart8250, n_polls, 0, UART_POLLS_OF_A_LISTENER),
        };

        pthread_mutex_lock(&uart->lock);
        snapshot_enter(s, "uart8250", number);
        snapshot_members(s, fields, uart);
        snapshot_leave(s);
        if (snapshot_restored(s))
                uart_update_irq(uart);
        pthread_mutex_unlock(&uart->lock);
}
