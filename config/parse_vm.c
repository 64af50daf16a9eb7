/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "config/semver.h"
#include "config/vm_config_json.h"

static int set_string(char **member, const char *text) {
        char *copy = strdup(text);

        if (!copy)
                return -ENOMEM;
        free(*member);
        *member = copy;
        return 0;
}

static char **string_member(void *object, const JsonField *field) {
        return (char **) (void *) ((char *) object + field->offset);
}

/** vm_file_read() - "fd:NAME" to the string at field->offset of @object, as NAME */
int vm_file_read(const JsonValue *value, const JsonField *field, void *object, TextError *reterr) {
        const char *text, *name;
        int r;

        r = json_read_string(value, &text, reterr);
        if (r < 0)
                return r;
        name = str_after_prefix(text, "fd:");
        if (!name)
                return json_error(value, reterr,
                                  "expected \"fd:NAME\", a descriptor passed beside the config, "
                                  "not \"%.*s\"",
                                  JSON_SHOWN(text));
        if (!vm_fd_name_is_valid(name))
                return json_error(value, reterr,
                                  "expected 1 to %u of A-Z a-z 0-9 . _ - behind \"fd:\"",
                                  VM_FD_NAME_MAX);
        return set_string(string_member(object, field), name);
}

/* null is the same as no key, as Android's configs have it. */
static int read_bootloader(const JsonValue *value, const JsonField *field, void *object,
                           TextError *reterr) {
        return json_is_null(value) ? 0 : vm_file_read(value, field, object, reterr);
}

static int read_name(const JsonValue *value, const JsonField *field, void *object,
                     TextError *reterr) {
        const char *text;
        int r;

        r = json_read_string(value, &text, reterr);
        if (r < 0)
                return r;
        if (!vm_name_is_valid(text))
                return json_error(value, reterr,
                                  "expected 1 to %u bytes without control characters and slashes",
                                  VM_NAME_MAX);
        return set_string(string_member(object, field), text);
}

static int read_params(const JsonValue *value, const JsonField *field, void *object,
                       TextError *reterr) {
        const char *text;
        int r;

        r = json_read_string(value, &text, reterr);
        if (r < 0)
                return r;
        if (strlen(text) > VM_PARAMS_MAX)
                return json_error(value, reterr, "expected at most %u bytes, not %zu",
                                  VM_PARAMS_MAX, strlen(text));
        for (const char *p = text; *p; p++)
                if (((unsigned char) *p < 0x20 && *p != '\t') || *p == 0x7f)
                        return json_error(value, reterr, "expected no control characters");
        return set_string(string_member(object, field), text);
}

static int read_memory(const JsonValue *value, const JsonField *field, void *object,
                       TextError *reterr) {
        VmConfig *config = object;
        int64_t mib;
        int r;

        r = json_read_i64(value, VM_MEMORY_MIB_MIN, VM_MEMORY_MIB_MAX, &mib, reterr);
        if (r < 0)
                return r;
        config->memory_mib = (uint64_t) mib;
        return 0;
}

static int read_gdb_port(const JsonValue *value, const JsonField *field, void *object,
                         TextError *reterr) {
        VmConfig *config = object;
        int64_t port;
        int r;

        r = json_read_i64(value, 0, UINT16_MAX, &port, reterr);
        if (r < 0)
                return r;
        config->gdb_port = (unsigned) port;
        return 0;
}

static int read_cpus(const JsonValue *value, const JsonField *field, void *object,
                     TextError *reterr) {
        VmConfig *config = object;
        int64_t n;
        int r;

        r = json_read_i64(value, 1, VM_VCPUS_MAX, &n, reterr);
        if (r < 0)
                return r;
        config->cpu_topology = VM_CPUS_COUNT;
        config->n_vcpus = (unsigned) n;
        return 0;
}

static int read_cpu_topology(const JsonValue *value, const JsonField *field, void *object,
                             TextError *reterr) {
        static const char *const names[] = {"one_cpu", "match_host"};
        VmConfig *config = object;
        unsigned which;
        int r;

        r = json_read_choice(value, names, ELEMENTSOF(names), &which, reterr);
        if (r < 0)
                return r;
        config->cpu_topology = which == 0 ? VM_CPUS_COUNT : VM_CPUS_MATCH_HOST;
        config->n_vcpus = 1;
        return 0;
}

static int read_platform_version(const JsonValue *value, const JsonField *field, void *object,
                                 TextError *reterr) {
        const char *text;
        bool matches;
        int r;

        r = json_read_string(value, &text, reterr);
        if (r < 0)
                return r;
        if (semver_requirement_matches(text, VM_PLATFORM_VERSION, &matches) < 0)
                return json_error(value, reterr,
                                  "expected a version requirement such as \"~1.0\", not \"%.*s\"",
                                  JSON_SHOWN(text));
        if (!matches)
                return json_error(value, reterr, "\"%.*s\" excludes this platform's version %s",
                                  JSON_SHOWN(text), VM_PLATFORM_VERSION);
        return set_string(string_member(object, field), text);
}

static int read_console_input(const JsonValue *value, const JsonField *field, void *object,
                              TextError *reterr) {
        static const char *const names[] = {"hvc0", "ttyS0"};
        VmConfig *config = object;
        unsigned which;
        int r;

        r = json_read_choice(value, names, ELEMENTSOF(names), &which, reterr);
        if (r < 0)
                return r;
        config->console_input = which == 0 ? VM_CONSOLE_INPUT_HVC0 : VM_CONSOLE_INPUT_TTYS0;
        return 0;
}

static int read_debug_level(const JsonValue *value, const JsonField *field, void *object,
                            TextError *reterr) {
        static const char *const names[] = {"none", "full"};
        VmConfig *config = object;
        unsigned which;
        int r;

        r = json_read_choice(value, names, ELEMENTSOF(names), &which, reterr);
        if (r < 0)
                return r;
        config->debug_level = which == 0 ? VM_DEBUG_NONE : VM_DEBUG_FULL;
        return 0;
}

static int read_switch(const JsonValue *value, const JsonField *field, void *object,
                       TextError *reterr) {
        return json_read_bool(value, (bool *) (void *) ((char *) object + field->offset), reterr);
}

/* Ours: who connects the guest's sockets. */
static int read_vsock(const JsonValue *value, const JsonField *field, void *object,
                      TextError *reterr) {
        static const char *const names[] = {"user", "vhost"};
        unsigned which;
        int r;

        r = json_read_choice(value, names, ELEMENTSOF(names), &which, reterr);
        if (r < 0)
                return r;
        ((VmConfig *) object)->vhost_vsock = which == 1;
        return 0;
}

/* Keys that are known and ask for what this version cannot do; the value that asks for nothing is accepted. */

static int refuse(const JsonValue *value, TextError *reterr) {
        return json_error(value, reterr, "not supported by this version");
}

static int read_only_false(const JsonValue *value, const JsonField *field, void *object,
                           TextError *reterr) {
        bool on;
        int r = json_read_bool(value, &on, reterr);

        return r < 0 ? r : on ? refuse(value, reterr) : 0;
}

/* field->data is the greatest number that would make sense. */
static int read_only_zero(const JsonValue *value, const JsonField *field, void *object,
                          TextError *reterr) {
        int64_t n;
        int r = json_read_i64(value, 0, field->data, &n, reterr);

        return r < 0 ? r : n != 0 ? refuse(value, reterr) : 0;
}

static int read_only_empty(const JsonValue *value, const JsonField *field, void *object,
                           TextError *reterr) {
        size_t n;
        int r = json_array_length(value, &n, reterr);

        return r < 0 ? r : n != 0 ? refuse(value, reterr) : 0;
}

static int read_only_null(const JsonValue *value, const JsonField *field, void *object,
                          TextError *reterr) {
        return json_is_null(value) ? 0 : refuse(value, reterr);
}

static const JsonField usb_fields[] = {
        {"controller", read_only_false},
};

static int read_usb(const JsonValue *value, const JsonField *field, void *object,
                    TextError *reterr) {
        if (json_is_null(value))
                return 0;
        return json_read_object(value, usb_fields, ELEMENTSOF(usb_fields), object, reterr);
}

const JsonField vm_config_fields[] = {
        {"name", read_name, offsetof(VmConfig, name)},
        {"kernel", vm_file_read, offsetof(VmConfig, kernel)},
        {"initrd", vm_file_read, offsetof(VmConfig, initrd)},
        {"bootloader", read_bootloader, offsetof(VmConfig, bootloader)},
        {"params", read_params, offsetof(VmConfig, params)},
        {"disks", vm_disks_read},
        {"shared_paths", vm_shares_read},
        {"protected", read_only_false},
        {"memory_mib", read_memory},
        {"swiotlb_mib", read_only_zero, 0, VM_MEMORY_MIB_MAX},
        {"cpus", read_cpus},
        {"cpu_topology", read_cpu_topology},
        {"platform_version", read_platform_version, offsetof(VmConfig, platform_version)},
        {"console_input_device", read_console_input},
        {"devices", vm_devices_read},
        {"display_config", read_only_null},
        {"input_devices", read_only_empty},
        {"network", vm_networks_read},
        {"gpu_config", read_only_null},
        {"audio_config", read_only_null},
        {"usb_config", read_usb},
        {"balloon", read_switch, offsetof(VmConfig, balloon)},
        {"auto_memory_balloon", read_switch, offsetof(VmConfig, auto_memory_balloon)},
        {"vsock", read_vsock},
        {"hugepages", read_only_false},
        {"boost_uclamp", read_only_false},
        {"gdb_port", read_gdb_port},
        {"instance_id", read_only_null},
        {"device_tree_overlays", read_only_empty},
        {"custom_memory_backing_files", read_only_empty},
        {"debug_level", read_debug_level},
        {"detect_hangup", read_switch, offsetof(VmConfig, detect_hangup)},
        {"ramdump", read_switch, offsetof(VmConfig, ramdump)},
        {"limits", vm_limits_read, offsetof(VmConfig, limits)},
};
const size_t vm_config_n_fields = ELEMENTSOF(vm_config_fields);

/**
 * vm_config_read() - the config in a tree, validated
 * @ret: set on success only; release with vm_config_deinit()
 */
int vm_config_read(const JsonValue *value, VmConfig *ret, TextError *reterr) {
        _cleanup_(vm_config_deinit) VmConfig config;
        int r;

        vm_config_init(&config);
        r = json_read_object(value, vm_config_fields, vm_config_n_fields, &config, reterr);
        if (r < 0)
                return r;
        if (json_has_member(value, "cpus") && json_has_member(value, "cpu_topology"))
                return text_error_set(reterr, -EINVAL, "cpu_topology: excludes cpus");
        if (!config.platform_version) {
                r = set_string(&config.platform_version, "~1.0");
                if (r < 0)
                        return r;
        }
        r = vm_config_validate(&config, reterr);
        if (r < 0)
                return r;
        *ret = config;
        config = (VmConfig){0};
        return 0;
}

/**
 * vm_config_parse() - strict JSON to typed and validated config
 * @ret: set on success only; release with vm_config_deinit()
 *
 * Does no I/O. Return: 0; -EINVAL with "PATH: expected …" in @reterr; -E2BIG over VM_CONFIG_JSON_MAX; -ENOMEM.
 */
int vm_config_parse(const char *json, VmConfig *ret, TextError *reterr) {
        _cleanup_(json_freep) struct json_object *tree = NULL;
        int r;

        r = json_parse(json, VM_CONFIG_JSON_MAX, &tree, reterr);
        if (r < 0)
                return r;
        return vm_config_read(&(JsonValue){tree, ""}, ret, reterr);
}
