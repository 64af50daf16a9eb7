/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Interrupts into the guest and doorbells out of it.
 *
 * KVM replaces its GSI table as a whole, and waits for its readers each time, so the table holds only what KVM cannot
 * do without: MSI routes that an irqfd uses, and those I/O APIC pins that are level-triggered, because KVM reports an
 * EOI only for vectors it finds there. Edge-triggered pins go through KVM_SIGNAL_MSI and cost no update.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/hv/kvm/kvm_internal.h"

#define MSI_DATA_LEVEL_TRIGGERED (1u << 15)

/** kvm_routing_init() - an empty table. @gsi_max: how many routes KVM takes */
void kvm_routing_init(KvmRouting *routing, unsigned gsi_max) {
        pthread_mutex_init(&routing->lock, NULL);
        routing->routes_max =
                gsi_max > GSI_COUNT ? MIN(gsi_max - GSI_COUNT, KVM_MSI_ROUTES_MAX) : 0;
}

static void routing_entry(struct kvm_irq_routing_entry *entry, unsigned gsi,
                          const MsiMessage *message) {
        *entry = (struct kvm_irq_routing_entry){
                .gsi = gsi,
                .type = KVM_IRQ_ROUTING_MSI,
                .u.msi =
                        {
                                .address_lo = (uint32_t) message->address,
                                .address_hi = (uint32_t) (message->address >> 32),
                                .data = message->data,
                        },
        };
}

/* Gives KVM the table as it stands in the shadow; the lock is held. */
static int routing_commit(KvmPartition *partition) {
        KvmRouting *routing = &partition->routing;
        _cleanup_(freep) struct kvm_irq_routing *table = NULL;
        unsigned room = GSI_COUNT + routing->n_routes_end;

        table = calloc(1, sizeof(*table) + room * sizeof(table->entries[0]));
        if (!table)
                return -ENOMEM;
        for (unsigned gsi = 0; gsi < GSI_COUNT; gsi++)
                if (routing->level_routed[gsi])
                        routing_entry(&table->entries[table->nr++], gsi, &routing->pins[gsi]);
        for (unsigned i = 0; i < routing->n_routes_end; i++)
                if (routing->routes[i] && routing->routes[i]->has_message)
                        routing_entry(&table->entries[table->nr++], GSI_COUNT + i,
                                      &routing->routes[i]->message);
        return kvm_ioctl(partition->vm_fd, KVM_SET_GSI_ROUTING, table);
}

static bool message_equal(const MsiMessage *a, const MsiMessage *b) {
        return a->address == b->address && a->data == b->data;
}

/** kvm_set_irq_route() - PartitionOps.set_irq_route. Return: 0, -EINVAL for a bad pin, other negative errno. */
int kvm_set_irq_route(Partition *base, unsigned gsi, const MsiMessage *message) {
        KvmPartition *partition = kvm_partition_from_base(base);
        KvmRouting *routing = &partition->routing;
        bool level = message && (message->data & MSI_DATA_LEVEL_TRIGGERED);
        int r = 0;

        if (gsi >= GSI_COUNT)
                return -EINVAL;
        pthread_mutex_lock(&routing->lock);
        /* A masked level pin stays in the table: an interrupt that is in service may still be completed. */
        if (level &&
            (!routing->level_routed[gsi] || !message_equal(message, &routing->pins[gsi]))) {
                routing->level_routed[gsi] = true;
                routing->pins[gsi] = *message;
                r = routing_commit(partition);
        } else if (message && !level && routing->level_routed[gsi]) {
                routing->level_routed[gsi] = false;
                r = routing_commit(partition);
        }
        pthread_mutex_unlock(&routing->lock);
        return r;
}

/** kvm_signal_msi() - PartitionOps.signal_msi. Return: 0 or negative errno. */
int kvm_signal_msi(Partition *base, const MsiMessage *message) {
        const struct kvm_msi msi = {
                .address_lo = (uint32_t) message->address,
                .address_hi = (uint32_t) (message->address >> 32),
                .data = message->data,
        };
        int r = kvm_ioctl(kvm_partition_from_base(base)->vm_fd, KVM_SIGNAL_MSI, &msi);

        return MIN(r, 0); /* positive: how many local APICs took it */
}

static int kvm_irqfd(const MsiRoute *route, bool assign) {
        const struct kvm_irqfd irqfd = {
                .fd = (uint32_t) route->event_fd,
                .gsi = route->gsi,
                .flags = assign ? 0 : KVM_IRQFD_FLAG_DEASSIGN,
        };

        return kvm_ioctl(route->partition->vm_fd, KVM_IRQFD, &irqfd);
}

static int kvm_route_add(Partition *base, int event_fd, MsiRoute **ret) {
        KvmPartition *partition = kvm_partition_from_base(base);
        KvmRouting *routing = &partition->routing;
        MsiRoute *route = malloc(sizeof(*route));
        unsigned i = 0;

        if (!route)
                return -ENOMEM;
        *route = (MsiRoute){.partition = partition, .event_fd = event_fd};
        pthread_mutex_lock(&routing->lock);
        while (i < routing->routes_max && routing->routes[i])
                i++;
        if (i < routing->routes_max) {
                routing->routes[i] = route;
                routing->n_routes_end = MAX(routing->n_routes_end, i + 1);
                route->gsi = GSI_COUNT + i;
        }
        pthread_mutex_unlock(&routing->lock);
        if (route->gsi == 0) {
                free(route);
                return -ENOSPC;
        }
        *ret = route;
        return 0;
}

static int route_set_locked(MsiRoute *route, const MsiMessage *message) {
        int r;

        if (!message) {
                if (!route->assigned)
                        return 0;
                route->assigned = false;
                return kvm_irqfd(route, false);
        }
        if (!route->has_message || !message_equal(&route->message, message)) {
                route->message = *message;
                route->has_message = true;
                r = routing_commit(route->partition);
                if (r < 0)
                        return r;
        }
        if (route->assigned)
                return 0;
        /* KVM looks at the counter when it takes the eventfd on, so signals from the masked time are delivered. */
        r = kvm_irqfd(route, true);
        route->assigned = r == 0;
        return r;
}

static int kvm_route_set(MsiRoute *route, const MsiMessage *message) {
        KvmRouting *routing = &route->partition->routing;
        int r;

        pthread_mutex_lock(&routing->lock);
        r = route_set_locked(route, message);
        pthread_mutex_unlock(&routing->lock);
        return r;
}

static void kvm_route_remove(MsiRoute *route) {
        KvmRouting *routing = &route->partition->routing;

        pthread_mutex_lock(&routing->lock);
        (void) route_set_locked(route, NULL);
        routing->routes[route->gsi - GSI_COUNT] = NULL;
        while (routing->n_routes_end > 0 && !routing->routes[routing->n_routes_end - 1])
                routing->n_routes_end--;
        pthread_mutex_unlock(&routing->lock);
        free(route);
}

const MsiRouteOps kvm_msi_route_ops = {
        .add = kvm_route_add,
        .set = kvm_route_set,
        .remove = kvm_route_remove,
};

static int kvm_doorbell(Partition *base, const Doorbell *bell, int event_fd, uint32_t more_flags) {
        const struct kvm_ioeventfd ioeventfd = {
                .addr = bell->address,
                .len = bell->size,
                .fd = event_fd,
                .datamatch = bell->value,
                .flags = more_flags | (bell->pio ? KVM_IOEVENTFD_FLAG_PIO : 0) |
                         (bell->match_value ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0),
        };

        return kvm_ioctl(kvm_partition_from_base(base)->vm_fd, KVM_IOEVENTFD, &ioeventfd);
}

static int kvm_doorbell_add(Partition *base, const Doorbell *bell, int event_fd) {
        return kvm_doorbell(base, bell, event_fd, 0);
}

static int kvm_doorbell_remove(Partition *base, const Doorbell *bell, int event_fd) {
        return kvm_doorbell(base, bell, event_fd, KVM_IOEVENTFD_FLAG_DEASSIGN);
}

const DoorbellOps kvm_doorbell_ops = {.add = kvm_doorbell_add, .remove = kvm_doorbell_remove};
