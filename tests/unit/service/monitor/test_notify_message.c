/* SPDX-License-Identifier: Apache-2.0 */
#include "service/monitor/notify_message.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"

static int parse(const char *text, NotifyMessage *ret) {
        return notify_message_parse(text, strlen(text), ret, NULL);
}

static void test_any_batch_says_that_the_payload_started(void **state) {
        NotifyMessage message;

        assert_int_equal(parse("", &message), 0);
        assert_int_equal(message.stage, NOTIFY_STAGE_STARTED);
        assert_int_equal(parse("X_SYSTEMD_UNIT_ACTIVE=a.service\nFDSTORE=1\nnonsense", &message),
                         0);
        assert_int_equal(message.stage, NOTIFY_STAGE_STARTED);
        assert_false(message.has_status || message.has_exit_status || message.has_error);
}

static void test_systemds_words_are_known(void **state) {
        NotifyMessage message;

        assert_int_equal(parse("READY=1\nSTATUS=Startup finished\n", &message), 0);
        assert_int_equal(message.stage, NOTIFY_STAGE_READY);
        assert_string_equal(message.status, "Startup finished");
        assert_int_equal(parse("EXIT_STATUS=3", &message), 0);
        assert_int_equal(message.stage, NOTIFY_STAGE_FINISHED);
        assert_true(message.has_exit_status);
        assert_int_equal(message.exit_status, 3);
}

static void test_our_words_are_known(void **state) {
        NotifyMessage message;

        assert_int_equal(parse("X_VIVARIUM_STATE=started", &message), 0);
        assert_int_equal(message.stage, NOTIFY_STAGE_STARTED);
        assert_int_equal(parse("X_VIVARIUM_STATE=finished\nX_VIVARIUM_STATE=ready", &message), 0);
        assert_int_equal(message.stage, NOTIFY_STAGE_FINISHED);
        assert_int_equal(parse("X_VIVARIUM_ERROR=7 no disk, no fun", &message), 0);
        assert_int_equal(message.stage, NOTIFY_STAGE_FINISHED);
        assert_int_equal(message.error_code, 7);
        assert_string_equal(message.error_text, "no disk, no fun");
        assert_int_equal(parse("X_VIVARIUM_ERROR=0", &message), 0);
        assert_string_equal(message.error_text, "");
}

static void test_a_value_that_is_none_spoils_the_batch(void **state) {
        static const char *const bad[] = {
                "READY=0",
                "READY=1 ",
                "EXIT_STATUS=",
                "EXIT_STATUS=256",
                "EXIT_STATUS=-1",
                "READY=1\nX_VIVARIUM_STATE=hangup",
                "X_VIVARIUM_ERROR=",
                "X_VIVARIUM_ERROR=x y",
                "X_VIVARIUM_ERROR=99999999999999 y",
                "X_VIVARIUM_ERROR=4294967295 y",
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_(text_error_deinit) TextError error = {0};
                NotifyMessage message;

                assert_int_equal(notify_message_parse(bad[i], strlen(bad[i]), &message, &error),
                                 -EBADMSG);
                assert_non_null(error.message);
        }
}

static void test_the_size_is_bounded(void **state) {
        char text[NOTIFY_BYTES_MAX + 2] = "STATUS=";
        NotifyMessage message;

        memset(text + 7, 'x', sizeof(text) - 8);
        text[NOTIFY_BYTES_MAX] = '\0';
        assert_int_equal(parse(text, &message), 0);
        assert_int_equal(strlen(message.status), NOTIFY_TEXT_MAX);
        text[NOTIFY_BYTES_MAX] = 'x';
        text[NOTIFY_BYTES_MAX + 1] = '\0';
        assert_int_equal(parse(text, &message), -EBADMSG);
        assert_int_equal(notify_message_parse("READY=1\0", 8, &message, NULL), -EBADMSG);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_any_batch_says_that_the_payload_started),
                cmocka_unit_test(test_systemds_words_are_known),
                cmocka_unit_test(test_our_words_are_known),
                cmocka_unit_test(test_a_value_that_is_none_spoils_the_batch),
                cmocka_unit_test(test_the_size_is_bounded),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
