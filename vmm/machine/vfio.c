/* SPDX-License-Identifier: Apache-2.0 */

/* Functions of the host that the guest drives itself: those of the command line, and those that come and go while it runs. */

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>

#include "base/fd.h"
#include "base/str.h"
#include "vmm/machine/machine_internal.h"
#include "vmm/vfio/vfio.h"

static void handle_eoi(void *userdata, unsigned gsi) {
        pci_root_handle_eoi(((Machine *) userdata)->pci, gsi);
}

/* Guest memory is locked when the first function comes, and the sandbox has no right to more than the limit says. */
static int allow_locking(const GuestMem *mem, TextError *reterr) {
        const rlim_t needed = mem->size_bytes + guest_mem_file_bytes(mem);
        struct rlimit limit;

        if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
                return -errno;
        if (limit.rlim_cur >= needed)
                return 0;
        if (setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY}) == 0)
                return 0;
        limit.rlim_cur = limit.rlim_max;
        if (limit.rlim_max >= needed && setrlimit(RLIMIT_MEMLOCK, &limit) == 0)
                return 0;
        return text_error_set(reterr, -EPERM,
                              "guest memory, %" PRIu64
                              " KiB, must stay in the host's while there is a function, and this "
                              "process may lock %" PRIu64
                              " KiB: raise RLIMIT_MEMLOCK (LimitMEMLOCK= of the unit)",
                              (uint64_t) needed >> 10, (uint64_t) limit.rlim_max >> 10);
}

/* What functions that come later need opened, since the sandbox opens nothing. */
static int prepare_hotplug(Machine *machine, TextError *reterr) {
        const PassthroughOps *ops = machine->partition->passthrough;
        int r = vfio_container_open(machine->vfio, reterr);

        if (r < 0)
                return r;
        r = ops ? ops->prepare(machine->partition) : 0;
        if (r < 0)
                return text_error_set(reterr, r, "the hypervisor refuses: %s", strerror(-r));
        machine->vfio_hotplug = true;
        return 0;
}

/** machine_add_vfios() - the functions of --vfio; last, so that they take no other device's place */
int machine_add_vfios(Machine *machine, const VmmConfig *config, unsigned *slot,
                      TextError *reterr) {
        int r;

        if (config->n_vfios == 0 && !config->vfio_hotplug)
                return 0;
        r = config->vfio_hotplug ? allow_locking(machine->mem, reterr) : 0;
        if (r < 0)
                return text_error_prefix(reterr, r, "--vfio-hotplug");
        r = vfio_container_new(&vfio_kernel_ops, machine->mem, &machine->vfio);
        if (r < 0)
                return r;
        irqchip_set_eoi_handler(machine->irqchip, handle_eoi, machine);
        for (size_t i = 0; i < config->n_vfios; i++) {
                const VfioFunctionConfig function = {
                        .container = machine->vfio,
                        .path = config->vfios[i].path,
                        .root = machine->pci,
                        .slot = machine_next_slot(machine, slot, config->vfios[i].pci_slot),
                        .partition = machine->partition,
                        .loop = machine->loop,
                };

                r = vfio_function_new(&function, reterr);
                if (r < 0)
                        return text_error_prefix(reterr, r, "--vfio: %s", function.path);
        }
        if (!config->vfio_hotplug)
                return 0;
        r = prepare_hotplug(machine, reterr);
        return r < 0 ? text_error_prefix(reterr, r, "--vfio-hotplug") : 0;
}

/** machine_forget_vfio() - what is in @slot goes; nothing happens if it is no function that was plugged in */
void machine_forget_vfio(Machine *machine, unsigned slot) {
        for (unsigned i = 0; i < VFIO_FUNCTIONS_MAX; i++)
                if (*machine->functions[i].address && machine->functions[i].slot == slot)
                        machine->functions[i] = (MachineFunction){0};
}

/* ---- the control socket ---- */

/* "0000:00:04.0" of "/sys/bus/pci/devices/0000:00:04.0"; whether it is one is vmm/vfio's to say. */
static const char *address_of(const ControlRequest *request) {
        const char *slash = strrchr(request->text, '/');

        return slash ? slash + 1 : request->text;
}

static MachineFunction *find_function(Machine *machine, const char *address) {
        for (unsigned i = 0; i < VFIO_FUNCTIONS_MAX; i++)
                if (str_eq(machine->functions[i].address, address))
                        return &machine->functions[i];
        return NULL;
}

/* The guest runs on while the host finds room for its memory, and is stopped only while the bus changes. */
static int plug_consume(Machine *machine, const char *address, int group_fd, TextError *reterr) {
        const VfioFunctionConfig config = {
                .container = machine->vfio,
                .partition = machine->partition,
                .loop = machine->loop,
        };
        _cleanup_(fd_closep) int group = group_fd;
        MachineFunction *function = find_function(machine, "");
        PciDevice *pci = NULL;
        unsigned slot;
        int r;

        if (!machine->vfio_hotplug)
                return text_error_set(reterr, -EOPNOTSUPP,
                                      "this VM was started without --vfio-hotplug");
        if (!function)
                return text_error_set(reterr, -ENOSPC, "there are %u functions already",
                                      VFIO_FUNCTIONS_MAX);
        r = machine_plug_slot(machine, &slot, reterr);
        if (r < 0)
                return r;
        r = vfio_function_open_sent(&config, address, TAKE_FD(group), &pci, reterr);
        if (r < 0)
                return r;
        machine_pause(machine);
        r = pci_root_plug(machine->pci, pci, slot);
        machine_resume(machine);
        if (r < 0) {
                (void) pci->ops->free(pci);
                return text_error_set(reterr, r, "cannot put it on the bus: %s", strerror(-r));
        }
        memcpy(function->address, address, sizeof(function->address));
        function->slot = slot;
        machine_tell_plugged(machine, slot);
        return 0;
}

static void remove_function(Machine *machine, const char *address, ControlCall *call) {
        const MachineFunction *function = *address ? find_function(machine, address) : NULL;

        if (function)
                machine_unplug(machine, function->slot, call);
        else
                control_call_fail(call, "%s was not plugged in", control_call_request(call)->text);
}

static void on_function(void *userdata, ControlCall *call) {
        _cleanup_(text_error_deinit) TextError error = {0};
        _cleanup_(fd_closep) int fd = control_call_take_fd(call);
        const ControlRequest *request = control_call_request(call);
        const char *address = address_of(request);
        int r;

        if (!request->flag) {
                remove_function(userdata, address, call);
                return;
        }
        r = plug_consume(userdata, address, TAKE_FD(fd), &error);
        if (r < 0)
                control_call_fail(call, "%s: %s", request->text, text_error_message(&error, r));
        else
                control_call_ok(call);
}

/** machine_handle_vfio_requests() - register what the control socket may ask of the host's functions */
void machine_handle_vfio_requests(Machine *machine) {
        control_server_handle(machine->control, CONTROL_VFIO, on_function, machine);
}
