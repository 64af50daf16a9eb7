/* SPDX-License-Identifier: Apache-2.0 */
#include "config/control_verbs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "config/crosvm_device_flags.h"

#define ARGUMENTS_MAX 3u

typedef struct Verb Verb;

struct Verb {
        const char *name, *sub; /* @sub: second word, or NULL */
        ControlKind kind;
        const char *option;    /* switch that it takes, or NULL; sets ControlRequest.flag */
        const char *arguments; /* before SOCKET, for people */
        unsigned n_arguments;
        const char *help;
        /* Puts the arguments into @command; NULL when there are none. */
        int (*parse)(const Verb *verb, char *const *arguments, ControlCommand *command,
                     TextError *reterr);
};

/* ---- arguments ---- */

static int parse_index(const char *text, const char *what, unsigned *ret, TextError *reterr) {
        uint32_t n;

        if (parse_u32(text, &n) < 0)
                return text_error_set(reterr, -EINVAL, "%s: expected a number, not '%s'", what,
                                      text);
        *ret = n;
        return 0;
}

static int parse_size(const char *text, uint64_t *ret, TextError *reterr) {
        uint64_t n;

        if (parse_u64(text, &n) < 0 || n > INT64_MAX - 1)
                return text_error_set(reterr, -EINVAL, "expected a number of bytes, not '%s'",
                                      text);
        *ret = n;
        return 0;
}

static int parse_gpe(const Verb *verb, char *const *arguments, ControlCommand *command,
                     TextError *reterr) {
        return parse_index(arguments[0], "GPE", &command->request.index, reterr);
}

static int parse_balloon(const Verb *verb, char *const *arguments, ControlCommand *command,
                         TextError *reterr) {
        return parse_size(arguments[0], &command->request.bytes, reterr);
}

static int parse_resize(const Verb *verb, char *const *arguments, ControlCommand *command,
                        TextError *reterr) {
        int r = parse_index(arguments[0], "DISK", &command->request.index, reterr);

        return r < 0 ? r : parse_size(arguments[1], &command->request.bytes, reterr);
}

static int parse_bus(const Verb *verb, char *const *arguments, ControlCommand *command,
                     TextError *reterr) {
        return parse_index(arguments[0], "BUS", &command->request.index, reterr);
}

/* Like files, interfaces are opened with the rights of whoever asks. */
static int parse_tap(const Verb *verb, char *const *arguments, ControlCommand *command,
                     TextError *reterr) {
        command->tap = strdup(arguments[0]);
        command->request.fd_index = 0;
        return command->tap ? 0 : -ENOMEM;
}

static int parse_link(const Verb *verb, char *const *arguments, ControlCommand *command,
                      TextError *reterr) {
        if (!str_eq(arguments[1], "up") && !str_eq(arguments[1], "down"))
                return text_error_set(reterr, -EINVAL, "expected up or down, not '%s'",
                                      arguments[1]);
        command->request.flag = str_eq(arguments[1], "up");
        return parse_bus(verb, arguments, command, reterr);
}

/* The file is opened here, with the rights of whoever asks, and not by the VMM. */
static int parse_disk(const Verb *verb, char *const *arguments, ControlCommand *command,
                      TextError *reterr) {
        _cleanup_(vmm_config_deinit) VmmConfig config;
        int r;

        vmm_config_init(&config);
        r = crosvm_block_parse(&config, arguments[0], reterr);
        if (r < 0)
                return r;
        if (!config.disks[0].path)
                return text_error_set(reterr, -EINVAL, "path= is missing");
        command->file = strdup(config.disks[0].path);
        command->file_read_only = config.disks[0].read_only;
        command->request.fd_index = 0;
        command->request.text = strdup(arguments[0]);
        return command->file && command->request.text ? 0 : -ENOMEM;
}

/* Its IOMMU group is opened by whoever asks, too. */
static int parse_vfio(const Verb *verb, char *const *arguments, ControlCommand *command,
                      TextError *reterr) {
        command->request.flag = str_eq(verb->sub, "add");
        command->request.text = strdup(arguments[0]);
        if (command->request.flag)
                command->vfio = strdup(arguments[0]);
        return command->request.text && (command->vfio || !command->request.flag) ? 0 : -ENOMEM;
}

static int parse_ramdump(const Verb *verb, char *const *arguments, ControlCommand *command,
                         TextError *reterr) {
        command->file = strdup(arguments[0]);
        command->file_create = true;
        command->request.fd_index = 0;
        return command->file ? 0 : -ENOMEM;
}

static int parse_snapshot(const Verb *verb, char *const *arguments, ControlCommand *command,
                          TextError *reterr) {
        command->file = strdup(arguments[0]);
        command->file_new = true;
        command->request.fd_index = 0;
        return command->file ? 0 : -ENOMEM;
}

/* ---- the table ---- */

static const Verb verbs[] = {
        {.name = "stop", .kind = CONTROL_EXIT, .help = "end the VM at once, without telling it"},
        {.name = "suspend",
         .kind = CONTROL_SUSPEND_VCPUS,
         .option = "full",
         .help = "stop the vCPUs, with --full the devices too"},
        {.name = "resume",
         .kind = CONTROL_RESUME_VCPUS,
         .option = "full",
         .help = "let them go on; --full also after suspend --full"},
        {.name = "powerbtn", .kind = CONTROL_POWERBTN, .help = "press the power button"},
        {.name = "make_rt",
         .kind = CONTROL_MAKE_RT,
         .help = "give vCPUs the policy that --delay-rt withheld"},
        {.name = "sleepbtn", .kind = CONTROL_SLEEPBTN, .help = "press the sleep button"},
        {.name = "gpe",
         .kind = CONTROL_GPE,
         .arguments = "GPE",
         .n_arguments = 1,
         .parse = parse_gpe,
         .help = "raise an ACPI general-purpose event, 0 to 15"},
        {.name = "balloon",
         .kind = CONTROL_BALLOON_ADJUST,
         .option = "wait",
         .arguments = "BYTES",
         .n_arguments = 1,
         .parse = parse_balloon,
         .help = "ask the guest for so much of its memory; --wait for it"},
        {.name = "balloon_stats",
         .kind = CONTROL_BALLOON_STATS,
         .help = "print the balloon and the guest's view of its memory"},
        {.name = "disk",
         .sub = "resize",
         .kind = CONTROL_DISK_RESIZE,
         .arguments = "DISK BYTES",
         .n_arguments = 2,
         .parse = parse_resize,
         .help = "change the size of disk number DISK, from 0"},
        {.name = "disk",
         .sub = "add",
         .kind = CONTROL_DISK_ADD,
         .arguments = "LIST",
         .n_arguments = 1,
         .parse = parse_disk,
         .help = "plug a disk in, LIST as for --block; prints its BUS"},
        {.name = "disk",
         .sub = "remove",
         .kind = CONTROL_DISK_REMOVE,
         .arguments = "BUS",
         .n_arguments = 1,
         .parse = parse_bus,
         .help = "unplug a disk, once the guest let go of it"},
        {.name = "disk",
         .sub = "list",
         .kind = CONTROL_DISK_LIST,
         .help = "print the disks with their numbers, BUS and size"},
        {.name = "virtio-net",
         .sub = "add",
         .kind = CONTROL_NET_ADD_FD,
         .arguments = "TAP",
         .n_arguments = 1,
         .parse = parse_tap,
         .help = "plug a network card in; prints its BUS"},
        {.name = "virtio-net",
         .sub = "remove",
         .kind = CONTROL_NET_REMOVE,
         .arguments = "BUS",
         .n_arguments = 1,
         .parse = parse_bus,
         .help = "unplug a network card"},
        {.name = "virtio-net",
         .sub = "link",
         .kind = CONTROL_NET_LINK,
         .arguments = "BUS up|down",
         .n_arguments = 2,
         .parse = parse_link,
         .help = "plug or pull a network card's cable"},
        {.name = "vfio",
         .sub = "add",
         .kind = CONTROL_VFIO,
         .arguments = "PATH",
         .n_arguments = 1,
         .parse = parse_vfio,
         .help = "plug a PCI function of the host in, PATH as for --vfio"},
        {.name = "vfio",
         .sub = "remove",
         .kind = CONTROL_VFIO,
         .arguments = "PATH",
         .n_arguments = 1,
         .parse = parse_vfio,
         .help = "unplug it, once the guest let go of it"},
        {.name = "ramdump",
         .kind = CONTROL_RAMDUMP,
         .arguments = "FILE",
         .n_arguments = 1,
         .parse = parse_ramdump,
         .help = "write the guest's memory and registers to FILE"},
        {.name = "snapshot",
         .sub = "take",
         .kind = CONTROL_SNAPSHOT_TAKE,
         .arguments = "PATH",
         .n_arguments = 1,
         .parse = parse_snapshot,
         .help = "write all of the VM to a new file PATH, for --restore"},
        {.name = "swap",
         .sub = "enable",
         .kind = CONTROL_SWAP_ENABLE,
         .help = "move the guest's memory to staging memory; see --swap"},
        {.name = "swap",
         .sub = "trim",
         .kind = CONTROL_SWAP_TRIM,
         .help = "drop from there what need not be written"},
        {.name = "swap",
         .sub = "out",
         .kind = CONTROL_SWAP_OUT,
         .help = "write staging memory to the swap file"},
        {.name = "swap",
         .sub = "disable",
         .kind = CONTROL_SWAP_DISABLE,
         .option = "slow-file-cleanup",
         .help = "bring all back; the file's blocks go at once or slowly"},
        {.name = "swap",
         .sub = "status",
         .kind = CONTROL_SWAP_STATUS,
         .help = "print the state and how many pages are where"},
        {.name = "vcpus", .kind = CONTROL_VCPU_PID_TID, .help = "print the vCPUs' threads"},
        {.name = "state", .kind = CONTROL_STATE, .help = "print whether it runs or is suspended"},
        {.name = "stats", .kind = CONTROL_STATS, .help = "print counters of vCPUs and devices"},
};

/** control_command_deinit() - release what @command owns */
void control_command_deinit(ControlCommand *command) {
        control_request_deinit(&command->request);
        free(command->file);
        free(command->tap);
        free(command->vfio);
        *command = (ControlCommand){.request.fd_index = -1};
}

/** control_verb_exists() - whether @verb is a command for a running VM */
bool control_verb_exists(const char *verb) {
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                if (str_eq(verbs[i].name, verb))
                        return true;
        return false;
}

static const Verb *find(const char *name, const char *sub) {
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                if (str_eq(verbs[i].name, name) &&
                    (!verbs[i].sub || (sub && str_eq(verbs[i].sub, sub))))
                        return &verbs[i];
        return NULL;
}

static void set_option(const Verb *verb, ControlRequest *request) {
        if (verb->kind == CONTROL_SUSPEND_VCPUS)
                request->kind = CONTROL_SUSPEND_VM;
        else if (verb->kind == CONTROL_RESUME_VCPUS)
                request->kind = CONTROL_RESUME_VM;
        else
                request->flag = true;
}

/* Sorts the words behind the verb into switches and arguments. Return: how many arguments; -EINVAL. */
static int take_words(const Verb *verb, int argc, char *const *argv, ControlCommand *command,
                      char **words, TextError *reterr) {
        unsigned n = 0;

        for (int i = 0; i < argc; i++) {
                const char *option = str_after_prefix(argv[i], "--");

                if (option && verb->option && str_eq(option, verb->option))
                        set_option(verb, &command->request);
                else if (option)
                        return text_error_set(reterr, -EINVAL, "%s: unknown option", argv[i]);
                else if (n == ARGUMENTS_MAX)
                        return text_error_set(reterr, -EINVAL, "too many arguments");
                else
                        words[n++] = argv[i];
        }
        return (int) n;
}

static bool asks_for_help(int argc, char *const *argv) {
        for (int i = 1; i < argc; i++)
                if (str_eq(argv[i], "--help") || str_eq(argv[i], "-h"))
                        return true;
        return false;
}

/**
 * control_verb_parse() - `VERB [SUB] [ARGUMENTS] SOCKET` to a request
 * @argv: begins with the verb
 * @ret:  set on success only; release with control_command_deinit()
 *
 * Return: 0; CONTROL_VERB_E_HELP; -EINVAL with a sentence; -ENOMEM.
 */
int control_verb_parse(int argc, char *const *argv, ControlCommand *ret, TextError *reterr) {
        _cleanup_(control_command_deinit) ControlCommand command = {.request.fd_index = -1};
        const Verb *verb = find(argv[0], argc > 1 ? argv[1] : NULL);
        char *words[ARGUMENTS_MAX] = {NULL};
        int skip, n, r;

        if (asks_for_help(argc, argv))
                return CONTROL_VERB_E_HELP;
        if (!verb)
                return text_error_set(reterr, -EINVAL,
                                      "%s: unknown or missing subcommand; see --help", argv[0]);
        skip = verb->sub ? 2 : 1;
        command.request.kind = verb->kind;
        n = take_words(verb, argc - skip, argv + skip, &command, words, reterr);
        if (n >= 0 && (unsigned) n != verb->n_arguments + 1)
                n = text_error_set(reterr, -EINVAL, "expected %s%sSOCKET", verb->arguments ?: "",
                                   verb->arguments ? " " : "");
        r = n;
        if (r >= 0 && verb->parse)
                r = verb->parse(verb, words, &command, reterr);
        if (r < 0)
                return text_error_prefix(reterr, r, "%s%s%s", verb->name, verb->sub ? " " : "",
                                         verb->sub ?: "");
        command.socket = words[verb->n_arguments];
        *ret = command;
        command = (ControlCommand){.request.fd_index = -1};
        return 0;
}

/** control_verbs_help() - one line for each command, or for those that @name begins */
void control_verbs_help(FILE *out, const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++) {
                const Verb *verb = &verbs[i];
                char left[64];

                if (name && !str_eq(verb->name, name))
                        continue;
                (void) snprintf(left, sizeof(left), "%s%s%s%s%s%s%s%s SOCKET", verb->name,
                                verb->sub ? " " : "", verb->sub ?: "", verb->option ? " [--" : "",
                                verb->option ?: "", verb->option ? "]" : "",
                                verb->arguments ? " " : "", verb->arguments ?: "");
                (void) fprintf(out, "  %-32s %s\n", left, verb->help);
        }
}
