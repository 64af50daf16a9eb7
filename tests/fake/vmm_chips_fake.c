/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fake/vmm_chips_fake.h"

#include <errno.h>

static void fake_irq_set(void *controller, unsigned pin, bool level) {
        FakeIrq *irq = controller;

        irq->n_rises += level && !irq->level;
        irq->level = level;
}

/** fake_irq_line() - a wire whose level and rises @irq shows */
IrqLine fake_irq_line(FakeIrq *irq) {
        return (IrqLine){.set = fake_irq_set, .controller = irq};
}

static void fake_halt(void *machine, HaltReason reason) {
        FakeHalt *halt = machine;

        if (halt->n++ == 0)
                halt->reason = reason;
}

/** fake_halt_sink() - @halt shows the first reason and how many there were */
HaltSink fake_halt_sink(FakeHalt *halt) {
        return (HaltSink){.halt = fake_halt, .machine = halt};
}

static FakePartition *fake(Partition *partition) {
        return CONTAINER_OF(partition, FakePartition, base);
}

static int fake_signal_msi(Partition *partition, const MsiMessage *message) {
        FakePartition *f = fake(partition);

        f->messages[f->n_messages++ % FAKE_MESSAGES_MAX] = *message;
        return 0;
}

static int fake_set_irq_route(Partition *partition, unsigned gsi, const MsiMessage *message) {
        FakePartition *f = fake(partition);

        if (gsi >= ELEMENTSOF(f->routed))
                return -EINVAL;
        f->n_route_updates++;
        f->routed[gsi] = message;
        if (message)
                f->routes[gsi] = *message;
        return 0;
}

static void fake_set_extint(Partition *partition, bool level) {
        FakePartition *f = fake(partition);

        f->extint = level;
        f->n_extint_changes++;
}

static const PartitionOps fake_partition_ops = {
        .signal_msi = fake_signal_msi,
        .set_irq_route = fake_set_irq_route,
        .set_extint = fake_set_extint,
};

/** fake_partition_init() - remembers what the interrupt controllers tell it */
void fake_partition_init(FakePartition *partition) {
        *partition = (FakePartition){.base.ops = &fake_partition_ops};
}
