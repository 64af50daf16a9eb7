/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* PropertiesChanged signals, one per object and turn of the event loop however much changes in it. */

#include <systemd/sd-bus.h>

#include "base/cleanup.h"
#include "service/vm/vm.h"

typedef struct Changed Changed;

/* Groups of properties of the manager. */
typedef enum ManagerChange {
        MANAGER_CHANGED_COUNT = 1 << 0,
        MANAGER_CHANGED_HYPERVISOR = 1 << 1,
        MANAGER_CHANGED_DRAINING = 1 << 2,
} ManagerChange;

int changed_new(sd_bus *bus, sd_event *event, Changed **ret);
Changed *changed_free(Changed *changed);
DEFINE_CLEANUP(Changed *, changed_free)

void changed_mark_vm(Changed *changed, const Vm *vm, unsigned changes);
void changed_mark_manager(Changed *changed, unsigned changes);
void changed_flush_vm(Changed *changed, const Vm *vm);
void changed_forget_vm(Changed *changed, const Vm *vm);
void changed_flush(Changed *changed);
