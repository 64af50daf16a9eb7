/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "service/monitor/line_log.h"

/* What was told: each line behind a letter for its kind. */
typedef struct Told {
        LineLog log;
        RateLimit shared;
        StrBuf text;
        unsigned n;
        bool full; /* the journal takes nothing */
} Told;

static bool take(void *userdata, LineKind kind, const char *line) {
        static const char letters[] = {[LINE_WHOLE] = 'w',
                                       [LINE_CUT] = 'c',
                                       [LINE_UNFINISHED] = 'u',
                                       [LINE_SUPPRESSED] = 's'};
        Told *told = userdata;

        if (told->full)
                return false;
        told->n++;
        strbuf_printf(&told->text, "%c:%s|", letters[kind], line);
        return true;
}

static void told_init(Told *told) {
        *told = (Told){.shared = {.interval_usec = LINE_LOG_WINDOW_USEC, .burst = 100000}};
        line_log_init(&told->log, &told->shared, take, told);
}

static void told_deinit(Told *told) {
        strbuf_deinit(&told->text);
}

static void assert_told(const char *bytes, size_t len, const char *expected) {
        /* However the bytes arrive. */
        for (size_t step = 1; step <= len + 1; step++) {
                _cleanup_(told_deinit) Told told;

                told_init(&told);
                for (size_t i = 0; i < len; i += step)
                        line_log_feed(&told.log, bytes + i, MIN(step, len - i), 1);
                line_log_end(&told.log, 1);
                assert_string_equal(told.text.data ? told.text.data : "", expected);
        }
}

#define ASSERT_TOLD(bytes, expected) assert_told(bytes, sizeof(bytes) - 1, expected)

static void test_lines_end_at_newlines_and_carriage_returns_and_empty_ones_are_none(void **state) {
        ASSERT_TOLD("", "");
        ASSERT_TOLD("one\r\ntwo\n\n\r\nthree", "w:one|w:two|u:three|");
        ASSERT_TOLD("10%\r20%\rdone\n", "w:10%|w:20%|w:done|");
}

static void test_what_no_log_may_hold_is_replaced(void **state) {
        ASSERT_TOLD("a\0b\x01\x7f\tc\n", "w:a?b??\tc|");
        ASSERT_TOLD("\xff\xfe caf\xc3\xa9 \xc3\n",
                    "w:\xef\xbf\xbd\xef\xbf\xbd caf\xc3\xa9 \xef\xbf\xbd|");
        /* U+009B, which a terminal takes for the start of a sequence */
        ASSERT_TOLD("\xc2\x9b"
                    "31m\n",
                    "w:?31m|");
}

static void test_terminal_sequences_are_no_text(void **state) {
        ASSERT_TOLD("[\x1b[0;1;32m  OK  \x1b[0m] up\n", "w:[  OK  ] up|");
        ASSERT_TOLD("\x1b]0;title\x07prompt\x1b(B$ \x1b=\n", "w:prompt$ |");
        ASSERT_TOLD("\x1b]2;x\x1b\\after\n\x1b[2J\x1b[H\n", "w:after|");
        ASSERT_TOLD("cut \x1b[38;5\nnext\n", "w:cut |w:next|");
        ASSERT_TOLD("\x1b", "");
}

static void test_a_long_line_is_cut_but_no_character(void **state) {
        _cleanup_(told_deinit) Told told;
        char line[LINE_LOG_BYTES_MAX + 8], *bar;

        memset(line, 'x', sizeof(line));
        memcpy(line + LINE_LOG_BYTES_MAX - 1, "\xe2\x82\xac", 3);
        told_init(&told);
        line_log_feed(&told.log, line, sizeof(line), 1);
        line_log_feed(&told.log, "\n", 1, 1);
        assert_int_equal(told.n, 2);
        bar = strchr(told.text.data, '|');
        assert_int_equal(bar - told.text.data, 2 + LINE_LOG_BYTES_MAX - 1);
        assert_memory_equal(told.text.data, "c:xx", 4);
        assert_string_equal(bar, "|w:\xe2\x82\xacxxxxxx|");
}

static void test_a_long_line_without_characters_is_cut_all_the_same(void **state) {
        static char garbage[10 * LINE_LOG_BYTES_MAX];

        for (int fill = 0x80; fill < 0x100; fill += 0x20) {
                _cleanup_(told_deinit) Told told;

                memset(garbage, fill, sizeof(garbage));
                told_init(&told);
                line_log_feed(&told.log, garbage, sizeof(garbage), 1);
                line_log_end(&told.log, 1);
                assert_in_range(told.n, 10, 11);
        }
}

static void feed_lines(Told *told, unsigned n, usec_t now_usec) {
        for (unsigned i = 0; i < n; i++)
                line_log_feed(&told->log, "x\n", 2, now_usec);
}

static void test_a_flood_is_suppressed_and_its_size_is_told(void **state) {
        _cleanup_(told_deinit) Told told;

        told_init(&told);
        feed_lines(&told, LINE_LOG_LINES_MAX + 70, 1);
        assert_int_equal(told.n, LINE_LOG_LINES_MAX);
        strbuf_deinit(&told.text);
        told.text = (StrBuf){0};
        feed_lines(&told, 1, 1 + LINE_LOG_WINDOW_USEC);
        assert_string_equal(told.text.data, "s:70 lines suppressed|w:x|");
}

static void test_the_end_tells_of_suppressed_lines_too(void **state) {
        _cleanup_(told_deinit) Told told;

        told_init(&told);
        feed_lines(&told, LINE_LOG_LINES_MAX + 1, 1);
        line_log_end(&told.log, 1);
        assert_non_null(strstr(told.text.data, "s:1 lines suppressed|"));
}

static void test_one_stream_cannot_use_up_what_all_share(void **state) {
        _cleanup_(told_deinit) Told told;

        told_init(&told);
        told.shared.burst = LINE_LOG_LINES_MAX + 5;
        feed_lines(&told, 10 * LINE_LOG_LINES_MAX, 1);
        assert_int_equal(told.shared.used, LINE_LOG_LINES_MAX);
        assert_int_equal(told.shared.dropped, 0);
}

static void test_lines_that_the_journal_does_not_take_are_counted(void **state) {
        _cleanup_(told_deinit) Told told;

        told_init(&told);
        told.full = true;
        feed_lines(&told, 3, 1);
        told.full = false;
        feed_lines(&told, 1, 1);
        assert_string_equal(told.text.data, "s:3 lines suppressed|w:x|");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(
                        test_lines_end_at_newlines_and_carriage_returns_and_empty_ones_are_none),
                cmocka_unit_test(test_what_no_log_may_hold_is_replaced),
                cmocka_unit_test(test_terminal_sequences_are_no_text),
                cmocka_unit_test(test_a_long_line_is_cut_but_no_character),
                cmocka_unit_test(test_a_long_line_without_characters_is_cut_all_the_same),
                cmocka_unit_test(test_a_flood_is_suppressed_and_its_size_is_told),
                cmocka_unit_test(test_the_end_tells_of_suppressed_lines_too),
                cmocka_unit_test(test_one_stream_cannot_use_up_what_all_share),
                cmocka_unit_test(test_lines_that_the_journal_does_not_take_are_counted),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
