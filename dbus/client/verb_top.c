/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "dbus/client/format.h"
#include "dbus/client/reasons.h"
#include "dbus/client/session.h"
#include "dbus/client/table.h"
#include "dbus/client/usage.h"
#include "dbus/client/utf8.h"
#include "dbus/client/verbs.h"

#define DELAY_SEC_MAX 3600u
#define CLEAR "\x1b[H\x1b[J"
#define KEYS_HELP "Keys: c by CPU, m by memory, n by name, space at once, q quit"

typedef struct Top {
        Client *client; /* borrowed */
        TextError *reterr;
        sd_event *event;        /* owned */
        sd_event_source *timer; /* owned */
        Terminal terminal;
        UsageLook last; /* owned */
        UsageOrder order;
        usec_t delay_usec;
        uint32_t left; /* looks; 0: no end */
        bool live;     /* a screen that is drawn anew, else one table behind the other */
        bool first;
} Top;

static void top_deinit(Top *top) {
        terminal_leave_raw(&top->terminal);
        usage_deinit(&top->last);
        (void) sd_event_source_disable_unref(top->timer);
        top->event = sd_event_unref(top->event);
}

static int add_row(const UsageRow *row, Table *table) {
        char cpu[FORMAT_MAX], guest[FORMAT_MAX], memory[FORMAT_MAX], vmm[FORMAT_MAX],
                up[FORMAT_MAX];
        uint64_t ran = row->sampled_usec - MIN(row->sampled_usec, row->started_usec);
        int r = table_add(table, row->name);

        if (r >= 0)
                r = table_addf(table, "%" PRIu64, row->vcpus);
        if (r >= 0)
                r = row->cpu_percent < 0 ? table_add(table, "-")
                                         : table_addf(table, "%.1f", row->cpu_percent);
        if (r >= 0)
                r = table_add(table, format_timespan(cpu, row->cpu_usec));
        if (r >= 0)
                r = table_add(table, format_bytes(guest, row->guest_bytes));
        if (r >= 0)
                r = table_add(table, format_bytes(memory, row->memory_bytes));
        if (r >= 0)
                r = table_add(table, format_bytes(vmm, row->vmm_bytes));
        if (r < 0)
                return r;
        return table_add(table, format_timespan(up, ran / USEC_PER_SEC * USEC_PER_SEC));
}

static void add_totals(const UsageLook *look, StrBuf *out) {
        char guest[FORMAT_MAX], vmm[FORMAT_MAX];
        uint64_t guest_bytes = 0, vmm_bytes = 0;
        double cpu = 0;

        for (size_t i = 0; i < look->n; i++) {
                guest_bytes += look->rows[i].guest_bytes;
                vmm_bytes += look->rows[i].vmm_bytes;
                cpu += look->rows[i].cpu_percent > 0 ? look->rows[i].cpu_percent : 0;
        }
        strbuf_printf(out, "%zu VM%s, %.1f %%CPU, guests %s, VMMs %s\n", look->n,
                      look->n == 1 ? "" : "s", cpu, format_bytes(guest, guest_bytes),
                      format_bytes(vmm, vmm_bytes));
}

/* What the screen shows of a table: a line that is wrapped would push the last ones off it. */
typedef struct Room {
        size_t rows; /* behind those of the head */
        size_t columns;
} Room;

static Room room_of_screen(const Top *top) {
        Room room = {.rows = SIZE_MAX, .columns = SIZE_MAX};
        struct winsize size;

        if (!top->live || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0)
                return room;
        if (size.ws_row >= 6)
                room.rows = size.ws_row - 5u;
        if (size.ws_col > 0)
                room.columns = size.ws_col;
        return room;
}

static int print_table(const Top *top, const UsageLook *look) {
        static const TableColumn columns[] = {{"NAME", false}, {"VCPUS", true}, {"%CPU", true},
                                              {"TIME", true},  {"GUEST", true}, {"OF", true},
                                              {"VMM", true},   {"UP", true}};
        const Room room = room_of_screen(top);
        size_t n = MIN(look->n, room.rows);
        _cleanup_(strbuf_deinit) StrBuf text = {0}, screen = {0};
        _cleanup_(table_deinit) Table table;
        int r = 0;

        table_init(&table, columns, ELEMENTSOF(columns));
        for (size_t i = 0; i < n && r >= 0; i++)
                r = add_row(&look->rows[i], &table);
        if (r < 0)
                return r;
        if (top->client->legend)
                add_totals(look, &text);
        if (top->live)
                strbuf_append(&text, KEYS_HELP "\n\n");
        if (look->n > 0)
                table_print(&table, top->client->legend, &text);
        if (text.failed)
                return -ENOMEM;
        strbuf_append(&screen, top->live ? CLEAR : top->first ? "" : "\n");
        utf8_append_cut(&screen, text.data ? text.data : "", room.columns);
        return client_print_text(&screen);
}

static int print_json(const Top *top, const UsageLook *look) {
        _cleanup_(value_freep) Value *array = NULL;
        int r = usage_json(look, &array);

        return r < 0 ? r : client_print_json(top->client, array);
}

/* Return: 0; negative errno, -EPIPE when nobody reads any more. */
static int look_and_print(Top *top) {
        UsageLook look = {0};
        int r = usage_look(top->client, &look, top->reterr);

        if (r < 0)
                return r;
        usage_compare(&look, &top->last);
        usage_sort(&look, top->order);
        usage_deinit(&top->last);
        top->last = look;
        r = top->client->json == JSON_OFF ? print_table(top, &look) : print_json(top, &look);
        top->first = false;
        return r;
}

static void leave(const Top *top, int r) {
        (void) sd_event_exit(top->event, r == -EPIPE ? EXIT_STATUS_OK : r);
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata) {
        Top *top = userdata;
        int r = look_and_print(top);

        if (r >= 0 && top->left > 0 && --top->left == 0) {
                leave(top, EXIT_STATUS_OK);
                return 0;
        }
        if (r >= 0)
                r = sd_event_source_set_time_relative(source, top->delay_usec);
        if (r >= 0)
                r = sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        if (r < 0)
                leave(top, r);
        return 0;
}

static int on_key(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Top *top = userdata;
        char key = 'q';

        (void) !read(fd, &key, 1);
        switch (key) {
        case 'c':
                top->order = USAGE_BY_CPU;
                break;
        case 'm':
                top->order = USAGE_BY_MEMORY;
                break;
        case 'n':
                top->order = USAGE_BY_NAME;
                break;
        case 'q':
        case 0x03: /* Ctrl-C, which is a key here */
        case 0x04:
                leave(top, EXIT_STATUS_OK);
                return 0;
        default:
                break;
        }
        return sd_event_source_set_time_relative(top->timer, 0);
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        leave(userdata, EXIT_STATUS_INTERRUPTED);
        return 0;
}

static int on_reader_gone(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        leave(userdata, EXIT_STATUS_OK);
        return 0;
}

static int run(Top *top) {
        int r = sd_event_new(&top->event);

        if (r >= 0)
                r = session_watch_signals(top->event, on_signal, top);
        if (r >= 0)
                r = session_watch_reader(top->event, on_reader_gone, top);
        if (r >= 0 && top->live)
                r = terminal_enter_raw(&top->terminal, STDIN_FILENO);
        if (r >= 0 && top->live)
                r = sd_event_add_io(top->event, NULL, STDIN_FILENO, EPOLLIN, on_key, top);
        if (r >= 0)
                r = sd_event_add_time_relative(top->event, &top->timer, CLOCK_MONOTONIC, 0, 0,
                                               on_time, top);
        return r < 0 ? r : sd_event_loop(top->event);
}

static int parse_number(const Args *args, OptionId id, const char *name, uint32_t max,
                        uint32_t *number, TextError *reterr) {
        const char *text = args_value(args, id);

        if (!text)
                return 0;
        if (parse_u32(text, number) < 0 || *number == 0 || *number > max)
                return text_error_set(reterr, -EINVAL, "--%s: expected 1 to %u, not \"%s\"", name,
                                      max, text);
        return 0;
}

static int parse_options(Top *top, const Args *args, TextError *reterr) {
        const char *order = args_value(args, OPTION_ORDER);
        uint32_t delay_sec = 1;
        int r;

        if (order && usage_order_from_string(order, &top->order) < 0)
                return text_error_set(reterr, -EINVAL,
                                      "--order: expected cpu, memory or name, not \"%s\"", order);
        /* To what is no terminal one look is enough unless more are asked for. */
        top->live = !args_has(args, OPTION_BATCH) && top->client->json == JSON_OFF &&
                    isatty(STDIN_FILENO) > 0 && isatty(STDOUT_FILENO) > 0;
        top->left = top->live || args_has(args, OPTION_BATCH) ? 0 : 1;
        r = parse_number(args, OPTION_DELAY, "delay", DELAY_SEC_MAX, &delay_sec, reterr);
        if (r >= 0)
                r = parse_number(args, OPTION_ITERATIONS, "iterations", UINT32_MAX, &top->left,
                                 reterr);
        top->delay_usec = delay_sec * USEC_PER_SEC;
        return r;
}

/** verb_top() - `vivctl top`. Return: exit status; negative errno with @reterr set. */
int verb_top(Client *client, const Args *args, TextError *reterr) {
        _cleanup_(top_deinit) Top top = {
                .client = client, .reterr = reterr, .first = true, .terminal = {.fd = -EBADF}};

        if (parse_options(&top, args, reterr) < 0)
                return EXIT_STATUS_USAGE;
        return run(&top);
}
