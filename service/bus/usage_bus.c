/* SPDX-License-Identifier: Apache-2.0 */
#include "service/bus/bus_internal.h"

static int append_usage(sd_bus_message *reply, const Vm *vm) {
        const VmInfo *info = vm_info(vm);
        const Usage *usage = &info->usage;
        VmBusPath path;

        return sd_bus_message_append(reply, "(osuttttttt)", vm_bus_path(vm, &path), info->name,
                                     info->n_vcpus, info->memory_bytes, usage->guest_cpu_usec,
                                     usage->rss_guest_bytes, usage->rss_vmm_bytes,
                                     info->balloon_bytes, info->started_monotonic_usec,
                                     usage->sampled_usec);
}

/**
 * manager_bus_get_usage() - Manager.GetUsage()
 *
 * Answers with what is known and reads nothing itself: each VM is sampled in a turn of the loop of its own, so that a
 * thousand of them delay nobody.
 */
int manager_bus_get_usage(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        BusService *service = userdata;
        const GateSight sight = gate_look(service->gate, message);
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(message, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(osuttttttt)");
        for (Vm *vm = manager_first_vm(service->manager); vm && r >= 0;
             vm = manager_next_vm(service->manager, vm)) {
                if (vm_info(vm)->state != VM_RUNNING || !gate_sees(&sight, vm_info(vm)->owner_uid))
                        continue;
                r = append_usage(reply, vm);
                vm_sample_soon(vm);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}
