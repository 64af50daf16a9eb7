/* SPDX-License-Identifier: Apache-2.0 */
#include "dbus/client/usage.h"

#include <errno.h>
#include <string.h>

#include "dbus/client/errors.h"
#include "dbus/names.h"

#define MEMBERS 10u

/** usage_deinit() - release what it owns */
void usage_deinit(UsageLook *look) {
        (void) value_free(look->answer);
        free(look->rows);
        *look = (UsageLook){0};
}

static int read_row(const Value *entry, UsageRow *row) {
        uint64_t *const numbers[] = {&row->vcpus,        &row->memory_bytes, &row->cpu_usec,
                                     &row->guest_bytes,  &row->vmm_bytes,    &row->balloon_bytes,
                                     &row->started_usec, &row->sampled_usec};

        if (entry->type != VALUE_ARRAY || entry->n_members < MEMBERS ||
            entry->members[0]->type != VALUE_STRING || entry->members[1]->type != VALUE_STRING)
                return -EBADMSG;
        *row = (UsageRow){.path = entry->members[0]->string,
                          .name = entry->members[1]->string,
                          .cpu_percent = -1};
        for (size_t i = 0; i < ELEMENTSOF(numbers); i++) {
                if (entry->members[2 + i]->type != VALUE_UINT)
                        return -EBADMSG;
                *numbers[i] = entry->members[2 + i]->number;
        }
        return 0;
}

/**
 * usage_read() - the answer of GetUsage()
 * @answer: taken over on success
 *
 * Return: 0; -EBADMSG; -ENOMEM.
 */
int usage_read(Value *answer, UsageLook *ret) {
        _cleanup_(usage_deinit) UsageLook look = {0};

        look.rows = calloc(answer->n_members + 1, sizeof(*look.rows));
        if (!look.rows)
                return -ENOMEM;
        for (size_t i = 0; i < answer->n_members; i++)
                if (read_row(answer->members[i], &look.rows[look.n++]) < 0)
                        return -EBADMSG;
        look.answer = answer;
        *ret = look;
        look = (UsageLook){0};
        return 0;
}

/** usage_look() - ask the service; release with usage_deinit(). Return: 0; negative errno with @reterr set. */
int usage_look(Client *client, UsageLook *ret, TextError *reterr) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(value_freep) Value *answer = NULL;
        int r;

        r = client_new_call(client, VIVARIUM_MANAGER_PATH, VIVARIUM_MANAGER_INTERFACE, "GetUsage",
                            &call, reterr);
        if (r < 0)
                return r;
        r = client_send(client, call, &reply, &error);
        if (r < 0)
                return client_call_error(client, &error, r, "cannot ask what VMs use", reterr);
        r = client_read(reply, &answer, reterr);
        if (r < 0)
                return r;
        r = usage_read(answer, ret);
        if (r < 0)
                return text_error_set(reterr, r, "the service's answer cannot be read: %s",
                                      strerror(-r));
        answer = NULL;
        return 0;
}

static const UsageRow *find_row(const UsageLook *look, const char *path) {
        for (size_t i = 0; i < look->n; i++)
                if (str_eq(look->rows[i].path, path))
                        return &look->rows[i];
        return NULL;
}

/**
 * usage_compare() - how much CPU was used since the look @before
 *
 * Between the moments of the readings, not of the looks; with no new reading the last figure stands.
 */
void usage_compare(UsageLook *look, const UsageLook *before) {
        for (size_t i = 0; i < look->n; i++) {
                UsageRow *row = &look->rows[i];
                const UsageRow *old = find_row(before, row->path);

                if (!old || old->sampled_usec == 0)
                        continue;
                row->cpu_percent = old->cpu_percent;
                if (row->sampled_usec > old->sampled_usec && row->cpu_usec >= old->cpu_usec)
                        row->cpu_percent = 100.0 * (double) (row->cpu_usec - old->cpu_usec) /
                                           (double) (row->sampled_usec - old->sampled_usec);
        }
}

static int by_name(const void *a, const void *b) {
        const UsageRow *x = a, *y = b;
        int r = strcmp(x->name, y->name);

        return r != 0 ? r : strcmp(x->path, y->path);
}

static int by_cpu(const void *a, const void *b) {
        const UsageRow *x = a, *y = b;

        if (x->cpu_percent != y->cpu_percent)
                return x->cpu_percent < y->cpu_percent ? 1 : -1;
        return by_name(a, b);
}

static int by_memory(const void *a, const void *b) {
        const UsageRow *x = a, *y = b;
        uint64_t of_x = x->guest_bytes + x->vmm_bytes, of_y = y->guest_bytes + y->vmm_bytes;

        if (of_x != of_y)
                return of_x < of_y ? 1 : -1;
        return by_name(a, b);
}

/** usage_sort() - the most first, names in their order */
void usage_sort(UsageLook *look, UsageOrder order) {
        static int (*const compare[])(const void *, const void *) = {
                [USAGE_BY_CPU] = by_cpu, [USAGE_BY_MEMORY] = by_memory, [USAGE_BY_NAME] = by_name};

        if (look->n > 1)
                qsort(look->rows, look->n, sizeof(*look->rows), compare[order]);
}

/** usage_order_from_string() - "cpu", "memory" or "name". Return: 0 or -EINVAL. */
int usage_order_from_string(const char *text, UsageOrder *ret) {
        static const char *const names[] = {
                [USAGE_BY_CPU] = "cpu", [USAGE_BY_MEMORY] = "memory", [USAGE_BY_NAME] = "name"};

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (str_eq(names[i], text)) {
                        *ret = (UsageOrder) i;
                        return 0;
                }
        return -EINVAL;
}

static int add_double(Value *object, const char *key, double number) {
        _cleanup_(value_freep) Value *member = NULL;
        int r = value_new(VALUE_DOUBLE, &member);

        if (r < 0)
                return r;
        member->real = number;
        return value_append_consume(object, key, TAKE(member));
}

static int row_json(const UsageRow *row, Value **ret) {
        const struct {
                const char *key;
                uint64_t number;
        } numbers[] = {{"Vcpus", row->vcpus},
                       {"MemoryBytes", row->memory_bytes},
                       {"GuestCpuUsec", row->cpu_usec},
                       {"RssGuestBytes", row->guest_bytes},
                       {"RssVmmBytes", row->vmm_bytes},
                       {"BalloonBytes", row->balloon_bytes},
                       {"StartTimestampMonotonic", row->started_usec},
                       {"SampleTimestampMonotonic", row->sampled_usec}};
        _cleanup_(value_freep) Value *object = NULL;
        int r = value_new(VALUE_OBJECT, &object);

        if (r >= 0)
                r = value_add_string(object, "Name", row->name);
        if (r >= 0)
                r = value_add_string(object, "Path", row->path);
        for (size_t i = 0; i < ELEMENTSOF(numbers) && r >= 0; i++)
                r = value_add_uint(object, numbers[i].key, numbers[i].number);
        if (r >= 0 && row->cpu_percent >= 0)
                r = add_double(object, "CpuPercent", row->cpu_percent);
        if (r >= 0)
                *ret = TAKE(object);
        return r;
}

/** usage_json() - an array of objects, members named as the VM's properties; CpuPercent once it is known */
int usage_json(const UsageLook *look, Value **ret) {
        _cleanup_(value_freep) Value *array = NULL;
        int r = value_new(VALUE_ARRAY, &array);

        for (size_t i = 0; i < look->n && r >= 0; i++) {
                Value *object = NULL;

                r = row_json(&look->rows[i], &object);
                if (r >= 0)
                        r = value_append_consume(array, NULL, object);
        }
        if (r >= 0)
                *ret = TAKE(array);
        return r;
}
