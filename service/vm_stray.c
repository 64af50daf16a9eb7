/* SPDX-License-Identifier: Apache-2.0 */
#include "service/vm_stray.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>

#include "base/fd.h"
#include "base/log.h"
#include "config/keeper.h"
#include "service/monitor/process.h"

static void end_process(const KeeperProcess *which, const char *what) {
        Process *process;

        if (which->pid == 0 || process_attach(which->pid, which->start_time, -EBADF, &process) < 0)
                return;
        log_warning("killing %s %d, whose VM nobody knows", what, which->pid);
        (void) process_kill(process, SIGKILL);
        (void) process_leave(process);
}

/** vm_stray_end() - kill what the keeper's record in a VM's directory names, about to be removed */
void vm_stray_end(const char *directory) {
        _cleanup_(keeper_record_deinit) KeeperRecord record = {0};
        _cleanup_(fd_closep) int fd = -EBADF;
        char path[512];

        (void) snprintf(path, sizeof(path), "%s/keeper", directory);
        fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || keeper_record_read(fd, &record) < 0 || record.end != KEEPER_END_NONE)
                return;
        /* The VMM first: its keeper then sees the end and goes. */
        end_process(&record.vmm, "the VMM");
        if (record.vmm.pid == 0)
                end_process(&record.keeper, "the keeper");
}
