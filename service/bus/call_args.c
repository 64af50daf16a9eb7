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

static int read_name(sd_bus_message *message, void *object, TextError *reterr) {
        VmRequest *request = object;
        const char *name;
        int r = sd_bus_message_read_basic(message, 's', &name);

        return r < 0 ? r : request_set_name(request, name, reterr);
}

static int read_detach(sd_bus_message *message, void *object, TextError *reterr) {
        VmRequest *request = object;
        int detach;
        int r = sd_bus_message_read_basic(message, 'b', &detach);

        if (r < 0)
                return r;
        request->detach = detach;
        return 0;
}

static int read_hypervisor(sd_bus_message *message, void *object, TextError *reterr) {
        VmRequest *request = object;
        const char *name;
        int r = sd_bus_message_read_basic(message, 's', &name);

        return r < 0 ? r : request_set_hypervisor(request, name, reterr);
}

static int read_console(sd_bus_message *message, void *object, TextError *reterr) {
        VmRequest *request = object;
        int fd;
        int r = sd_bus_message_read_basic(message, 'h', &fd);

        return r < 0 ? r : request_set_stream(&request->console_out, "console", fd, true, reterr);
}

static int read_console_in(sd_bus_message *message, void *object, TextError *reterr) {
        VmRequest *request = object;
        int fd;
        int r = sd_bus_message_read_basic(message, 'h', &fd);

        return r < 0 ? r
                     : request_set_stream(&request->console_in, "console-in", fd, false, reterr);
}

static int read_log(sd_bus_message *message, void *object, TextError *reterr) {
        VmRequest *request = object;
        int fd;
        int r = sd_bus_message_read_basic(message, 'h', &fd);

        return r < 0 ? r : request_set_stream(&request->log_out, "log", fd, true, reterr);
}

static int read_boot_timeout(sd_bus_message *message, void *object, TextError *reterr) {
        VmRequest *request = object;
        int r = sd_bus_message_read_basic(message, 't', &request->boot_timeout_usec);

        if (r < 0)
                return r;
        request->has_boot_timeout = true;
        return 0;
}

/* Of Android's, and not here. */
static int refuse_dump_dt(sd_bus_message *message, void *object, TextError *reterr) {
        return text_error_set(reterr, SERVICE_E_UNSUPPORTED,
                              "options: \"dump-dt\" is not supported by this version");
}

static const CallOption options[] = {
        {"name", "s", read_name},
        {"detach", "b", read_detach},
        {"hypervisor", "s", read_hypervisor},
        {"console", "h", read_console},
        {"console-in", "h", read_console_in},
        {"log", "h", read_log},
        {"boot-timeout-usec", "t", read_boot_timeout},
        {"dump-dt", NULL, refuse_dump_dt},
};

/* But for those that are refused. */
const char *const call_args_option_names[] = {
        "name", "detach", "hypervisor", "console", "console-in", "log", "boot-timeout-usec", NULL,
};
static_assert(ELEMENTSOF(call_args_option_names) == ELEMENTSOF(options), "each option has a name");

/* The options of one call, as they are read. */
typedef struct OptionReading {
        const CallOption *options;
        size_t n;
        void *object;
        unsigned seen; /* bit per option */
} OptionReading;

static int read_value(sd_bus_message *message, const CallOption *option, void *object,
                      TextError *reterr) {
        const char *type;
        int r = sd_bus_message_peek_type(message, NULL, &type);

        if (r < 0)
                return r;
        if (option->type && !str_eq(type, option->type))
                return text_error_set(reterr, SERVICE_E_INVALID_CONFIG,
                                      "option \"%s\": expected type %s, got %s", option->name,
                                      option->type, type);
        r = sd_bus_message_enter_container(message, 'v', type);
        if (r < 0)
                return r;
        r = option->read(message, object, reterr);
        if (r != 0)
                return r;
        r = sd_bus_message_exit_container(message);
        return r < 0 ? r : 0;
}

static int read_option(sd_bus_message *message, OptionReading *reading, TextError *reterr) {
        const char *name;
        size_t i = 0;
        int r;

        r = sd_bus_message_read_basic(message, 's', &name);
        if (r < 0)
                return r;
        while (i < reading->n && !str_eq(reading->options[i].name, name))
                i++;
        if (i == reading->n)
                return text_error_set(reterr, SERVICE_E_INVALID_CONFIG,
                                      "options: \"%s\" is not known", name);
        if (reading->seen & (1u << i))
                return text_error_set(reterr, SERVICE_E_INVALID_CONFIG,
                                      "options: \"%s\" is given twice", name);
        reading->seen |= 1u << i;
        return read_value(message, &reading->options[i], reading->object, reterr);
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
 * call_args_read_dict() - "a{sv}" with the options of a call
 * @options: at most 32
 * @object:  what their readers are given
 *
 * Return: 0; SERVICE_E_INVALID_CONFIG, with the option's name, for one that is unknown, given twice, or of the wrong
 * type or value; what a reader returns; negative errno.
 */
int call_args_read_dict(sd_bus_message *message, const CallOption *known, size_t n, void *object,
                        TextError *reterr) {
        OptionReading reading = {.options = known, .n = n, .object = object};
        int r;

        r = sd_bus_message_enter_container(message, 'a', "{sv}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
                r = read_option(message, &reading, reterr);
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

/** call_args_read_options() - "a{sv} options" of CreateVm. Return: as call_args_read_dict(). */
int call_args_read_options(sd_bus_message *message, VmRequest *request, TextError *reterr) {
        return call_args_read_dict(message, options, ELEMENTSOF(options), request, reterr);
}
