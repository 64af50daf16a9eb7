#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A guest that abuses every device, on the software processor. VIVARIUM_FULL=1: for some minutes. VIVARIUM_SANITIZED=1: with a
# VMM that was built with sanitizers, as `make hostile-asan` does.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2034 # read by the scenarios
hypervisor=soft scenarios=$here/../testbed/system

# shellcheck source=tests/testbed/system/hostile.sh
. "$scenarios/hostile.sh"
if [ -n "${VIVARIUM_FULL:-}" ]; then
        # shellcheck disable=SC2046 # numbers
        scenario_hostile 500 $(seq 20) firmware
elif [ -n "${VIVARIUM_SANITIZED:-}" ]; then
        scenario_hostile 100 5 6 firmware
else
        scenario_hostile 200 1 2 3 4 firmware
fi
[ $failed -eq 0 ]
