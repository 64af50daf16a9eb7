#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The VMM's sandbox on the software processor, with a stock kernel. The same scenario runs on KVM in tests/testbed/.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2034 # read by the scenarios
hypervisor=soft scenarios=$here/../testbed/system

need_guest
unshare --user --mount true 2>unshare.log || skip_all "no user namespaces for us: $(cat unshare.log)"
# shellcheck source=tests/testbed/system/control.sh
. "$scenarios/control.sh"
# shellcheck source=tests/testbed/system/sandbox.sh
. "$scenarios/sandbox.sh"
scenario_sandbox
scenario_without
scenario_forbidden
[ $failed -eq 0 ]
