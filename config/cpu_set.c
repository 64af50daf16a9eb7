/* SPDX-License-Identifier: Apache-2.0 */
#include "config/cpu_set.h"

#include <errno.h>

/* Reads a number of digits; *p ends behind it. */
static int read_cpu(const char **p, unsigned *ret) {
        unsigned cpu = 0;
        const char *s = *p;

        if (*s < '0' || *s > '9')
                return -EINVAL;
        for (; *s >= '0' && *s <= '9'; s++) {
                cpu = cpu * 10 + (unsigned) (*s - '0');
                if (cpu >= CPU_SET_MAX)
                        return -EINVAL;
        }
        *p = s;
        *ret = cpu;
        return 0;
}

static int read_range(const char **p, CpuSet *set) {
        unsigned first, last;

        if (read_cpu(p, &first) < 0)
                return -EINVAL;
        last = first;
        if (**p == '-') {
                (*p)++;
                if (read_cpu(p, &last) < 0 || last < first)
                        return -EINVAL;
        }
        for (unsigned cpu = first; cpu <= last; cpu++)
                cpu_set_put(set, cpu);
        return 0;
}

/**
 * cpu_set_parse() - read a list of numbers and ranges
 *
 * Return: 0; -EINVAL with a sentence for anything else, an empty list included.
 */
int cpu_set_parse(const char *text, CpuSet *ret, TextError *reterr) {
        const char *p = text;
        CpuSet set = {0};

        for (;; p++) {
                if (read_range(&p, &set) < 0 || (*p && *p != ','))
                        return text_error_set(
                                reterr, -EINVAL,
                                "expected processors such as 0,2-3 below %u, not '%s'", CPU_SET_MAX,
                                text);
                if (!*p)
                        break;
        }
        *ret = set;
        return 0;
}

/** cpu_set_next() - the first processor of @set from @from on; CPU_SET_MAX when there is none */
unsigned cpu_set_next(const CpuSet *set, unsigned from) {
        while (from < CPU_SET_MAX && !cpu_set_has(set, from))
                from++;
        return from;
}

/** cpu_set_append() - the shortest text that cpu_set_parse() reads as @set */
void cpu_set_append(const CpuSet *set, StrBuf *buf) {
        const char *separator = "";

        for (unsigned cpu = cpu_set_next(set, 0); cpu < CPU_SET_MAX;) {
                unsigned end = cpu;

                while (cpu_set_has(set, end))
                        end++;
                strbuf_printf(buf, "%s%u", separator, cpu);
                if (end - cpu > 1)
                        strbuf_printf(buf, "-%u", end - 1);
                separator = ",";
                cpu = cpu_set_next(set, end);
        }
}

/** cpu_set_count() - how many processors are in @set */
unsigned cpu_set_count(const CpuSet *set) {
        unsigned n = 0;

        for (size_t i = 0; i < CPU_SET_MAX / 64; i++)
                n += (unsigned) __builtin_popcountll(set->words[i]);
        return n;
}
