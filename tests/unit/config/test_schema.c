/* SPDX-License-Identifier: Apache-2.0 */
/* The published schema against the parser: the same keys, the same bounds; and the examples against the parser. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <glob.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "config/vm_config_json.h"

#define SCHEMA "config/schema/vm-config.schema.json"
#define EXAMPLES "config/examples/*.json"

static struct json_object *get(struct json_object *object, const char *key) {
        struct json_object *value = NULL;

        (void) json_object_object_get_ex(object, key, &value);
        return value;
}

static int load_schema(void **state) {
        *state = json_object_from_file(SCHEMA);
        return *state ? 0 : -1;
}

static int drop_schema(void **state) {
        (void) json_object_put(*state);
        return 0;
}

static void assert_same_keys(struct json_object *object_schema, const JsonField *fields, size_t n) {
        struct json_object *properties = get(object_schema, "properties");

        assert_non_null(properties);
        assert_false(json_object_get_boolean(get(object_schema, "additionalProperties")));
        assert_int_equal(json_object_object_length(properties), n);
        for (size_t i = 0; i < n; i++)
                if (!get(properties, fields[i].key))
                        fail_msg("the schema has no key %s", fields[i].key);
}

static void test_schema_and_parser_know_the_same_keys(void **state) {
        struct json_object *defs = get(*state, "$defs");

        assert_same_keys(*state, vm_config_fields, vm_config_n_fields);
        assert_same_keys(get(defs, "disk"), vm_disk_fields, vm_disk_n_fields);
        assert_same_keys(get(defs, "partition"), vm_partition_fields, vm_partition_n_fields);
        assert_same_keys(get(get(*state, "properties"), "limits"), vm_limits_fields,
                         vm_limits_n_fields);
        assert_same_keys(get(defs, "network"), vm_network_fields, vm_network_n_fields);
        assert_same_keys(get(defs, "share"), vm_share_fields, vm_share_n_fields);
}

static int parse(const char *text) {
        VmConfig config;
        int r = vm_config_parse(text, &config, NULL);

        if (r == 0)
                vm_config_deinit(&config);
        return r;
}

/* A config whose member @key is @value, and which is otherwise fine. */
static int parse_member(const char *key, const char *value) {
        _cleanup_(strbuf_deinit) StrBuf text = {0};

        strbuf_printf(&text, "{\"%s\":%s", key, value);
        if (!str_eq(key, "kernel"))
                strbuf_append(&text, ",\"kernel\":\"fd:k\"");
        if (str_eq(key, "gdb_port"))
                strbuf_append(&text, ",\"debug_level\":\"full\"");
        strbuf_append(&text, "}");
        return parse(text.data);
}

static void assert_accepts(const char *key, const char *value, bool accepted) {
        int r = parse_member(key, value);

        if (r != (accepted ? 0 : -EINVAL))
                fail_msg("%s: %s gave %d, but by the schema it is %s", key, value, r,
                         accepted ? "fine" : "wrong");
}

static void assert_accepts_number(const char *key, int64_t n, bool accepted) {
        char text[32];

        (void) snprintf(text, sizeof(text), "%" PRId64, n);
        assert_accepts(key, text, accepted);
}

static void check_range(const char *key, struct json_object *property) {
        int64_t min = json_object_get_int64(get(property, "minimum"));
        int64_t max = json_object_get_int64(get(property, "maximum"));

        assert_accepts_number(key, min, true);
        assert_accepts_number(key, min - 1, false);
        assert_accepts_number(key, max, true);
        assert_accepts_number(key, max + 1, false);
}

static void check_length(const char *key, struct json_object *property) {
        size_t max = json_object_get_uint64(get(property, "maxLength"));
        bool empty_is_fine = !get(property, "minLength");
        _cleanup_(freep) char *text = malloc(max + 4);

        assert_non_null(text);
        memset(text, 'x', max + 3);
        text[0] = text[max + 1] = '"';
        text[max + 2] = '\0';
        assert_accepts(key, text, true);
        text[max + 1] = 'x';
        text[max + 2] = '"';
        text[max + 3] = '\0';
        assert_accepts(key, text, false);
        assert_accepts(key, "\"\"", empty_is_fine);
}

/* Every JSON type there is; a property accepts those of its own type, or its one constant, and nothing else. */
static void check_types(const char *key, struct json_object *property) {
        static const struct {
                const char *type, *value;
        } samples[] = {
                {"null", "null"}, {"boolean", "true"},     {"boolean", "false"}, {"number", "0.5"},
                {"integer", "0"}, {"string", "\"\""},      {"array", "[]"},      {"array", "[1]"},
                {"object", "{}"}, {"object", "{\"a\":1}"},
        };
        struct json_object *type = get(property, "type"), *constant = get(property, "const");
        const char *wanted = type ? json_object_to_json_string(type) : NULL;

        for (size_t i = 0; i < ELEMENTSOF(samples); i++) {
                if (constant)
                        assert_accepts(
                                key, samples[i].value,
                                str_eq(json_object_to_json_string(constant), samples[i].value));
                else if (!wanted || !strstr(wanted, samples[i].type))
                        assert_accepts(key, samples[i].value, false);
        }
        if (wanted && str_eq(wanted, "\"null\""))
                assert_accepts(key, "null", true);
}

static void check_property(const char *key, struct json_object *property) {
        struct json_object *choices = get(property, "enum");

        check_types(key, property);
        if (get(property, "minimum"))
                check_range(key, property);
        if (get(property, "maxLength"))
                check_length(key, property);
        for (size_t i = 0; choices && i < json_object_array_length(choices); i++)
                assert_accepts(key,
                               json_object_to_json_string(json_object_array_get_idx(choices, i)),
                               true);
        if (choices)
                assert_accepts(key, "\"no such choice\"", false);
        if (get(property, "default"))
                assert_accepts(key, json_object_to_json_string(get(property, "default")), true);
        if (get(property, "maxItems") && json_object_get_int(get(property, "maxItems")) == 0)
                assert_accepts(key, "[]", true);
}

static void test_types_bounds_and_choices_are_the_parsers(void **state) {
        json_object_object_foreach(get(*state, "properties"), key, property) {
                check_property(key, property);
        }
}

/* The parser's default is what the schema says: the normalised form of the minimal config has it. */
static void test_defaults_are_the_parsers(void **state) {
        _cleanup_(vm_config_deinit) VmConfig config = {0};
        struct json_object *normal;
        unsigned n = 0;

        assert_int_equal(vm_config_parse("{\"kernel\":\"fd:k\"}", &config, NULL), 0);
        assert_int_equal(vm_config_build(&config, &normal), 0);
        json_object_object_foreach(normal, key, value) {
                struct json_object *property = get(get(*state, "properties"), key);

                assert_non_null(property);
                if (!get(property, "default"))
                        continue;
                assert_string_equal(json_object_to_json_string(value),
                                    json_object_to_json_string(get(property, "default")));
                n++;
        }
        assert_true(n >= 5);
        (void) json_object_put(normal);
}

static void test_list_lengths_are_the_parsers(void **state) {
        struct json_object *defs = get(*state, "$defs");
        struct json_object *partitions = get(get(get(defs, "disk"), "properties"), "partitions");

        assert_int_equal(
                json_object_get_int(get(get(get(*state, "properties"), "disks"), "maxItems")),
                VM_DISKS_MAX);
        assert_int_equal(json_object_get_int(get(partitions, "maxItems")), VM_PARTITIONS_MAX);
        assert_int_equal(json_object_get_int(
                                 get(get(get(*state, "properties"), "shared_paths"), "maxItems")),
                         VM_SHARES_MAX);
}

static void assert_accepts_limit(const char *key, int64_t n, bool accepted) {
        char text[80];

        (void) snprintf(text, sizeof(text), "{\"%s\":%" PRId64 "}", key, n);
        assert_accepts("limits", text, accepted);
}

static void test_bounds_of_limits_are_the_parsers(void **state) {
        struct json_object *limits = get(get(*state, "properties"), "limits");

        json_object_object_foreach(get(limits, "properties"), key, property) {
                int64_t min = json_object_get_int64(get(property, "minimum"));
                int64_t max = json_object_get_int64(get(property, "maximum"));

                assert_accepts_limit(key, min, true);
                assert_accepts_limit(key, min - 1, false);
                assert_accepts_limit(key, max, true);
                assert_accepts_limit(key, max + 1, false);
        }
}

static void test_every_example_is_accepted_and_normalises(void **state) {
        glob_t found;

        assert_int_equal(glob(EXAMPLES, 0, NULL, &found), 0);
        assert_true(found.gl_pathc >= 5);
        for (size_t i = 0; i < found.gl_pathc; i++) {
                _cleanup_(text_error_deinit) TextError error = {0};
                _cleanup_(vm_config_deinit) VmConfig config = {0};
                _cleanup_(freep) char *text = NULL, *normal = NULL;
                FILE *file = fopen(found.gl_pathv[i], "r");

                assert_non_null(file);
                assert_int_equal(fd_read_bounded(fileno(file), VM_CONFIG_JSON_MAX, &text, NULL), 0);
                assert_int_equal(fclose(file), 0);
                if (vm_config_parse(text, &config, &error) < 0)
                        fail_msg("%s: %s", found.gl_pathv[i], error.message);
                assert_int_equal(vm_config_to_json(&config, &normal), 0);
                assert_int_equal(parse(normal), 0);
        }
        globfree(&found);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_schema_and_parser_know_the_same_keys),
                cmocka_unit_test(test_types_bounds_and_choices_are_the_parsers),
                cmocka_unit_test(test_defaults_are_the_parsers),
                cmocka_unit_test(test_list_lengths_are_the_parsers),
                cmocka_unit_test(test_bounds_of_limits_are_the_parsers),
                cmocka_unit_test(test_every_example_is_accepted_and_normalises),
        };

        return cmocka_run_group_tests(tests, load_schema, drop_schema);
}
