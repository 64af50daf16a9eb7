#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Devices that other processes serve, with stock drivers on the software processor. tests/testbed/system/vhost_user.sh tells
# what may be set.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
explain() { tail -n 20 ./*.console ./*.log; }
# shellcheck disable=SC2034 # read by the scenarios
hypervisor=soft scenarios=$here/../testbed/system

need_guest initrd.img
# shellcheck source=tests/testbed/system/control.sh
. "$scenarios/control.sh"
# shellcheck source=tests/testbed/system/vhost_user.sh
. "$scenarios/vhost_user.sh"
type -P "$qsd" >qsd.path || skip_all "no $qsd"
scenario_served_disk
scenario_served_disk_grows
scenario_served_sockets
scenario_served_rng
scenario_served_card
scenario_served_folder
VIVARIUM_VHOST_CONSOLE=$VIVARIUM_BUILD/tests/fake/vhost_console scenario_served_console
vm_begin gone poweroff --vhost-user block,socket=gone.sock
ends_with "a process that is not there is an error at the start" 1
check "which names the device" grep -q -- '--vhost-user block,socket=gone.sock: cannot connect' gone.log
[ $failed -eq 0 ]
