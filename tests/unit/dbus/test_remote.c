/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dbus/client/gdb_command.h"
#include "dbus/client/remote.h"
#include "dbus/client/verbs.h"

static void expect(const char *const *arguments, bool terminal, const char *const *expected) {
        _cleanup_(args_deinit) Args args = {0};
        _cleanup_(strvec_deinit) StrVec words = {0};
        Client client;
        int n = 0;

        while (arguments[n])
                n++;
        assert_int_equal(args_parse(n, arguments, verbs, &args, NULL), 0);
        assert_int_equal(client_init(&client, &args, NULL), 0);
        assert_int_equal(remote_command(&client, &args, terminal, &words), 0);
        for (size_t i = 0; expected[i]; i++) {
                assert_true(i < words.n);
                assert_string_equal(words.items[i], expected[i]);
        }
        assert_null(words.items[words.n]);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_the_verb_is_run_there_with_its_own_options(void **state) {
        expect(WORDS("vivctl", "-H", "root@far", "--json=short", "log", "-f", "web"), false,
               WORDS("ssh", "-T", "--", "root@far", "vivctl log '--follow' -- 'web'"));
        expect(WORDS("vivctl", "--host=far", "console"), true,
               WORDS("ssh", "-t", "--", "far", "vivctl console --"));
}

static void test_no_word_means_anything_to_the_shell_there(void **state) {
        expect(WORDS("vivctl", "-H", "-oProxyCommand=x", "connect", "it's; rm -rf \"$HOME\" `x`",
                     "1"),
               false,
               WORDS("ssh", "-T", "--", "-oProxyCommand=x",
                     "vivctl connect -- 'it'\\''s; rm -rf \"$HOME\" `x`' '1'"));
}

static void test_gdb_is_told_to_start_this_vivctl(void **state) {
        static const char *const argv[] = {
                "vivctl", "--address=unix:path=/x y", "gdb", "it's", "--", "-nx"};
        _cleanup_(args_deinit) Args args = {0};
        _cleanup_(strvec_deinit) StrVec words = {0};
        Client client;

        assert_int_equal(args_parse(ELEMENTSOF(argv), argv, verbs, &args, NULL), 0);
        assert_int_equal(client_init(&client, &args, NULL), 0);
        assert_int_equal(gdb_command(&client, "/opt/my vivctl", &args, &words), 0);
        assert_int_equal(words.n, 4);
        assert_string_equal(words.items[0], "gdb");
        assert_string_equal(words.items[3], "-nx");
        assert_string_equal(words.items[1], "-ex");
        assert_string_equal(words.items[2],
                            "target remote | '/opt/my vivctl' '--address=unix:path=/x y' gdb "
                            "--stdio -- 'it'\\''s'");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_verb_is_run_there_with_its_own_options),
                cmocka_unit_test(test_gdb_is_told_to_start_this_vivctl),
                cmocka_unit_test(test_no_word_means_anything_to_the_shell_there),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
