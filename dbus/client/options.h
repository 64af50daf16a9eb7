/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The command line: one table of options and one of verbs, from which parsing, --help and the test of shell
 * completion and manual page are driven. Options may stand anywhere behind the verb they belong to, global ones
 * anywhere.
 */

#include <stddef.h>
#include <stdio.h>

#include "base/text_error.h"

typedef struct Client Client;
typedef struct Verb Verb;

typedef enum OptionId {
        /* global */
        OPTION_SYSTEM,
        OPTION_USER,
        OPTION_ADDRESS,
        OPTION_HOST,
        OPTION_JSON,
        OPTION_NO_LEGEND,
        OPTION_HELP,
        OPTION_VERSION,
        /* of verbs */
        OPTION_NAME,
        OPTION_CPUS,
        OPTION_MEM,
        OPTION_PARAMS,
        OPTION_KERNEL,
        OPTION_INITRD,
        OPTION_BOOTLOADER,
        OPTION_DISK,
        OPTION_NETWORK,
        OPTION_SHARE,
        OPTION_DEVICE,
        OPTION_CONSOLE,
        OPTION_CONSOLE_IN,
        OPTION_LOG,
        OPTION_HYPERVISOR,
        OPTION_BOOT_TIMEOUT,
        OPTION_DETACH,
        OPTION_CANCEL,
        OPTION_LAST,
        OPTION_MAX,
        OPTION_TIMEOUT,
        OPTION_PROBE,
        OPTION_FORMAT,
        OPTION_FOLLOW,
        OPTION_BATCH,
        OPTION_ITERATIONS,
        OPTION_DELAY,
        OPTION_ORDER,
        OPTION_COMPOSITE,
        OPTION_TYPE,
        OPTION_STDIO,
        OPTION_TO,
        OPTION_SERIAL,
        OPTION_SHRINK,
} OptionId;

typedef struct Option {
        OptionId id;
        char letter;       /* 0 if it has only a long name */
        const char *name;  /* long name without dashes; NULL ends a table */
        const char *value; /* how --help calls the value; NULL for a switch */
        const char *help;
} Option;

#define VERB_OPTION_TABLES_MAX 3u

typedef struct OptionUse {
        OptionId id;
        const char *value; /* borrowed from argv; NULL for a switch */
} OptionUse;

/* A parsed command line; all strings are borrowed from argv. */
typedef struct Args {
        const Verb *verb; /* NULL when none was given */
        OptionUse *options;
        size_t n_options;
        const char **operands;
        size_t n_operands;
} Args;

struct Verb {
        const char *name; /* NULL ends the table */
        const char *operands;
        size_t operands_min, operands_max;
        const Option *options[VERB_OPTION_TABLES_MAX]; /* of this verb, up to the first NULL */
        const char *help;
        /* Return: the exit status; or negative errno, in which case @reterr is printed and the status is 1. */
        int (*run)(Client *client, const Args *args, TextError *reterr);
};

extern const Option global_options[];
extern const Option config_options[]; /* what the config says: run, create, check-config */
extern const Option start_options[];  /* what is beside the config: run, create */
extern const Option run_options[];
extern const Option stop_options[];
extern const Option show_options[];
extern const Option history_options[];
extern const Option drain_options[]; /* run alone */
extern const Option capabilities_options[];
extern const Option metrics_options[];
extern const Option log_options[];
extern const Option top_options[];
extern const Option gdb_options[];
extern const Option offer_options[];
extern const Option disk_options[]; /* of create-disk */
extern const Option hotplug_options[];
extern const Option partition_options[];

int args_parse(int argc, const char *const *argv, const Verb *verbs, Args *ret, TextError *reterr);
void args_deinit(Args *args);
const char *args_value(const Args *args, OptionId id);
int args_has(const Args *args, OptionId id);

const Option *verb_option_at(const Verb *verb, size_t i);

void help_print(FILE *out, const Verb *verbs);
void help_print_verb(FILE *out, const Verb *verb);
