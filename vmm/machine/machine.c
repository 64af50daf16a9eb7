/* SPDX-License-Identifier: Apache-2.0 */

/* The board: the one place that names the devices of a machine, their addresses' owners and their wires. */

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "vmm/hv/kvm/kvm.h"
#include "vmm/machine/machine_internal.h"
#include "vmm/mem/memmap.h"
#include "vmm/virtio/devices.h"

#define PAGE_DESCRIPTORS_SHARE 64u /* 64 bytes for each page of 4 KiB */
#define FIRST_TABLES_BYTES UINT64_C(0x800000)
#define PCI_SLOT_FIRST 1u /* slot 0 is the host bridge */

static void sink_halt(void *userdata, HaltReason reason) {
        machine_halt(userdata, reason);
}

/* What the host's kernel does to guest memory by itself is told to nobody. */
static bool has_foreign_writers(const VmmConfig *config) {
        return config->n_vfios > 0 || config->vfio_hotplug || vmm_config_has_kernel_rings(config);
}

static HvConfig hv_config_from(const VmmConfig *config) {
        return (HvConfig){
                .n_vcpus = config->n_vcpus,
                .threads_per_core = vmm_cpus_threads_per_core(&config->cpus, config->n_vcpus),
                .cluster_size = vmm_cpus_cluster_size(&config->cpus),
                .nested = config->board.nested,
                .no_pmu = config->board.no_pmu,
                .tsc_leaf = config->board.tsc_leaf,
                .bus_locks_per_sec = config->board.bus_locks_per_sec,
                .foreign_writers = has_foreign_writers(config),
                .cpu_features = config->cpu_features,
                .device = config->kvm_device,
        };
}

/**
 * machine_check_features() - can @hv show guests the processor features that @config asks for?
 *
 * Return: 0; -EOPNOTSUPP naming the one that it cannot; other negative errno.
 */
int machine_check_features(const VmmConfig *config, const HvOps *hv, TextError *reterr) {
        const HvConfig hv_config = hv_config_from(config);
        const CpuFeatureChange none = {0};

        if (memcmp(&config->cpu_features, &none, sizeof(none)) == 0)
                return 0;
        return hv->check_features(&hv_config, reterr);
}

/* What options ask of RAM beyond being there. */
static int apply_memory_options(const GuestMem *mem, const VmmConfig *config, TextError *reterr) {
        const struct {
                bool wanted;
                const char *name;
                int (*apply)(const GuestMem *mem);
        } options[] = {
                {config->hugepages, "--hugepages", guest_mem_use_huge_pages},
                {config->lock_guest_memory, "--lock-guest-memory", guest_mem_lock},
                {config->unmap_guest_memory_on_fork, "--unmap-guest-memory-on-fork",
                 guest_mem_unmap_on_fork},
                {config->memory.prefault, "--mem prefault", guest_mem_prefault},
        };
        int r = config->memory.host_nodes ? guest_mem_bind(mem, config->memory.host_nodes) : 0;

        if (r < 0)
                return text_error_set(reterr, r, "--mem host-nodes: the host's kernel refuses: %s",
                                      strerror(-r));

        for (size_t i = 0; i < ELEMENTSOF(options); i++) {
                r = options[i].wanted ? options[i].apply(mem) : 0;
                if (r < 0)
                        return text_error_set(reterr, r, "%s: the host's kernel refuses: %s",
                                              options[i].name, strerror(-r));
        }
        return 0;
}

static int new_partition(Machine *machine, const VmmConfig *config, const HvOps *hv,
                         TextError *reterr) {
        const HvConfig hv_config = hv_config_from(config);
        _cleanup_(proto_partition_freep) ProtoPartition *proto = NULL;
        gpa_t low_end;
        int r;

        r = machine_plan_low_map(machine, config, &low_end, reterr);
        if (r < 0)
                return r;
        r = hv->proto_new(&hv_config, &proto, reterr);
        if (r < 0)
                return r;
        r = guest_mem_new_huge(config->memory_bytes, low_end,
                               (uint64_t) config->memory.huge_page_mib << 20, &machine->mem);
        if (r < 0)
                return text_error_set(reterr, r,
                                      "cannot allocate %" PRIu64 " MiB of guest memory: %s",
                                      config->memory_bytes >> 20, strerror(-r));
        r = machine_open_swap(machine, config, reterr);
        if (r < 0)
                return r;
        r = apply_memory_options(machine->mem, config, reterr);
        if (r < 0)
                return r;
        r = machine_plan_high_map(machine, config, hv->proto_physical_bits(proto), reterr);
        if (r == 0 && machine->ecam.size > 0)
                r = guest_mem_reserve(machine->mem, machine->ecam.start, machine->ecam.size);
        if (r < 0)
                return r;
        r = machine_load_firmware(machine, config, reterr);
        if (r < 0)
                return r;
        machine_identify(machine, config, hv, proto);
        r = hv->proto_build(proto, machine->mem, &machine->partition, reterr);
        if (r < 0)
                return r;
        TAKE(proto);
        machine->foreign_writers = hv_config.foreign_writers;
        machine->n_vcpus = machine->n_kicks = config->n_vcpus;
        machine->vcpu_role = hv == &kvm_hv_ops ? JAIL_VCPU_KVM : JAIL_VCPU_SOFT;
        return machine_init_placement(&machine->placement, config, reterr);
}

static int new_buses(Machine *machine) {
        int r;

        r = bus_new("mmio", &machine->mmio);
        if (r < 0)
                return r;
        r = bus_new("pio", &machine->pio);
        if (r < 0)
                return r;
        r = irqchip_new(machine->pio, machine->mmio, &machine->irqchip);
        if (r < 0)
                return r;
        irqchip_connect(machine->irqchip, machine->partition);
        return 0;
}

static int add_line(Machine *machine, unsigned irq, IrqLine *ret) {
        return irqchip_add_line(machine->irqchip, irq, ret);
}

static uint64_t low_ram_bytes(const Machine *machine) {
        return machine->mem->regions[0].size_bytes;
}

static int add_timers(Machine *machine, const VmmConfig *config) {
        IrqLine pit_line, rtc_line;
        int r;

        r = add_line(machine, ISA_IRQ_PIT, &pit_line);
        if (r < 0)
                return r;
        r = pit_new(machine->pio, machine->clock, pit_line, &machine->pit);
        if (r < 0 || config->board.no_rtc)
                return r;
        r = add_line(machine, ISA_IRQ_RTC, &rtc_line);
        if (r < 0)
                return r;
        return rtc_new(machine->pio, machine->clock, rtc_line, low_ram_bytes(machine),
                       machine->mem->size_bytes - low_ram_bytes(machine), &machine->rtc);
}

/* What ends a machine from inside. */
static int add_power_devices(Machine *machine, const VmmConfig *config, HaltSink halt) {
        IrqLine keyboard_line, sci;
        int r;

        if (!config->board.no_i8042) {
                r = add_line(machine, ISA_IRQ_I8042_KEYBOARD, &keyboard_line);
                if (r < 0)
                        return r;
                r = i8042_new(machine->pio, keyboard_line, halt, &machine->i8042);
                if (r < 0)
                        return r;
        }
        r = add_line(machine, GSI_SCI, &sci);
        if (r < 0)
                return r;
        r = acpi_pm_new(machine->pio, machine->clock, sci, halt, &machine->acpi_pm);
        if (r < 0)
                return r;
        r = reset_control_new(machine->pio, halt, &machine->reset_control);
        if (r < 0)
                return r;
        r = pvpanic_new(machine->pio, halt, &machine->pvpanic);
        if (r < 0)
                return r;
        return watchdog_new(machine->pio, machine->clock, halt, &machine->watchdog);
}

static int add_test_device(Machine *machine, HaltSink halt) {
        TestDeviceConfig config = {
                .n_vcpus = machine->n_vcpus,
                .ram_bytes = machine->mem->size_bytes,
        };

        for (unsigned i = 0; i < GSI_COUNT; i++) {
                /* The cascade's pin is where the PIT arrives; QEMU's line 2 leads nowhere either. */
                int r = i == GSI_PIT ? 0 : add_line(machine, i, &config.lines[i]);

                if (r < 0)
                        return r;
        }
        machine_prepare_interrupt_controllers(machine);
        return test_device_new(machine->pio, machine->mmio, &config, halt, &machine->test_device);
}

static int add_legacy_devices(Machine *machine, const VmmConfig *config) {
        const HaltSink halt = {.halt = sink_halt, .machine = machine};
        int r;

        r = add_timers(machine, config);
        if (r < 0)
                return r;
        r = add_power_devices(machine, config, halt);
        if (r < 0)
                return r;
        if (config->test_device) {
                r = add_test_device(machine, halt);
                if (r < 0)
                        return r;
        }
        return post_port_add(machine->pio);
}

static int add_pci_root(Machine *machine, const VmmBoard *board) {
        PciRootConfig config = {
                .mmio = machine->mmio,
                .pio = machine->pio,
                .mem64_base = machine->pci64.start,
                .mem64_size = machine->pci64.size,
                .mem32_base = machine->pci32.start,
                .mem32_size = machine->pci32.size,
                .ecam_base = machine->ecam.start,
                .ecam_size = machine->ecam.size,
                .no_ports = board->no_config_ports,
                .firmware = machine->firmware.rom.bytes != NULL,
        };

        int r;

        for (unsigned i = 0; i < GSI_PCI_INTX_COUNT; i++) {
                r = add_line(machine, GSI_PCI_INTX_FIRST + i, &config.intx[i]);

                if (r < 0)
                        return r;
        }
        r = pci_root_new(&config, &machine->pci);
        return r < 0 ? r : machine_add_hotplug(machine);
}

/** machine_add_virtio() - put @device, consumed, into @slot of a machine that does not run yet */
int machine_add_virtio(Machine *machine, VirtioDevice *device, unsigned slot) {
        const VirtioPciConfig config = {
                .root = machine->pci,
                .slot = slot,
                .partition = machine->partition,
                .mem = machine->mem,
                .loop = machine->loop,
                .no_intx = machine->no_virtio_intx,
        };

        return virtio_pci_new(device, &config);
}

static int add_pci_devices(Machine *machine, const VmmConfig *config, TextError *reterr) {
        unsigned slot = PCI_SLOT_FIRST;
        int r;

        machine_reserve_slots(machine, config);
        r = machine_add_stubs(machine, config, reterr);
        if (r < 0)
                return r;
        r = machine_add_consoles(machine, config, &slot, reterr);
        if (r < 0)
                return r;
        r = machine_add_disks(machine, config, &slot, reterr);
        if (r < 0)
                return r;
        r = machine_add_scsi(machine, config, &slot, reterr);
        if (r < 0)
                return r;
        r = machine_add_pmems(machine, config, &slot);
        if (r < 0)
                return r;
        r = machine_add_networks(machine, config, &slot, reterr);
        if (r < 0)
                return r;
        r = machine_add_folders(machine, config, &slot, reterr);
        if (r < 0)
                return r;
        r = machine_add_vhost_users(machine, config, &slot, reterr);
        if (r < 0)
                return r;
        r = machine_add_vsock(machine, config, &slot, reterr);
        if (r < 0)
                return r;
        r = machine_add_balloon(machine, config, &slot, reterr);
        if (r < 0)
                return r;
        if (!config->no_rng) {
                VirtioDevice *rng;

                r = virtio_rng_new(&rng);
                if (r < 0)
                        return r;
                r = machine_add_virtio(machine, rng, machine_next_slot(machine, &slot, 0));
                if (r < 0)
                        return r;
        }
        return machine_add_vfios(machine, config, &slot, reterr);
}

/*
 * A kernel takes the page descriptors of all RAM, a 64th of it, and its first tables from the top of memory down. It
 * always does, so those pages are made present in one go.
 */
static void populate_top(const GuestMem *mem) {
        const GuestRegion *last = &mem->regions[mem->n_regions - 1];
        const uint64_t len = MIN(mem->size_bytes / PAGE_DESCRIPTORS_SHARE + FIRST_TABLES_BYTES,
                                 last->size_bytes / 4);

        guest_mem_populate(mem, last->gpa + last->size_bytes - len, len);
}

/* The one disk that is to be it: the options are checked for a second one. */
static void choose_root(const VmmConfig *config, BootConfig *boot) {
        for (size_t i = 0; i < config->n_disks; i++)
                if (config->disks[i].root) {
                        boot->root = BOOT_ROOT_BLOCK;
                        boot->root_index = (unsigned) i;
                        boot->root_read_only = config->disks[i].read_only;
                }
        for (size_t i = 0; i < config->n_scsi_disks; i++)
                if (config->scsi_disks[i].root) {
                        boot->root = BOOT_ROOT_SCSI;
                        boot->root_index = (unsigned) i;
                        boot->root_read_only = config->scsi_disks[i].read_only;
                }
        for (size_t i = 0; i < config->n_pmems; i++)
                if (config->pmems[i].root) {
                        boot->root = BOOT_ROOT_PMEM;
                        boot->root_index = (unsigned) i;
                        boot->root_read_only = config->pmems[i].read_only;
                }
}

static int load(Machine *machine, const VmmConfig *config, TextError *reterr) {
        char console[16], earlycon[32];
        BootConfig boot = {
                .mem = machine->mem,
                .board =
                        {
                                .n_vcpus = config->n_vcpus,
                                .threads_per_core =
                                        vmm_cpus_threads_per_core(&config->cpus, config->n_vcpus),
                                .pci64_base = machine->pci64.start,
                                .pci64_size = machine->pci64.size,
                                .pci32_base = machine->pci32.start,
                                .pci32_size = machine->pci32.size,
                                .ecam_base = machine->ecam.start,
                                .ecam_size = machine->ecam.size,
                                .com = {true, true, true, true},
                                .rtc = !config->board.no_rtc,
                                .i8042 = !config->board.no_i8042,
                                .pvpanic = true,
                                .watchdog = true,
                                .firmware = config->bios != NULL,
                                .fw_cfg = machine_has_fw_cfg(config),
                                .s2idle = config->board.s2idle,
                                .smbios = &config->board.smbios,
                                .oem_strings = &config->oem_strings,
                                .acpi_tables = &machine->acpi_tables,
                        },
                .kernel = config->kernel,
                .initrd = config->initrd,
                .params = &config->params,
                .pstore = machine->pstore,
                .console = machine_console_name(machine, config, console, sizeof(console)),
                .earlycon = machine_earlycon_name(config, earlycon, sizeof(earlycon)),
        };
        int r;

        r = acpi_user_tables_load(&config->board.acpi_tables, &machine->acpi_tables, reterr);
        if (r < 0)
                return r;
        choose_root(config, &boot);
        r = machine_add_firmware(machine, config, &boot, (HaltSink){sink_halt, machine}, reterr);
        if (r < 0 || config->bios)
                return r;
        populate_top(machine->mem);
        return boot_load(&boot, &machine->entry, reterr);
}

/**
 * machine_new() - build the machine that @config describes, up to its first instruction
 * @config: borrowed for the call; valid as vmm_config_validate() says
 * @hv:     the backend, from machine_choose_hypervisor()
 * @ret:    set on success only; release with machine_free()
 *
 * Return: 0 or negative errno with a sentence.
 */
int machine_new(const VmmConfig *config, const HvOps *hv, Machine **ret, TextError *reterr) {
        _cleanup_(machine_freep) Machine *machine = calloc(1, sizeof(*machine));
        int r;

        if (!machine)
                return -ENOMEM;
        pthread_mutex_init(&machine->gate.lock, NULL);
        pthread_cond_init(&machine->gate.changed, NULL);
        machine_park_init(&machine->park);
        machine->placement.cgroup_fd = -EBADF;
        machine->no_virtio_intx = config->board.no_virtio_intx;
        r = loop_new(&machine->loop);
        if (r < 0)
                return r;
        r = guest_clock_new(machine->loop, &machine->clock);
        if (r < 0)
                return r;
        r = control_server_new(machine->loop, &machine->control);
        if (r < 0)
                return r;
        r = new_partition(machine, config, hv, reterr);
        if (r < 0)
                return r;
        r = new_buses(machine);
        if (r < 0)
                return r;
        r = add_legacy_devices(machine, config);
        if (r < 0)
                return r;
        r = add_pci_root(machine, &config->board);
        if (r < 0)
                return r;
        r = add_pci_devices(machine, config, reterr);
        if (r < 0)
                return r;
        r = machine_open_control(machine, config, reterr);
        if (r < 0)
                return r;
        r = machine_open_ramdump(machine, config, reterr);
        if (r < 0)
                return r;
        r = machine_add_snapshots(machine);
        if (r < 0)
                return r;
        r = machine_open_debugger(machine, config, reterr);
        if (r < 0)
                return r;
        r = config->restore ? machine_restore(machine, config->restore, reterr)
                            : load(machine, config, reterr);
        if (r < 0)
                return r;
        /* What unpacking the kernel took goes back to the host: the VMM stays small beside its guest. */
        (void) malloc_trim(0);
        *ret = TAKE(machine);
        return 0;
}

/** machine_free() - release the machine; not while it runs. Return: NULL. */
Machine *machine_free(Machine *machine) {
        if (!machine)
                return NULL;
        (void) machine_snapshot_free(machine->snapshot);
        (void) machine_ramdump_free(machine->ramdump);
        (void) machine_debugger_free(machine->debugger);
        (void) control_server_free(machine->control);
        (void) pci_hotplug_free(machine->pci_hotplug);
        (void) pci_root_free(machine->pci);
        (void) balloon_tube_free(machine->balloon.tube);
        (void) vfio_container_free(machine->vfio);
        for (unsigned i = 0; i < MACHINE_COM_PORTS; i++)
                (void) uart8250_free(machine->uarts[i]);
        for (unsigned i = 0; i < machine->n_chardevs; i++)
                (void) char_free(machine->chardevs[i]);
        (void) test_device_free(machine->test_device);
        (void) watchdog_free(machine->watchdog);
        (void) pvpanic_free(machine->pvpanic);
        (void) reset_control_free(machine->reset_control);
        (void) acpi_pm_free(machine->acpi_pm);
        (void) i8042_free(machine->i8042);
        (void) rtc_free(machine->rtc);
        (void) pit_free(machine->pit);
        (void) irqchip_free(machine->irqchip);
        (void) bus_free(machine->pio);
        (void) bus_free(machine->mmio);
        (void) partition_free(machine->partition);
        machine_free_firmware(&machine->firmware);
        acpi_user_tables_deinit(&machine->acpi_tables);
        machine_free_pmems(machine);
        machine_free_files(machine);
        (void) machine_swap_free(machine->swap);
        (void) guest_mem_free(machine->mem);
        (void) guest_clock_free(machine->clock);
        (void) loop_free(machine->loop);
        free(machine->vcpus);
        free(machine->restored);
        machine_deinit_placement(&machine->placement);
        machine_park_deinit(&machine->park);
        pthread_cond_destroy(&machine->gate.changed);
        pthread_mutex_destroy(&machine->gate.lock);
        free(machine);
        return NULL;
}

/** machine_test_status() - the exit status that the guest asked for; only after HALT_TEST_EXIT */
int machine_test_status(const Machine *machine) {
        return test_device_status(machine->test_device);
}

/** machine_loop() - the loop that the machine's thread runs, for sources of the caller */
Loop *machine_loop(Machine *machine) {
        return machine->loop;
}
