/* SPDX-License-Identifier: Apache-2.0 */
#include "service/monitor/strays.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/monitor/process.h"

/* All children there are, past one that its owner has yet to reap. */
static void reap_each(void) {
        char path[64];
        FILE *file;
        int pid;

        (void) snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
        file = fopen(path, "re");
        if (!file)
                return;
        while (fscanf(file, "%d", &pid) == 1)
                if (!process_is_known(pid))
                        (void) waitpid(pid, NULL, WNOHANG);
        (void) fclose(file);
}

/* Behind everything else, when the owners of those that have ended have as a rule reaped them: then one call says so. */
static int on_child(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata) {
        siginfo_t info = {0};

        while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0) {
                if (process_is_known(info.si_pid)) {
                        reap_each();
                        break;
                }
                (void) waitpid(info.si_pid, NULL, WNOHANG);
                info.si_pid = 0;
        }
        return 0;
}

/** strays_watch() - reap them from now on, for as long as @event lives; SIGCHLD is blocked. Return: 0 or negative errno. */
int strays_watch(sd_event *event) {
        sd_event_source *source = NULL;
        int r;

        r = sd_event_add_signal(event, &source, SIGCHLD, on_child, NULL);
        if (r >= 0)
                r = sd_event_source_set_priority(source, SD_EVENT_PRIORITY_IDLE);
        if (r >= 0)
                r = sd_event_source_set_floating(source, true);
        (void) sd_event_source_unref(source);
        return r < 0 ? r : 0;
}
