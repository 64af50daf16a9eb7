/* SPDX-License-Identifier: Apache-2.0 */

/* The machine's disks: those of the command line, and those that come, go and grow while it runs. */

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "config/crosvm_device_flags.h"
#include "vmm/jail/jail.h"
#include "vmm/machine/machine_internal.h"
#include "vmm/virtio/devices.h"

/** machine_aio_engine() - what does the work that crosvm calls @executor */
AioEngine machine_aio_engine(VmmExecutor executor) {
        static const AioEngine engines[] = {
                [VMM_EXECUTOR_ANY] = AIO_ENGINE_ANY,
                [VMM_EXECUTOR_EPOLL] = AIO_ENGINE_WORKERS,
                [VMM_EXECUTOR_URING] = AIO_ENGINE_URING,
        };

        return engines[executor];
}

/* @executor: of disks that do not say. */
static int new_disk(const Machine *machine, const VmmDisk *config, VmmExecutor executor,
                    VirtioDevice **ret, TextError *reterr) {
        const BlockOpenOptions options = {
                .read_only = config->read_only,
                .sparse = config->sparse,
                .direct = config->direct,
                .dontcache = config->dontcache,
                .lock = config->lock,
                .engine = machine_aio_engine(config->executor ?: executor),
        };
        const VirtioBlkConfig blk_config = {
                .n_queues = MIN(machine->n_vcpus, VIRTIO_BLK_QUEUES_MAX),
                .block_size = config->block_size,
                .packed = config->packed,
                .id = config->id,
        };
        _cleanup_(block_freep) BlockDev *disk = NULL;
        int r;

        r = block_open(config->path, &options, machine->loop, &disk, reterr);
        if (r < 0)
                return text_error_prefix(reterr, r, "cannot use a disk");
        r = machine_check_swap_disk(machine, disk, reterr);
        if (r < 0)
                return r;
        r = virtio_blk_new(disk, &blk_config, ret, reterr);
        if (r < 0)
                return text_error_prefix(reterr, r, "disk %s", config->path);
        TAKE(disk);
        return 0;
}

/**
 * machine_add_disks() - the disks of the command line, numbered as there
 * @slot: first PCI slot to use; advanced past those used
 *
 * Return: 0 or negative errno with a sentence.
 */
int machine_add_disks(Machine *machine, const VmmConfig *config, unsigned *slot,
                      TextError *reterr) {
        for (size_t i = 0; i < config->n_disks; i++) {
                VirtioDevice *device = NULL;
                unsigned at;
                int r;

                r = new_disk(machine, &config->disks[i], config->executor, &device, reterr);
                if (r < 0)
                        return r;
                at = machine_next_slot(machine, slot, config->disks[i].pci_slot);
                r = machine_add_virtio(machine, device, at);
                if (r < 0)
                        return r;
                machine->disks[i] = (MachineDisk){.device = device, .slot = at};
                pci_hotplug_set_removable(machine->pci_hotplug, at, true);
        }
        return 0;
}

/** machine_forget_disk() - what is in @slot goes; nothing happens if it is no disk */
void machine_forget_disk(Machine *machine, unsigned slot) {
        for (unsigned i = 0; i < VMM_DISKS_MAX; i++)
                if (machine->disks[i].device && machine->disks[i].slot == slot)
                        machine->disks[i] = (MachineDisk){0};
}

static MachineDisk *find_disk(Machine *machine, unsigned slot) {
        for (unsigned i = 0; i < VMM_DISKS_MAX; i++)
                if (machine->disks[i].device && machine->disks[i].slot == slot)
                        return &machine->disks[i];
        return NULL;
}

static MachineDisk *free_number(Machine *machine) {
        for (unsigned i = 0; i < VMM_DISKS_MAX; i++)
                if (!machine->disks[i].device)
                        return &machine->disks[i];
        return NULL;
}

/* The disk that @request describes; its file may have come along as @fd, and then stands in for path=. */
static int parse_disk(const ControlRequest *request, int fd, VmmConfig *config, TextError *reterr) {
        VmmDisk *disk = &config->disks[0];
        int r;

        r = crosvm_block_parse(config, request->text ?: "path=file", reterr);
        if (r < 0)
                return r;
        if (disk->pci_slot != 0)
                return text_error_set(reterr, -EINVAL,
                                      "pci-address: a disk that is plugged in gets the first free "
                                      "one");
        if (fd < 0 && !disk->path)
                return text_error_set(reterr, -EINVAL, "path= or a file is missing");
        if (fd < 0 && jail_is_closed())
                return text_error_set(reterr, -EACCES,
                                      "the sandbox has no files: send the image, open, with the "
                                      "request, as `disk add` does");
        if (disk->direct && jail_is_closed())
                return text_error_set(reterr, -EACCES,
                                      "direct: the sandbox cannot open the image a second time");
        if (fd < 0)
                return 0;
        free(disk->path);
        if (asprintf(&disk->path, "/proc/self/fd/%d", fd) < 0) {
                disk->path = NULL;
                return -ENOMEM;
        }
        /* How opening tells a descriptor that it may use from our own; there is no exec that could leak it. */
        return fd_set_cloexec(fd, false);
}

static int plug_disk(Machine *machine, const VmmDisk *config, ControlAnswer *answer,
                     TextError *reterr) {
        MachineDisk *disk = free_number(machine);
        VirtioDevice *device = NULL;
        int r;

        if (!disk)
                return text_error_set(reterr, -ENOSPC, "there are %u disks already", VMM_DISKS_MAX);
        r = new_disk(machine, config, VMM_EXECUTOR_ANY, &device, reterr);
        if (r < 0)
                return r;
        r = machine_plug_consume(machine, device, &answer->bus, reterr);
        if (r < 0)
                return r;
        *disk = (MachineDisk){.device = device, .slot = answer->bus};
        answer->has_disk = true;
        answer->disk = (uint32_t) (disk - machine->disks);
        return 0;
}

static void on_add(void *userdata, ControlCall *call) {
        _cleanup_(text_error_deinit) TextError error = {0};
        _cleanup_(vmm_config_deinit) VmmConfig config;
        ControlAnswer answer = {.kind = CONTROL_ANSWER_HOTPLUG};
        _cleanup_(fd_closep) int fd = control_call_take_fd(call);
        int r;

        vmm_config_init(&config);
        r = parse_disk(control_call_request(call), fd, &config, &error);
        if (r >= 0)
                r = plug_disk(userdata, &config.disks[0], &answer, &error);
        if (r < 0)
                control_call_fail(call, "%s", text_error_message(&error, r));
        else
                control_call_answer(call, &answer);
}

static void on_remove(void *userdata, ControlCall *call) {
        const ControlRequest *request = control_call_request(call);
        Machine *machine = userdata;

        if (!request->flag) {
                if (!find_disk(machine, request->index))
                        control_call_fail(call, "bus %u is no disk", request->index);
                else
                        machine_unplug(machine, request->index, call);
                return;
        }
        if (request->index >= VMM_DISKS_MAX || !machine->disks[request->index].device)
                control_call_fail(call, "there is no disk %u", request->index);
        else
                machine_unplug(machine, machine->disks[request->index].slot, call);
}

static_assert(VMM_DISKS_MAX <= CONTROL_DISKS_MAX, "an answer has room for all disks");

static void on_list(void *userdata, ControlCall *call) {
        ControlAnswer answer = {.kind = CONTROL_ANSWER_DISKS};
        const Machine *machine = userdata;

        for (unsigned i = 0; i < VMM_DISKS_MAX; i++) {
                const MachineDisk *disk = &machine->disks[i];
                ControlDisk *told = &answer.disks[answer.n_disks];
                VirtioBlkInfo info;

                if (!disk->device)
                        continue;
                virtio_blk_describe(disk->device, &info);
                *told = (ControlDisk){.number = i,
                                      .bus = disk->slot,
                                      .bytes = info.size_bytes,
                                      .read_only = info.read_only};
                (void) stpcpy(told->id, info.id);
                answer.n_disks++;
        }
        control_call_answer(call, &answer);
}

static const char *resize_error(int r) {
        switch (r) {
        case -EINVAL:
                return "not a size that the disk can have";
        case -EOPNOTSUPP:
                return "the size of an image in this format is fixed";
        case -EROFS:
                return "the disk is read-only";
        default:
                return strerror(-r);
        }
}

/* Return: as virtio_blk_resize(); -ENODEV for a number that no disk has. */
static int resize_disk(const Machine *machine, unsigned number, uint64_t size_bytes) {
        if (number < VMM_DISKS_MAX)
                return machine->disks[number].device
                               ? virtio_blk_resize(machine->disks[number].device, size_bytes)
                               : -ENODEV;
        number -= VMM_DISKS_MAX;
        return number < machine->n_scsi_disks
                       ? virtio_scsi_resize(machine->scsi, number, size_bytes)
                       : -ENODEV;
}

static void on_resize(void *userdata, ControlCall *call) {
        const ControlRequest *request = control_call_request(call);
        int r = resize_disk(userdata, request->index, request->bytes);

        if (r == -ENODEV)
                control_call_fail(call, "there is no disk %u", request->index);
        else if (r < 0)
                control_call_fail(call, "disk %u to %" PRIu64 " bytes: %s", request->index,
                                  request->bytes, resize_error(r));
        else
                control_call_ok(call);
}

/** machine_handle_disk_requests() - register what the control socket may ask of disks */
void machine_handle_disk_requests(Machine *machine) {
        control_server_handle(machine->control, CONTROL_DISK_ADD, on_add, machine);
        control_server_handle(machine->control, CONTROL_DISK_REMOVE, on_remove, machine);
        control_server_handle(machine->control, CONTROL_DISK_LIST, on_list, machine);
        control_server_handle(machine->control, CONTROL_DISK_RESIZE, on_resize, machine);
}
