/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "config/crosvm_flags.h"
#include "config/vm_config.h"

#define ARGV_MAX 64

/* Splits @line at '|' and parses it behind the program's name. */
static int parse_line(const char *line, VmmConfig *ret, TextError *reterr) {
        _cleanup_(freep) char *copy = strdup(line);
        char *argv[ARGV_MAX] = {copy};
        int argc = 1;

        assert_non_null(copy);
        for (char *p = copy; p; argc++) {
                assert_true(argc < ARGV_MAX - 1);
                argv[argc] = strsep(&p, "|");
        }
        return crosvm_flags_parse(argc, argv, ret, reterr);
}

static void assert_refused(const char *line, const char *words) {
        _cleanup_(text_error_deinit) TextError error = {0};
        VmmConfig config;
        int r = parse_line(line, &config, &error);

        if (r != -EINVAL || !error.message || !strstr(error.message, words))
                fail_msg("'%s' gave %d '%s', expected -EINVAL with '%s'", line, r,
                         error.message ?: "(none)", words);
}

static void test_a_minimal_line_gets_the_defaults_of_crosvm(void **state) {
        _cleanup_(vmm_config_deinit) VmmConfig c = {0};

        assert_int_equal(parse_line("run|/boot/vmlinuz", &c, NULL), 0);
        assert_string_equal(c.kernel, "/boot/vmlinuz");
        assert_int_equal(c.memory_bytes, 256 << 20);
        assert_int_equal(c.n_vcpus, 1);
        assert_int_equal(c.hypervisor, VMM_HYPERVISOR_AUTO);
        assert_int_equal(c.n_serials, 0);
        assert_int_equal(c.n_disks, 0);
        assert_false(c.extended_status);
        assert_null(c.name);
}

static void test_the_line_of_androids_manager_is_understood(void **state) {
        _cleanup_(vmm_config_deinit) VmmConfig c = {0};

        assert_int_equal(
                parse_line("--extended-status|--log-level|info,disk=warn|run|--name|crosvm_x|"
                           "--disable-sandbox|--no-balloon|--no-usb|--mem|512|--cpus|4|"
                           "--serial=type=file,path=/proc/self/fd/5,hardware=serial,num=1|"
                           "--serial=type=file,path=/proc/self/fd/7,hardware=serial,num=2|"
                           "--serial=type=file,path=/proc/self/fd/5,input=/proc/self/fd/6,"
                           "hardware=virtio-console,num=1|"
                           "--serial=type=sink,hardware=virtio-console,num=2|"
                           "--initrd|/proc/self/fd/9|--params|panic=-1|"
                           "--block|path=/proc/self/fd/10,ro=true,lock=false|/proc/self/fd/8",
                           &c, NULL),
                0);
        assert_true(c.extended_status && c.no_balloon && c.no_usb && c.disable_sandbox);
        assert_string_equal(c.log_level, "info,disk=warn");
        assert_int_equal(c.memory_bytes, 512 << 20);
        assert_int_equal(c.n_vcpus, 4);
        assert_int_equal(c.n_serials, 4);
        assert_int_equal(c.serials[1].num, 2);
        assert_string_equal(c.serials[2].input, "/proc/self/fd/6");
        assert_int_equal(c.serials[2].hardware, VMM_SERIAL_HARDWARE_VIRTIO_CONSOLE);
        assert_int_equal(c.serials[3].type, VMM_SERIAL_SINK);
        assert_true(c.disks[0].read_only);
        assert_false(c.disks[0].lock);
        assert_string_equal(c.params.items[0], "panic=-1");
        assert_string_equal(c.initrd, "/proc/self/fd/9");
        assert_string_equal(c.kernel, "/proc/self/fd/8");
}

static void test_joined_and_split_values_and_short_names_are_the_same(void **state) {
        _cleanup_(vmm_config_deinit) VmmConfig c = {0};

        assert_int_equal(parse_line("run|-m|size=64|-c|num-cores=2|-p|a=b|--params=c d|k|-i|ird|"
                                    "-b|disk.img,block_size=4096,id=\"a,b\"|"
                                    "--hypervisor=kvm[device=/dev/kvm2]",
                                    &c, NULL),
                         0);
        assert_int_equal(c.memory_bytes, 64 << 20);
        assert_int_equal(c.n_vcpus, 2);
        assert_int_equal(c.params.n, 2);
        assert_string_equal(c.params.items[1], "c d");
        assert_string_equal(c.kernel, "k");
        assert_string_equal(c.initrd, "ird");
        assert_string_equal(c.disks[0].path, "disk.img");
        assert_string_equal(c.disks[0].id, "a,b");
        assert_int_equal(c.disks[0].block_size, 4096);
        assert_string_equal(c.kvm_device, "/dev/kvm2");
        assert_int_equal(c.hypervisor, VMM_HYPERVISOR_KVM);
}

static void test_help_and_version_are_conditions_not_errors(void **state) {
        VmmConfig c;

        assert_int_equal(parse_line("--help", &c, NULL), CROSVM_FLAGS_E_HELP);
        assert_int_equal(parse_line("run|--mem|5|--help", &c, NULL), CROSVM_FLAGS_E_HELP);
        assert_int_equal(parse_line("run|-h", &c, NULL), CROSVM_FLAGS_E_HELP);
        assert_int_equal(parse_line("--version", &c, NULL), CROSVM_FLAGS_E_VERSION);
}

static void test_a_kernel_may_start_with_a_dash_behind_two_dashes(void **state) {
        _cleanup_(vmm_config_deinit) VmmConfig c = {0};

        assert_int_equal(parse_line("run|--|-k", &c, NULL), 0);
        assert_string_equal(c.kernel, "-k");
}

static void test_what_cannot_be_honoured_is_refused_by_name(void **state) {
        static const struct {
                const char *line, *words;
        } cases[] = {
                {"run|--seccomp-policy-dir|d|k", "--seccomp-policy-dir: crosvm option, not supp"},
                {"run|--disable-sandbox|--pivot-root|/d|k", "--pivot-root: --disable-sandbox"},
                {"run|--disable-sandbox|--seccomp-log-failures|k", "--seccomp-log-failures: --dis"},
                {"run|--gpu|k", "--gpu: crosvm option, not supported by this version"},
                {"run|--no-balloon|--balloon-page-reporting|k", "exclude each other"},
                {"run|--no-balloon|--balloon-control|/s|k", "exclude each other"},
                {"run|--balloon-control||k", "--balloon-control: the value is empty"},
                {"run|--no-balloon|--init-mem|64|k", "--init-mem needs the balloon"},
                {"run|--mem|64|--init-mem|65|k", "--init-mem: more than --mem"},
                {"run|--vhost-vsock-device=/d|k", "--vsock: cid= is missing"},
                {"run|--cid=5|--vhost-vsock-fd=x|k", "--vhost-vsock-fd: expected a descriptor"},
                {"run|--cid=5|--vhost-vsock-fd=4|--vhost-vsock-device=/d|k", "is given twice"},
                {"run|--vsock|5,device=/d,socket-dir=/d|k", "device= exclude each other"},
                {"run|--vsock|cid=2,socket-dir=/d|k", "--vsock: cid: expected a number from 3 to"},
                {"run|--vsock|cid=4294967295,socket-dir=/d|k", "--vsock: cid: expected a number"},
                {"run|--vsock|socket-dir=/d|k", "--vsock: cid= is missing"},
                {"run|--vsock|5,device=/d|--vhost-vsock-device=/e|k", "is given twice"},
                {"run|--vhost-user|vsock,socket=/s|--vsock|5|k", "a guest has one socket device"},
                {"run|--vhost-user-vsock|/s|--vhost-user|vsock,socket=/t|k", "one socket device"},
                {"run|--vhost-user|scsi,socket=/s|k", "--vhost-user: type: scsi: crosvm type, not"},
                {"run|--vhost-user-gpu|/s|k", "--vhost-user-gpu: crosvm option, not supported"},
                {"run|--cid|5|--vsock|cid=5,socket-dir=/d|k",
                 "--cid and --vsock exclude each other"},
                {"run|--cid|5,socket-dir=/d|k", "--cid: socket-dir: unknown key"},
                {"run|--protected-vm|k", "--protected-vm: crosvm option, not supported"},
                {"run|--frobnicate|k", "--frobnicate: unknown option"},
                {"run|-z|k", "-z: unknown option"},
                {"run|-m512|k", "-m512: unknown option"},
                {"--gpu|run|k", "--gpu: unknown option"},
                {"--syslog-tag||run|k", "--syslog-tag: expected 1 to 48 bytes"},
                {"--syslog-tag|a\nb|run|k", "--syslog-tag: a control character is in it"},
                {"run|--syslog-tag|x|k", "--syslog-tag: belongs before the command"},
                {"--async-executor|epoll|run|k", "--async-executor: belongs behind the command"},
                {"run|--async-executor|tokio|k",
                 "--async-executor: expected epoll or uring, not 'tokio'"},
                {"run|--block|/a,async-executor|k",
                 "--block: async-executor: expected epoll or uring, not ''"},
                {"--mem|5|run|k", "--mem: belongs behind the command"},
                {"run|--extended-status|k", "--extended-status: belongs before the command"},
                {"usb|/tmp/s", "usb: crosvm command, not supported by this version: no USB"},
                {"walk", "walk: unknown command"},
                {"--extended-status", "a command is missing"},
                {"run", "KERNEL or --bios is missing"},
                {"run|", "KERNEL is empty"},
                {"run|a|b", "two kernels are given: 'a' and 'b'"},
                {"run|k|--mem", "--mem: MIB is missing"},
                {"run|k|--mem|", "--mem: a key or value is missing before the end"},
                {"run|k|--mem|0", "--mem: size: expected a number from 1 to"},
                {"run|k|--mem|8388609", "--mem: size: expected a number"},
                {"run|k|--mem|1|--mem|1", "--mem: given twice"},
                {"run|k|--mem|1,size=2", "--mem: size: given twice"},
                {"run|k|--mem|5k", "not '5k'"},
                {"run|k|--cpus|0", "--cpus: num-cores: expected a number from 1 to 254"},
                {"run|k|--cpus|255", "--cpus: num-cores: expected a number from 1 to 254"},
                {"run|k|--cpus|2,freq-domains=[[0],[1]]", "--cpus: freq-domains: not supported"},
                {"run|k|--cpus|num-cores=[2]", "--cpus: num-cores: a list is not accepted"},
                {"run|k|--no-rng=true", "--no-rng: takes no value"},
                {"run|k|--name|", "--name: the value is empty"},
                {"run|k|--serial|tape", "--serial: type: expected file, stdout, sink, syslog"},
                {"run|k|--serial|unix", "--serial: type=unix needs path="},
                {"run|k|--serial|unix-stream", "--serial: type=unix-stream needs path="},
                {"run|k|--serial|syslog,path=x", "--serial: path= needs type=file"},
                {"run|k|--serial|unix,path=x,input-unix-stream", "needs type=unix-stream"},
                {"run|k|--serial|unix-stream,path=x,input=y,input-unix-stream",
                 "exclude each other"},
                {"run|k|--serial|sink,pci-address=00:04.0", "pci-address= needs hardware=virtio"},
                {"run|k|--serial|sink,max-queue-sizes=[2,32]", "max-queue-sizes= needs hardware="},
                {"run|k|--serial|type=file", "--serial: type=file needs path="},
                {"run|k|--serial|type=sink,path=x", "--serial: path= needs type=file"},
                {"run|k|--serial|hardware=serial,num=5", "hardware=serial has ports 1 to 4, not 5"},
                {"run|k|--serial|hardware=debugcon,console", "--serial: hardware=debugcon is for"},
                {"run|k|--serial|hardware=debugcon,num=2", "ports 1 to 1, not 2"},
                {"run|k|--serial|hardware=tty",
                 "expected serial, virtio-console or debugcon, not 'tty'"},
                {"run|k|--serial|sink,num=0", "--serial: num: expected a number from 1"},
                {"run|k|--serial|sink|--serial|sink", "hardware=serial,num=1 is given twice"},
                {"run|k|--serial|sink,console|--serial|sink,num=2,console",
                 "only one port can be the console"},
                {"run|k|--serial|stdout,stdin,input=x",
                 "input=, stdin and input-unix-stream exclude"},
                {"run|k|--serial|stdout,stdin|--serial|sink,num=2,stdin", "only one port can read"},
                {"run|k|--serial|sink,hardware=virtio-console,earlycon", "earlycon needs hardware"},
                {"run|k|--serial|sink,num=1,num=2", "--serial: num: given twice"},
                {"run|k|--serial|sink,console=yes", "console: expected true or false, not 'yes'"},
                {"run|k|--serial|sink,colour=red", "--serial: colour: unknown key"},
                {"run|k|--serial|hardware=virtio-console,max-queue-sizes=[2]",
                 "expected 2 sizes, not 1"},
                {"run|k|--serial|hardware=virtio-console,max-queue-sizes=[2,3]", "powers of two"},
                {"run|k|--serial|hardware=virtio-console,max-queue-sizes=[2,2048]", "to 1024"},
                {"run|k|--vsock|5,max-queue-sizes=[2,2]", "expected 3 sizes"},
                {"run|k|--serial|sink,", "a key or value is missing before the end"},
                {"run|k|--serial|sink,,num=2", "a key or value is missing before ,"},
                {"run|k|--serial|type=file,path=\"x", "the quote \" is not closed"},
                {"run|k|--serial|sink,max-queue-sizes=[2", "the bracket [ is not closed"},
                {"run|k|--block|ro,path=x", "--block: path: given twice"},
                {"run|k|--block|ro=true", "--block: path= is missing"},
                {"run|k|--block|x,block-size=1000", "block-size: expected a power of two"},
                {"run|k|--block|x,block-size=256", "block-size: expected a number from 512"},
                {"run|k|--block|x,id=123456789012345678901", "id: expected at most 20 bytes"},
                {"run|k|--block|x,id=\"\"", "id: a value is missing"},
                {"run|k|--block|x,bootindex=1", "--block: bootindex= needs --bios"},
                {"run|--bios|b|--block|x,bootindex=1|--block|y,bootindex=1",
                 "bootindex=1 is given twice"},
                {"run|k|--scsi-block|x,bootindex=1", "--scsi-block: bootindex= needs --bios"},
                {"run|--bios|b|--scsi-block|x,bootindex=1|--block|y,bootindex=1",
                 "--block: bootindex=1 is given twice"},
                {"run|--bios|b|--scsi-block|x,bootindex=7|--scsi-block|y,bootindex=7",
                 "--scsi-block: bootindex=7 is given twice"},
                {"run|--bios|b|-i|x", "--initrd: needs a KERNEL"},
                {"run|--bios|b|-p|x", "--params: needs a KERNEL"},
                {"run|k|--pflash|x", "--pflash: needs --bios"},
                {"run|--bios|b|--pflash|block-size=4096", "--pflash: path= is missing"},
                {"run|--bios|b|--pflash|x,block-size=5000",
                 "--pflash: block-size: expected a power"},
                {"run|--bios|b|--pflash|x,block-size=512", "--pflash: block-size:"},
                {"run|k|--fw-cfg|name=x", "--fw-cfg: needs name= and one of path= and string="},
                {"run|k|--fw-cfg|string=x", "--fw-cfg: needs name= and one of path= and string="},
                {"run|k|--fw-cfg|a,path=x,string=y", "--fw-cfg: needs name= and one of"},
                {"run|k|--fw-cfg|a,path=x|--fw-cfg|a,string=y", "--fw-cfg: 'a' is given twice"},
                {"run|k|--test-device|--enable-fw-cfg", "--test-device: excludes --bios"},
                {"run|k|--vfio|guest-address=00:05.0", "--vfio: path= is missing"},
                {"run|k|--vfio|/d,guest-address=01:05.0", "--vfio: guest-address: 01:05.0: this"},
                {"run|k|--vfio|/d,iommu=viommu", "--vfio: iommu: viommu: not supported by"},
                {"run|k|--vfio|/d,iommu=sometimes", "--vfio: iommu: expected off, not 'sometimes'"},
                {"run|k|--vfio|/d,dt-symbol=x", "--vfio: dt-symbol: not supported by this"},
                {"run|k|--vfio-platform|/d", "--vfio-platform: crosvm option, not supported"},
                {"run|k|--vfio|/d|--balloon-page-reporting", "exclude each other"},
                {"run|k|--vfio|/d|--init-mem|64", "--vfio and --init-mem exclude each other"},
                {"run|k|--vfio|/d|--restore|/s", "--vfio and --restore exclude each other"},
                {"run|k|--vfio|/d,guest-address=0:5.0|--block|/b,pci-address=0:5.0",
                 "two devices have the same address"},
                {"run|k|--block|x=y=z", "'=' is not expected here"},
                {"run|k|--block|a,root|--block|b,root", "only one disk can be root"},
                {"run|k|--hypervisor|gunyah[device=/dev/gunyah]", "not supported by this version"},
                {"run|k|--hypervisor|xen", "expected auto, kvm or soft, not 'xen'"},
                {"run|k|--hypervisor|kvm[", "expected kvm[device=PATH]"},
                {"run|k|--hypervisor|kvm[speed=9]", "--hypervisor: speed: unknown key"},
                {"--log-level|loud|run|k", "--log-level: expected off, error, warn, info or debug"},
                {"--log-level|info,=debug|run|k", "a module's name has"},
                {"--log-level|info,warn|run|k", "two levels"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_refused(cases[i].line, cases[i].words);
}

static void test_the_same_switch_twice_is_harmless(void **state) {
        _cleanup_(vmm_config_deinit) VmmConfig c = {0};

        assert_int_equal(parse_line("run|--no-usb|--no-usb|k", &c, NULL), 0);
        assert_true(c.no_usb);
}

static void test_counts_and_lengths_end_at_their_limits(void **state) {
        _cleanup_(strbuf_deinit) StrBuf line = {0}, params = {0};
        _cleanup_(vmm_config_deinit) VmmConfig c = {0};

        strbuf_append(&line, "run|k");
        for (unsigned i = 0; i < VMM_DISKS_MAX; i++)
                strbuf_printf(&line, "|--block=d%u", i);
        assert_int_equal(parse_line(line.data, &c, NULL), 0);
        assert_int_equal(c.n_disks, VMM_DISKS_MAX);
        strbuf_append(&line, "|--block=one-more");
        assert_refused(line.data, "--block: more than 24 disks");

        strbuf_append(&params, "run|k|--params|");
        for (unsigned i = 0; i < 2047; i++)
                strbuf_append(&params, "x");
        vmm_config_deinit(&c);
        assert_int_equal(parse_line(params.data, &c, NULL), 0);
        strbuf_append(&params, "|--params|");
        assert_refused(params.data, "--params: 2048 bytes in all");
}

/* A generator with a fixed seed: the same thousand configs in every run. */
static uint32_t next_random(uint32_t *seed) {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 17;
        *seed ^= *seed << 5;
        return *seed;
}

static bool coin(uint32_t *seed) {
        return next_random(seed) & 0x100;
}

/* Text that tries the quoting: every special byte of the lists among plain ones. */
static char *random_text(uint32_t *seed, size_t max) {
        static const char alphabet[] = "ab/.-_,=[]\"'\\ :;~0";
        size_t n = 1 + next_random(seed) % max;
        char *text = malloc(n + 1);

        assert_non_null(text);
        for (size_t i = 0; i < n; i++)
                text[i] = alphabet[next_random(seed) % (sizeof(alphabet) - 1)];
        text[n] = '\0';
        return text;
}

static void random_serials(uint32_t *seed, VmmConfig *c) {
        unsigned n = next_random(seed) % (4 + VMM_CONSOLES_MAX + 1);
        bool console = coin(seed), earlycon = coin(seed), std_in = coin(seed);

        for (unsigned i = 0; i < n; i++) {
                VmmSerial *s = &c->serials[c->n_serials++];

                vmm_serial_init(s);
                s->hardware =
                        i < 4 ? VMM_SERIAL_HARDWARE_16550 : VMM_SERIAL_HARDWARE_VIRTIO_CONSOLE;
                s->num = i < 4 ? i + 1 : i - 3;
                s->type = (VmmSerialType) (next_random(seed) % (VMM_SERIAL_UNIX_STREAM + 1));
                s->out_timestamp = coin(seed);
                if (s->hardware == VMM_SERIAL_HARDWARE_VIRTIO_CONSOLE && coin(seed)) {
                        s->queue_sizes[0] = 2;
                        s->queue_sizes[1] = 1024;
                }
                if (vmm_serial_has_path(s->type))
                        s->path = random_text(seed, 30);
                s->console = console && i == n / 2;
                s->earlycon = earlycon && i == 1;
                s->std_in = std_in && i == 2;
                s->input_unix_stream =
                        s->type == VMM_SERIAL_UNIX_STREAM && !s->std_in && coin(seed);
                if (!s->std_in && !s->input_unix_stream && coin(seed))
                        s->input = random_text(seed, 30);
        }
}

static void random_disks(uint32_t *seed, VmmConfig *c) {
        unsigned n = next_random(seed) % (VMM_PCI_DEVICES_MAX - VMM_CONSOLES_MAX - 2);
        bool root = coin(seed);

        for (unsigned i = 0; i < n; i++) {
                VmmDisk *d = &c->disks[c->n_disks++];

                vmm_disk_init(d);
                d->path = random_text(seed, 40);
                d->read_only = coin(seed);
                d->root = root && i == n / 2;
                d->sparse = coin(seed);
                d->direct = coin(seed);
                d->dontcache = coin(seed);
                d->lock = coin(seed);
                d->block_size = 512u << next_random(seed) % 4;
                d->id = coin(seed) ? random_text(seed, 20) : NULL;
        }
}

static void random_firmware(uint32_t *seed, VmmConfig *c) {
        if (coin(seed)) {
                c->bios = random_text(seed, 40);
                c->pflash.path = coin(seed) ? random_text(seed, 40) : NULL;
                c->pflash.block_size = c->pflash.path && coin(seed) ? 65536 : 4096;
        }
        c->enable_fw_cfg = coin(seed);
        for (unsigned i = 0; i < next_random(seed) % 3; i++) {
                VmmFwCfgFile *file = &c->fw_cfg[c->n_fw_cfg++];

                assert_true(asprintf(&file->name, "opt/%u", i) > 0);
                if (coin(seed))
                        file->path = random_text(seed, 40);
                else
                        file->string = random_text(seed, 40);
        }
}

static void random_config(uint32_t *seed, VmmConfig *c) {
        unsigned n_params = next_random(seed) % 4;

        vmm_config_init(c);
        c->extended_status = coin(seed);
        c->log_level = coin(seed) ? strdup("info,disk=warn") : NULL;
        c->name = coin(seed) ? random_text(seed, 64) : NULL;
        c->kernel = random_text(seed, 40);
        c->initrd = coin(seed) ? random_text(seed, 40) : NULL;
        for (unsigned i = 0; i < n_params; i++)
                assert_int_equal(strvec_add_consume(&c->params, random_text(seed, 100)), 0);
        c->memory_bytes = (uint64_t) (1 + next_random(seed) % VM_MEMORY_MIB_MAX) << 20;
        c->n_vcpus = 1 + next_random(seed) % 254;
        c->hypervisor = (VmmHypervisor) (next_random(seed) % 3);
        if (c->hypervisor == VMM_HYPERVISOR_KVM && coin(seed))
                c->kvm_device = random_text(seed, 30);
        c->no_rng = coin(seed);
        random_firmware(seed, c);
        c->test_device = !c->bios && !c->enable_fw_cfg && c->n_fw_cfg == 0 && coin(seed);
        for (unsigned i = 0; coin(seed) && i < CPU_FEATURES; i++)
                cpu_feature_set_put(coin(seed) ? &c->cpu_features.add : &c->cpu_features.hide,
                                    (CpuFeature) i, coin(seed));
        c->hugepages = coin(seed);
        c->lock_guest_memory = coin(seed);
        c->unmap_guest_memory_on_fork = coin(seed);
        c->boost_uclamp = coin(seed);
        c->no_balloon = coin(seed);
        c->balloon_page_reporting = !c->no_balloon && coin(seed);
        c->init_memory_bytes = c->no_balloon || coin(seed) ? 0 : c->memory_bytes;
        if (coin(seed)) {
                c->vsock_cid = VMM_CID_MIN;
                if (coin(seed))
                        c->vsock_socket_dir = strdup("/run/v,m");
                else if (coin(seed))
                        c->vsock_device = strdup("/dev/v,m");
        }
        c->no_usb = coin(seed);
        c->disable_sandbox = coin(seed);
        c->seccomp_log_failures = !c->disable_sandbox && coin(seed);
        c->pivot_root = c->disable_sandbox || coin(seed) ? NULL : strdup("/var/empty");
        random_serials(seed, c);
        random_disks(seed, c);
}

static void assert_same_text(const char *a, const char *b) {
        assert_int_equal(a == NULL, b == NULL);
        if (a)
                assert_string_equal(a, b);
}

static void assert_same_config(const VmmConfig *a, const VmmConfig *b) {
        assert_int_equal(a->extended_status, b->extended_status);
        assert_same_text(a->log_level, b->log_level);
        assert_same_text(a->name, b->name);
        assert_same_text(a->kernel, b->kernel);
        assert_same_text(a->initrd, b->initrd);
        assert_int_equal(a->params.n, b->params.n);
        for (size_t i = 0; i < a->params.n; i++)
                assert_string_equal(a->params.items[i], b->params.items[i]);
        assert_true(a->memory_bytes == b->memory_bytes);
        assert_int_equal(a->n_vcpus, b->n_vcpus);
        assert_int_equal(a->hypervisor, b->hypervisor);
        assert_same_text(a->kvm_device, b->kvm_device);
        assert_int_equal(a->no_rng, b->no_rng);
        assert_int_equal(a->test_device, b->test_device);
        assert_memory_equal(&a->cpu_features, &b->cpu_features, sizeof(a->cpu_features));
        assert_int_equal(a->hugepages, b->hugepages);
        assert_int_equal(a->lock_guest_memory, b->lock_guest_memory);
        assert_int_equal(a->unmap_guest_memory_on_fork, b->unmap_guest_memory_on_fork);
        assert_int_equal(a->boost_uclamp, b->boost_uclamp);
        assert_int_equal(a->no_balloon, b->no_balloon);
        assert_int_equal(a->balloon_page_reporting, b->balloon_page_reporting);
        assert_true(a->init_memory_bytes == b->init_memory_bytes);
        assert_int_equal(a->vsock_cid, b->vsock_cid);
        assert_same_text(a->vsock_socket_dir, b->vsock_socket_dir);
        assert_same_text(a->vsock_device, b->vsock_device);
        assert_int_equal(a->no_usb, b->no_usb);
        assert_int_equal(a->disable_sandbox, b->disable_sandbox);
        assert_int_equal(a->seccomp_log_failures, b->seccomp_log_failures);
        assert_same_text(a->pivot_root, b->pivot_root);
        assert_int_equal(a->n_serials, b->n_serials);
        for (size_t i = 0; i < a->n_serials; i++) {
                const VmmSerial *x = &a->serials[i], *y = &b->serials[i];

                assert_int_equal(x->type, y->type);
                assert_int_equal(x->hardware, y->hardware);
                assert_int_equal(x->num, y->num);
                assert_same_text(x->path, y->path);
                assert_same_text(x->input, y->input);
                assert_int_equal(x->console, y->console);
                assert_int_equal(x->earlycon, y->earlycon);
                assert_int_equal(x->std_in, y->std_in);
                assert_int_equal(x->input_unix_stream, y->input_unix_stream);
                assert_int_equal(x->out_timestamp, y->out_timestamp);
                assert_memory_equal(x->queue_sizes, y->queue_sizes, sizeof(x->queue_sizes));
        }
        assert_int_equal(a->n_disks, b->n_disks);
        for (size_t i = 0; i < a->n_disks; i++) {
                const VmmDisk *x = &a->disks[i], *y = &b->disks[i];

                assert_same_text(x->path, y->path);
                assert_int_equal(x->read_only, y->read_only);
                assert_int_equal(x->root, y->root);
                assert_int_equal(x->sparse, y->sparse);
                assert_int_equal(x->direct, y->direct);
                assert_int_equal(x->dontcache, y->dontcache);
                assert_int_equal(x->lock, y->lock);
                assert_int_equal(x->block_size, y->block_size);
                assert_same_text(x->id, y->id);
                assert_int_equal(x->boot_index, y->boot_index);
        }
        assert_same_text(a->bios, b->bios);
        assert_same_text(a->pflash.path, b->pflash.path);
        assert_int_equal(a->pflash.block_size, b->pflash.block_size);
        assert_int_equal(a->enable_fw_cfg, b->enable_fw_cfg);
        assert_int_equal(a->n_fw_cfg, b->n_fw_cfg);
        for (size_t i = 0; i < a->n_fw_cfg; i++) {
                assert_same_text(a->fw_cfg[i].name, b->fw_cfg[i].name);
                assert_same_text(a->fw_cfg[i].path, b->fw_cfg[i].path);
                assert_same_text(a->fw_cfg[i].string, b->fw_cfg[i].string);
        }
}

static void test_emitting_and_parsing_gives_the_same_config(void **state) {
        uint32_t seed = 0x2545f491;

        for (unsigned i = 0; i < 1000; i++) {
                _cleanup_(vmm_config_deinit) VmmConfig before, after = {0};
                _cleanup_(text_error_deinit) TextError error = {0};
                _cleanup_(strvec_deinit) StrVec argv = {0};
                int r;

                random_config(&seed, &before);
                r = vmm_config_validate(&before, &error);
                if (r != 0)
                        fail_msg("round %u: %s", i, text_error_message(&error, r));
                assert_int_equal(strvec_add(&argv, "vivarium-vmm"), 0);
                assert_int_equal(crosvm_flags_emit(&before, &argv, NULL), 0);
                r = crosvm_flags_parse((int) argv.n, argv.items, &after, &error);
                if (r != 0)
                        fail_msg("round %u: %s", i, text_error_message(&error, r));
                assert_same_config(&before, &after);
        }
}

static void test_help_names_every_option_once(void **state) {
        static const char *const names[] = {
                "--extended-status",
                "--log-level",
                "--name",
                "--mem",
                "--cpus",
                "--params",
                "--initrd",
                "--block",
                "--hypervisor",
                "--serial",
                "--no-rng",
                "--cpu-features",
                "--test-device",
                "--no-usb",
                "--no-ball",
                "--disable-sandbox",
                "--pivot-root",
                "--seccomp-log-failures",
                "--bios",
                "--pflash",
                "--fw-cfg",
                "--enable-fw-cfg",
        };
        _cleanup_(freep) char *text = NULL;
        size_t len = 0;
        FILE *out = open_memstream(&text, &len);

        assert_non_null(out);
        crosvm_flags_help(out);
        assert_int_equal(fclose(out), 0);
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                assert_non_null(strstr(text, names[i]));
        for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
                assert_true(strlen(line) <= 100);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_minimal_line_gets_the_defaults_of_crosvm),
                cmocka_unit_test(test_the_line_of_androids_manager_is_understood),
                cmocka_unit_test(test_joined_and_split_values_and_short_names_are_the_same),
                cmocka_unit_test(test_help_and_version_are_conditions_not_errors),
                cmocka_unit_test(test_a_kernel_may_start_with_a_dash_behind_two_dashes),
                cmocka_unit_test(test_what_cannot_be_honoured_is_refused_by_name),
                cmocka_unit_test(test_the_same_switch_twice_is_harmless),
                cmocka_unit_test(test_counts_and_lengths_end_at_their_limits),
                cmocka_unit_test(test_emitting_and_parsing_gives_the_same_config),
                cmocka_unit_test(test_help_names_every_option_once),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
