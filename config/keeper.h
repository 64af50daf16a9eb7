/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The keeper: vivarium-launch as the parent of a VMM. It outlives the daemon, so that a VMM's end has a witness
 * whatever becomes of the daemon, and holds the reading ends of the VMM's pipes, so that nothing written meanwhile is
 * lost. What it sees it appends to the VM's record file, a line at a time; here is that file's form.
 */

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Option of the launcher: this and the numbers of KeeperFds, in their order, comma-separated; -1 for one not there. */
#define KEEPER_OPTION "--keep="

/* Until it comes, at most KEEPER_GO_TIMEOUT_SEC, nothing but the keeper exists; it must be blocked at exec. */
#define KEEPER_GO_SIGNAL SIGUSR1
#define KEEPER_GO_TIMEOUT_SEC 60

/*
 * A pipe is gone with its last reader, and what is in it too. So a keeper that finds something in one when the VMM has
 * ended stays until a daemon has read it and says so, or the record has no name any more, by which a daemon would find it;
 * KEEPER_DISMISS_TIMEOUT_SEC at the most.
 */
#define KEEPER_DISMISS_SIGNAL SIGUSR2
#define KEEPER_DISMISS_TIMEOUT_SEC (24 * 3600)

#define KEEPER_RECORD_MAX 8192u
#define KEEPER_ERROR_MAX 4096u

/* Descriptors by number: in the launcher as its option names them, in the keeper as its record does. */
typedef struct KeeperFds {
        int record; /* the record file, open for appending */
        int bell_in,
                bell_out; /* a pipe; its writing end closes when it is known how the launch went */
        int status_in;    /* reading end of the plan's status pipe */
        int failure, console, err; /* reading ends of the VMM's pipes */
        int log;  /* likewise; none if the VM's creator has its log, or its console for that one */
        int keys; /* writing end of the pipe that the guest's console reads */
} KeeperFds;

#define KEEPER_FDS_NONE                                                                            \
        { -EBADF, -EBADF, -EBADF, -EBADF, -EBADF, -EBADF, -EBADF, -EBADF, -EBADF }

#define KEEPER_SERVERS_MAX 8u

typedef enum KeeperEnd {
        KEEPER_END_NONE, /* the VMM was not seen to end */
        KEEPER_END_EXITED,
        KEEPER_END_KILLED,
        KEEPER_END_DUMPED, /* killed, and left a core */
} KeeperEnd;

/* A process; @start_time, as PROC_STAT_START_TIME, tells it from others of that number. 0, 0 if there is none. */
typedef struct KeeperProcess {
        pid_t pid;
        uint64_t start_time;
} KeeperProcess;

/* A process that serves a shared folder. */
typedef struct KeeperServer {
        KeeperProcess process;
        KeeperEnd end; /* KEEPER_END_NONE unless it ended for no reason of the VMM's */
        int status;    /* exit status or signal */
} KeeperServer;

/* All that a record file says so far. */
typedef struct KeeperRecord {
        KeeperProcess keeper;
        KeeperFds fds;     /* in the keeper, from @keeper on; but record, bell_out and status_in */
        KeeperProcess vmm; /* the launcher first, from the go on */
        bool executed;     /* it became the VMM */
        char *failed;      /* owned; why it did not, any bytes; NULL unless that is known */
        KeeperEnd end;
        int status;           /* exit status or signal */
        uint64_t guest_ticks; /* CPU time of the guest at its end, in clock ticks */
        uint64_t user_ticks;  /* likewise of the VMM in user mode, the guest included */
        uint64_t oom_kills;   /* counted by the VM's cgroup, 0 if it has none of its own */
        uint64_t
                peak_bytes; /* the most memory it had resident at once, the guest's included; 0: not known */
        KeeperServer servers[KEEPER_SERVERS_MAX]; /* by the index of the shared path */
} KeeperRecord;

void keeper_record_deinit(KeeperRecord *record);
int keeper_record_parse(char *text, KeeperRecord *ret);
int keeper_record_read(int fd, KeeperRecord *ret);

int keeper_fds_format(const KeeperFds *fds, char *buf, size_t size);
int keeper_fds_parse(const char *text, KeeperFds *ret);

int keeper_write_self(int fd, const KeeperProcess *self, const KeeperFds *fds);
int keeper_write_spawned(int fd, const KeeperProcess *vmm);
int keeper_write_server(int fd, const KeeperProcess *server, size_t index);
int keeper_write_server_ended(int fd, size_t index, KeeperEnd end, int status);
int keeper_write_executed(int fd);
int keeper_write_failed(int fd, const char *error);
int keeper_write_ended(int fd, const KeeperRecord *record);
