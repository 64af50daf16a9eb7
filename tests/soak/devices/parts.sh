# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# What devices are to stand for long, in parts: the scenarios of tests/testbed/system/, with the figures of their promises.
# Sourced in an empty directory by what sets $vmm, $guest, $hypervisor and $scenarios, and has pass(), fail(), same() and
# skip(). SOAK_SECONDS (60): of each TCP stream; SOAK_MIB (1024); SOAK_CONNECTIONS (10000); SOAK_BALLOONS (100);
# SOAK_SUSPENDS (1000).

# shellcheck disable=SC2034 # read by the scenarios
VIVARIUM_NET_SECONDS=${SOAK_SECONDS:-60} VIVARIUM_PATIENCE=1500 VIVARIUM_LIFE=3600
mib=${SOAK_MIB:-1024} connections=${SOAK_CONNECTIONS:-10000}
# shellcheck source=tests/testbed/system/network.sh
. "$scenarios/network.sh"
# shellcheck source=tests/testbed/system/sockets.sh
. "$scenarios/sockets.sh"
# shellcheck source=tests/testbed/system/devices.sh
. "$scenarios/devices.sh"
# shellcheck source=tests/testbed/system/swap.sh
. "$scenarios/swap.sh"

# part NAME: one of those that follow
part() {
        case $1 in
        tcp) scenario_tap ;;
        packed) scenario_packed ;;
        user) scenario_user ;;
        folder)
                scenario_folder "$mib"
                rm -rf folder
                ;;
        disk) scenario_disk_bytes "$mib" ;;
        sockets) scenario_sockets "$connections" $((mib << 20)) ;;
        balloon) scenario_balloon "${SOAK_BALLOONS:-100}" ;;
        reporting) scenario_reporting ;;
        suspend) scenario_suspend_card "${SOAK_SUSPENDS:-1000}" ;;
        swap) scenario_swap ;;
        all) scenario_devices ;;
        vhost) scenario_vhost ;;
        vhost_sockets) scenario_vhost_sockets "$connections" $((mib << 20)) ;;
        *) fail "there is a part $1" ;;
        esac
}
