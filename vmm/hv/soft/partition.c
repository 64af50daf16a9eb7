/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "vmm/hv/soft/access.h"
#include "vmm/hv/soft/soft.h"
#include "vmm/hv/soft/soft_internal.h"

/* Writes to a code page, with nothing decoded from it in between, after which it is one no more. */
#define CODE_WRITES_MAX 16u

typedef struct SoftProto {
        ProtoPartition proto;
        SoftModel model;
        bool foreign_writers;
        uint32_t bus_locks_per_sec;
} SoftProto;

/** soft_n_cpus() - how many processors the partition is made for */
unsigned soft_n_cpus(const SoftPartition *p) {
        return p->n_vcpus;
}

/** soft_cpu() - processor @index, NULL before it is bound; any thread */
SoftCpu *soft_cpu(SoftPartition *p, unsigned index) {
        return atomic_load_explicit(&p->cpus[index], memory_order_acquire);
}

/** soft_time_nsec() - guest nanoseconds: stand still while paused; any thread */
uint64_t soft_time_nsec(SoftPartition *p) {
        return (p->paused ? p->paused_at_nsec : clock_monotonic_nsec()) - p->time_base_nsec;
}

/* ---- RAM and code pages ---- */

/* ROM pages are counted behind those of RAM and files. */
static bool rom_page(const SoftPartition *p, uint64_t pa, uint64_t *ret_page) {
        uint64_t before = p->mem->size_bytes + guest_mem_file_bytes(p->mem);

        for (unsigned i = 0; i < p->mem->n_roms; i++) {
                const GuestRom *rom = &p->mem->roms[i];

                if (pa - rom->gpa < rom->size_bytes) {
                        *ret_page = (before + (pa - rom->gpa)) >> 12;
                        return true;
                }
                before += rom->size_bytes;
        }
        return false;
}

static bool ram_page(const SoftPartition *p, uint64_t pa, uint64_t *ret_page, uint8_t **ret_host) {
        for (unsigned i = 0; i < p->mem->n_regions + p->mem->n_files; i++) {
                const GuestRegion *r = &p->mem->regions[i];

                if (pa - r->gpa < r->size_bytes) {
                        *ret_page = (r->file_offset + (pa - r->gpa)) >> 12;
                        *ret_host = r->host + (pa - r->gpa);
                        return true;
                }
        }
        return false;
}

/* The number of a page that code may lie in. */
static bool code_page(const SoftPartition *p, uint64_t pa, uint64_t *ret_page) {
        uint8_t *host;

        return ram_page(p, pa, ret_page, &host) || rom_page(p, pa, ret_page);
}

/**
 * ram_host() - host address of one byte of RAM, good to the end of its page; NULL where there is
 * no RAM
 */
uint8_t *ram_host(SoftPartition *p, uint64_t pa) {
        uint64_t page;
        uint8_t *host;

        return ram_page(p, pa, &page, &host) ? host : NULL;
}

/** rom_host() - the same for memory that is read and executed but not written; NULL also while it is hidden */
const uint8_t *rom_host(SoftPartition *p, uint64_t pa) {
        for (unsigned i = 0; i < p->mem->n_roms; i++) {
                const GuestRom *rom = &p->mem->roms[i];

                if (pa - rom->gpa < rom->size_bytes)
                        return atomic_load(&p->rom_hidden[i]) ? NULL : rom->host + (pa - rom->gpa);
        }
        return NULL;
}

/** ram_page_version() - counts the writes to a page of RAM that held code */
_Atomic uint32_t *ram_page_version(SoftPartition *p, uint64_t pa) {
        uint64_t page = 0;

        (void) code_page(p, pa, &page);
        return &p->page_version[page];
}

/** ram_page_has_code() - whether writes to the page at @pa must be noticed */
bool ram_page_has_code(SoftPartition *p, uint64_t pa) {
        uint64_t page;

        return code_page(p, pa, &page) && p->page_code[page];
}

/**
 * ram_page_written() - what was decoded from the page at @pa is stale; any thread
 * @whole: by a device, so that nothing of the code can be left
 *
 * A page that is only written to any more stops being a code page, or memory that a kernel once ran its start-up code
 * from would be slow for ever. Never at the first write: another processor may just have set it to 1 again, which looks
 * the same, and would keep code whose changes are not noticed.
 */
void ram_page_written(SoftPartition *p, uint64_t pa, bool whole) {
        uint64_t page;
        uint8_t writes;

        if (!code_page(p, pa, &page))
                return;
        atomic_fetch_add(&p->page_version[page], 1);
        writes = atomic_load(&p->page_code[page]);
        /* Code decoded in the meantime has set it to 1, and then it stays. */
        if (writes != 0)
                (void) atomic_compare_exchange_strong(&p->page_code[page], &writes,
                                                      writes >= CODE_WRITES_MAX ||
                                                                      (whole && writes > 1)
                                                              ? 0
                                                              : (uint8_t) (writes + 1));
}

/* Added to the latest request: one that nobody has answered. */
#define REQUEST_TO_COME (UINT32_C(1) << 30)

/* Whether all other processors have dropped write translations since @request. */
static bool settled(SoftPartition *p, unsigned self, uint32_t request) {
        for (unsigned i = 0; i < p->n_vcpus; i++)
                if (i != self && soft_cpu(p, i) && atomic_load(&p->in_guest[i]) &&
                    (int32_t) (atomic_load(&p->flush_done[i]) - request) < 0)
                        return false;
        return true;
}

static void make_code_page(SoftCpu *c, uint64_t page, const uint8_t *host_page) {
        SoftPartition *p = c->partition;

        pthread_mutex_lock(&p->code_lock);
        if (atomic_load(&p->page_code[page]) == 0) {
                /* Whoever sees a code page must not find it settled before the request is out. */
                atomic_store(&p->page_request[page],
                             atomic_load(&p->flush_request) + REQUEST_TO_COME);
                atomic_store(&p->page_code[page], 1);
                tlb_drop_writes(c, host_page);
                if (p->n_vcpus > 1) {
                        atomic_store(&p->page_request[page],
                                     atomic_fetch_add(&p->flush_request, 1) + 1);
                        /*
                         * Ourselves too: the others wait for our answer as for anyone's. Who sleeps is left alone:
                         * when it comes back it says so first and then looks for requests.
                         */
                        for (unsigned i = 0; i < p->n_vcpus; i++)
                                if (atomic_load(&p->in_guest[i]))
                                        cpu_attention(soft_cpu(p, i), ATTENTION_FLUSH);
                }
        }
        pthread_mutex_unlock(&p->code_lock);
}

/**
 * ram_page_add_code() - code of the page at @pa is about to be decoded
 *
 * From now on writes to it are noticed. Another processor may still hold a translation that writes past us; it is asked
 * to drop it, and until it has, what is decoded may be run once and not be kept.
 *
 * Return: whether the result may be kept.
 */
bool ram_page_add_code(SoftCpu *c, uint64_t pa, const uint8_t *host_page) {
        SoftPartition *p = c->partition;
        uint32_t request;
        uint64_t page;
        uint8_t writes;

        if (!code_page(p, pa, &page))
                return false;
        writes = atomic_load(&p->page_code[page]);
        while (writes != 0)
                if (atomic_compare_exchange_weak(&p->page_code[page], &writes, 1))
                        break;
        if (writes == 0)
                make_code_page(c, page, host_page);
        if (p->n_vcpus == 1)
                return true;
        request = atomic_load(&p->page_request[page]);
        /* Another processor may have asked, and we have not looked yet. */
        if ((int32_t) (atomic_load(&p->flush_done[c->index]) - request) < 0)
                tlb_drop_writes(c, host_page);
        return settled(p, c->index, request);
}

/*
 * A device wrote guest memory behind the processors' backs. Either it sees that a page has become a code page, or who
 * made it one sees what was written.
 */
static void soft_memory_written(void *userdata, gpa_t gpa, uint64_t len) {
        SoftPartition *p = userdata;

        atomic_thread_fence(memory_order_seq_cst);
        for (uint64_t at = gpa & PAGE_MASK; at < gpa + len; at += 0x1000)
                if (ram_page_has_code(p, at))
                        ram_page_written(p, at, true);
}

/* ---- partition functions ---- */

static int soft_vcpu_bind(Partition *partition, unsigned index, Vcpu **ret);

static void soft_kick(Partition *partition, unsigned index) {
        SoftCpu *c = soft_cpu((SoftPartition *) partition, index);

        if (c)
                cpu_attention(c, ATTENTION_KICK);
}

static int soft_signal_msi(Partition *partition, const MsiMessage *message) {
        lapic_message((SoftPartition *) partition, message->address, message->data);
        return 0;
}

static int soft_set_irq_route(Partition *partition, unsigned gsi, const MsiMessage *message) {
        (void) partition, (void) gsi,
                (void) message; /* every EOI of a level-triggered vector is reported anyway */
        return 0;
}

static void soft_set_extint(Partition *partition, bool level) {
        SoftPartition *p = (SoftPartition *) partition;
        SoftCpu *c = soft_cpu(p, 0);

        atomic_store(&p->extint, level);
        if (c)
                cpu_attention(c, ATTENTION_EXTINT);
}

static void soft_pulse_nmi(Partition *partition, unsigned index) {
        SoftCpu *c = soft_cpu((SoftPartition *) partition, index);

        if (c) {
                atomic_fetch_add(&c->nmi_requests, 1);
                cpu_attention(c, ATTENTION_NMI);
        }
}

static uint64_t soft_reference_time(Partition *partition) {
        return soft_time_nsec((SoftPartition *) partition);
}

static int soft_pause_time(Partition *partition, bool paused) {
        SoftPartition *p = (SoftPartition *) partition;

        if (paused == p->paused)
                return 0;
        if (paused)
                p->paused_at_nsec = clock_monotonic_nsec();
        else
                p->time_base_nsec += clock_monotonic_nsec() - p->paused_at_nsec;
        p->paused = paused;
        return 0;
}

static int soft_set_time(Partition *partition, uint64_t nsec) {
        SoftPartition *p = (SoftPartition *) partition;

        if (!p->paused)
                return -EBUSY;
        p->time_base_nsec = p->paused_at_nsec - nsec;
        return 0;
}

/* Whoever enters the guest again has no write translations: each first write to a page comes by access.c. */
static int soft_dirty_start(Partition *partition) {
        return guest_mem_dirty_start(((SoftPartition *) partition)->mem);
}

static int soft_dirty_fetch(Partition *partition, unsigned region, uint64_t *ret) {
        const GuestMem *mem = ((SoftPartition *) partition)->mem;

        if (region >= mem->n_regions || !guest_mem_dirty_on(mem))
                return -EINVAL;
        memset(ret, 0, guest_mem_dirty_words(mem, region) * sizeof(*ret));
        guest_mem_dirty_fetch(mem, region, ret);
        return 0;
}

static int soft_dirty_stop(Partition *partition) {
        guest_mem_dirty_stop(((SoftPartition *) partition)->mem);
        return 0;
}

static const DirtyOps soft_dirty_ops = {
        .start = soft_dirty_start,
        .fetch = soft_dirty_fetch,
        .stop = soft_dirty_stop,
};

static int soft_show_rom(Partition *partition, unsigned rom, bool shown) {
        SoftPartition *p = (SoftPartition *) partition;

        atomic_store(&p->rom_hidden[rom], !shown);
        for (unsigned i = 0; i < p->n_vcpus; i++)
                if (soft_cpu(p, i))
                        cpu_attention(soft_cpu(p, i), ATTENTION_FLUSH_ALL);
        return 0;
}

static void soft_partition_free_tables(SoftPartition *p) {
        (void) pthread_mutex_destroy(&p->code_lock);
        bus_lock_limit_deinit(&p->bus_locks);
        free((void *) (uintptr_t) p->page_version);
        free((void *) (uintptr_t) p->page_code);
        free((void *) (uintptr_t) p->page_request);
        free(p);
}

static Partition *soft_partition_free(Partition *partition) {
        if (partition) {
                SoftPartition *p = (SoftPartition *) partition;

                guest_mem_watch(p->mem, NULL, NULL);
                for (unsigned i = 0; i < p->n_vcpus; i++)
                        soft_cpu_free(soft_cpu(p, i));
                soft_partition_free_tables(p);
        }
        return NULL;
}

static const PartitionOps soft_partition_ops = {
        .vcpu_bind = soft_vcpu_bind,
        .kick = soft_kick,
        .signal_msi = soft_signal_msi,
        .set_irq_route = soft_set_irq_route,
        .set_extint = soft_set_extint,
        .pulse_nmi = soft_pulse_nmi,
        .reference_time_nsec = soft_reference_time,
        .pause_time = soft_pause_time,
        .set_time_nsec = soft_set_time,
        .show_rom = soft_show_rom,
        .free = soft_partition_free,
};

/* ---- vCPU functions ---- */

static HaltReason soft_run(Vcpu *vcpu, const CpuIo *io, const _Atomic bool *stop) {
        SoftCpu *c = ((SoftVcpu *) vcpu)->cpu;
        HaltReason reason = soft_cpu_run(c, io, stop);

        vcpu->debug_stop = c->debug_stop;
        if (reason == HALT_TRIPLE_FAULT)
                (void) snprintf(vcpu->error, sizeof(vcpu->error),
                                "triple fault at rip 0x%" PRIx64 " (cs base 0x%" PRIx64
                                ", cr0 0x%" PRIx64 ", cr3 0x%" PRIx64 ", rsp 0x%" PRIx64 ")",
                                c->rip, c->seg[SEG_CS].base, c->cr0, c->cr3, c->r[RSP]);
        return reason;
}

static int soft_set_debug(Vcpu *vcpu, const VcpuDebug *debug) {
        return debug_set(((SoftVcpu *) vcpu)->cpu, debug);
}

static int soft_translate(Vcpu *vcpu, uint64_t gva, gpa_t *ret) {
        SoftCpu *c = ((SoftVcpu *) vcpu)->cpu;
        MmuWalk walk;

        if (cpu_long_mode(c) ? !is_canonical(gva) : gva > UINT32_MAX)
                return -EFAULT;
        if (!mmu_translate(c, gva, ACCESS_PEEK, MMU_SUPERVISOR, &walk))
                return -EFAULT;
        *ret = walk.pa;
        return 0;
}

static const DebugOps soft_debug_ops = {
        .set_debug = soft_set_debug,
        .translate = soft_translate,
};

static int soft_get_state(Vcpu *vcpu, VcpuStateId id, void *ret) {
        return soft_cpu_get_state(((SoftVcpu *) vcpu)->cpu, id, ret);
}

static int soft_set_state(Vcpu *vcpu, VcpuStateId id, const void *state) {
        return soft_cpu_set_state(((SoftVcpu *) vcpu)->cpu, id, state);
}

/*
 * The time stamp counters of all processors began with the partition: a guest that is told of a stable clock takes one
 * processor's counter for another's.
 */
static int soft_reset(Vcpu *vcpu) {
        int r = vcpu_state_reset_all(vcpu);

        if (r >= 0)
                ((SoftVcpu *) vcpu)->cpu->tsc_offset = 0;
        return r;
}

/*
 * The processor stays until the partition goes: other processors may be sending it an interrupt, a device a message,
 * or whoever ends the machine a kick, at the very moment at which its own thread ends.
 */
static Vcpu *soft_free(Vcpu *vcpu) {
        free(vcpu);
        return NULL;
}

static const VcpuOps soft_vcpu_ops = {
        .run = soft_run,
        .get_state = soft_get_state,
        .set_state = soft_set_state,
        .reset = soft_reset,
        .free = soft_free,
};

static int soft_vcpu_bind(Partition *partition, unsigned index, Vcpu **ret) {
        SoftPartition *p = (SoftPartition *) partition;
        SoftVcpu *v;
        int r;

        if (index >= p->n_vcpus)
                return -EINVAL;
        if (soft_cpu(p, index))
                return -EEXIST; /* once only, as the processor stays */
        v = calloc(1, sizeof(*v));
        if (!v)
                return -ENOMEM;
        v->vcpu = (Vcpu){
                .ops = &soft_vcpu_ops,
                .index = index,
                .reset_info = {
                        .apic_id = index,
                        .boot_processor = index == 0,
                        .signature = 0x000106ca,
                        .has_xsave = cpu_feature_set_has(&p->model.features, CPU_FEATURE_XSAVE),
                        .has_pks = cpu_feature_set_has(&p->model.features, CPU_FEATURE_PKS),
                        .has_tsc_aux =
                                cpu_feature_set_has(&p->model.features, CPU_FEATURE_RDTSCP)}};
        r = soft_cpu_new(p, index, &v->cpu);
        if (r < 0) {
                free(v);
                return r;
        }
        r = soft_reset(&v->vcpu);
        if (r < 0) {
                soft_cpu_free(v->cpu);
                free(v);
                return r;
        }
        atomic_store_explicit(&p->cpus[index], v->cpu, memory_order_release);
        *ret = &v->vcpu;
        return 0;
}

/* ---- hypervisor functions ---- */

static int soft_probe(const char *device, TextError *reterr) {
        (void) device, (void) reterr;
        return 0;
}

static int soft_check_features(const HvConfig *config, TextError *reterr) {
        SoftModel model;

        return soft_model_init(&model, config->n_vcpus, &config->cpu_features, reterr);
}

static int soft_proto_new(const HvConfig *config, ProtoPartition **ret, TextError *reterr) {
        SoftProto *proto = calloc(1, sizeof(*proto));
        int r;

        if (!proto)
                return text_error_set(reterr, -ENOMEM, "no memory for the processor model");
        proto->proto.hv = &soft_hv_ops;
        if (config->nested) {
                free(proto);
                return text_error_set(reterr, -EOPNOTSUPP,
                                      "--nested: the software processor runs no guests of guests");
        }
        r = soft_model_init(&proto->model, config->n_vcpus, &config->cpu_features, reterr);
        proto->model.threads_per_core = config->threads_per_core;
        proto->model.cluster_size = config->cluster_size;
        proto->foreign_writers = config->foreign_writers;
        proto->bus_locks_per_sec = config->bus_locks_per_sec;
        if (r < 0) {
                free(proto);
                return r;
        }
        *ret = &proto->proto;
        return 0;
}

static void soft_proto_cpuid(const ProtoPartition *proto, uint32_t function, uint32_t index,
                             CpuidEntry *ret) {
        const CpuidNow now = {.apic_base = 0xfee00900u, .xcr0 = XSTATE_X87};

        soft_cpuid(&((const SoftProto *) proto)->model, &now, function, index, ret);
}

static unsigned soft_proto_physical_bits(const ProtoPartition *proto) {
        return 40;
}

static int soft_proto_build(ProtoPartition *proto, GuestMem *mem, Partition **ret,
                            TextError *reterr) {
        SoftPartition *p = calloc(1, sizeof(*p));

        if (!p)
                return text_error_set(reterr, -ENOMEM, "no memory for the partition");
        p->partition.ops = &soft_partition_ops;
        p->partition.debug = &soft_debug_ops;
        p->partition.dirty = &soft_dirty_ops;
        p->mem = mem;
        p->model = ((SoftProto *) proto)->model;
        p->foreign_writers = ((SoftProto *) proto)->foreign_writers;
        p->n_vcpus = p->model.n_vcpus;
        p->n_pages = (mem->size_bytes + guest_mem_file_bytes(mem)) >> 12;
        for (unsigned i = 0; i < mem->n_roms; i++)
                p->n_pages += mem->roms[i].size_bytes >> 12;
        p->page_version = calloc(p->n_pages, sizeof(*p->page_version));
        p->page_code = calloc(p->n_pages, sizeof(*p->page_code));
        p->page_request = calloc(p->n_pages, sizeof(*p->page_request));
        p->time_base_nsec = clock_monotonic_nsec();
        (void) pthread_mutex_init(&p->code_lock, NULL);
        bus_lock_limit_init(&p->bus_locks, ((SoftProto *) proto)->bus_locks_per_sec);
        if (!p->page_version || !p->page_code || !p->page_request) {
                soft_partition_free_tables(p);
                return text_error_set(reterr, -ENOMEM,
                                      "no memory for the page tables of %" PRIu64 " pages",
                                      mem->size_bytes >> 12);
        }
        guest_mem_watch(mem, soft_memory_written, p);
        free(proto);
        *ret = &p->partition;
        return 0;
}

static ProtoPartition *soft_proto_free(ProtoPartition *proto) {
        free(proto);
        return NULL;
}

const HvOps soft_hv_ops = {
        .name = "soft",
        .probe = soft_probe,
        .check_features = soft_check_features,
        .proto_new = soft_proto_new,
        .proto_cpuid = soft_proto_cpuid,
        .proto_physical_bits = soft_proto_physical_bits,
        .proto_build = soft_proto_build,
        .proto_free = soft_proto_free,
};
