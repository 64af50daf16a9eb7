/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "service/manager/internal.h"

/*
 * Guests whose config says so give up memory when the host is short of it, and get it back step by step. The kernel tells
 * of pressure; that it is gone nobody tells, so as long as guests are asked for something a timer looks each interval.
 */

static void apply(Manager *manager, bool rising) {
        const TrimLevel level = manager->trim.level;
        Entry *entry;

        log_info("the host's memory pressure %s: guests that follow it are trimmed to level %s",
                 rising ? "rises" : "falls", trim_level_to_string(level));
        TAILQ_FOREACH(entry, &manager->all, all)
        vm_follow_pressure(entry->vm, level, rising);
}

static bool any_is_trimmed(const Manager *manager) {
        const Entry *entry;

        TAILQ_FOREACH(entry, &manager->all, all)
        if (vm_is_trimmed(entry->vm))
                return true;
        return false;
}

static void look_again(Manager *manager) {
        int r;

        if (manager->trim.level == TRIM_NONE && !any_is_trimmed(manager))
                return;
        r = sd_event_source_set_time_relative(manager->relax, manager->trim.interval_usec);
        if (r >= 0)
                r = sd_event_source_set_enabled(manager->relax, SD_EVENT_ONESHOT);
        if (r < 0)
                log_warning("look at the host's memory pressure again: %s, ignoring", strerror(-r));
}

static void on_pressure(void *userdata, const PressureReading *reading) {
        Manager *manager = userdata;

        if (!trim_policy_press(&manager->trim, clock_monotonic_usec(), reading->full))
                return;
        apply(manager, /* rising= */ true);
        look_again(manager);
}

static int on_relax(sd_event_source *source, uint64_t usec, void *userdata) {
        Manager *manager = userdata;
        PressureReading reading = {0}; /* nobody waits, as far as is known */

        if (manager->pressure)
                (void) pressure_read(manager->pressure, &reading);
        /* At the bottom: a guest that did not hear it the last time is to have its memory, too. */
        if (manager->trim.level == TRIM_NONE
                    ? any_is_trimmed(manager)
                    : trim_policy_relax(&manager->trim, clock_monotonic_usec(), reading.some))
                apply(manager, /* rising= */ false);
        look_again(manager);
        return 0;
}

/* manager_watch_pressure() - a host that does not tell of it is none the worse. Return: 0 or negative errno. */
int manager_watch_pressure(Manager *manager) {
        int r;

        manager->trim = (TrimPolicy){.interval_usec = manager->config.trim_interval_usec};
        r = sd_event_add_time_relative(manager->env.event, &manager->relax, CLOCK_MONOTONIC, 0,
                                       USEC_PER_SEC, on_relax, manager);
        if (r >= 0)
                r = sd_event_source_set_enabled(manager->relax, SD_EVENT_OFF);
        if (r < 0)
                return r;
        manager->pressure_error = pressure_new(manager->env.event, manager->config.pressure_path,
                                               on_pressure, manager, &manager->pressure);
        if (manager->pressure_error < 0)
                log_info("the host does not tell of its memory pressure: %s: %s, ignoring",
                         manager->config.pressure_path, strerror(-manager->pressure_error));
        return 0;
}

/* manager_adopt_trimmed() - guests that an earlier daemon asked for memory get it back step by step */
void manager_adopt_trimmed(Manager *manager) {
        if (!any_is_trimmed(manager))
                return;
        manager->trim.level = TRIM_CRITICAL;
        manager->trim.decided_usec = clock_monotonic_usec();
        look_again(manager);
}

/** manager_pressure_error() - why guests do not follow the host's pressure. Return: 0: they do; negative errno. */
int manager_pressure_error(const Manager *manager) {
        return manager->pressure_error;
}
