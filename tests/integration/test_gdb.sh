#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Dumps of a stock kernel on the software processor, as gdb reads them, and gdb on such a kernel while it runs.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
explain() { tail -n 40 ./*.console ./*.log; }
# shellcheck disable=SC2034 # read by the scenarios
hypervisor=soft scenarios=$here/../testbed/system

need_guest
command -v gdb >gdb.path || skip_all "no gdb: make deps"
# shellcheck source=tests/testbed/system/control.sh
. "$scenarios/control.sh"
# shellcheck source=tests/testbed/system/debug.sh
. "$scenarios/debug.sh"
# shellcheck disable=SC2086 # several
scenario_ramdump $debugged_symbols
scenario_gdb_attach dumped
scenario_gdb dumped
[ $failed -eq 0 ]
