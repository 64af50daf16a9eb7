#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: step-stress.sh [SECONDS]
# stress-ng on every processor, checking what it computes; a hundred seconds for each stressor unless told.
set -e
cpus=$(nproc)
for stressor in cpu vm atomic futex matrix memcpy; do
        more=
        [ $stressor != vm ] || more='--vm-bytes 25%'
        # shellcheck disable=SC2086
        stress-ng --verify --metrics-brief --$stressor "$cpus" $more -t "${1:-100}"
        echo "ok stress $stressor on $cpus processors"
done
