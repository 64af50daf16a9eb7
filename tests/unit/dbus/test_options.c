/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "dbus/client/options.h"
#include "dbus/client/verbs.h"

#define PARSE(error, args, ...) parse((const char *[]){"vivctl", __VA_ARGS__, NULL}, args, error)

static int parse(const char *const *argv, Args *args, TextError *error) {
        int argc = 0;

        while (argv[argc])
                argc++;
        return args_parse(argc, argv, verbs, args, error);
}

static void test_options_may_stand_before_and_behind_the_verb(void **state) {
        _cleanup_(args_deinit) Args args = {0};

        assert_int_equal(PARSE(NULL, &args, "--user", "run", "-m", "64", "a.json", "--json=short",
                               "--cpus=2", "-nx"),
                         0);
        assert_string_equal(args.verb->name, "run");
        assert_int_equal(args.n_operands, 1);
        assert_string_equal(args.operands[0], "a.json");
        assert_true(args_has(&args, OPTION_USER));
        assert_string_equal(args_value(&args, OPTION_MEM), "64");
        assert_string_equal(args_value(&args, OPTION_JSON), "short");
        assert_string_equal(args_value(&args, OPTION_CPUS), "2");
        assert_string_equal(args_value(&args, OPTION_NAME), "x");
        assert_null(args_value(&args, OPTION_LOG));
}

static void test_the_last_value_wins_and_all_are_kept(void **state) {
        _cleanup_(args_deinit) Args args = {0};

        assert_int_equal(PARSE(NULL, &args, "run", "--disk", "a", "--disk=b:ro"), 0);
        assert_int_equal(args_has(&args, OPTION_DISK), 2);
        assert_string_equal(args_value(&args, OPTION_DISK), "b:ro");
        assert_string_equal(args.options[0].value, "a");
}

static void test_double_dash_ends_options_and_a_dash_is_an_operand(void **state) {
        _cleanup_(args_deinit) Args args = {0};

        assert_int_equal(PARSE(NULL, &args, "show", "-", "--", "--json=off", "-x"), 0);
        assert_int_equal(args.n_options, 0);
        assert_int_equal(args.n_operands, 3);
        assert_string_equal(args.operands[0], "-");
        assert_string_equal(args.operands[1], "--json=off");
}

static void test_a_value_may_be_empty_or_look_like_an_option(void **state) {
        _cleanup_(args_deinit) Args args = {0};

        assert_int_equal(PARSE(NULL, &args, "run", "--params=", "--name", "--x"), 0);
        assert_string_equal(args_value(&args, OPTION_PARAMS), "");
        assert_string_equal(args_value(&args, OPTION_NAME), "--x");
}

static void expect_error(const char *const *argv, const char *message) {
        _cleanup_(text_error_deinit) TextError error = {0};
        _cleanup_(args_deinit) Args args = {0};

        assert_int_equal(parse(argv, &args, &error), -EINVAL);
        assert_string_equal(error.message, message);
        assert_null(args.verb);
}

#define EXPECT_ERROR(message, ...)                                                                 \
        expect_error((const char *[]){"vivctl", __VA_ARGS__, NULL}, message)

static void test_mistakes_are_named_with_the_way_out(void **state) {
        EXPECT_ERROR("unknown verb \"lits\"; did you mean \"list\"?", "lits");
        EXPECT_ERROR("unknown verb \"frobnicate\"; see vivctl --help", "frobnicate");
        EXPECT_ERROR("unknown option \"--kernal\"; did you mean --kernel?", "run", "--kernal", "k");
        EXPECT_ERROR("unknown option \"--kernal=k\"; did you mean --kernel?", "run", "--kernal=k");
        EXPECT_ERROR("unknown option \"-z\"; see vivctl list --help", "list", "-z");
        EXPECT_ERROR("unknown option \"--kernel\"; see vivctl --help", "--kernel", "k", "run");
        EXPECT_ERROR("unknown option \"--detach\"; see vivctl create --help", "create", "--detach");
        EXPECT_ERROR("option --detach takes no value", "run", "--detach=yes");
        EXPECT_ERROR("option --mem needs a value: MIB", "run", "--mem");
        EXPECT_ERROR("kill needs an argument: vivctl kill VM...", "kill");
        EXPECT_ERROR("list: unexpected argument \"a\"", "list", "a");
        EXPECT_ERROR("run: unexpected argument \"b.json\"", "run", "a.json", "b.json");
}

static void test_help_needs_no_arguments(void **state) {
        _cleanup_(args_deinit) Args args = {0};

        assert_int_equal(PARSE(NULL, &args, "kill", "--help"), 0);
        assert_true(args_has(&args, OPTION_HELP));
}

static void test_no_verb_has_two_options_of_one_name(void **state) {
        for (const Verb *v = verbs; v->name; v++) {
                const Option *a, *b;

                for (size_t i = 0; (a = verb_option_at(v, i)); i++) {
                        for (const Option *o = global_options; o->name; o++) {
                                assert_string_not_equal(a->name, o->name);
                                assert_true(!a->letter || a->letter != o->letter);
                        }
                        for (size_t j = i + 1; (b = verb_option_at(v, j)); j++) {
                                assert_string_not_equal(a->name, b->name);
                                assert_true(!a->letter || a->letter != b->letter);
                        }
                }
        }
}

/* Reads a file of the source tree; tests run from its top. */
static char *read_source(const char *path) {
        FILE *file = fopen(path, "re");
        char *text;
        size_t n;

        assert_non_null(file);
        text = calloc(1, 1 << 20);
        assert_non_null(text);
        n = fread(text, 1, (1 << 20) - 1, file);
        assert_true(n > 0);
        assert_int_equal(fclose(file), 0);
        return text;
}

static void expect_documented(const char *path, const char *prefix, const char *name) {
        _cleanup_(freep) char *text = read_source(path);
        char word[64];

        (void) snprintf(word, sizeof(word), "%s%s", prefix, name);
        if (!strstr(text, word))
                fail_msg("%s does not mention %s", path, word);
}

static void expect_everywhere(const Option *option) {
        char escaped[64] = "";
        size_t n = 0;

        /* Manual pages write a dash as \-. */
        for (const char *p = option->name; *p; p++) {
                if (*p == '-')
                        escaped[n++] = '\\';
                escaped[n++] = *p;
        }
        escaped[n] = '\0';
        expect_documented("docs/man/vivctl.1", "\\-\\-", escaped);
        expect_documented("dbus/client/completion/vivctl", "--", option->name);
        expect_documented("dbus/client/completion/_vivctl", "--", option->name);
}

static void test_manual_and_completions_know_every_verb_and_option(void **state) {
        const Option *o;

        for (o = global_options; o->name; o++)
                expect_everywhere(o);
        for (const Verb *v = verbs; v->name; v++) {
                char escaped[32] = "";

                for (const char *p = v->name; *p; p++)
                        (void) snprintf(escaped + strlen(escaped),
                                        sizeof(escaped) - strlen(escaped), "%s%c",
                                        *p == '-' ? "\\" : "", *p);
                expect_documented("docs/man/vivctl.1", "\\fB", escaped);
                expect_documented("dbus/client/completion/vivctl", "", v->name);
                expect_documented("dbus/client/completion/_vivctl", "'", v->name);
                for (size_t i = 0; (o = verb_option_at(v, i)); i++)
                        expect_everywhere(o);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_options_may_stand_before_and_behind_the_verb),
                cmocka_unit_test(test_the_last_value_wins_and_all_are_kept),
                cmocka_unit_test(test_double_dash_ends_options_and_a_dash_is_an_operand),
                cmocka_unit_test(test_a_value_may_be_empty_or_look_like_an_option),
                cmocka_unit_test(test_mistakes_are_named_with_the_way_out),
                cmocka_unit_test(test_help_needs_no_arguments),
                cmocka_unit_test(test_no_verb_has_two_options_of_one_name),
                cmocka_unit_test(test_manual_and_completions_know_every_verb_and_option),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
