/* SPDX-License-Identifier: Apache-2.0 */
#include "dbus/client/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "dbus/client/suggest.h"

#define HELP_COLUMN 27 /* width of what stands before an explanation */

const Option global_options[] = {
        {OPTION_SYSTEM, 0, "system", NULL, "Talk to the service of the system (default)"},
        {OPTION_USER, 0, "user", NULL, "Talk to the service of the calling user"},
        {OPTION_ADDRESS, 0, "address", "ADDRESS", "Talk to the bus at this D-Bus address"},
        {OPTION_HOST, 'H', "host", "[USER@]HOST", "Talk to the service of another host, over ssh"},
        {OPTION_JSON, 0, "json", "MODE", "Print JSON: short, pretty, or off (default)"},
        {OPTION_NO_LEGEND, 0, "no-legend", NULL, "Print no column titles and no totals"},
        {OPTION_HELP, 'h', "help", NULL, "Print this help; behind a verb, its own"},
        {OPTION_VERSION, 0, "version", NULL, "Print the version"},
        {0},
};

const Option config_options[] = {
        {OPTION_NAME, 'n', "name", "NAME", "Name of the VM"},
        {OPTION_CPUS, 0, "cpus", "N", "Number of virtual CPUs"},
        {OPTION_MEM, 'm', "mem", "MIB", "Memory of the guest in MiB"},
        {OPTION_PARAMS, 'p', "params", "STRING", "Kernel command line"},
        {OPTION_KERNEL, 0, "kernel", "PATH", "Kernel to boot (bzImage or ELF)"},
        {OPTION_INITRD, 0, "initrd", "PATH", "Initial RAM disk"},
        {OPTION_BOOTLOADER, 0, "bootloader", "PATH", "Firmware to boot instead of a kernel"},
        {OPTION_DISK, 0, "disk", "PATH[:ro]", "Add a raw disk image; for more disks, repeat"},
        {OPTION_NETWORK, 0, "network", "NAME", "A network of the service, or user, bridge, none"},
        {OPTION_SHARE, 0, "share", "TAG:DIR", "Share a directory; for more of them, repeat"},
        {OPTION_DEVICE, 0, "device", "PATH",
         "Give it a device of the host, one that vivctl devices lists; for more, repeat"},
        {0},
};

const Option start_options[] = {
        {OPTION_CONSOLE, 0, "console", "FILE",
         "Write the console to FILE; - is standard output, service the service's"},
        {OPTION_CONSOLE_IN, 0, "console-in", "FILE",
         "Feed the console from FILE; - is standard input"},
        {OPTION_LOG, 0, "log", "FILE", "Write the guest's log port (hvc2) to FILE"},
        {OPTION_HYPERVISOR, 0, "hypervisor", "NAME", "auto (default), kvm or soft"},
        {OPTION_BOOT_TIMEOUT, 0, "boot-timeout", "SECONDS",
         "Kill the VM unless its payload starts by then; 0: never"},
        {0},
};

const Option run_options[] = {
        {OPTION_DETACH, 'd', "detach", NULL, "Return once the VM runs and leave it running"},
        {0},
};

const Option capabilities_options[] = {
        {OPTION_PROBE, 0, "probe", NULL, "Let the service find out anew which hypervisors work"},
        {0},
};

const Option metrics_options[] = {
        {OPTION_FORMAT, 0, "format", "NAME", "prometheus (default) or openmetrics"},
        {0},
};

const Option log_options[] = {
        {OPTION_FOLLOW, 'f', "follow", NULL, "Go on with what the guest writes, until the VM ends"},
        {0},
};

const Option top_options[] = {
        {OPTION_BATCH, 'b', "batch", NULL, "Print one table behind the other"},
        {OPTION_ITERATIONS, 'n', "iterations", "N", "Leave after N looks"},
        {OPTION_DELAY, 'd', "delay", "SECONDS", "Time between looks (1)"},
        {OPTION_ORDER, 0, "order", "WHAT", "cpu (default), memory or name"},
        {0},
};

const Option disk_options[] = {
        {OPTION_COMPOSITE, 0, "composite", NULL,
         "Name the partitions' files instead of copying them; for the VMM itself"},
        {0},
};

const Option partition_options[] = {
        {OPTION_TYPE, 't', "type", "KIND", "raw (default), instance or encryptedstore"},
        {0},
};

const Option gdb_options[] = {
        {OPTION_STDIO, 0, "stdio", NULL,
         "Start no gdb; connect standard input and output to the stub"},
        {0},
};

const Option hotplug_options[] = {
        {OPTION_SERIAL, 0, "serial", "TEXT", "add: what the guest knows the disk by"},
        {OPTION_SHRINK, 0, "shrink", NULL, "resize: cut off the end of the disk"},
        {0},
};

const Option offer_options[] = {
        {OPTION_TO, 0, "to", "USER", "Only this user, by name or uid, may take it"},
        {0},
};

const Option stop_options[] = {
        {OPTION_TIMEOUT, 0, "timeout", "SECONDS", "Kill what has not stopped by then (90)"},
        {0},
};

const Option show_options[] = {
        {OPTION_LAST, 0, "last", NULL,
         "Show the last death of that name, of a VM that is gone too"},
        {0},
};

const Option history_options[] = {
        {OPTION_MAX, 0, "max", "N", "Show the last N deaths; 0 (default) is all there are"},
        {0},
};

const Option drain_options[] = {
        {OPTION_TIMEOUT, 0, "timeout", "SECONDS", "Kill what has not stopped by then (90)"},
        {OPTION_CANCEL, 0, "cancel", NULL, "Take new VMs again"},
        {0},
};

/** verb_option_at() - the @i-th option of @verb's own tables, or NULL behind the last one */
const Option *verb_option_at(const Verb *verb, size_t i) {
        for (size_t t = 0; t < VERB_OPTION_TABLES_MAX && verb->options[t]; t++)
                for (const Option *o = verb->options[t]; o->name; o++)
                        if (i-- == 0)
                                return o;
        return NULL;
}

static bool option_is(const Option *o, const char *name, size_t len, char letter) {
        if (letter)
                return o->letter == letter;
        return strlen(o->name) == len && strncmp(o->name, name, len) == 0;
}

/* By long name, or by @letter unless that is 0. */
static const Option *find_option(const Verb *verb, const char *name, size_t len, char letter) {
        const Option *o;

        for (o = global_options; o->name; o++)
                if (option_is(o, name, len, letter))
                        return o;
        for (size_t i = 0; verb && (o = verb_option_at(verb, i)); i++)
                if (option_is(o, name, len, letter))
                        return o;
        return NULL;
}

static const Verb *find_verb(const Verb *verbs, const char *name) {
        for (const Verb *v = verbs; v->name; v++)
                if (str_eq(v->name, name))
                        return v;
        return NULL;
}

static int unknown_option(const Args *args, const char *name, size_t len, const char *spelled,
                          TextError *reterr) {
        Suggestion best = {0};
        const Option *own;

        for (const Option *o = global_options; o->name; o++)
                suggestion_offer(&best, name, len, o->name);
        for (size_t i = 0; args->verb && (own = verb_option_at(args->verb, i)); i++)
                suggestion_offer(&best, name, len, own->name);
        if (best.text)
                return text_error_set(reterr, -EINVAL, "unknown option \"%s\"; did you mean --%s?",
                                      spelled, best.text);
        if (args->verb)
                return text_error_set(reterr, -EINVAL,
                                      "unknown option \"%s\"; see vivctl %s --help", spelled,
                                      args->verb->name);
        return text_error_set(reterr, -EINVAL, "unknown option \"%s\"; see vivctl --help", spelled);
}

static int unknown_verb(const Verb *verbs, const char *name, TextError *reterr) {
        Suggestion best = {0};

        for (const Verb *v = verbs; v->name; v++)
                suggestion_offer(&best, name, strlen(name), v->name);
        if (best.text)
                return text_error_set(reterr, -EINVAL, "unknown verb \"%s\"; did you mean \"%s\"?",
                                      name, best.text);
        return text_error_set(reterr, -EINVAL, "unknown verb \"%s\"; see vivctl --help", name);
}

/* One option at argv[*i]; its value may be the next argument, which is then consumed too. */
static int parse_option(int argc, const char *const *argv, int *i, Args *args, TextError *reterr) {
        const char *spelled = argv[*i], *value = NULL, *name = spelled + 2;
        char letter = spelled[1] == '-' ? 0 : spelled[1];
        const Option *option;
        size_t len = 0;

        if (letter) {
                value = spelled[2] ? spelled + 2 : NULL;
        } else {
                const char *equals = strchr(name, '=');

                len = equals ? (size_t) (equals - name) : strlen(name);
                value = equals ? equals + 1 : NULL;
        }
        option = find_option(args->verb, name, len, letter);
        if (!option)
                return unknown_option(args, name, len, spelled, reterr);
        if (!option->value && value)
                return text_error_set(reterr, -EINVAL, "option --%s takes no value", option->name);
        if (option->value && !value) {
                if (*i + 1 >= argc)
                        return text_error_set(reterr, -EINVAL, "option --%s needs a value: %s",
                                              option->name, option->value);
                value = argv[++*i];
        }
        args->options[args->n_options++] = (OptionUse){.id = option->id, .value = value};
        return 0;
}

static int check_operands(const Args *args, TextError *reterr) {
        const Verb *verb = args->verb;

        if (!verb || args_has(args, OPTION_HELP))
                return 0;
        if (args->n_operands < verb->operands_min)
                return text_error_set(reterr, -EINVAL, "%s needs an argument: vivctl %s %s",
                                      verb->name, verb->name, verb->operands);
        if (args->n_operands > verb->operands_max)
                return text_error_set(reterr, -EINVAL, "%s: unexpected argument \"%s\"", verb->name,
                                      args->operands[verb->operands_max]);
        return 0;
}

/**
 * args_parse() - split a command line by the tables
 * @verbs: table ended by a NULL name
 * @ret:   borrows from @argv; release with args_deinit()
 *
 * Return: 0; -EINVAL with the sentence for the user in @reterr; -ENOMEM.
 */
int args_parse(int argc, const char *const *argv, const Verb *verbs, Args *ret, TextError *reterr) {
        _cleanup_(args_deinit) Args args = {0};
        bool options_ended = false;
        int r;

        args.options = calloc((size_t) argc + 1, sizeof(*args.options));
        args.operands = calloc((size_t) argc + 1, sizeof(*args.operands));
        if (!args.options || !args.operands)
                return -ENOMEM;
        for (int i = 1; i < argc; i++) {
                const char *arg = argv[i];

                if (!options_ended && str_eq(arg, "--")) {
                        options_ended = true;
                } else if (!options_ended && arg[0] == '-' && arg[1]) {
                        r = parse_option(argc, argv, &i, &args, reterr);
                        if (r < 0)
                                return r;
                } else if (!args.verb) {
                        args.verb = find_verb(verbs, arg);
                        if (!args.verb)
                                return unknown_verb(verbs, arg, reterr);
                } else {
                        args.operands[args.n_operands++] = arg;
                }
        }
        r = check_operands(&args, reterr);
        if (r < 0)
                return r;
        *ret = args;
        args = (Args){0};
        return 0;
}

/** args_deinit() - release what it owns; the words of the command line are borrowed */
void args_deinit(Args *args) {
        free(args->options);
        free(args->operands);
        *args = (Args){0};
}

/** args_value() - the value of option @id, borrowed; the last one where it was given twice; NULL without it */
const char *args_value(const Args *args, OptionId id) {
        const char *value = NULL;

        for (size_t i = 0; i < args->n_options; i++)
                if (args->options[i].id == id)
                        value = args->options[i].value;
        return value;
}

/** args_has() - how often option @id was given */
int args_has(const Args *args, OptionId id) {
        int n = 0;

        for (size_t i = 0; i < args->n_options; i++)
                n += args->options[i].id == id;
        return n;
}

/* What does not fit its column has a line of its own. */
static void print_row(FILE *out, const char *left, const char *right) {
        if (strlen(left) > HELP_COLUMN)
                fprintf(out, "  %s\n  %-*s %s\n", left, HELP_COLUMN, "", right);
        else
                fprintf(out, "  %-*s %s\n", HELP_COLUMN, left, right);
}

static void print_option(FILE *out, const Option *option) {
        char left[64];

        (void) snprintf(left, sizeof(left), "%c%c --%s%s%s", option->letter ? '-' : ' ',
                        option->letter ? option->letter : ' ', option->name,
                        option->value ? "=" : "", option->value ? option->value : "");
        print_row(out, left, option->help);
}

static void print_global_options(FILE *out) {
        for (const Option *o = global_options; o->name; o++)
                print_option(out, o);
}

/** help_print() - what `vivctl --help` says */
void help_print(FILE *out, const Verb *verbs) {
        fprintf(out, "vivctl [OPTIONS...] VERB ...\n\nManage virtual machines of vivariumd.\n\n"
                     "Verbs:\n");
        for (const Verb *v = verbs; v->name; v++) {
                char left[64];

                (void) snprintf(left, sizeof(left), "%s %s", v->name, v->operands);
                print_row(out, left, v->help);
        }
        fprintf(out, "\nOptions:\n");
        print_global_options(out);
        fprintf(out, "\nExamples:\n"
                     "  vivctl run --kernel=vmlinuz --initrd=initrd.img --params=console=ttyS0\n"
                     "  vivctl run --detach --name=web web.json && vivctl console web\n"
                     "  vivctl stop web; vivctl show web\n"
                     "  journalctl -t vivarium-console VM=web\n");
        fprintf(out, "\nvivctl VERB --help prints the options of a verb. See vivctl(1), "
                     "vm-config(5).\n");
}

/** help_print_verb() - what `vivctl VERB --help` says */
void help_print_verb(FILE *out, const Verb *verb) {
        const Option *o;

        fprintf(out, "vivctl [OPTIONS...] %s %s\n\n%s.\n", verb->name, verb->operands, verb->help);
        if (verb->options[0])
                fprintf(out, "\nOptions of %s:\n", verb->name);
        for (size_t i = 0; (o = verb_option_at(verb, i)); i++)
                print_option(out, o);
        fprintf(out, "\nOptions of all verbs:\n");
        print_global_options(out);
}
