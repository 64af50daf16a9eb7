/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "config/vm_config_json.h"

/* "devices": functions of the host that the guest drives itself. Which there are the service knows; here they are names. */

static bool is_path(const char *text) {
        size_t len = strlen(text);

        if (text[0] != '/' || len > VM_DEVICE_PATH_MAX)
                return false;
        for (size_t i = 0; i < len; i++)
                if ((unsigned char) text[i] <= ' ' || text[i] == 0x7f)
                        return false;
        return true;
}

static int read_device(const JsonValue *value, void *object, TextError *reterr) {
        VmConfig *config = object;
        const char *text;
        int r = json_read_string(value, &text, reterr);

        if (r < 0)
                return r;
        if (!is_path(text))
                return json_error(value, reterr,
                                  "expected a path such as /sys/bus/pci/devices/0000:00:04.0, not "
                                  "\"%.*s\"",
                                  JSON_SHOWN(text));
        for (size_t i = 0; i < config->devices.n; i++)
                if (str_eq(config->devices.items[i], text))
                        return json_error(value, reterr, "is devices[%zu], too", i);
        return strvec_add(&config->devices, text);
}

/** vm_devices_read() - the array "devices" */
int vm_devices_read(const JsonValue *value, const JsonField *field, void *object,
                    TextError *reterr) {
        return json_read_array(value, VM_DEVICES_MAX, read_device, object, reterr);
}
