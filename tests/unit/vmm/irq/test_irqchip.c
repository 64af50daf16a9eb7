/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>

#include "tests/fake/vmm_chips_fake.h"
#include "vmm/irq/irqchip.h"
#include "vmm/mem/memmap.h"

typedef struct Fixture {
        Bus *pio, *mmio;
        FakePartition partition;
        Irqchip *chip;
} Fixture;

static int setup(void **state) {
        static Fixture f;

        fake_partition_init(&f.partition);
        assert_int_equal(bus_new("pio", &f.pio), 0);
        assert_int_equal(bus_new("mmio", &f.mmio), 0);
        assert_int_equal(irqchip_new(f.pio, f.mmio, &f.chip), 0);
        irqchip_connect(f.chip, &f.partition.base);
        *state = &f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        irqchip_free(f->chip);
        bus_free(f->mmio);
        bus_free(f->pio);
        return 0;
}

static void ioapic_entry(Fixture *f, unsigned pin, uint32_t low) {
        bus_write(f->mmio, MEMMAP_IOAPIC_BASE, 4, 0x10 + 2 * pin);
        bus_write(f->mmio, MEMMAP_IOAPIC_BASE + 0x10, 4, low);
}

static void pic_initialize(Fixture *f, uint8_t master_mask, uint8_t slave_mask) {
        static const uint16_t ports[] = {IOPORT_PIC_MASTER, IOPORT_PIC_SLAVE};

        for (unsigned i = 0; i < 2; i++) {
                out8(f->pio, ports[i], 0x11);
                out8(f->pio, ports[i] + 1, (uint8_t) (0x20 + i * 8));
                out8(f->pio, ports[i] + 1, i ? 2 : 4);
                out8(f->pio, ports[i] + 1, 1);
                out8(f->pio, ports[i] + 1, i ? slave_mask : master_mask);
        }
}

static IrqLine new_line(Fixture *f, unsigned irq) {
        IrqLine line;

        assert_int_equal(irqchip_add_line(f->chip, irq, &line), 0);
        return line;
}

static void test_the_timer_arrives_at_pin_2_and_pic_input_0(void **state) {
        Fixture *f = *state;
        IrqLine line = new_line(f, ISA_IRQ_PIT);

        ioapic_entry(f, 0, 0x30);
        ioapic_entry(f, 2, 0x31);
        pic_initialize(f, 0xfe, 0xff);
        irq_line_pulse(&line);
        assert_int_equal(f->partition.n_messages, 1);
        assert_int_equal(f->partition.messages[0].data, 0x31);
        assert_true(f->partition.extint);
        assert_int_equal(irqchip_acknowledge_pic(f->chip), 0x20);
        assert_false(f->partition.extint);
        assert_int_equal(irqchip_acknowledge_pic(f->chip), -1);
}

static void test_isa_lines_reach_both_controllers(void **state) {
        Fixture *f = *state;
        IrqLine line = new_line(f, ISA_IRQ_RTC);

        ioapic_entry(f, 8, 0x38);
        pic_initialize(f, 0xfb, 0xfe);
        irq_line_pulse(&line);
        assert_int_equal(f->partition.messages[0].data, 0x38);
        assert_int_equal(irqchip_acknowledge_pic(f->chip), 0x28);
}

static void test_pci_lines_reach_the_ioapic_alone(void **state) {
        Fixture *f = *state;
        IrqLine line = new_line(f, GSI_PCI_INTX_FIRST);

        pic_initialize(f, 0, 0);
        ioapic_entry(f, GSI_PCI_INTX_FIRST, 0x8000 | 0x60);
        irq_line_set(&line, true);
        assert_int_equal(f->partition.n_messages, 1);
        assert_int_equal(f->partition.n_extint_changes, 0);
        irqchip_handle_eoi(f->chip, 0x60);
        assert_int_equal(f->partition.n_messages, 2);
}

static void test_a_shared_line_stays_high_until_all_let_go(void **state) {
        Fixture *f = *state;
        IrqLine a = new_line(f, 4), b = new_line(f, 4);

        ioapic_entry(f, 4, 0x8000 | 0x44);
        irq_line_set(&a, true);
        irq_line_set(&b, true);
        irq_line_set(&b, true);
        irq_line_set(&a, false);
        irqchip_handle_eoi(f->chip, 0x44);
        assert_int_equal(f->partition.n_messages, 2);
        irq_line_set(&b, false);
        irqchip_handle_eoi(f->chip, 0x44);
        assert_int_equal(f->partition.n_messages, 2);
}

static void test_lines_that_do_not_exist_are_refused(void **state) {
        Fixture *f = *state;
        IrqLine line;

        assert_int_equal(irqchip_add_line(f->chip, 2, &line), -EINVAL);
        assert_int_equal(irqchip_add_line(f->chip, GSI_COUNT, &line), -EINVAL);
        for (unsigned i = 0; i < 96; i++)
                assert_int_equal(irqchip_add_line(f->chip, 5, &line), 0);
        assert_int_equal(irqchip_add_line(f->chip, 5, &line), -ENOSPC);
}

static void test_registers_answer_on_their_buses(void **state) {
        Fixture *f = *state;

        assert_int_equal(in8(f->pio, IOPORT_PIC_MASTER + 1), 0xff);
        out8(f->pio, IOPORT_ELCR, 0x20);
        assert_int_equal(bus_read(f->pio, IOPORT_ELCR, 2), 0x0220);
        bus_write(f->mmio, MEMMAP_IOAPIC_BASE, 1, 1); /* the selector may be written as a byte */
        assert_int_equal(bus_read(f->mmio, MEMMAP_IOAPIC_BASE + 0x10, 4), 0x00170020);
        assert_int_equal(bus_read(f->mmio, MEMMAP_IOAPIC_BASE + 0x12, 1), 0x17);
        bus_write(f->mmio, MEMMAP_IOAPIC_BASE, 4, 0x10);
        bus_write(f->mmio, MEMMAP_IOAPIC_BASE + 0x10, 1, 0x99); /* the window must not */
        assert_int_equal(bus_read(f->mmio, MEMMAP_IOAPIC_BASE + 0x10, 4), 0x10000);
}

static void test_nothing_is_delivered_before_the_partition_exists(void **state) {
        Fixture *f = *state;
        _cleanup_(bus_freep) Bus *pio = NULL, *mmio = NULL;
        _cleanup_(irqchip_freep) Irqchip *chip = NULL;
        IrqLine line;

        assert_int_equal(bus_new("pio", &pio), 0);
        assert_int_equal(bus_new("mmio", &mmio), 0);
        assert_int_equal(irqchip_new(pio, mmio, &chip), 0);
        assert_int_equal(irqchip_add_line(chip, 4, &line), 0);
        irq_line_pulse(&line);
        assert_int_equal(f->partition.n_messages, 0);
}

#define ROUNDS 2000u

static void *drive_line(void *userdata) {
        const IrqLine *line = userdata;

        for (unsigned i = 0; i < ROUNDS; i++)
                irq_line_pulse(line);
        return NULL;
}

static void test_threads_may_drive_lines_while_a_processor_completes_them(void **state) {
        Fixture *f = *state;
        IrqLine lines[2] = {new_line(f, 4), new_line(f, 4)};
        pthread_t threads[2];

        ioapic_entry(f, 4, 0x8000 | 0x44);
        for (unsigned i = 0; i < 2; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, drive_line, &lines[i]), 0);
        for (unsigned i = 0; i < ROUNDS; i++)
                irqchip_handle_eoi(f->chip, 0x44);
        for (unsigned i = 0; i < 2; i++)
                assert_int_equal(pthread_join(threads[i], NULL), 0);
        irqchip_handle_eoi(f->chip, 0x44);
        f->partition.n_messages = 0;
        irq_line_set(&lines[0], true);
        assert_int_equal(f->partition.n_messages, 1);
}

/* A device behind line 17 that is content with being served. */
typedef struct Served {
        IrqLine line;
        unsigned n, gsi;
} Served;

static void lower_when_served(void *userdata, unsigned gsi) {
        Served *served = userdata;

        served->n++;
        served->gsi = gsi;
        irq_line_set(&served->line, false);
}

static void test_who_hears_of_the_end_of_an_interrupt_can_lower_its_line_in_time(void **state) {
        Fixture *f = *state;
        Served served = {.line = new_line(f, 17)};

        irqchip_set_eoi_handler(f->chip, lower_when_served, &served);
        ioapic_entry(f, 17, 0x8000 | 0x51);
        irq_line_set(&served.line, true);
        assert_int_equal(f->partition.n_messages, 1);
        irqchip_handle_eoi(f->chip, 0x50); /* another vector */
        assert_int_equal(served.n, 0);
        irqchip_handle_eoi(f->chip, 0x51);
        assert_int_equal(served.n, 1);
        assert_int_equal(served.gsi, 17);
        assert_int_equal(f->partition.n_messages, 1); /* not delivered again */
        irqchip_handle_eoi(f->chip, 0x51);            /* nothing is in service */
        assert_int_equal(served.n, 1);
        /* The same by the I/O APIC's own register. */
        irq_line_set(&served.line, true);
        assert_int_equal(f->partition.n_messages, 2);
        bus_write(f->mmio, MEMMAP_IOAPIC_BASE + 0x40, 4, 0x51);
        assert_int_equal(served.n, 2);
        assert_int_equal(f->partition.n_messages, 2);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_the_timer_arrives_at_pin_2_and_pic_input_0,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(test_isa_lines_reach_both_controllers, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_pci_lines_reach_the_ioapic_alone, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_a_shared_line_stays_high_until_all_let_go,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(test_lines_that_do_not_exist_are_refused, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_registers_answer_on_their_buses, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(
                        test_nothing_is_delivered_before_the_partition_exists, setup, teardown),
                cmocka_unit_test_setup_teardown(
                        test_who_hears_of_the_end_of_an_interrupt_can_lower_its_line_in_time, setup,
                        teardown),
                cmocka_unit_test_setup_teardown(
                        test_threads_may_drive_lines_while_a_processor_completes_them, setup,
                        teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
