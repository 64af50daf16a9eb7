/* SPDX-License-Identifier: Apache-2.0 */
#include "config/crosvm_device_flags.h"

#include <errno.h>
#include <string.h>

#include "config/crosvm_pci_flags.h"
#include "config/crosvm_queue_sizes.h"
#include "config/kv_list.h"

/* --serial */

static const struct {
        const char *name;
        VmmSerialType type;
} serial_types[] = {
        {"sink", VMM_SERIAL_SINK},     {"file", VMM_SERIAL_FILE},
        {"stdout", VMM_SERIAL_STDOUT}, {"syslog", VMM_SERIAL_SYSLOG},
        {"unix", VMM_SERIAL_UNIX},     {"unix-stream", VMM_SERIAL_UNIX_STREAM},
};

/** crosvm_serial_type_name() - how --serial calls @type */
const char *crosvm_serial_type_name(VmmSerialType type) {
        for (size_t i = 0; i < ELEMENTSOF(serial_types); i++)
                if (serial_types[i].type == type)
                        return serial_types[i].name;
        return "";
}

static const struct {
        const char *name;
        VmmSerialHardware hardware;
} serial_hardware[] = {
        {"serial", VMM_SERIAL_HARDWARE_16550},
        {"virtio-console", VMM_SERIAL_HARDWARE_VIRTIO_CONSOLE},
        {"legacy-virtio-console",
         VMM_SERIAL_HARDWARE_VIRTIO_CONSOLE}, /* crosvm's old name for it */
        {"debugcon", VMM_SERIAL_HARDWARE_DEBUGCON},
};

/** crosvm_serial_hardware_name() - how --serial calls @hardware */
const char *crosvm_serial_hardware_name(VmmSerialHardware hardware) {
        for (size_t i = 0; i < ELEMENTSOF(serial_hardware); i++)
                if (serial_hardware[i].hardware == hardware)
                        return serial_hardware[i].name;
        return "";
}

static int set_serial_type(void *object, const KvItem *item, TextError *reterr) {
        const char *value = item->value ?: "";
        VmmSerial *serial = object;

        for (size_t i = 0; i < ELEMENTSOF(serial_types); i++)
                if (str_eq(serial_types[i].name, value)) {
                        serial->type = serial_types[i].type;
                        return 0;
                }
        return text_error_set(reterr, -EINVAL,
                              "expected file, stdout, sink, syslog, unix or unix-stream, not '%s'",
                              value);
}

static int set_serial_hardware(void *object, const KvItem *item, TextError *reterr) {
        const char *value = item->value ?: "";
        VmmSerial *serial = object;

        for (size_t i = 0; i < ELEMENTSOF(serial_hardware); i++)
                if (str_eq(serial_hardware[i].name, value)) {
                        serial->hardware = serial_hardware[i].hardware;
                        return 0;
                }
        return text_error_set(reterr, -EINVAL,
                              "expected serial, virtio-console or debugcon, not '%s'", value);
}

static int set_serial_num(void *object, const KvItem *item, TextError *reterr) {
        VmmSerial *serial = object;
        uint64_t num;
        int r;

        r = kv_get_u64(item, 1, MAX(4u, VMM_CONSOLES_MAX), &num, reterr);
        if (r < 0)
                return r;
        serial->num = (unsigned) num;
        return 0;
}

static int set_serial_path(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_string(item, &((VmmSerial *) object)->path, reterr);
}

static int set_serial_input(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_string(item, &((VmmSerial *) object)->input, reterr);
}

static int set_serial_console(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_bool(item, &((VmmSerial *) object)->console, reterr);
}

static int set_serial_earlycon(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_bool(item, &((VmmSerial *) object)->earlycon, reterr);
}

static int set_serial_stdin(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_bool(item, &((VmmSerial *) object)->std_in, reterr);
}

static int set_serial_input_stream(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_bool(item, &((VmmSerial *) object)->input_unix_stream, reterr);
}

static int set_serial_timestamp(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_bool(item, &((VmmSerial *) object)->out_timestamp, reterr);
}

static int set_serial_address(void *object, const KvItem *item, TextError *reterr) {
        return crosvm_pci_address_set(item, &((VmmSerial *) object)->pci_slot, reterr);
}

static int set_serial_queue_sizes(void *object, const KvItem *item, TextError *reterr) {
        return crosvm_queue_sizes_set(item, ((VmmSerial *) object)->queue_sizes, VMM_CONSOLE_QUEUES,
                                      reterr);
}

static int set_debugcon_port(void *object, const KvItem *item, TextError *reterr) {
        VmmSerial *serial = object;
        uint64_t port;
        int r;

        r = kv_get_u64(item, 1, UINT16_MAX, &port, reterr);
        if (r < 0)
                return r;
        serial->debugcon_port = (unsigned) port;
        return 0;
}

static const KvField serial_fields[] = {
        {"type", set_serial_type},
        {"hardware", set_serial_hardware},
        {"num", set_serial_num},
        {"path", set_serial_path},
        {"input", set_serial_input},
        {"console", set_serial_console},
        {"earlycon", set_serial_earlycon},
        {"stdin", set_serial_stdin},
        {"name", NULL},
        {"input-unix-stream", set_serial_input_stream},
        {"out-timestamp", set_serial_timestamp},
        {"debugcon-port", set_debugcon_port},
        {"pci-address", set_serial_address},
        {"max-queue-sizes", set_serial_queue_sizes, KV_LIST},
};

/** crosvm_serial_parse() - add the port that one --serial value describes */
int crosvm_serial_parse(VmmConfig *config, const char *value, TextError *reterr) {
        _cleanup_(vmm_serial_deinit) VmmSerial serial;
        int r;

        vmm_serial_init(&serial);
        if (config->n_serials >= VMM_SERIALS_MAX)
                return text_error_set(reterr, -EINVAL, "more than %u ports", VMM_SERIALS_MAX);
        r = kv_apply(value, "type", serial_fields, ELEMENTSOF(serial_fields), &serial, reterr);
        if (r < 0)
                return r;
        config->serials[config->n_serials++] = serial;
        serial = (VmmSerial){0};
        return 0;
}

/** crosvm_serial_emit() - the --serial value of one port; the keys are in the order of Android's manager */
int crosvm_serial_emit(const VmmSerial *serial, char **ret) {
        _cleanup_(strbuf_deinit) StrBuf buf = {0};

        kv_append(&buf, "type", crosvm_serial_type_name(serial->type));
        if (serial->path)
                kv_append(&buf, "path", serial->path);
        if (serial->input)
                kv_append(&buf, "input", serial->input);
        kv_append(&buf, "hardware", crosvm_serial_hardware_name(serial->hardware));
        strbuf_printf(&buf, ",num=%u", serial->num);
        if (serial->debugcon_port != VMM_DEBUGCON_PORT)
                strbuf_printf(&buf, ",debugcon-port=%u", serial->debugcon_port);
        if (serial->console)
                kv_append_flag(&buf, "console");
        if (serial->earlycon)
                kv_append_flag(&buf, "earlycon");
        if (serial->std_in)
                kv_append_flag(&buf, "stdin");
        if (serial->input_unix_stream)
                kv_append_flag(&buf, "input-unix-stream");
        if (serial->out_timestamp)
                kv_append_flag(&buf, "out-timestamp");
        crosvm_pci_address_append(&buf, serial->pci_slot);
        crosvm_queue_sizes_append(&buf, serial->queue_sizes, VMM_CONSOLE_QUEUES);
        return strbuf_finish(&buf, ret);
}

/* --hypervisor */

static int set_kvm_device(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_string(item, &((VmmConfig *) object)->kvm_device, reterr);
}

/* "kvm[device=PATH]": crosvm's enum variant with fields. */
static int parse_kvm_fields(VmmConfig *config, const char *brackets, TextError *reterr) {
        static const KvField fields[] = {{"device", set_kvm_device}};
        _cleanup_(freep) char *inner = NULL;
        size_t n = strlen(brackets);

        if (n < 3 || brackets[n - 1] != ']')
                return text_error_set(reterr, -EINVAL, "expected kvm[device=PATH], not 'kvm%s'",
                                      brackets);
        inner = strndup(brackets + 1, n - 2);
        if (!inner)
                return -ENOMEM;
        return kv_apply(inner, "device", fields, ELEMENTSOF(fields), config, reterr);
}

static bool is_foreign_hypervisor(const char *value) {
        static const char *const names[] = {"geniezone", "gunyah", "halla", "whpx", "haxm"};

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                const char *rest = str_after_prefix(value, names[i]);

                if (rest && (!*rest || *rest == '['))
                        return true;
        }
        return false;
}

/** crosvm_hypervisor_parse() - "auto", "kvm", "kvm[device=PATH]" or "soft" */
int crosvm_hypervisor_parse(VmmConfig *config, const char *value, TextError *reterr) {
        const char *rest = str_after_prefix(value, "kvm");

        if (rest && (!*rest || *rest == '[')) {
                config->hypervisor = VMM_HYPERVISOR_KVM;
                return *rest ? parse_kvm_fields(config, rest, reterr) : 0;
        }
        if (str_eq(value, "auto"))
                config->hypervisor = VMM_HYPERVISOR_AUTO;
        else if (str_eq(value, "soft"))
                config->hypervisor = VMM_HYPERVISOR_SOFT;
        else if (is_foreign_hypervisor(value))
                return text_error_set(reterr, -EINVAL, "%s: not supported by this version", value);
        else
                return text_error_set(reterr, -EINVAL, "expected auto, kvm or soft, not '%s'",
                                      value);
        return 0;
}

/** crosvm_hypervisor_emit() - the --hypervisor value */
int crosvm_hypervisor_emit(const VmmConfig *config, char **ret) {
        _cleanup_(strbuf_deinit) StrBuf buf = {0}, fields = {0};

        switch (config->hypervisor) {
        case VMM_HYPERVISOR_AUTO:
                strbuf_append(&buf, "auto");
                break;
        case VMM_HYPERVISOR_SOFT:
                strbuf_append(&buf, "soft");
                break;
        case VMM_HYPERVISOR_KVM:
                strbuf_append(&buf, "kvm");
                if (config->kvm_device) {
                        _cleanup_(freep) char *text = NULL;

                        kv_append(&fields, "device", config->kvm_device);
                        if (strbuf_finish(&fields, &text) < 0)
                                return -ENOMEM;
                        strbuf_printf(&buf, "[%s]", text);
                }
                break;
        }
        return strbuf_finish(&buf, ret);
}
