/* SPDX-License-Identifier: Apache-2.0 */
#include "dbus/client/vm_request.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "config/vm_config.h"
#include "config/vm_config_files.h"
#include "dbus/client/errors.h"
#include "dbus/client/reasons.h"
#include "dbus/names.h"

/* A file that is being looked for: where relative paths begin, and where the open file goes. */
typedef struct Opener {
        VmRequest *request; /* borrowed */
        int dir_fd;         /* borrowed; of the config file, or AT_FDCWD */
} Opener;

/** vm_request_deinit() - release what it owns, and close its files */
void vm_request_deinit(VmRequest *request) {
        for (size_t i = 0; i < request->n_files; i++) {
                (void) fd_close(request->files[i].fd);
                free(request->files[i].name);
        }
        free(request->files);
        free(request->json);
        *request = (VmRequest){0};
}

/* Takes @fd on success and failure. */
static int add_file_consume(VmRequest *request, const char *name, int fd) {
        _cleanup_(fd_closep) int owned = fd;
        _cleanup_(freep) char *copy = strdup(name);

        if (!copy)
                return -ENOMEM;
        if (request->n_files == request->room) {
                size_t room = request->room ? request->room * 2 : 8;
                RequestFile *grown = reallocarray(request->files, room, sizeof(*grown));

                if (!grown)
                        return -ENOMEM;
                request->files = grown;
                request->room = room;
        }
        request->files[request->n_files++] =
                (RequestFile){.name = TAKE(copy), .fd = TAKE_FD(owned)};
        return 0;
}

static int open_error(const char *json_path, const char *path, bool writable, int r,
                      TextError *reterr) {
        const char *advice =
                r == -EACCES || r == -EPERM ? "\nvivctl opens the files of a VM with your rights."
                : r == -ENOENT && path[0] != '/' ? "\nRelative paths begin at the config file."
                                                 : "";

        return text_error_set(reterr, r, "%s: cannot open \"%s\"%s: %s%s", json_path, path,
                              writable ? " for writing" : "", strerror(-r), advice);
}

static bool is_of_kind(const struct stat *st, VmFileKind kind) {
        return kind == VM_FILE_FOLDER ? S_ISDIR(st->st_mode)
                                      : S_ISREG(st->st_mode) || S_ISBLK(st->st_mode);
}

/* O_NONBLOCK, because opening a FIFO would wait for its other end. */
static int open_kind(int dir_fd, const char *path, VmFileKind kind) {
        const int flags = kind == VM_FILE_WRITE    ? O_RDWR
                          : kind == VM_FILE_FOLDER ? O_RDONLY | O_DIRECTORY
                                                   : O_RDONLY;
        int fd = openat(dir_fd, path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

        return fd < 0 ? -errno : fd;
}

/* The server of a shared folder, which the user runs. */
static int connect_server(int dir_fd, const char *path) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        _cleanup_(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int n = path[0] == '/' || dir_fd < 0
                        ? snprintf(address.sun_path, sizeof(address.sun_path), "%s", path)
                        : snprintf(address.sun_path, sizeof(address.sun_path),
                                   "/proc/self/fd/%d/%s", dir_fd, path);

        if (fd < 0)
                return -errno;
        if (n < 0 || (size_t) n >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        if (connect(fd, (const struct sockaddr *) &address, sizeof(address)) < 0)
                return -errno;
        return TAKE_FD(fd);
}

/* Opens a file or directory for the VM, of which messages speak as @json_path. */
static int open_checked(int dir_fd, const char *json_path, const char *path, VmFileKind kind,
                        int *ret, TextError *reterr) {
        const bool writable = kind == VM_FILE_WRITE;
        _cleanup_(fd_closep) int fd = open_kind(dir_fd, path, kind);
        struct stat st;
        int r;

        if (fd < 0)
                return open_error(json_path, path, writable, fd, reterr);
        if (fstat(fd, &st) < 0)
                return open_error(json_path, path, writable, -errno, reterr);
        if (!is_of_kind(&st, kind))
                return text_error_set(reterr, -EINVAL,
                                      "%s: \"%s\" is neither a file nor a block device", json_path,
                                      path);
        r = fd_set_nonblock(fd, false);
        if (r < 0)
                return open_error(json_path, path, writable, r, reterr);
        *ret = TAKE_FD(fd);
        return 0;
}

static int open_config_file(void *userdata, const char *json_path, const char *fd_name,
                            const char *path, VmFileKind kind, TextError *reterr) {
        Opener *opener = userdata;
        _cleanup_(fd_closep) int fd = -EBADF;
        int r;

        if (kind != VM_FILE_SOCKET) {
                r = open_checked(opener->dir_fd, json_path, path, kind, &fd, reterr);
                if (r < 0)
                        return r;
        } else {
                fd = connect_server(opener->dir_fd, path);
                if (fd < 0)
                        return open_error(json_path, path, /* writable= */ false, fd, reterr);
        }
        return add_file_consume(opener->request, fd_name, TAKE_FD(fd));
}

/* The config's text and the directory its relative paths begin at; "-" is standard input and has none. */
static int read_config(const char *path, char **ret_json, int *ret_dir_fd, TextError *reterr) {
        _cleanup_(fd_closep) int fd = -EBADF, dir_fd = -EBADF;
        _cleanup_(freep) char *dir = NULL;
        const char *slash = strrchr(path, '/');
        int r;

        if (str_eq(path, "-")) {
                r = fd_read_bounded(STDIN_FILENO, VM_CONFIG_JSON_MAX, ret_json, NULL);
                return r < 0 ? text_error_set(reterr, r, "standard input: %s", strerror(-r)) : 0;
        }
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return text_error_set(reterr, -errno, "cannot open \"%s\": %s", path,
                                      strerror(errno));
        dir = slash ? strndup(path, (size_t) (slash - path) + 1) : strdup(".");
        if (!dir)
                return -ENOMEM;
        dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (dir_fd < 0)
                return text_error_set(reterr, -errno, "cannot open \"%s\": %s", dir,
                                      strerror(errno));
        r = fd_read_bounded(fd, VM_CONFIG_JSON_MAX, ret_json, NULL);
        if (r < 0)
                return text_error_set(reterr, r, "cannot read \"%s\": %s", path, strerror(-r));
        *ret_dir_fd = TAKE_FD(dir_fd);
        return 0;
}

/* Paths of options begin at the current directory, those of the config at the config: absolute ones suit both. */
static int absolute_path(const char *path, size_t len, char **ret) {
        _cleanup_(freep) char *cwd = NULL;

        if (path[0] == '/') {
                *ret = strndup(path, len);
                return *ret ? 0 : -ENOMEM;
        }
        cwd = getcwd(NULL, 0);
        if (!cwd)
                return -errno;
        if (asprintf(ret, "%s/%.*s", cwd, (int) len, path) < 0)
                return -ENOMEM;
        return 0;
}

static int usage_error(TextError *reterr, const char *option, const char *value,
                       const char *expected) {
        (void) text_error_set(reterr, -EINVAL, "--%s=%s: expected %s", option, value, expected);
        return EXIT_STATUS_USAGE;
}

static int apply_number(VmDraft *draft, const char *option, const char *key, const char *value,
                        TextError *reterr) {
        uint64_t number;

        if (parse_u64(value, &number) < 0)
                return usage_error(reterr, option, value, "a number");
        return vm_draft_set_uint(draft, key, number);
}

static int apply_path(VmDraft *draft, const char *key, const char *value, TextError *reterr) {
        _cleanup_(freep) char *path = NULL;
        int r;

        if (!*value)
                return usage_error(reterr, key, value, "the path of a file");
        r = absolute_path(value, strlen(value), &path);
        return r < 0 ? r : vm_draft_set_string(draft, key, path);
}

/* "PATH" or "PATH:ro". Return: 0; EXIT_STATUS_USAGE with @reterr set; negative errno. */
static int parse_disk(const char *value, char **ret_path, bool *ret_writable, TextError *reterr) {
        static const char suffix[] = ":ro";
        size_t len = strlen(value), n = sizeof(suffix) - 1;
        bool read_only = len >= n && str_eq(value + len - n, suffix);

        if (read_only)
                len -= n;
        if (len == 0)
                return usage_error(reterr, "disk", value, "the path of a file");
        *ret_writable = !read_only;
        return absolute_path(value, len, ret_path);
}

static int apply_disk(VmDraft *draft, const char *value, TextError *reterr) {
        _cleanup_(freep) char *path = NULL;
        bool writable;
        int r = parse_disk(value, &path, &writable, reterr);

        return r != 0 ? r : vm_draft_add_disk(draft, path, writable, reterr);
}

/**
 * vm_request_open_disk() - open what --disk takes: "PATH", or "PATH:ro" for a disk that is only read
 * @ret: owned by the caller
 *
 * Return: 0; negative errno with @reterr set.
 */
int vm_request_open_disk(const char *value, int *ret, bool *ret_writable, TextError *reterr) {
        _cleanup_(freep) char *path = NULL;
        int r = parse_disk(value, &path, ret_writable, reterr);

        if (r != 0)
                return r < 0 ? r : -EINVAL;
        assert(path);
        return open_checked(AT_FDCWD, "disk", path, *ret_writable ? VM_FILE_WRITE : VM_FILE_READ,
                            ret, reterr);
}

/* "TAG:PATH". */
static int apply_share(VmDraft *draft, const char *value, TextError *reterr) {
        const char *colon = strchr(value, ':');
        _cleanup_(freep) char *tag = NULL, *path = NULL;
        int r;

        if (!colon || colon == value || !colon[1])
                return usage_error(reterr, "share", value, "a tag and the path of a directory");
        tag = strndup(value, (size_t) (colon - value));
        if (!tag)
                return -ENOMEM;
        r = absolute_path(colon + 1, strlen(colon + 1), &path);
        return r < 0 ? r : vm_draft_add_share(draft, tag, path, reterr);
}

/* What a config has for a kernel, firmware would not see. */
static int apply_bootloader(VmDraft *draft, const char *value, TextError *reterr) {
        static const char *const excluded[] = {"kernel", "initrd", "params"};

        for (size_t i = 0; i < ELEMENTSOF(excluded); i++)
                vm_draft_unset(draft, excluded[i]);
        return apply_path(draft, "bootloader", value, reterr);
}

/* Return: as vm_request_build(). */
static int apply_option(VmDraft *draft, const OptionUse *use, TextError *reterr) {
        if (use->id == OPTION_NAME)
                return vm_draft_set_string(draft, "name", use->value);
        if (use->id == OPTION_PARAMS)
                return vm_draft_set_string(draft, "params", use->value);
        if (use->id == OPTION_MEM)
                return apply_number(draft, "mem", "memory_mib", use->value, reterr);
        if (use->id == OPTION_CPUS) {
                vm_draft_unset(draft, "cpu_topology");
                return apply_number(draft, "cpus", "cpus", use->value, reterr);
        }
        if (use->id == OPTION_KERNEL) {
                vm_draft_unset(draft, "bootloader");
                return apply_path(draft, "kernel", use->value, reterr);
        }
        if (use->id == OPTION_INITRD)
                return apply_path(draft, "initrd", use->value, reterr);
        if (use->id == OPTION_BOOTLOADER)
                return apply_bootloader(draft, use->value, reterr);
        if (use->id == OPTION_DISK)
                return apply_disk(draft, use->value, reterr);
        if (use->id == OPTION_SHARE)
                return apply_share(draft, use->value, reterr);
        if (use->id == OPTION_DEVICE)
                return vm_draft_add_device(draft, use->value, reterr);
        if (use->id == OPTION_NETWORK)
                return vm_draft_set_network(draft, use->value);
        return 0;
}

static int build_json(const Args *args, VmDraft *draft, Opener *opener, TextError *reterr) {
        int r = 0;

        for (size_t i = 0; r == 0 && i < args->n_options; i++)
                r = apply_option(draft, &args->options[i], reterr);
        if (r == 0)
                r = vm_draft_take_files(draft, open_config_file, opener, reterr);
        if (r == 0)
                r = vm_draft_to_json(draft, /* pretty= */ false, &opener->request->json);
        return r;
}

/**
 * vm_request_build() - read the config, let options win over it, open its files
 * @args: of run, create or check-config
 * @ret:  release with vm_request_deinit()
 *
 * Return: 0; EXIT_STATUS_USAGE when the command line is wrong or the config is, or negative errno, both with @reterr set.
 */
int vm_request_build(const Args *args, VmRequest *ret, TextError *reterr) {
        const char *path = args->n_operands > 0 ? args->operands[0] : NULL;
        _cleanup_(vm_request_deinit) VmRequest request = {0};
        _cleanup_(fd_closep) int dir_fd = -EBADF;
        _cleanup_(vm_draft_freep) VmDraft *draft = NULL;
        _cleanup_(freep) char *text = NULL;
        Opener opener = {.request = &request, .dir_fd = AT_FDCWD};
        int r;

        if (!path && !args_has(args, OPTION_KERNEL)) {
                (void) text_error_set(reterr, -EINVAL,
                                      "%s needs a config file, or --kernel; see vivctl %s --help",
                                      args->verb->name, args->verb->name);
                return EXIT_STATUS_USAGE;
        }
        if (path) {
                r = read_config(path, &text, &dir_fd, reterr);
                if (r < 0)
                        return r;
                if (dir_fd >= 0)
                        opener.dir_fd = dir_fd;
        }
        r = vm_draft_new(text, &draft, reterr);
        if (r == 0)
                r = build_json(args, draft, &opener, reterr);
        if (r < 0 && path)
                r = text_error_prefix(reterr, r, "%s", path);
        if (r == -EINVAL)
                return EXIT_STATUS_USAGE;
        if (r == 0) {
                *ret = request;
                request = (VmRequest){0};
        }
        return r;
}

/** vm_request_append() - append config and fds, "s" and "a{sh}", to a call. Return: 0 or negative errno. */
int vm_request_append(const VmRequest *request, sd_bus_message *call) {
        int r = sd_bus_message_append(call, "s", request->json);

        if (r >= 0)
                r = sd_bus_message_open_container(call, 'a', "{sh}");
        for (size_t i = 0; r >= 0 && i < request->n_files; i++)
                r = sd_bus_message_append(call, "{sh}", request->files[i].name,
                                          request->files[i].fd);
        if (r >= 0)
                r = sd_bus_message_close_container(call);
        return r < 0 ? r : 0;
}

/* What a dbus-daemon passes with one message unless it is configured otherwise (max_message_unix_fds). */
#define BUS_FILES_MAX 16u

/**
 * vm_request_call_error() - client_call_error() for a call that had the files of @request
 *
 * A bus that gets more of them than it takes says nothing and closes the connection. Return: EXIT_STATUS_USAGE when the
 * config was refused, so that nobody tries again; @r.
 */
int vm_request_call_error(const Client *client, const VmRequest *request, const sd_bus_error *error,
                          int r, const char *act, TextError *reterr) {
        if ((r == -ECONNRESET || r == -EPIPE) && request->n_files > BUS_FILES_MAX)
                return text_error_set(reterr, r,
                                      "%s: the bus closed the connection when it got %zu files\n"
                                      "A bus takes %u with one call unless it is configured "
                                      "otherwise; see max_message_unix_fds in dbus-daemon(1).",
                                      act, request->n_files, BUS_FILES_MAX);
        if (!sd_bus_error_has_name(error, VIVARIUM_ERROR_INVALID_CONFIG))
                return client_call_error(client, error, r, act, reterr);
        (void) client_told_error(error, r, act, "Keys and values are described in vm-config(5).",
                                 reterr);
        return EXIT_STATUS_USAGE;
}

/**
 * client_require_fds() - refuse buses over which no files can be passed
 *
 * Behind ssh that is all of them, although sd-bus may think otherwise: it talks to ssh over a socket that could.
 * Return: 0; negative errno with @reterr set.
 */
int client_require_fds(Client *client, TextError *reterr) {
        int r = client->bus_kind == BUS_REMOTE ? 0 : client_connect(client, reterr);

        if (r < 0)
                return r;
        if (client->bus_kind != BUS_REMOTE)
                r = sd_bus_can_send(client->bus, SD_BUS_TYPE_UNIX_FD);
        if (r < 0)
                return text_error_set(reterr, r, "cannot learn what the bus can carry: %s",
                                      strerror(-r));
        if (r == 0)
                return text_error_set(reterr, -EOPNOTSUPP,
                                      "files cannot be passed over this connection\n"
                                      "Run vivctl on the host of the service, for example with "
                                      "ssh; list, show, start, kill and release work from here.");
        return 0;
}
