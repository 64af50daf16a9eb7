/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An unprivileged client that calls every method of the contract with random values, beside a VM that must not notice.
 * Repeat a run with VIVARIUM_SEED, lengthen it with VIVARIUM_ABUSE=CALLS.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/str.h"
#include "dbus/names.h"
#include "tests/integration/fake_polkit.h"
#include "tests/integration/vm_client.h"

#define STRANGER 1u
#define CALLS_DEFAULT 3000u
#define METHODS_MAX 64u
#define TEXT_BYTES_MAX 300000u
#define DEPTH_MAX 4u
#define DESCRIPTORS_MAX 8u

typedef struct Method {
        char interface[64], member[64], in[64];
} Method;

typedef struct Abuse {
        BusHost *host;
        uint64_t random; /* state of the generator */
        Method methods[METHODS_MAX];
        size_t n_methods;
        char *victim; /* path of the VM that must not notice */
        char *own;    /* path of one of the caller's, or NULL */
} Abuse;

/* xorshift64: the same calls for the same seed. */
static uint64_t draw(Abuse *abuse, uint64_t below) {
        abuse->random ^= abuse->random << 13;
        abuse->random ^= abuse->random >> 7;
        abuse->random ^= abuse->random << 17;
        return abuse->random % below;
}

static void take_attribute(const char *tag, const char *name, char *buf, size_t size) {
        char pattern[32];
        const char *p;

        (void) snprintf(pattern, sizeof(pattern), " %s=\"", name);
        p = strstr(tag, pattern);
        buf[0] = '\0';
        if (p && p < strchr(tag, '>'))
                (void) snprintf(buf, size, "%.*s", (int) strcspn(p + strlen(pattern), "\""),
                                p + strlen(pattern));
}

static void read_arguments(const char *from, const char *end, char *in, size_t size) {
        for (const char *p = from; (p = strstr(p, "<arg ")) && p < end; p++) {
                char direction[8], type[48];

                take_attribute(p, "direction", direction, sizeof(direction));
                take_attribute(p, "type", type, sizeof(type));
                if (str_eq(direction, "in"))
                        (void) snprintf(in + strlen(in), size - strlen(in), "%s", type);
        }
}

/* All methods of one introspection file, with the types of what they are given. */
static void read_contract(Abuse *abuse, const char *path) {
        _cleanup_(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
        _cleanup_(freep) char *xml = NULL;
        char interface[64] = "";

        assert_true(fd >= 0);
        assert_int_equal(fd_read_bounded(fd, 1 << 20, &xml, NULL), 0);
        take_attribute(strstr(xml, "<interface"), "name", interface, sizeof(interface));
        for (const char *p = xml; (p = strstr(p, "<method ")); p++) {
                Method *method = &abuse->methods[abuse->n_methods++];
                const char *close = strstr(p, "</method>"), *next = strstr(p + 1, "<method ");

                assert_true(abuse->n_methods < METHODS_MAX);
                (void) snprintf(method->interface, sizeof(method->interface), "%s", interface);
                take_attribute(p, "name", method->member, sizeof(method->member));
                if (close && (!next || close < next))
                        read_arguments(p, close, method->in, sizeof(method->in));
        }
}

static const char *draw_text(Abuse *abuse) {
        static const char *const known[] = {"",
                                            "name",
                                            "detach",
                                            "hypervisor",
                                            "console",
                                            "kernel",
                                            "soft",
                                            "victim",
                                            "0/victim",
                                            "prometheus",
                                            "Name",
                                            "DeathRecord",
                                            "{}",
                                            "{\"kernel\":\"fd:kernel\"}",
                                            VIVARIUM_VM_INTERFACE,
                                            "%s%n%x",
                                            "../../etc/passwd",
                                            "\xc3\xa4\xf0\x9f\x92\xa9",
                                            "boot-timeout-usec",
                                            "{\"memory_mib\":1e308}"};
        static char buf[TEXT_BYTES_MAX];
        size_t len;

        if (draw(abuse, 10) < 7)
                return known[draw(abuse, ELEMENTSOF(known))];
        len = draw(abuse, draw(abuse, 20) == 0 ? sizeof(buf) : 80);
        for (size_t i = 0; i < len; i++)
                buf[i] = (char) (1 + draw(abuse, 127));
        buf[len] = '\0';
        return buf;
}

static const char *draw_path(Abuse *abuse) {
        switch (draw(abuse, 6)) {
        case 0:
                return VIVARIUM_MANAGER_PATH;
        case 1:
                return VIVARIUM_VM_PATH_PREFIX "/_30";
        case 2:
                return VIVARIUM_VM_PATH_PREFIX;
        case 3:
                return abuse->own ? abuse->own : "/";
        default:
                return abuse->victim;
        }
}

static int append_random(Abuse *abuse, sd_bus_message *m, const char *types, unsigned depth);

static int append_basic(Abuse *abuse, sd_bus_message *m, char type) {
        uint64_t number = draw(abuse, 3) == 0 ? draw(abuse, UINT64_MAX) : draw(abuse, 70000);
        int boolean = (int) (number & 1), fd, r;

        switch (type) {
        case 's':
                return sd_bus_message_append_basic(m, type, draw_text(abuse));
        case 'o':
                return sd_bus_message_append_basic(m, type, draw_path(abuse));
        case 'g':
                return sd_bus_message_append_basic(m, type, "a{sv}");
        case 'b':
                return sd_bus_message_append_basic(m, type, &boolean);
        case 'h':
                fd = open(draw(abuse, 2) ? "/dev/null" : "/proc/self/exe", O_RDONLY | O_CLOEXEC);
                if (fd < 0)
                        return -errno;
                r = sd_bus_message_append_basic(m, type, &fd);
                (void) fd_close(fd);
                return r;
        default:
                return sd_bus_message_append_basic(m, type, &number);
        }
}

/* Length of the first complete type. */
static size_t type_len(const char *types) {
        size_t n = 0, depth = 0;

        while (types[n] == 'a')
                n++;
        do {
                depth += types[n] == '(' || types[n] == '{';
                depth -= types[n] == ')' || types[n] == '}';
                n++;
        } while (depth > 0);
        return n;
}

static int append_container(Abuse *abuse, sd_bus_message *m, char kind, const char *contents,
                            unsigned times, unsigned depth) {
        int r = sd_bus_message_open_container(m, kind, contents);

        for (unsigned i = 0; r >= 0 && i < times; i++)
                r = append_random(abuse, m, contents, depth + 1);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_random(Abuse *abuse, sd_bus_message *m, const char *types, unsigned depth) {
        static const char *const variants[] = {"s", "b", "h", "t", "u", "as", "a{sv}", "(su)", "v"};

        for (int r; *types; types += type_len(types)) {
                char contents[64];

                if (*types == 'a') {
                        (void) snprintf(contents, sizeof(contents), "%.*s",
                                        (int) type_len(types + 1), types + 1);
                        r = append_container(abuse, m, 'a', contents,
                                             (unsigned) draw(abuse, DESCRIPTORS_MAX), depth);
                } else if (*types == '(' || *types == '{') {
                        (void) snprintf(contents, sizeof(contents), "%.*s",
                                        (int) type_len(types) - 2, types + 1);
                        r = append_container(abuse, m, *types == '(' ? 'r' : 'e', contents, 1,
                                             depth);
                } else if (*types == 'v') {
                        r = append_container(abuse, m, 'v',
                                             depth > DEPTH_MAX
                                                     ? "s"
                                                     : variants[draw(abuse, ELEMENTSOF(variants))],
                                             1, depth);
                } else
                        r = append_basic(abuse, m, *types);
                if (r < 0)
                        return r;
        }
        return 0;
}

static void send_random(Abuse *abuse, sd_bus *bus) {
        static const Method standard[] = {
                {"org.freedesktop.DBus.Properties", "Get", "ss"},
                {"org.freedesktop.DBus.Properties", "GetAll", "s"},
                {"org.freedesktop.DBus.Properties", "Set", "ssv"},
                {"org.freedesktop.DBus.ObjectManager", "GetManagedObjects", ""},
                {"org.freedesktop.DBus.Introspectable", "Introspect", ""},
                {VIVARIUM_VM_INTERFACE, "NoSuchMethod", "a{sv}"},
        };
        size_t i = draw(abuse, abuse->n_methods + ELEMENTSOF(standard));
        const Method *method =
                i < abuse->n_methods ? &abuse->methods[i] : &standard[i - abuse->n_methods];
        const char *path =
                str_eq(method->interface, VIVARIUM_MANAGER_INTERFACE) && draw(abuse, 10) > 0
                        ? VIVARIUM_MANAGER_PATH
                        : draw_path(abuse);
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;

        assert_true(sd_bus_message_new_method_call(bus, &call, VIVARIUM_BUS_NAME, path,
                                                   method->interface, method->member) >= 0);
        /* Now and then with types that do not fit, or with more than a message may have. */
        if (append_random(abuse, call, draw(abuse, 20) == 0 ? "ua{sh}s" : method->in, 0) < 0)
                return;
        (void) sd_bus_message_set_expect_reply(call, draw(abuse, 2) == 0);
        (void) sd_bus_send(bus, call, NULL);
}

static sd_bus *connect_as_stranger(const BusHost *host) {
        sd_bus *bus;

        assert_int_equal(seteuid(STRANGER), 0);
        bus_host_connect(host, &bus);
        assert_true(sd_bus_get_unique_name(bus, &(const char *){NULL}) >= 0);
        assert_int_equal(seteuid(0), 0);
        return bus;
}

/* Raw bytes: what sd-bus itself would not send. The bus must drop it; the service must not notice. */
static void send_invalid_text(const BusHost *host) {
        static const char hello[] = "\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\nl\1\0\1\xff\xff\xff\x7f";
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        _cleanup_(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s/bus", host->dir);
        assert_int_equal(connect(fd, (const struct sockaddr *) &address, sizeof(address)), 0);
        assert_true(send(fd, hello, sizeof(hello) - 1, MSG_NOSIGNAL) > 0);
}

static uint64_t number_of_environment(const char *name, uint64_t otherwise) {
        const char *text = getenv(name);
        uint64_t number;

        return text && parse_u64(text, &number) == 0 && number > 0 ? number : otherwise;
}

/* A VM of the stranger's, as soon as its calls before have been answered: only so many of a user wait for authorization. */
static char *create_own(BusHost *host, sd_bus *bus) {
        char *path = NULL;

        for (;;) {
                _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

                if (vm_try_create(bus, &(VmSpec){.params = "sleep"}, &path, &error) >= 0)
                        return path;
                assert_string_equal(error.name, SD_BUS_ERROR_LIMITS_EXCEEDED);
                bus_host_settle(host);
        }
}

/* Reads what has come so far. */
static void drop_replies(sd_bus *bus) {
        while (sd_bus_process(bus, NULL) > 0)
                ;
}

static void run_calls(Abuse *abuse, uint64_t n_calls) {
        sd_bus *bus = NULL, *deaf = connect_as_stranger(abuse->host);

        assert_true(sd_bus_match_signal(deaf, NULL, NULL, NULL, NULL, NULL, NULL, NULL) >= 0);
        for (uint64_t i = 0; i < n_calls; i++) {
                /* Leaves in the middle of its calls now and then. */
                if (bus && draw(abuse, 200) == 0)
                        bus = (sd_bus_close(bus), sd_bus_unref(bus));
                if (!bus) {
                        bus = connect_as_stranger(abuse->host);
                        free(abuse->own);
                        abuse->own = create_own(abuse->host, bus);
                        send_invalid_text(abuse->host);
                }
                send_random(abuse, bus);
                if (i % 16 == 0) {
                        (void) sd_bus_flush(bus);
                        bus_host_settle(abuse->host);
                        bus_host_forget_signals(abuse->host);
                }
                drop_replies(bus);
        }
        (void) sd_bus_flush_close_unref(bus);
        (void) sd_bus_flush_close_unref(deaf);
        free(abuse->own);
        abuse->own = NULL;
        bus_host_settle(abuse->host);
        bus_host_forget_signals(abuse->host);
}

/* What the stranger left is being ended and closed, until there is as much as before it came. */
static Holdings wait_until_alone(const BusHost *host, const Holdings *before) {
        uint64_t deadline = clock_monotonic_usec() + HOST_TIMEOUT_USEC;
        Holdings now;

        do {
                now = daemon_holdings(host);
                if (clock_monotonic_usec() > deadline)
                        fail_msg("%llu VMs; descriptors %zu, before %zu; children %zu, before %zu; "
                                 "files %zu, before %zu",
                                 (unsigned long long) manager_vm_count(host->bus), now.fds,
                                 before->fds, now.children, before->children, now.files,
                                 before->files);
        } while (manager_vm_count(host->bus) > 1 || now.fds > before->fds ||
                 now.children > before->children || now.files > before->files);
        return now;
}

static void test_a_stranger_s_calls_hurt_nobody(void **state) {
        static Abuse abuse;
        FakePolkit polkit;
        Holdings before, warm, after;
        uint64_t pid, seed = number_of_environment("VIVARIUM_SEED", (uint64_t) time(NULL));
        uint64_t n_calls = number_of_environment("VIVARIUM_ABUSE", CALLS_DEFAULT);

        print_message("VIVARIUM_SEED=%llu\n", (unsigned long long) seed);
        abuse = (Abuse){.host = *state, .random = seed};
        read_contract(&abuse, "dbus/org.vivarium.vm1.Manager.xml");
        read_contract(&abuse, "dbus/org.vivarium.vm1.Vm.xml");
        fake_polkit_start(abuse.host, &polkit);
        fake_polkit_set(&polkit, "manage", FAKE_YES);
        fake_polkit_set(&polkit, "use-custom", FAKE_YES);
        abuse.victim = vm_create(abuse.host->bus, &(VmSpec){.name = "victim", .params = "sleep"});
        vm_call_ok(abuse.host->bus, abuse.victim, "Start");
        pid = vm_get_number(abuse.host->bus, abuse.victim, "Pid");
        bus_host_settle(abuse.host);
        before = daemon_holdings(abuse.host);
        run_calls(&abuse, n_calls / 4);
        warm = wait_until_alone(abuse.host, &before);
        run_calls(&abuse, n_calls);
        after = wait_until_alone(abuse.host, &before);
        /* As good as none in a daemon of some 4 MiB, were there a leak in each of thousands of calls. */
        if (!getenv("VIVARIUM_ASAN"))
                assert_true(after.rss_bytes < warm.rss_bytes + (2 << 20));
        assert_int_equal(vm_get_number(abuse.host->bus, abuse.victim, "Pid"), pid);
        free(abuse.victim);
        fake_polkit_stop(&polkit);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_a_stranger_s_calls_hurt_nobody, bus_host_setup,
                                                bus_host_teardown),
        };

        if (geteuid() != 0) {
                print_message("abuse: a connection of another user needs root, skipping\n");
                return 0;
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
