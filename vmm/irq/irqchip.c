/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/irq/irqchip.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/counter.h"
#include "vmm/irq/ioapic.h"
#include "vmm/irq/pic.h"
#include "vmm/mem/bus_bytes.h"
#include "vmm/mem/memmap.h"

#define IRQCHIP_SOURCES_MAX 96u
#define ISA_IRQ_COUNT 16u

/* One wire to a device. Wires of the same line are ORed, so that devices may share it. */
typedef struct IrqSource {
        uint8_t irq;
        bool level;
} IrqSource;

struct Irqchip {
        pthread_mutex_t lock;
        Partition *partition; /* borrowed; NULL until connected */
        PicPair pic;
        Ioapic ioapic;
        bool extint; /* what the partition was last told */
        unsigned n_sources;
        IrqSource sources[IRQCHIP_SOURCES_MAX];
        uint8_t n_asserted[GSI_COUNT]; /* per line */
        Counter n_raised[GSI_COUNT];   /* rising edges of each line; lock held */
        IrqchipEoiFn eoi;              /* NULL: nobody asks; set before vCPUs run */
        void *eoi_userdata;            /* borrowed */
};

/* Tells the processor side about the PIC's output. Lock held. */
static void irqchip_update_extint(Irqchip *chip) {
        bool level = pic_output(&chip->pic);

        if (level == chip->extint || !chip->partition)
                return;
        chip->extint = level;
        chip->partition->ops->set_extint(chip->partition, level);
}

static void irqchip_set_irq(Irqchip *chip, unsigned irq, bool level) {
        counter_add(&chip->n_raised[irq], level);
        ioapic_set_line(&chip->ioapic, irq == ISA_IRQ_PIT ? GSI_PIT : irq, level);
        if (irq >= ISA_IRQ_COUNT)
                return;
        pic_set_line(&chip->pic, irq, level);
        irqchip_update_extint(chip);
}

/* IrqLine.set: a device drives its wire. */
static void irqchip_set_source(void *controller, unsigned index, bool level) {
        Irqchip *chip = controller;
        IrqSource *source = &chip->sources[index];

        pthread_mutex_lock(&chip->lock);
        if (source->level != level) {
                uint8_t *n = &chip->n_asserted[source->irq];

                source->level = level;
                *n = level ? *n + 1 : *n - 1;
                if (*n == (level ? 1 : 0))
                        irqchip_set_irq(chip, source->irq, level);
        }
        pthread_mutex_unlock(&chip->lock);
}

static uint8_t pic_master_read(void *device, unsigned offset) {
        return pic_read(&((Irqchip *) device)->pic, false, offset);
}

static uint8_t pic_slave_read(void *device, unsigned offset) {
        return pic_read(&((Irqchip *) device)->pic, true, offset);
}

static uint8_t elcr_read(void *device, unsigned offset) {
        return pic_read_elcr(&((Irqchip *) device)->pic, offset);
}

static void pic_master_write(void *device, unsigned offset, uint8_t value) {
        pic_write(&((Irqchip *) device)->pic, false, offset, value);
}

static void pic_slave_write(void *device, unsigned offset, uint8_t value) {
        pic_write(&((Irqchip *) device)->pic, true, offset, value);
}

static void elcr_write(void *device, unsigned offset, uint8_t value) {
        pic_write_elcr(&((Irqchip *) device)->pic, offset, value);
}

/* Reads of the PIC change its output too: a poll is an INTA cycle. */
#define DEFINE_PIC_BUS_OPS(stem, title)                                                            \
        static uint64_t stem##_bus_read(void *device, uint64_t offset, unsigned size) {            \
                uint64_t value = bus_bytes_read(device, offset, size, stem##_read);                \
                irqchip_update_extint(device);                                                     \
                return value;                                                                      \
        }                                                                                          \
        static void stem##_bus_write(void *device, uint64_t offset, unsigned size,                 \
                                     uint64_t value) {                                             \
                bus_bytes_write(device, offset, size, value, stem##_write);                        \
                irqchip_update_extint(device);                                                     \
        }                                                                                          \
        static const BusOps stem##_bus_ops = {                                                     \
                .name = title, .read = stem##_bus_read, .write = stem##_bus_write}

DEFINE_PIC_BUS_OPS(pic_master, "pic-master");
DEFINE_PIC_BUS_OPS(pic_slave, "pic-slave");
DEFINE_PIC_BUS_OPS(elcr, "elcr");

/* Registers are 32 bits wide at 16-byte strides; narrower reads see their part of one. */
static uint64_t ioapic_bus_read(void *device, uint64_t offset, unsigned size) {
        Irqchip *chip = device;
        uint32_t value;

        pthread_mutex_lock(&chip->lock);
        value = ioapic_read(&chip->ioapic, offset & ~UINT64_C(3));
        pthread_mutex_unlock(&chip->lock);
        return value >> ((offset & 3) * 8);
}

/* Only the selector may be written in less than 32 bits. */
static void ioapic_bus_write(void *device, uint64_t offset, unsigned size, uint64_t value) {
        Irqchip *chip = device;

        if (size < 4 && offset != 0)
                return;
        if (ioapic_is_eoi(offset)) {
                irqchip_handle_eoi(chip, (uint8_t) value);
                return;
        }
        pthread_mutex_lock(&chip->lock);
        ioapic_write(&chip->ioapic, offset, (uint32_t) value);
        pthread_mutex_unlock(&chip->lock);
}

static const BusOps ioapic_bus_ops = {
        .name = "ioapic",
        .read = ioapic_bus_read,
        .write = ioapic_bus_write,
};

static int irqchip_add_to_buses(Irqchip *chip, Bus *pio, Bus *mmio) {
        int r;

        r = bus_add(pio, IOPORT_PIC_MASTER, 2, &pic_master_bus_ops, chip, &chip->lock);
        if (r < 0)
                return r;
        r = bus_add(pio, IOPORT_PIC_SLAVE, 2, &pic_slave_bus_ops, chip, &chip->lock);
        if (r < 0)
                return r;
        r = bus_add(pio, IOPORT_ELCR, 2, &elcr_bus_ops, chip, &chip->lock);
        if (r < 0)
                return r;
        /* Takes the lock itself: those who hear of an end of interrupt do so without it. */
        return bus_add(mmio, MEMMAP_IOAPIC_BASE, MEMMAP_IOAPIC_SIZE, &ioapic_bus_ops, chip, NULL);
}

/**
 * irqchip_new() - the controllers in their reset state, not yet connected to a partition
 * @pio, @mmio: get the registers; must not be used after the chip is freed
 *
 * Return: 0 or negative errno.
 */
int irqchip_new(Bus *pio, Bus *mmio, Irqchip **ret) {
        _cleanup_(irqchip_freep) Irqchip *chip = calloc(1, sizeof(*chip));
        int r;

        if (!chip)
                return -ENOMEM;
        pthread_mutex_init(&chip->lock, NULL);
        pic_init(&chip->pic);
        ioapic_init(&chip->ioapic);
        r = irqchip_add_to_buses(chip, pio, mmio);
        if (r < 0)
                return r;
        *ret = TAKE(chip);
        return 0;
}

/** irqchip_free() - release; no device may drive its line any more. Return: NULL. */
Irqchip *irqchip_free(Irqchip *chip) {
        if (!chip)
                return NULL;
        pthread_mutex_destroy(&chip->lock);
        free(chip);
        return NULL;
}

/**
 * irqchip_connect() - say who delivers the interrupts; once, before the first vCPU runs
 * @partition: borrowed, must outlive the last change of any line
 */
void irqchip_connect(Irqchip *chip, Partition *partition) {
        pthread_mutex_lock(&chip->lock);
        chip->partition = partition;
        chip->ioapic.partition = partition;
        irqchip_update_extint(chip);
        pthread_mutex_unlock(&chip->lock);
}

/**
 * irqchip_add_line() - a new wire to interrupt line @irq, low at first
 * @irq: 0-15 the ISA lines except the cascade 2, 16-23 the I/O APIC's own pins
 *
 * The line is high while any of its wires is. While the board is built.
 *
 * Return: 0; -EINVAL for a line that does not exist; -ENOSPC when there are too many wires.
 */
int irqchip_add_line(Irqchip *chip, unsigned irq, IrqLine *ret) {
        if (irq >= GSI_COUNT || irq == PIC_CASCADE_PIN)
                return -EINVAL;
        if (chip->n_sources == IRQCHIP_SOURCES_MAX)
                return -ENOSPC;
        chip->sources[chip->n_sources] = (IrqSource){.irq = (uint8_t) irq};
        *ret = (IrqLine){
                .set = irqchip_set_source,
                .controller = chip,
                .pin = chip->n_sources++,
        };
        return 0;
}

/** irqchip_acknowledge_pic() - CpuIo.acknowledge_pic: the vector, or -1 when the request went away */
int irqchip_acknowledge_pic(Irqchip *chip) {
        int vector;

        pthread_mutex_lock(&chip->lock);
        vector = pic_acknowledge(&chip->pic);
        irqchip_update_extint(chip);
        pthread_mutex_unlock(&chip->lock);
        return vector;
}

/** irqchip_set_eoi_handler() - who hears of each end of a level-triggered interrupt; before vCPUs run */
void irqchip_set_eoi_handler(Irqchip *chip, IrqchipEoiFn fn, void *userdata) {
        chip->eoi = fn;
        chip->eoi_userdata = userdata;
}

/* Before the lines are looked at again, so that one whose device lowers it is not served twice. */
static void tell_of_eoi(Irqchip *chip, uint8_t vector) {
        uint32_t pins;

        if (!chip->eoi)
                return;
        pthread_mutex_lock(&chip->lock);
        pins = ioapic_pins_in_service(&chip->ioapic, vector);
        pthread_mutex_unlock(&chip->lock);
        for (unsigned pin = 0; pin < GSI_COUNT; pin++)
                if (pins & UINT32_C(1) << pin)
                        chip->eoi(chip->eoi_userdata, pin);
}

/** irqchip_handle_eoi() - CpuIo.handle_eoi: a local APIC completed the level-triggered @vector */
void irqchip_handle_eoi(Irqchip *chip, uint8_t vector) {
        tell_of_eoi(chip, vector);
        pthread_mutex_lock(&chip->lock);
        ioapic_handle_eoi(&chip->ioapic, vector);
        pthread_mutex_unlock(&chip->lock);
}

/** irqchip_times_raised() - how often line @irq, 0 to GSI_COUNT - 1, went high; any thread */
uint64_t irqchip_times_raised(const Irqchip *chip, unsigned irq) {
        return counter_get(&chip->n_raised[irq]);
}

/**
 * irqchip_snapshot() - save or restore the controllers and the levels of all wires
 *
 * Before any device is restored, which then finds its wire as it drives it. The machine has the same devices.
 */
void irqchip_snapshot(Irqchip *chip, Snapshot *s) {
        pthread_mutex_lock(&chip->lock);
        snapshot_enter(s, "irqchip", 0);
        snapshot_expect(s, "interrupt wires", chip->n_sources);
        for (unsigned i = 0; i < chip->n_sources; i++)
                snapshot_bool(s, &chip->sources[i].level);
        pic_snapshot(&chip->pic, s);
        ioapic_snapshot(&chip->ioapic, s);
        snapshot_leave(s);
        if (snapshot_restored(s)) {
                memset(chip->n_asserted, 0, sizeof(chip->n_asserted));
                for (unsigned i = 0; i < chip->n_sources; i++)
                        chip->n_asserted[chip->sources[i].irq] += chip->sources[i].level;
                irqchip_update_extint(chip);
        }
        pthread_mutex_unlock(&chip->lock);
}
