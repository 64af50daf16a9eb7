/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "base/fd.h"
#include "tests/fake/vmm_chips_fake.h"
#include "vmm/serial/debugcon.h"

#define PORT 0x402u

typedef struct Fixture {
        Bus *pio;
        Loop *loop;
        CharDev *chardev;
        int output;
} Fixture;

static int setup(void **state) {
        static Fixture f;
        int out[2];
        char path[32];
        const VmmSerial config = {.type = VMM_SERIAL_FILE, .path = path};

        f = (Fixture){0};
        assert_int_equal(pipe(out), 0);
        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", out[1]);
        assert_int_equal(loop_new(&f.loop), 0);
        assert_int_equal(bus_new("pio", &f.pio), 0);
        assert_int_equal(char_new(&config, f.loop, &f.chardev, NULL), 0);
        fd_close(out[1]);
        f.output = out[0];
        *state = &f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        bus_free(f->pio);
        char_free(f->chardev);
        loop_free(f->loop);
        fd_close(f->output);
        return 0;
}

static void test_a_byte_written_is_a_byte_of_output(void **state) {
        const Fixture *f = *state;
        char text[8] = {0};

        assert_int_equal(debugcon_add(f->pio, PORT, f->chardev), 0);
        for (const char *p = "log\n"; *p; p++)
                out8(f->pio, PORT, (uint8_t) *p);
        assert_int_equal(read(f->output, text, sizeof(text) - 1), 4);
        assert_string_equal(text, "log\n");
}

static void test_reading_says_that_it_is_there(void **state) {
        const Fixture *f = *state;

        assert_int_equal(in8(f->pio, PORT), 0xff);
        assert_int_equal(debugcon_add(f->pio, PORT, f->chardev), 0);
        assert_int_equal(in8(f->pio, PORT), 0xe9);
}

static void test_two_have_no_room_at_one_port(void **state) {
        const Fixture *f = *state;

        assert_int_equal(debugcon_add(f->pio, PORT, f->chardev), 0);
        assert_int_equal(debugcon_add(f->pio, PORT, f->chardev), -EEXIST);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_a_byte_written_is_a_byte_of_output),
                TEST(test_reading_says_that_it_is_there),
                TEST(test_two_have_no_room_at_one_port),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
