/* SPDX-License-Identifier: Apache-2.0 */
#include "config/vm_config.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config/utf8.h"

static void vm_disk_deinit(VmDisk *disk) {
        for (size_t i = 0; i < disk->n_partitions; i++) {
                free(disk->partitions[i].label);
                free(disk->partitions[i].file);
        }
        free(disk->partitions);
        free(disk->image);
        *disk = (VmDisk){0};
}

static void vm_share_deinit(VmShare *share) {
        free(share->tag);
        free(share->path);
        free(share->socket);
}

/** vm_config_init() - the documented defaults; platform_version is left for the parser to fill in */
void vm_config_init(VmConfig *config) {
        *config = (VmConfig){
                .memory_mib = VM_MEMORY_MIB_DEFAULT,
                .cpu_topology = VM_CPUS_COUNT,
                .n_vcpus = 1,
                .console_input = VM_CONSOLE_INPUT_HVC0,
                .debug_level = VM_DEBUG_NONE,
                .balloon = true,
        };
}

/** vm_config_deinit() - release all that @config owns; zeroed or half-read configs are fine */
void vm_config_deinit(VmConfig *config) {
        for (size_t i = 0; i < config->n_disks; i++)
                vm_disk_deinit(&config->disks[i]);
        free(config->disks);
        for (size_t i = 0; i < config->n_networks; i++) {
                free(config->networks[i].name);
                strvec_deinit(&config->networks[i].forwards);
        }
        free(config->networks);
        for (size_t i = 0; i < config->n_shares; i++)
                vm_share_deinit(&config->shares[i]);
        free(config->shares);
        free(config->name);
        free(config->kernel);
        free(config->initrd);
        free(config->bootloader);
        strvec_deinit(&config->devices);
        free(config->params);
        free(config->platform_version);
        *config = (VmConfig){0};
}

/** vm_name_is_valid() - 1 to VM_NAME_MAX bytes of text without control characters and slashes */
bool vm_name_is_valid(const char *name) {
        size_t n = strlen(name);

        if (n == 0 || n > VM_NAME_MAX || !utf8_valid(name, n))
                return false;
        for (const unsigned char *p = (const unsigned char *) name; *p; p++)
                if (*p < 0x20 || *p == 0x7f || *p == '/' || (p[0] == 0xc2 && p[1] < 0xa0))
                        return false;
        return true;
}

/** vm_fd_name_is_valid() - 1 to VM_FD_NAME_MAX letters, digits, dots, dashes and underscores */
bool vm_fd_name_is_valid(const char *name) {
        static const char good[] =
                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
        size_t n = strlen(name);

        return n > 0 && n <= VM_FD_NAME_MAX && strspn(name, good) == n;
}

/** vm_network_name_is_valid() - 1 to VM_NETWORK_NAME_MAX of a-z, 0-9 and -: it is part of an interface's name */
bool vm_network_name_is_valid(const char *name) {
        size_t n = strlen(name);

        return n > 0 && n <= VM_NETWORK_NAME_MAX &&
               strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

/* Formats the path of a member and hands the file on, if there is one. */
static int visit(VmConfigFileFn fn, void *userdata, const char *file, VmFileKind kind,
                 const char *format, ...) _printf_(5, 6);

static int visit(VmConfigFileFn fn, void *userdata, const char *file, VmFileKind kind,
                 const char *format, ...) {
        char path[64]; /* the longest is disks[23].partitions[127].path */
        va_list ap;

        if (!file)
                return 0;
        va_start(ap, format);
        (void) vsnprintf(path, sizeof(path), format, ap);
        va_end(ap);
        return fn(userdata, path, file, kind);
}

static VmFileKind kind_of(bool writable) {
        return writable ? VM_FILE_WRITE : VM_FILE_READ;
}

static int visit_disk(const VmDisk *disk, size_t index, VmConfigFileFn fn, void *userdata) {
        int r;

        r = visit(fn, userdata, disk->image, kind_of(disk->writable), "disks[%zu].image", index);
        for (size_t i = 0; i < disk->n_partitions && r == 0; i++)
                r = visit(fn, userdata, disk->partitions[i].file,
                          kind_of(disk->partitions[i].writable), "disks[%zu].partitions[%zu].path",
                          index, i);
        return r;
}

static int visit_share(const VmShare *share, size_t index, VmConfigFileFn fn, void *userdata) {
        int r;

        r = visit(fn, userdata, share->path, VM_FILE_FOLDER, "shared_paths[%zu].path", index);
        if (r == 0)
                r = visit(fn, userdata, share->socket, VM_FILE_SOCKET, "shared_paths[%zu].socket",
                          index);
        return r;
}

/**
 * vm_config_each_file() - call @fn for every file of the config, a file used twice twice
 *
 * Return: 0, or the first non-zero return of @fn.
 */
int vm_config_each_file(const VmConfig *config, VmConfigFileFn fn, void *userdata) {
        int r;

        r = visit(fn, userdata, config->kernel, VM_FILE_READ, "kernel");
        if (r == 0)
                r = visit(fn, userdata, config->initrd, VM_FILE_READ, "initrd");
        if (r == 0)
                r = visit(fn, userdata, config->bootloader, VM_FILE_READ, "bootloader");
        for (size_t i = 0; i < config->n_disks && r == 0; i++)
                r = visit_disk(&config->disks[i], i, fn, userdata);
        for (size_t i = 0; i < config->n_shares && r == 0; i++)
                r = visit_share(&config->shares[i], i, fn, userdata);
        return r;
}
