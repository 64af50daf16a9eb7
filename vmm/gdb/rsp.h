/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Packets of gdb's remote serial protocol (GDB manual, appendix E.1): "$data#checksum", acknowledged by + or - until
 * both sides agree that the transport loses nothing. Bytes go in as they arrive; whole packets come out.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RSP_PACKET_BYTES_MAX 16384u /* of data, without frame; told to gdb as PacketSize */

typedef enum RspEvent {
        RSP_NOTHING,   /* more bytes are needed */
        RSP_PACKET,    /* RspReader.data has a whole packet */
        RSP_BAD,       /* a packet with a wrong checksum or too long: to be asked for again */
        RSP_INTERRUPT, /* the user wants the target to stop */
        RSP_NACK,      /* gdb wants the last answer once more */
} RspEvent;

typedef enum RspState {
        RSP_BETWEEN,
        RSP_DATA,
        RSP_ESCAPED,
        RSP_CHECKSUM_HIGH,
        RSP_CHECKSUM_LOW,
} RspState;

/* Zero-initialised is ready for a new connection. */
typedef struct RspReader {
        RspState state;
        uint8_t sum;           /* of the packet's bytes as they were sent */
        uint8_t expected_high; /* first digit of the checksum */
        bool broken;           /* too long, or no digit where one belongs */
        size_t len;
        char data[RSP_PACKET_BYTES_MAX + 1]; /* terminated; may hold NULs */
} RspReader;

RspEvent rsp_read(RspReader *reader, uint8_t byte);

size_t rsp_frame(const char *data, size_t len, char *buf, size_t size);
size_t rsp_escape(const uint8_t *data, size_t len, char *buf, size_t size);

int rsp_digit(char c);
void rsp_hex(const void *data, size_t len, char *ret);
int rsp_unhex(const char *text, size_t len, void *ret);
bool rsp_number(const char **text, uint64_t *ret);
