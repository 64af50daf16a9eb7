/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include "base/log.h"
#include "service/journal/journal.h"
#include "service/manager/internal.h"
#include "service/vm/fields.h"

/*
 * The end of a VM is told: to the bus, the history, the journal; again, if the bus had no memory for it, or if an earlier
 * daemon was killed while it told it.
 */

/* Of each long text in a record of the history. */
#define HISTORY_TEXT_BYTES_MAX 4096u

static void keep_record(Manager *manager, const Vm *vm) {
        const VmInfo *info = vm_info(vm);
        _cleanup_(fields_deinit) Fields fields = {0};
        int r;

        vm_info_to_fields(info, &info->record.stop, HISTORY_TEXT_BYTES_MAX, &fields);
        r = history_add(manager->history_log, &fields);
        if (r < 0)
                log_line(LOG_LEVEL_WARNING, info->name, "add to the history: %s, ignoring",
                         strerror(-r));
}

/* Return: whether the bus knows of the end now; if not, it is tried again. */
static bool tell_bus(Manager *manager, Vm *vm) {
        int r = 0;

        if (manager->observer.ended)
                r = manager->observer.ended(manager->observer.userdata, vm);
        if (r < 0)
                manager_try_again(manager);
        return r >= 0;
}

/*
 * manager_tell_death() - to the bus, the history and the journal
 * @again: an earlier daemon was killed while it did this; the history gets each record once all the same
 *
 * The state file has the record already. The bus comes first, for who waits there shall not wait for a disk; whoever then
 * asks for the history is answered after this. Told, then marked as told: told twice is better than never.
 */
void manager_tell_death(Manager *manager, Vm *vm, bool again) {
        const bool told = tell_bus(manager, vm);

        if (!again || !history_has(manager->history_log, vm_info(vm)->id))
                keep_record(manager, vm);
        journal_death(vm_info(vm), manager->journal);
        totals_count_death(&manager->totals, &vm_info(vm)->record);
        if (told)
                vm_died_was_told(vm);
}

/* manager_on_again() - what there was no memory for: deaths that the bus was not told of, state that was not written */
int manager_on_again(sd_event_source *source, uint64_t usec, void *userdata) {
        Manager *manager = userdata;
        Entry *entry;

        TAILQ_FOREACH(entry, &manager->all, all) {
                if (vm_state_is_final(vm_info(entry->vm)->state) && !vm_death_is_told(entry->vm)) {
                        if (!tell_bus(manager, entry->vm))
                                continue;
                        vm_died_was_told(entry->vm);
                        if (entry->orphan)
                                manager_doom(manager, entry);
                } else if (!vm_is_saved(entry->vm) && !entry->doomed)
                        vm_save(entry->vm);
        }
        return 0;
}

/* manager_try_again() - see manager_on_again(); takes no memory */
void manager_try_again(Manager *manager) {
        int r = sd_event_source_set_time_relative(manager->again, MANAGER_AGAIN_USEC);

        if (r >= 0)
                r = sd_event_source_set_enabled(manager->again, SD_EVENT_ONESHOT);
        if (r < 0)
                log_error("set a timer to try again: %s", strerror(-r));
}

/* manager_vm_ended() - the VM is in the history now, and the oldest may have to leave it */
void manager_vm_ended(Manager *manager, Vm *vm) {
        Entry *entry = vm_holder(vm);

        assert(entry);
        if (!vm_has_dir(vm))
                manager_release_cid(manager, entry, vm_info(vm)->cid);
        TAILQ_INSERT_TAIL(&manager->history, entry, history);
        manager->n_history++;
        /* Before it is doomed, for the bus finds it no more from then on. */
        manager_tell_death(manager, vm, /* again= */ false);
        manager_forget_oldest(manager, vm_info(vm)->owner_uid);
        if (entry->orphan && vm_death_is_told(vm))
                manager_doom(manager, entry);
        manager_check_drained(manager);
}

/**
 * manager_read_history() - tell @listener of the deaths that are kept, of VMs that are gone too, in fields as of vm/fields.h
 *
 * Return: as history_read_all().
 */
int manager_read_history(Manager *manager, const HistoryListener *listener, HistoryReader **ret) {
        return history_read_all(manager->history_log, listener, ret);
}
