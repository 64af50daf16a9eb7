/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "config/vm_config.h"
#include "config/vm_config_files.h"

/* Notes every call as one line "json_path fd_name path r|w". */
static int note_file(void *userdata, const char *json_path, const char *fd_name, const char *path,
                     VmFileKind kind, TextError *reterr) {
        strbuf_printf(userdata, "%s %s %s %s\n", json_path, fd_name, path,
                      kind == VM_FILE_WRITE ? "w" : "r");
        if (str_eq(path, "missing"))
                return text_error_set(reterr, -ENOENT, "%s: no such file", json_path);
        return 0;
}

static void test_every_path_is_handed_out_and_replaced(void **state) {
        _cleanup_(vm_draft_freep) VmDraft *draft = NULL;
        _cleanup_(strbuf_deinit) StrBuf calls = {0};
        _cleanup_(freep) char *json = NULL;
        const char *text = "{\"initrd\":\"i.img\",\"kernel\":\"/boot/k\",\"x\":1,\"disks\":["
                           "{\"image\":\"a.img\",\"writable\":true},"
                           "{\"partitions\":[{\"label\":\"l\",\"path\":\"p0\"},"
                           "{\"label\":\"m\",\"path\":\"p1\",\"writable\":true}],"
                           "\"writable\":true},{\"image\":\"b\",\"writable\":false}]}";

        assert_int_equal(vm_draft_new(text, &draft, NULL), 0);
        assert_int_equal(vm_draft_take_files(draft, note_file, &calls, NULL), 0);
        assert_string_equal(calls.data, "kernel kernel /boot/k r\n"
                                        "initrd initrd i.img r\n"
                                        "disks[0].image disk0 a.img w\n"
                                        "disks[1].partitions[0].path disk1-part0 p0 r\n"
                                        "disks[1].partitions[1].path disk1-part1 p1 w\n"
                                        "disks[2].image disk2 b r\n");
        assert_int_equal(vm_draft_to_json(draft, false, &json), 0);
        assert_string_equal(json,
                            "{\"initrd\":\"fd:initrd\",\"kernel\":\"fd:kernel\",\"x\":1,\"disks\":["
                            "{\"image\":\"fd:disk0\",\"writable\":true},"
                            "{\"partitions\":[{\"label\":\"l\",\"path\":\"fd:disk1-part0\"},"
                            "{\"label\":\"m\",\"path\":\"fd:disk1-part1\",\"writable\":true}],"
                            "\"writable\":true},{\"image\":\"fd:disk2\",\"writable\":false}]}");
}

static void test_a_failed_open_ends_the_walk_with_its_sentence(void **state) {
        _cleanup_(vm_draft_freep) VmDraft *draft = NULL;
        _cleanup_(strbuf_deinit) StrBuf calls = {0};
        _cleanup_(text_error_deinit) TextError error = {0};

        assert_int_equal(vm_draft_new("{\"kernel\":\"missing\",\"initrd\":\"i\"}", &draft, NULL),
                         0);
        assert_int_equal(vm_draft_take_files(draft, note_file, &calls, &error), -ENOENT);
        assert_string_equal(error.message, "kernel: no such file");
        assert_string_equal(calls.data, "kernel kernel missing r\n");
}

static void test_members_that_are_no_paths_are_refused_by_json_path(void **state) {
        static const struct {
                const char *json, *message;
        } cases[] = {
                {"{\"kernel\":1}", "kernel: expected the path of a file"},
                {"{\"kernel\":\"\"}", "kernel: expected the path of a file"},
                {"{\"disks\":[{\"image\":[]}]}", "disks[0].image: expected the path of a file"},
                {"{\"kernel\":\"fd:k\"}",
                 "kernel: \"fd:k\" names a descriptor; expected the path of a file (\"./fd:k\" for "
                 "a file of that name)"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(vm_draft_freep) VmDraft *draft = NULL;
                _cleanup_(strbuf_deinit) StrBuf calls = {0};
                _cleanup_(text_error_deinit) TextError error = {0};

                assert_int_equal(vm_draft_new(cases[i].json, &draft, &error), 0);
                assert_int_equal(vm_draft_take_files(draft, note_file, &calls, &error), -EINVAL);
                assert_string_equal(error.message, cases[i].message);
                assert_null(calls.data);
        }
}

static void test_shapes_the_service_will_refuse_are_left_to_it(void **state) {
        static const char *const texts[] = {
                "{\"disks\":{}}",
                "{\"disks\":[1,null,\"x\"]}",
                "{\"disks\":[{\"partitions\":3}]}",
                "{\"disks\":[{\"partitions\":[3]}]}",
                "{\"kernel\":null}",
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                _cleanup_(vm_draft_freep) VmDraft *draft = NULL;
                _cleanup_(freep) char *json = NULL;

                assert_int_equal(vm_draft_new(texts[i], &draft, NULL), 0);
                assert_int_equal(vm_draft_take_files(draft, note_file, NULL, NULL), 0);
                assert_int_equal(vm_draft_to_json(draft, false, &json), 0);
                assert_string_equal(json, texts[i]);
        }
}

static void test_bad_json_is_refused_with_its_line(void **state) {
        static const struct {
                const char *json, *message;
        } cases[] = {
                {"{\n\"a\": 1,\n oops}", "config: line 3 column 2: "},
                {"{\n\"a\": 1", "config: line 2 column 7: "},
                {"{\"a\": 1, \"a\": 2}", "a: line 1 column "},
                {"{\"kernel\": \"a\\u0000b\"}", "kernel: line 1 column "},
                {"", "config: line 1 column 1: "},
                {"[]", "config: expected an object"},
                {"{} x", "config: line 1 column 4: "},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(vm_draft_freep) VmDraft *draft = NULL;
                _cleanup_(text_error_deinit) TextError error = {0};

                assert_int_equal(vm_draft_new(cases[i].json, &draft, &error), -EINVAL);
                assert_memory_equal(error.message, cases[i].message, strlen(cases[i].message));
                assert_null(draft);
        }
}

static void test_a_config_over_the_limit_is_refused(void **state) {
        _cleanup_(vm_draft_freep) VmDraft *draft = NULL;
        _cleanup_(text_error_deinit) TextError error = {0};
        _cleanup_(freep) char *json = malloc(VM_CONFIG_JSON_MAX + 2);

        assert_non_null(json);
        memset(json, ' ', VM_CONFIG_JSON_MAX + 1);
        memcpy(json, "{}", 2);
        json[VM_CONFIG_JSON_MAX + 1] = '\0';
        assert_int_equal(vm_draft_new(json, &draft, &error), -E2BIG);
        json[VM_CONFIG_JSON_MAX] = '\0';
        assert_int_equal(vm_draft_new(json, &draft, NULL), 0);
}

static void test_options_replace_members_and_add_disks(void **state) {
        _cleanup_(vm_draft_freep) VmDraft *draft = NULL;
        _cleanup_(freep) char *json = NULL;

        assert_int_equal(
                vm_draft_new("{\"name\":\"a\",\"cpu_topology\":\"match_host\"}", &draft, NULL), 0);
        assert_string_equal(vm_draft_string(draft, "name"), "a");
        assert_null(vm_draft_string(draft, "cpus"));
        vm_draft_unset(draft, "cpu_topology");
        assert_int_equal(vm_draft_set_string(draft, "name", "b"), 0);
        assert_int_equal(vm_draft_set_uint(draft, "cpus", 2), 0);
        assert_int_equal(vm_draft_add_disk(draft, "/d", true, NULL), 0);
        assert_int_equal(vm_draft_add_disk(draft, "/e", false, NULL), 0);
        assert_int_equal(vm_draft_to_json(draft, false, &json), 0);
        assert_string_equal(json, "{\"name\":\"b\",\"cpus\":2,\"disks\":["
                                  "{\"image\":\"/d\",\"writable\":true},"
                                  "{\"image\":\"/e\",\"writable\":false}]}");
}

static void test_a_disk_is_not_added_to_something_else(void **state) {
        _cleanup_(vm_draft_freep) VmDraft *draft = NULL;
        _cleanup_(text_error_deinit) TextError error = {0};

        assert_int_equal(vm_draft_new("{\"disks\":\"x\"}", &draft, NULL), 0);
        assert_int_equal(vm_draft_add_disk(draft, "/d", true, &error), -EINVAL);
        assert_string_equal(error.message, "disks: expected an array");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_path_is_handed_out_and_replaced),
                cmocka_unit_test(test_a_failed_open_ends_the_walk_with_its_sentence),
                cmocka_unit_test(test_members_that_are_no_paths_are_refused_by_json_path),
                cmocka_unit_test(test_shapes_the_service_will_refuse_are_left_to_it),
                cmocka_unit_test(test_bad_json_is_refused_with_its_line),
                cmocka_unit_test(test_a_config_over_the_limit_is_refused),
                cmocka_unit_test(test_options_replace_members_and_add_disks),
                cmocka_unit_test(test_a_disk_is_not_added_to_something_else),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
