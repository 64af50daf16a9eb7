/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "service/manager/internal.h"

/* Whether one more VM may be, what it is called, and which CID it has. */

static int check_hypervisor(const Manager *manager, VmmHypervisor hypervisor, TextError *reterr) {
        const HypervisorProbe *probe = capabilities_hypervisor(manager->capabilities, hypervisor);

        /* Before the probe is over there is nothing to refuse by; the VMM itself would refuse. */
        if (!probe || !capabilities_known(manager->capabilities) || probe->available)
                return 0;
        return text_error_set(reterr, SERVICE_E_UNSUPPORTED,
                              "create VM: hypervisor \"%s\" is not available: %s",
                              request_hypervisor_to_string(hypervisor), probe->reason);
}

/* A limit that nobody enforces is none; who asks for one is told so. */
static int check_limits(const Manager *manager, const VmLimits *limits, TextError *reterr) {
        bool systemd = manager->env.scopes && scopes_available(manager->env.scopes);

        if (systemd || memcmp(limits, &(VmLimits){0}, sizeof(*limits)) == 0)
                return 0;
        return text_error_set(reterr, SERVICE_E_UNSUPPORTED,
                              "create VM: limits: this service's bus has no systemd to hold the VM "
                              "to them");
}

/* What "auto" comes to, once that is known, so that a VM's properties say what it runs on. */
static VmmHypervisor resolve_hypervisor(const Manager *manager, VmmHypervisor hypervisor) {
        static const VmmHypervisor order[] = {VMM_HYPERVISOR_KVM, VMM_HYPERVISOR_SOFT};

        if (hypervisor != VMM_HYPERVISOR_AUTO || !capabilities_known(manager->capabilities))
                return hypervisor;
        for (size_t i = 0; i < ELEMENTSOF(order); i++)
                if (capabilities_hypervisor(manager->capabilities, order[i])->available)
                        return order[i];
        return hypervisor; /* the VMM says why there is none */
}

/* manager_name_is_taken() - by a living VM; each owner has names of its own */
bool manager_name_is_taken(const Manager *manager, uid_t owner, const char *name) {
        const Vm *other = manager_find_name(manager, owner, name);

        return other && !vm_state_is_final(vm_info(other)->state);
}

/* Whether one more VM called @name, if it has one, may exist. */
static int check_room(const Manager *manager, const VmRequest *request, const char *name,
                      uid_t owner, TextError *reterr) {
        if (manager->n_vms - manager->n_history >= manager->config.vms_max)
                return text_error_set(reterr, SERVICE_E_QUOTA_EXCEEDED,
                                      "create VM: there are %u, which is the limit of the host "
                                      "(--max-vms= of vivariumd(8))",
                                      manager->config.vms_max);
        if (name && manager_name_is_taken(manager, owner, name))
                return text_error_set(reterr, SERVICE_E_NAME_TAKEN,
                                      "create VM: the name \"%s\" is that of a living VM", name);
        return manager_check_quota(manager, request, owner, reterr);
}

static bool cid_is_free(void *userdata, uint32_t cid) {
        Manager *manager = userdata;

        return cid_probe_is_free(&manager->cid_probe, cid);
}

/* A VM without a name is called after its CID; one after which somebody called a VM of his own is passed over. */
static int take_cid(Manager *manager, uid_t owner, bool named, uint32_t *ret) {
        char name[sizeof(VM_NAME_BY_CID) + 10];
        uint32_t cid;

        for (uint32_t i = CID_MIN; i <= CID_MAX; i++) {
                if (id_pool_take(&manager->cids, cid_is_free, manager, &cid) != 0)
                        return ID_POOL_E_EXHAUSTED;
                (void) snprintf(name, sizeof(name), VM_NAME_BY_CID, cid);
                if (named || !manager_name_is_taken(manager, owner, name)) {
                        *ret = cid;
                        return 0;
                }
                id_pool_release(&manager->cids, cid);
        }
        return ID_POOL_E_EXHAUSTED;
}

/* Beside the history, so that numbers go on after a restart of the host, too. */
static void save_last_cid(const Manager *manager) {
        Fields fields = {0};
        int r;

        fields_set_u64(&fields, "LAST_CID", manager->cids.last);
        r = late_file_save(manager->last_cid, &fields);
        fields_deinit(&fields);
        if (r < 0)
                log_warning("write the last CID: %s, ignoring", strerror(-r));
}

/*
 * What serves a directory has the rights of this process's user. Whoever passes one shall not have more of it served than
 * its own rights reach.
 */
static int check_shares(const VmConfig *config, uid_t owner, TextError *reterr) {
        if (owner == geteuid())
                return 0;
        for (size_t i = 0; i < config->n_shares; i++)
                if (config->shares[i].path)
                        return text_error_set(
                                reterr, SERVICE_E_UNSUPPORTED,
                                "create VM: shared_paths[%zu].path: would be served with "
                                "the rights of user %u; serve it yourself and pass "
                                "its socket, or use the service of your own user",
                                i, geteuid());
        return 0;
}

/**
 * manager_create_vm() - a new VM in state "not-started"
 * @request: taken over on success
 * @ret:     borrowed; valid until the observer's removed()
 *
 * Return: 0; a SERVICE_E_* condition with its sentence; negative errno. Nothing remains of a failure.
 */
int manager_create_vm(Manager *manager, VmRequest *request, const VmOwner *owner, Vm **ret,
                      TextError *reterr) {
        const char *name = request->name ? request->name : request->config.name;
        _cleanup_(vm_freep) Vm *vm = NULL;
        Entry *entry;
        uint32_t cid;
        int r;

        if (manager->draining)
                return text_error_set(reterr, SERVICE_E_DRAINING,
                                      "create VM: this host is being drained");
        r = check_hypervisor(manager, request->hypervisor, reterr);
        if (r != 0)
                return r;
        r = check_shares(&request->config, owner->uid, reterr);
        if (r != 0)
                return r;
        request->hypervisor = resolve_hypervisor(manager, request->hypervisor);
        r = check_limits(manager, &request->config.limits, reterr);
        if (r == 0)
                r = manager_claim_devices(manager, request, reterr);
        if (r == 0)
                r = check_room(manager, request, name, owner->uid, reterr);
        if (r != 0)
                return r;
        r = take_cid(manager, owner->uid, name != NULL, &cid);
        if (r == ID_POOL_E_EXHAUSTED)
                return text_error_set(reterr, SERVICE_E_CID_EXHAUSTED,
                                      "create VM: all CIDs from %u to %u are taken, by VMs or by "
                                      "other programs",
                                      CID_MIN, CID_MAX);
        r = vm_new(&manager->env, request, cid, owner, &vm);
        if (r == 0)
                r = manager_insert(manager, vm, &entry);
        if (r < 0) {
                vm = vm ? vm_remove(vm) : NULL;
                id_pool_release(&manager->cids, cid);
                return text_error_set(reterr, r, "create VM: %s", strerror(-r));
        }
        save_last_cid(manager);
        vm_keep(vm);
        *ret = TAKE(vm);
        if (manager->observer.added)
                manager->observer.added(manager->observer.userdata, *ret);
        return 0;
}
