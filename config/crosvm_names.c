/* SPDX-License-Identifier: Apache-2.0 */
#include "config/crosvm_names.h"

#include <stddef.h>

#include "base/cleanup.h"
#include "base/str.h"

/* Why not, where several share the reason. docs/OPTIONS.md has a table for each kind. */
#define MEDIA "no display, GPU, input, camera or sound device yet"
#define PROTECTED "protected VMs need hardware for them"
#define PLATFORM "of devices that are not on PCI"
#define DEVICE_TREE "of a device tree, which kernels for x86 are built without"
#define ARM "crosvm too has it for Arm processors only"
#define WINDOWS "crosvm for Windows only"
#define ANDROID "crosvm for Android only"
#define DRIVER(what) "Linux has no driver for " what
#define HWP "KVM has no registers of hardware-controlled performance states (IA32_HWP_*) for guests"
#define NO_BATTERY "Debian's kernels are built without the driver of the Goldfish battery"
#define OWN_DEVICES "devices are the VMM's own, or other programs' by --vhost-user"
#define WORKING_SETS "the balloon of Linux knows of no working sets"
#define NO_VIRTIO_IOMMU                                                                            \
        "guests get no virtio-iommu, so that all of their functions share one address space"
#define REMOVED "removed from crosvm"

typedef struct Refused {
        const char *name, *reason;
} Refused;

/* Options of `crosvm run`, today's and those that older managers still pass, less the ones of the flag tables. */
static const Refused run_options[] = {
        {"ac97", MEDIA},
        {"android-display-service", MEDIA},
        {"android-fstab", DEVICE_TREE},
        {"balloon-ws-num-bins", WORKING_SETS},
        {"balloon-ws-reporting", WORKING_SETS},
        {"battery", NO_BATTERY},
        {"cfg", REMOVED},
        {"coiommu", DRIVER("a CoIOMMU")},
        {"cpu-capacity", DEVICE_TREE},
        {"cpu-frequencies-khz", ARM},
        {"cpu-ipc-ratio", ARM},
        {"cras-snd", MEDIA},
        {"crash-pipe-name", WINDOWS},
        {"dev-pm", ARM},
        {"device-tree-overlay", DEVICE_TREE},
        {"display-window-keyboard", MEDIA},
        {"display-window-mouse", MEDIA},
        {"dump-device-tree-blob", DEVICE_TREE},
        {"dynamic-power-coefficient", DEVICE_TREE},
        {"enable-hwp", HWP},
        {"enable-pnp-data", REMOVED},
        {"evdev", MEDIA},
        {"exit-stats", WINDOWS},
        {"fdt-position", DEVICE_TREE},
        {"ffa", ARM},
        {"gpu", MEDIA},
        {"gpu-cgroup-path", MEDIA},
        {"gpu-display", MEDIA},
        {"gpu-render-server", MEDIA},
        {"gpu-server-cgroup-path", MEDIA},
        {"host-guid", WINDOWS},
        {"input", MEDIA},
        {"itmt", HWP},
        {"kernel-log-file", WINDOWS},
        {"keyboard", MEDIA},
        {"log-file", WINDOWS},
        {"logs-directory", WINDOWS},
        {"media-decoder", MEDIA},
        {"mouse", MEDIA},
        {"mte", ARM},
        {"multi-touch", MEDIA},
        {"pcie-root-port", REMOVED "; --pci-hotplug-slots took its place"},
        {"privileged-vm", REMOVED},
        {"process-invariants-handle", WINDOWS},
        {"process-invariants-size", WINDOWS},
        {"product-channel", WINDOWS},
        {"product-name", WINDOWS},
        {"product-version", WINDOWS},
        {"protected-vm", PROTECTED},
        {"protected-vm-with-firmware", PROTECTED},
        {"protected-vm-without-firmware", PROTECTED},
        {"pvclock", DRIVER("virtio-pvclock")},
        {"rotary", MEDIA},
        {"seccomp-policy-dir", "of crosvm's device processes, a file of rules for each; here each "
                               "kind of thread has a filter that is built in"},
        {"service-pipe-name", WINDOWS},
        {"simple-media-device", MEDIA},
        {"single-touch", MEDIA},
        {"slirp-capture-file", WINDOWS},
        {"smccc-trng", ARM},
        {"sound", MEDIA},
        {"swap-interval", "crosvm has swap-interval-ms= as a key of --pmem, and no such option"},
        {"switches", MEDIA},
        {"task-profiles", ANDROID},
        {"touch-device", MEDIA},
        {"trackpad", MEDIA},
        {"tube-fd", WINDOWS},
        {"unprotected-vm-with-firmware", PROTECTED},
        {"v4l2-proxy", MEDIA},
        {"vfio-isolate-hotplug", NO_VIRTIO_IOMMU},
        {"vfio-platform", PLATFORM},
        {"vfio-platform-pm", PLATFORM},
        {"vhost-scmi", ARM},
        {"vhost-user-gpu", MEDIA},
        {"vhost-user-mac80211-hwsim",
         "Debian's kernels for virtual machines have no wireless networks"},
        {"vhost-user-snd", MEDIA},
        {"vhost-user-wl", DRIVER("virtio-wl")},
        {"video-decoder", MEDIA},
        {"video-encoder", MEDIA},
        {"virt-cpufreq", ARM},
        {"virt-cpufreq-upstream", ARM},
        {"virtio-input-evdevs", MEDIA},
        {"virtio-snd", MEDIA},
        {"vtpm-proxy", DRIVER("virtio-tpm")},
        {"wayland-sock", MEDIA},
        {"x-display", MEDIA},
};

static const Refused commands[] = {
        {"balloon_ws", WORKING_SETS},
        {"battery", NO_BATTERY},
        {"create_composite", "use vivctl create-disk --composite FILE LABEL=FILE..."},
        {"create_qcow2", "disks are raw and composite images, and none is in the format QCOW2"},
        {"device", OWN_DEVICES},
        {"devices", OWN_DEVICES},
        {"gpu", MEDIA},
        {"snd", MEDIA},
        {"usb", "no USB controller yet"},
};

static const char *find_reason(const Refused *refused, size_t n, const char *name) {
        for (size_t i = 0; i < n; i++)
                if (str_eq(refused[i].name, name))
                        return refused[i].reason;
        return NULL;
}

/** crosvm_run_option_reason() - why this version refuses --@name of crosvm's `run`; NULL: crosvm has none of that name */
const char *crosvm_run_option_reason(const char *name) {
        return find_reason(run_options, ELEMENTSOF(run_options), name);
}

/** crosvm_command_reason() - why this version refuses crosvm's command @name; NULL: crosvm has none, or we have it too */
const char *crosvm_command_reason(const char *name) {
        return find_reason(commands, ELEMENTSOF(commands), name);
}
