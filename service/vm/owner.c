/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/random.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "service/vm/internal.h"

/*
 * A VM goes from one owner to another by a token: who owns it has one made and gives it to whom it likes, and who comes
 * with it is the owner from then on. So nobody becomes the owner of what it did not ask for, and nobody loses what it did
 * not give.
 */

/**
 * vm_offer() - let whoever comes with a token have @vm
 * @to:        the only user who may; VM_OFFER_TO_ALL for any
 * @ret_token: borrowed, until the next offer
 *
 * An offer takes the place of the one before it. Return: 0; SERVICE_E_INVALID_TRANSITION for a VM that has ended; negative
 * errno.
 */
int vm_offer(Vm *vm, uid_t to, const char **ret_token, TextError *reterr) {
        uint8_t random[VM_TOKEN_BYTES];

        if (vm_state_is_final(vm->info.state))
                return text_error_set(reterr, SERVICE_E_INVALID_TRANSITION,
                                      "offer VM \"%s\": it is %s", vm->info.name,
                                      vm_state_to_string(vm->info.state));
        if (getrandom(random, sizeof(random), GRND_NONBLOCK) != (ssize_t) sizeof(random))
                return text_error_set(reterr, -EAGAIN, "offer VM \"%s\": no random bytes yet",
                                      vm->info.name);
        for (size_t i = 0; i < sizeof(random); i++)
                (void) snprintf(vm->offer.token + 2 * i, 3, "%02x", random[i]);
        vm->offer.to = to;
        *ret_token = vm->offer.token;
        return 0;
}

/** vm_is_offered() - whether @token is that of an offer of @vm to @uid */
bool vm_is_offered(const Vm *vm, const char *token, uid_t uid) {
        return vm->offer.token[0] && str_eq(vm->offer.token, token) &&
               (vm->offer.to == VM_OFFER_TO_ALL || vm->offer.to == uid);
}

/**
 * vm_set_owner() - from now on it is this connection whose end is that of @vm, unless @detached
 *
 * No offer stands after it. Return: 0; -ENOMEM, and all is as it was.
 */
int vm_set_owner(Vm *vm, const VmOwner *owner, bool detached) {
        char *bus_name = strdup(owner->bus_name), *bus_id = strdup(vm->env->bus_id);

        if (!bus_name || !bus_id) {
                free(bus_name);
                free(bus_id);
                return -ENOMEM;
        }
        free(vm->info.owner_bus_name);
        free(vm->info.owner_bus_id);
        vm->info.owner_bus_name = bus_name;
        vm->info.owner_bus_id = bus_id;
        vm->info.owner_uid = owner->uid;
        vm->info.owner_pid = (uint32_t) owner->pid;
        vm->info.detached = detached;
        vm->offer = (VmOffer){0};
        vm_save(vm);
        vm->env->changed(vm->env->userdata, vm, VM_CHANGED_OWNER);
        return 0;
}
