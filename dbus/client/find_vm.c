/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dbus/client/client.h"
#include "dbus/client/errors.h"
#include "dbus/client/suggest.h"
#include "dbus/names.h"

/* Names of the seven members of a ListVms entry, in their order; the same names as the VM's properties have. */
static const char *const list_keys[] = {"Name",       "Cid",   "State", "PayloadState",
                                        "Hypervisor", "Owner", "Path"};

static int name_members(Value *rows, Value **ret, TextError *reterr) {
        _cleanup_(value_freep) Value *list = NULL;
        int r = value_new(VALUE_ARRAY, &list);

        for (size_t i = 0; r >= 0 && i < rows->n_members; i++) {
                Value *row = rows->members[i];

                if (row->type != VALUE_ARRAY || row->n_members < ELEMENTSOF(list_keys))
                        return text_error_set(reterr, -EBADMSG,
                                              "the service's list has an unknown shape");
                row->type = VALUE_OBJECT;
                for (size_t k = 0; k < ELEMENTSOF(list_keys); k++) {
                        row->members[k]->key = strdup(list_keys[k]);
                        if (!row->members[k]->key)
                                return -ENOMEM;
                }
                r = value_append_consume(list, NULL, TAKE(rows->members[i]));
        }
        if (r >= 0)
                *ret = TAKE(list);
        return r;
}

/** client_list_vms() - the caller's VMs, an array of objects. Return: 0; negative errno with @reterr set. */
int client_list_vms(Client *client, Value **ret, TextError *reterr) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(value_freep) Value *rows = NULL;
        int r;

        r = client_new_call(client, VIVARIUM_MANAGER_PATH, VIVARIUM_MANAGER_INTERFACE, "ListVms",
                            &call, reterr);
        if (r < 0)
                return r;
        r = client_send(client, call, &reply, &error);
        if (r < 0)
                return client_call_error(client, &error, r, "cannot list the VMs", reterr);
        r = client_read(reply, &rows, reterr);
        return r < 0 ? r : name_members(rows, ret, reterr);
}

/* Adds "did you mean" to a NoSuchVm error where a VM of a similar name exists. */
static int no_such_vm(Client *client, const char *which, int r, TextError *reterr) {
        _cleanup_(value_freep) Value *list = NULL;
        Suggestion best = {0};

        if (client_list_vms(client, &list, NULL) < 0 || !list || list->n_members == 0)
                return text_error_set(reterr, r,
                                      "no such VM: \"%s\"\nThere are none; make one with: vivctl "
                                      "create",
                                      which);
        for (size_t i = 0; i < list->n_members; i++)
                suggestion_offer(&best, which, strlen(which),
                                 value_get_string(list->members[i], "Name"));
        if (best.text)
                return text_error_set(reterr, r, "no such VM: \"%s\"; did you mean \"%s\"?", which,
                                      best.text);
        return text_error_set(reterr, r, "no such VM: \"%s\"\nSee what there is with: vivctl list",
                              which);
}

/* All digits: the daemon gives CIDs, while users choose names, and must not be able to pass for another VM. */
static bool is_cid(const char *which, uint32_t *ret) {
        return strspn(which, "0123456789") == strlen(which) && parse_u32(which, ret) == 0;
}

static int copy_path(const char *path, char **ret) {
        *ret = strdup(path);
        return *ret ? 0 : -ENOMEM;
}

/* Sends @call, a GetVm or its like, and copies the path out of its answer. */
static int ask_path(Client *client, sd_bus_message *call, const char *which, char **ret_path,
                    TextError *reterr) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(freep) char *act = NULL;
        const char *path;
        int r;

        if (asprintf(&act, "cannot find VM \"%s\"", which) < 0) {
                act = NULL;
                return -ENOMEM;
        }
        r = client_send(client, call, &reply, &error);
        if (r < 0 && sd_bus_error_has_name(&error, VIVARIUM_ERROR_NO_SUCH_VM))
                return no_such_vm(client, which, r, reterr);
        if (r >= 0)
                r = sd_bus_message_read_basic(reply, 'o', &path);
        if (r < 0)
                return client_call_error(client, &error, r, act, reterr);
        return copy_path(path, ret_path);
}

/**
 * client_find_vm() - the object path of a VM
 * @which: a path as `vivctl list --json` prints it, a CID if all digits, else a name or an id
 *
 * Paths are not looked up; a call on one that does not exist fails by itself.
 * Return: 0, @ret_path owned by the caller; negative errno with @reterr set.
 */
int client_find_vm(Client *client, const char *which, char **ret_path, TextError *reterr) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        uint32_t cid = 0;
        bool by_cid = is_cid(which, &cid);
        int r;

        if (which[0] == '/') {
                if (!str_after_prefix(which, VIVARIUM_VM_PATH_PREFIX "/") ||
                    sd_bus_object_path_is_valid(which) <= 0)
                        return text_error_set(reterr, -EINVAL, "\"%s\" is no path of a VM", which);
                return copy_path(which, ret_path);
        }
        r = client_new_call(client, VIVARIUM_MANAGER_PATH, VIVARIUM_MANAGER_INTERFACE,
                            by_cid ? "GetVmByCid" : "GetVm", &call, reterr);
        if (r < 0)
                return r;
        r = by_cid ? sd_bus_message_append(call, "u", cid)
                   : sd_bus_message_append(call, "s", which);
        if (r < 0)
                return text_error_set(reterr, r, "cannot ask for VM \"%s\": %s", which,
                                      strerror(-r));
        return ask_path(client, call, which, ret_path, reterr);
}
