/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "config/crosvm_flags.h"

static int level_parse(const char *name, LogLevel *ret, TextError *reterr) {
        if (log_level_from_string(name, ret) == 0)
                return 0;
        if (str_eq(name, "trace")) {
                *ret = LOG_LEVEL_DEBUG; /* the finest there is */
                return 0;
        }
        return text_error_set(reterr, -EINVAL, "expected error, warn, info or debug, not '%s'",
                              name);
}

/*
 * MODULE=LEVEL is true as it stands while neither side of it says debug: below that level, library code logs nothing
 * that a module's name could silence.
 */
static int check_module(const char *directive, const char *level_name, LogLevel global,
                        TextError *reterr) {
        LogLevel level;
        int r;

        r = level_parse(level_name, &level, reterr);
        if (r < 0)
                return r;
        if (level == global || (level != LOG_LEVEL_DEBUG && global != LOG_LEVEL_DEBUG))
                return 0;
        return text_error_set(reterr, -EINVAL,
                              "%s: a module's own debug level is not supported by this version",
                              directive);
}

/**
 * crosvm_log_filter_parse() - crosvm's log filter, "LEVEL" or "LEVEL,MODULE=LEVEL,…"
 * @ret: the level for everything; info when the filter names only modules
 *
 * Return: 0; -EINVAL with a sentence in @reterr; -ENOMEM.
 */
int crosvm_log_filter_parse(const char *filter, LogLevel *ret, TextError *reterr) {
        _cleanup_(freep) char *copy = strdup(filter), *modules = strdup(filter);
        LogLevel level = LOG_LEVEL_INFO;
        unsigned n_levels = 0;
        char *save = NULL;
        int r;

        if (!copy || !modules)
                return -ENOMEM;
        if (!*filter)
                return text_error_set(reterr, -EINVAL, "the filter is empty");
        for (char *p = strtok_r(copy, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
                if (strchr(p, '='))
                        continue;
                r = level_parse(p, &level, reterr);
                if (r < 0)
                        return r;
                if (++n_levels > 1)
                        return text_error_set(reterr, -EINVAL, "two levels in '%s'", filter);
        }
        for (char *p = strtok_r(modules, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
                const char *equals = strchr(p, '=');

                r = equals ? check_module(p, equals + 1, level, reterr) : 0;
                if (r < 0)
                        return r;
        }
        *ret = level;
        return 0;
}
