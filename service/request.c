/* SPDX-License-Identifier: Apache-2.0 */
#include "service/request.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "config/launch_plan.h"
#include "service/conditions.h"
#include "service/fd_budget.h"

/*
 * A client's descriptors are the only files a VM gets. Each is duplicated at once, so that what the client does with
 * its own number does not matter, and each must be of a kind and opened in a way that the VMM can use: an error here
 * names the member of the config, one in the VMM could only name a number.
 */

/** request_init() - an empty request; release with request_deinit() */
void request_init(VmRequest *request) {
        *request = (VmRequest){.hypervisor = VMM_HYPERVISOR_AUTO,
                               .console_out = -EBADF,
                               .console_in = -EBADF,
                               .log_out = -EBADF};
        vm_config_init(&request->config);
}

/** request_deinit() - release what it owns, and close its descriptors */
void request_deinit(VmRequest *request) {
        vm_config_deinit(&request->config);
        for (size_t i = 0; i < request->n_files; i++) {
                free(request->files[i].name);
                (void) fd_close(request->files[i].fd);
        }
        free(request->files);
        free(request->name);
        (void) fd_close(request->console_out);
        (void) fd_close(request->console_in);
        (void) fd_close(request->log_out);
        request_init(request);
}

/** request_count_files() - descriptors that are kept for it */
unsigned request_count_files(const VmRequest *request) {
        return (unsigned) request->n_files + (request->console_out >= 0) +
               (request->console_in >= 0) + (request->log_out >= 0);
}

static const VmFile *find_file(const VmRequest *request, const char *name) {
        for (size_t i = 0; i < request->n_files; i++)
                if (str_eq(request->files[i].name, name))
                        return &request->files[i];
        return NULL;
}

/* A duplicate of @fd, unless VMs hold as many descriptors as they may. */
static int keep_fd(int fd, int *ret, TextError *reterr) {
        _cleanup_(fd_closep) int own = fd_dup_cloexec(fd);

        if (own == -EMFILE || (own >= 0 && fd_budget_check(own) < 0))
                return text_error_set(reterr, SERVICE_E_QUOTA_EXCEEDED,
                                      "keep a descriptor: VMs hold as many as they may");
        if (own < 0)
                return own;
        *ret = TAKE_FD(own);
        return 0;
}

/**
 * request_add_file() - duplicate a descriptor that the client calls @name
 * @fd: borrowed
 *
 * Return: 0; SERVICE_E_INVALID_CONFIG for a name given twice or one too many; SERVICE_E_QUOTA_EXCEEDED; negative errno.
 */
int request_add_file(VmRequest *request, const char *name, int fd, TextError *reterr) {
        _cleanup_(freep) char *copy = NULL;
        VmFile *grown;
        int own = -EBADF, r;

        if (find_file(request, name))
                return text_error_set(reterr, SERVICE_E_INVALID_CONFIG,
                                      "fds: the name \"%s\" is given twice", name);
        if (request->n_files >= LAUNCH_FILES_MAX)
                return text_error_set(reterr, SERVICE_E_INVALID_CONFIG,
                                      "fds: more than %u descriptors", LAUNCH_FILES_MAX);
        copy = strdup(name);
        if (!copy)
                return -ENOMEM;
        grown = reallocarray(request->files, request->n_files + 1, sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        request->files = grown;
        r = keep_fd(fd, &own, reterr);
        if (r != 0)
                return r;
        request->files[request->n_files++] = (VmFile){.name = TAKE(copy), .fd = own};
        return 0;
}

/** request_set_name() - option "name". Return: 0; SERVICE_E_INVALID_CONFIG; -ENOMEM. */
int request_set_name(VmRequest *request, const char *name, TextError *reterr) {
        if (!vm_name_is_valid(name))
                return text_error_set(reterr, SERVICE_E_INVALID_CONFIG,
                                      "option \"name\": expected 1 to %u bytes without control "
                                      "characters and slashes",
                                      VM_NAME_MAX);
        free(request->name);
        request->name = strdup(name);
        return request->name ? 0 : -ENOMEM;
}

static const char *const hypervisor_names[] = {
        [VMM_HYPERVISOR_AUTO] = "auto",
        [VMM_HYPERVISOR_KVM] = "kvm",
        [VMM_HYPERVISOR_SOFT] = "soft",
};

/** request_hypervisor_to_string() - the name used on the bus */
const char *request_hypervisor_to_string(VmmHypervisor hypervisor) {
        return hypervisor_names[hypervisor];
}

/** request_set_hypervisor() - option "hypervisor". Return: 0 or SERVICE_E_INVALID_CONFIG. */
int request_set_hypervisor(VmRequest *request, const char *name, TextError *reterr) {
        for (size_t i = 0; i < ELEMENTSOF(hypervisor_names); i++)
                if (str_eq(hypervisor_names[i], name)) {
                        request->hypervisor = (VmmHypervisor) i;
                        return 0;
                }
        return text_error_set(
                reterr, SERVICE_E_INVALID_CONFIG,
                "option \"hypervisor\": expected \"auto\", \"kvm\" or \"soft\", got \"%s\"", name);
}

/* Whether @fd was opened so that it can be read and, with @write, written. O_PATH descriptors can be neither. */
static bool access_fits(int flags, bool read, bool write) {
        int mode = flags & O_ACCMODE;

        if (flags & O_PATH)
                return false;
        return (!read || mode != O_WRONLY) && (!write || mode != O_RDONLY);
}

/**
 * request_set_stream() - duplicate a descriptor for the console or the log
 * @stream: field of the request
 * @option: its name, for the message
 * @fd:     borrowed
 * @output: the guest writes to it; else it reads from it
 *
 * Return: 0; SERVICE_E_INVALID_CONFIG when it is not open for that; SERVICE_E_QUOTA_EXCEEDED; negative errno.
 */
int request_set_stream(int *stream, const char *option, int fd, bool output, TextError *reterr) {
        int flags = fcntl(fd, F_GETFL), own = -EBADF, r;

        if (flags < 0)
                return -errno;
        if (!access_fits(flags, !output, output))
                return text_error_set(reterr, SERVICE_E_INVALID_CONFIG,
                                      "option \"%s\": the descriptor is not open for %s", option,
                                      output ? "writing" : "reading");
        r = keep_fd(fd, &own, reterr);
        if (r != 0)
                return r;
        (void) fd_close(*stream);
        *stream = own;
        return 0;
}

typedef struct FileCheck {
        const VmRequest *request; /* borrowed */
        bool *used;               /* one for each file; borrowed */
        TextError *reterr;
} FileCheck;

static int check_folder(const FileCheck *check, const char *path, const VmFile *file) {
        struct stat st;
        int flags = fcntl(file->fd, F_GETFL);

        if (flags < 0 || fstat(file->fd, &st) < 0)
                return -errno;
        /* One that is only a place, O_PATH, may be one that the client could not open. */
        if (!S_ISDIR(st.st_mode) || (flags & O_PATH))
                return text_error_set(check->reterr, SERVICE_E_INVALID_CONFIG,
                                      "%s: descriptor \"%s\" is no open directory", path,
                                      file->name);
        return 0;
}

static int check_socket(const FileCheck *check, const char *path, const VmFile *file) {
        struct sockaddr_storage peer = {0};
        socklen_t len = sizeof(peer), type_len = sizeof(int);
        int type = 0;

        if (getsockopt(file->fd, SOL_SOCKET, SO_TYPE, &type, &type_len) < 0 ||
            type != SOCK_STREAM || getpeername(file->fd, (struct sockaddr *) &peer, &len) < 0 ||
            peer.ss_family != AF_UNIX)
                return text_error_set(check->reterr, SERVICE_E_INVALID_CONFIG,
                                      "%s: descriptor \"%s\" is no connected Unix stream socket",
                                      path, file->name);
        return 0;
}

/**
 * request_check_image() - whether a client's descriptor can be a disk
 * @what: which it is, for the message
 *
 * Return: 0; SERVICE_E_INVALID_CONFIG for what is no file or block device, or is not open for that; negative errno.
 */
int request_check_image(int fd, const char *what, bool writable, TextError *reterr) {
        struct stat st;
        int flags = fcntl(fd, F_GETFL);

        if (flags < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
                return text_error_set(reterr, SERVICE_E_INVALID_CONFIG,
                                      "%s is neither a regular file nor a block device", what);
        if (!access_fits(flags, true, writable))
                return text_error_set(reterr, SERVICE_E_INVALID_CONFIG, "%s is not open for %s",
                                      what, writable ? "reading and writing" : "reading");
        if (writable && (flags & O_APPEND))
                return text_error_set(reterr, SERVICE_E_INVALID_CONFIG,
                                      "%s is open with O_APPEND, which would move every write to "
                                      "the end",
                                      what);
        return 0;
}

static int check_image(const FileCheck *check, const char *path, const VmFile *file,
                       bool writable) {
        _cleanup_(freep) char *what = NULL;

        if (asprintf(&what, "%s: descriptor \"%s\"", path, file->name) < 0) {
                what = NULL;
                return -ENOMEM;
        }
        return request_check_image(file->fd, what, writable, check->reterr);
}

static int check_kind(const FileCheck *check, const char *path, const VmFile *file,
                      VmFileKind kind) {
        switch (kind) {
        case VM_FILE_FOLDER:
                return check_folder(check, path, file);
        case VM_FILE_SOCKET:
                return check_socket(check, path, file);
        case VM_FILE_READ:
        case VM_FILE_WRITE:
                break;
        }
        return check_image(check, path, file, kind == VM_FILE_WRITE);
}

static int check_file(void *userdata, const char *json_path, const char *fd_name, VmFileKind kind) {
        const FileCheck *check = userdata;
        const VmFile *file = find_file(check->request, fd_name);

        if (!file)
                return text_error_set(check->reterr, SERVICE_E_INVALID_CONFIG,
                                      "%s: no descriptor named \"%s\" was passed", json_path,
                                      fd_name);
        check->used[file - check->request->files] = true;
        return check_kind(check, json_path, file, kind);
}

static int check_files(const VmRequest *request, TextError *reterr) {
        _cleanup_(freep) bool *used = calloc(request->n_files + 1, sizeof(*used));
        FileCheck check = {.request = request, .used = used, .reterr = reterr};
        int r;

        if (!used)
                return -ENOMEM;
        r = vm_config_each_file(&request->config, check_file, &check);
        if (r != 0)
                return r;
        for (size_t i = 0; i < request->n_files; i++)
                if (!used[i])
                        return text_error_set(reterr, SERVICE_E_INVALID_CONFIG,
                                              "fds: descriptor \"%s\" is not used by the config",
                                              request->files[i].name);
        return 0;
}

/**
 * request_set_config() - parse the config and hold the descriptors added so far against it
 *
 * Return: 0; SERVICE_E_INVALID_CONFIG with JSON path and cause in @reterr; negative errno.
 */
int request_set_config(VmRequest *request, const char *json, TextError *reterr) {
        VmConfig config;
        int r;

        r = vm_config_parse(json, &config, reterr);
        if (r == -EINVAL || r == -E2BIG || r == -EOPNOTSUPP) {
                (void) text_error_set(reterr, r, "config: %s", strerror(-r));
                return SERVICE_E_INVALID_CONFIG;
        }
        if (r < 0)
                return r;
        vm_config_deinit(&request->config);
        request->config = config;
        return check_files(request, reterr);
}
