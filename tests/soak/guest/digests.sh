#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# openssl's digests and ciphers over `bytes` in the working directory; run by the host and by the guest, which must agree.
for digest in md5 sha1 sha256 sha512 sha3-256 blake2b512 sm3 ripemd160; do
        openssl dgst -$digest bytes
done
for cipher in aes-128-cbc aes-256-ctr aes-128-ofb aes-256-cfb chacha20 camellia-256-cbc aria-128-ctr; do
        printf '%s ' $cipher
        openssl enc -$cipher -in bytes -K 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f \
                -iv 0f0e0d0c0b0a09080706050403020100 2>/dev/null | sha256sum
done
cksum bytes
