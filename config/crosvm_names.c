/* SPDX-License-Identifier: Apache-2.0 */
#include "config/crosvm_names.h"

#include <stddef.h>

#include "base/cleanup.h"
#include "base/str.h"

/* Options of `crosvm run`, today's and those that older managers still pass, less the ones in crosvm_flags.c. */
static const char *const run_options[] = {
        "ac97",
        "acpi-table",
        "android-display-service",
        "android-fstab",
        "async-executor",
        "balloon-bias-mib",
        "balloon-control",
        "balloon-ws-num-bins",
        "balloon-ws-reporting",
        "battery",
        "break-linux-pci-config-io",
        "bus-lock-ratelimit",
        "cfg",
        "coiommu",
        "cpu-capacity",
        "cpu-frequencies-khz",
        "cpu-ipc-ratio",
        "cras-snd",
        "crash-pipe-name",
        "delay-rt",
        "dev-pm",
        "device-tree-overlay",
        "disable-virtio-intx",
        "disk",
        "display-window-keyboard",
        "display-window-mouse",
        "dump-device-tree-blob",
        "dynamic-power-coefficient",
        "enable-hwp",
        "enable-pnp-data",
        "evdev",
        "fdt-position",
        "ffa",
        "file-backed-mapping",
        "force-calibrated-tsc-leaf",
        "gpu",
        "gpu-cgroup-path",
        "gpu-display",
        "gpu-render-server",
        "gpu-server-cgroup-path",
        "host-guid",
        "host-ip",
        "input",
        "irqchip",
        "itmt",
        "keyboard",
        "lock-guest-memory-dontneed",
        "mac",
        "mac-address",
        "media-decoder",
        "mmio-address-range",
        "mouse",
        "multi-touch",
        "nested",
        "net-vq-pairs",
        "netmask",
        "no-i8042",
        "no-pmu",
        "no-rtc",
        "no-syslog",
        "pci",
        "pci-hotplug-slots",
        "pci-start",
        "pcie-ecam",
        "pcie-root-port",
        "pmem-ext2",
        "privileged-vm",
        "process-invariants-handle",
        "process-invariants-size",
        "protected-vm",
        "protected-vm-with-firmware",
        "protected-vm-without-firmware",
        "pstore",
        "pvclock",
        "restore",
        "root",
        "rotary",
        "rwdisk",
        "rwroot",
        "s2idle",
        "scsi-block",
        "seccomp-policy-dir",
        "shared-dir",
        "simple-media-device",
        "single-touch",
        "slirp-capture-file",
        "smbios",
        "smccc-trng",
        "sound",
        "split-irqchip",
        "strict-balloon",
        "stub-pci-device",
        "suspended-vcpus",
        "swap",
        "swap-interval",
        "switches",
        "swiotlb",
        "syslog-tag",
        "tap-fd",
        "tap-name",
        "touch-device",
        "trackpad",
        "tube-fd",
        "v4l2-proxy",
        "vfio",
        "vfio-isolate-hotplug",
        "vfio-platform",
        "vfio-platform-pm",
        "vhost-net",
        "vhost-net-device",
        "vhost-scmi",
        "vhost-user",
        "vhost-user-blk",
        "vhost-user-connect-timeout-ms",
        "vhost-user-console",
        "vhost-user-gpu",
        "vhost-user-mac80211-hwsim",
        "vhost-user-net",
        "vhost-user-snd",
        "vhost-user-vsock",
        "vhost-user-wl",
        "video-decoder",
        "video-encoder",
        "virt-cpufreq",
        "virt-cpufreq-upstream",
        "virtio-input-evdevs",
        "virtio-snd",
        "vtpm-proxy",
        "wayland-sock",
        "x-display",
};

static const char *const global_options[] = {
        "async-executor",
        "no-syslog",
        "syslog-tag",
};

static const char *const commands[] = {
        "balloon_ws", "battery", "create_composite", "create_qcow2", "device",
        "devices",    "gpu",     "make_rt",          "snapshot",     "snd",
        "swap",       "usb",     "version",          "vfio",
};

static bool has(const char *const *names, size_t n, const char *name) {
        for (size_t i = 0; i < n; i++)
                if (str_eq(names[i], name))
                        return true;
        return false;
}

/** crosvm_has_run_option() - whether crosvm's `run` knows --@name and this version does not */
bool crosvm_has_run_option(const char *name) {
        return has(run_options, ELEMENTSOF(run_options), name);
}

/** crosvm_has_global_option() - whether crosvm knows --@name before the command and this version does not */
bool crosvm_has_global_option(const char *name) {
        return has(global_options, ELEMENTSOF(global_options), name);
}

/** crosvm_has_command() - whether crosvm has the command @name and this version does not */
bool crosvm_has_command(const char *name) {
        return has(commands, ELEMENTSOF(commands), name);
}
