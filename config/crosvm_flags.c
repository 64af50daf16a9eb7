/* SPDX-License-Identifier: Apache-2.0 */
#include "config/crosvm_flags.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/crosvm_flag_table.h"
#include "config/crosvm_names.h"
#include "config/crosvm_old_nets.h"

#define NO_FLAG CROSVM_FLAGS_MAX

/* The number of --@name, or of -@letter if @name is NULL; or NO_FLAG. */
static size_t find_flag(FlagScope scope, const char *name, char letter) {
        const Flag *flag;

        for (size_t i = 0; (flag = crosvm_flag_at(i)); i++)
                if (flag->scope == scope &&
                    (name ? str_eq(flag->name, name) : flag->letter == letter))
                        return i;
        return NO_FLAG;
}

/* Parser state: one pass over argv. */
typedef struct Args {
        int argc, next;
        char *const *argv;
        bool seen[CROSVM_FLAGS_MAX];
} Args;

static int refuse_unknown(FlagScope scope, const char *name, TextError *reterr) {
        const char *reason = scope == SCOPE_RUN ? crosvm_run_option_reason(name) : NULL;

        if (find_flag(scope == SCOPE_RUN ? SCOPE_GLOBAL : SCOPE_RUN, name, 0) != NO_FLAG)
                return text_error_set(reterr, -EINVAL, "--%s: belongs %s the command `run`", name,
                                      scope == SCOPE_RUN ? "before" : "behind");
        if (reason)
                return text_error_set(reterr, -EINVAL,
                                      "--%s: crosvm option, not supported by this version: %s",
                                      name, reason);
        return text_error_set(reterr, -EINVAL, "--%s: unknown option; see --help", name);
}

static int store_flag(const Flag *flag, const char *value, VmmConfig *config, TextError *reterr) {
        char *base = (char *) config;
        char *copy;

        switch (flag->kind) {
        case FLAG_SWITCH:
                *(bool *) (void *) (base + flag->offset) = true;
                return 0;
        case FLAG_STRING:
                if (!value || !*value)
                        return text_error_set(reterr, -EINVAL, "the value is empty");
                copy = strdup(value);
                if (!copy)
                        return -ENOMEM;
                *(char **) (void *) (base + flag->offset) = copy;
                return 0;
        case FLAG_STRINGS:
                return strvec_add((StrVec *) (void *) (base + flag->offset), value);
        case FLAG_CUSTOM:
                return flag->parse(config, value, reterr);
        }
        return -EINVAL;
}

static int take_flag(Args *args, size_t number, const char *attached, VmmConfig *config,
                     TextError *reterr) {
        const Flag *flag = crosvm_flag_at(number);
        bool *seen = &args->seen[number];
        const char *value = attached;
        int r;

        if (!flag->metavar && attached)
                return text_error_set(reterr, -EINVAL, "--%s: takes no value", flag->name);
        if (flag->metavar && !attached) {
                if (args->next >= args->argc)
                        return text_error_set(reterr, -EINVAL, "--%s: %s is missing", flag->name,
                                              flag->metavar);
                value = args->argv[args->next++];
        }
        if (*seen && flag->metavar && !flag->repeatable)
                return text_error_set(reterr, -EINVAL, "--%s: given twice", flag->name);
        *seen = true;
        r = store_flag(flag, value, config, reterr);
        return r < 0 ? text_error_prefix(reterr, r, "--%s", flag->name) : 0;
}

static int take_long(Args *args, FlagScope scope, const char *text, VmmConfig *config,
                     TextError *reterr) {
        const char *equals = strchr(text, '=');
        _cleanup_(freep) char *name =
                equals ? strndup(text, (size_t) (equals - text)) : strdup(text);
        size_t flag;

        if (!name)
                return -ENOMEM;
        if (str_eq(name, "help"))
                return CROSVM_FLAGS_E_HELP;
        if (scope == SCOPE_GLOBAL && str_eq(name, "version"))
                return CROSVM_FLAGS_E_VERSION;
        flag = find_flag(scope, name, 0);
        if (flag == NO_FLAG)
                return refuse_unknown(scope, name, reterr);
        return take_flag(args, flag, equals ? equals + 1 : NULL, config, reterr);
}

static int take_short(Args *args, FlagScope scope, const char *text, VmmConfig *config,
                      TextError *reterr) {
        const size_t flag = text[1] ? NO_FLAG : find_flag(scope, NULL, text[0]);

        if (flag != NO_FLAG)
                return take_flag(args, flag, NULL, config, reterr);
        if (str_eq(text, "h"))
                return CROSVM_FLAGS_E_HELP;
        return text_error_set(reterr, -EINVAL, "-%s: unknown option; see --help", text);
}

/*
 * Consumes options of @scope up to the first word that is none of them. Returns 0 with the word in @ret_word, or
 * NULL there at the end; conditions and errors as crosvm_flags_parse().
 */
static int take_options(Args *args, FlagScope scope, VmmConfig *config, const char **ret_word,
                        TextError *reterr) {
        *ret_word = NULL;
        while (args->next < args->argc) {
                const char *word = args->argv[args->next++];
                int r;

                if (str_eq(word, "--")) {
                        if (args->next < args->argc)
                                *ret_word = args->argv[args->next++];
                        return 0;
                }
                if (word[0] != '-' || !word[1]) {
                        *ret_word = word;
                        return 0;
                }
                r = word[1] == '-' ? take_long(args, scope, word + 2, config, reterr)
                                   : take_short(args, scope, word + 1, config, reterr);
                if (r != 0)
                        return r;
        }
        return 0;
}

static int take_kernel(const char *word, VmmConfig *config, TextError *reterr) {
        if (config->kernel)
                return text_error_set(reterr, -EINVAL, "two kernels are given: '%s' and '%s'",
                                      config->kernel, word);
        if (!*word)
                return text_error_set(reterr, -EINVAL, "KERNEL is empty");
        config->kernel = strdup(word);
        return config->kernel ? 0 : -ENOMEM;
}

static int take_run(Args *args, VmmConfig *config, TextError *reterr) {
        const char *word;
        int r;

        for (;;) {
                r = take_options(args, SCOPE_RUN, config, &word, reterr);
                if (r != 0)
                        return r;
                if (!word) {
                        r = crosvm_old_nets_finish(config, reterr);
                        return r < 0 ? r : vmm_config_validate(config, reterr);
                }
                r = take_kernel(word, config, reterr);
                if (r < 0)
                        return r;
        }
}

static int refuse_command(const char *command, TextError *reterr) {
        const char *reason = crosvm_command_reason(command);

        return reason ? text_error_set(reterr, -EINVAL,
                                       "%s: crosvm command, not supported by this version: %s",
                                       command, reason)
                      : text_error_set(reterr, -EINVAL, "%s: unknown command; see --help", command);
}

/**
 * crosvm_flags_find_command() - where the command is in @argv, behind the global options
 *
 * Return: its index; 0 if there is none, or a mistake before it, of which crosvm_flags_parse() tells.
 */
int crosvm_flags_find_command(int argc, char *const *argv) {
        Args args = {.argc = argc, .next = 1, .argv = argv};
        _cleanup_(vmm_config_deinit) VmmConfig config;
        const char *command;

        vmm_config_init(&config);
        return take_options(&args, SCOPE_GLOBAL, &config, &command, NULL) == 0 && command
                       ? args.next - 1
                       : 0;
}

/**
 * crosvm_flags_parse() - argument vector to config
 * @argv: argv[0] is the program and is skipped
 * @ret:  set on success only; release with vmm_config_deinit()
 *
 * `--key value` and `--key=value` are the same. Does no I/O.
 *
 * Return: 0; CROSVM_FLAGS_E_HELP or CROSVM_FLAGS_E_VERSION when that was asked for; -EINVAL with a sentence that names
 * the option in @reterr (the VMM then exits with VMM_EXIT_INVALID_ARGS); -ENOMEM.
 */
int crosvm_flags_parse(int argc, char *const *argv, VmmConfig *ret, TextError *reterr) {
        Args args = {.argc = argc, .next = 1, .argv = argv};
        _cleanup_(vmm_config_deinit) VmmConfig config;
        const char *command;
        int r;

        vmm_config_init(&config);
        r = take_options(&args, SCOPE_GLOBAL, &config, &command, reterr);
        if (r != 0)
                return r;
        if (!command)
                return text_error_set(reterr, -EINVAL, "a command is missing; see --help");
        if (str_eq(command, "version"))
                return CROSVM_FLAGS_E_VERSION;
        if (!str_eq(command, "run"))
                return refuse_command(command, reterr);
        r = take_run(&args, &config, reterr);
        if (r != 0)
                return r;
        *ret = config;
        config = (VmmConfig){0};
        return 0;
}

static int emit_flag(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        const char *base = (const char *) config;
        const char *string;
        const StrVec *strings;
        int r = 0;

        switch (flag->kind) {
        case FLAG_SWITCH:
                if (*(const bool *) (const void *) (base + flag->offset))
                        r = strvec_addf(argv, "--%s", flag->name);
                return r;
        case FLAG_STRING:
                string = *(char *const *) (const void *) (base + flag->offset);
                return string ? crosvm_flag_emit_consume(flag, strdup(string), argv) : 0;
        case FLAG_STRINGS:
                strings = (const StrVec *) (const void *) (base + flag->offset);
                for (size_t i = 0; i < strings->n && r == 0; i++)
                        r = crosvm_flag_emit_consume(flag, strdup(strings->items[i]), argv);
                return r;
        case FLAG_CUSTOM:
                return flag->emit(config, flag, argv);
        }
        return -EINVAL;
}

/* Refuses what the config asks for and its dialect has no words for. */
static int emit_said(const VmmConfig *config, const Flag *flag, StrVec *argv, TextError *reterr) {
        const bool ours = flag->group == GROUP_OURS && !flag->shared;
        const size_t before = argv->n;
        int r;

        if (flag->omitted_in & 1u << config->dialect)
                return 0;
        r = emit_flag(config, flag, argv);
        if (r == 0 && ours && argv->n > before && config->dialect != VMM_DIALECT_VIVARIUM)
                r = -EOPNOTSUPP;
        return r == -EOPNOTSUPP
                       ? text_error_set(reterr, r, "--%s: a crosvm cannot do that", flag->name)
                       : r;
}

static int emit_scope(const VmmConfig *config, FlagScope scope, StrVec *argv, TextError *reterr) {
        const Flag *flag;

        for (size_t i = 0; (flag = crosvm_flag_at(i)); i++) {
                int r = flag->scope == scope ? emit_said(config, flag, argv, reterr) : 0;

                if (r < 0)
                        return r;
        }
        return 0;
}

/**
 * crosvm_flags_emit() - config to arguments, in our own dialect the inverse of crosvm_flags_parse()
 * @config: valid by vmm_config_validate()
 * @argv:   appended to; the caller has put the program there
 *
 * Return: 0; -EOPNOTSUPP with a sentence in @reterr if the config's dialect has no words for it, never in our own;
 * -ENOMEM. Part of the arguments may have been appended.
 */
int crosvm_flags_emit(const VmmConfig *config, StrVec *argv, TextError *reterr) {
        int r;

        r = emit_scope(config, SCOPE_GLOBAL, argv, reterr);
        if (r == 0)
                r = strvec_add(argv, "run");
        if (r == 0)
                r = emit_scope(config, SCOPE_RUN, argv, reterr);
        if (r == 0 && config->kernel && config->kernel[0] == '-')
                r = strvec_add(argv, "--");
        if (r == 0 && config->kernel)
                r = strvec_add(argv, config->kernel);
        return r;
}
