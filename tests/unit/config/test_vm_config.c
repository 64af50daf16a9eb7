/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "config/vm_config.h"

#define BAD_CONFIGS "tests/data/bad_configs.json"

static void test_defaults_are_filled_in(void **state) {
        _cleanup_(vm_config_deinit) VmConfig c = {0};

        assert_int_equal(vm_config_parse("{\"kernel\": \"fd:k\"}", &c, NULL), 0);
        assert_string_equal(c.kernel, "k");
        assert_int_equal(c.memory_mib, 256);
        assert_int_equal(c.cpu_topology, VM_CPUS_COUNT);
        assert_int_equal(c.n_vcpus, 1);
        assert_string_equal(c.platform_version, "~1.0");
        assert_int_equal(c.console_input, VM_CONSOLE_INPUT_HVC0);
        assert_int_equal(c.debug_level, VM_DEBUG_NONE);
        assert_null(c.name);
        assert_null(c.params);
        assert_int_equal(c.n_disks, 0);
}

static const char full_config[] =
        "{\"name\": \"b\\u00fcro\", \"kernel\": \"fd:k\", \"initrd\": \"fd:ird\", \"params\": "
        "\"a=\\\"b c\\\"\\tq/z\","
        " \"disks\": [{\"image\": \"fd:root\", \"writable\": true},"
        " {\"partitions\": [{\"label\": \"one\", \"path\": \"fd:p1\", \"guid\": "
        "\"01234567-89AB-cdef-0123-456789abcdef\"}, {\"label\": \"two\", \"path\": \"fd:p2\", "
        "\"writable\": true}],"
        " \"writable\": true}],"
        " \"protected\": false, \"memory_mib\": 6144, \"cpu_topology\": \"match_host\","
        " \"platform_version\": \">=1.0, <2\", \"console_input_device\": \"ttyS0\", \"devices\": "
        "[\"/sys/bus/pci/devices/0000:00:04.0\"],"
        " \"shared_paths\": [{\"tag\": \"src\", \"path\": \"fd:dir\", \"guest_uid\": 1000},"
        " {\"tag\": \"own\", \"socket\": \"fd:sock\"}],"
        " \"display_config\": null, \"input_devices\": [], \"network\": "
        "[{\"type\": \"bridge\", \"name\": \"lab-1\", \"mac\": \"02:00:00:00:00:Fe\", \"queues\": "
        "4,"
        " \"isolated\": true}, {}, {\"type\": \"user\", \"forward\": [\"tcp:8080:80\"]}],"
        " \"gpu_config\": null, \"audio_config\": null, \"usb_config\": {\"controller\": false},"
        " \"balloon\": false, \"auto_memory_balloon\": false, \"vsock\": \"vhost\", \"hugepages\": "
        "false, \"boost_uclamp\": false, "
        "\"gdb_port\": 0,"
        " \"swiotlb_mib\": 0, \"instance_id\": null, \"device_tree_overlays\": [], \"bootloader\": "
        "null,"
        " \"custom_memory_backing_files\": [], \"debug_level\": \"full\", \"detect_hangup\": "
        "false, \"ramdump\": true, \"limits\": {\"memory_max_mib\": 7000, \"memory_high_mib\": "
        "6500, \"cpu_weight\": "
        "200,"
        " \"cpu_quota_percent\": 150, \"io_weight\": 50, \"tasks_max\": 64}}";

static void assert_networks_and_shares(const VmConfig *c) {
        static const uint8_t mac[] = {2, 0, 0, 0, 0, 0xfe};

        assert_int_equal(c->n_networks, 3);
        assert_int_equal(c->networks[0].type, VM_NETWORK_BRIDGE);
        assert_string_equal(c->networks[0].name, "lab-1");
        assert_true(c->networks[0].has_mac);
        assert_memory_equal(c->networks[0].mac, mac, sizeof(mac));
        assert_int_equal(c->networks[0].queues, 4);
        assert_true(c->networks[0].isolated);
        assert_int_equal(c->networks[1].type, VM_NETWORK_ANY);
        assert_int_equal(c->networks[1].queues, 1);
        assert_int_equal(c->networks[2].type, VM_NETWORK_USER);
        assert_string_equal(c->networks[2].forwards.items[0], "tcp:8080:80");
        assert_int_equal(c->n_shares, 2);
        assert_string_equal(c->shares[0].tag, "src");
        assert_string_equal(c->shares[0].path, "dir");
        assert_int_equal(c->shares[0].guest_uid, 1000);
        assert_int_equal(c->shares[0].guest_gid, 0);
        assert_string_equal(c->shares[1].socket, "sock");
}

static void test_a_network_is_one_card_or_none_or_several(void **state) {
        static const struct {
                const char *text;
                size_t n;
        } cases[] = {{"true", 1}, {"false", 0}, {"{}", 1}, {"[]", 0}, {"[{},{}]", 2}};

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(vm_config_deinit) VmConfig c = {0};
                char text[128];

                (void) snprintf(text, sizeof(text), "{\"kernel\":\"fd:k\",\"network\":%s}",
                                cases[i].text);
                assert_int_equal(vm_config_parse(text, &c, NULL), 0);
                assert_int_equal(c.n_networks, cases[i].n);
        }
}

static void test_every_key_is_read(void **state) {
        static const uint8_t guid[16] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
                                         0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};
        _cleanup_(text_error_deinit) TextError error = {0};
        _cleanup_(vm_config_deinit) VmConfig c = {0};

        if (vm_config_parse(full_config, &c, &error) != 0)
                fail_msg("%s", error.message);
        assert_string_equal(c.name, "b\xc3\xbcro");
        assert_string_equal(c.initrd, "ird");
        assert_true(c.vhost_vsock);
        assert_string_equal(c.params, "a=\"b c\"\tq/z");
        assert_int_equal(c.n_disks, 2);
        assert_string_equal(c.disks[0].image, "root");
        assert_true(c.disks[0].writable);
        assert_int_equal(c.disks[1].n_partitions, 2);
        assert_string_equal(c.disks[1].partitions[0].label, "one");
        assert_string_equal(c.disks[1].partitions[0].file, "p1");
        assert_false(c.disks[1].partitions[0].writable);
        assert_true(c.disks[1].partitions[0].has_guid);
        assert_memory_equal(c.disks[1].partitions[0].guid, guid, 16);
        assert_true(c.disks[1].partitions[1].writable);
        assert_false(c.disks[1].partitions[1].has_guid);
        assert_int_equal(c.memory_mib, 6144);
        assert_int_equal(c.cpu_topology, VM_CPUS_MATCH_HOST);
        assert_string_equal(c.platform_version, ">=1.0, <2");
        assert_int_equal(c.console_input, VM_CONSOLE_INPUT_TTYS0);
        assert_int_equal(c.debug_level, VM_DEBUG_FULL);
        assert_true(c.ramdump);
        assert_int_equal(c.limits.memory_max_mib, 7000);
        assert_int_equal(c.limits.memory_high_mib, 6500);
        assert_int_equal(c.limits.cpu_weight, 200);
        assert_int_equal(c.limits.cpu_quota_percent, 150);
        assert_int_equal(c.limits.io_weight, 50);
        assert_int_equal(c.limits.tasks_max, 64);
        assert_int_equal(c.devices.n, 1);
        assert_string_equal(c.devices.items[0], "/sys/bus/pci/devices/0000:00:04.0");
        assert_networks_and_shares(&c);
}

static void test_the_normalised_form_is_stable(void **state) {
        _cleanup_(vm_config_deinit) VmConfig first = {0}, second = {0};
        _cleanup_(freep) char *a = NULL, *b = NULL;

        assert_int_equal(vm_config_parse(full_config, &first, NULL), 0);
        assert_int_equal(vm_config_to_json(&first, &a), 0);
        assert_int_equal(vm_config_parse(a, &second, NULL), 0);
        assert_int_equal(vm_config_to_json(&second, &b), 0);
        assert_string_equal(a, b);
        assert_string_equal(second.params, first.params);
        assert_non_null(strstr(a, "01234567-89ab-cdef-0123-456789abcdef"));
        assert_int_equal(second.devices.n, 1);
        assert_memory_equal(&second.limits, &first.limits, sizeof(first.limits));
}

static void test_firmware_is_in_the_normalised_form(void **state) {
        _cleanup_(vm_config_deinit) VmConfig first = {0}, second = {0};
        _cleanup_(freep) char *text = NULL;

        assert_int_equal(vm_config_parse("{\"bootloader\": \"fd:fw\"}", &first, NULL), 0);
        assert_int_equal(vm_config_to_json(&first, &text), 0);
        assert_int_equal(vm_config_parse(text, &second, NULL), 0);
        assert_string_equal(second.bootloader, "fw");
}

typedef struct Seen {
        char text[512];
} Seen;

static int note_file(void *userdata, const char *path, const char *fd_name, VmFileKind kind) {
        Seen *seen = userdata;
        size_t n = strlen(seen->text);

        (void) snprintf(seen->text + n, sizeof(seen->text) - n, "%s=%s%s ", path, fd_name,
                        kind == VM_FILE_WRITE    ? "!"
                        : kind == VM_FILE_FOLDER ? "/"
                        : kind == VM_FILE_SOCKET ? "="
                                                 : "");
        return str_eq(fd_name, "stop") ? 7 : 0;
}

static void test_every_file_is_visited_with_its_path(void **state) {
        _cleanup_(vm_config_deinit) VmConfig c = {0};
        Seen seen = {0};

        assert_int_equal(vm_config_parse(full_config, &c, NULL), 0);
        assert_int_equal(vm_config_each_file(&c, note_file, &seen), 0);
        assert_string_equal(seen.text, "kernel=k initrd=ird disks[0].image=root! "
                                       "disks[1].partitions[0].path=p1 "
                                       "disks[1].partitions[1].path=p2! "
                                       "shared_paths[0].path=dir/ shared_paths[1].socket=sock= ");
}

static void test_a_visitor_stops_the_walk(void **state) {
        _cleanup_(vm_config_deinit) VmConfig c = {0};
        Seen seen = {0};

        assert_int_equal(vm_config_parse("{\"kernel\":\"fd:stop\",\"initrd\":\"fd:i\"}", &c, NULL),
                         0);
        assert_int_equal(vm_config_each_file(&c, note_file, &seen), 7);
        assert_string_equal(seen.text, "kernel=stop ");
}

static const char *member(struct json_object *object, const char *key) {
        struct json_object *value = NULL;

        assert_true(json_object_object_get_ex(object, key, &value));
        return json_object_get_string(value);
}

static void check_bad(struct json_object *entry) {
        _cleanup_(text_error_deinit) TextError error = {0};
        const char *path = member(entry, "path"), *words = member(entry, "words"), *rest;
        VmConfig c;
        int r = vm_config_parse(member(entry, "config"), &c, &error);

        rest = r == -EINVAL && error.message ? str_after_prefix(error.message, path) : NULL;
        if (!rest || rest[0] != ':' || !strstr(rest, words))
                fail_msg("%s: %d '%s', expected '%s: …%s…'", member(entry, "name"), r,
                         error.message ?: "(none)", path, words);
}

static void test_each_bad_config_is_refused_with_path_and_cause(void **state) {
        struct json_object *table = json_object_from_file(BAD_CONFIGS);
        size_t n;

        assert_non_null(table);
        n = json_object_array_length(table);
        assert_true(n >= 60);
        for (size_t i = 0; i < n; i++)
                check_bad(json_object_array_get_idx(table, i));
        json_object_put(table);
}

static void test_bytes_that_are_not_text_are_refused(void **state) {
        _cleanup_(text_error_deinit) TextError error = {0};
        VmConfig c;

        assert_int_equal(vm_config_parse("{\"kernel\":\"fd:\xc3(\"}", &c, &error), -EINVAL);
        assert_non_null(strstr(error.message, "config: the text is not UTF-8"));
}

static void test_a_config_longer_than_the_limit_is_refused(void **state) {
        static const char head[] = "{\"kernel\":\"fd:k\"}";
        _cleanup_(vm_config_deinit) VmConfig c = {0};
        _cleanup_(freep) char *text = malloc(VM_CONFIG_JSON_MAX + 2);

        assert_non_null(text);
        memset(text, ' ', VM_CONFIG_JSON_MAX + 1);
        memcpy(text, head, sizeof(head) - 1);
        text[VM_CONFIG_JSON_MAX + 1] = '\0';
        assert_int_equal(vm_config_parse(text, &c, NULL), -E2BIG);
        text[VM_CONFIG_JSON_MAX] = '\0';
        assert_int_equal(vm_config_parse(text, &c, NULL), 0);
}

static void test_an_object_of_very_many_members_is_refused(void **state) {
        _cleanup_(strbuf_deinit) StrBuf text = {0};
        _cleanup_(text_error_deinit) TextError error = {0};
        VmConfig c;

        strbuf_append(&text, "{\"kernel\":\"fd:k\"");
        for (unsigned i = 0; i < 10000; i++)
                strbuf_printf(&text, ",\"k%u\":0", i);
        strbuf_append(&text, "}");
        assert_int_equal(vm_config_parse(text.data, &c, &error), -EINVAL);
        assert_non_null(strstr(error.message, "too many members"));
}

static void test_a_file_may_be_read_twice(void **state) {
        _cleanup_(vm_config_deinit) VmConfig c = {0};

        assert_int_equal(
                vm_config_parse("{\"kernel\":\"fd:k\",\"disks\":["
                                "{\"image\":\"fd:d\",\"writable\":false},"
                                "{\"partitions\":[{\"label\":\"a\",\"path\":\"fd:d\"},"
                                "{\"label\":\"b\",\"path\":\"fd:d\"}],\"writable\":true}]}",
                                &c, NULL),
                0);
}

static void test_the_largest_config_of_disks_is_accepted(void **state) {
        _cleanup_(strbuf_deinit) StrBuf text = {0};
        _cleanup_(text_error_deinit) TextError error = {0};
        _cleanup_(vm_config_deinit) VmConfig c = {0};

        strbuf_append(&text, "{\"kernel\":\"fd:k\",\"disks\":[");
        for (unsigned i = 0; i < VM_DISKS_MAX; i++) {
                strbuf_printf(&text, "%s{\"writable\":true,\"partitions\":[", i == 0 ? "" : ",");
                for (unsigned j = 0; j < VM_PARTITIONS_MAX; j++)
                        strbuf_printf(
                                &text,
                                "%s{\"label\":\"%u\",\"path\":\"fd:%u.%u\",\"writable\":true}",
                                j == 0 ? "" : ",", j, i, j);
                strbuf_append(&text, "]}");
        }
        strbuf_append(&text, "]}");
        assert_true(text.len < VM_CONFIG_JSON_MAX);
        if (vm_config_parse(text.data, &c, &error) != 0)
                fail_msg("%s", error.message);
        assert_int_equal(c.disks[23].n_partitions, VM_PARTITIONS_MAX);
}

static void test_the_balloon_may_follow_the_host(void **state) {
        _cleanup_(freep) char *json = NULL;
        _cleanup_(vm_config_deinit) VmConfig c = {0}, again = {0};

        assert_int_equal(vm_config_parse("{\"kernel\":\"fd:k\"}", &c, NULL), 0);
        assert_false(c.auto_memory_balloon);
        vm_config_deinit(&c);
        assert_int_equal(
                vm_config_parse("{\"kernel\":\"fd:k\",\"auto_memory_balloon\":true}", &c, NULL), 0);
        assert_true(c.auto_memory_balloon);
        assert_int_equal(vm_config_to_json(&c, &json), 0);
        assert_int_equal(vm_config_parse(json, &again, NULL), 0);
        assert_true(again.auto_memory_balloon);
}

static void test_names_are_checked_byte_by_byte(void **state) {
        assert_true(vm_name_is_valid("web server \xc3\xa9"));
        assert_false(vm_name_is_valid("\xff"));
        assert_false(vm_name_is_valid("a\x7f"));
        assert_true(vm_fd_name_is_valid("a.B-9_"));
        assert_false(vm_fd_name_is_valid("a b"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_defaults_are_filled_in),
                cmocka_unit_test(test_every_key_is_read),
                cmocka_unit_test(test_a_network_is_one_card_or_none_or_several),
                cmocka_unit_test(test_the_normalised_form_is_stable),
                cmocka_unit_test(test_firmware_is_in_the_normalised_form),
                cmocka_unit_test(test_every_file_is_visited_with_its_path),
                cmocka_unit_test(test_a_visitor_stops_the_walk),
                cmocka_unit_test(test_each_bad_config_is_refused_with_path_and_cause),
                cmocka_unit_test(test_bytes_that_are_not_text_are_refused),
                cmocka_unit_test(test_a_config_longer_than_the_limit_is_refused),
                cmocka_unit_test(test_an_object_of_very_many_members_is_refused),
                cmocka_unit_test(test_a_file_may_be_read_twice),
                cmocka_unit_test(test_the_largest_config_of_disks_is_accepted),
                cmocka_unit_test(test_the_balloon_may_follow_the_host),
                cmocka_unit_test(test_names_are_checked_byte_by_byte),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
