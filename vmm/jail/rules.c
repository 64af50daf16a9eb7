/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/jail/rules.h"

#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/sockios.h>
#include <linux/userfaultfd.h>
#include <linux/vfio.h>
#include <linux/vhost.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/cleanup.h"

#define ALLOW(call)                                                                                \
        { .name = #call, .number = SYS_##call }
#define RULE(call, how, n, v, text)                                                                \
        {                                                                                          \
                .name = #call, .number = SYS_##call, .match = (how), .arg = (n), .value = (v),     \
                .value_name = (text)                                                               \
        }
#define WITH(call, how, n, v) RULE(call, how, n, v, #v)
#define OWN_PID(call)                                                                              \
        { .name = #call, .number = SYS_##call, .match = JAIL_IS_OWN_PID }
#define FCNTL(command) RULE(fcntl, JAIL_IS, 1, command, #command)
#define IOCTL(command) RULE(ioctl, JAIL_IS, 1, command, #command)
#define TABLE(t)                                                                                   \
        { (t), ELEMENTSOF(t) }
#define SET(tables)                                                                                \
        { (tables), ELEMENTSOF(tables) }

/* ---- what threads, memory and the log need: every role ---- */

static const JailRule common_rules[] = {
        ALLOW(brk),
        ALLOW(clock_gettime), /* where the vDSO has none: a host clock that is no TSC */
        ALLOW(clock_nanosleep),
        ALLOW(close),
        ALLOW(exit),
        ALLOW(exit_group),
        ALLOW(futex),
        ALLOW(getpid), /* glibc's pthread_kill() and abort() */
        ALLOW(getrandom),
        WITH(getrusage, JAIL_IS, 0, RUSAGE_THREAD), /* whether the host kept a vCPU waiting */
        ALLOW(gettid),
        ALLOW(madvise),
        /* No memory becomes executable any more: translated code lies in areas that were mapped at the start. */
        WITH(mmap, JAIL_LACKS, 2, PROT_EXEC),
        WITH(mprotect, JAIL_LACKS, 2, PROT_EXEC),
        ALLOW(mremap),
        ALLOW(munmap),
        WITH(prctl, JAIL_IS, 0, PR_GET_NAME), /* the last words of a thread */
        WITH(prctl, JAIL_IS, 0, PR_SET_NAME),
        ALLOW(read),
        ALLOW(restart_syscall),
        ALLOW(rseq),                                /* glibc, for each new thread */
        WITH(rt_sigaction, JAIL_IS_NOT, 0, SIGSYS), /* abort(); SIGSYS stays ours, see filter.c */
        ALLOW(rt_sigprocmask),
        ALLOW(rt_sigreturn),
        ALLOW(sched_yield),
        ALLOW(set_robust_list), /* glibc, for each new thread */
        OWN_PID(tgkill),        /* kicks of KVM's vCPUs, abort() */
        ALLOW(write),
        ALLOW(writev),
};

/* ---- what device models do, on the loop or on the thread of the vCPU that writes to a register ---- */

static const JailRule device_rules[] = {
        ALLOW(epoll_ctl),
        ALLOW(eventfd2),
        ALLOW(fallocate),
        FCNTL(F_ADD_SEALS), /* of rings that are shared with a vhost-user process */
        FCNTL(F_DUPFD_CLOEXEC),
        FCNTL(F_GETFD),
        FCNTL(F_GETFL),
        FCNTL(F_SETFD),
        FCNTL(F_SETFL),
        ALLOW(fdatasync),
        ALLOW(ftruncate), /* memfds; disks that grow */
        /* Requests on rings that can do no more than transfers: see vmm/block/uring.c. A filter does not see them. */
        ALLOW(io_uring_enter),
        IOCTL(KVM_GET_CLOCK),
        IOCTL(KVM_GET_DEVICE_ATTR), /* the TSC's offset */
        IOCTL(KVM_GET_DIRTY_LOG),
        IOCTL(KVM_IOEVENTFD),
        IOCTL(KVM_IRQFD),
        IOCTL(KVM_KVMCLOCK_CTRL),
        IOCTL(KVM_SET_CLOCK),
        IOCTL(KVM_SET_DEVICE_ATTR),
        IOCTL(KVM_SET_GSI_ROUTING),
        IOCTL(KVM_SET_USER_MEMORY_REGION), /* flash that changes between memory and registers */
        IOCTL(KVM_SIGNAL_MSI),
        IOCTL(TCGETS), /* consoles: is it a terminal? */
        IOCTL(TUNSETOFFLOAD),
        IOCTL(TUNSETQUEUE),
        IOCTL(VFIO_DEVICE_SET_IRQS), /* the guest changes how a device of the host interrupts it */
        ALLOW(lseek),
        ALLOW(memfd_create),
        ALLOW(newfstatat), /* glibc's fstat() */
        ALLOW(poll),
        ALLOW(ppoll),
        ALLOW(pread64),
        ALLOW(preadv),
        ALLOW(preadv2), /* for disk workers, whose filter is no wider than that of the loop */
        ALLOW(pwrite64),
        ALLOW(pwritev),
        ALLOW(pwritev2),
        ALLOW(readv),
        ALLOW(recvfrom),
        ALLOW(recvmsg),
        ALLOW(sendmsg),
        ALLOW(sendto),
        ALLOW(shutdown),
        ALLOW(sysinfo), /* glibc: how much memory may qsort() take? */
        ALLOW(timerfd_create),
        ALLOW(timerfd_settime),
};

/* ---- the loop ---- */

/* clang-format off: one rule a line */
static const JailRule loop_rules[] = {
        /* Control socket, debugger, the sockets' directory. */
        ALLOW(accept4),
        /* Disk workers; never a process. */
        WITH(clone, JAIL_HAS, 0, CLONE_THREAD),
        /* Its flags lie in memory, where a filter cannot look: glibc then uses clone(). */
        WITH(clone3, JAIL_FAILS, 0, ENOSYS),
        /* The guest's connections, to Unix sockets of their directory. */
        ALLOW(connect),
        ALLOW(epoll_pwait),
        ALLOW(epoll_wait),
        /* Of a disk that is plugged in; a first one gets workers instead of a ring. */
        ALLOW(flock),
        WITH(io_uring_setup, JAIL_FAILS, 0, EPERM),
        IOCTL(BLKGETSIZE64),
        IOCTL(SIOCGIFMTU), /* of an interface that is plugged in, as TUNSETVNETLE below */
        IOCTL(TCSETS),     /* the terminal as it was, at the end */
        IOCTL(TUNGETIFF),
        IOCTL(TUNSETVNETHDRSZ),
        IOCTL(TUNSETVNETLE),
        /* Functions of the host that are plugged in: the container is open, the group comes with the request. */
        IOCTL(VFIO_DEVICE_GET_INFO),
        IOCTL(VFIO_DEVICE_GET_IRQ_INFO),
        IOCTL(VFIO_DEVICE_GET_REGION_INFO),
        IOCTL(VFIO_DEVICE_RESET),
        IOCTL(VFIO_GROUP_GET_DEVICE_FD),
        IOCTL(VFIO_GROUP_GET_STATUS),
        IOCTL(VFIO_GROUP_SET_CONTAINER),
        IOCTL(VFIO_GROUP_UNSET_CONTAINER),
        IOCTL(VFIO_IOMMU_MAP_DMA),
        IOCTL(VFIO_SET_IOMMU),
        IOCTL(VHOST_GET_VRING_BASE),
        IOCTL(VHOST_NET_SET_BACKEND),
        IOCTL(VHOST_SET_FEATURES),
        IOCTL(VHOST_SET_MEM_TABLE),
        IOCTL(VHOST_SET_OWNER),
        IOCTL(VHOST_SET_VRING_ADDR),
        IOCTL(VHOST_SET_VRING_BASE),
        IOCTL(VHOST_SET_VRING_CALL),
        IOCTL(VHOST_SET_VRING_ERR),
        IOCTL(VHOST_SET_VRING_KICK),
        IOCTL(VHOST_SET_VRING_NUM),
        IOCTL(VHOST_VSOCK_SET_RUNNING),
        /* glibc looks for files that it can do without. */
        WITH(openat, JAIL_FAILS, 0, EACCES),
        /* Ends passt, of which we hold the descriptor; waitid() below sees it gone. */
        WITH(pidfd_send_signal, JAIL_IS, 1, SIGKILL),
        /* /proc/self/fd: what a descriptor that came is. */
        ALLOW(readlink),
        /* Of vCPUs, by MakeRT; as high as the limit that was set at the start. */
        WITH(sched_setscheduler, JAIL_IS, 1, SCHED_RR),
        /* The narrower filter of disk workers. */
        ALLOW(seccomp),
        /* The debugger's connection. What a socket tells of its other end (SO_PEERPIDFD) is a way to signal it. */
        WITH(setsockopt, JAIL_IS, 1, IPPROTO_TCP),
        WITH(socket, JAIL_IS, 0, AF_UNIX),
        /* Our sockets, at the end. */
        ALLOW(unlinkat),
        ALLOW(waitid),
};
/* clang-format on */

/* ---- vCPUs ---- */

static const JailRule vcpu_kvm_rules[] = {
        IOCTL(KVM_GET_DEBUGREGS),
        IOCTL(KVM_GET_LAPIC),
        IOCTL(KVM_GET_MP_STATE),
        IOCTL(KVM_GET_MSRS),
        IOCTL(KVM_GET_REGS),
        IOCTL(KVM_GET_SREGS),
        IOCTL(KVM_GET_VCPU_EVENTS),
        IOCTL(KVM_GET_XCRS),
        IOCTL(KVM_GET_XSAVE),
        IOCTL(KVM_INTERRUPT),
        IOCTL(KVM_NMI),
        IOCTL(KVM_RUN),
        IOCTL(KVM_SET_DEBUGREGS),
        IOCTL(KVM_SET_GUEST_DEBUG),
        IOCTL(KVM_SET_LAPIC),
        IOCTL(KVM_SET_MP_STATE),
        IOCTL(KVM_SET_MSRS),
        IOCTL(KVM_SET_REGS),
        IOCTL(KVM_SET_SREGS),
        IOCTL(KVM_SET_VCPU_EVENTS),
        IOCTL(KVM_SET_XCRS),
        IOCTL(KVM_SET_XSAVE),
        IOCTL(KVM_TRANSLATE),
};

/* ---- disk workers ---- */

static const JailRule disk_rules[] = {
        ALLOW(fallocate), ALLOW(fdatasync), ALLOW(preadv),
        ALLOW(preadv2),   ALLOW(pwritev),   ALLOW(pwritev2),
};

/* ---- who moves guest memory to a file and back ---- */

static const JailRule swap_rules[] = {
        ALLOW(fallocate),
        ALLOW(ftruncate),
        IOCTL(UFFDIO_COPY),
        IOCTL(UFFDIO_REGISTER),
        IOCTL(UFFDIO_UNREGISTER),
        IOCTL(UFFDIO_WRITEPROTECT),
        IOCTL(UFFDIO_ZEROPAGE),
        ALLOW(lseek),
        ALLOW(newfstatat), /* glibc's fstat() */
        ALLOW(poll),
        ALLOW(pread64),
        ALLOW(pwrite64),
};

static const JailTable loop_tables[] = {
        TABLE(common_rules),
        TABLE(device_rules),
        TABLE(loop_rules),
};
static const JailTable vcpu_kvm_tables[] = {
        TABLE(common_rules),
        TABLE(device_rules),
        TABLE(vcpu_kvm_rules),
};
/* The software processor is computation: what it does beyond that, it does in device models. */
static const JailTable vcpu_soft_tables[] = {
        TABLE(common_rules),
        TABLE(device_rules),
};
static const JailTable disk_tables[] = {
        TABLE(common_rules),
        TABLE(disk_rules),
};
static const JailTable swap_tables[] = {
        TABLE(common_rules),
        TABLE(swap_rules),
};

static const JailRuleSet sets[JAIL_ROLES] = {
        [JAIL_LOOP] = SET(loop_tables),           [JAIL_VCPU_KVM] = SET(vcpu_kvm_tables),
        [JAIL_VCPU_SOFT] = SET(vcpu_soft_tables), [JAIL_DISK] = SET(disk_tables),
        [JAIL_SWAP] = SET(swap_tables),
};

/** jail_role_rules() - the tables of @role; never NULL */
const JailRuleSet *jail_role_rules(JailRole role) {
        return &sets[role];
}
