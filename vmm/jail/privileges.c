/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/jail/jail_internal.h"

/*
 * The sets of a process are three calls of the kernel; libcap-ng would be one more library in each VM for the sake of
 * names that nobody asks for here.
 */
static int drop_capabilities(void) {
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

        /* Refused to who has no capabilities in the first place; no_new_privs closes that way too. */
        for (int i = 0; prctl(PR_CAPBSET_READ, i) >= 0; i++)
                (void) prctl(PR_CAPBSET_DROP, i);
        (void) prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

/* What is asked for now is all there will be. Return: 0 or negative errno; @ret is the limit. */
static int freeze_limit(__rlimit_resource_t resource, rlim_t *ret) {
        struct rlimit limit;

        if (getrlimit(resource, &limit) < 0)
                return -errno;
        limit.rlim_max = limit.rlim_cur;
        if (setrlimit(resource, &limit) < 0)
                return -errno;
        *ret = limit.rlim_cur;
        return 0;
}

/**
 * jail_drop_privileges() - no capability, no way to gain one, no more resources than now
 *
 * There is no limit of processes: it would count those of other VMs of the same user, and the filters allow none anyway.
 *
 * Return: 0 or negative errno.
 */
int jail_drop_privileges(void) {
        rlim_t files = 0, core = 0;
        int r;

        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -errno;
        r = drop_capabilities();
        if (r < 0)
                return r;
        r = freeze_limit(RLIMIT_NOFILE, &files);
        if (r < 0)
                return r;
        r = freeze_limit(RLIMIT_CORE, &core);
        if (r < 0)
                return r;
        /*
         * Other processes of the same user, so other VMs too, can neither trace us nor reach into our descriptors. The
         * kernel writes no core of such a process: whoever gave us a limit of cores wants one.
         */
        return core == 0 && prctl(PR_SET_DUMPABLE, 0) < 0 ? -errno : 0;
}
