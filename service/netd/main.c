/* SPDX-License-Identifier: Apache-2.0 */
/* vivarium-netd: makes the bridges and TAP interfaces of VMs, so that vivariumd need not have the right to. */
#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/str.h"
#include "service/netd/rtnl.h"
#include "service/netd/server.h"

/* An empty bridge stays for a VM that is started again at once. */
#define LINGER_USEC (5 * USEC_PER_SEC)
#define LINGER_ACCURACY_USEC USEC_PER_SEC

#define NETWORKD_NAME "org.freedesktop.network1"
#define NETWORKD_PATH "/org/freedesktop/network1"
#define NETWORKD_MANAGER "org.freedesktop.network1.Manager"

static const char *arg_socket = NET_SOCKET_PATH;
static const char *arg_config = "/etc/vivarium/netd.conf";
static const char *arg_networkd_dir = "/run/systemd/network";
static uint64_t arg_linger_usec = LINGER_USEC;

typedef struct Netd {
        sd_event *event;
        sd_bus *bus; /* owned; NULL where there is none */
        Rtnl *rtnl;
        Networks *networks;
        NetdServer *server;
        sd_event_source *linger;
        bool activated; /* systemd has the socket, and starts us again when somebody asks */
} Netd;

static void print_help(void) {
        printf("vivarium-netd [OPTION…]\n\n"
               "Makes network interfaces for vivariumd.\n\n"
               "  --socket=PATH          listen here (%s)\n"
               "  --config=PATH          the networks there are (%s)\n"
               "  --networkd-dir=DIR     where systemd-networkd finds its files\n"
               "                         (%s)\n"
               "  --linger=SECONDS       how long an empty bridge stays (%u)\n"
               "  --log-level=LEVEL      error, warn, notice, info (default) or debug\n"
               "  --help                 this text\n"
               "  --version              the version\n\n"
               "See vivarium-netd(8).\n",
               arg_socket, arg_config, arg_networkd_dir, (unsigned) (LINGER_USEC / USEC_PER_SEC));
}

static int parse_path(const char *option, const char **ret) {
        if (optarg[0] != '/') {
                log_error("--%s=%s: expected an absolute path", option, optarg);
                return -EINVAL;
        }
        *ret = optarg;
        return 0;
}

static int parse_linger(void) {
        uint32_t seconds;

        if (parse_u32(optarg, &seconds) < 0) {
                log_error("--linger=%s: expected a number of seconds", optarg);
                return -EINVAL;
        }
        arg_linger_usec = seconds * USEC_PER_SEC;
        return 0;
}

static int parse_log_level(void) {
        LogLevel level;

        if (log_level_from_string(optarg, &level) < 0) {
                log_error("--log-level=%s: expected error, warn, notice, info or debug", optarg);
                return -EINVAL;
        }
        log_set_level(level);
        return 0;
}

/* Return: 0 to go on, 1 when all was said, negative errno with the error logged. */
static int parse_arguments(int argc, char **argv) {
        static const struct option options[] = {
                {"socket", required_argument, NULL, 's'},
                {"config", required_argument, NULL, 'c'},
                {"networkd-dir", required_argument, NULL, 'n'},
                {"linger", required_argument, NULL, 'l'},
                {"log-level", required_argument, NULL, 'L'},
                {"help", no_argument, NULL, 'h'},
                {"version", no_argument, NULL, 'v'},
                {0},
        };
        int option, r = 0;

        while (r == 0 && (option = getopt_long(argc, argv, "", options, NULL)) >= 0)
                switch (option) {
                case 's':
                        r = parse_path("socket", &arg_socket);
                        break;
                case 'c':
                        r = parse_path("config", &arg_config);
                        break;
                case 'n':
                        r = parse_path("networkd-dir", &arg_networkd_dir);
                        break;
                case 'l':
                        r = parse_linger();
                        break;
                case 'L':
                        r = parse_log_level();
                        break;
                case 'h':
                        print_help();
                        return 1;
                case 'v':
                        printf("vivarium-netd " VIVARIUM_VERSION "\n");
                        return 1;
                default:
                        return -EINVAL; /* getopt said why */
                }
        if (r == 0 && optind < argc) {
                log_error("unexpected argument \"%s\"", argv[optind]);
                r = -EINVAL;
        }
        return r;
}

/* Return: @r. */
static int failed(const char *act, int r) {
        log_error("%s: %s", act, strerror(-r));
        return r;
}

static int on_reloaded(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(message);

        if (e)
                log_warning("ask systemd-networkd to look at its files: %s; guests get no "
                            "addresses by DHCP",
                            e->message);
        return 0;
}

/* It is not started for our sake: a host may have a network of another kind. */
static void reload_networkd(Netd *netd) {
        sd_bus_message *call = NULL;
        int r;

        if (!netd->bus) {
                log_warning("no bus to reach systemd-networkd by; guests get no addresses by DHCP");
                return;
        }
        r = sd_bus_message_new_method_call(netd->bus, &call, NETWORKD_NAME, NETWORKD_PATH,
                                           NETWORKD_MANAGER, "Reload");
        if (r >= 0)
                r = sd_bus_message_set_auto_start(call, 0);
        if (r >= 0)
                r = sd_bus_call_async(netd->bus, NULL, call, on_reloaded, netd, 0);
        if (r < 0)
                (void) failed("call systemd-networkd", r);
        (void) sd_bus_message_unref(call);
}

static void arm_linger(Netd *netd) {
        if (sd_event_source_set_time_relative(netd->linger, arg_linger_usec) >= 0)
                (void) sd_event_source_set_enabled(netd->linger, SD_EVENT_ONESHOT);
}

static int on_linger(sd_event_source *source, uint64_t usec, void *userdata) {
        Netd *netd = userdata;
        unsigned bridges = 1;
        int r;

        r = networks_sweep(netd->networks, &bridges);
        if (r < 0)
                (void) failed("look for empty bridges", r);
        if (networks_take_reload(netd->networks))
                reload_networkd(netd);
        if (r == 0 && bridges == 0 && netd->activated &&
            netd_server_n_connections(netd->server) == 0)
                return sd_event_exit(netd->event, EXIT_SUCCESS);
        return 0;
}

static void on_served(void *userdata) {
        Netd *netd = userdata;

        if (networks_take_reload(netd->networks))
                reload_networkd(netd);
        arm_linger(netd);
}

static int on_link_event(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Netd *netd = userdata;

        if (rtnl_take_events(netd->rtnl))
                arm_linger(netd);
        return 0;
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        (void) sd_notify(/* unset_environment= */ 0, "STOPPING=1");
        return sd_event_exit(sd_event_source_get_event(source), EXIT_SUCCESS);
}

static int watch(Netd *netd) {
        sigset_t mask;
        int r, fd;

        (void) sigemptyset(&mask);
        (void) sigaddset(&mask, SIGTERM);
        (void) sigaddset(&mask, SIGINT);
        if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
                return -errno;
        r = sd_event_add_signal(netd->event, NULL, SIGTERM, on_signal, NULL);
        if (r >= 0)
                r = sd_event_add_signal(netd->event, NULL, SIGINT, on_signal, NULL);
        if (r >= 0)
                r = sd_event_add_time_relative(netd->event, &netd->linger, CLOCK_MONOTONIC,
                                               arg_linger_usec, LINGER_ACCURACY_USEC, on_linger,
                                               netd);
        if (r >= 0)
                r = rtnl_watch(netd->rtnl, &fd);
        if (r >= 0)
                r = sd_event_add_io(netd->event, NULL, fd, EPOLLIN, on_link_event, netd);
        return r < 0 ? r : 0;
}

static void open_bus(Netd *netd) {
        int r = sd_bus_open_system(&netd->bus);

        if (r >= 0)
                r = sd_bus_attach_event(netd->bus, netd->event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0) {
                log_info("no system bus: %s", strerror(-r));
                netd->bus = sd_bus_flush_close_unref(netd->bus);
        }
}

static int open_socket(Netd *netd, int *ret) {
        int n = sd_listen_fds(/* unset_environment= */ 1), r;

        netd->activated = n > 0;
        if (n > 0) {
                *ret = SD_LISTEN_FDS_START;
                return fd_set_nonblock(*ret, true);
        }
        r = netd_server_listen(arg_socket, ret);
        return r < 0 ? failed(arg_socket, r) : 0;
}

static int serve(Netd *netd) {
        _cleanup_(text_error_deinit) TextError error = {0};
        _cleanup_(freep) Settings *settings = malloc(sizeof(*settings));
        Kernel kernel;
        int r, fd;

        if (!settings)
                return -ENOMEM;
        r = settings_load(arg_config, settings, &error);
        if (r < 0) {
                log_error("%s", text_error_message(&error, r));
                return r;
        }
        r = rtnl_new(&netd->rtnl);
        if (r < 0)
                return failed("reach the kernel's networks", r);
        kernel = rtnl_kernel(netd->rtnl);
        r = networks_new(&kernel, settings, arg_networkd_dir, &netd->networks);
        if (r == 0)
                r = watch(netd);
        if (r < 0)
                return failed("set up the event loop", r);
        open_bus(netd);
        r = open_socket(netd, &fd);
        if (r < 0)
                return r;
        r = netd_server_new(netd->event, fd, netd->networks, on_served, netd, &netd->server);
        if (r < 0)
                return failed("listen", r);
        (void) sd_notify(/* unset_environment= */ 0, "READY=1");
        return sd_event_loop(netd->event);
}

int main(int argc, char *argv[]) {
        Netd netd = {0};
        int r;

        log_set_program("vivarium-netd");
        r = parse_arguments(argc, argv);
        if (r != 0)
                return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        r = sd_event_default(&netd.event);
        if (r >= 0)
                r = serve(&netd);
        (void) netd_server_free(netd.server);
        (void) networks_free(netd.networks);
        (void) rtnl_free(netd.rtnl);
        (void) sd_event_source_disable_unref(netd.linger);
        (void) sd_bus_flush_close_unref(netd.bus);
        (void) sd_event_unref(netd.event);
        return r < 0 ? EXIT_FAILURE : r;
}
