/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/integration/fake_vivariumd.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/str.h"
#include "dbus/names.h"

#define FAKE_VMS_MAX 16u
#define FIRST_CID 2048u

typedef struct FakeVm {
        char name[64];
        char path[96];
        const char *state;
        char reason[64];
        int code;
        int console; /* owned */
        bool detached;
} FakeVm;

typedef struct Fake {
        sd_bus *bus;
        FakeVm vms[FAKE_VMS_MAX];
        size_t n_vms;
        bool leave;
} Fake;

static FakeVm *find_by_path(Fake *fake, const char *path) {
        for (size_t i = 0; i < fake->n_vms; i++)
                if (str_eq(fake->vms[i].path, path) && fake->vms[i].state)
                        return &fake->vms[i];
        return NULL;
}

static FakeVm *find_by_name(Fake *fake, const char *name) {
        for (size_t i = 0; i < fake->n_vms; i++)
                if (str_eq(fake->vms[i].name, name) && fake->vms[i].state)
                        return &fake->vms[i];
        return NULL;
}

static int append_record(sd_bus_message *m, const FakeVm *vm) {
        static const char tail[] = "first line\nlast line\n";
        int r = sd_bus_message_open_container(m, 'a', "{sv}");

        if (r >= 0 && vm->code >= 0)
                r = sd_bus_message_append(m, "{sv}{sv}{sv}{sv}{sv}", "reason", "s", vm->reason,
                                          "code", "i", vm->code, "exit-status", "i", 33,
                                          "run-time-usec", "t", (uint64_t) 1500000,
                                          "rss-vmm-peak-bytes", "t", (uint64_t) 3355443);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append_basic(m, 's', "stderr-tail");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "ay");
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', tail, sizeof(tail) - 1);
        for (unsigned i = 0; r >= 0 && i < 3; i++)
                r = sd_bus_message_close_container(m);
        return r;
}

static int die(Fake *fake, FakeVm *vm, const char *state, const char *reason, int code) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        vm->state = state;
        vm->code = code;
        (void) snprintf(vm->reason, sizeof(vm->reason), "%s", reason);
        vm->console = fd_close(vm->console);
        r = sd_bus_message_new_signal(fake->bus, &m, vm->path, VIVARIUM_VM_INTERFACE, "Died");
        if (r >= 0)
                r = sd_bus_message_append(m, "si", vm->reason, vm->code);
        if (r >= 0)
                r = append_record(m, vm);
        return r < 0 ? r : sd_bus_send(fake->bus, m, NULL);
}

static int on_start(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        static const char console[] = "hello from the guest\r\nno line end";
        Fake *fake = userdata;
        FakeVm *vm = find_by_path(fake, sd_bus_message_get_path(m));
        const char *death = str_after_prefix(vm->name, "die-");
        int r;

        if (!vm)
                return -ENXIO;
        if (!str_eq(vm->state, "not-started"))
                return sd_bus_error_setf(error, VIVARIUM_ERROR_ALREADY_STARTED,
                                         "VM %s was started already", vm->name);
        if (str_eq(vm->name, "fail")) {
                r = die(fake, vm, "failed", "START_FAILED", 4);
                return r < 0 ? r
                             : sd_bus_error_set(error, VIVARIUM_ERROR_START_FAILED,
                                                "the VMM did not start");
        }
        vm->state = "running";
        r = sd_bus_reply_method_return(m, "");
        if (r < 0)
                return r;
        if (str_eq(vm->name, "loud")) {
                for (unsigned i = 0; i < FAKE_LOUD_LINES; i++)
                        if (dprintf(vm->console, "%07u\n", i) < 0)
                                return -EIO;
                return die(fake, vm, "dead", "SHUTDOWN", 3);
        }
        if (vm->console >= 0 && fd_write_all(vm->console, console, sizeof(console) - 1) < 0)
                return -EIO;
        if (str_eq(vm->name, "vanish"))
                fake->leave = true;
        if (death) {
                char reason[64] = "";
                const char *dash = strchr(death, '-');

                (void) snprintf(reason, sizeof(reason), "%s", dash ? dash + 1 : "");
                return die(fake, vm, "dead", reason, atoi(death));
        }
        return 1;
}

static int on_kill(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Fake *fake = userdata;
        FakeVm *vm = find_by_path(fake, sd_bus_message_get_path(m));
        int r;

        if (!vm)
                return -ENXIO;
        if (str_eq(vm->name, "deaf") || !str_eq(vm->state, "running"))
                return sd_bus_error_setf(error, VIVARIUM_ERROR_NOT_RUNNING, "VM %s does not run",
                                         vm->name);
        r = die(fake, vm, "dead", "KILLED", 1);
        return r < 0 ? r : sd_bus_reply_method_return(m, "");
}

static int on_release(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        FakeVm *vm = find_by_path(userdata, sd_bus_message_get_path(m));

        if (!vm)
                return -ENXIO;
        if (str_eq(vm->state, "running"))
                return sd_bus_error_setf(error, VIVARIUM_ERROR_INVALID_TRANSITION,
                                         "VM %s is running", vm->name);
        vm->state = NULL;
        return sd_bus_reply_method_return(m, "");
}

static int get_vm(sd_bus *bus, const char *path, const char *interface, const char *property,
                  sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        FakeVm *vm = find_by_path(userdata, path);

        if (str_eq(property, "Name"))
                return sd_bus_message_append(reply, "s", vm->name);
        if (str_eq(property, "State"))
                return sd_bus_message_append(reply, "s", vm->state);
        if (str_eq(property, "DeathReason"))
                return sd_bus_message_append(reply, "s", vm->reason);
        if (str_eq(property, "Cid"))
                return sd_bus_message_append(
                        reply, "u", (uint32_t) (FIRST_CID + (vm - ((Fake *) userdata)->vms)));
        if (str_eq(property, "MemoryBytes"))
                return sd_bus_message_append(reply, "t", (uint64_t) 256 << 20);
        if (str_eq(property, "Detached"))
                return sd_bus_message_append(reply, "b", (int) vm->detached);
        return append_record(reply, vm);
}

static const sd_bus_vtable vm_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Start", "", "", on_start, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Kill", "", "", on_kill, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Release", "", "", on_release, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL("Died", "sia{sv}", 0),
        SD_BUS_PROPERTY("Name", "s", get_vm, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Cid", "u", get_vm, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("State", "s", get_vm, 0, 0),
        SD_BUS_PROPERTY("MemoryBytes", "t", get_vm, 0, 0),
        SD_BUS_PROPERTY("Detached", "b", get_vm, 0, 0),
        SD_BUS_PROPERTY("DeathReason", "s", get_vm, 0, 0),
        SD_BUS_PROPERTY("DeathRecord", "a{sv}", get_vm, 0, SD_BUS_VTABLE_PROPERTY_EXPLICIT),
        SD_BUS_VTABLE_END,
};

static int find_object(sd_bus *bus, const char *path, const char *interface, void *userdata,
                       void **ret_found, sd_bus_error *error) {
        if (!find_by_path(userdata, path))
                return 0;
        *ret_found = userdata;
        return 1;
}

/* The value of "name" in the config; the client's own JSON, so a search is enough. */
static void name_from_config(const char *config, char name[64]) {
        const char *p = strstr(config, "\"name\":\"");

        (void) snprintf(name, 64, "%.*s", p ? (int) strcspn(p + 8, "\"") : 7,
                        p ? p + 8 : "unnamed");
}

static int read_options(sd_bus_message *m, FakeVm *vm) {
        const char *key;
        int r = sd_bus_message_enter_container(m, 'a', "{sv}");

        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                int value = 0;

                r = sd_bus_message_read_basic(m, 's', &key);
                if (r >= 0 && str_eq(key, "console")) {
                        r = sd_bus_message_read(m, "v", "h", &value);
                        if (r >= 0)
                                vm->console = fd_dup_cloexec(value);
                } else if (r >= 0 && str_eq(key, "detach")) {
                        r = sd_bus_message_read(m, "v", "b", &value);
                        vm->detached = value;
                } else if (r >= 0) {
                        r = sd_bus_message_skip(m, "v");
                }
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r;
}

static int on_create(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        FakeVm vm = {.state = "not-started", .code = -1, .console = -EBADF};
        Fake *fake = userdata;
        const char *config;
        int r = sd_bus_message_read(m, "s", &config);

        if (r >= 0)
                r = sd_bus_message_skip(m, "a{sh}");
        if (r >= 0)
                r = read_options(m, &vm);
        if (r < 0)
                return r;
        name_from_config(config, vm.name);
        if (str_eq(vm.name, "taken"))
                return sd_bus_error_set(error, VIVARIUM_ERROR_NAME_TAKEN,
                                        "a VM named \"taken\" exists");
        if (fake->n_vms == FAKE_VMS_MAX)
                return sd_bus_error_set(error, VIVARIUM_ERROR_QUOTA_EXCEEDED, "too many VMs");
        (void) snprintf(vm.path, sizeof(vm.path), VIVARIUM_VM_PATH_PREFIX "/%zu", fake->n_vms);
        fake->vms[fake->n_vms++] = vm;
        return sd_bus_reply_method_return(m, "o", fake->vms[fake->n_vms - 1].path);
}

static int on_list(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Fake *fake = userdata;
        int r = sd_bus_message_new_method_return(m, &reply);

        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(susssuo)");
        for (size_t i = 0; r >= 0 && i < fake->n_vms; i++)
                if (fake->vms[i].state)
                        r = sd_bus_message_append(reply, "(susssuo)", fake->vms[i].name,
                                                  (uint32_t) (FIRST_CID + i), fake->vms[i].state,
                                                  "starting", "kvm", 0u, fake->vms[i].path);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int on_get(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        bool by_cid = str_eq(sd_bus_message_get_member(m), "GetVmByCid");
        const char *name = "";
        Fake *fake = userdata;
        uint32_t cid = 0;
        FakeVm *vm;
        int r = by_cid ? sd_bus_message_read(m, "u", &cid) : sd_bus_message_read(m, "s", &name);

        if (r < 0)
                return r;
        vm = !by_cid                                             ? find_by_name(fake, name)
             : cid >= FIRST_CID && cid - FIRST_CID < fake->n_vms ? &fake->vms[cid - FIRST_CID]
                                                                 : NULL;
        if (!vm)
                return sd_bus_error_set(error, VIVARIUM_ERROR_NO_SUCH_VM, "no such VM");
        return sd_bus_reply_method_return(m, "o", vm->path);
}

static int on_check(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *config;
        int r = sd_bus_message_read(m, "s", &config);

        if (r < 0)
                return r;
        if (strstr(config, "\"wrong\""))
                return sd_bus_error_set(error, VIVARIUM_ERROR_INVALID_CONFIG, "wrong: unknown key");
        return sd_bus_reply_method_return(m, "s", config);
}

static int on_capabilities(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return sd_bus_reply_method_return(m, "a{sv}", 3, "hypervisors", "a{sa{sv}}", 2, "kvm", 2,
                                          "available", "b", 1, "reason", "s", "", "soft", 2,
                                          "available", "b", 0, "reason", "s", "not in this version",
                                          "cpus", "u", 4u, "devices", "as", 2, "disk", "console");
}

static const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("CreateVm", "sa{sh}a{sv}", "o", on_create, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ListVms", "", "a(susssuo)", on_list, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("GetVm", "s", "o", on_get, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("GetVmByCid", "u", "o", on_get, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("CheckConfig", "sa{sh}", "s", on_check, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("GetCapabilities", "", "a{sv}", on_capabilities, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static int publish(Fake *fake, const char *bus_address) {
        int r = sd_bus_new(&fake->bus);

        if (r >= 0)
                r = sd_bus_set_address(fake->bus, bus_address);
        if (r >= 0)
                r = sd_bus_set_bus_client(fake->bus, true);
        if (r >= 0)
                r = sd_bus_negotiate_fds(fake->bus, true);
        if (r >= 0)
                r = sd_bus_start(fake->bus);
        if (r >= 0)
                r = sd_bus_add_object_vtable(fake->bus, NULL, VIVARIUM_MANAGER_PATH,
                                             VIVARIUM_MANAGER_INTERFACE, manager_vtable, fake);
        if (r >= 0)
                r = sd_bus_add_fallback_vtable(fake->bus, NULL, VIVARIUM_VM_PATH_PREFIX,
                                               VIVARIUM_VM_INTERFACE, vm_vtable, find_object, fake);
        return r < 0 ? r : sd_bus_request_name(fake->bus, VIVARIUM_BUS_NAME, 0);
}

/**
 * fake_vivariumd_run() - serve until the bus goes away or a VM named "vanish" is started
 * @ready_fd: gets one byte once the name is owned; borrowed
 *
 * Return: 0 or negative errno.
 */
int fake_vivariumd_run(const char *bus_address, int ready_fd) {
        Fake fake = {0};
        int r = publish(&fake, bus_address);

        if (r >= 0)
                r = fd_write_all(ready_fd, "r", 1);
        while (r >= 0 && !fake.leave) {
                r = sd_bus_process(fake.bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(fake.bus, UINT64_MAX);
        }
        sd_bus_flush_close_unref(fake.bus);
        return r < 0 ? r : 0;
}
