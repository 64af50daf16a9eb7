/* SPDX-License-Identifier: Apache-2.0 */
#include "config/vmm_config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/crosvm_device_flags.h"
#include "config/vm_config.h"
#include "config/vmm_swap.h"

#define VMM_NAME_MAX 255u

/** vmm_config_init() - crosvm's defaults: 256 MiB, one vCPU, any hypervisor, no device */
void vmm_config_init(VmmConfig *config) {
        *config = (VmmConfig){
                .memory_bytes = (uint64_t) VM_MEMORY_MIB_DEFAULT << 20,
                .n_vcpus = 1,
                .hypervisor = VMM_HYPERVISOR_AUTO,
                .pflash.block_size = VMM_PFLASH_BLOCK_SIZE,
        };
}

/** vmm_fw_cfg_file_deinit() - release what the file owns */
void vmm_fw_cfg_file_deinit(VmmFwCfgFile *file) {
        free(file->name);
        free(file->path);
        free(file->string);
        *file = (VmmFwCfgFile){0};
}

static void deinit_firmware(VmmConfig *config) {
        free(config->bios);
        free(config->pflash.path);
        for (size_t i = 0; i < config->n_fw_cfg; i++)
                vmm_fw_cfg_file_deinit(&config->fw_cfg[i]);
}

/** vmm_config_deinit() - release all that @config owns; it may be initialised again */
void vmm_config_deinit(VmmConfig *config) {
        for (size_t i = 0; i < config->n_serials; i++)
                vmm_serial_deinit(&config->serials[i]);
        for (size_t i = 0; i < config->n_disks; i++)
                vmm_disk_deinit(&config->disks[i]);
        for (size_t i = 0; i < config->n_scsi_disks; i++)
                vmm_disk_deinit(&config->scsi_disks[i]);
        free(config->scsi_disks);
        for (size_t i = 0; i < config->n_nets; i++)
                vmm_net_deinit(&config->nets[i]);
        vmm_net_deinit(&config->old_nets.how);
        for (size_t i = 0; i < config->n_folders; i++)
                vmm_folder_deinit(&config->folders[i]);
        for (size_t i = 0; i < config->n_vhost_users; i++)
                vmm_vhost_user_deinit(&config->vhost_users[i]);
        for (size_t i = 0; i < config->n_pmems; i++)
                vmm_pmem_deinit(&config->pmems[i]);
        for (size_t i = 0; i < config->n_vfios; i++)
                vmm_vfio_deinit(&config->vfios[i]);
        for (size_t i = 0; i < config->n_shared_dirs; i++)
                vmm_shared_dir_deinit(&config->shared_dirs[i]);
        free(config->shared_dirs);
        deinit_firmware(config);
        vmm_cpus_deinit(&config->cpus);
        vmm_board_deinit(&config->board);
        vmm_memory_deinit(&config->memory);
        strvec_deinit(&config->params);
        strvec_deinit(&config->oem_strings);
        free(config->log_level);
        free(config->syslog_tag);
        free(config->name);
        free(config->kernel);
        free(config->initrd);
        free(config->kvm_device);
        free(config->pivot_root);
        free(config->socket);
        free(config->gdb);
        free(config->ramdump);
        free(config->balloon_control);
        free(config->restore);
        free(config->swap);
        free(config->vsock_socket_dir);
        free(config->vsock_device);
        *config = (VmmConfig){0};
}

/** vmm_serial_init() - crosvm's defaults: COM1, output dropped */
void vmm_serial_init(VmmSerial *serial) {
        *serial = (VmmSerial){
                .type = VMM_SERIAL_SINK,
                .hardware = VMM_SERIAL_HARDWARE_16550,
                .num = 1,
                .debugcon_port = VMM_DEBUGCON_PORT,
        };
}

/** vmm_serial_deinit() - release what it owns */
void vmm_serial_deinit(VmmSerial *serial) {
        free(serial->path);
        free(serial->input);
        *serial = (VmmSerial){0};
}

/** vmm_disk_init() - crosvm's defaults: writable, sparse, locked, sectors of 512 bytes */
void vmm_disk_init(VmmDisk *disk) {
        *disk = (VmmDisk){
                .sparse = true,
                .lock = true,
                .block_size = 512,
                .boot_index = -1,
        };
}

/** vmm_disk_deinit() - release what it owns */
void vmm_disk_deinit(VmmDisk *disk) {
        free(disk->path);
        free(disk->id);
        *disk = (VmmDisk){0};
}

/** vmm_pmem_deinit() - release what it owns */
void vmm_pmem_deinit(VmmPmem *pmem) {
        free(pmem->path);
        (void) vmm_ext2_free(pmem->ext2);
        *pmem = (VmmPmem){0};
}

/** vmm_vfio_deinit() - release what it owns */
void vmm_vfio_deinit(VmmVfio *vfio) {
        free(vfio->path);
        *vfio = (VmmVfio){0};
}

/** vmm_serial_has_path() - whether ports of @type go to something that path= names */
bool vmm_serial_has_path(VmmSerialType type) {
        return type == VMM_SERIAL_FILE || type == VMM_SERIAL_UNIX || type == VMM_SERIAL_UNIX_STREAM;
}

static int check_serial(const VmmSerial *serial, TextError *reterr) {
        static const unsigned counts[] = {
                [VMM_SERIAL_HARDWARE_16550] = 4,
                [VMM_SERIAL_HARDWARE_VIRTIO_CONSOLE] = VMM_CONSOLES_MAX,
                [VMM_SERIAL_HARDWARE_DEBUGCON] = VMM_DEBUGCONS_MAX,
        };
        const unsigned max = counts[serial->hardware];

        if (serial->num < 1 || serial->num > max)
                return text_error_set(
                        reterr, -EINVAL, "--serial: num: hardware=%s has ports 1 to %u, not %u",
                        crosvm_serial_hardware_name(serial->hardware), max, serial->num);
        if (vmm_serial_has_path(serial->type) && !serial->path)
                return text_error_set(reterr, -EINVAL, "--serial: type=%s needs path=",
                                      crosvm_serial_type_name(serial->type));
        if (!vmm_serial_has_path(serial->type) && serial->path)
                return text_error_set(reterr, -EINVAL,
                                      "--serial: path= needs type=file, unix or unix-stream");
        if (serial->input_unix_stream && serial->type != VMM_SERIAL_UNIX_STREAM)
                return text_error_set(reterr, -EINVAL,
                                      "--serial: input-unix-stream needs type=unix-stream");
        if ((serial->input != NULL) + serial->std_in + serial->input_unix_stream > 1)
                return text_error_set(
                        reterr, -EINVAL,
                        "--serial: input=, stdin and input-unix-stream exclude each other");
        if (serial->hardware != VMM_SERIAL_HARDWARE_VIRTIO_CONSOLE &&
            (serial->pci_slot || serial->queue_sizes[0]))
                return text_error_set(reterr, -EINVAL, "--serial: %s needs hardware=virtio-console",
                                      serial->pci_slot ? "pci-address=" : "max-queue-sizes=");
        if (serial->earlycon && serial->hardware != VMM_SERIAL_HARDWARE_16550)
                return text_error_set(reterr, -EINVAL, "--serial: earlycon needs hardware=serial");
        if (serial->hardware == VMM_SERIAL_HARDWARE_DEBUGCON &&
            (serial->console || serial->input || serial->std_in || serial->input_unix_stream))
                return text_error_set(reterr, -EINVAL,
                                      "--serial: hardware=debugcon is for output, and no console");
        return 0;
}

static int check_serials(const VmmConfig *config, TextError *reterr) {
        unsigned consoles = 0, earlycons = 0, std_ins = 0;
        int r;

        for (size_t i = 0; i < config->n_serials; i++) {
                const VmmSerial *serial = &config->serials[i];

                r = check_serial(serial, reterr);
                if (r < 0)
                        return r;
                for (size_t j = 0; j < i; j++)
                        if (config->serials[j].hardware == serial->hardware &&
                            config->serials[j].num == serial->num)
                                return text_error_set(reterr, -EINVAL,
                                                      "--serial: hardware=%s,num=%u is given twice",
                                                      crosvm_serial_hardware_name(serial->hardware),
                                                      serial->num);
                consoles += serial->console;
                earlycons += serial->earlycon;
                std_ins += serial->std_in;
        }
        if (consoles > 1)
                return text_error_set(reterr, -EINVAL,
                                      "--serial: only one port can be the console");
        if (earlycons > 1)
                return text_error_set(reterr, -EINVAL, "--serial: only one port can have earlycon");
        if (std_ins > 1)
                return text_error_set(reterr, -EINVAL, "--serial: only one port can read stdin");
        return 0;
}

static unsigned count_boot_index(const VmmDisk *disks, size_t n, int index) {
        unsigned count = 0;

        for (size_t i = 0; i < n; i++)
                count += disks[i].boot_index == index;
        return count;
}

static int check_disk(const VmmConfig *config, const char *option, const VmmDisk *disk,
                      unsigned *roots, TextError *reterr) {
        if (!disk->path)
                return text_error_set(reterr, -EINVAL, "%s: path= is missing", option);
        *roots += disk->root;
        if (disk->boot_index < 0)
                return 0;
        if (!config->bios)
                return text_error_set(reterr, -EINVAL, "%s: bootindex= needs --bios", option);
        if (count_boot_index(config->disks, config->n_disks, disk->boot_index) +
                    count_boot_index(config->scsi_disks, config->n_scsi_disks, disk->boot_index) >
            1)
                return text_error_set(reterr, -EINVAL, "%s: bootindex=%d is given twice", option,
                                      disk->boot_index);
        return 0;
}

static int check_disks(const VmmConfig *config, TextError *reterr) {
        unsigned roots = 0;
        int r = 0;

        for (size_t i = 0; i < config->n_disks && r == 0; i++)
                r = check_disk(config, "--block", &config->disks[i], &roots, reterr);
        for (size_t i = 0; i < config->n_scsi_disks && r == 0; i++)
                r = check_disk(config, "--scsi-block", &config->scsi_disks[i], &roots, reterr);
        if (r < 0)
                return r;
        for (size_t i = 0; i < config->n_pmems; i++)
                roots += config->pmems[i].root;
        if (roots > 1)
                return text_error_set(reterr, -EINVAL,
                                      "--block, --scsi-block, --pmem: only one disk can be root");
        return 0;
}

/* Adds to a set of slots; false when one is in it already. */
static bool take_slot(uint32_t *slots, unsigned slot) {
        const uint32_t bit = slot ? UINT32_C(1) << slot : 0;
        const bool taken = *slots & bit;

        *slots |= bit;
        return !taken;
}

/* The slots that options name, a bit each, in @ret. Return: false when one is named twice. */
static bool collect_slots(const VmmConfig *config, uint32_t *ret) {
        bool ok = true;

        *ret = 0;
        for (size_t i = 0; i < config->board.n_stubs; i++)
                ok &= take_slot(ret, config->board.stubs[i].slot);
        for (size_t i = 0; i < config->n_serials; i++)
                ok &= take_slot(ret, config->serials[i].pci_slot);
        for (size_t i = 0; i < config->n_disks; i++)
                ok &= take_slot(ret, config->disks[i].pci_slot);
        for (size_t i = 0; i < config->n_nets; i++)
                ok &= take_slot(ret, config->nets[i].pci_slot);
        for (size_t i = 0; i < config->n_folders; i++)
                ok &= take_slot(ret, config->folders[i].pci_slot);
        for (size_t i = 0; i < config->n_vhost_users; i++)
                ok &= take_slot(ret, config->vhost_users[i].pci_slot);
        for (size_t i = 0; i < config->n_vfios; i++)
                ok &= take_slot(ret, config->vfios[i].pci_slot);
        return ok;
}

/** vmm_config_pci_slots() - the slots of the bus that options name, a bit each */
uint32_t vmm_config_pci_slots(const VmmConfig *config) {
        uint32_t slots;

        (void) collect_slots(config, &slots);
        return slots;
}

/** vmm_config_has_kernel_rings() - whether the host's kernel serves a device of @config: vhost-net or vhost-vsock */
bool vmm_config_has_kernel_rings(const VmmConfig *config) {
        bool found = config->vsock_cid != 0 && !config->vsock_socket_dir;

        for (size_t i = 0; i < config->n_nets; i++)
                found |= config->nets[i].vhost;
        return found;
}

static int check_pci_slots(const VmmConfig *config, TextError *reterr) {
        uint32_t slots;

        if (!collect_slots(config, &slots))
                return text_error_set(reterr, -EINVAL,
                                      "pci-address=, guest-address=, --stub-pci-device: two "
                                      "devices have the same "
                                      "address");
        if (config->bios && slots & UINT32_C(1) << VMM_PCI_SLOT_MAX)
                return text_error_set(reterr, -EINVAL,
                                      "00:1f.0: with --bios the chipset has that address");
        return 0;
}

static int check_pci_devices(const VmmConfig *config, TextError *reterr) {
        size_t n = config->n_disks + (config->n_scsi_disks > 0) + config->n_pmems + config->n_nets +
                   config->n_folders + config->n_shared_dirs + config->n_vhost_users +
                   !config->no_rng + (config->vsock_cid != 0) + !config->no_balloon +
                   config->board.n_stubs + config->board.hotplug_slots + config->n_vfios;

        for (size_t i = 0; i < config->n_serials; i++)
                n += config->serials[i].hardware == VMM_SERIAL_HARDWARE_VIRTIO_CONSOLE;
        if (n > VMM_PCI_DEVICES_MAX)
                return text_error_set(
                        reterr, -EINVAL,
                        "--block, --net, --serial, --vhost-user, --vhost-user-fs: %zu "
                        "PCI devices in all, the bus takes %u",
                        n, VMM_PCI_DEVICES_MAX);
        return 0;
}

static int check_balloon(const VmmConfig *config, TextError *reterr) {
        if (config->no_balloon && config->balloon_page_reporting)
                return text_error_set(
                        reterr, -EINVAL,
                        "--balloon-page-reporting and --no-balloon exclude each other");
        if (config->no_balloon && config->balloon_control)
                return text_error_set(reterr, -EINVAL,
                                      "--balloon-control and --no-balloon exclude each other");
        if (config->no_balloon && config->strict_balloon)
                return text_error_set(reterr, -EINVAL,
                                      "--strict-balloon and --no-balloon exclude each other");
        if (config->no_balloon && config->init_memory_bytes != 0)
                return text_error_set(reterr, -EINVAL, "--init-mem needs the balloon");
        if (config->init_memory_bytes > config->memory_bytes)
                return text_error_set(reterr, -EINVAL, "--init-mem: more than --mem");
        return 0;
}

/* A device of the host reaches guest memory at any time: it stays where it is, and nobody can save what is in the device. */
static int check_vfios(const VmmConfig *config, TextError *reterr) {
        const char *other = NULL;

        if (config->n_vfios == 0)
                return 0;
        if (config->balloon_page_reporting)
                other = "--balloon-page-reporting";
        else if (config->init_memory_bytes != 0)
                other = "--init-mem";
        else if (config->restore)
                other = "--restore";
        return other ? text_error_set(reterr, -EINVAL, "--vfio and %s exclude each other", other)
                     : 0;
}

static int check_vsock(const VmmConfig *config, TextError *reterr) {
        unsigned n = config->vsock_cid != 0;

        if ((config->vsock_socket_dir || config->vsock_device) && config->vsock_cid == 0)
                return text_error_set(reterr, -EINVAL, "--vsock: cid= is missing");
        if (config->vsock_socket_dir && config->vsock_device)
                return text_error_set(reterr, -EINVAL,
                                      "--vsock: socket-dir= and device= exclude each other");
        for (size_t i = 0; i < config->n_vhost_users; i++)
                n += config->vhost_users[i].type == VMM_VHOST_USER_VSOCK;
        if (n > 1)
                return text_error_set(reterr, -EINVAL,
                                      "--vsock, --vhost-user vsock: a guest has one socket device");
        return 0;
}

static int check_oem_strings(const VmmConfig *config, TextError *reterr) {
        if (config->oem_strings.n > VMM_OEM_STRINGS_MAX)
                return text_error_set(reterr, -EINVAL, "--oem-strings: more than %u",
                                      VMM_OEM_STRINGS_MAX);
        for (size_t i = 0; i < config->oem_strings.n; i++) {
                size_t len = strlen(config->oem_strings.items[i]);

                if (len == 0 || len > VMM_OEM_STRING_BYTES_MAX)
                        return text_error_set(reterr, -EINVAL,
                                              "--oem-strings: expected 1 to %u bytes, not %zu",
                                              VMM_OEM_STRING_BYTES_MAX, len);
        }
        return 0;
}

static int check_params(const VmmConfig *config, TextError *reterr) {
        size_t total = 0;

        for (size_t i = 0; i < config->params.n; i++)
                total += strlen(config->params.items[i]) + (i > 0);
        if (total > VM_PARAMS_MAX)
                return text_error_set(reterr, -EINVAL,
                                      "--params: %zu bytes in all, a kernel takes at most %u",
                                      total, VM_PARAMS_MAX);
        return 0;
}

static int check_boot(const VmmConfig *config, TextError *reterr) {
        if (!config->kernel && !config->bios)
                return text_error_set(reterr, -EINVAL, "KERNEL or --bios is missing");
        if (!config->kernel && config->initrd)
                return text_error_set(reterr, -EINVAL, "--initrd: needs a KERNEL");
        if (!config->kernel && config->params.n > 0)
                return text_error_set(reterr, -EINVAL, "--params: needs a KERNEL");
        if (config->pflash.path && !config->bios)
                return text_error_set(reterr, -EINVAL, "--pflash: needs --bios");
        if (config->test_device && (config->bios || config->enable_fw_cfg || config->n_fw_cfg > 0))
                return text_error_set(reterr, -EINVAL,
                                      "--test-device: excludes --bios and --fw-cfg, whose port it "
                                      "uses");
        for (size_t i = 0; i < config->n_fw_cfg; i++) {
                const VmmFwCfgFile *file = &config->fw_cfg[i];

                if (!file->name || !file->path == !file->string)
                        return text_error_set(reterr, -EINVAL,
                                              "--fw-cfg: needs name= and one of path= and string=");
                for (size_t j = 0; j < i; j++)
                        if (str_eq(config->fw_cfg[j].name, file->name))
                                return text_error_set(reterr, -EINVAL,
                                                      "--fw-cfg: '%s' is given twice", file->name);
        }
        return 0;
}

/**
 * vmm_config_validate() - whether the options make sense together
 *
 * Ranges of single values are the parser's business; this also holds for a config made by hand. Does no I/O.
 *
 * Return: 0; -EINVAL with a sentence that names the options in @reterr.
 */
int vmm_config_validate(const VmmConfig *config, TextError *reterr) {
        int r;

        r = check_boot(config, reterr);
        if (r < 0)
                return r;
        if (config->name && (!*config->name || strlen(config->name) > VMM_NAME_MAX))
                return text_error_set(reterr, -EINVAL, "--name: expected 1 to %u bytes",
                                      VMM_NAME_MAX);
        if (config->kvm_device && config->hypervisor != VMM_HYPERVISOR_KVM)
                return text_error_set(reterr, -EINVAL, "--hypervisor: only kvm takes device=");
        if (config->disable_sandbox && (config->pivot_root || config->seccomp_log_failures))
                return text_error_set(
                        reterr, -EINVAL,
                        "%s: --disable-sandbox leaves no sandbox that it could change",
                        config->pivot_root ? "--pivot-root" : "--seccomp-log-failures");
        if ((config->suspended || config->suspended_vcpus) && !config->socket)
                return text_error_set(reterr, -EINVAL,
                                      "--suspended: without --socket nothing could resume it");
        r = vmm_cpus_validate(&config->cpus, config->n_vcpus, reterr);
        if (r < 0)
                return r;
        r = vmm_memory_validate(&config->memory, config->memory_bytes, reterr);
        if (r < 0)
                return r;
        if (vmm_memory_has_ram_files(&config->memory) &&
            config->n_folders + config->n_shared_dirs + config->n_vhost_users > 0)
                return text_error_set(reterr, -EINVAL,
                                      "--file-backed-mapping: ram: the processes of --vhost-user, "
                                      "--vhost-user-fs and --shared-dir cannot have it");
        if (config->n_folders + config->n_shared_dirs > VMM_FOLDERS_MAX)
                return text_error_set(reterr, -EINVAL,
                                      "--vhost-user-fs, --shared-dir: more than %u folders",
                                      VMM_FOLDERS_MAX);
        r = vmm_board_validate(&config->board, config->bios != NULL, reterr);
        if (r < 0)
                return r;
        r = check_params(config, reterr);
        if (r == 0)
                r = check_oem_strings(config, reterr);
        if (r < 0)
                return r;
        r = check_serials(config, reterr);
        if (r < 0)
                return r;
        r = check_disks(config, reterr);
        if (r < 0)
                return r;
        for (size_t i = 0; i < config->n_nets; i++) {
                r = vmm_net_validate(&config->nets[i], reterr);
                if (r < 0)
                        return r;
        }
        r = check_balloon(config, reterr);
        if (r < 0)
                return r;
        r = check_vfios(config, reterr);
        if (r < 0)
                return r;
        r = check_vsock(config, reterr);
        if (r < 0)
                return r;
        r = vmm_swap_validate(config, reterr);
        if (r < 0)
                return r;
        for (size_t i = 0; i < config->n_folders; i++) {
                r = vmm_folder_validate(&config->folders[i], reterr);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < config->n_vhost_users; i++) {
                r = vmm_vhost_user_validate(&config->vhost_users[i], reterr);
                if (r < 0)
                        return r;
        }
        r = check_pci_slots(config, reterr);
        return r < 0 ? r : check_pci_devices(config, reterr);
}
