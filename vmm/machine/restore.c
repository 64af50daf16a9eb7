/* SPDX-License-Identifier: Apache-2.0 */

/*
 * --restore: a machine that was built, and has run nothing, takes over the state in a snapshot. It stays paused until its
 * processors have theirs, which each sets on its own thread.
 */

#include <errno.h>
#include <fcntl.h>

#include "base/fd.h"
#include "base/fd_path.h"
#include "vmm/machine/machine_internal.h"
#include "vmm/snapshot/file.h"

static int restore_processors(Machine *machine, Snapshot *s) {
        machine->restored = calloc(machine->n_kicks, sizeof(*machine->restored));
        if (!machine->restored)
                return -ENOMEM;
        for (unsigned i = 0; i < machine->n_kicks; i++)
                vcpu_states_snapshot(&machine->restored[i], i, s);
        return 0;
}

static int restore_state(Machine *machine, const uint8_t *state, size_t len, TextError *reterr) {
        _cleanup_(snapshot_deinit) Snapshot s;
        int r;

        snapshot_init_restoring(&s, state, len);
        machine_snapshot_state(machine, &s);
        r = restore_processors(machine, &s);
        if (r < 0)
                return r;
        if (snapshot_restored(&s) && s.at != s.len)
                snapshot_refuse(&s, "there is more behind the last section");
        return s.error < 0
                       ? text_error_set(reterr, s.error, "%s", text_error_message(&s.text, s.error))
                       : 0;
}

static int restore_from(Machine *machine, int fd, TextError *reterr) {
        _cleanup_(freep) uint8_t *state = NULL;
        size_t len;
        int r;

        r = snapshot_file_read_state(fd, &state, &len, reterr);
        if (r < 0)
                return r;
        machine_pause(machine); /* until machine_run() */
        r = restore_state(machine, state, len, reterr);
        return r < 0 ? r : snapshot_file_read_memory(fd, machine->mem, reterr);
}

/**
 * machine_restore() - put the snapshot at @path into a machine that is complete but for memory and processors
 *
 * Return: 0; negative errno with a sentence, and then the machine is good for nothing.
 */
int machine_restore(Machine *machine, const char *path, TextError *reterr) {
        _cleanup_(fd_closep) int fd = fd_path_open(path, O_RDONLY, 0);
        int r = fd < 0 ? fd : restore_from(machine, fd, reterr);

        return r < 0 ? text_error_prefix(reterr, r, "--restore %s", path) : 0;
}
