/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The hypervisor interface: what the machine, the interrupt controllers and the devices may ask of the thing that
 * executes guest instructions. Backends (hv/kvm, later hv/soft) implement it; nothing above can tell them apart.
 *
 *   hv_proto_new() ──▶ ProtoPartition ──hv_proto_build()──▶ Partition ──partition_vcpu_bind()──▶ Vcpu
 *     topology fixed      CPUID and address width             memory, irq routes,     on the vCPU's own thread,
 *                         are final, memory is not            doorbells, state        run() until a halt reason
 *
 * Two stages, because firmware tables and the memory layout depend on the final CPUID and physical address width,
 * while memory can only be placed once those are known. A Vcpu is bound because a backend may tie it to its thread;
 * the only cross-thread calls are the Partition functions below, and vcpu kicks among them.
 * Optional features are function tables that may be NULL.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/text_error.h"
#include "config/cpu_features.h"
#include "vmm/hv/halt.h"
#include "vmm/hv/state.h"
#include "vmm/irq/irq_line.h"
#include "vmm/mem/guest_mem.h"

typedef struct HvOps HvOps;
typedef struct ProtoPartition ProtoPartition;
typedef struct Partition Partition;

/* ---- what the machine wants ---- */

typedef struct HvConfig {
        unsigned n_vcpus;          /* 1..HV_VCPUS_MAX; APIC ids equal indices */
        unsigned threads_per_core; /* 1 or 2, divides n_vcpus unless n_vcpus is odd, then 1 */
        unsigned
                cluster_size; /* vCPUs that share a level 2 cache, a power of two; 0: those of a core */
        bool nested;          /* guests may run guests; -EOPNOTSUPP where they cannot */
        bool no_pmu;          /* no performance counters */
        bool tsc_leaf;        /* leaf 0x15 says how fast the TSC is */
        uint32_t
                bus_locks_per_sec; /* of all vCPUs together, who rest when they make more; 0: any number;
                                     * -EOPNOTSUPP where nothing tells of them */
        bool foreign_writers; /* the host's kernel or its devices write guest memory and tell nobody */
        CpuFeatureChange cpu_features; /* to the model that guests see by default */
        const char *
                device; /* of the backend, NULL = its usual one (/dev/kvm); borrowed during the call */
} HvConfig;

#define VCPU_ERROR_SIZE 256u
#define HV_VCPUS_MAX 254u /* xAPIC ids; the backend's own limit may be lower */

typedef struct CpuidEntry {
        uint32_t function, index;
        bool has_index; /* the leaf depends on ECX */
        uint32_t eax, ebx, ecx, edx;
} CpuidEntry;

/* ---- what a vCPU calls back: the chipset seen from a processor ---- */

typedef struct CpuIo {
        void *machine; /* borrowed; first argument of all functions; they are called on the vCPU's thread */
        uint64_t (*mmio_read)(void *machine, gpa_t gpa, unsigned size);
        void (*mmio_write)(void *machine, gpa_t gpa, unsigned size, uint64_t value);
        uint64_t (*pio_read)(void *machine, uint16_t port, unsigned size);
        void (*pio_write)(void *machine, uint16_t port, unsigned size, uint64_t value);
        /* The 8259 pair's INTA cycle: the vector, or -1 when the request went away. */
        int (*acknowledge_pic)(void *machine);
        /* A level-triggered vector was completed on some local APIC. */
        void (*handle_eoi)(void *machine, uint8_t vector);
        /* The processor made @n locked operations across cache lines; only where HvConfig limits them. */
        void (*count_bus_locks)(void *machine, uint64_t n);
} CpuIo;

/* ---- optional features of a partition ---- */

/* A guest write that becomes an eventfd signal with no exit to the VMM. */
typedef struct Doorbell {
        uint64_t address; /* gpa, or port if @pio */
        unsigned size;    /* 1, 2, 4, 8; 0 = any width */
        bool pio;
        bool match_value; /* only writes of exactly @value */
        uint64_t value;
} Doorbell;

typedef struct DoorbellOps {
        int (*add)(Partition *partition, const Doorbell *bell, int event_fd);
        int (*remove)(Partition *partition, const Doorbell *bell, int event_fd);
} DoorbellOps;

typedef struct MsiRoute MsiRoute;

/* An eventfd that becomes an MSI with no hop through the VMM's threads. Any thread. */
typedef struct MsiRouteOps {
        /* Reserves a route, not yet delivering. The route keeps its own duplicate of nothing: @event_fd is borrowed
         * and must outlive the route. */
        int (*add)(Partition *partition, int event_fd, MsiRoute **ret);
        /* Delivers @message on each signal from now on; NULL stops delivery and leaves signals pending in the fd. */
        int (*set)(MsiRoute *route, const MsiMessage *message);
        void (*remove)(MsiRoute *route);
} MsiRouteOps;

/*
 * Which pages of RAM were written since they were last asked for, by processors or by devices that write through
 * GuestMem. While no vCPU runs and no device has a request under way; the thread of the machine's loop.
 */
typedef struct DirtyOps {
        int (*start)(Partition *partition); /* with all pages clean */
        /* The pages of region @region of the GuestMem, and forgets them. @ret: guest_mem_dirty_words() words. */
        int (*fetch)(Partition *partition, unsigned region, uint64_t *ret);
        int (*stop)(Partition *partition);
} DirtyOps;

/* What a device of the host needs that the guest drives itself. */
typedef struct PassthroughOps {
        /* Memory of a device, at @gpa for the guest from now on; whole pages. Any thread, also from a vCPU's access to
         * the bus. Return: 0; -EEXIST where other memory is; -ENOSPC; other negative errno. */
        int (*map)(Partition *partition, gpa_t gpa, void *host, uint64_t size_bytes,
                   unsigned *ret_slot);
        void (*unmap)(Partition *partition, unsigned slot); /* the same threads */
        /* Groups may come when the VMM is in its sandbox: what must be opened for them is. Return: 0 or negative errno. */
        int (*prepare)(Partition *partition);
        /* A VFIO group whose devices reach guest memory; @group_fd: borrowed for the call. The loop's thread. */
        int (*add_group)(Partition *partition, int group_fd);
        void (*remove_group)(Partition *partition, int group_fd); /* likewise; one that was added */
} PassthroughOps;

/* ---- debugging ---- */

#define VCPU_BREAKS_MAX 4u

typedef enum VcpuBreakKind {
        VCPU_BREAK_EXECUTE,    /* before the instruction at .gva; .size is 1 */
        VCPU_BREAK_WRITE,      /* after a write */
        VCPU_BREAK_READ_WRITE, /* after a read or a write; x86 does not tell reads alone */
} VcpuBreakKind;

typedef struct VcpuBreak {
        VcpuBreakKind kind;
        uint64_t gva;  /* linear address, a multiple of .size */
        unsigned size; /* 1, 2, 4 or 8 bytes */
} VcpuBreak;

/* What a debugger wants of one processor. While it is in force the guest's own debug registers do nothing. */
typedef struct VcpuDebug {
        bool single_step;
        bool block_interrupts; /* none are delivered, so that a step stays in what is being debugged */
        bool catch_breakpoints; /* INT3 stops before it is executed, whoever wrote it */
        unsigned n_breaks;      /* 0..VCPU_BREAKS_MAX */
        VcpuBreak breaks[VCPU_BREAKS_MAX];
} VcpuDebug;

typedef enum VcpuDebugCause {
        VCPU_DEBUG_STEP,       /* one instruction was executed, or an exception of it delivered */
        VCPU_DEBUG_BREAKPOINT, /* INT3 at rip */
        VCPU_DEBUG_BREAK,      /* VcpuDebug.breaks[.which] */
} VcpuDebugCause;

typedef struct VcpuDebugStop {
        VcpuDebugCause cause;
        unsigned which;
} VcpuDebugStop;

/*
 * run() returns HALT_DEBUG with Vcpu.debug_stop filled in. On the bound thread, outside run(). A debugger writes INT3
 * itself, with guest_mem_write(). It steps over a breakpoint by taking it out for one step: run() at an execute break
 * stops again at once. An INT3 that is the guest's own goes back to it with set_state(): exception 3, injected.
 */
typedef struct DebugOps {
        /* @debug: copied; NULL = no debugger any more. Return: 0; -EINVAL; -EOPNOTSUPP for what this host cannot. */
        int (*set_debug)(Vcpu *vcpu, const VcpuDebug *debug);
        /* Where @gva is, by the page tables of the moment, whatever the rights. Return: 0; -EFAULT if it is nowhere. */
        int (*translate)(Vcpu *vcpu, uint64_t gva, gpa_t *ret);
} DebugOps;

bool vcpu_debug_valid(const VcpuDebug *debug);

/* ---- the tables that a backend implements ---- */

typedef struct VcpuOps {
        /* Runs guest code until the machine must stop; partition_kick() makes it look at @stop soon.
         * @stop: polled before each entry; non-zero means return HALT_STOP. Return: the reason, never HALT_NONE. */
        HaltReason (*run)(Vcpu *vcpu, const CpuIo *io, const _Atomic bool *stop);
        /* Typed by @id as VCPU_STATE_TABLE says. Only on the bound thread, outside run(). */
        int (*get_state)(Vcpu *vcpu, VcpuStateId id, void *ret);
        int (*set_state)(Vcpu *vcpu, VcpuStateId id, const void *state);
        int (*reset)(Vcpu *vcpu); /* to the state after RESET#; APs wait for INIT-SIPI */
        Vcpu *(*free)(Vcpu *vcpu);
} VcpuOps;

struct Vcpu {
        const VcpuOps *ops;
        unsigned index;
        VcpuDebugStop debug_stop; /* after HALT_DEBUG */
        VcpuResetInfo reset_info; /* what this processor's reset values depend on */
        char error
                [VCPU_ERROR_SIZE]; /* after HALT_ERROR and HALT_TRIPLE_FAULT: what happened, in words */
};

typedef struct PartitionOps {
        /* Call once on each vCPU's own thread, index by index in any order. */
        int (*vcpu_bind)(Partition *partition, unsigned index, Vcpu **ret);
        /* Makes run() of vCPU @index return to its stop check; any thread; harmless when it is not running. */
        void (*kick)(Partition *partition, unsigned index);
        int (*signal_msi)(Partition *partition, const MsiMessage *message); /* any thread */
        /* I/O APIC pin @gsi as the message it would send, NULL = masked; needed for EOI of level-triggered pins. */
        int (*set_irq_route)(Partition *partition, unsigned gsi, const MsiMessage *message);
        /* The 8259 output towards LINT0 of the boot processor changed; any thread. */
        void (*set_extint)(Partition *partition, bool level);
        void (*pulse_nmi)(Partition *partition, unsigned index);
        /* Nanoseconds of guest time: stands still while the machine is paused. */
        uint64_t (*reference_time_nsec)(Partition *partition);
        /* Stops or restarts that time and what the guest sees of it: TSCs, kvmclock, local APIC timers. While no vCPU
         * runs; the thread of the machine's loop. */
        int (*pause_time)(Partition *partition, bool paused);
        /* Of a machine that is paused: what that time is, and goes on from. The same thread. */
        int (*set_time_nsec)(Partition *partition, uint64_t nsec);
        /* Whether reads and fetches of ROM @rom of the GuestMem come from its memory, as they do at first, or go to the
         * bus as its writes always do: flash that answers a command. Any thread, also from a vCPU's access to the bus,
         * and then it holds for that vCPU's next instruction. */
        int (*show_rom)(Partition *partition, unsigned rom, bool shown);
        Partition *(*free)(Partition *partition); /* after all Vcpus are freed */
} PartitionOps;

struct Partition {
        const PartitionOps *ops;
        const DoorbellOps *doorbells;  /* NULL: the VMM sees the write as an exit */
        const MsiRouteOps *msi_routes; /* NULL: signal_msi() from the device's thread */
        const DebugOps *debug;         /* NULL: no debugger can be served */
        const DirtyOps *dirty;         /* NULL: writes cannot be followed */
        const PassthroughOps
                *passthrough; /* NULL: accesses to the memory of the host's devices go to the bus */
};

struct ProtoPartition {
        const HvOps *hv;
};

struct HvOps {
        const char *name; /* "kvm", "soft" */
        /* Can this backend run a stock guest here? Runs a tiny guest to find out. @device as in HvConfig.
         * Return: 0, or negative errno with a sentence saying why not. */
        int (*probe)(const char *device, TextError *reterr);
        /* Can guests be shown what @config's .cpu_features adds, and not be shown what it hides? Return: 0;
         * -EOPNOTSUPP naming a feature of which neither is so; other negative errno. */
        int (*check_features)(const HvConfig *config, TextError *reterr);
        /* @config: has passed check_features() */
        int (*proto_new)(const HvConfig *config, ProtoPartition **ret, TextError *reterr);
        /* The final CPUID leaf that vCPU 0 will see; zeros for absent leaves. */
        void (*proto_cpuid)(const ProtoPartition *proto, uint32_t function, uint32_t index,
                            CpuidEntry *ret);
        unsigned (*proto_physical_bits)(const ProtoPartition *proto);
        /* Consumes @proto on success; on failure it is only good for proto_free(). @mem is borrowed and must outlive the partition. */
        int (*proto_build)(ProtoPartition *proto, GuestMem *mem, Partition **ret,
                           TextError *reterr);
        ProtoPartition *(*proto_free)(ProtoPartition *proto);
};

/** proto_partition_free() - give up a partition that was not built. Return: NULL. */
static inline ProtoPartition *proto_partition_free(ProtoPartition *proto) {
        return proto ? proto->hv->proto_free(proto) : NULL;
}
DEFINE_CLEANUP(ProtoPartition *, proto_partition_free)

/** partition_free() - destroy the partition, after all of its Vcpus. Return: NULL. */
static inline Partition *partition_free(Partition *partition) {
        return partition ? partition->ops->free(partition) : NULL;
}
DEFINE_CLEANUP(Partition *, partition_free)

/** vcpu_free() - unbind; on the bound thread. Return: NULL. */
static inline Vcpu *vcpu_free(Vcpu *vcpu) {
        return vcpu ? vcpu->ops->free(vcpu) : NULL;
}
DEFINE_CLEANUP(Vcpu *, vcpu_free)
