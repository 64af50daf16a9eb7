/* SPDX-License-Identifier: Apache-2.0 */
#include "service/unit/scope.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

#define SYSTEMD_NAME "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER "org.freedesktop.systemd1.Manager"
#define UNIT_EXISTS "org.freedesktop.systemd1.UnitExists"
#define SLICE "vivarium.slice"

struct ScopeJob {
        Scopes *scopes;    /* borrowed */
        ScopeJob **place;  /* borrowed; where its owner has it, emptied when it goes */
        sd_bus_slot *call; /* owned; until systemd has answered */
        char *path;        /* owned; of systemd's job, from then on */
        ScopeMadeFn made;
        void *userdata; /* borrowed */
        TAILQ_ENTRY(ScopeJob) link;
};

struct Scopes {
        sd_bus *bus;              /* borrowed; outlives the scopes */
        sd_bus_slot *job_removed; /* owned */
        Machined *machined;       /* owned; NULL unless available */
        bool available;
        TAILQ_HEAD(, ScopeJob) jobs;
};

/** scope_job_forget() - its callback is not called any more; the scope may still come to be. Return: NULL. */
ScopeJob *scope_job_forget(ScopeJob *job) {
        if (!job)
                return NULL;
        *job->place = NULL;
        TAILQ_REMOVE(&job->scopes->jobs, job, link);
        (void) sd_bus_slot_unref(job->call);
        free(job->path);
        free(job);
        return NULL;
}

static void finish(ScopeJob *job, int r, const char *message) {
        ScopeMadeFn made = job->made;
        void *userdata = job->userdata;

        (void) scope_job_forget(job);
        made(userdata, r, message);
}

static int on_job_removed(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        const char *path, *unit, *result;
        char text[256];
        Scopes *scopes = userdata;
        ScopeJob *job;
        uint32_t id;

        if (sd_bus_message_read(message, "uoss", &id, &path, &unit, &result) < 0)
                return 0;
        TAILQ_FOREACH(job, &scopes->jobs, link) {
                if (!job->path || !str_eq(job->path, path))
                        continue;
                (void) snprintf(text, sizeof(text), "systemd's job for %.80s: %.80s", unit, result);
                finish(job, str_eq(result, "done") ? 0 : -EIO, text);
                break;
        }
        return 0;
}

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        const sd_bus_error *error = sd_bus_message_get_error(reply);
        _cleanup_(freep) char *text = NULL;
        ScopeJob *job = userdata;
        const char *path;

        job->call = sd_bus_slot_unref(job->call);
        /* An earlier daemon asked for it, and was killed before it could go on. */
        if (error && error->name && str_eq(error->name, UNIT_EXISTS)) {
                finish(job, 0, NULL);
                return 0;
        }
        if (error) {
                if (asprintf(&text, "systemd makes no scope: %s", error->message) < 0)
                        text = NULL;
                finish(job, -sd_bus_error_get_errno(error), text ? text : "no memory");
                return 0;
        }
        if (sd_bus_message_read(reply, "o", &path) < 0 || !(job->path = strdup(path)))
                finish(job, -EIO, "systemd's answer cannot be read");
        return 0;
}

static int append_number(sd_bus_message *call, const char *name, uint64_t value) {
        return value == 0 ? 0 : sd_bus_message_append(call, "(sv)", name, "t", value);
}

static int append_properties(sd_bus_message *call, const ScopeSpec *spec) {
        const VmLimits *limits = spec->limits;
        const struct {
                const char *name;
                uint64_t value;
        } numbers[] = {{"MemoryMax", limits->memory_max_mib << 20},
                       {"MemoryHigh", limits->memory_high_mib << 20},
                       {"CPUWeight", limits->cpu_weight},
                       {"CPUQuotaPerSecUSec", limits->cpu_quota_percent * (USEC_PER_SEC / 100)},
                       {"IOWeight", limits->io_weight},
                       {"TasksMax", limits->tasks_max}};
        _cleanup_(freep) char *description = NULL;
        int r;

        if (asprintf(&description, "Virtual machine %s", spec->name) < 0) {
                description = NULL;
                return -ENOMEM;
        }
        r = sd_bus_message_open_container(call, 'a', "(sv)");
        if (r < 0)
                return r;
        r = sd_bus_message_append(call, "(sv)(sv)(sv)(sv)(sv)", "Description", "s", description,
                                  "Slice", "s", SLICE, "CollectMode", "s", "inactive-or-failed",
                                  "MemoryAccounting", "b", true, "PIDs", "au", 1,
                                  (uint32_t) spec->pid);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(numbers); i++)
                r = append_number(call, numbers[i].name, numbers[i].value);
        return r < 0 ? r : sd_bus_message_close_container(call);
}

static int make_call(Scopes *scopes, const ScopeSpec *spec, sd_bus_message **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        int r;

        r = sd_bus_message_new_method_call(scopes->bus, &call, SYSTEMD_NAME, SYSTEMD_PATH,
                                           SYSTEMD_MANAGER, "StartTransientUnit");
        if (r >= 0)
                r = sd_bus_message_append(call, "ss", spec->unit, "fail");
        if (r >= 0)
                r = append_properties(call, spec);
        if (r >= 0)
                r = sd_bus_message_append(call, "a(sa(sv))", 0);
        if (r >= 0)
                *ret = TAKE(call);
        return r;
}

/**
 * scope_make() - put a process into a scope of its own
 * @ret: the job, to be forgotten if its owner goes; owned by this module, which empties the place when it is over
 *
 * Return: 0, and @made will be called; negative errno.
 */
int scope_make(Scopes *scopes, const ScopeSpec *spec, ScopeMadeFn made, void *userdata,
               ScopeJob **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        ScopeJob *job;
        int r;

        r = make_call(scopes, spec, &call);
        if (r < 0)
                return r;
        job = malloc(sizeof(*job));
        if (!job)
                return -ENOMEM;
        *job = (ScopeJob){.scopes = scopes, .made = made, .userdata = userdata, .place = ret};
        *ret = job;
        TAILQ_INSERT_TAIL(&scopes->jobs, job, link);
        r = sd_bus_call_async(scopes->bus, &job->call, call, on_answer, job, 0);
        if (r < 0) {
                (void) scope_job_forget(job);
                return r;
        }
        return 0;
}

static int has_owner(sd_bus *bus, const char *name, bool *ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int has = 0, r;

        r = sd_bus_call_method(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                               "org.freedesktop.DBus", "NameHasOwner", NULL, &reply, "s", name);
        if (r >= 0)
                r = sd_bus_message_read(reply, "b", &has);
        *ret = has;
        return r < 0 ? r : 0;
}

/**
 * scopes_new() - find out whether the bus has a systemd that makes scopes
 * @bus: borrowed; not attached to an event loop yet
 *
 * Return: 0 or negative errno.
 */
int scopes_new(sd_bus *bus, Scopes **ret) {
        _cleanup_(scopes_freep) Scopes *scopes = calloc(1, sizeof(*scopes));
        int r;

        if (!scopes)
                return -ENOMEM;
        scopes->bus = bus;
        TAILQ_INIT(&scopes->jobs);
        r = has_owner(bus, SYSTEMD_NAME, &scopes->available);
        if (r < 0)
                return r;
        if (scopes->available) {
                r = sd_bus_match_signal(bus, &scopes->job_removed, SYSTEMD_NAME, SYSTEMD_PATH,
                                        SYSTEMD_MANAGER, "JobRemoved", on_job_removed, scopes);
                if (r >= 0)
                        r = machined_new(bus, &scopes->machined);
        } else
                log_info("no systemd on the bus: VMs run in the service's own cgroup, without "
                         "limits");
        if (r < 0)
                return r;
        *ret = TAKE(scopes);
        return 0;
}

/** scopes_free() - forget all jobs, whose scopes stay. @scopes may be NULL. Return: NULL. */
Scopes *scopes_free(Scopes *scopes) {
        ScopeJob *job;

        if (!scopes)
                return NULL;
        while ((job = TAILQ_FIRST(&scopes->jobs)))
                (void) scope_job_forget(job);
        (void) sd_bus_slot_unref(scopes->job_removed);
        (void) machined_free(scopes->machined);
        free(scopes);
        return NULL;
}

/** scopes_available() - whether systemd is there to make them */
bool scopes_available(const Scopes *scopes) {
        return scopes->available;
}

/** scopes_machined() - the register of what runs in scopes; borrowed; NULL where there are none */
Machined *scopes_machined(const Scopes *scopes) {
        return scopes->machined;
}
