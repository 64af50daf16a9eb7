/* SPDX-License-Identifier: Apache-2.0 */
#include "config/crosvm_pci_flags.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

/* One to four hexadecimal digits. */
static bool take_hex(const char **p, unsigned max, unsigned *ret) {
        unsigned value = 0, n = 0;

        for (; n < 5 && isxdigit((unsigned char) **p); (*p)++, n++) {
                const unsigned char c = (unsigned char) **p;

                value = value << 4 | (unsigned) (isdigit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
        }
        *ret = value;
        return n >= 1 && n <= 4 && value <= max;
}

/**
 * crosvm_pci_address_parse() - "[0000:]BUS:DEVICE.FUNCTION" in hexadecimal, as lspci prints it
 * @ret_slot: 1..VMM_PCI_SLOT_MAX
 *
 * The board has one bus, number 0, and each device one function, number 0.
 *
 * Return: 0; -EINVAL.
 */
int crosvm_pci_address_parse(const char *text, unsigned *ret_slot, TextError *reterr) {
        const char *first = strchr(text, ':'), *p = text;
        unsigned domain = 0, bus, device, function;
        bool ok = true;

        if (first && strchr(first + 1, ':'))
                ok = take_hex(&p, 0xffff, &domain) && *p++ == ':';
        ok = ok && take_hex(&p, 0xff, &bus) && *p++ == ':' &&
             take_hex(&p, VMM_PCI_SLOT_MAX, &device) && *p++ == '.' && take_hex(&p, 7, &function) &&
             !*p;
        if (!ok)
                return text_error_set(reterr, -EINVAL, "expected BUS:DEVICE.FUNCTION, not '%s'",
                                      text);
        if (domain != 0 || bus != 0 || function != 0 || device == 0)
                return text_error_set(reterr, -EINVAL,
                                      "%s: this board has functions 00:01.0 to 00:1f.0", text);
        *ret_slot = device;
        return 0;
}

/** crosvm_pci_address_set() - the key pci-address= of a device */
int crosvm_pci_address_set(const KvItem *item, unsigned *ret_slot, TextError *reterr) {
        return crosvm_pci_address_parse(item->value ?: "", ret_slot, reterr);
}

/** crosvm_pci_address_append() - add pci-address= to a comma list that has items, unless @slot is 0 */
void crosvm_pci_address_append(StrBuf *buf, unsigned slot) {
        if (slot != 0)
                strbuf_printf(buf, ",pci-address=00:%02x.0", slot);
}

/* ---- --pci ---- */

static int set_range_start(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_u64(item, 0, UINT32_MAX, &((VmmRange *) object)->start, reterr);
}

static int set_range_size(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_u64(item, 1, UINT32_MAX, &((VmmRange *) object)->size, reterr);
}

/* "[start=N,size=N]" */
static int set_range(VmmRange *range, const KvItem *item, TextError *reterr) {
        static const KvField fields[] = {{"start", set_range_start}, {"size", set_range_size}};
        _cleanup_(freep) char *inner = NULL;
        int r;

        if (!item->list)
                return text_error_set(reterr, -EINVAL, "expected [start=N,size=N]");
        inner = strndup(item->value + 1, strlen(item->value) - 2);
        if (!inner)
                return -ENOMEM;
        r = kv_apply(inner, NULL, fields, ELEMENTSOF(fields), range, reterr);
        if (r == 0 && (range->start == 0 || range->size == 0))
                r = text_error_set(reterr, -EINVAL, "needs start= and size=");
        return r;
}

static int set_mem(void *object, const KvItem *item, TextError *reterr) {
        return set_range(&((VmmConfig *) object)->board.pci_mem, item, reterr);
}

static int set_ecam(void *object, const KvItem *item, TextError *reterr) {
        return set_range(&((VmmConfig *) object)->board.pci_ecam, item, reterr);
}

static int set_cam(void *object, const KvItem *item, TextError *reterr) {
        return text_error_set(reterr, -EINVAL, "not on x86, where it is at ports; see ecam=");
}

/** crosvm_pci_parse() - "mem=[start=N,size=N],ecam=[start=N,size=N]" */
int crosvm_pci_parse(VmmConfig *config, const char *value, TextError *reterr) {
        static const KvField fields[] = {
                {"mem", set_mem, KV_LIST},
                {"ecam", set_ecam, KV_LIST},
                {"cam", set_cam, KV_LIST},
        };

        return kv_apply(value, NULL, fields, ELEMENTSOF(fields), config, reterr);
}

static void append_range(StrBuf *buf, const char *name, const VmmRange *range) {
        if (range->size > 0)
                strbuf_printf(buf, "%s%s=[start=0x%" PRIx64 ",size=0x%" PRIx64 "]",
                              buf->len > 0 ? "," : "", name, range->start, range->size);
}

/** crosvm_pci_emit() - the value of --pci, NULL for the usual map */
int crosvm_pci_emit(const VmmBoard *board, char **ret) {
        _cleanup_(strbuf_deinit) StrBuf buf = {0};

        append_range(&buf, "mem", &board->pci_mem);
        append_range(&buf, "ecam", &board->pci_ecam);
        *ret = NULL;
        return buf.len > 0 || buf.failed ? strbuf_finish(&buf, ret) : 0;
}

/* What is from @start to where configuration space is, unless told otherwise. */
#define USUAL_END UINT64_C(0xe0000000)

/** crosvm_pci_start_parse() - where the window below 4 GiB begins; its end stays */
int crosvm_pci_start_parse(VmmConfig *config, const char *value, TextError *reterr) {
        uint64_t start;

        if (parse_u64(value, &start) < 0 || start == 0 || start >= USUAL_END)
                return text_error_set(reterr, -EINVAL,
                                      "expected an address below 0x%" PRIx64 ", not '%s'",
                                      USUAL_END, value);
        config->board.pci_mem = (VmmRange){.start = start, .size = USUAL_END - start};
        return 0;
}

/* "START,SIZE" */
static int parse_pair(const char *value, char separator, uint64_t *ret_first,
                      uint64_t *ret_second) {
        const char *middle = strchr(value, separator);
        _cleanup_(freep) char *first =
                middle ? strndup(value, (size_t) (middle - value)) : strdup(value);

        if (!first)
                return -ENOMEM;
        return middle && parse_u64(first, ret_first) == 0 && parse_u64(middle + 1, ret_second) == 0
                       ? 0
                       : -EINVAL;
}

/** crosvm_pcie_ecam_parse() - "START,SIZE" of configuration space */
int crosvm_pcie_ecam_parse(VmmConfig *config, const char *value, TextError *reterr) {
        VmmRange range;
        int r = parse_pair(value, ',', &range.start, &range.size);

        if (r == -EINVAL || (r == 0 && range.size == 0))
                return text_error_set(reterr, -EINVAL, "expected START,SIZE, not '%s'", value);
        if (r == 0)
                config->board.pci_ecam = range;
        return r;
}

/* ---- --mmio-address-range ---- */

static int add_mmio_range(VmmBoard *board, const char *text, TextError *reterr) {
        uint64_t start, last;
        int r = parse_pair(text, '-', &start, &last);

        if (r == -EINVAL || (r == 0 && (start > last || last == UINT64_MAX)))
                return text_error_set(reterr, -EINVAL, "expected FIRST-LAST, not '%s'", text);
        if (r < 0)
                return r;
        if (board->n_mmio_ranges >= VMM_MMIO_RANGES_MAX)
                return text_error_set(reterr, -EINVAL, "more than %u ranges", VMM_MMIO_RANGES_MAX);
        board->mmio_ranges[board->n_mmio_ranges++] =
                (VmmRange){.start = start, .size = last - start + 1};
        return 0;
}

/** crosvm_mmio_ranges_parse() - "FIRST-LAST,FIRST-LAST…", both ends included */
int crosvm_mmio_ranges_parse(VmmConfig *config, const char *value, TextError *reterr) {
        _cleanup_(freep) char *copy = strdup(value);
        char *rest = copy, *word;
        int r = 0;

        if (!copy)
                return -ENOMEM;
        while (r == 0 && (word = strsep(&rest, ",")))
                r = add_mmio_range(&config->board, word, reterr);
        return r;
}

/** crosvm_mmio_ranges_emit() - the value of --mmio-address-range, NULL for none */
int crosvm_mmio_ranges_emit(const VmmBoard *board, char **ret) {
        _cleanup_(strbuf_deinit) StrBuf buf = {0};

        *ret = NULL;
        for (size_t i = 0; i < board->n_mmio_ranges; i++)
                strbuf_printf(&buf, "%s0x%" PRIx64 "-0x%" PRIx64, i > 0 ? "," : "",
                              board->mmio_ranges[i].start,
                              board->mmio_ranges[i].start + board->mmio_ranges[i].size - 1);
        return board->n_mmio_ranges > 0 ? strbuf_finish(&buf, ret) : 0;
}

/* ---- --stub-pci-device ---- */

static int get_u32(const KvItem *item, uint32_t max, uint32_t *ret, TextError *reterr) {
        uint64_t value;
        int r = kv_get_u64(item, 0, max, &value, reterr);

        if (r == 0)
                *ret = (uint32_t) value;
        return r;
}

static int set_stub_u16(uint16_t *member, const KvItem *item, TextError *reterr) {
        uint32_t value;
        int r = get_u32(item, UINT16_MAX, &value, reterr);

        if (r == 0)
                *member = (uint16_t) value;
        return r;
}

static int set_stub_address(void *object, const KvItem *item, TextError *reterr) {
        return crosvm_pci_address_set(item, &((VmmStub *) object)->slot, reterr);
}

static int set_stub_vendor(void *object, const KvItem *item, TextError *reterr) {
        return set_stub_u16(&((VmmStub *) object)->vendor, item, reterr);
}

static int set_stub_device(void *object, const KvItem *item, TextError *reterr) {
        return set_stub_u16(&((VmmStub *) object)->device, item, reterr);
}

static int set_stub_subsystem_vendor(void *object, const KvItem *item, TextError *reterr) {
        return set_stub_u16(&((VmmStub *) object)->subsystem_vendor, item, reterr);
}

static int set_stub_subsystem(void *object, const KvItem *item, TextError *reterr) {
        return set_stub_u16(&((VmmStub *) object)->subsystem, item, reterr);
}

static int set_stub_class(void *object, const KvItem *item, TextError *reterr) {
        return get_u32(item, 0xffffffu, &((VmmStub *) object)->class_code, reterr);
}

static int set_stub_revision(void *object, const KvItem *item, TextError *reterr) {
        uint32_t value;
        int r = get_u32(item, UINT8_MAX, &value, reterr);

        if (r == 0)
                ((VmmStub *) object)->revision = (uint8_t) value;
        return r;
}

/** crosvm_stub_parse() - "BUS:DEVICE.FUNCTION,vendor=N,device=N,class=N,…" */
int crosvm_stub_parse(VmmConfig *config, const char *value, TextError *reterr) {
        static const KvField fields[] = {
                {"address", set_stub_address},
                {"vendor", set_stub_vendor},
                {"device", set_stub_device},
                {"class", set_stub_class},
                {"subsystem-vendor", set_stub_subsystem_vendor},
                {"subsystem-device", set_stub_subsystem},
                {"revision", set_stub_revision},
        };
        VmmStub stub = {0};
        int r;

        if (config->board.n_stubs >= VMM_STUBS_MAX)
                return text_error_set(reterr, -EINVAL, "more than %u of them", VMM_STUBS_MAX);
        r = kv_apply(value, "address", fields, ELEMENTSOF(fields), &stub, reterr);
        if (r < 0)
                return r;
        if (stub.slot == 0 || stub.vendor == UINT16_MAX)
                return text_error_set(reterr, -EINVAL, "needs an address and a vendor");
        config->board.stubs[config->board.n_stubs++] = stub;
        return 0;
}

/** crosvm_stub_emit() - the value of one --stub-pci-device */
int crosvm_stub_emit(const VmmStub *stub, char **ret) {
        _cleanup_(strbuf_deinit) StrBuf buf = {0};

        strbuf_printf(&buf,
                      "00:%02x.0,vendor=0x%x,device=0x%x,class=0x%x,subsystem-vendor=0x%x,"
                      "subsystem-device=0x%x,revision=%u",
                      stub->slot, stub->vendor, stub->device, stub->class_code,
                      stub->subsystem_vendor, stub->subsystem, stub->revision);
        return strbuf_finish(&buf, ret);
}
