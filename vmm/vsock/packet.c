/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/vsock/packet.h"

#include "base/le.h"

/** vsock_header_load() - the header that @raw, a copy of guest memory, holds; nothing is judged */
void vsock_header_load(const uint8_t raw[VSOCK_HEADER_LEN], VsockHeader *ret) {
        *ret = (VsockHeader){
                .src_cid = le64_load(raw),
                .dst_cid = le64_load(raw + 8),
                .src_port = le32_load(raw + 16),
                .dst_port = le32_load(raw + 20),
                .len = le32_load(raw + 24),
                .type = le16_load(raw + 28),
                .op = le16_load(raw + 30),
                .flags = le32_load(raw + 32),
                .buf_alloc = le32_load(raw + 36),
                .fwd_cnt = le32_load(raw + 40),
        };
}

/** vsock_header_store() - @header as it goes over the queue */
void vsock_header_store(uint8_t raw[VSOCK_HEADER_LEN], const VsockHeader *header) {
        le64_store(raw, header->src_cid);
        le64_store(raw + 8, header->dst_cid);
        le32_store(raw + 16, header->src_port);
        le32_store(raw + 20, header->dst_port);
        le32_store(raw + 24, header->len);
        le16_store(raw + 28, header->type);
        le16_store(raw + 30, header->op);
        le32_store(raw + 32, header->flags);
        le32_store(raw + 36, header->buf_alloc);
        le32_store(raw + 40, header->fwd_cnt);
}
