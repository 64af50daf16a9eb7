/* SPDX-License-Identifier: Apache-2.0 */
#include "config/semver.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"

/*
 * A requirement is a comma list of comparators; each stands for a half-open range of versions [low, high). A missing
 * part of a version widens the range: "~1" is all of 1, ">1" begins at 2.0.0.
 */

#define COMPARATORS_MAX 32u

typedef struct Version {
        uint64_t part[3];
        bool pre; /* has a pre-release tag: just below the version without it */
} Version;

typedef enum Op {
        OP_EXACT,
        OP_GREATER,
        OP_GREATER_EQ,
        OP_LESS,
        OP_LESS_EQ,
        OP_TILDE,
        OP_CARET,
} Op;

static const struct {
        const char *text;
        Op op;
} ops[] = {
        /* the longer of two with one beginning first */
        {">=", OP_GREATER_EQ}, {"<=", OP_LESS_EQ}, {">", OP_GREATER}, {"<", OP_LESS},
        {"=", OP_EXACT},       {"~", OP_TILDE},    {"^", OP_CARET},
};

static int version_compare(const Version *a, const Version *b) {
        for (size_t i = 0; i < 3; i++)
                if (a->part[i] != b->part[i])
                        return a->part[i] < b->part[i] ? -1 : 1;
        return (int) b->pre - (int) a->pre;
}

static void skip_space(const char **p) {
        while (**p == ' ')
                (*p)++;
}

static int parse_part(const char **p, uint64_t *ret) {
        uint64_t value = 0;

        if (!isdigit((unsigned char) **p) || (**p == '0' && isdigit((unsigned char) (*p)[1])))
                return -EINVAL; /* no number, or a leading zero */
        for (; isdigit((unsigned char) **p); (*p)++)
                if (__builtin_mul_overflow(value, 10, &value) ||
                    __builtin_add_overflow(value, (uint64_t) (**p - '0'), &value))
                        return -EINVAL;
        /* Room for the next version up. */
        if (value == UINT64_MAX)
                return -EINVAL;
        *ret = value;
        return 0;
}

/* "-alpha.1" or "+build": dot-separated words of letters, digits and dashes, none empty. */
static int parse_tag(const char **p) {
        do {
                const char *from = ++*p;

                while (isalnum((unsigned char) **p) || **p == '-')
                        (*p)++;
                if (*p == from)
                        return -EINVAL;
        } while (**p == '.');
        return 0;
}

/* "I", "I.J" or "I.J.K" with tags behind K; stars end it early. @ret_n is the number of parts that are numbers. */
static int parse_version(const char **p, Version *ret, unsigned *ret_n, bool *ret_star) {
        Version v = {0};
        bool star = false;
        unsigned n = 0;

        for (unsigned i = 0; i < 3; i++) {
                if (i > 0) {
                        if (**p != '.')
                                break;
                        (*p)++;
                }
                if (**p == '*') {
                        star = true;
                        (*p)++;
                } else if (star || parse_part(p, &v.part[n++]) < 0) {
                        return -EINVAL;
                }
        }
        if (n == 3 && **p == '-') {
                if (parse_tag(p) < 0)
                        return -EINVAL;
                v.pre = true;
        }
        if (n == 3 && **p == '+' && parse_tag(p) < 0)
                return -EINVAL;
        *ret = v;
        *ret_n = n;
        *ret_star = star;
        return 0;
}

/* The first version above all that share the first @n parts of @v. */
static Version next_version(const Version *v, unsigned n) {
        Version next = {0};

        for (unsigned i = 0; i < n; i++)
                next.part[i] = v->part[i];
        if (n > 0)
                next.part[n - 1]++;
        return next;
}

/* How many leading parts a caret keeps: up to the first that is not zero. */
static unsigned caret_parts(const Version *v, unsigned n) {
        for (unsigned i = 0; i < n; i++)
                if (v->part[i] != 0)
                        return i + 1;
        return n;
}

static bool is_below(const Version *version, const Version *v, unsigned n) {
        Version high = next_version(v, n);

        return version_compare(version, &high) < 0;
}

static bool comparator_matches(Op op, const Version *v, unsigned n, const Version *version) {
        int c = version_compare(version, v);

        switch (op) {
        case OP_EXACT:
                return n == 3 ? c == 0 : c >= 0 && is_below(version, v, n);
        case OP_GREATER:
                return n == 3 ? c > 0 : !is_below(version, v, n);
        case OP_GREATER_EQ:
                return c >= 0;
        case OP_LESS:
                return c < 0;
        case OP_LESS_EQ:
                return n == 3 ? c <= 0 : is_below(version, v, n);
        case OP_TILDE:
                return c >= 0 && is_below(version, v, MIN(n, 2u));
        case OP_CARET:
                return c >= 0 && is_below(version, v, caret_parts(v, n));
        }
        return false;
}

static bool parse_op(const char **p, Op *ret) {
        for (size_t i = 0; i < ELEMENTSOF(ops); i++) {
                size_t n = strlen(ops[i].text);

                if (strncmp(*p, ops[i].text, n) == 0) {
                        *p += n;
                        *ret = ops[i].op;
                        return true;
                }
        }
        return false;
}

/* One comparator; @ret_matches tells whether @version is in its range. */
static int parse_comparator(const char **p, const Version *version, bool *ret_matches) {
        bool star, explicit_op;
        Op op = OP_CARET;
        unsigned n;
        Version v;

        skip_space(p);
        explicit_op = parse_op(p, &op);
        skip_space(p);
        if (parse_version(p, &v, &n, &star) < 0)
                return -EINVAL;
        skip_space(p);
        if (star && explicit_op && op != OP_EXACT)
                return -EINVAL;
        if (star)
                op = OP_EXACT;
        *ret_matches = n == 0 || comparator_matches(op, &v, n, version);
        return 0;
}

static int requirement_matches(const char *requirement, const Version *version, bool *ret) {
        const char *p = requirement;
        bool all = true;

        for (unsigned i = 0; i < COMPARATORS_MAX; i++) {
                bool matches;

                if (parse_comparator(&p, version, &matches) < 0)
                        return -EINVAL;
                all = all && matches;
                if (!*p) {
                        *ret = all;
                        return 0;
                }
                if (*p++ != ',')
                        return -EINVAL;
        }
        return -EINVAL;
}

/** semver_requirement_parse() - whether @requirement is one. Return: 0 or -EINVAL. */
int semver_requirement_parse(const char *requirement) {
        const Version any = {0};
        bool matches;

        return requirement_matches(requirement, &any, &matches);
}

/**
 * semver_requirement_matches() - whether @version meets every comparator of @requirement
 * @version: a full version, "1.0.0"
 *
 * Return: 0; -EINVAL when either text is malformed.
 */
int semver_requirement_matches(const char *requirement, const char *version, bool *ret) {
        const char *p = version;
        bool star;
        unsigned n;
        Version v;

        if (parse_version(&p, &v, &n, &star) < 0 || n != 3 || *p)
                return -EINVAL;
        return requirement_matches(requirement, &v, ret);
}
