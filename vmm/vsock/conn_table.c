/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/vsock/conn_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "vmm/vsock/conn.h"

#define BUCKETS_FIRST 16u

/* The finalizer of MurmurHash3: every bit of the key reaches every bit of the result. */
static uint64_t mix(uint64_t key) {
        key ^= key >> 33;
        key *= UINT64_C(0xff51afd7ed558ccd);
        key ^= key >> 33;
        key *= UINT64_C(0xc4ceb9fe1a85ec53);
        return key ^ key >> 33;
}

static size_t bucket_of(const VsockConnTable *table, uint32_t guest_port, uint32_t host_port) {
        uint64_t key = (uint64_t) guest_port << 32 | host_port;

        return (size_t) (mix(mix(key ^ table->secret) + table->secret) & (table->n_buckets - 1));
}

/** vsock_conn_table_init() - an empty table. Return: 0; -ENOMEM; what getrandom() says. */
int vsock_conn_table_init(VsockConnTable *table) {
        *table = (VsockConnTable){.n_buckets = BUCKETS_FIRST};
        if (getrandom(&table->secret, sizeof(table->secret), 0) != sizeof(table->secret))
                return -errno;
        table->buckets = calloc(table->n_buckets, sizeof(VsockConn *));
        return table->buckets ? 0 : -ENOMEM;
}

/** vsock_conn_table_deinit() - release the table, not what is in it */
void vsock_conn_table_deinit(VsockConnTable *table) {
        free(table->buckets);
        *table = (VsockConnTable){0};
}

/** vsock_conn_table_find() - the connection between the two ports, or NULL */
VsockConn *vsock_conn_table_find(const VsockConnTable *table, uint32_t guest_port,
                                 uint32_t host_port) {
        VsockConn *conn = table->buckets[bucket_of(table, guest_port, host_port)];

        while (conn && (conn->guest_port != guest_port || conn->host_port != host_port))
                conn = conn->hash_next;
        return conn;
}

static void put(VsockConnTable *table, VsockConn *conn) {
        VsockConn **bucket = &table->buckets[bucket_of(table, conn->guest_port, conn->host_port)];

        conn->hash_next = *bucket;
        *bucket = conn;
}

/* A table that cannot grow still works, only slower. */
static void grow(VsockConnTable *table) {
        VsockConn **old = table->buckets;
        size_t n_old = table->n_buckets;
        VsockConn **buckets = calloc(2 * n_old, sizeof(VsockConn *));

        if (!buckets)
                return;
        table->buckets = buckets;
        table->n_buckets = 2 * n_old;
        for (size_t i = 0; i < n_old; i++)
                while (old[i]) {
                        VsockConn *conn = old[i];

                        old[i] = conn->hash_next;
                        put(table, conn);
                }
        free(old);
}

/** vsock_conn_table_add() - @conn becomes known by its ports, which no other has; borrowed until it is removed */
void vsock_conn_table_add(VsockConnTable *table, VsockConn *conn) {
        assert(!conn->in_table);

        if (table->n >= table->n_buckets)
                grow(table);
        put(table, conn);
        conn->in_table = true;
        table->n++;
}

/** vsock_conn_table_remove() - forget @conn; without effect when it is not in the table */
void vsock_conn_table_remove(VsockConnTable *table, VsockConn *conn) {
        VsockConn **p;

        if (!conn->in_table)
                return;
        p = &table->buckets[bucket_of(table, conn->guest_port, conn->host_port)];
        while (*p != conn)
                p = &(*p)->hash_next;
        *p = conn->hash_next;
        conn->in_table = false;
        table->n--;
}
