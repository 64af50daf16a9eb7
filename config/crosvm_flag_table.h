/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The table behind crosvm_flags.h, for the files that parse with it, emit with it and print it. */

#include <stdbool.h>
#include <stddef.h>

#include "config/vmm_config.h"

typedef enum FlagScope {
        SCOPE_GLOBAL, /* before the command */
        SCOPE_RUN,    /* behind `run` */
} FlagScope;

typedef enum FlagGroup {
        GROUP_GLOBAL,
        GROUP_MACHINE,
        GROUP_CPUS,
        GROUP_BOARD,
        GROUP_BOOT,
        GROUP_DEVICES,
        GROUP_ACCEPTED,
        GROUP_OLD,
        GROUP_OURS,
} FlagGroup;

typedef enum FlagKind {
        FLAG_SWITCH,  /* takes no value; sets the bool at @offset */
        FLAG_STRING,  /* sets the string at @offset */
        FLAG_STRINGS, /* appends to the StrVec at @offset */
        FLAG_CUSTOM,  /* @parse, with a NULL value if there is no @metavar, and @emit */
} FlagKind;

typedef struct Flag Flag;

struct Flag {
        const char *name; /* without the dashes */
        char letter;      /* of the short form, or 0 */
        FlagScope scope;
        FlagGroup group;
        FlagKind kind;
        bool repeatable;
        bool shared;         /* in GROUP_OURS: crosvm has it too, with fewer values */
        unsigned omitted_in; /* bits by VmmDialect: has no such option, and does without */
        size_t offset;       /* of the member in VmmConfig, for all but FLAG_CUSTOM */
        const char *metavar; /* NULL for a switch */
        const char *help;    /* one line */
        int (*parse)(VmmConfig *config, const char *value, TextError *reterr);
        /* Appends the option as often as @config needs it. -EOPNOTSUPP: not to be said in @config's dialect. */
        int (*emit)(const VmmConfig *config, const Flag *flag, StrVec *argv);
};

#define CROSVM_FLAGS_MAX 256u /* room in all tables, for whoever has a member per option */

/* In the order of emission, which is that of Android's manager. */
extern const Flag crosvm_flags[];
extern const size_t crosvm_n_flags;
/* What the board is like: crosvm_board_flags.c. */
extern const Flag crosvm_board_flags[];
extern const size_t crosvm_n_board_flags;
/* Spellings that managers have from older versions of crosvm: crosvm_old_flags.c. */
extern const Flag crosvm_old_flags[];
extern const size_t crosvm_n_old_flags;

const Flag *crosvm_flag_at(size_t i);
int crosvm_flag_emit_nothing(const VmmConfig *config, const Flag *flag, StrVec *argv);

int crosvm_flag_emit_consume(const Flag *flag, char *value, StrVec *argv);
