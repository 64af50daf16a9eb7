/* SPDX-License-Identifier: Apache-2.0 */
#include "service/bus/call_args.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "service/conditions.h"

/*
 * sd-bus owns the descriptors of a message and closes them with it; the request takes duplicates. A negative errno of
 * sd-bus means that the message is malformed or memory is short, and is handed on.
 */

typedef int (*ReadOptionFn)(sd_bus_message *message, VmRequest *request, TextError *reterr);

static int read_name(sd_bus_message *message, VmRequest *request, TextError *reterr) {
        const char *name;
        int r = sd_bus_message_read_basic(message, 's', &name);

        return r < 0 ? r : request_set_name(request, name, reterr);
}

static int read_detach(sd_bus_message *message, VmRequest *request, TextError *reterr) {
        int detach;
        int r = sd_bus_message_read_basic(message, 'b', &detach);

        if (r < 0)
                return r;
        request->detach = detach;
        return 0;
}

static int read_hypervisor(sd_bus_message *message, VmRequest *request, TextError *reterr) {
        const char *name;
        int r = sd_bus_message_read_basic(message, 's', &name);

        return r < 0 ? r : request_set_hypervisor(request, name, reterr);
}

static int read_console(sd_bus_message *message, VmRequest *request, TextError *reterr) {
        int fd;
        int r = sd_bus_message_read_basic(message, 'h', &fd);

        return r < 0 ? r : request_set_stream(&request->console_out, "console", fd, true, reterr);
}

static int read_console_in(sd_bus_message *message, VmRequest *request, TextError *reterr) {
        int fd;
        int r = sd_bus_message_read_basic(message, 'h', &fd);

        return r < 0 ? r
                     : request_set_stream(&request->console_in, "console-in", fd, false, reterr);
}

static int read_log(sd_bus_message *message, VmRequest *request, TextError *reterr) {
        int fd;
        int r = sd_bus_message_read_basic(message, 'h', &fd);

        return r < 0 ? r : request_set_stream(&request->log_out, "log", fd, true, reterr);
}

static int read_boot_timeout(sd_bus_message *message, VmRequest *request, TextError *reterr) {
        int r = sd_bus_message_read_basic(message, 't', &request->boot_timeout_usec);

        if (r < 0)
                return r;
        request->has_boot_timeout = true;
        return 0;
}

/* In the order of call_args_option_names. */
static const struct {
        const char *type;
        ReadOptionFn read;
} options[] = {
        {"s", read_name},       {"b", read_detach}, {"s", read_hypervisor},   {"h", read_console},
        {"h", read_console_in}, {"h", read_log},    {"t", read_boot_timeout},
};

const char *const call_args_option_names[] = {
        "name", "detach", "hypervisor", "console", "console-in", "log", "boot-timeout-usec", NULL,
};
static_assert(ELEMENTSOF(call_args_option_names) == ELEMENTSOF(options) + 1,
              "each option has a name");

static int refuse_option(const char *name, TextError *reterr) {
        if (str_eq(name, "dump-dt"))
                return text_error_set(reterr, SERVICE_E_UNSUPPORTED,
                                      "options: \"%s\" is not supported by this version", name);
        return text_error_set(reterr, SERVICE_E_INVALID_CONFIG, "options: \"%s\" is not known",
                              name);
}

static int read_option(sd_bus_message *message, unsigned *seen, VmRequest *request,
                       TextError *reterr) {
        const char *name, *type;
        size_t i = 0;
        int r;

        r = sd_bus_message_read_basic(message, 's', &name);
        if (r < 0)
                return r;
        while (i < ELEMENTSOF(options) && !str_eq(call_args_option_names[i], name))
                i++;
        if (i == ELEMENTSOF(options))
                return refuse_option(name, reterr);
        if (*seen & (1u << i))
                return text_error_set(reterr, SERVICE_E_INVALID_CONFIG,
                                      "options: \"%s\" is given twice", name);
        *seen |= 1u << i;
        r = sd_bus_message_peek_type(message, NULL, &type);
        if (r < 0)
                return r;
        if (!str_eq(type, options[i].type))
                return text_error_set(reterr, SERVICE_E_INVALID_CONFIG,
                                      "option \"%s\": expected type %s, got %s", name,
                                      options[i].type, type);
        r = sd_bus_message_enter_container(message, 'v', type);
        if (r < 0)
                return r;
        r = options[i].read(message, request, reterr);
        if (r != 0)
                return r;
        r = sd_bus_message_exit_container(message);
        return r < 0 ? r : 0;
}

/** call_args_read_config() - "s config"; borrowed from the message. Return: 0 or negative errno. */
int call_args_read_config(sd_bus_message *message, const char **ret_json) {
        int r = sd_bus_message_read_basic(message, 's', ret_json);

        return r < 0 ? r : 0;
}

/** call_args_read_files() - "a{sh} fds". Return: 0; SERVICE_E_INVALID_CONFIG; negative errno. */
int call_args_read_files(sd_bus_message *message, VmRequest *request, TextError *reterr) {
        int r;

        r = sd_bus_message_enter_container(message, 'a', "{sh}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(message, 'e', "sh")) > 0) {
                const char *name;
                int fd;

                r = sd_bus_message_read(message, "sh", &name, &fd);
                if (r < 0)
                        return r;
                r = request_add_file(request, name, fd, reterr);
                if (r != 0)
                        return r;
                r = sd_bus_message_exit_container(message);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        r = sd_bus_message_exit_container(message);
        return r < 0 ? r : 0;
}

/**
 * call_args_read_options() - "a{sv} options" of CreateVm
 *
 * Return: 0; SERVICE_E_INVALID_CONFIG, with the option's name, for one that is unknown, given twice, or of the wrong
 * type or value; negative errno.
 */
int call_args_read_options(sd_bus_message *message, VmRequest *request, TextError *reterr) {
        unsigned seen = 0;
        int r;

        r = sd_bus_message_enter_container(message, 'a', "{sv}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
                r = read_option(message, &seen, request, reterr);
                if (r != 0)
                        return r;
                r = sd_bus_message_exit_container(message);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        r = sd_bus_message_exit_container(message);
        return r < 0 ? r : 0;
}
