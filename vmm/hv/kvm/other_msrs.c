/* SPDX-License-Identifier: Apache-2.0 */

/* The registers of which KVM says that they are to be kept, and which no other element of the state has. */

#include <errno.h>
#include <stdlib.h>

#include "vmm/hv/kvm/kvm_internal.h"

#define LIST_MAX 1024u /* that KVM may know */

typedef struct OneMsr {
        struct kvm_msrs header;
        struct kvm_msr_entry entry;
} OneMsr;

/* What has an element of its own, or is not a processor's to keep. */
static const struct {
        uint32_t first, last;
} elsewhere[] = {
        {0x10, 0x10}, /* TSC */
        {0x11,
         0x11}, /* kvmclock's wall clock: writing it writes memory, once, when the guest asks */
        {0x1b, 0x1b},             /* base of the local APIC */
        {0x174, 0x176},           /* SYSENTER */
        {0x1a0, 0x1a0},           /* MISC_ENABLE */
        {0x200, 0x20f},           /* MTRRs */
        {0x250, 0x26f},           /* fixed ones */
        {0x277, 0x277},           /* PAT */
        {0x2ff, 0x2ff},           /* default memory type */
        {0x6e1, 0x6e1},           /* PKRS */
        {0x40000000, 0x4000ffff}, /* Hyper-V's, which guests are not offered */
        {0x4b564d00, 0x4b564d00}, /* the wall clock by its new number */
        {0xc0000080, 0xc0000084}, /* EFER, SYSCALL */
        {0xc0000100, 0xc0000103}, /* bases of FS and GS, TSC_AUX */
};

static bool is_elsewhere(uint32_t index) {
        for (size_t i = 0; i < ELEMENTSOF(elsewhere); i++)
                if (index >= elsewhere[i].first && index <= elsewhere[i].last)
                        return true;
        return false;
}

/** kvm_list_other_msrs() - which registers VCPU_STATE_OTHER_MSRS is made of. Return: 0 or negative errno. */
int kvm_list_other_msrs(KvmPartition *partition) {
        _cleanup_(freep) struct kvm_msr_list *list =
                calloc(1, sizeof(*list) + LIST_MAX * sizeof(list->indices[0]));
        int r;

        if (!list)
                return -ENOMEM;
        list->nmsrs = LIST_MAX;
        r = kvm_ioctl(partition->kvm_fd, KVM_GET_MSR_INDEX_LIST, list);
        if (r < 0)
                return r;
        for (uint32_t i = 0; i < list->nmsrs; i++) {
                if (is_elsewhere(list->indices[i]))
                        continue;
                if (partition->n_other_msrs == VCPU_OTHER_MSRS_MAX)
                        return -E2BIG;
                partition->other_msrs[partition->n_other_msrs++] = list->indices[i];
        }
        return 0;
}

static bool is_other(const KvmPartition *partition, uint32_t index) {
        for (unsigned i = 0; i < partition->n_other_msrs; i++)
                if (partition->other_msrs[i] == index)
                        return true;
        return false;
}

static bool get_one(int fd, uint32_t index, uint64_t *ret) {
        OneMsr msr = {.header.nmsrs = 1, .entry.index = index};

        if (kvm_ioctl(fd, KVM_GET_MSRS, &msr) != 1)
                return false;
        *ret = msr.entry.data;
        return true;
}

/** kvm_get_other_msrs() - KVM lists what it knows: what this processor does not have cannot be read and is left out */
int kvm_get_other_msrs(const KvmVcpu *vcpu, VcpuOtherMsrs *ret) {
        const KvmPartition *partition = vcpu->partition;

        *ret = (VcpuOtherMsrs){0};
        for (unsigned i = 0; i < partition->n_other_msrs; i++) {
                VcpuMsr *msr = &ret->msrs[ret->n];

                if (!get_one(vcpu->fd, partition->other_msrs[i], &msr->value))
                        continue;
                msr->index = partition->other_msrs[i];
                ret->n++;
        }
        return 0;
}

/**
 * kvm_set_other_msrs() - those that have their value already are left alone: some cannot be written at all
 *
 * Return: 0; -EINVAL for a register that is none of these, or a value that KVM refuses.
 */
int kvm_set_other_msrs(const KvmVcpu *vcpu, const VcpuOtherMsrs *state) {
        if (state->n > VCPU_OTHER_MSRS_MAX)
                return -EINVAL;
        for (uint32_t i = 0; i < state->n; i++) {
                OneMsr msr = {
                        .header.nmsrs = 1,
                        .entry = {.index = state->msrs[i].index, .data = state->msrs[i].value}};
                uint64_t now;

                if (!is_other(vcpu->partition, msr.entry.index))
                        return -EINVAL;
                if (get_one(vcpu->fd, msr.entry.index, &now) && now == msr.entry.data)
                        continue;
                if (kvm_ioctl(vcpu->fd, KVM_SET_MSRS, &msr) != 1)
                        return -EINVAL;
        }
        return 0;
}
