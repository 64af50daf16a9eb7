/* SPDX-License-Identifier: Apache-2.0 */
#include "config/crosvm_flags.h"

#include <errno.h>
#include <string.h>

#include "config/crosvm_device_flags.h"
#include "config/crosvm_names.h"

typedef enum FlagScope {
        SCOPE_GLOBAL, /* before the command */
        SCOPE_RUN,    /* behind `run` */
} FlagScope;

typedef enum FlagGroup {
        GROUP_GLOBAL,
        GROUP_MACHINE,
        GROUP_BOOT,
        GROUP_DEVICES,
        GROUP_ACCEPTED,
        GROUP_OURS,
} FlagGroup;

typedef enum FlagKind {
        FLAG_SWITCH,  /* takes no value; sets the bool at @offset */
        FLAG_STRING,  /* sets the string at @offset */
        FLAG_STRINGS, /* appends to the StrVec at @offset */
        FLAG_CUSTOM,  /* @parse and @emit */
} FlagKind;

typedef struct Flag Flag;

struct Flag {
        const char *name; /* without the dashes */
        char letter;      /* of the short form, or 0 */
        FlagScope scope;
        FlagGroup group;
        FlagKind kind;
        bool repeatable;
        size_t offset;       /* of the member in VmmConfig, for all but FLAG_CUSTOM */
        const char *metavar; /* NULL for a switch */
        const char *help;    /* one line */
        int (*parse)(VmmConfig *config, const char *value, TextError *reterr);
        /* Appends the option as often as @config needs it. */
        int (*emit)(const VmmConfig *config, const Flag *flag, StrVec *argv);
};

static int emit_pair_consume(const Flag *flag, char *value, StrVec *argv) {
        _cleanup_(freep) char *owned = value;
        int r;

        r = strvec_addf(argv, "--%s", flag->name);
        return r < 0 ? r : strvec_add_consume(argv, TAKE(owned));
}

static int emit_mem(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        int r = strvec_addf(argv, "--%s", flag->name);

        return r < 0 ? r
                     : strvec_addf(argv, "%llu", (unsigned long long) config->memory_bytes >> 20);
}

static int emit_cpus(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        int r = strvec_addf(argv, "--%s", flag->name);

        return r < 0 ? r : strvec_addf(argv, "%u", config->n_vcpus);
}

static int emit_serials(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        for (size_t i = 0; i < config->n_serials; i++) {
                char *value;
                int r = crosvm_serial_emit(&config->serials[i], &value);

                if (r == 0)
                        r = emit_pair_consume(flag, value, argv);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int emit_blocks(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        for (size_t i = 0; i < config->n_disks; i++) {
                char *value;
                int r = crosvm_block_emit(&config->disks[i], &value);

                if (r == 0)
                        r = emit_pair_consume(flag, value, argv);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Left out for `auto`, so that a real crosvm can be run with what is emitted. */
static int emit_hypervisor(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        char *value;
        int r;

        if (config->hypervisor == VMM_HYPERVISOR_AUTO)
                return 0;
        r = crosvm_hypervisor_emit(config, &value);
        return r < 0 ? r : emit_pair_consume(flag, value, argv);
}

static int parse_log_level(VmmConfig *config, const char *value, TextError *reterr) {
        LogLevel level;
        int r;

        r = crosvm_log_filter_parse(value, &level, reterr);
        if (r < 0)
                return r;
        config->log_level = strdup(value);
        return config->log_level ? 0 : -ENOMEM;
}

static int emit_log_level(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        return config->log_level ? emit_pair_consume(flag, strdup(config->log_level), argv) : 0;
}

#define MEMBER(m) .offset = offsetof(VmmConfig, m)

/* In the order of emission, which is that of Android's manager. */
static const Flag flags[] = {
        {.name = "extended-status",
         .scope = SCOPE_GLOBAL,
         .group = GROUP_GLOBAL,
         .kind = FLAG_SWITCH,
         MEMBER(extended_status),
         .help = "exit with 32 on reset, 33 on crash, 34 on guest panic, 36 on watchdog"},
        {.name = "log-level",
         .scope = SCOPE_GLOBAL,
         .group = GROUP_GLOBAL,
         .kind = FLAG_CUSTOM,
         .metavar = "FILTER",
         .parse = parse_log_level,
         .emit = emit_log_level,
         .help = "error, warn, info (default) or debug"},

        {.name = "name",
         .scope = SCOPE_RUN,
         .group = GROUP_MACHINE,
         .kind = FLAG_STRING,
         .metavar = "NAME",
         MEMBER(name),
         .help = "name of the VM, in logs and in the process list"},
        {.name = "disable-sandbox",
         .scope = SCOPE_RUN,
         .group = GROUP_ACCEPTED,
         .kind = FLAG_SWITCH,
         MEMBER(disable_sandbox),
         .help = "run all devices in one process; this version always does"},
        {.name = "no-balloon",
         .scope = SCOPE_RUN,
         .group = GROUP_ACCEPTED,
         .kind = FLAG_SWITCH,
         MEMBER(no_balloon),
         .help = "no memory balloon; this version has none"},
        {.name = "no-usb",
         .scope = SCOPE_RUN,
         .group = GROUP_ACCEPTED,
         .kind = FLAG_SWITCH,
         MEMBER(no_usb),
         .help = "no USB controller; this version has none"},
        {.name = "no-rng",
         .scope = SCOPE_RUN,
         .group = GROUP_DEVICES,
         .kind = FLAG_SWITCH,
         MEMBER(no_rng),
         .help = "no virtio entropy source"},
        {.name = "mem",
         .letter = 'm',
         .scope = SCOPE_RUN,
         .group = GROUP_MACHINE,
         .kind = FLAG_CUSTOM,
         .metavar = "MIB",
         .parse = crosvm_mem_parse,
         .emit = emit_mem,
         .help = "guest memory in MiB, also size=MIB (default 256)"},
        {.name = "cpus",
         .letter = 'c',
         .scope = SCOPE_RUN,
         .group = GROUP_MACHINE,
         .kind = FLAG_CUSTOM,
         .metavar = "N",
         .parse = crosvm_cpus_parse,
         .emit = emit_cpus,
         .help = "number of virtual CPUs, also num-cores=N (default 1)"},
        {.name = "serial",
         .scope = SCOPE_RUN,
         .group = GROUP_DEVICES,
         .kind = FLAG_CUSTOM,
         .repeatable = true,
         .metavar = "LIST",
         .parse = crosvm_serial_parse,
         .emit = emit_serials,
         .help = "a serial port or virtio console; keys below"},
        {.name = "initrd",
         .letter = 'i',
         .scope = SCOPE_RUN,
         .group = GROUP_BOOT,
         .kind = FLAG_STRING,
         .metavar = "PATH",
         MEMBER(initrd),
         .help = "initial RAM disk handed to the kernel"},
        {.name = "params",
         .letter = 'p',
         .scope = SCOPE_RUN,
         .group = GROUP_BOOT,
         .kind = FLAG_STRINGS,
         .repeatable = true,
         .metavar = "STRING",
         MEMBER(params),
         .help = "kernel command line; several are joined by spaces"},
        {.name = "block",
         .letter = 'b',
         .scope = SCOPE_RUN,
         .group = GROUP_DEVICES,
         .kind = FLAG_CUSTOM,
         .repeatable = true,
         .metavar = "LIST",
         .parse = crosvm_block_parse,
         .emit = emit_blocks,
         .help = "a virtio disk; keys below"},
        {.name = "hypervisor",
         .scope = SCOPE_RUN,
         .group = GROUP_OURS,
         .kind = FLAG_CUSTOM,
         .metavar = "WHICH",
         .parse = crosvm_hypervisor_parse,
         .emit = emit_hypervisor,
         .help = "auto (default), kvm, kvm[device=PATH] or soft"},
};

static const Flag *find_flag(FlagScope scope, const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(flags); i++)
                if (flags[i].scope == scope && str_eq(flags[i].name, name))
                        return &flags[i];
        return NULL;
}

static const Flag *find_letter(FlagScope scope, char letter) {
        for (size_t i = 0; i < ELEMENTSOF(flags); i++)
                if (flags[i].scope == scope && flags[i].letter == letter)
                        return &flags[i];
        return NULL;
}

/* Parser state: one pass over argv. */
typedef struct Args {
        int argc, next;
        char *const *argv;
        bool seen[ELEMENTSOF(flags)];
} Args;

static int refuse_unknown(FlagScope scope, const char *name, TextError *reterr) {
        if (find_flag(scope == SCOPE_RUN ? SCOPE_GLOBAL : SCOPE_RUN, name))
                return text_error_set(reterr, -EINVAL, "--%s: belongs %s the command `run`", name,
                                      scope == SCOPE_RUN ? "before" : "behind");
        if (scope == SCOPE_RUN ? crosvm_has_run_option(name) : crosvm_has_global_option(name))
                return text_error_set(reterr, -EINVAL,
                                      "--%s: crosvm option, not supported by this version", name);
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

static int take_flag(Args *args, const Flag *flag, const char *attached, VmmConfig *config,
                     TextError *reterr) {
        bool *seen = &args->seen[flag - flags];
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
        const Flag *flag;

        if (!name)
                return -ENOMEM;
        if (str_eq(name, "help"))
                return CROSVM_FLAGS_E_HELP;
        if (scope == SCOPE_GLOBAL && str_eq(name, "version"))
                return CROSVM_FLAGS_E_VERSION;
        flag = find_flag(scope, name);
        if (!flag)
                return refuse_unknown(scope, name, reterr);
        return take_flag(args, flag, equals ? equals + 1 : NULL, config, reterr);
}

static int take_short(Args *args, FlagScope scope, const char *text, VmmConfig *config,
                      TextError *reterr) {
        const Flag *flag = text[1] ? NULL : find_letter(scope, text[0]);

        if (flag)
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
                if (!word)
                        return vmm_config_validate(config, reterr);
                r = take_kernel(word, config, reterr);
                if (r < 0)
                        return r;
        }
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
        if (!str_eq(command, "run"))
                return crosvm_has_command(command)
                               ? text_error_set(reterr, -EINVAL,
                                                "%s: crosvm command, not supported by this version",
                                                command)
                               : text_error_set(reterr, -EINVAL, "%s: unknown command; see --help",
                                                command);
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
                return string ? emit_pair_consume(flag, strdup(string), argv) : 0;
        case FLAG_STRINGS:
                strings = (const StrVec *) (const void *) (base + flag->offset);
                for (size_t i = 0; i < strings->n && r == 0; i++)
                        r = emit_pair_consume(flag, strdup(strings->items[i]), argv);
                return r;
        case FLAG_CUSTOM:
                return flag->emit(config, flag, argv);
        }
        return -EINVAL;
}

static int emit_scope(const VmmConfig *config, FlagScope scope, StrVec *argv) {
        for (size_t i = 0; i < ELEMENTSOF(flags); i++) {
                int r = flags[i].scope == scope ? emit_flag(config, &flags[i], argv) : 0;

                if (r < 0)
                        return r;
        }
        return 0;
}

/**
 * crosvm_flags_emit() - config to arguments, the inverse of crosvm_flags_parse()
 * @config: valid by vmm_config_validate()
 * @argv:   appended to; the caller has put the program there
 *
 * Return: 0 or -ENOMEM, with part of the arguments appended.
 */
int crosvm_flags_emit(const VmmConfig *config, StrVec *argv) {
        int r;

        r = emit_scope(config, SCOPE_GLOBAL, argv);
        if (r == 0)
                r = strvec_add(argv, "run");
        if (r == 0)
                r = emit_scope(config, SCOPE_RUN, argv);
        if (r == 0 && config->kernel && config->kernel[0] == '-')
                r = strvec_add(argv, "--");
        if (r == 0 && config->kernel)
                r = strvec_add(argv, config->kernel);
        return r;
}

static void help_flag(FILE *out, const Flag *flag) {
        char left[64], letter[8] = "   ";

        if (flag->letter)
                (void) snprintf(letter, sizeof(letter), "-%c,", flag->letter);
        (void) snprintf(left, sizeof(left), "%s --%s%s%s", letter, flag->name,
                        flag->metavar ? " " : "", flag->metavar ?: "");
        (void) fprintf(out, "  %-24s %s%s\n", left, flag->help,
                       flag->repeatable ? " (repeatable)" : "");
}

static void help_group(FILE *out, FlagGroup group, const char *title) {
        (void) fprintf(out, "\n%s:\n", title);
        for (size_t i = 0; i < ELEMENTSOF(flags); i++)
                if (flags[i].group == group)
                        help_flag(out, &flags[i]);
}

/** crosvm_flags_help() - the text of --help */
void crosvm_flags_help(FILE *out) {
        (void) fputs(
                "usage: vivarium-vmm [GLOBAL OPTIONS] run [OPTIONS] KERNEL\n"
                "       vivarium-vmm probe\n"
                "\n"
                "run: one virtual machine, until it ends. KERNEL is a bzImage or an ELF vmlinux.\n"
                "probe: print which hypervisors work on this host, and why not.\n"
                "\n"
                "The spelling is crosvm's; what this version cannot do is refused by name.\n"
                "A PATH may be /proc/self/fd/N for a descriptor inherited without close-on-exec.\n",
                out);
        help_group(out, GROUP_GLOBAL, "Global options");
        (void) fputs("      --version            print the version and exit\n"
                     "  -h, --help               print this text and exit\n",
                     out);
        help_group(out, GROUP_BOOT, "What to boot");
        help_group(out, GROUP_MACHINE, "The machine");
        help_group(out, GROUP_DEVICES, "Devices");
        help_group(out, GROUP_ACCEPTED, "Accepted so that crosvm's command lines work");
        help_group(out, GROUP_OURS, "Not in crosvm in this form");
        (void) fputs(
                "\n"
                "--serial LIST, keys (crosvm's comma list; a key alone means true):\n"
                "  type=sink|file|stdout    where output goes (default sink)\n"
                "  path=PATH                file that is appended to, for type=file\n"
                "  input=PATH               where input comes from; or stdin, for standard input\n"
                "  hardware=KIND            serial (ttyS, default) or virtio-console (hvc)\n"
                "  num=N                    1 is ttyS0 or hvc0; at most 4 and 8\n"
                "  console, earlycon        make the kernel use it so\n"
                "\n"
                "--block LIST, keys:\n"
                "  path=PATH                raw or composite image (first key, may be left out)\n"
                "  ro, root, direct         read-only, root file system, bypass the page cache\n"
                "  sparse=BOOL, lock=BOOL   give discarded space back, lock the image (default "
                "true)\n"
                "  block-size=BYTES         logical sector, 512 (default) to 4096\n"
                "  id=TEXT                  serial number, at most 20 bytes\n"
                "\n"
                "Exit status: 0 stopped, 1 error, 35 bad arguments; see --extended-status for the "
                "rest.\n"
                "\n"
                "Examples:\n"
                "  vivarium-vmm run --serial stdout,stdin,console -p panic=-1 -i initrd.img "
                "vmlinuz\n"
                "  vivarium-vmm --extended-status run -m 1024 -c 4 --block root.img,root vmlinuz\n",
                out);
}
