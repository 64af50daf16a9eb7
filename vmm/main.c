/* SPDX-License-Identifier: Apache-2.0 */

/* vivarium-vmm: arguments in, one virtual machine, an exit status out. */

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "config/control_verbs.h"
#include "config/crosvm_flags.h"
#include "config/hypervisor_probe.h"
#include "vmm/control/client.h"
#include "vmm/hv/kvm/kvm.h"
#include "vmm/jail/jail.h"
#include "vmm/machine/directories.h"
#include "vmm/machine/machine.h"

/* What `machinectl poweroff` sends to the leader of a machine, as systemd(1) has it. */
#define POWEROFF_SIGNAL (SIGRTMIN + 4)

static int fail(int status, const TextError *error, int r) {
        log_error("%s", text_error_message(error, r));
        return status;
}

static void set_log_filter(const char *text) {
        _cleanup_(text_error_deinit) TextError error = {0};
        LogFilter filter;

        /* Parsed once already, as an option. */
        if (!text || crosvm_log_filter_parse(text, &filter, &error) < 0)
                return;
        log_set_level(filter.level);
        log_set_rules(filter.rules, filter.n_rules);
}

/* `vivarium-vmm probe`: one line for each hypervisor; see config/hypervisor_probe.h. */
static int probe_hypervisors(void) {
        _cleanup_(text_error_deinit) TextError error = {0};
        HypervisorProbe kvm = {.hypervisor = VMM_HYPERVISOR_KVM};
        HypervisorProbe soft = {.hypervisor = VMM_HYPERVISOR_SOFT};
        int r;

        r = kvm_hv_ops.probe(NULL, &error);
        kvm.available = r >= 0;
        (void) snprintf(kvm.reason, sizeof(kvm.reason), "%s",
                        r < 0 ? text_error_message(&error, r) : "a probe guest ran on /dev/kvm");
        soft.available = true;
        (void) snprintf(soft.reason, sizeof(soft.reason), "built into the VMM");
        if (hypervisor_probe_print(stdout, &kvm) < 0 || hypervisor_probe_print(stdout, &soft) < 0 ||
            fflush(stdout) != 0)
                return VMM_EXIT_ERROR;
        return 0;
}

static void on_signal(void *userdata, int fd, uint32_t events) {
        struct signalfd_siginfo info;

        if (read(fd, &info, sizeof(info)) != sizeof(info))
                return;
        if (info.ssi_signo == (uint32_t) POWEROFF_SIGNAL) {
                log_info("pressing the power button on SIGRTMIN+4");
                machine_press_power_button(userdata);
                return;
        }
        log_info("stopping on %s", strsignal((int) info.ssi_signo));
        machine_halt(userdata, HALT_STOP);
}

/* Blocked before the first thread exists, so that only the loop sees them. */
static int block_signals(int *ret_fd) {
        struct sigaction hangup;
        sigset_t set;
        int fd;

        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        /* The terminal went: as SIGTERM, but for whoever asked by nohup(1) to outlive it. */
        if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
                sigaddset(&set, SIGHUP);
        sigaddset(&set, POWEROFF_SIGNAL);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;
        fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        if (fd < 0)
                return -errno;
        *ret_fd = fd;
        return 0;
}

static int enter_jail(const VmmConfig *config, TextError *reterr) {
        const JailOptions options = {
                .root = config->pivot_root,
                .log_failures = config->seccomp_log_failures,
        };

        if (config->disable_sandbox) {
                log_debug("sandbox: none, by --disable-sandbox");
                return 0;
        }
        return jail_enter(&options, reterr);
}

static int run(VmmConfig *config) {
        _cleanup_(text_error_deinit) TextError error = {0};
        _cleanup_(fd_closep) int signal_fd = -EBADF;
        _cleanup_(shared_dirs_end) SharedDirs shared_dirs = {0};
        _cleanup_(machine_freep) Machine *machine =
                NULL; /* goes before the processes that serve it */
        HaltReason reason = HALT_NONE;
        const HvOps *hv;
        int r;

        if (config->name)
                (void) prctl(PR_SET_NAME, config->name);
        r = block_signals(&signal_fd);
        if (r < 0)
                return fail(VMM_EXIT_ERROR, &error, r);
        r = machine_copy_host_topology(config, &error);
        if (r < 0)
                return fail(VMM_EXIT_ERROR, &error, r);
        r = machine_choose_hypervisor(config, &hv, &error);
        if (r < 0)
                return fail(VMM_EXIT_ERROR, &error, r);
        r = machine_check_features(config, hv, &error);
        if (r == -EOPNOTSUPP)
                return fail(VMM_EXIT_INVALID_ARGS, &error,
                            text_error_prefix(&error, r, "--cpu-features"));
        if (r < 0)
                return fail(VMM_EXIT_ERROR, &error, r);
        r = shared_dirs_start(&shared_dirs, config, &error);
        if (r < 0)
                return fail(VMM_EXIT_ERROR, &error, r);
        r = machine_new(config, hv, &machine, &error);
        shared_dirs_hand_over(&shared_dirs);
        if (r < 0)
                return fail(VMM_EXIT_ERROR, &error, r);
        r = loop_add_fd(machine_loop(machine), signal_fd, EPOLLIN, on_signal, machine, NULL);
        if (r < 0)
                return fail(VMM_EXIT_ERROR, &error, r);
        r = enter_jail(config, &error);
        if (r < 0)
                return fail(VMM_EXIT_ERROR, &error, r);
        r = machine_run(machine, &reason, &error);
        if (r < 0)
                return fail(VMM_EXIT_ERROR, &error, r);
        if (reason == HALT_TEST_EXIT)
                return machine_test_status(machine);
        return machine_exit_status(reason, config->extended_status);
}

/* `vivarium-vmm stop SOCKET` and the like: a request to a running VM. */
static int control(int argc, char *argv[]) {
        _cleanup_(text_error_deinit) TextError error = {0};
        _cleanup_(control_command_deinit) ControlCommand command = {.request.fd_index = -1};
        int r;

        r = control_verb_parse(argc, argv, &command, &error);
        if (r == CONTROL_VERB_E_HELP) {
                control_verbs_help(stdout, argv[0]);
                return fflush(stdout) == 0 ? 0 : VMM_EXIT_ERROR;
        }
        if (r < 0)
                return fail(VMM_EXIT_INVALID_ARGS, &error, r);
        r = control_client_run(&command, stdout, &error);
        return r < 0 ? fail(VMM_EXIT_ERROR, &error, r) : 0;
}

int main(int argc, char *argv[]) {
        _cleanup_(vmm_config_deinit) VmmConfig config;
        _cleanup_(text_error_deinit) TextError error = {0};
        int command, r;

        /* One arena for all threads: each further one would cost a VM more memory than its devices. */
        (void) mallopt(M_ARENA_MAX, 1);
        (void) signal(SIGPIPE, SIG_IGN);
        log_set_program("vivarium-vmm");

        vmm_config_init(&config);
        command = crosvm_flags_find_command(argc, argv);
        if (command > 0 && argc == command + 1 && strcmp(argv[command], HYPERVISOR_PROBE_VERB) == 0)
                return probe_hypervisors();
        if (command > 0 && control_verb_exists(argv[command]))
                return control(argc - command, argv + command);
        r = crosvm_flags_parse(argc, argv, &config, &error);
        if (r == CROSVM_FLAGS_E_HELP) {
                crosvm_flags_help(stdout);
                return fflush(stdout) == 0 ? 0 : VMM_EXIT_ERROR;
        }
        if (r == CROSVM_FLAGS_E_VERSION)
                return printf("vivarium-vmm %s\n", VIVARIUM_VERSION) < 0 || fflush(stdout) != 0
                               ? VMM_EXIT_ERROR
                               : 0;
        if (r < 0)
                return fail(VMM_EXIT_INVALID_ARGS, &error, r);
        set_log_filter(config.log_level);
        if (config.syslog_tag)
                log_set_program(config.syslog_tag);
        return run(&config);
}
