/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fd.h"
#include "service/monitor/pressure.h"

#define PATIENCE_USEC (60 * USEC_PER_SEC)
#define TEXT(some, full)                                                                           \
        "some avg10=" some " avg60=2.00 avg300=3.00 total=4\n"                                     \
        "full avg10=" full " avg60=6.00 avg300=7.00 total=8\n"

typedef struct Heard {
        unsigned n;
        PressureReading reading;
} Heard;

static void on_pressure(void *userdata, const PressureReading *reading) {
        Heard *heard = userdata;

        heard->n++;
        heard->reading = *reading;
}

static void test_averages_are_read_in_hundredths(void **state) {
        PressureReading reading;

        assert_int_equal(pressure_parse(TEXT("12.34", "100.00"), &reading), 0);
        assert_int_equal(reading.some, 1234);
        assert_int_equal(reading.full, 10000);
        assert_int_equal(pressure_parse(TEXT("0.00", "0.07"), &reading), 0);
        assert_int_equal(reading.some, 0);
        assert_int_equal(reading.full, 7);
}

static void test_other_texts_are_refused(void **state) {
        static const char *const texts[] = {"",
                                            "some avg10=1.00\n",
                                            TEXT("1", "1.00"),
                                            TEXT("1.0", "1.00"),
                                            TEXT("1.000", "1.00"),
                                            TEXT("-1.00", "1.00"),
                                            TEXT("1000.00", "1.00"),
                                            TEXT("1.00", ".00"),
                                            TEXT("", "")};
        PressureReading reading = {1, 2};

        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
                assert_int_equal(pressure_parse(texts[i], &reading), -EBADMSG);
        assert_int_equal(reading.some, 1);
        assert_int_equal(reading.full, 2);
}

static void test_a_fifo_stands_for_the_kernel(void **state) {
        char dir[] = "/tmp/pressure-XXXXXX", path[sizeof(dir) + 8];
        sd_event *event = NULL;
        Pressure *pressure = NULL;
        PressureReading now;
        Heard heard = {0};
        int fd;

        assert_non_null(mkdtemp(dir));
        (void) snprintf(path, sizeof(path), "%s/psi", dir);
        assert_int_equal(mkfifo(path, 0600), 0);
        assert_true(sd_event_new(&event) >= 0);
        assert_int_equal(pressure_new(event, path, on_pressure, &heard, &pressure), 0);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        assert_true(fd >= 0);

        assert_int_equal(fd_write_all(fd, TEXT("5.00", "1.00"), strlen(TEXT("5.00", "1.00"))), 0);
        assert_true(sd_event_run(event, PATIENCE_USEC) > 0);
        assert_int_equal(heard.n, 1);
        assert_int_equal(heard.reading.some, 500);
        assert_int_equal(heard.reading.full, 100);

        /* Nonsense is no news, and nobody's waiting is no pressure. */
        assert_int_equal(fd_write_all(fd, "x", 1), 0);
        assert_true(sd_event_run(event, PATIENCE_USEC) > 0);
        assert_int_equal(fd_write_all(fd, TEXT("0.00", "0.00"), strlen(TEXT("0.00", "0.00"))), 0);
        assert_true(sd_event_run(event, PATIENCE_USEC) > 0);
        assert_int_equal(heard.n, 1);
        assert_int_equal(pressure_read(pressure, &now), 0);
        assert_int_equal(now.some, 0);

        (void) fd_close(fd);
        (void) pressure_free(pressure);
        (void) sd_event_unref(event);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(rmdir(dir), 0);
}

static void test_a_host_that_does_not_tell_is_an_error(void **state) {
        Pressure *pressure = NULL;
        sd_event *event = NULL;

        assert_true(sd_event_new(&event) >= 0);
        assert_int_equal(pressure_new(event, "/nonexistent/memory", on_pressure, NULL, &pressure),
                         -ENOENT);
        assert_null(pressure);
        (void) sd_event_unref(event);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_averages_are_read_in_hundredths),
                cmocka_unit_test(test_other_texts_are_refused),
                cmocka_unit_test(test_a_fifo_stands_for_the_kernel),
                cmocka_unit_test(test_a_host_that_does_not_tell_is_an_error),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
