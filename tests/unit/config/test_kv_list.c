/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/kv_list.h"

typedef struct Values {
        char *name; /* owned */
        uint64_t n;
        bool on;
        StrVec words;
} Values;

static int set_name(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_string(item, &((Values *) object)->name, reterr);
}

static int set_n(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_u64(item, 2, 9, &((Values *) object)->n, reterr);
}

static int set_on(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_bool(item, &((Values *) object)->on, reterr);
}

static int set_words(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_strings(item, 3, &((Values *) object)->words, reterr);
}

static const KvField fields[] = {{"name", set_name},
                                 {"some-number", set_n},
                                 {"on", set_on},
                                 {"later", NULL},
                                 {"words", set_words, KV_LIST | KV_REPEATABLE}};

static int apply(const char *text, Values *values, TextError *reterr) {
        return kv_apply(text, "name", fields, ELEMENTSOF(fields), values, reterr);
}

static void assert_values(const char *text, const char *name, uint64_t n, bool on) {
        _cleanup_(text_error_deinit) TextError error = {0};
        Values values = {0};

        if (apply(text, &values, &error) < 0)
                fail_msg("%s: %s", text, error.message);
        assert_string_equal(values.name ?: "", name);
        assert_int_equal(values.n, n);
        assert_int_equal(values.on, on);
        free(values.name);
}

static void assert_message(const char *text, const char *message) {
        _cleanup_(text_error_deinit) TextError error = {0};
        Values values = {0};

        assert_int_equal(apply(text, &values, &error), -EINVAL);
        assert_string_equal(error.message, message);
        strvec_deinit(&values.words);
        free(values.name);
}

static void test_items_keys_and_quotes_are_understood(void **state) {
        assert_values("a", "a", 0, false);
        assert_values("name=a,on", "a", 0, true);
        assert_values("a,on=false,some_number=3", "a", 3, false);
        assert_values("some-number=0x5,on=true", "", 5, true);
        assert_values("name=\"a,b=[c]\\\"\\\\d\"", "a,b=[c]\"\\d", 0, false);
        assert_values("'it\\'s'", "it's", 0, false);
        assert_values("name=a b", "a b", 0, false);
}

static void test_a_list_is_taken_apart_and_may_come_again(void **state) {
        Values values = {0};

        assert_int_equal(apply("a,words=[x,'y,z'],words=w", &values, NULL), 0);
        assert_int_equal(values.words.n, 3);
        assert_string_equal(values.words.items[1], "y,z");
        assert_string_equal(values.words.items[2], "w");
        strvec_deinit(&values.words);
        free(values.name);
}

static void test_mistakes_name_the_key(void **state) {
        assert_message("words=[a,b", "words: the bracket [ is not closed");
        assert_message("words=[]", "words: a key or value is missing before ]");
        assert_message("words=[a,[b]]", "words: a key or value is missing before [");
        assert_message("words=[a=b]", "words: expected [A,B,...], not '[a=b]'");
        assert_message("words=[1,2,3,4]", "words: more than 3 are given");
        assert_message("", "a key or value is missing before the end");
        assert_message("=a", "a key or value is missing before =");
        assert_message("a,on=", "on: a key or value is missing before the end");
        assert_message("a,on=maybe", "on: expected true or false, not 'maybe'");
        assert_message("a,some-number", "some-number: a number is missing");
        assert_message("a,some-number=1", "some-number: expected a number from 2 to 9, not '1'");
        assert_message("a,on,on", "on: given twice");
        assert_message("a,later=5", "later: not supported by this version");
        assert_message("a,never", "never: unknown key");
        assert_message("on=[a,[b]]", "on: a list is not accepted here");
        assert_message("later=[a,[b]]", "later: not supported by this version");
        assert_message("on=[a", "on: the bracket [ is not closed");
        assert_message("name='a'b", "name: 'b' is not expected here; quote a value that has it");
        assert_message("name='a", "name: the quote ' is not closed");
        assert_message("name='a\\", "name: the quote ' is not closed");
}

static void test_what_is_appended_is_read_again(void **state) {
        static const char *const texts[] = {"plain", "a,b", "a=b",  "[x]",
                                            "q\"q",  "q'q", "b\\s", " "};

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                _cleanup_(strbuf_deinit) StrBuf buf = {0};

                kv_append(&buf, "name", texts[i]);
                kv_append_flag(&buf, "on");
                assert_values(buf.data, texts[i], 0, true);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_list_is_taken_apart_and_may_come_again),
                cmocka_unit_test(test_items_keys_and_quotes_are_understood),
                cmocka_unit_test(test_mistakes_name_the_key),
                cmocka_unit_test(test_what_is_appended_is_read_again),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
