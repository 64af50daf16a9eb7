/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Connections by their two ports. The guest chooses both of them for connections of its own, so that the hash is keyed
 * with a secret; the table grows with what is in it.
 */

#include <stddef.h>
#include <stdint.h>

typedef struct VsockConn VsockConn;

typedef struct VsockConnTable {
        VsockConn **buckets; /* owned; the connections are borrowed */
        size_t n_buckets;    /* power of two */
        size_t n;
        uint64_t secret;
} VsockConnTable;

int vsock_conn_table_init(VsockConnTable *table);
void vsock_conn_table_deinit(VsockConnTable *table);
VsockConn *vsock_conn_table_find(const VsockConnTable *table, uint32_t guest_port,
                                 uint32_t host_port);
void vsock_conn_table_add(VsockConnTable *table, VsockConn *conn);
void vsock_conn_table_remove(VsockConnTable *table, VsockConn *conn);
