/* SPDX-License-Identifier: Apache-2.0 */
#include "service/vm/stray.h"

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
        log_warning("killing %s %d, which belongs to no VM", what, which->pid);
        (void) process_kill(process, SIGKILL);
        (void) process_leave(process);
}

/** vm_stray_end_recorded() - kill what a keeper's record names, for a VM that nobody has any more or that starts anew */
void vm_stray_end_recorded(int record_file) {
        _cleanup_(keeper_record_deinit) KeeperRecord record = {0};

        if (keeper_record_read(record_file, &record) < 0 || record.end != KEEPER_END_NONE)
                return;
        /* The VMM first: its keeper then sees the end and goes. Before there is one, it dies with its keeper. */
        end_process(&record.vmm, "the VMM");
        if (record.vmm.pid == 0)
                end_process(&record.keeper, "the keeper");
}

/** vm_stray_end() - the same by the record in a VM's directory, about to be removed */
void vm_stray_end(const char *directory) {
        _cleanup_(fd_closep) int fd = -EBADF;
        char path[512];

        (void) snprintf(path, sizeof(path), "%s/keeper", directory);
        fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0)
                vm_stray_end_recorded(fd);
}
