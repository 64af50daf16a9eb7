/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/gdb/rsp.h"

#include <errno.h>

#define ESCAPE '}'
#define ESCAPE_XOR 0x20
#define INTERRUPT 0x03

static const char digits[] = "0123456789abcdef";

/** rsp_digit() - value of a hexadecimal digit, or -1 */
int rsp_digit(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}

static RspEvent read_between(RspReader *reader, uint8_t byte) {
        switch (byte) {
        case '$':
                reader->state = RSP_DATA;
                reader->sum = 0;
                reader->len = 0;
                reader->broken = false;
                return RSP_NOTHING;
        case INTERRUPT:
                return RSP_INTERRUPT;
        case '-':
                return RSP_NACK;
        default:
                return RSP_NOTHING; /* an acknowledgement, or noise */
        }
}

static void append(RspReader *reader, uint8_t byte) {
        if (reader->len == RSP_PACKET_BYTES_MAX)
                reader->broken = true;
        else
                reader->data[reader->len++] = (char) byte;
}

static RspEvent read_checksum_low(RspReader *reader, uint8_t byte) {
        int low = rsp_digit((char) byte);
        bool good = !reader->broken && low >= 0 &&
                    reader->sum == (uint8_t) (reader->expected_high << 4 | low);

        reader->state = RSP_BETWEEN;
        reader->data[reader->len] = '\0';
        return good ? RSP_PACKET : RSP_BAD;
}

/** rsp_read() - take one byte of the stream. Return: what is complete with it. */
RspEvent rsp_read(RspReader *reader, uint8_t byte) {
        int high;

        switch (reader->state) {
        case RSP_BETWEEN:
                return read_between(reader, byte);
        case RSP_DATA:
                if (byte == '#') {
                        reader->state = RSP_CHECKSUM_HIGH;
                        return RSP_NOTHING;
                }
                reader->sum = (uint8_t) (reader->sum + byte);
                if (byte == ESCAPE)
                        reader->state = RSP_ESCAPED;
                else
                        append(reader, byte);
                return RSP_NOTHING;
        case RSP_ESCAPED:
                reader->sum = (uint8_t) (reader->sum + byte);
                append(reader, byte ^ ESCAPE_XOR);
                reader->state = RSP_DATA;
                return RSP_NOTHING;
        case RSP_CHECKSUM_HIGH:
                high = rsp_digit((char) byte);
                reader->broken = reader->broken || high < 0;
                reader->expected_high = (uint8_t) (high < 0 ? 0 : high);
                reader->state = RSP_CHECKSUM_LOW;
                return RSP_NOTHING;
        case RSP_CHECKSUM_LOW:
                return read_checksum_low(reader, byte);
        }
        return RSP_NOTHING;
}

/**
 * rsp_frame() - a packet around @data, in which binary parts are escaped already
 *
 * Return: its length; 0 when @size is too small.
 */
size_t rsp_frame(const char *data, size_t len, char *buf, size_t size) {
        uint8_t sum = 0;

        if (size < len + 4)
                return 0;
        buf[0] = '$';
        for (size_t i = 0; i < len; i++) {
                buf[1 + i] = data[i];
                sum = (uint8_t) (sum + (uint8_t) data[i]);
        }
        buf[1 + len] = '#';
        buf[2 + len] = digits[sum >> 4];
        buf[3 + len] = digits[sum & 15];
        return len + 4;
}

/**
 * rsp_escape() - binary data as it stands in a packet
 *
 * Return: bytes written, as much of @data as fits.
 */
size_t rsp_escape(const uint8_t *data, size_t len, char *buf, size_t size) {
        size_t n = 0;

        for (size_t i = 0; i < len; i++) {
                bool special =
                        data[i] == '$' || data[i] == '#' || data[i] == ESCAPE || data[i] == '*';

                if (n + (special ? 2 : 1) > size)
                        break;
                if (special)
                        buf[n++] = ESCAPE;
                buf[n++] = (char) (special ? data[i] ^ ESCAPE_XOR : data[i]);
        }
        return n;
}

/** rsp_hex() - two digits for each byte; @ret has room for 2 * @len, and is not terminated */
void rsp_hex(const void *data, size_t len, char *ret) {
        const uint8_t *bytes = data;

        for (size_t i = 0; i < len; i++) {
                ret[2 * i] = digits[bytes[i] >> 4];
                ret[2 * i + 1] = digits[bytes[i] & 15];
        }
}

/** rsp_unhex() - the inverse for @len bytes from 2 * @len digits. Return: 0 or -EINVAL, with part of @ret written. */
int rsp_unhex(const char *text, size_t len, void *ret) {
        uint8_t *bytes = ret;

        for (size_t i = 0; i < len; i++) {
                int high = rsp_digit(text[2 * i]);
                int low = high < 0 ? -1 : rsp_digit(text[2 * i + 1]);

                if (low < 0)
                        return -EINVAL;
                bytes[i] = (uint8_t) (high << 4 | low);
        }
        return 0;
}

/** rsp_number() - read a hexadecimal number of up to 64 bits and move on. Return: whether there was one. */
bool rsp_number(const char **text, uint64_t *ret) {
        uint64_t value = 0;
        unsigned n = 0;
        int digit;

        while ((digit = rsp_digit((*text)[n])) >= 0) {
                if (n == 16)
                        return false;
                value = value << 4 | (unsigned) digit;
                n++;
        }
        if (n == 0)
                return false;
        *text += n;
        *ret = value;
        return true;
}
