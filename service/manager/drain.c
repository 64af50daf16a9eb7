/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "service/manager/internal.h"
#include "service/store/state_file.h"

/*
 * The end of the daemon is not the end of its VMs. Who wants the host empty says so: from then on there is no new VM,
 * those that there are stop, and it stays so until it is cancelled or the host boots, whatever becomes of the daemon.
 */

/* manager_check_drained() - answer who waits for the last VM's end, if that was it */
void manager_check_drained(Manager *manager) {
        DrainWaiter *waiter;

        if (!manager->draining || manager_n_active(manager) > 0)
                return;
        while ((waiter = TAILQ_FIRST(&manager->drained))) {
                DrainWaiter own = *waiter;

                TAILQ_REMOVE(&manager->drained, waiter, link);
                free(waiter);
                own.done(own.userdata, 0);
        }
}

static void save_draining(const Manager *manager) {
        const Fields none = {0};
        int r = 0;

        if (manager->draining)
                r = state_file_save_fields(manager->env.state_dir, DRAINING_FILE, &none,
                                           /* sync= */ true);
        else if (unlinkat(manager->env.state_dir, DRAINING_FILE, 0) < 0 && errno != ENOENT)
                r = -errno;
        if (r < 0)
                log_warning("write that the host is %sdrained: %s, ignoring",
                            manager->draining ? "" : "no longer ", strerror(-r));
}

static void end_vm(Vm *vm, const StopRequest *by, bool gently) {
        int r = gently ? vm_terminate(vm, by) : vm_kill(vm, by, NULL, NULL, NULL);

        if (r < 0)
                log_line(LOG_LEVEL_ERROR, vm_info(vm)->name, "end it: %s", strerror(-r));
}

static int on_patience_ended(sd_event_source *source, uint64_t usec, void *userdata) {
        Manager *manager = userdata;
        Entry *entry;

        manager->patience = sd_event_source_disable_unref(manager->patience);
        TAILQ_FOREACH(entry, &manager->all, all)
        if (vm_is_active(entry->vm))
                end_vm(entry->vm, &manager->drained_by, /* gently= */ false);
        return 0;
}

static int start_patience(Manager *manager, usec_t timeout_usec) {
        int r;

        manager->patience = sd_event_source_disable_unref(manager->patience);
        r = sd_event_add_time_relative(manager->env.event, &manager->patience, CLOCK_MONOTONIC,
                                       timeout_usec, /* accuracy= */ 0, on_patience_ended, manager);
        return r < 0 ? r : 0;
}

/**
 * manager_drain() - end all VMs and take no new ones
 * @by:           recorded with each
 * @timeout_usec: how long the VMMs have to stop by themselves, after SIGTERM; then, and with 0 at once, SIGKILL
 * @done:         called when no VM has a process any more, perhaps before this returns
 *
 * Return: 0 or negative errno, with nothing changed.
 */
int manager_drain(Manager *manager, const StopRequest *by, usec_t timeout_usec,
                  ManagerDrainedFn done, void *userdata) {
        DrainWaiter *waiter = malloc(sizeof(*waiter));
        Entry *entry;
        int r;

        if (!waiter)
                return -ENOMEM;
        r = timeout_usec > 0 ? start_patience(manager, timeout_usec) : 0;
        if (r < 0) {
                free(waiter);
                return r;
        }
        *waiter = (DrainWaiter){.done = done, .userdata = userdata};
        TAILQ_INSERT_TAIL(&manager->drained, waiter, link);
        manager->draining = true;
        manager->drained_by = *by;
        save_draining(manager);
        log_notice("draining: %u VMs are active", manager_n_active(manager));
        TAILQ_FOREACH(entry, &manager->all, all)
        if (vm_is_active(entry->vm))
                end_vm(entry->vm, by, timeout_usec > 0);
        manager_check_drained(manager);
        return 0;
}

/** manager_cancel_drain() - take new VMs again; those that were asked to end do so, who waits for it hears -ECANCELED */
void manager_cancel_drain(Manager *manager) {
        DrainWaiter *waiter;

        manager->patience = sd_event_source_disable_unref(manager->patience);
        manager->draining = false;
        save_draining(manager);
        while ((waiter = TAILQ_FIRST(&manager->drained))) {
                DrainWaiter own = *waiter;

                TAILQ_REMOVE(&manager->drained, waiter, link);
                free(waiter);
                own.done(own.userdata, -ECANCELED);
        }
}

/** manager_is_draining() - whether new VMs are refused */
bool manager_is_draining(const Manager *manager) {
        return manager->draining;
}
