/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/socket.h>

#include "dbus/client/value_bus.h"
#include "dbus/client/value_json.h"

/* Two ends of one connection: messages need one to exist, and to be sealed by being sent. */
typedef struct Pair {
        sd_bus *left, *right;
} Pair;

static int make_pair(void **state) {
        static Pair pair;
        sd_id128_t id = SD_ID128_NULL;
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
                         0);
        assert_true(sd_bus_new(&pair.left) >= 0);
        assert_true(sd_bus_set_fd(pair.left, fds[0], fds[0]) >= 0);
        assert_true(sd_bus_set_server(pair.left, 1, id) >= 0);
        assert_true(sd_bus_set_anonymous(pair.left, 1) >= 0);
        assert_true(sd_bus_start(pair.left) >= 0);
        assert_true(sd_bus_new(&pair.right) >= 0);
        assert_true(sd_bus_set_fd(pair.right, fds[1], fds[1]) >= 0);
        assert_true(sd_bus_set_anonymous(pair.right, 1) >= 0);
        assert_true(sd_bus_start(pair.right) >= 0);
        *state = &pair;
        return 0;
}

static int close_pair(void **state) {
        Pair *pair = *state;

        sd_bus_close_unref(pair->left);
        sd_bus_close_unref(pair->right);
        return 0;
}

/* The JSON of what value_read() makes of @types and the arguments behind it. */
#define EXPECT_JSON(state, json, types, ...)                                                       \
        do {                                                                                       \
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = new_message(*(state));        \
                                                                                                   \
                assert_true(sd_bus_message_append(m, types, __VA_ARGS__) >= 0);                    \
                expect_json(m, json);                                                              \
        } while (0)

static sd_bus_message *new_message(const Pair *pair) {
        sd_bus_message *message = NULL;

        assert_true(sd_bus_message_new_signal(pair->left, &message, "/a", "a.b", "C") >= 0);
        return message;
}

static void expect_json(sd_bus_message *message, const char *json) {
        _cleanup_(value_freep) Value *value = NULL;
        _cleanup_(strbuf_deinit) StrBuf out = {0};

        assert_true(sd_bus_message_seal(message, 1, 0) >= 0);
        assert_int_equal(value_read(message, &value), 0);
        value_json(value, false, &out);
        assert_string_equal(out.data, json);
        assert_int_equal(sd_bus_message_at_end(message, 1), 1);
}

static void test_basic_types_keep_their_value(void **state) {
        EXPECT_JSON(state, "255", "y", 255);
        EXPECT_JSON(state, "true", "b", 1);
        EXPECT_JSON(state, "-32768", "n", INT16_MIN);
        EXPECT_JSON(state, "65535", "q", UINT16_MAX);
        EXPECT_JSON(state, "-2147483648", "i", INT32_MIN);
        EXPECT_JSON(state, "4294967295", "u", UINT32_MAX);
        EXPECT_JSON(state, "-9223372036854775808", "x", INT64_MIN);
        EXPECT_JSON(state, "18446744073709551615", "t", UINT64_MAX);
        EXPECT_JSON(state, "1.5", "d", 1.5);
        EXPECT_JSON(state, "\"text\"", "s", "text");
        EXPECT_JSON(state, "\"/a/b\"", "o", "/a/b");
        EXPECT_JSON(state, "\"a{sv}\"", "g", "a{sv}");
}

static void test_containers_become_arrays_and_objects(void **state) {
        EXPECT_JSON(state, "[[\"a\",2048,\"/x\"],[\"b\",2049,\"/y\"]]", "a(suo)", 2, "a", 2048u,
                    "/x", "b", 2049u, "/y");
        EXPECT_JSON(state, "{\"kvm\":{\"available\":true,\"reason\":\"\"},\"soft\":{}}",
                    "a{sa{sv}}", 2, "kvm", 2, "available", "b", 1, "reason", "s", "", "soft", 0);
        EXPECT_JSON(state, "[]", "as", 0);
        EXPECT_JSON(state, "{}", "a{sv}", 0);
        EXPECT_JSON(state, "{\"v\":[1]}", "a{sv}", 1, "v", "v", "au", 1, 1u);
}

static void test_bytes_are_text(void **state) {
        EXPECT_JSON(state, "{\"tail\":\"ok\\n\xef\xbf\xbd\"}", "a{sv}", 1, "tail", "ay", 4, 'o',
                    'k', '\n', 0xff);
}

static void test_what_has_no_json_is_refused(void **state) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *message = new_message(*state);
        Value *value = NULL;

        assert_true(sd_bus_message_append(message, "a{us}", 1, 1u, "x") >= 0);
        assert_true(sd_bus_message_seal(message, 1, 0) >= 0);
        assert_int_equal(value_read(message, &value), -EOPNOTSUPP);
        assert_null(value);
}

static void test_the_end_of_a_message_is_told(void **state) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *message = new_message(*state);
        Value *value = NULL;

        assert_true(sd_bus_message_seal(message, 1, 0) >= 0);
        assert_int_equal(value_read(message, &value), -ENXIO);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_basic_types_keep_their_value),
                cmocka_unit_test(test_containers_become_arrays_and_objects),
                cmocka_unit_test(test_bytes_are_text),
                cmocka_unit_test(test_what_has_no_json_is_refused),
                cmocka_unit_test(test_the_end_of_a_message_is_told),
        };

        return cmocka_run_group_tests(tests, make_pair, close_pair);
}
