/* SPDX-License-Identifier: Apache-2.0 */
#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <systemd/sd-id128.h>

#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "config/net_message.h"
#include "service/bus/bus_service.h"
#include "service/metrics/exporter.h"
#include "service/journal/socket.h"
#include "service/journal/journal.h"
#include "service/manager/manager.h"
#include "service/metrics/server.h"
#include "service/metrics/textfile.h"
#include "service/monitor/pressure.h"
#include "service/monitor/strays.h"
#include "service/policy/trim.h"
#include "service/settings.h"
#include "service/share/share_sockets.h"
#include "service/unit/scope.h"

/* No call to the bus itself takes longer, unless the bus is in trouble. */
#define BUS_CALL_TIMEOUT_USEC (5 * USEC_PER_SEC)

static const char *arg_bus_address; /* NULL: by arg_user */
static bool arg_user;
static const char *arg_vmm = VIVARIUM_BINDIR "/vivarium-vmm";
static VmmDialect arg_vmm_dialect;
static bool arg_vmm_dialect_given;
static const char *arg_launcher = VIVARIUM_LIBEXECDIR "/vivarium-launch";
static const char *arg_runtime_dir, *arg_state_dir, *arg_config;
static const char *arg_vmm_log_level;
static const char *arg_assignable; /* NULL: see choose_assignable() */
static const char *arg_sysfs = "/sys";
static const char *arg_netd_socket;    /* NULL: see choose_netd() */
static const char *arg_virtiofsd;      /* NULL: where it is found */
static const char *arg_journal_socket; /* NULL: systemd's, if standard error leads there */
static const char *arg_metrics_socket, *arg_metrics_textfile;
static const char *arg_memory_pressure = PRESSURE_PATH;
static uint32_t arg_trim_interval = TRIM_INTERVAL_USEC / USEC_PER_SEC;
static uint32_t arg_vms_max = MANAGER_VMS_MAX_DEFAULT;
static uint32_t arg_history_max = MANAGER_HISTORY_MAX_DEFAULT;
static uint32_t arg_ramdumps_max = MANAGER_RAMDUMPS_MAX_DEFAULT;
static uint32_t arg_ramdumps_mib = MANAGER_RAMDUMPS_MIB_DEFAULT;

static void print_help(void) {
        printf("vivariumd [OPTION…]\n\n"
               "Runs virtual machines on behalf of D-Bus clients.\n\n"
               "  --system               serve the system bus (default)\n"
               "  --user                 serve the bus of the user's session\n"
               "  --bus-address=ADDRESS  serve this bus\n"
               "  --vmm=PATH             the VMM (%s)\n"
               "  --vmm-dialect=WHICH    spelling of the VMM's options: vivarium, crosvm (of "
               "April\n"
               "                         2025 or later), crosvm-2023 (by the VMM's name)\n"
               "  --launcher=PATH        its launcher (%s)\n"
               "  --runtime-dir=DIR      where VMs have their directories\n"
               "                         (/run/vivarium; with --user $XDG_RUNTIME_DIR/vivarium)\n"
               "  --state-dir=DIR        where the history of deaths is kept\n"
               "                         (/var/lib/vivarium; with --user\n"
               "                         $XDG_STATE_HOME/vivarium; with --runtime-dir that one)\n"
               "  --config=PATH          settings (/etc/vivarium/vivariumd.conf; with --user\n"
               "                         $XDG_CONFIG_HOME/vivarium/vivariumd.conf)\n"
               "  --vmm-log-level=FILTER log filter of the VMM\n"
               "  --netd-socket=PATH     of vivarium-netd, which makes VMs' network interfaces\n"
               "                         (%s; with --user or --bus-address none)\n"
               "  --virtiofsd=PATH       what serves shared folders (%s)\n"
               "  --assignable-devices=PATH\n"
               "                         list of the host's devices that VMs may have\n"
               "                         (/etc/vivarium/assignable_devices.json; with --user or\n"
               "                         --bus-address none)\n"
               "  --sysfs=DIR            where sysfs is mounted (/sys)\n"
               "  --max-vms=N            VMs that may exist besides dead ones (%u)\n"
               "  --history=N            deaths that are remembered (%u)\n"
               "  --journal-socket=PATH  send what guests write to their consoles to this journal\n"
               "  --ramdumps=N           memory dumps of guests that are kept (%u)\n"
               "  --ramdumps-mib=N       MiB that they take on disk together (%u)\n"
               "  --memory-pressure=PATH where the kernel tells of the host's\n"
               "                         (%s)\n"
               "  --trim-interval=N      seconds between two steps in which guests follow it (%u)\n"
               "  --metrics-socket=PATH  answer HTTP requests for metrics on a Unix socket\n"
               "  --metrics-textfile=PATH\n"
               "                         write metrics for Prometheus' node exporter every 15 s\n"
               "  --log-level=LEVEL      error, warn, notice, info (default) or debug\n"
               "  --help                 this text\n"
               "  --version              the version\n\n"
               "See vivariumd(8) and org.vivarium.vm1(5).\n",
               arg_vmm, arg_launcher, NET_SOCKET_PATH, share_find_virtiofsd(),
               MANAGER_VMS_MAX_DEFAULT, MANAGER_HISTORY_MAX_DEFAULT, MANAGER_RAMDUMPS_MAX_DEFAULT,
               MANAGER_RAMDUMPS_MIB_DEFAULT, arg_memory_pressure, arg_trim_interval);
}

static int parse_log_level(const char *text) {
        LogLevel level;
        int r = log_level_from_string(text, &level);

        if (r < 0) {
                log_error("--log-level=%s: expected error, warn, notice, info or debug", text);
                return r;
        }
        log_set_level(level);
        return 0;
}

static int parse_count(const char *option, const char *text, uint32_t *ret) {
        uint32_t count;
        int r = parse_u32(text, &count);

        if (r == 0 && count == 0)
                r = -EINVAL;
        if (r < 0) {
                log_error("--%s=%s: expected a number from 1", option, text);
                return r;
        }
        *ret = count;
        return 0;
}

static int parse_path(const char *option, const char *text, const char **ret) {
        if (text[0] != '/') {
                log_error("--%s=%s: expected an absolute path", option, text);
                return -EINVAL;
        }
        *ret = text;
        return 0;
}

static int parse_dialect(const char *text) {
        _cleanup_(text_error_deinit) TextError error = {0};
        int r = vmm_dialect_from_string(text, &arg_vmm_dialect, &error);

        if (r < 0)
                log_error("--vmm-dialect: %s", text_error_message(&error, r));
        arg_vmm_dialect_given = true;
        return r;
}

enum {
        ARG_SYSTEM = 0x100,
        ARG_USER,
        ARG_BUS_ADDRESS,
        ARG_VMM,
        ARG_VMM_DIALECT,
        ARG_LAUNCHER,
        ARG_RUNTIME_DIR,
        ARG_STATE_DIR,
        ARG_CONFIG,
        ARG_VMM_LOG_LEVEL,
        ARG_NETD_SOCKET,
        ARG_VIRTIOFSD,
        ARG_ASSIGNABLE_DEVICES,
        ARG_SYSFS,
        ARG_MAX_VMS,
        ARG_HISTORY,
        ARG_RAMDUMPS,
        ARG_RAMDUMPS_MIB,
        ARG_JOURNAL_SOCKET,
        ARG_MEMORY_PRESSURE,
        ARG_TRIM_INTERVAL,
        ARG_METRICS_SOCKET,
        ARG_METRICS_TEXTFILE,
        ARG_LOG_LEVEL,
        ARG_HELP,
        ARG_VERSION,
};

static const struct option long_options[] = {
        {"system", no_argument, NULL, ARG_SYSTEM},
        {"user", no_argument, NULL, ARG_USER},
        {"bus-address", required_argument, NULL, ARG_BUS_ADDRESS},
        {"vmm", required_argument, NULL, ARG_VMM},
        {"vmm-dialect", required_argument, NULL, ARG_VMM_DIALECT},
        {"launcher", required_argument, NULL, ARG_LAUNCHER},
        {"runtime-dir", required_argument, NULL, ARG_RUNTIME_DIR},
        {"state-dir", required_argument, NULL, ARG_STATE_DIR},
        {"config", required_argument, NULL, ARG_CONFIG},
        {"vmm-log-level", required_argument, NULL, ARG_VMM_LOG_LEVEL},
        {"netd-socket", required_argument, NULL, ARG_NETD_SOCKET},
        {"virtiofsd", required_argument, NULL, ARG_VIRTIOFSD},
        {"assignable-devices", required_argument, NULL, ARG_ASSIGNABLE_DEVICES},
        {"sysfs", required_argument, NULL, ARG_SYSFS},
        {"max-vms", required_argument, NULL, ARG_MAX_VMS},
        {"history", required_argument, NULL, ARG_HISTORY},
        {"ramdumps", required_argument, NULL, ARG_RAMDUMPS},
        {"ramdumps-mib", required_argument, NULL, ARG_RAMDUMPS_MIB},
        {"journal-socket", required_argument, NULL, ARG_JOURNAL_SOCKET},
        {"memory-pressure", required_argument, NULL, ARG_MEMORY_PRESSURE},
        {"trim-interval", required_argument, NULL, ARG_TRIM_INTERVAL},
        {"metrics-socket", required_argument, NULL, ARG_METRICS_SOCKET},
        {"metrics-textfile", required_argument, NULL, ARG_METRICS_TEXTFILE},
        {"log-level", required_argument, NULL, ARG_LOG_LEVEL},
        {"help", no_argument, NULL, ARG_HELP},
        {"version", no_argument, NULL, ARG_VERSION},
        {0},
};

/* Return: 0 to go on, 1 when all was said, negative errno with the error logged. */
static int apply_option(int option) {
        switch (option) {
        case ARG_SYSTEM:
                arg_user = false;
                return 0;
        case ARG_USER:
                arg_user = true;
                return 0;
        case ARG_BUS_ADDRESS:
                arg_bus_address = optarg;
                return 0;
        case ARG_VMM:
                return parse_path("vmm", optarg, &arg_vmm);
        case ARG_VMM_DIALECT:
                return parse_dialect(optarg);
        case ARG_LAUNCHER:
                return parse_path("launcher", optarg, &arg_launcher);
        case ARG_RUNTIME_DIR:
                return parse_path("runtime-dir", optarg, &arg_runtime_dir);
        case ARG_STATE_DIR:
                return parse_path("state-dir", optarg, &arg_state_dir);
        case ARG_CONFIG:
                return parse_path("config", optarg, &arg_config);
        case ARG_VMM_LOG_LEVEL:
                arg_vmm_log_level = optarg;
                return 0;
        case ARG_NETD_SOCKET:
                return parse_path("netd-socket", optarg, &arg_netd_socket);
        case ARG_VIRTIOFSD:
                return parse_path("virtiofsd", optarg, &arg_virtiofsd);
        case ARG_ASSIGNABLE_DEVICES:
                return parse_path("assignable-devices", optarg, &arg_assignable);
        case ARG_SYSFS:
                return parse_path("sysfs", optarg, &arg_sysfs);
        case ARG_MAX_VMS:
                return parse_count("max-vms", optarg, &arg_vms_max);
        case ARG_HISTORY:
                return parse_count("history", optarg, &arg_history_max);
        case ARG_JOURNAL_SOCKET:
                return parse_path("journal-socket", optarg, &arg_journal_socket);
        case ARG_RAMDUMPS:
                return parse_count("ramdumps", optarg, &arg_ramdumps_max);
        case ARG_RAMDUMPS_MIB:
                return parse_count("ramdumps-mib", optarg, &arg_ramdumps_mib);
        case ARG_MEMORY_PRESSURE:
                return parse_path("memory-pressure", optarg, &arg_memory_pressure);
        case ARG_TRIM_INTERVAL:
                return parse_count("trim-interval", optarg, &arg_trim_interval);
        case ARG_METRICS_SOCKET:
                return parse_path("metrics-socket", optarg, &arg_metrics_socket);
        case ARG_METRICS_TEXTFILE:
                return parse_path("metrics-textfile", optarg, &arg_metrics_textfile);
        case ARG_LOG_LEVEL:
                return parse_log_level(optarg);
        case ARG_HELP:
                print_help();
                return 1;
        case ARG_VERSION:
                printf("vivariumd " VIVARIUM_VERSION "\n");
                return 1;
        default:
                return -EINVAL; /* getopt said why */
        }
}

static int parse_arguments(int argc, char **argv) {
        int option, r;

        while ((option = getopt_long(argc, argv, "", long_options, NULL)) >= 0) {
                r = apply_option(option);
                if (r != 0)
                        return r;
        }
        if (optind < argc) {
                log_error("unexpected argument \"%s\"", argv[optind]);
                return -EINVAL;
        }
        return 0;
}

/* Return: @r. */
static int failed(const char *act, int r) {
        log_error("%s: %s", act, strerror(-r));
        return r;
}

static int choose_runtime_dir(char **ret) {
        const char *user_dir = getenv("XDG_RUNTIME_DIR");

        if (arg_runtime_dir)
                *ret = strdup(arg_runtime_dir);
        else if (!arg_user)
                *ret = strdup("/run/vivarium");
        else if (!user_dir || user_dir[0] != '/') {
                log_error("--user: $XDG_RUNTIME_DIR is not set; use --runtime-dir=");
                return -ENXIO;
        } else if (asprintf(ret, "%s/vivarium", user_dir) < 0)
                *ret = NULL;
        return *ret ? 0 : failed("choose the runtime directory", -ENOMEM);
}

/* A service that is not the system's has no right to make interfaces, unless it is told otherwise. */
static const char *choose_netd(void) {
        return arg_netd_socket               ? arg_netd_socket
               : arg_user || arg_bus_address ? NULL
                                             : NET_SOCKET_PATH;
}

/* A service of a user has no devices of the host to give, unless it is told otherwise. */
static const char *choose_assignable(void) {
        return arg_assignable                ? arg_assignable
               : arg_user || arg_bus_address ? NULL
                                             : "/etc/vivarium/assignable_devices.json";
}

static int open_bus(sd_bus **ret) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        int r;

        if (arg_bus_address) {
                r = sd_bus_new(&bus);
                if (r >= 0)
                        r = sd_bus_set_address(bus, arg_bus_address);
                if (r >= 0)
                        r = sd_bus_set_bus_client(bus, true);
                if (r >= 0)
                        r = sd_bus_start(bus);
        } else if (arg_user)
                r = sd_bus_open_user(&bus);
        else
                r = sd_bus_open_system(&bus);
        if (r >= 0)
                r = sd_bus_set_method_call_timeout(bus, BUS_CALL_TIMEOUT_USEC);
        if (r < 0)
                return failed("open the bus", r);
        *ret = TAKE(bus);
        return 0;
}

/* VMs go on without the daemon, and the next one takes them over; see Drain() for the end of all. */
static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        (void) sd_notify(/* unset_environment= */ 0, "STOPPING=1");
        return sd_event_exit(sd_event_source_get_event(source), EXIT_SUCCESS);
}

/* Without its bus the daemon is of no use to anybody. systemd starts a new one, which finds the VMs as they are. */
static int on_disconnected(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        log_error("the bus is gone");
        return sd_event_exit(userdata, EXIT_FAILURE);
}

/* SIGTERM and SIGINT arrive through the loop; a pipe whose reader is gone is an error of write(). */
static int setup_signals(sd_event *event) {
        sigset_t mask;
        int r;

        (void) sigemptyset(&mask);
        (void) sigaddset(&mask, SIGTERM);
        (void) sigaddset(&mask, SIGINT);
        (void) sigaddset(&mask, SIGCHLD);
        if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
                return -errno;
        r = sd_event_add_signal(event, NULL, SIGTERM, on_signal, NULL);
        if (r < 0)
                return r;
        r = sd_event_add_signal(event, NULL, SIGINT, on_signal, NULL);
        return r < 0 ? r : strays_watch(event);
}

/* A running VM takes up to 10 descriptors, one not started as many as its client passed. */
static void raise_fd_limit(void) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return;
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
                log_warning("raise the limit of descriptors: %m, ignoring");
}

/* Whoever may reach the socket or read the file is told of all VMs. */
static bool may_see_all(void *userdata, const VmInfo *vm) {
        return true;
}

static int write_metrics(void *userdata, ExpositionFormat format, char **ret) {
        return exporter_write(userdata, format, may_see_all, NULL, ret);
}

/* What is asked for and cannot be had keeps the daemon from starting, as any wrong option does. */
static int publish_metrics(sd_event *event, Manager *manager, MetricsServer **ret_server,
                           MetricsTextfile **ret_file) {
        int r = 0;

        if (arg_metrics_socket)
                r = metrics_server_new(event, arg_metrics_socket, write_metrics, manager,
                                       ret_server);
        if (r < 0)
                return failed(arg_metrics_socket, r);
        if (arg_metrics_textfile)
                r = metrics_textfile_new(event, arg_metrics_textfile, write_metrics, manager,
                                         ret_file);
        return r < 0 ? failed(arg_metrics_textfile, r) : 0;
}

static int take_over(sd_bus *bus, Manager *manager, Scopes *scopes) {
        char bus_id[SD_ID128_STRING_MAX] = "";
        sd_id128_t id;
        int r;

        r = sd_bus_get_bus_id(bus, &id);
        if (r < 0)
                return failed("ask which bus this is", r);
        r = manager_restore(manager, scopes, sd_id128_to_string(id, bus_id));
        return r < 0 ? failed("take over the VMs", r) : 0;
}

/* The name comes first: whoever has it is the only one to touch the VMs. Calls wait until the loop runs. */
static int serve(sd_event *event, Manager *manager, gid_t group) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(scopes_freep) Scopes *scopes = NULL;
        _cleanup_(bus_service_freep) BusService *service = NULL;
        _cleanup_(metrics_server_freep) MetricsServer *metrics_server = NULL;
        _cleanup_(metrics_textfile_freep) MetricsTextfile *metrics_file = NULL;
        int r;

        r = open_bus(&bus);
        if (r < 0)
                return r;
        r = sd_bus_match_signal(bus, NULL, NULL, "/org/freedesktop/DBus/Local",
                                "org.freedesktop.DBus.Local", "Disconnected", on_disconnected,
                                event);
        if (r < 0)
                return failed("watch the connection to the bus", r);
        r = bus_service_new(bus, event, manager, group, &service);
        if (r < 0)
                return failed("take the name on the bus", r);
        r = scopes_new(bus, &scopes);
        if (r < 0)
                return failed("look for systemd on the bus", r);
        r = take_over(bus, manager, scopes);
        if (r == 0)
                r = bus_service_check_owners(service);
        if (r < 0)
                return r;
        r = sd_bus_attach_event(bus, event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0)
                return failed("attach the bus to the event loop", r);
        r = publish_metrics(event, manager, &metrics_server, &metrics_file);
        if (r < 0)
                return r;
        (void) sd_notify(/* unset_environment= */ 0, "READY=1");
        r = sd_event_loop(event);
        (void) sd_bus_detach_event(bus);
        return r < 0 ? failed("run the event loop", r) : r;
}

static int choose_state_dir(const char *runtime_dir, char **ret) {
        const char *state_home = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

        if (arg_state_dir)
                *ret = strdup(arg_state_dir);
        else if (arg_runtime_dir)
                *ret = strdup(runtime_dir);
        else if (!arg_user)
                *ret = strdup("/var/lib/vivarium");
        else if (state_home && state_home[0] == '/') {
                if (asprintf(ret, "%s/vivarium", state_home) < 0)
                        *ret = NULL;
        } else if (!home || home[0] != '/') {
                log_error("--user: $HOME is not set; use --state-dir=");
                return -ENXIO;
        } else if (asprintf(ret, "%s/.local/state/vivarium", home) < 0)
                *ret = NULL;
        return *ret ? 0 : failed("choose the state directory", -ENOMEM);
}

/* NULL without memory. */
static char *user_config_path(void) {
        const char *config_home = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
        char *path;
        int n;

        if (config_home && config_home[0] == '/')
                n = asprintf(&path, "%s/vivarium/vivariumd.conf", config_home);
        else
                n = asprintf(&path, "%s/.config/vivarium/vivariumd.conf", home ? home : "");
        return n < 0 ? NULL : path;
}

static int load_settings(Settings *settings) {
        _cleanup_(text_error_deinit) TextError text = {0};
        _cleanup_(freep) char *path = NULL;
        int r;

        path = arg_config ? strdup(arg_config)
               : arg_user ? user_config_path()
                          : strdup("/etc/vivarium/vivariumd.conf");
        r = settings_init(settings);
        if (r == 0)
                r = path ? settings_load(path, settings, &text) : -ENOMEM;
        if (r < 0)
                log_error("settings: %s", text_error_message(&text, r));
        return r;
}

/* Of /etc/group, for other sources of groups would bring their libraries into the daemon. -1 if there is none. */
static gid_t find_group(const char *name) {
        FILE *file = *name ? fopen("/etc/group", "re") : NULL;
        const struct group *group = NULL;
        gid_t gid = (gid_t) -1;

        while (file && (group = fgetgrent(file)))
                if (str_eq(group->gr_name, name))
                        gid = group->gr_gid;
        if (file)
                (void) fclose(file);
        if (*name && gid == (gid_t) -1)
                log_info("/etc/group has no \"%s\"; without polkit only root may have VMs", name);
        return gid;
}

/* In a user's home nobody else makes them. */
static void make_parents(const char *path) {
        _cleanup_(freep) char *copy = strdup(path);

        for (char *p = copy; p && (p = strchr(p + 1, '/')); *p = '/') {
                *p = '\0';
                (void) mkdir(copy, 0700);
        }
}

static int run(void) {
        _cleanup_(settings_deinit) Settings settings = {0};
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(manager_freep) Manager *manager = NULL;
        _cleanup_(freep) char *runtime_dir = NULL, *state_dir = NULL;
        int r;

        r = choose_runtime_dir(&runtime_dir);
        if (r == 0)
                r = choose_state_dir(runtime_dir, &state_dir);
        if (r == 0)
                r = load_settings(&settings);
        if (r < 0)
                return r;
        if (arg_user)
                make_parents(state_dir);
        r = sd_event_default(&event);
        if (r >= 0)
                /* Only where the unit asks for it. */
                r = sd_event_set_watchdog(event, true);
        if (r < 0)
                return failed("make an event loop", r);
        r = manager_new(
                event,
                &(ManagerConfig){.vmm_path = arg_vmm,
                                 .vmm_dialect = arg_vmm_dialect_given
                                                        ? arg_vmm_dialect
                                                        : vmm_dialect_of_program(arg_vmm),
                                 .launcher_path = arg_launcher,
                                 .runtime_dir = runtime_dir,
                                 .state_dir = state_dir,
                                 .vmm_log_level = arg_vmm_log_level,
                                 .netd_socket = choose_netd(),
                                 .virtiofsd_path = arg_virtiofsd ?: share_find_virtiofsd(),
                                 .assignable_path = choose_assignable(),
                                 .sysfs = arg_sysfs,
                                 .journal_socket = arg_journal_socket,
                                 .vms_max = arg_vms_max,
                                 .history_max = arg_history_max,
                                 .pressure_path = arg_memory_pressure,
                                 .trim_interval_usec = arg_trim_interval * USEC_PER_SEC,
                                 .quota = settings.quota,
                                 .ramdumps = {arg_ramdumps_max, (uint64_t) arg_ramdumps_mib << 20}},
                &manager);
        if (r < 0) {
                log_error("prepare %s and %s: %s", runtime_dir, state_dir, strerror(-r));
                return r;
        }
        manager_set_journal(manager, journal_is_open());
        r = setup_signals(event);
        if (r < 0)
                return failed("set up signals", r);
        return serve(event, manager, find_group(settings.group));
}

int main(int argc, char **argv) {
        int r;

        log_set_program("vivariumd");
        r = parse_arguments(argc, argv);
        if (r != 0)
                return r < 0 ? 2 : EXIT_SUCCESS;
        if (journal_is_stderr()) {
                arg_journal_socket = arg_journal_socket ? arg_journal_socket : JOURNAL_SOCKET_PATH;
                r = journal_open(arg_journal_socket);
                if (r < 0)
                        log_warning("open a socket to the journal: %s, writing to standard error",
                                    strerror(-r));
        }
        (void) umask(0077);
        raise_fd_limit();
        /* A VMM whose keeper is killed becomes our child, so that its end is still seen. */
        if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
                log_warning("become a subreaper: %m, ignoring");
        r = run();
        return r < 0 ? EXIT_FAILURE : r;
}
