#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the host computed of /soak/data, this processor computes too.
set -e
cd /soak/data
for sum in md5sum sha1sum sha224sum sha256sum sha384sum sha512sum b2sum; do
        $sum -c --quiet $sum
done
sh /soak/digests.sh >/tmp/digests
cmp /tmp/digests digests
