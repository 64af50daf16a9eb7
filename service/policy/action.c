/* SPDX-License-Identifier: Apache-2.0 */
#include "service/policy/action.h"

#include <stddef.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "dbus/names.h"

#define ACTION_ID(word) "org.vivarium.vm1." word

static const char *const ids[] = {
        [ACTION_MANAGE] = ACTION_ID("manage"),
        [ACTION_USE_CUSTOM] = ACTION_ID("use-custom"),
        [ACTION_DEBUG] = ACTION_ID("debug"),
        [ACTION_NETWORK] = ACTION_ID("network"),
        [ACTION_ASSIGN_DEVICES] = ACTION_ID("assign-devices"),
        [ACTION_INSPECT] = ACTION_ID("inspect"),
        [ACTION_ADMINISTER] = ACTION_ID("administer"),
};

/** action_to_id() - the name that polkit knows */
const char *action_to_id(Action action) {
        return ids[action];
}

/** action_to_word() - the last part of that name */
const char *action_to_word(Action action) {
        return ids[action] + sizeof(ACTION_ID("")) - 1;
}

/* A method of the manager that is not here needs ACTION_ADMINISTER; a test compares the list with the contract. */
static const CallRule rules[] = {
        {VIVARIUM_MANAGER_INTERFACE, "CreateVm", NEED_ACTION, ACTION_MANAGE, true},
        {VIVARIUM_MANAGER_INTERFACE, "TakeOwnership", NEED_ACTION, ACTION_MANAGE, true},
        {VIVARIUM_MANAGER_INTERFACE, "AllocateInstanceId", NEED_ACTION, ACTION_MANAGE, false},
        {VIVARIUM_MANAGER_INTERFACE, "CheckConfig", NEED_ACTION, ACTION_MANAGE, false},
        {VIVARIUM_MANAGER_INTERFACE, "GetAssignableDevices", NEED_ACTION, ACTION_USE_CUSTOM, false},
        {VIVARIUM_MANAGER_INTERFACE, "GetMetrics", NEED_SIGHT, 0, false},
        {VIVARIUM_MANAGER_INTERFACE, "GetUsage", NEED_SIGHT, 0, false},
        {VIVARIUM_MANAGER_INTERFACE, "ListVms", NEED_SIGHT, 0, false},
        {VIVARIUM_MANAGER_INTERFACE, "GetVm", NEED_SIGHT, 0, false},
        {VIVARIUM_MANAGER_INTERFACE, "GetVmByCid", NEED_SIGHT, 0, false},
        {VIVARIUM_MANAGER_INTERFACE, "GetVmByPid", NEED_SIGHT, 0, false},
        {VIVARIUM_MANAGER_INTERFACE, "GetHistory", NEED_SIGHT, 0, false},
        {VIVARIUM_MANAGER_INTERFACE, "GetCapabilities", NEED_NOTHING, 0, false},
        {VIVARIUM_MANAGER_INTERFACE, "ProbeCapabilities", NEED_ACTION, ACTION_MANAGE, true},
        {VIVARIUM_MANAGER_INTERFACE, "Drain", NEED_ACTION, ACTION_ADMINISTER, true},
        {VIVARIUM_MANAGER_INTERFACE, "CancelDrain", NEED_ACTION, ACTION_ADMINISTER, true},
        {"org.freedesktop.DBus.ObjectManager", "GetManagedObjects", NEED_SIGHT, 0, false},
        {"org.freedesktop.DBus.Properties", "Get", NEED_NOTHING, 0, false},
        {"org.freedesktop.DBus.Properties", "GetAll", NEED_NOTHING, 0, false},
        {"org.freedesktop.DBus.Introspectable", "Introspect", NEED_NOTHING, 0, false},
        {"org.freedesktop.DBus.Peer", "Ping", NEED_NOTHING, 0, false},
        {"org.freedesktop.DBus.Peer", "GetMachineId", NEED_NOTHING, 0, false},
};

/**
 * action_find_rule() - what a call on an object other than a VM needs
 *
 * Return: NULL for a call that is not known, and that only an administrator may make.
 */
const CallRule *action_find_rule(const char *interface, const char *member) {
        for (size_t i = 0; i < ELEMENTSOF(rules); i++)
                if (str_eq(rules[i].interface, interface) && str_eq(rules[i].member, member))
                        return &rules[i];
        return NULL;
}

/**
 * action_vm_call_is_reading() - whether a call on a VM object only looks: its owner may make any, others need
 * ACTION_INSPECT for these and ACTION_ADMINISTER for the rest
 */
bool action_vm_call_is_reading(const char *interface) {
        return str_eq(interface, "org.freedesktop.DBus.Properties") ||
               str_eq(interface, "org.freedesktop.DBus.Introspectable") ||
               str_eq(interface, "org.freedesktop.DBus.Peer");
}

/** action_set_for_config() - what it takes, besides ACTION_MANAGE, to have a VM of this config; bits of Action */
unsigned action_set_for_config(const VmConfig *config) {
        /* As in Android: what this contract takes are raw configs, whose kernel nobody vouches for. */
        unsigned set = 1u << ACTION_USE_CUSTOM;

        if (config->debug_level == VM_DEBUG_FULL || config->gdb_port > 0)
                set |= 1u << ACTION_DEBUG;
        if (config->devices.n > 0)
                set |= 1u << ACTION_ASSIGN_DEVICES;
        /* Where a type that was left open comes to an interface is the service's to say. */
        for (size_t i = 0; i < config->n_networks; i++)
                if (config->networks[i].type != VM_NETWORK_USER)
                        set |= 1u << ACTION_NETWORK;
        return set;
}
