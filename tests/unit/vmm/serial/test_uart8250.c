/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/fd.h"
#include "tests/fake/vmm_chips_fake.h"
#include "vmm/serial/uart8250.h"

#define BASE 0x3f8u
#define DATA BASE
#define IER (BASE + 1)
#define IIR (BASE + 2)
#define FCR (BASE + 2)
#define LCR (BASE + 3)
#define MCR (BASE + 4)
#define LSR (BASE + 5)
#define MSR (BASE + 6)
#define SCRATCH (BASE + 7)

/* A port between two pipes. */
typedef struct Fixture {
        Bus *pio;
        Loop *loop;
        FakeIrq irq;
        CharDev *chardev;
        Uart8250 *uart;
        int output, input; /* the host's ends */
} Fixture;

static int setup(void **state) {
        static Fixture f;
        int out[2], in[2];
        char out_path[32], in_path[32];
        VmmSerial config = {.type = VMM_SERIAL_FILE, .path = out_path, .input = in_path};

        f = (Fixture){0};
        assert_int_equal(pipe(out), 0);
        assert_int_equal(pipe(in), 0);
        (void) snprintf(out_path, sizeof(out_path), "/proc/self/fd/%d", out[1]);
        (void) snprintf(in_path, sizeof(in_path), "/proc/self/fd/%d", in[0]);
        assert_int_equal(loop_new(&f.loop), 0);
        assert_int_equal(bus_new("pio", &f.pio), 0);
        assert_int_equal(char_new(&config, f.loop, &f.chardev, NULL), 0);
        assert_int_equal(uart8250_new(f.pio, BASE, fake_irq_line(&f.irq), f.chardev, &f.uart), 0);
        fd_close(out[1]);
        fd_close(in[0]);
        f.output = out[0];
        f.input = in[1];
        *state = &f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        uart8250_free(f->uart);
        char_free(f->chardev);
        bus_free(f->pio);
        loop_free(f->loop);
        fd_close(f->output);
        fd_close(f->input);
        return 0;
}

static uint8_t get(Fixture *f, unsigned port) {
        return in8(f->pio, (uint16_t) port);
}

static void put(Fixture *f, unsigned port, uint8_t value) {
        out8(f->pio, (uint16_t) port, value);
}

static void stop_loop(void *userdata) {
        loop_exit(userdata);
}

/* Lets the loop do what it can do now: a timer that is due already ends it, and timers come with the rest. */
static void turn(Fixture *f) {
        for (unsigned i = 0; i < 3; i++) {
                LoopSource *timer;

                assert_int_equal(loop_add_timer(f->loop, stop_loop, f->loop, &timer), 0);
                assert_int_equal(loop_set_timer(timer, 1), 0);
                assert_int_equal(loop_run(f->loop), 0);
                loop_remove(timer);
        }
}

/* As a driver that has opened the port: RTS and OUT2 up, receive interrupt on. */
static void listen_by_interrupt(Fixture *f, uint8_t fcr) {
        put(f, FCR, fcr);
        put(f, MCR, 0x0b);
        put(f, IER, 0x01);
}

static void from_host(Fixture *f, const char *text) {
        assert_int_equal(fd_write_all(f->input, text, strlen(text)), 0);
        turn(f);
}

/* The part of Linux's autoconfig() that tells a 16550A from everything else. */
static void test_linux_detects_a_16550a(void **state) {
        Fixture *f = *state;

        put(f, IER, 0);
        assert_int_equal(get(f, IER), 0);
        put(f, IER, 0xff);
        assert_int_equal(get(f, IER), 0x0f);
        put(f, IER, 0);
        put(f, MCR, 0x10 | 0x08 | 0x02);
        assert_int_equal(get(f, MSR) & 0xf0, 0x90);
        put(f, MCR, 0);
        put(f, LCR, 0xbf);
        put(f, FCR, 0);
        put(f, LCR, 0);
        put(f, FCR, 0x01);
        assert_int_equal(get(f, IIR) >> 6, 3);
        put(f, SCRATCH, 0xa5);
        assert_int_equal(get(f, SCRATCH), 0xa5);
}

static void test_written_bytes_reach_the_host(void **state) {
        Fixture *f = *state;
        char text[8] = "";

        for (const char *p = "hello\n"; *p; p++) {
                assert_int_equal(get(f, LSR), 0x60);
                put(f, DATA, (uint8_t) *p);
        }
        assert_int_equal(read(f->output, text, sizeof(text)), 6);
        assert_string_equal(text, "hello\n");
}

static void test_the_divisor_latch_hides_data_and_ier(void **state) {
        Fixture *f = *state;

        put(f, LCR, 0x83);
        put(f, DATA, 0x01);
        put(f, IER, 0x02);
        assert_int_equal(bus_read(f->pio, DATA, 2), 0x0201);
        put(f, LCR, 0x03);
        assert_int_equal(get(f, IER), 0);
        assert_int_equal(get(f, LCR), 0x03);
        assert_int_equal(char_dropped_bytes(f->chardev), 0);
}

static void test_the_transmitter_interrupts_whenever_it_is_enabled_and_written(void **state) {
        Fixture *f = *state;

        put(f, MCR, 0x08);
        put(f, IER, 0x02);
        assert_true(f->irq.level);
        assert_int_equal(get(f, IIR), 0x02);
        assert_false(f->irq.level);
        assert_int_equal(get(f, IIR), 0x01);
        put(f, IER, 0x00);
        put(f, IER, 0x02);
        assert_int_equal(get(f, IIR), 0x02);
        put(f, DATA, 'x');
        assert_true(f->irq.level);
        assert_int_equal(get(f, IIR), 0x02);
}

static void test_out2_gates_the_interrupt(void **state) {
        Fixture *f = *state;

        put(f, IER, 0x02);
        assert_false(f->irq.level);
        put(f, MCR, 0x08);
        assert_true(f->irq.level);
        put(f, MCR, 0x00);
        assert_false(f->irq.level);
}

static void test_host_input_interrupts_and_is_read_in_order(void **state) {
        Fixture *f = *state;

        listen_by_interrupt(f, 0x01);
        from_host(f, "abc");
        assert_true(f->irq.level);
        assert_int_equal(get(f, IIR), 0xc4); /* trigger level 1 */
        assert_int_equal(get(f, LSR), 0x61);
        assert_int_equal(get(f, DATA), 'a');
        assert_int_equal(get(f, DATA), 'b');
        assert_true(f->irq.level);
        assert_int_equal(get(f, DATA), 'c');
        assert_false(f->irq.level);
        assert_int_equal(get(f, LSR), 0x60);
        assert_int_equal(get(f, DATA), 0);
}

static void test_bytes_below_the_trigger_level_time_out(void **state) {
        Fixture *f = *state;

        listen_by_interrupt(f, 0xc1); /* trigger level 14 */
        from_host(f, "abc");
        assert_int_equal(get(f, IIR), 0xcc);
        from_host(f, "defghijklmnop");
        assert_int_equal(get(f, IIR), 0xc4);
}

static void test_input_waits_while_the_fifo_is_full_and_none_is_lost(void **state) {
        Fixture *f = *state;
        char text[101] = "", got[101] = "";
        unsigned n = 0;

        for (unsigned i = 0; i < 100; i++)
                text[i] = (char) ('!' + i % 90);
        listen_by_interrupt(f, 0x01);
        from_host(f, text);
        while (n < 100) {
                unsigned before = n;

                while (get(f, LSR) & 0x01)
                        got[n++] = (char) get(f, DATA);
                assert_in_range(n - before, 1, 16);
                turn(f);
        }
        assert_string_equal(got, text);
}

static void test_without_fifo_one_byte_is_held(void **state) {
        Fixture *f = *state;

        listen_by_interrupt(f, 0x00);
        from_host(f, "ab");
        assert_int_equal(get(f, IIR), 0x04);
        assert_int_equal(get(f, DATA), 'a');
        assert_int_equal(get(f, LSR), 0x60);
        turn(f);
        assert_int_equal(get(f, DATA), 'b');
}

/* A driver probes and resets the port before it listens. */
static void test_what_was_typed_ahead_survives_the_probe(void **state) {
        Fixture *f = *state;
        char got[6] = "";

        from_host(f, "early");
        put(f, MCR, 0x03); /* an early console: sends, and waits only for the transmitter */
        for (unsigned i = 0; i < 20; i++) {
                (void) get(f, LSR);
                put(f, DATA, '.');
        }
        put(f, FCR, 0x07);
        put(f, FCR, 0x00);
        turn(f);
        assert_int_equal(get(f, LSR), 0x60);
        listen_by_interrupt(f, 0x01);
        turn(f);
        for (unsigned i = 0; i < 5; i++)
                got[i] = (char) get(f, DATA);
        assert_string_equal(got, "early");
}

static void test_a_polling_listener_is_recognised(void **state) {
        Fixture *f = *state;

        from_host(f, "x");
        put(f, MCR, 0x03);
        for (unsigned i = 0; i < 10; i++)
                assert_int_equal(get(f, LSR), 0x60);
        turn(f);
        assert_int_equal(get(f, LSR), 0x61);
        assert_int_equal(get(f, DATA), 'x');
}

static void test_the_host_waits_while_rts_is_down(void **state) {
        Fixture *f = *state;

        listen_by_interrupt(f, 0x01);
        put(f, MCR, 0x08);
        from_host(f, "x");
        assert_int_equal(get(f, LSR), 0x60);
        put(f, MCR, 0x0a);
        turn(f);
        assert_int_equal(get(f, LSR), 0x61);
}

static void test_resetting_the_receiver_empties_it(void **state) {
        Fixture *f = *state;

        listen_by_interrupt(f, 0x01);
        from_host(f, "abc");
        put(f, FCR, 0x03);
        assert_int_equal(get(f, LSR), 0x60);
}

static void test_loopback_receives_what_is_sent_and_overruns(void **state) {
        Fixture *f = *state;
        char byte;

        put(f, FCR, 0x01);
        put(f, MCR, 0x1a);
        put(f, IER, 0x05);
        for (unsigned i = 0; i < 16; i++)
                put(f, DATA, (uint8_t) i);
        assert_int_equal(get(f, IIR), 0xc4);
        put(f, DATA, 99);
        assert_int_equal(get(f, IIR), 0xc6);
        assert_int_equal(get(f, LSR), 0x63);
        assert_int_equal(get(f, LSR), 0x61);
        for (unsigned i = 0; i < 16; i++)
                assert_int_equal(get(f, DATA), i);
        fd_set_nonblock(f->output, true);
        assert_int_equal(read(f->output, &byte, 1), -1);
}

static void test_modem_lines_report_changes_once(void **state) {
        Fixture *f = *state;

        assert_int_equal(get(f, MSR), 0xb0); /* the other end is there */
        put(f, MCR, 0x08);
        put(f, IER, 0x08);
        assert_false(f->irq.level);
        put(f, MCR, 0x1c); /* loopback: OUT1 and OUT2 only */
        assert_true(f->irq.level);
        assert_int_equal(get(f, IIR), 0x00);
        assert_int_equal(get(f, MSR), 0xc3);
        assert_false(f->irq.level);
        put(f, MCR, 0x18);
        assert_int_equal(get(f, MSR), 0x84);
}

static void *write_registers(void *userdata) {
        Fixture *f = userdata;

        for (unsigned i = 0; i < 3000; i++) {
                put(f, DATA, '.');
                (void) get(f, DATA);
        }
        return NULL;
}

static void drain_output(void *userdata, int fd, uint32_t events) {
        char buf[256];

        assert_true(read(fd, buf, sizeof(buf)) > 0);
}

static void test_a_vcpu_and_the_loop_may_meet_in_a_port(void **state) {
        Fixture *f = *state;
        pthread_t vcpu;

        put(f, FCR, 0x01);
        put(f, MCR, 0x0b);
        put(f, IER, 0x03);
        assert_int_equal(loop_add_fd(f->loop, f->output, EPOLLIN, drain_output, NULL, NULL), 0);
        assert_int_equal(pthread_create(&vcpu, NULL, write_registers, f), 0);
        for (unsigned i = 0; i < 200; i++)
                from_host(f, "abcdefghijklmnopqrstuvwxyz");
        assert_int_equal(pthread_join(vcpu, NULL), 0);
        assert_int_equal(char_dropped_bytes(f->chardev), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_linux_detects_a_16550a, setup, teardown),
                cmocka_unit_test_setup_teardown(test_written_bytes_reach_the_host, setup, teardown),
                cmocka_unit_test_setup_teardown(test_the_divisor_latch_hides_data_and_ier, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(
                        test_the_transmitter_interrupts_whenever_it_is_enabled_and_written, setup,
                        teardown),
                cmocka_unit_test_setup_teardown(test_out2_gates_the_interrupt, setup, teardown),
                cmocka_unit_test_setup_teardown(test_host_input_interrupts_and_is_read_in_order,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(test_bytes_below_the_trigger_level_time_out, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(
                        test_input_waits_while_the_fifo_is_full_and_none_is_lost, setup, teardown),
                cmocka_unit_test_setup_teardown(test_without_fifo_one_byte_is_held, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_what_was_typed_ahead_survives_the_probe, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_a_polling_listener_is_recognised, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_the_host_waits_while_rts_is_down, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_resetting_the_receiver_empties_it, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_loopback_receives_what_is_sent_and_overruns,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(test_modem_lines_report_changes_once, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_a_vcpu_and_the_loop_may_meet_in_a_port, setup,
                                                teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
