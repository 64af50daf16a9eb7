/* SPDX-License-Identifier: Apache-2.0 */
/* vivarium-launch: reads a launch plan and becomes the VMM that it describes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "config/crosvm_flags.h"
#include "config/launch_plan.h"
#include "crosvm_launcher/args.h"
#include "crosvm_launcher/exec.h"
#include "crosvm_launcher/keeper.h"
#include "crosvm_launcher/share.h"

#define LOG_PIECE 1500

static void print_help(void) {
        (void) printf(
                "usage: vivarium-launch --plan-fd=N [--keep=FDS]\n"
                "\n"
                "Becomes the virtual machine monitor that the launch plan in descriptor N "
                "describes.\n"
                "Started by vivariumd; of no use by hand.\n"
                "\n"
                "      --plan-fd=N   descriptor of the plan, a JSON document\n"
                "      --keep=FDS    wait for SIGUSR1, let a child become the monitor, and "
                "stay as\n"
                "                    its parent to record its end; FDS are the descriptors of\n"
                "                    record,bell,bell,status,failure,console,stderr\n"
                "      --version     print the version and exit\n"
                "  -h, --help        print this text and exit\n");
}

static int read_plan(int fd, LaunchPlan *ret, TextError *reterr) {
        _cleanup_(freep) char *text = NULL;
        size_t len;
        int r;

        r = fd_read_bounded(fd, LAUNCH_PLAN_MAX, &text, &len);
        if (r < 0)
                return text_error_prefix(reterr, r, "cannot read the launch plan");
        if (strlen(text) != len)
                return text_error_set(reterr, -EINVAL, "the launch plan has a NUL in it");
        r = launch_plan_parse(text, ret, reterr);
        return r < 0 ? text_error_prefix(reterr, r, "launch plan") : 0;
}

/* In pieces that a log line has room for. */
static void log_command(const StrVec *argv, const FdMap *map) {
        _cleanup_(freep) char *text = NULL;
        const char *p;

        if (launch_args_describe(argv, map, &text) < 0)
                return;
        for (p = text; strlen(p) > LOG_PIECE; p += LOG_PIECE)
                log_info("%s %.*s", p == text ? "running" : "...", LOG_PIECE, p);
        log_info("%s %s", p == text ? "running" : "...", p);
}

/* Returns only on failure. */
static int run_plan(const LaunchPlan *plan, int record_fd, int *status_fd, TextError *reterr) {
        _cleanup_(launch_args_deinit) LaunchArgs args = {0};
        _cleanup_(strvec_deinit) StrVec argv = {0};
        LaunchExec launch = {
                .path = plan->vmm_path,
                .map = &args.map,
                .err = plan->vmm_stderr,
                .locks_memory = plan->config.devices.n > 0,
                .may_dump_core = plan->config.debug_level == VM_DEBUG_FULL,
        };
        int r;

        r = launch_args_build(plan, &args, reterr);
        if (r == 0)
                r = shares_serve(plan, record_fd, reterr);
        if (r < 0)
                return r;
        r = strvec_add(&argv, plan->vmm_path);
        if (r == 0)
                r = crosvm_flags_emit(&args.vmm, &argv, reterr);
        if (r < 0)
                return r;
        log_command(&argv, &args.map);
        launch.argv = argv.items;
        return launch_exec(&launch, status_fd, reterr);
}

/* One line, for the daemon; without it, for whoever started this by hand. */
static void report(int status_fd, int r, const TextError *error) {
        const char *message = text_error_message(error, r);

        if (status_fd < 0) {
                log_error("%s", message);
                return;
        }
        if (dprintf(status_fd, "%s\n", message) < 0)
                log_error("%s (and cannot report it: %m)", message);
}

static int launch(int plan_fd, int record_fd) {
        _cleanup_(text_error_deinit) TextError error = {0};
        _cleanup_(launch_plan_deinit) LaunchPlan plan;
        int status_fd = -EBADF, r;

        launch_plan_init(&plan);
        r = read_plan(plan_fd, &plan, &error);
        if (r == 0) {
                status_fd = plan.status;
                r = run_plan(&plan, record_fd, &status_fd, &error);
        }
        report(status_fd, r, &error);
        return EXIT_FAILURE;
}

/* The parent keeps, the child launches. Nothing of the plan is read before, so that the keeper stays small. */
static int keep(const char *fds, int plan_fd, const char *self) {
        const char *slash = strrchr(self, '/');
        Keeper keeper = {0};
        pid_t child;
        int r;

        if (keeper_fds_parse(fds, &keeper.fds) < 0) {
                log_error("%s%s: expected nine descriptors", KEEPER_OPTION, fds);
                return EXIT_FAILURE;
        }
        r = keeper_wait_for_go(&keeper);
        if (r < 0) {
                log_error("keep the VMM: %s", strerror(-r));
                return EXIT_FAILURE;
        }
        child = fork();
        if (child < 0) {
                log_error("fork: %m");
                (void) keeper_write_failed(keeper.fds.record, "cannot fork");
                return EXIT_FAILURE;
        }
        if (child == 0)
                return keeper_join(&keeper) < 0 ? EXIT_FAILURE : launch(plan_fd, keeper.fds.record);
        return keeper_watch(&keeper, child, slash ? slash + 1 : self) < 0 ? EXIT_FAILURE
                                                                          : EXIT_SUCCESS;
}

int main(int argc, char *argv[]) {
        const char *number, *kept;
        int fd;

        log_set_program("vivarium-launch");
        if (argc == 2 && (str_eq(argv[1], "--help") || str_eq(argv[1], "-h"))) {
                print_help();
                return EXIT_SUCCESS;
        }
        if (argc == 2 && str_eq(argv[1], "--version")) {
                (void) printf("vivarium-launch %s\n", VIVARIUM_VERSION);
                return EXIT_SUCCESS;
        }
        number = argc >= 2 ? str_after_prefix(argv[1], LAUNCH_PLAN_OPTION) : NULL;
        kept = argc == 3 ? str_after_prefix(argv[2], KEEPER_OPTION) : NULL;
        if (!number || parse_fd(number, &fd) < 0 || argc > 3 || (argc == 3 && !kept)) {
                log_error("expected %sN, perhaps %sFDS, and nothing else; see --help",
                          LAUNCH_PLAN_OPTION, KEEPER_OPTION);
                return EXIT_FAILURE;
        }
        return kept ? keep(kept, fd, argv[0]) : launch(fd, -EBADF);
}
