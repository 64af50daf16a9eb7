#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# openssl's own benchmark, which stops when a signature does not verify, and one key of each kind used both ways.
set -e
openssl speed -seconds 1 -bytes 8192 sha256 sha512 md5 aes-128-cbc ghash
openssl speed -seconds 1 rsa2048 ecdsap256 ecdhx25519 ed25519
dir=$(mktemp -d)
head -c 100000 /soak/data/bytes >"$dir/text"
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$dir/rsa" 2>/dev/null
openssl ecparam -genkey -name secp384r1 -noout -out "$dir/ec"
for key in rsa ec; do
        openssl pkey -in "$dir/$key" -pubout -out "$dir/$key.pub"
        openssl dgst -sha256 -sign "$dir/$key" -out "$dir/signature" "$dir/text"
        openssl dgst -sha256 -verify "$dir/$key.pub" -signature "$dir/signature" "$dir/text"
done
openssl prime -generate -bits 512
rm -rf "$dir"
