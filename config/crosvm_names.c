/* SPDX-License-Identifier: Apache-2.0 */
#include "config/crosvm_names.h"

#include <stddef.h>

#include "base/cleanup.h"
#include "base/str.h"

/* Why not, where several share the reason. */
#define MEDIA "no display, GPU, input, camera or sound device yet"
#define WINDOWS "crosvm for Windows only"
#define PROTECTED "protected VMs need hardware for them"
#define DEVICE_TREE "a device tree, or a device of Arm boards: not on x86"
#define FREQUENCY "of frequency scaling that the guest takes part in: none here"
#define COLD_PASSTHROUGH                                                                           \
        "functions of the host come with --vfio at the start, and stay: the sandbox opens no more"
#define PLATFORM "of devices that are not on PCI"
#define VHOST_USER "of vhost-user devices only block, fs, net, rng and vsock"
#define REMOVED "removed from crosvm; see the option that took its place"

typedef struct Refused {
        const char *name, *reason;
} Refused;

/* Options of `crosvm run`, today's and those that older managers still pass, less the ones of the flag tables. */
static const Refused run_options[] = {
        {"ac97", MEDIA},
        {"android-display-service", MEDIA},
        {"android-fstab", DEVICE_TREE},
        {"balloon-bias-mib",
         "the balloon takes the size that the control socket says, with no policy of its own"},
        {"balloon-control", "the balloon is told by the control socket"},
        {"balloon-ws-num-bins", "working sets need a balloon driver that is not in Linux"},
        {"balloon-ws-reporting", "working sets need a balloon driver that is not in Linux"},
        {"battery", "needs the Goldfish battery, for which distributions' kernels have no driver"},
        {"bus-lock-ratelimit", "needs a processor that tells of bus locks"},
        {"cfg", REMOVED},
        {"coiommu", "guests have no IOMMU"},
        {"cpu-capacity", FREQUENCY},
        {"cpu-frequencies-khz", FREQUENCY},
        {"cpu-ipc-ratio", FREQUENCY},
        {"cras-snd", MEDIA},
        {"crash-pipe-name", WINDOWS},
        {"delay-rt", "of MakeRT, for which the VMM would have to keep CAP_SYS_NICE"},
        {"dev-pm", "of pKVM, which is not on x86"},
        {"device-tree-overlay", DEVICE_TREE},
        {"display-window-keyboard", MEDIA},
        {"display-window-mouse", MEDIA},
        {"dump-device-tree-blob", DEVICE_TREE},
        {"dynamic-power-coefficient", FREQUENCY},
        {"enable-hwp", FREQUENCY},
        {"enable-pnp-data", "guests do not get the host's registers of power and temperature"},
        {"evdev", MEDIA},
        {"fdt-position", DEVICE_TREE},
        {"ffa", "of Arm processors"},
        {"gpu", MEDIA},
        {"gpu-cgroup-path", MEDIA},
        {"gpu-display", MEDIA},
        {"gpu-render-server", MEDIA},
        {"gpu-server-cgroup-path", MEDIA},
        {"host-guid", WINDOWS},
        {"input", MEDIA},
        {"itmt", FREQUENCY},
        {"keyboard", MEDIA},
        {"media-decoder", MEDIA},
        {"mouse", MEDIA},
        {"multi-touch", MEDIA},
        {"pcie-root-port", REMOVED},
        {"privileged-vm", REMOVED},
        {"process-invariants-handle", WINDOWS},
        {"process-invariants-size", WINDOWS},
        {"protected-vm", PROTECTED},
        {"protected-vm-with-firmware", PROTECTED},
        {"protected-vm-without-firmware", PROTECTED},
        {"pvclock", "needs a device that Linux has no driver for"},
        {"rotary", MEDIA},
        {"seccomp-policy-dir", "the filter is built in"},
        {"simple-media-device", MEDIA},
        {"single-touch", MEDIA},
        {"slirp-capture-file", REMOVED},
        {"smccc-trng", "of Arm processors; x86 has RDRAND and virtio-rng"},
        {"sound", MEDIA},
        {"swap-interval", "crosvm has swap-interval-ms= as a key of --pmem, and no such option"},
        {"switches", MEDIA},
        {"touch-device", MEDIA},
        {"trackpad", MEDIA},
        {"tube-fd", WINDOWS},
        {"v4l2-proxy", MEDIA},
        {"vfio-isolate-hotplug", COLD_PASSTHROUGH},
        {"vfio-platform", PLATFORM},
        {"vfio-platform-pm", PLATFORM},
        {"vhost-scmi", PROTECTED},
        {"vhost-user-console", VHOST_USER},
        {"vhost-user-gpu", VHOST_USER},
        {"vhost-user-mac80211-hwsim", VHOST_USER},
        {"vhost-user-snd", VHOST_USER},
        {"vhost-user-wl", VHOST_USER},
        {"video-decoder", MEDIA},
        {"video-encoder", MEDIA},
        {"virt-cpufreq", FREQUENCY},
        {"virt-cpufreq-upstream", FREQUENCY},
        {"virtio-input-evdevs", MEDIA},
        {"virtio-snd", MEDIA},
        {"vtpm-proxy", "needs a device that Linux has no driver for"},
        {"wayland-sock", MEDIA},
        {"x-display", MEDIA},
};

static const char *const commands[] = {
        "balloon_ws", "battery", "create_composite", "create_qcow2", "device",
        "devices",    "gpu",     "make_rt",          "snd",          "usb",
        "version",    "vfio",
};

/** crosvm_run_option_reason() - why this version refuses --@name of crosvm's `run`; NULL: crosvm has none of that name */
const char *crosvm_run_option_reason(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(run_options); i++)
                if (str_eq(run_options[i].name, name))
                        return run_options[i].reason;
        return NULL;
}

/** crosvm_has_command() - whether crosvm has the command @name and this version does not */
bool crosvm_has_command(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(commands); i++)
                if (str_eq(commands[i], name))
                        return true;
        return false;
}
