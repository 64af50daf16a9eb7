/* SPDX-License-Identifier: Apache-2.0 */
#include "config/assignable.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/json_reader.h"
#include "config/vm_config.h"

/** assignable_list_deinit() - release what the list owns */
void assignable_list_deinit(AssignableList *list) {
        for (size_t i = 0; i < list->n; i++) {
                free(list->items[i].path);
                free(list->items[i].kind);
        }
        free(list->items);
        *list = (AssignableList){0};
}

static int read_text(const JsonValue *value, size_t max, char **member, TextError *reterr) {
        const char *text;
        int r = json_read_string(value, &text, reterr);

        if (r < 0)
                return r;
        if (strlen(text) > max)
                return json_error(value, reterr, "expected at most %zu bytes", max);
        *member = strdup(text);
        return *member ? 0 : -ENOMEM;
}

static int read_path(const JsonValue *value, const JsonField *field, void *object,
                     TextError *reterr) {
        Assignable *device = object;
        int r = read_text(value, VM_DEVICE_PATH_MAX, &device->path, reterr);

        return r < 0 || device->path[0] == '/' ? r : json_error(value, reterr, "expected a path");
}

static int read_kind(const JsonValue *value, const JsonField *field, void *object,
                     TextError *reterr) {
        return read_text(value, ASSIGNABLE_KIND_MAX, &((Assignable *) object)->kind, reterr);
}

static int read_device(const JsonValue *value, void *object, TextError *reterr) {
        static const JsonField fields[] = {
                {"sysfs_path", read_path},
                {"kind", read_kind},
        };
        AssignableList *list = object;
        Assignable *device = &list->items[list->n++];
        int r = json_read_object(value, fields, ELEMENTSOF(fields), device, reterr);

        if (r < 0)
                return r;
        if (!device->path)
                return json_error(value, reterr, "\"sysfs_path\" is missing");
        if (!device->kind)
                device->kind = strdup("");
        return device->kind ? 0 : -ENOMEM;
}

static int read_devices(const JsonValue *value, const JsonField *field, void *object,
                        TextError *reterr) {
        return json_read_array(value, ASSIGNABLE_MAX, read_device, object, reterr);
}

/**
 * assignable_parse() - the text of the file
 * @ret: set on success only; release with assignable_list_deinit()
 *
 * Return: 0; -EINVAL with "PATH: expected …" in @reterr; -E2BIG; -ENOMEM.
 */
int assignable_parse(const char *json, AssignableList *ret, TextError *reterr) {
        static const JsonField fields[] = {{"devices", read_devices}};
        _cleanup_(assignable_list_deinit) AssignableList list = {0};
        _cleanup_(json_freep) struct json_object *tree = NULL;
        int r;

        list.items = calloc(ASSIGNABLE_MAX, sizeof(*list.items));
        if (!list.items)
                return -ENOMEM;
        r = json_parse(json, ASSIGNABLE_JSON_MAX, &tree, reterr);
        if (r >= 0)
                r = json_read_object(&(JsonValue){tree, ""}, fields, ELEMENTSOF(fields), &list,
                                     reterr);
        if (r < 0)
                return r;
        *ret = list;
        list = (AssignableList){0};
        return 0;
}
