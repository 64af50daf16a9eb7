/* SPDX-License-Identifier: Apache-2.0 */
#include "crosvm_launcher/args.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "config/crosvm_net_flags.h"
#include "crosvm_launcher/composite.h"
#include "crosvm_launcher/image.h"

#define RAMDUMP_RESERVED_MIB 17u

/** launch_args_deinit() - release what it owns, with the descriptors that were opened for the VMM */
void launch_args_deinit(LaunchArgs *args) {
        vmm_config_deinit(&args->vmm);
        fd_map_deinit(&args->map);
        fd_set_deinit(&args->owned);
}

/* "/proc/self/fd/N" with the number that @fd will have in the VMM. */
static int map_path(LaunchArgs *args, int fd, char **ret) {
        int r, target;

        r = fd_map_add(&args->map, fd, &target);
        if (r < 0)
                return r;
        return asprintf(ret, "/proc/self/fd/%d", target) < 0 ? -ENOMEM : 0;
}

static int map_file(LaunchArgs *args, const LaunchPlan *plan, const char *key, const char *name,
                    char **ret, TextError *reterr) {
        int r;

        if (!name)
                return 0;
        r = map_path(args, launch_plan_find_file(plan, name), ret);
        return r < 0 ? text_error_prefix(reterr, r, "%s: fd:%s", key, name) : 0;
}

/* Serial ports */

static int add_serial(LaunchArgs *args, VmmSerialHardware hardware, unsigned num, int out, int in) {
        VmmSerial *serial = &args->vmm.serials[args->vmm.n_serials++];
        int r = 0;

        vmm_serial_init(serial);
        serial->hardware = hardware;
        serial->num = num;
        if (out >= 0) {
                serial->type = VMM_SERIAL_FILE;
                r = map_path(args, out, &serial->path);
        }
        if (r == 0 && in >= 0)
                r = map_path(args, in, &serial->input);
        return r;
}

/*
 * Our VMM sees a panic and writes the memory that it has. In a crosvm the guest itself must, from a kernel of its own for
 * that, which has its share of memory set aside, to hvc1; as Android has it.
 */
static bool guest_dumps(const LaunchPlan *plan) {
        return plan->ramdump_out >= 0 && plan->dialect != VMM_DIALECT_VIVARIUM;
}

/*
 * Android's five: ttyS0 for boot loaders and the early console, with the same output as hvc0; ttyS1 for why the guest
 * failed; hvc0 the console; hvc1 the RAM dump; hvc2 the log. Input goes to one of ttyS0 and hvc0. An output that
 * nobody wants is dropped, so that the devices are the same for every guest.
 */
static int add_serials(LaunchArgs *args, const LaunchPlan *plan) {
        const VmmSerialHardware uart = VMM_SERIAL_HARDWARE_16550;
        const VmmSerialHardware virtio = VMM_SERIAL_HARDWARE_VIRTIO_CONSOLE;
        const bool to_ttys0 = plan->config.console_input == VM_CONSOLE_INPUT_TTYS0;
        const int in = plan->console_in;
        int r;

        r = add_serial(args, uart, 1, plan->console_out, to_ttys0 ? in : -EBADF);
        if (r == 0)
                r = add_serial(args, uart, 2, plan->failure_out, -EBADF);
        if (r == 0)
                r = add_serial(args, virtio, 1, plan->console_out, to_ttys0 ? -EBADF : in);
        if (r == 0)
                r = add_serial(args, virtio, 2, guest_dumps(plan) ? plan->ramdump_out : -EBADF,
                               -EBADF);
        if (r == 0)
                r = add_serial(args, virtio, 3, plan->log_out, -EBADF);
        /* Distributions build virtio-console as a module: ttyS0 is the one console that every kernel has. */
        args->vmm.serials[0].console = plan->console_out >= 0;
        return r;
}

/* Disks */

static int disk_file(LaunchArgs *args, const LaunchPlan *plan, size_t index, int *ret_fd,
                     TextError *reterr) {
        const VmDisk *disk = &plan->config.disks[index];
        uint64_t size;
        int r;

        if (!disk->image)
                return composite_disk_build(plan, index, &args->map, &args->owned, ret_fd, reterr);
        *ret_fd = launch_plan_find_file(plan, disk->image);
        r = image_check_raw(*ret_fd, &size, reterr);
        return r < 0 ? text_error_prefix(reterr, r, "disks[%zu].image", index) : 0;
}

/*
 * Locking stays on, unlike in Android, whose policy had no rule for it: the lock is what keeps two VMs from writing one
 * image. It sits on the client's open file, so a client that holds it already is not locked out.
 */
static int add_disk(LaunchArgs *args, const LaunchPlan *plan, size_t index, TextError *reterr) {
        VmmDisk *disk = &args->vmm.disks[args->vmm.n_disks++];
        int r, fd;

        vmm_disk_init(disk);
        disk->read_only = !plan->config.disks[index].writable;
        r = disk_file(args, plan, index, &fd, reterr);
        return r < 0 ? r : map_path(args, fd, &disk->path);
}

static int add_disks(LaunchArgs *args, const LaunchPlan *plan, TextError *reterr) {
        for (size_t i = 0; i < plan->config.n_disks; i++) {
                int r = add_disk(args, plan, i, reterr);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* Network cards and shared folders */

static int add_forwards(VmmNet *net, const StrVec *forwards) {
        net->forwards = calloc(forwards->n + 1, sizeof(*net->forwards));
        if (!net->forwards)
                return -ENOMEM;
        for (size_t i = 0; i < forwards->n; i++) {
                int r = crosvm_forward_parse(forwards->items[i], &net->forwards[i]);

                if (r < 0)
                        return r;
                net->n_forwards++;
        }
        return 0;
}

static int add_net(LaunchArgs *args, const VmNetwork *network, const LaunchCard *card) {
        VmmNet *net = &args->vmm.nets[args->vmm.n_nets++];

        vmm_net_init(net);
        net->has_mac = true;
        memcpy(net->mac, card->mac, sizeof(net->mac));
        if (card->type == VM_NETWORK_USER) {
                net->user = true;
                return add_forwards(net, &network->forwards);
        }
        net->n_pairs = network->queues;
        for (size_t i = 0; i < card->n_queues; i++) {
                int r = fd_map_add(&args->map, card->queues[i], &net->tap_fds[i]);

                if (r < 0)
                        return r;
                net->n_tap_fds++;
        }
        return 0;
}

static int add_nets(LaunchArgs *args, const LaunchPlan *plan, TextError *reterr) {
        for (size_t i = 0; i < plan->n_cards; i++) {
                int r = add_net(args, &plan->config.networks[i], &plan->cards[i]);

                if (r < 0)
                        return text_error_prefix(reterr, r, "network[%zu]", i);
        }
        return 0;
}

static int add_folder(LaunchArgs *args, const LaunchPlan *plan, size_t index) {
        VmmFolder *folder = &args->vmm.folders[args->vmm.n_folders++];
        const VmShare *share = &plan->config.shares[index];
        int fd = share->path ? plan->shares[index].connect
                             : launch_plan_find_file(plan, share->socket);

        vmm_folder_init(folder);
        folder->tag = strdup(share->tag);
        return folder->tag ? fd_map_add(&args->map, fd, &folder->socket_fd) : -ENOMEM;
}

static int add_folders(LaunchArgs *args, const LaunchPlan *plan, TextError *reterr) {
        for (size_t i = 0; i < plan->n_shares; i++) {
                int r = add_folder(args, plan, i);

                if (r < 0)
                        return text_error_prefix(reterr, r, "shared_paths[%zu]", i);
        }
        return 0;
}

/* Functions of the host */

static int add_devices(LaunchArgs *args, const LaunchPlan *plan) {
        const StrVec *devices = &plan->config.devices;

        for (size_t i = 0; i < devices->n; i++) {
                VmmVfio *vfio = &args->vmm.vfios[args->vmm.n_vfios++];

                *vfio = (VmmVfio){.path = strdup(devices->items[i])};
                if (!vfio->path)
                        return -ENOMEM;
        }
        return 0;
}

static_assert(VM_DEVICES_MAX <= VMM_VFIOS_MAX, "the VMM has room for all of them");

/* Machine */

/* One vCPU for each CPU that the VMM will be allowed to run on; the mask is inherited. */
static unsigned host_cpus(void) {
        _cleanup_(freep) cpu_set_t *set = NULL;

        for (int n = 1024; n <= 1 << 20; n *= 2) {
                size_t size = CPU_ALLOC_SIZE(n);

                free(set);
                set = calloc(1, size);
                if (!set)
                        return 1;
                if (sched_getaffinity(0, size, set) == 0) {
                        unsigned count = (unsigned) CPU_COUNT_S(size, set);

                        return MAX(1u, MIN(count, VM_VCPUS_MAX));
                }
                if (errno != EINVAL)
                        return 1;
        }
        return 1;
}

static int add_params(LaunchArgs *args, const LaunchPlan *plan) {
        int r = 0;

        if (guest_dumps(plan) && plan->config.kernel)
                r = strvec_addf(&args->vmm.params, "crashkernel=%uM", RAMDUMP_RESERVED_MIB);
        if (r == 0 && plan->config.params)
                r = strvec_add(&args->vmm.params, plan->config.params);
        return r;
}

/* Where the guest tells of its payload, as systemd's credential vmm.notify_socket has it. The port is the VM's CID. */
#define NOTIFY_CREDENTIAL "io.systemd.credential:vmm.notify_socket=vsock-stream:2:%u"

/* A crosvm takes nothing but a TCP port, where anybody on the host could come. */
static int add_debugger(LaunchArgs *args, const LaunchPlan *plan) {
        if (plan->config.gdb_port == 0)
                return 0;
        if (plan->dialect == VMM_DIALECT_VIVARIUM && plan->gdb >= 0)
                return map_path(args, plan->gdb, &args->vmm.gdb);
        return asprintf(&args->vmm.gdb, "%u", plan->config.gdb_port) < 0 ? -ENOMEM : 0;
}

static int add_sockets(LaunchArgs *args, const LaunchPlan *plan) {
        int r = add_debugger(args, plan);

        if (r == 0 && plan->control >= 0)
                r = map_path(args, plan->control, &args->vmm.socket);
        if (r < 0 || (plan->vsock_dir < 0 && plan->vhost_vsock < 0))
                return r;
        args->vmm.vsock_cid = plan->cid;
        r = plan->vhost_vsock >= 0 ? map_path(args, plan->vhost_vsock, &args->vmm.vsock_device)
                                   : map_path(args, plan->vsock_dir, &args->vmm.vsock_socket_dir);
        return r < 0 ? r : strvec_addf(&args->vmm.oem_strings, NOTIFY_CREDENTIAL, plan->cid);
}

static int add_machine(LaunchArgs *args, const LaunchPlan *plan) {
        VmmConfig *vmm = &args->vmm;

        vmm->dialect = plan->dialect;
        vmm->extended_status = true;
        vmm->hypervisor = plan->hypervisor;
        vmm->memory_bytes = plan->config.memory_mib << 20;
        vmm->n_vcpus = plan->config.cpu_topology == VM_CPUS_MATCH_HOST ? host_cpus()
                                                                       : plan->config.n_vcpus;
        vmm->no_balloon = !plan->config.balloon;
        /* What a real crosvm would otherwise add or need privileges for. */
        vmm->no_usb = true;
        /*
         * Our own VMM takes what sandbox it is permitted to have. A crosvm fails without the namespaces that the
         * manager's unit forbids, so it is run as Android runs it.
         */
        vmm->disable_sandbox = plan->dialect != VMM_DIALECT_VIVARIUM;
        vmm->name = strdup(plan->vm_name);
        vmm->log_level = plan->log_level ? strdup(plan->log_level) : NULL;
        if (!vmm->name || (plan->log_level && !vmm->log_level))
                return -ENOMEM;
        return add_params(args, plan);
}

/**
 * launch_args_build() - the VMM's config and descriptors
 * @plan: its descriptors must stay open until the map has been applied
 * @ret:  set on success only; release with launch_args_deinit()
 *
 * Return: 0; negative errno with a sentence in @reterr.
 */
int launch_args_build(const LaunchPlan *plan, LaunchArgs *ret, TextError *reterr) {
        _cleanup_(launch_args_deinit) LaunchArgs args = {0};
        int r;

        vmm_config_init(&args.vmm);
        r = add_machine(&args, plan);
        if (r < 0)
                return r;
        r = add_serials(&args, plan);
        if (r < 0)
                return text_error_prefix(reterr, r, "a console's descriptor");
        r = add_sockets(&args, plan);
        if (r < 0)
                return text_error_prefix(reterr, r, "a socket's descriptor");
        if (plan->ramdump_out >= 0 && !guest_dumps(plan))
                r = map_path(&args, plan->ramdump_out, &args.vmm.ramdump);
        if (r < 0)
                return text_error_prefix(reterr, r, "the dump's descriptor");
        r = map_file(&args, plan, "kernel", plan->config.kernel, &args.vmm.kernel, reterr);
        if (r == 0)
                r = map_file(&args, plan, "bootloader", plan->config.bootloader, &args.vmm.bios,
                             reterr);
        if (r == 0)
                r = map_file(&args, plan, "initrd", plan->config.initrd, &args.vmm.initrd, reterr);
        if (r == 0)
                r = add_disks(&args, plan, reterr);
        if (r == 0)
                r = add_nets(&args, plan, reterr);
        if (r == 0)
                r = add_folders(&args, plan, reterr);
        if (r == 0)
                r = add_devices(&args, plan);
        if (r == 0)
                r = vmm_config_validate(&args.vmm, reterr);
        if (r < 0)
                return r;
        *ret = args;
        args = (LaunchArgs){0};
        return 0;
}

/* The file that "/proc/self/fd/N" at the start of @text will be, in @buf; returns the length of that path, or 0. */
static size_t describe_path(const char *text, const FdMap *map, char *buf, size_t size) {
        const char *digits = str_after_prefix(text, "/proc/self/fd/");
        size_t n_digits = digits ? strspn(digits, "0123456789") : 0, n = 0;

        if (n_digits == 0)
                return 0;
        for (size_t i = 0; i < n_digits && n <= FD_MAP_FIRST + map->n; i++)
                n = n * 10 + (size_t) (digits[i] - '0');
        if (n < FD_MAP_FIRST || n >= FD_MAP_FIRST + map->n)
                return 0;
        (void) fd_describe(map->sources[n - FD_MAP_FIRST], buf, size);
        return (size_t) (digits - text) + n_digits;
}

static void describe_word(StrBuf *buf, const char *word, const FdMap *map) {
        while (*word) {
                char target[PATH_MAX];
                size_t n = describe_path(word, map, target, sizeof(target));

                strbuf_append_bytes(buf, word, MAX(n, (size_t) 1));
                if (n > 0)
                        strbuf_printf(buf, " (%s)", target);
                word += MAX(n, (size_t) 1);
        }
}

/**
 * launch_args_describe() - the command line as one line for the log, before the map is applied
 * @ret: owned by the caller
 *
 * Return: 0 or -ENOMEM.
 */
int launch_args_describe(const StrVec *argv, const FdMap *map, char **ret) {
        _cleanup_(strbuf_deinit) StrBuf buf = {0};

        for (size_t i = 0; i < argv->n; i++) {
                const bool quote = !*argv->items[i] || strpbrk(argv->items[i], " \t'\"");

                strbuf_append(&buf, i > 0 ? " " : "");
                strbuf_append(&buf, quote ? "'" : "");
                describe_word(&buf, argv->items[i], map);
                strbuf_append(&buf, quote ? "'" : "");
        }
        return strbuf_finish(&buf, ret);
}
