/* SPDX-License-Identifier: Apache-2.0 */

/* Network cards: those of the command line, and those that come, go and lose their cable while the machine runs. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/fd.h"
#include "base/fd_path.h"
#include "config/crosvm_net_flags.h"
#include "vmm/jail/jail.h"
#include "vmm/machine/machine_internal.h"
#include "vmm/virtio/devices.h"

/* Duplicates, so that a card that could not be made leaves the caller's descriptors as they were. */
static int inherit(const VmmNet *config, int *ret_fds, TextError *reterr) {
        for (size_t i = 0; i < config->n_tap_fds; i++) {
                char path[32];
                int fd;

                (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", config->tap_fds[i]);
                fd = fd_path_open(path, O_RDWR, 0);
                if (fd < 0) {
                        while (i > 0)
                                (void) fd_close(ret_fds[--i]);
                        return text_error_set(reterr, fd, "cannot inherit descriptor %s: %s", path,
                                              strerror(-fd));
                }
                ret_fds[i] = fd;
        }
        return 0;
}

static int new_backend(Machine *machine, const VmmNet *config, NetDev **ret, TextError *reterr) {
        int fds[VMM_NET_PAIRS_MAX] = {0}, r;

        if (config->user)
                return net_user_new(config, machine->loop, ret, reterr);
        if (config->tap_name)
                return net_tap_open(config->tap_name, config->n_pairs, machine->loop, ret, reterr);
        if (config->make)
                return net_tap_make(config, machine->loop, ret, reterr);
        r = inherit(config, fds, reterr);
        if (r < 0)
                return r;
        return net_tap_new_consume(fds, (unsigned) config->n_tap_fds, config->n_pairs,
                                   machine->loop, ret, reterr);
}

/* A locally administered address of one card. */
static int choose_mac(const VmmNet *config, uint8_t *ret) {
        if (config->has_mac && !config->make) {
                memcpy(ret, config->mac, sizeof(config->mac));
                return 0;
        }
        if (getrandom(ret, sizeof(config->mac), 0) != sizeof(config->mac))
                return -EIO;
        ret[0] = (uint8_t) ((ret[0] & ~0x01u) | 0x02u);
        return 0;
}

static void free_vhosts(Vhost **vhosts, unsigned n) {
        for (unsigned i = 0; vhosts && i < n; i++)
                (void) vhost_free(vhosts[i]);
        free(vhosts);
}

/* One device of the kernel's a pair; NULL if the VMM moves the frames. */
static int open_vhosts(Machine *machine, const VmmNet *config, Vhost ***ret, TextError *reterr) {
        Vhost **vhosts = NULL;
        int r = 0;

        if (config->vhost) {
                vhosts = calloc(config->n_pairs, sizeof(Vhost *));
                r = vhosts ? 0 : -ENOMEM;
        }
        for (unsigned i = 0; vhosts && r >= 0 && i < config->n_pairs; i++)
                r = machine_open_vhost(machine, config->vhost_device ?: VHOST_NET_DEVICE,
                                       &vhosts[i], reterr);
        if (r < 0) {
                free_vhosts(vhosts, config->n_pairs);
                return r;
        }
        *ret = vhosts;
        return 0;
}

static int new_card(Machine *machine, const VmmNet *config, VirtioDevice **ret, TextError *reterr) {
        VirtioNetConfig net_config = {
                .mergeable = config->mergeable, .packed = config->packed, .loop = machine->loop};
        _cleanup_(net_freep) NetDev *backend = NULL;
        int r;

        r = choose_mac(config, net_config.mac);
        if (r < 0)
                return r;
        r = new_backend(machine, config, &backend, reterr);
        if (r < 0)
                return text_error_prefix(reterr, r, "cannot use a network");
        r = open_vhosts(machine, config, &net_config.vhosts, reterr);
        if (r < 0)
                return text_error_prefix(reterr, r, "cannot use vhost-net");
        r = virtio_net_new(backend, &net_config, ret);
        if (r < 0) {
                free_vhosts(net_config.vhosts, config->n_pairs);
                return r;
        }
        TAKE(backend);
        return 0;
}

/** machine_add_networks() - put the cards of the command line into slots from *@slot on; before the machine runs */
int machine_add_networks(Machine *machine, const VmmConfig *config, unsigned *slot,
                         TextError *reterr) {
        for (size_t i = 0; i < config->n_nets; i++) {
                VirtioDevice *card = NULL;
                unsigned at;
                int r;

                r = new_card(machine, &config->nets[i], &card, reterr);
                if (r < 0)
                        return r;
                at = machine_next_slot(machine, slot, config->nets[i].pci_slot);
                r = machine_add_virtio(machine, card, at);
                if (r < 0)
                        return r;
                machine->nics[i] = (MachineNic){.device = card, .slot = at};
                pci_hotplug_set_removable(machine->pci_hotplug, at, true);
        }
        return 0;
}

static MachineNic *find_nic(Machine *machine, unsigned slot) {
        for (unsigned i = 0; i < VMM_NETS_MAX; i++)
                if (machine->nics[i].device && machine->nics[i].slot == slot)
                        return &machine->nics[i];
        return NULL;
}

static MachineNic *free_nic(Machine *machine) {
        for (unsigned i = 0; i < VMM_NETS_MAX; i++)
                if (!machine->nics[i].device)
                        return &machine->nics[i];
        return NULL;
}

/** machine_forget_network() - what is in @slot goes; nothing happens if it is no network card */
void machine_forget_network(Machine *machine, unsigned slot) {
        MachineNic *nic = find_nic(machine, slot);

        if (nic)
                *nic = (MachineNic){0};
}

/* ---- the control socket ---- */

static int parse_tap_name(const ControlRequest *request, VmmNet *net, TextError *reterr) {
        if (jail_is_closed())
                return text_error_set(reterr, -EACCES,
                                      "the sandbox cannot attach to %s: send the interface, open, "
                                      "as `virtio-net add` does",
                                      request->text);
        vmm_net_init(net);
        net->tap_name = strdup(request->text);
        return net->tap_name ? 0 : -ENOMEM;
}

/* A TAP interface by its descriptor; the request's text has the keys of --net that say how to use it. */
static int parse_tap_fd(const ControlRequest *request, int fd, VmmConfig *config,
                        TextError *reterr) {
        VmmNet *net = &config->nets[0];
        int r;

        if (request->text) {
                r = crosvm_net_parse(config, request->text, reterr);
                if (r < 0)
                        return r;
                if (net->n_tap_fds > 0 || net->tap_name || net->user || net->make)
                        return text_error_set(reterr, -EINVAL,
                                              "the descriptor is the network, not a key");
        } else
                vmm_net_init(net);
        config->n_nets = 1;
        net->tap_fds[0] = fd;
        net->n_tap_fds = 1;
        /* How opening tells a descriptor that it may use from our own; there is no exec that could leak it. */
        return fd_set_cloexec(fd, false);
}

static int parse_request(const ControlRequest *request, int fd, VmmConfig *config,
                         TextError *reterr) {
        int r;

        if (request->kind == CONTROL_NET_ADD_FD)
                r = parse_tap_fd(request, fd, config, reterr);
        else {
                config->n_nets = 1;
                r = parse_tap_name(request, &config->nets[0], reterr);
        }
        return r < 0 ? r : vmm_net_validate(&config->nets[0], reterr);
}

static int plug_card(Machine *machine, const VmmNet *config, unsigned *ret_slot,
                     TextError *reterr) {
        MachineNic *nic = free_nic(machine);
        VirtioDevice *card = NULL;
        int r;

        if (!nic)
                return text_error_set(reterr, -ENOSPC, "there are %u cards already", VMM_NETS_MAX);
        r = new_card(machine, config, &card, reterr);
        if (r < 0)
                return r;
        r = machine_plug_consume(machine, card, ret_slot, reterr);
        if (r < 0)
                return r;
        *nic = (MachineNic){.device = card, .slot = *ret_slot};
        return 0;
}

static void on_add(void *userdata, ControlCall *call) {
        _cleanup_(text_error_deinit) TextError error = {0};
        _cleanup_(vmm_config_deinit) VmmConfig config;
        ControlAnswer answer = {.kind = CONTROL_ANSWER_HOTPLUG};
        _cleanup_(fd_closep) int fd = control_call_take_fd(call);
        int r;

        vmm_config_init(&config);
        r = parse_request(control_call_request(call), fd, &config, &error);
        if (r >= 0)
                r = plug_card(userdata, &config.nets[0], &answer.bus, &error);
        if (r < 0)
                control_call_fail(call, "%s", text_error_message(&error, r));
        else
                control_call_answer(call, &answer);
}

static void on_remove(void *userdata, ControlCall *call) {
        const unsigned slot = control_call_request(call)->index;

        if (!find_nic(userdata, slot))
                control_call_fail(call, "bus %u is no network card", slot);
        else
                machine_unplug(userdata, slot, call);
}

static void on_set_link(void *userdata, ControlCall *call) {
        const ControlRequest *request = control_call_request(call);
        const MachineNic *nic = find_nic(userdata, request->index);

        if (!nic) {
                control_call_fail(call, "bus %u is no network card", request->index);
                return;
        }
        virtio_net_set_link(nic->device, request->flag);
        control_call_ok(call);
}

/** machine_handle_network_requests() - register what the control socket may ask of network cards */
void machine_handle_network_requests(Machine *machine) {
        control_server_handle(machine->control, CONTROL_NET_ADD, on_add, machine);
        control_server_handle(machine->control, CONTROL_NET_ADD_FD, on_add, machine);
        control_server_handle(machine->control, CONTROL_NET_REMOVE, on_remove, machine);
        control_server_handle(machine->control, CONTROL_NET_LINK, on_set_link, machine);
}
