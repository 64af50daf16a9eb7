/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What vivariumd hands to vivarium-launch: a JSON document in a sealed memfd, naming inherited descriptors by
 * number. The launcher turns it into the VMM's command line.
 */

#include "config/vm_config.h"
#include "config/vmm_config.h"

#define LAUNCH_FILES_MAX 1024u
#define LAUNCH_PLAN_MAX                                                                            \
        (4u * 1024u * 1024u) /* bytes of JSON; a normalised config is longer than it was written */

/* The launcher's one argument: this and the number of the memfd. */
#define LAUNCH_PLAN_OPTION "--plan-fd="

typedef struct LaunchFile {
        char *name; /* owned; fd name of the VM config */
        int fd;     /* number in the launcher; the plan does not own it */
} LaunchFile;

/* The service's part of one of the config's networks. */
typedef struct LaunchCard {
        VmNetworkType type; /* VM_NETWORK_ANY in a config is decided here */
        uint8_t mac[MAC_LEN];
        int queues[VM_NETWORK_QUEUES_MAX]; /* of a TAP interface; borrowed */
        size_t n_queues; /* as many as the config has of pairs; 0 for the user type */
} LaunchCard;

/* The service's part of one of the config's shared paths; -EBADF where the client has a server of its own. */
typedef struct LaunchShare {
        int listen;  /* for virtiofsd; borrowed */
        int connect; /* for the VMM, connected to @listen; borrowed */
} LaunchShare;

typedef struct LaunchPlan {
        char *vmm_path; /* owned; absolute */
        VmmDialect dialect;
        char *vm_name; /* owned */
        uint32_t cid;
        VmmHypervisor hypervisor;
        char *log_level; /* owned, optional */
        VmConfig config;
        LaunchFile *files; /* owned array */
        size_t n_files;
        LaunchCard
                cards[VM_NETWORKS_MAX]; /* one for each of the config's networks, in their order */
        size_t n_cards;
        LaunchShare shares[VM_SHARES_MAX]; /* likewise of its shared paths */
        size_t n_shares;
        char *virtiofsd_path; /* owned; absolute; NULL without a share to be served */
        /* Roles; -EBADF if absent. */
        int console_out, console_in, log_out, failure_out, ramdump_out;
        int control;     /* socket that listens for the VMM's control clients */
        int gdb;         /* socket that listens for a debugger */
        int vsock_dir;   /* directory of the host's ends of the guest's sockets */
        int vhost_vsock; /* or the kernel's device for them, which has the context id */
        int vmm_stderr;  /* becomes the VMM's standard error */
        int status; /* the launcher writes one error line here, or closes it by a successful exec */
} LaunchPlan;

void launch_plan_init(LaunchPlan *plan);
void launch_plan_deinit(LaunchPlan *plan);
int launch_plan_add_file(LaunchPlan *plan, const char *name, int fd);
int launch_plan_find_file(const LaunchPlan *plan, const char *name);
int launch_plan_to_json(const LaunchPlan *plan, char **ret);
int launch_plan_parse(const char *json, LaunchPlan *ret, TextError *reterr);
