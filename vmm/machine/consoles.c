/* SPDX-License-Identifier: Apache-2.0 */

/* Serial ports and virtio-consoles, as crosvm completes what its command line leaves out. */

#include <stdio.h>

#include "vmm/machine/machine_internal.h"
#include "vmm/serial/debugcon.h"
#include "vmm/virtio/devices.h"

typedef struct ComPort {
        uint16_t base;
        unsigned irq;
} ComPort;

static const ComPort com_ports[MACHINE_COM_PORTS] = {
        {IOPORT_COM1, ISA_IRQ_COM1_COM3},
        {IOPORT_COM2, ISA_IRQ_COM2_COM4},
        {IOPORT_COM3, ISA_IRQ_COM1_COM3},
        {IOPORT_COM4, ISA_IRQ_COM2_COM4},
};

static const VmmSerial *find_serial(const VmmConfig *config, VmmSerialHardware hardware,
                                    unsigned num) {
        for (size_t i = 0; i < config->n_serials; i++)
                if (config->serials[i].hardware == hardware && config->serials[i].num == num)
                        return &config->serials[i];
        return NULL;
}

static const VmmSerial *find_console(const VmmConfig *config) {
        for (size_t i = 0; i < config->n_serials; i++)
                if (config->serials[i].console)
                        return &config->serials[i];
        return NULL;
}

/* Ports nobody configured are sinks, except that COM1 is the console on standard output when there is no other. */
static VmmSerial com_config(const VmmConfig *config, unsigned num) {
        const VmmSerial *serial = find_serial(config, VMM_SERIAL_HARDWARE_16550, num);
        const bool is_console = num == 1 && !find_console(config);

        if (serial)
                return *serial;
        return (VmmSerial){
                .type = is_console ? VMM_SERIAL_STDOUT : VMM_SERIAL_SINK,
                .hardware = VMM_SERIAL_HARDWARE_16550,
                .num = num,
                .std_in = is_console,
                .console = is_console,
        };
}

static int add_chardev(Machine *machine, const VmmSerial *serial, CharDev **ret,
                       TextError *reterr) {
        int r = char_new(serial, machine->loop, ret, reterr);

        if (r >= 0)
                machine->chardevs[machine->n_chardevs++] = *ret;
        return r;
}

static int add_com_port(Machine *machine, const VmmConfig *config, unsigned index,
                        TextError *reterr) {
        const VmmSerial serial = com_config(config, index + 1);
        const ComPort *port = &com_ports[index];
        CharDev *chardev;
        IrqLine line;
        int r;

        r = add_chardev(machine, &serial, &chardev, reterr);
        if (r < 0)
                return text_error_prefix(reterr, r, "COM%u", index + 1);
        r = irqchip_add_line(machine->irqchip, port->irq, &line);
        if (r < 0)
                return r;
        return uart8250_new(machine->pio, port->base, line, chardev, &machine->uarts[index]);
}

static int add_virtio_console(Machine *machine, const VmmSerial *serial, unsigned slot,
                              TextError *reterr) {
        VirtioDevice *device;
        CharDev *chardev;
        int r;

        r = add_chardev(machine, serial, &chardev, reterr);
        if (r < 0)
                return text_error_prefix(reterr, r, "virtio-console %u", serial->num);
        r = virtio_console_new(chardev, &device);
        if (r < 0)
                return r;
        virtio_device_limit_queues(device, serial->queue_sizes, VMM_CONSOLE_QUEUES);
        return machine_add_virtio(machine, device, slot);
}

static int add_debugcon(Machine *machine, const VmmConfig *config, TextError *reterr) {
        const VmmSerial *serial = find_serial(config, VMM_SERIAL_HARDWARE_DEBUGCON, 1);
        CharDev *chardev;
        int r;

        if (!serial)
                return 0;
        r = add_chardev(machine, serial, &chardev, reterr);
        if (r < 0)
                return text_error_prefix(reterr, r, "debugcon");
        r = debugcon_add(machine->pio, (uint16_t) serial->debugcon_port, chardev);
        return r < 0 ? text_error_set(reterr, r, "debugcon: port 0x%x is another device's",
                                      serial->debugcon_port)
                     : 0;
}

/**
 * machine_add_consoles() - COM1 to COM4, the debug port and the virtio-consoles
 * @slot: first PCI slot to use; advanced past those used
 *
 * Consoles take their slots in the order of their numbers, because the guest numbers hvc0, hvc1, … by slot.
 *
 * Return: 0 or negative errno with a sentence.
 */
int machine_add_consoles(Machine *machine, const VmmConfig *config, unsigned *slot,
                         TextError *reterr) {
        int r;

        for (unsigned i = 0; i < MACHINE_COM_PORTS; i++) {
                r = add_com_port(machine, config, i, reterr);
                if (r < 0)
                        return r;
        }
        r = add_debugcon(machine, config, reterr);
        if (r < 0)
                return r;
        for (unsigned num = 1; num <= VMM_CONSOLES_MAX; num++) {
                const VmmSerial *serial =
                        find_serial(config, VMM_SERIAL_HARDWARE_VIRTIO_CONSOLE, num);

                if (!serial)
                        continue;
                machine->console_slots[num - 1] =
                        machine_next_slot(machine, slot, serial->pci_slot);
                r = add_virtio_console(machine, serial, machine->console_slots[num - 1], reterr);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Its rank among the consoles there are: the guest counts those it finds on the bus. */
static unsigned hvc_index(const Machine *machine, unsigned num) {
        unsigned index = 0;

        for (unsigned i = 0; i < VMM_CONSOLES_MAX; i++)
                if (machine->console_slots[i] != 0 &&
                    machine->console_slots[i] < machine->console_slots[num - 1])
                        index++;
        return index;
}

/** machine_console_name() - the device for console=, "ttyS0" or "hvc0", written to @buf; consoles are on the bus */
const char *machine_console_name(const Machine *machine, const VmmConfig *config, char *buf,
                                 size_t size) {
        const VmmSerial *serial = find_console(config);
        int n;

        if (serial && serial->hardware == VMM_SERIAL_HARDWARE_VIRTIO_CONSOLE)
                n = snprintf(buf, size, "hvc%u", hvc_index(machine, serial->num));
        else if (serial)
                n = snprintf(buf, size, "ttyS%u", serial->num - 1);
        else if (!find_serial(config, VMM_SERIAL_HARDWARE_16550, 1))
                n = snprintf(buf, size, "ttyS0");
        else
                return NULL;
        return n > 0 ? buf : NULL;
}

/** machine_earlycon_name() - the device for earlycon=, written to @buf, or NULL when no serial port asks for it */
const char *machine_earlycon_name(const VmmConfig *config, char *buf, size_t size) {
        for (size_t i = 0; i < config->n_serials; i++) {
                const VmmSerial *serial = &config->serials[i];

                if (!serial->earlycon || serial->hardware != VMM_SERIAL_HARDWARE_16550)
                        continue;
                (void) snprintf(buf, size, "uart8250,io,0x%x", com_ports[serial->num - 1].base);
                return buf;
        }
        return NULL;
}
