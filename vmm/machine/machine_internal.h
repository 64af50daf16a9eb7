/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The board and its threads, shared by the files of this folder. */

#include <pthread.h>
#include <stdatomic.h>

#include "base/counter.h"
#include "vmm/boot/acpi.h"
#include "vmm/boot/boot.h"
#include "vmm/chardev/char.h"
#include "vmm/control/server.h"
#include "vmm/event/guest_clock.h"
#include "vmm/firmware/flash.h"
#include "vmm/firmware/fw_cfg.h"
#include "vmm/hv/hv.h"
#include "vmm/hv/state_set.h"
#include "vmm/irq/irqchip.h"
#include "vmm/irq/pit.h"
#include "vmm/jail/jail.h"
#include "vmm/legacy/devices.h"
#include "vmm/machine/balloon_tube.h"
#include "vmm/machine/machine.h"
#include "vmm/mem/bus.h"
#include "vmm/pci/hotplug.h"
#include "vmm/pci/pci.h"
#include "vmm/serial/uart8250.h"
#include "vmm/vfio/vfio.h"
#include "vmm/virtio/devices.h"
#include "vmm/virtio/virtio.h"

#define MACHINE_COM_PORTS 4u
#define MACHINE_CHARDEVS_MAX (MACHINE_COM_PORTS + VMM_CONSOLES_MAX + VMM_DEBUGCONS_MAX)

/* Where a vCPU's thread is; it changes under MachinePark.lock. */
typedef enum MachineVcpuPlace {
        MACHINE_VCPU_STARTING, /* before its first look at the park */
        MACHINE_VCPU_INSIDE,   /* runs guest code, or is about to */
        MACHINE_VCPU_PARKED,
        MACHINE_VCPU_ENDED,
} MachineVcpuPlace;

/* X(member): why a vCPU left the guest for the VMM's threads; what KVM settles by itself is not among it. */
#define MACHINE_EXITS_TABLE(X)                                                                     \
        X(pio_reads)                                                                               \
        X(pio_writes)                                                                              \
        X(mmio_reads)                                                                              \
        X(mmio_writes)                                                                             \
        X(pic_acknowledges)                                                                        \
        X(level_eois)                                                                              \
        X(bus_locks)                                                                               \
        X(runs)

typedef struct MachineExits {
#define MACHINE_EXITS_MEMBER(member) Counter member;
        MACHINE_EXITS_TABLE(MACHINE_EXITS_MEMBER)
#undef MACHINE_EXITS_MEMBER
} MachineExits;

typedef struct MachineVcpu {
        Machine *machine; /* weak */
        unsigned index;
        pthread_t thread;
        pid_t tid; /* of @thread; valid once the machine runs */
        MachineVcpuPlace place;
        bool held;          /* waits in the park though the machine runs; under MachinePark.lock */
        bool debug_stopped; /* the debugger has not been told yet; under MachinePark.lock */
        MachineExits exits; /* written by the vCPU's thread */
} MachineVcpu;

/* No vCPU enters the guest before all are bound: an early INIT-SIPI would meet a vCPU that is being reset. */
typedef struct MachineGate {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        unsigned n_bound;
        int error;          /* of the first vCPU that could not be bound */
        const char *option; /* that asked for what failed, or NULL */
        bool open, closed;  /* closed: give up without running */
} MachineGate;

/* What a parked vCPU is asked to do on its own thread. */
typedef struct MachineJob {
        unsigned vcpu;
        MachineVcpuFn fn; /* NULL: nothing */
        void *userdata;
        bool done;
} MachineJob;

/* What options want of the threads of vCPUs. */
typedef struct MachinePlacement {
        CpuSet *affinity;    /* owned, one for each vCPU; empty: anywhere */
        CpuSet realtime;     /* vCPUs */
        bool delay_realtime; /* until MakeRT */
        bool core_scheduling, vm_core_scheduling;
        bool boost_uclamp;
        int cgroup_fd; /* owned: where a thread writes itself; -EBADF: stay */
} MachinePlacement;

/* Where vCPUs wait while the machine is paused. */
typedef struct MachinePark {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        unsigned n_pauses; /* machine_pause() less machine_resume() */
        MachineJob job;
        /* how long the vCPUs took to stop; the loop's thread alone */
        uint64_t n_stops, stop_nsec, longest_stop_nsec;
} MachinePark;

/* A disk by its number, which --block counts from 0; hot-added ones take the first free number. Those of --scsi-block
 * are counted from VMM_DISKS_MAX. */
typedef struct MachineDisk {
        VirtioDevice *device; /* borrowed from the bus; NULL: no such disk */
        unsigned slot;
} MachineDisk;

/* A network card; the order of the array says nothing. */
/* One of the host's that was plugged in. */
typedef struct MachineFunction {
        char address[VFIO_ADDRESS_SIZE]; /* empty: this place is free */
        unsigned slot;
} MachineFunction;

typedef struct MachineNic {
        VirtioDevice *device; /* borrowed from the bus; NULL: a free place */
        unsigned slot;
} MachineNic;

/* A file of --pmem. */
typedef struct MachinePmem {
        int fd; /* owned */
        gpa_t gpa;
        uint64_t size_bytes;
        uint8_t *host; /* owned mapping, or NULL */
} MachinePmem;

/* A file that the guest has at an address, by --file-backed-mapping or --pstore. */
typedef struct MachineFile {
        uint8_t *host; /* owned mapping */
        uint64_t size_bytes;
} MachineFile;

/* Functions that were asked back from the guest. */
typedef struct MachineHotplug {
        LoopSource *timer; /* owned */
        struct {
                ControlCall *call; /* owned until answered, or NULL */
                uint64_t due_nsec; /* then the guest is given up */
        } removing[PCI_SLOTS];
} MachineHotplug;

/* With --bios; of these --fw-cfg alone has only @fw_cfg. */
typedef struct MachineFirmware {
        BiosRom rom;
        Pflash *pflash;
        FwCfg *fw_cfg;
        ChipsetPorts *ports;
        BoardInfo board; /* for the ACPI tables */
        AcpiFiles acpi;
        bool acpi_final; /* the firmware has begun to read them */
} MachineFirmware;

#define MACHINE_BALLOON_ASKING 8u

typedef struct MachineBalloon {
        VirtioDevice *device; /* borrowed from the bus; NULL: there is none */
        BalloonTube *tube;    /* owned; NULL: the control socket tells it, with all that follows */
        LoopSource *timer;
        uint64_t target_bytes;
        ControlCall *adjusting; /* owned until answered: waits for the guest to reach the target */
        uint64_t adjust_until_nsec;
        ControlCall *asking[MACHINE_BALLOON_ASKING]; /* owned until answered: wait for statistics */
        unsigned n_asking;
        uint64_t asked_until_nsec;
        bool has_stats; /* @stats have come */
        VirtioBalloonStats stats;
} MachineBalloon;

/* Members are owned unless marked; the order is the order of making, and its reverse that of releasing. */
typedef struct MachineDebugger MachineDebugger;
typedef struct MachineRamdump MachineRamdump;
typedef struct MachineSnapshot MachineSnapshot;
typedef struct MachineSwap MachineSwap;

/* What a machine must be the same in to be restored, and is no device's. */
#define MACHINE_CPUID_MAX 128u

typedef struct MachineIdentity {
        const char *hypervisor; /* static */
        const char *unsavable;  /* static: an option that no snapshot can have; NULL: none */
        bool hotplugged;        /* something came or went since the start */
        CpuidEntry cpuid[MACHINE_CPUID_MAX];
        unsigned n_cpuid;
} MachineIdentity;

/* What machine_suspend() has made rest. */
typedef struct MachineSuspension {
        bool vcpus, devices;
} MachineSuspension;

struct Machine {
        Loop *loop;
        GuestClock *clock;
        GuestMem *mem;
        MachineSwap *swap;                        /* NULL without --swap */
        unsigned console_slots[VMM_CONSOLES_MAX]; /* by number from 1 on; 0: there is none */
        MachinePmem pmems[VMM_PMEMS_MAX];
        unsigned n_pmems;
        MachineFile files[VMM_FILE_MAPPINGS_MAX + 1];
        unsigned n_files;
        VmmRange pstore; /* size 0: none */
        Bus *mmio, *pio;
        Irqchip *irqchip;
        Partition *partition;
        bool foreign_writers; /* the partition was told that there may be some */

        Pit *pit;
        Rtc *rtc;
        I8042 *i8042;
        AcpiPm *acpi_pm;
        ResetControl *reset_control;
        Pvpanic *pvpanic;
        Watchdog *watchdog;
        TestDevice *test_device; /* NULL without --test-device */
        CharDev *chardevs[MACHINE_CHARDEVS_MAX];
        unsigned n_chardevs;
        Uart8250 *uarts[MACHINE_COM_PORTS];
        VfioContainer *vfio; /* NULL without --vfio and --vfio-hotplug */
        bool vfio_hotplug;
        MachineFunction functions[VFIO_FUNCTIONS_MAX]; /* that were plugged in */
        PciRoot *pci;
        MachineDebugger *debugger; /* NULL without --gdb */
        MachineRamdump *ramdump;
        MachineSnapshot *snapshot;
        MachineIdentity identity;
        VcpuStates *restored; /* owned, one for each vCPU: with --restore, until they run */
        PciHotplug *pci_hotplug;
        MachineHotplug hotplug;
        MachineDisk disks[VMM_DISKS_MAX];
        VirtioDevice *scsi; /* borrowed from the bus; NULL: no SCSI controller */
        unsigned n_scsi_disks, scsi_slot;
        MachineNic nics[VMM_NETS_MAX];
        ControlServer *control;
        MachineBalloon balloon;

        MachineFirmware firmware;

        VmmRange pci32, ecam, pci64; /* size 0: with firmware the first two are its to place */
        AcpiUserTables acpi_tables;
        bool no_virtio_intx;
        uint32_t reserved_slots; /* a bit each: for those who name them */
        BootEntry entry;

        unsigned n_kicks; /* vCPUs of the partition; fixed, so that any thread may kick them */
        unsigned n_vcpus; /* threads that exist, or that will */
        MachineVcpu *vcpus;
        MachineGate gate;
        MachinePark park;
        MachinePlacement placement;
        JailRole vcpu_role;             /* of vCPU threads */
        bool suspended;                 /* by machine_suspend(): holds one pause */
        bool devices_suspended;         /* and so are the devices */
        ControlCall *suspending;        /* owned: to be answered when those are at rest */
        atomic_bool stop;               /* vCPUs leave the guest: paused or halted */
        _Atomic HaltReason halt_reason; /* the first one wins */
};

/* address_map.c */
int machine_plan_low_map(Machine *machine, const VmmConfig *config, gpa_t *ret_low_end,
                         TextError *reterr);
int machine_plan_high_map(Machine *machine, const VmmConfig *config, unsigned physical_bits,
                          TextError *reterr);

/* file_mappings.c */
int machine_map_files(Machine *machine, const VmmConfig *config, gpa_t *end, TextError *reterr);
int machine_map_pstore(Machine *machine, const VmmConfig *config, gpa_t *end, TextError *reterr);
void machine_free_files(Machine *machine);

/* slots.c */
void machine_reserve_slots(Machine *machine, const VmmConfig *config);
unsigned machine_next_slot(Machine *machine, unsigned *slot, unsigned wanted);
int machine_add_stubs(Machine *machine, const VmmConfig *config, TextError *reterr);

/* machine.c */
int machine_add_virtio(Machine *machine, VirtioDevice *device, unsigned slot);

/* balloon.c */
int machine_add_balloon(Machine *machine, const VmmConfig *config, unsigned *slot,
                        TextError *reterr);

/* consoles.c */
int machine_add_consoles(Machine *machine, const VmmConfig *config, unsigned *slot,
                         TextError *reterr);
const char *machine_console_name(const Machine *machine, const VmmConfig *config, char *buf,
                                 size_t size);
const char *machine_earlycon_name(const VmmConfig *config, char *buf, size_t size);

/* firmware_boot.c */
int machine_load_firmware(Machine *machine, const VmmConfig *config, TextError *reterr);
bool machine_has_fw_cfg(const VmmConfig *config);
int machine_add_firmware(Machine *machine, const VmmConfig *config, const BootConfig *boot,
                         HaltSink halt, TextError *reterr);
void machine_free_firmware(MachineFirmware *firmware);

/* firmware_kernel.c */
int machine_serve_kernel(FwCfg *fw, const BootConfig *boot, TextError *reterr);

/* firmware.c */
void machine_prepare_interrupt_controllers(const Machine *machine);
int machine_prepare_vcpu(const Machine *machine, Vcpu *vcpu);

/* scsi.c */
int machine_add_scsi(Machine *machine, const VmmConfig *config, unsigned *slot, TextError *reterr);

/* folders.c */
int machine_add_folders(Machine *machine, const VmmConfig *config, unsigned *slot,
                        TextError *reterr);

/* network.c */
int machine_add_networks(Machine *machine, const VmmConfig *config, unsigned *slot,
                         TextError *reterr);
void machine_forget_network(Machine *machine, unsigned slot);
void machine_handle_network_requests(Machine *machine);

/* pause.c */
void machine_park_init(MachinePark *park);
void machine_park_deinit(MachinePark *park);
void machine_park_wake(Machine *machine);
bool machine_park_pass(Machine *machine, Vcpu *vcpu);
void machine_park_leave(Machine *machine, MachineVcpu *vcpu);
void machine_park_hold(Machine *machine, unsigned index, bool held);
void machine_park_stop(Machine *machine, unsigned index);
MachineSuspension machine_suspension(const Machine *machine);
void machine_suspend_back(Machine *machine, MachineSuspension before);
bool machine_park_take_stop(Machine *machine, unsigned index);

/* control.c */
int machine_open_control(Machine *machine, const VmmConfig *config, TextError *reterr);

/* stats.c */
void machine_handle_stats_request(Machine *machine);

/* disks.c */
AioEngine machine_aio_engine(VmmExecutor executor);
int machine_add_disks(Machine *machine, const VmmConfig *config, unsigned *slot, TextError *reterr);
void machine_forget_disk(Machine *machine, unsigned slot);
void machine_handle_disk_requests(Machine *machine);

/* hotplug.c */
int machine_add_hotplug(Machine *machine);
int machine_plug_slot(const Machine *machine, unsigned *ret, TextError *reterr);
void machine_tell_plugged(Machine *machine, unsigned slot);
int machine_plug_consume(Machine *machine, VirtioDevice *device, unsigned *ret_slot,
                         TextError *reterr);
void machine_unplug(Machine *machine, unsigned slot, ControlCall *call);

/* vhost.c */
int machine_open_vhost(Machine *machine, const char *path, Vhost **ret, TextError *reterr);

/* vsock.c */
int machine_add_vsock(Machine *machine, const VmmConfig *config, unsigned *slot, TextError *reterr);

/* vhost_user.c */
int machine_connect_process(const char *path, int type, unsigned timeout_ms, TextError *reterr);
unsigned machine_process_queue_size(unsigned wanted);
int machine_add_vhost_users(Machine *machine, const VmmConfig *config, unsigned *slot,
                            TextError *reterr);

/* vfio.c */
int machine_add_vfios(Machine *machine, const VmmConfig *config, unsigned *slot, TextError *reterr);
void machine_forget_vfio(Machine *machine, unsigned slot);
void machine_handle_vfio_requests(Machine *machine);

/* pmem.c */
int machine_map_pmems(Machine *machine, const VmmConfig *config, gpa_t *end, TextError *reterr);
void machine_free_pmems(Machine *machine);
int machine_add_pmems(Machine *machine, const VmmConfig *config, unsigned *slot);

/* placement.c */
int machine_init_placement(MachinePlacement *placement, const VmmConfig *config, TextError *reterr);
void machine_deinit_placement(MachinePlacement *placement);
int machine_place_threads(const MachinePlacement *placement, const char **ret_option);
int machine_place_vcpu(const MachinePlacement *placement, unsigned index, const char **ret_option);
void machine_handle_placement_request(Machine *machine);

/* uclamp.c */
int machine_boost_thread(void);

/* vcpu_thread.c */
int machine_start_vcpus(Machine *machine, TextError *reterr);
void machine_join_vcpus(Machine *machine);

/* debugger.c */
int machine_open_debugger(Machine *machine, const VmmConfig *config, TextError *reterr);
void machine_debugger_stopped(MachineVcpu *vcpu);
void machine_debugger_ended(Machine *machine, int status);
MachineDebugger *machine_debugger_free(MachineDebugger *debugger);

/* lifecycle.c */
void machine_halt_now(Machine *machine, HaltReason reason);

/* ramdump.c */
int machine_open_ramdump(Machine *machine, const VmmConfig *config, TextError *reterr);
bool machine_ramdump_takes(MachineRamdump *dump, HaltReason reason);
MachineRamdump *machine_ramdump_free(MachineRamdump *dump);

/* saved_state.c */
void machine_identify(Machine *machine, const VmmConfig *config, const HvOps *hv,
                      const ProtoPartition *proto);
void machine_snapshot_state(Machine *machine, Snapshot *s);

/* snapshot.c */
int machine_add_snapshots(Machine *machine);
MachineSnapshot *machine_snapshot_free(MachineSnapshot *snapshot);
bool machine_snapshot_is_taken(const Machine *machine);
void machine_snapshot_rested(Machine *machine);

/* swap.c */
int machine_open_swap(Machine *machine, const VmmConfig *config, TextError *reterr);
int machine_check_swap_disk(const Machine *machine, const BlockDev *disk, TextError *reterr);
int machine_start_swap(Machine *machine);
void machine_hold_memory(const Machine *machine);
void machine_release_memory(const Machine *machine);
MachineSwap *machine_swap_free(MachineSwap *swap);

/* restore.c */
int machine_restore(Machine *machine, const char *path, TextError *reterr);
