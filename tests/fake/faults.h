/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a test and the library that it has preloaded into the daemon (faults.c) share: a page of a file, whose path is in
 * the environment of the daemon. The test says which call is to fail, the library counts and fails.
 */

#include <stdatomic.h>

#define FAULTS_ENVIRONMENT "VIVARIUM_FAULTS"

typedef enum FaultCall {
        FAULT_OPEN, /* and openat */
        FAULT_WRITE,
        FAULT_FSYNC,
        FAULT_RENAME,
        FAULT_MKDIR,
        FAULT_SPAWN, /* and fork, which is the launcher's */
        FAULT_MEMFD,
        FAULT_SOCKET, /* and socketpair */
        FAULT_PIPE,
        FAULT_PIDFD,
        FAULT_EPOLL,
        FAULT_DUP,
        FAULT_DATAGRAM, /* what goes to the journal */
        FAULT_MEMORY,   /* what the daemon and its libraries allocate */
} FaultCall;

typedef struct Faults {
        _Atomic int armed; /* 0 or 1; only then calls are counted */
        _Atomic int
                launcher; /* 1 for the launcher's calls, which the keeper's are; 0 for the daemon's */
        _Atomic int call;      /* FaultCall */
        _Atomic int error;     /* errno that the call fails with */
        _Atomic int countdown; /* the call that makes this 0 fails */
        _Atomic int hit;       /* set when it did */
        _Atomic int loaded;    /* set by the library once it is there */
} Faults;
