#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Dependency direction: which folder may include which. Reads our #include lines; prints and counts every breach.

A rule names a folder or file and what it may include besides itself; the longest name that matches a file is its rule.
An entry that ends in .h admits that header alone: so a device sees block.h, never a disk format.
`check_layers.py --self-test` checks this checker.
"""

import pathlib
import re
import sys

VMM_BASE = ["base", "vmm/event", "vmm/mem", "vmm/snapshot/snapshot.h"]
# hv.h is the neutral interface; its backends are closed to each other and to all but machine/ (BACKENDS).
DEVICE = VMM_BASE + ["vmm/irq", "vmm/hv/hv.h", "vmm/hv/halt.h"]
# What the service's rooms share. A VM knows neither the manager, which has all of them, nor the bus.
SERVICE = ["base", "config", "dbus/names.h", "service/conditions.h", "service/fd_budget.h", "service/request.h", "service/text.h",
           "service/worker.h"]
RULES = {
    "base": [],
    "config": ["base"],
    "dbus": ["base", "config"],
    "crosvm_launcher": ["base", "config"],
    # The programs meet as processes; only the spelling of the bus contract is shared.
    "service": ["base", "config", "dbus/names.h"],
    "service/monitor": SERVICE,
    "service/net": SERVICE,
    "service/share": SERVICE + ["service/monitor/unix_name.h"],
    "service/store": SERVICE,
    "service/unit": SERVICE,
    "service/vm": SERVICE + ["service/monitor", "service/net", "service/share", "service/store", "service/unit",
                             "service/metrics/sample.h", "service/manager/id_pool.h", "service/policy/trim.h"],
    "service/journal": SERVICE + ["service/vm/vm.h", "service/policy/audit.h"],
    "service/policy": SERVICE + ["service/vm/vm.h", "service/journal/journal.h"],
    "service/manager": SERVICE + ["service/vm", "service/monitor", "service/store", "service/journal", "service/metrics/totals.h",
                                  "service/policy/quota.h", "service/policy/trim.h"],
    "service/metrics": SERVICE + ["service/manager/manager.h", "service/vm/death.h"],
    "service/bus": SERVICE + ["service/manager", "service/vm", "service/journal", "service/metrics", "service/policy"],
    "service/netd": ["base", "config", "service/net/stable_id.h"],
    "vmm/event": ["base"],
    "vmm/mem": ["base"],
    "vmm/irq": VMM_BASE + ["vmm/hv/hv.h"],
    "vmm/hv": VMM_BASE + ["config/cpu_features.h", "vmm/irq/irq_line.h"],
    "vmm/hv/kvm": VMM_BASE + ["vmm/irq/irq_line.h", "vmm/hv"],
    "vmm/hv/soft": VMM_BASE + ["vmm/irq/irq_line.h", "vmm/hv"],
    "vmm/chardev": ["base", "vmm/event", "config/vmm_config.h"],
    "vmm/jail": ["base"],
    "vmm/block": ["base", "vmm/event", "config/composite.h", "vmm/jail/jail.h"],
    "vmm/helper": ["base"],
    "vmm/scsi": VMM_BASE + ["vmm/block/block.h"],
    "vmm/net": ["base", "vmm/event", "vmm/helper/helper.h", "config/vmm_net.h"],
    "vmm/vsock": ["base", "vmm/event"],
    "vmm/pci": DEVICE,
    "vmm/virtio": DEVICE + ["vmm/pci", "vmm/block/block.h", "vmm/block/aio.h", "vmm/chardev/char.h", "vmm/net/net.h", "vmm/scsi/scsi.h",
                            "vmm/vhost/vhost.h", "vmm/vhost_user/vhost_user.h", "vmm/vsock/muxer.h", "vmm/vsock/packet.h"],
    "vmm/vhost": ["base", "vmm/event", "vmm/mem"],
    "vmm/vhost_user": ["base", "vmm/event", "vmm/mem"],
    "vmm/legacy": DEVICE,
    "vmm/vfio": DEVICE + ["vmm/pci"],
    "vmm/firmware": DEVICE + ["vmm/boot/image_file.h"],
    "vmm/serial": DEVICE + ["vmm/chardev/char.h"],
    "vmm/snapshot": ["base", "vmm/mem"],
    "vmm/swap": ["base", "vmm/mem", "vmm/jail/jail.h"],
    "vmm/dump": ["base", "vmm/mem", "vmm/hv/state.h"],
    "vmm/gdb": ["base", "vmm/event", "vmm/hv/hv.h", "vmm/hv/state.h"],
    "vmm/control": ["base", "vmm/event", "config/control_message.h", "config/control_verbs.h", "vmm/net/tap_open.h",
                    "vmm/vfio/open_group.h"],
    "vmm/boot": ["base", "config", "vmm/mem", "vmm/hv/hv.h"],
    "vmm/machine": ["base", "config", "vmm"],
    "vmm/main.c": ["base", "config", "vmm"],
    "tests": ["base", "config", "dbus", "crosvm_launcher", "service", "vmm"],
}
# Folders that a broad rule above must still not reach, beside their own files.
BACKENDS = ("vmm/hv/kvm", "vmm/hv/soft")
BACKEND_USERS = ("vmm/machine", "vmm/main.c", "tests")
LIBRARIES = {
    "json-c/": ("config", "dbus/client", "tests"),
    "systemd/": ("base", "dbus", "service", "tests"),
    "linux/kvm.h": ("vmm/hv/kvm", "vmm/jail", "tests"),
    "seccomp.h": ("vmm/jail", "tests"),
    "netlink/": ("service/netd",),
    "cmocka.h": ("tests",),
}
INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)


def under(path, prefix):
    return path == prefix or path.startswith(prefix + "/") or (prefix.endswith("/") and path.startswith(prefix))


def rule_of(path):
    names = [name for name in RULES if under(path, name)]
    return max(names, key=len) if names else None


def breaches(path, text):
    """Yields one sentence for each include in @text, the contents of @path, that its folder must not have."""
    rule = rule_of(path)
    for match in INCLUDE.finditer(text):
        ours, system = match.groups()
        if system:
            for library, users in LIBRARIES.items():
                if system.startswith(library) and not any(under(path, user) for user in users):
                    yield f"{path}: <{system}> belongs to {', '.join(users)}"
            continue
        if rule is None:
            yield f"{path}: no rule names this folder; add one to {pathlib.Path(__file__).name}"
            return
        if "/" not in ours:
            yield f'{path}: include "{ours}" by its path from the top of the tree'
        elif not any(under(ours, allowed) for allowed in [rule] + RULES[rule]) and not own_folder(path, ours):
            yield f"{path}: {rule} must not include {ours}"
        elif any(
            under(ours, backend) and not any(under(path, user) for user in BACKEND_USERS + (backend,))
            for backend in BACKENDS
        ):
            yield f"{path}: {ours} is one backend's; use vmm/hv/hv.h"


def own_folder(path, include):
    return pathlib.PurePath(path).parent == pathlib.PurePath(include).parent


def self_test():
    good = [
        ("base/fd.c", '#include "base/fd.h"'),
        ("vmm/virtio/blk.c", '#include "vmm/block/block.h"'),
        ("vmm/machine/machine.c", '#include "vmm/block/raw.h"'),
        ("config/json_reader.c", "#include <json-c/json.h>"),
        ("service/main.c", '#include "dbus/names.h"'),
        ("service/netd/rtnl.c", "#include <netlink/netlink.h>"),
    ]
    bad = [
        ("base/fd.c", '#include "config/vm_config.h"'),
        ("vmm/virtio/blk.c", '#include "vmm/block/raw.h"'),
        ("vmm/boot/elf.c", "#include <json-c/json.h>"),
        ("service/vm/vm.c", '#include "vmm/hv/hv.h"'),
        ("service/vm/vm.c", '#include "service/manager/manager.h"'),
        ("service/store/history.c", '#include "service/vm/vm.h"'),
        ("service/net/cards.c", "#include <netlink/netlink.h>"),
        ("service/netd/server.c", '#include "service/vm/vm.h"'),
        ("service/vm/vm.c", '#include "dbus/client/table.h"'),
        ("vmm/boot/elf.c", '#include "vmm/hv/kvm/kvm.h"'),
        ("vmm/hv/soft/run.c", '#include "vmm/hv/kvm/kvm.h"'),
        ("vmm/hv/kvm/vcpu.c", '#include "vmm/hv/soft/soft.h"'),
        ("vmm/mem/bus.c", "#include <systemd/sd-bus.h>"),
        ("vmm/mem/bus.c", '#include "bus.h"'),
        ("elsewhere/a.c", '#include "base/fd.h"'),
        ("vmm/new/a.c", '#include "base/fd.h"'),
        ("vmm/hv/hv.h", '#include "config/vmm_config.h"'),
    ]
    wrong = [case for case in good if list(breaches(*case))] + [case for case in bad if not list(breaches(*case))]
    for case in wrong:
        print("check_layers self-test: misjudged", *case)
    return len(wrong)


def main(arguments):
    if arguments == ["--self-test"]:
        return 1 if self_test() else 0
    found = 0
    for name in arguments:
        for sentence in breaches(name, pathlib.Path(name).read_text(encoding="utf-8")):
            print(sentence)
            found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
