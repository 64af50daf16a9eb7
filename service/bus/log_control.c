/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "service/bus/bus_internal.h"
#include "service/journal/journal.h"

/* org.freedesktop.LogControl1, for `systemctl service-log-level`: the levels that base/log.h has. */

static const struct {
        LogLevel level;
        const char *name;
} levels[] = {
        {LOG_LEVEL_ERROR, "err"}, {LOG_LEVEL_WARNING, "warning"}, {LOG_LEVEL_NOTICE, "notice"},
        {LOG_LEVEL_INFO, "info"}, {LOG_LEVEL_DEBUG, "debug"},
};

static int get_level(sd_bus *bus, const char *path, const char *interface, const char *property,
                     sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const char *name = "debug";

        for (size_t i = 0; i < ELEMENTSOF(levels); i++)
                if (levels[i].level == log_level())
                        name = levels[i].name;
        return sd_bus_message_append(reply, "s", name);
}

static int set_level(sd_bus *bus, const char *path, const char *interface, const char *property,
                     sd_bus_message *value, void *userdata, sd_bus_error *error) {
        const char *name;
        int r;

        r = sd_bus_message_read(value, "s", &name);
        if (r < 0)
                return r;
        for (size_t i = 0; i < ELEMENTSOF(levels); i++)
                if (strcmp(levels[i].name, name) == 0) {
                        log_set_level(levels[i].level);
                        return 0;
                }
        return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                                 "log level \"%s\": expected err, warning, notice, info or debug",
                                 name);
}

static int get_target(sd_bus *bus, const char *path, const char *interface, const char *property,
                      sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const BusService *service = userdata;

        return sd_bus_message_append(reply, "s",
                                     manager_journal(service->manager) ? "journal" : "console");
}

static int set_target(sd_bus *bus, const char *path, const char *interface, const char *property,
                      sd_bus_message *value, void *userdata, sd_bus_error *error) {
        BusService *service = userdata;
        const char *name;
        bool journal;
        int r;

        r = sd_bus_message_read(value, "s", &name);
        if (r < 0)
                return r;
        journal = str_eq(name, "journal") || (str_eq(name, "auto") && journal_is_stderr());
        if (!journal && !str_eq(name, "console") && !str_eq(name, "auto"))
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                                         "log target \"%s\": expected journal, console or auto",
                                         name);
        log_set_sink(journal ? journal_sink : NULL);
        manager_set_journal(service->manager, journal);
        return 0;
}

static int get_identifier(sd_bus *bus, const char *path, const char *interface,
                          const char *property, sd_bus_message *reply, void *userdata,
                          sd_bus_error *error) {
        return sd_bus_message_append(reply, "s", "vivariumd");
}

/* sd-bus lets only the privileged write. */
const sd_bus_vtable log_control_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_WRITABLE_PROPERTY("LogLevel", "s", get_level, set_level, 0, 0),
        SD_BUS_WRITABLE_PROPERTY("LogTarget", "s", get_target, set_target, 0, 0),
        SD_BUS_PROPERTY("SyslogIdentifier", "s", get_identifier, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_VTABLE_END,
};
