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
        if (str_eq(name, "off")) {
                *ret = LOG_LEVEL_OFF;
                return 0;
        }
        return text_error_set(reterr, -EINVAL, "expected off, error, warn, info or debug, not '%s'",
                              name);
}

/* "MODULE=LEVEL"; @directive is cut at the '='. */
static int add_rule(char *directive, char *equals, LogFilter *filter, TextError *reterr) {
        LogRule *rule;

        *equals = '\0';
        if (!*directive || strlen(directive) >= LOG_MODULE_MAX)
                return text_error_set(reterr, -EINVAL, "a module's name has 1 to %u bytes",
                                      LOG_MODULE_MAX - 1);
        if (filter->n_rules == LOG_RULES_MAX)
                return text_error_set(reterr, -EINVAL, "more than %u modules", LOG_RULES_MAX);
        rule = &filter->rules[filter->n_rules++];
        memcpy(rule->module, directive, strlen(directive) + 1);
        return level_parse(equals + 1, &rule->level, reterr);
}

/**
 * crosvm_log_filter_parse() - crosvm's log filter, "LEVEL" or "LEVEL,MODULE=LEVEL,…"
 * @ret: the level for everything, info when the filter names only modules, and the modules' own
 *
 * A module that nothing here is called by is no mistake: crosvm's command lines name crosvm's.
 *
 * Return: 0; -EINVAL with a sentence in @reterr; -ENOMEM.
 */
int crosvm_log_filter_parse(const char *filter, LogFilter *ret, TextError *reterr) {
        _cleanup_(freep) char *copy = strdup(filter);
        LogFilter parsed = {.level = LOG_LEVEL_INFO};
        bool has_level = false;
        char *save = NULL;

        if (!copy)
                return -ENOMEM;
        if (!*filter)
                return text_error_set(reterr, -EINVAL, "the filter is empty");
        for (char *p = strtok_r(copy, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
                char *equals = strchr(p, '=');
                int r;

                if (!equals && has_level)
                        return text_error_set(reterr, -EINVAL, "two levels in '%s'", filter);
                has_level |= !equals;
                r = equals ? add_rule(p, equals, &parsed, reterr)
                           : level_parse(p, &parsed.level, reterr);
                if (r < 0)
                        return r;
        }
        *ret = parsed;
        return 0;
}
