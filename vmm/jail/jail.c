/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/jail/jail.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "vmm/jail/jail_internal.h"

/* Of this process: set once by jail_enter(), while there is one thread. */
static JailFilter filters[JAIL_ROLES];
static bool closed;

/* What the host or a sandbox around us does not permit is done without, and told: it must not keep a VM from running. */
static void leave_host(const JailOptions *options) {
        char refused[JAIL_REFUSED_MAX];
        int r;

        if (!jail_leave_namespaces(refused))
                log_info("sandbox: no namespace of its own, the host does not permit it: %s",
                         refused);
        r = jail_confine_directories();
        if (r < 0)
                log_debug("sandbox: directories are not confined: %s", strerror(-r));
        r = jail_change_root(options->root);
        if (r < 0)
                log_info("sandbox: the host's files stay in view: %s", strerror(-r));
}

static int compile_filters(bool log_failures) {
        for (unsigned role = 0; role < JAIL_ROLES; role++) {
                const JailRuleSet *set = jail_role_rules((JailRole) role);
                int r = jail_filter_compile(set->tables, set->n_tables, log_failures,
                                            &filters[role]);

                if (r < 0)
                        return r;
        }
        return 0;
}

/**
 * jail_enter() - give up what the process has; each thread then takes its filter with jail_enter_role()
 *
 * Once, by the only thread, when everything that the machine needs is open. Closes each descriptor above 2 without
 * FD_CLOEXEC: our own have it from birth, so that one was inherited and has been duplicated or was never meant for us.
 *
 * Return: 0; negative errno with a sentence.
 */
int jail_enter(const JailOptions *options, TextError *reterr) {
        int r;

        r = jail_check_root(options->root, reterr);
        if (r < 0)
                return r;
        r = jail_close_inherited();
        if (r < 0)
                return text_error_set(reterr, r, "sandbox: cannot close inherited descriptors: %s",
                                      strerror(-r));
        leave_host(options);
        r = jail_drop_privileges();
        if (r < 0)
                return text_error_set(reterr, r, "sandbox: cannot drop privileges: %s",
                                      strerror(-r));
        r = compile_filters(options->log_failures);
        if (r >= 0)
                r = jail_violation_prepare();
        if (r < 0)
                return text_error_set(reterr, r, "sandbox: cannot make the filters: %s",
                                      strerror(-r));
        closed = true;
        return 0;
}

/**
 * jail_enter_role() - from now on the calling thread may do no more than @role does
 *
 * Threads inherit the filter of their creator and can only narrow it. Without jail_enter() nothing happens.
 *
 * Return: 0 or negative errno.
 */
int jail_enter_role(JailRole role) {
        int r;

        if (!closed)
                return 0;
        r = jail_violation_unblock();
        return r < 0 ? r : jail_filter_install(&filters[role]);
}

/** jail_is_closed() - whether files can only come as descriptors, because jail_enter() was called */
bool jail_is_closed(void) {
        return closed;
}
