/* SPDX-License-Identifier: Apache-2.0 */
#include "dbus/client/remote.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "dbus/client/shell_quote.h"

static const Option *find_option(const Args *args, OptionId id) {
        const Option *o;

        for (size_t i = 0; (o = verb_option_at(args->verb, i)); i++)
                if (o->id == id)
                        return o;
        return NULL;
}

static void append_options(StrBuf *out, const Args *args) {
        for (size_t i = 0; i < args->n_options; i++) {
                const Option *o = find_option(args, args->options[i].id);
                _cleanup_(strbuf_deinit) StrBuf word = {0};

                if (!o)
                        continue; /* which service, and how to print: no matter to that vivctl */
                strbuf_printf(&word, "--%s%s%s", o->name, args->options[i].value ? "=" : "",
                              args->options[i].value ? args->options[i].value : "");
                shell_quote(out, word.data ? word.data : "");
        }
}

/**
 * remote_command() - the command line of ssh that runs the verb on the host of the service
 * @terminal: the verb is for a terminal
 * @ret:      empty; release with strvec_deinit()
 *
 * Return: 0 or -ENOMEM.
 */
int remote_command(const Client *client, const Args *args, bool terminal, StrVec *ret) {
        const char *const words[] = {"ssh", terminal ? "-t" : "-T", "--", client->bus_target};
        _cleanup_(strbuf_deinit) StrBuf command = {0};
        int r = 0;

        strbuf_printf(&command, "vivctl %s", args->verb->name);
        append_options(&command, args);
        strbuf_append(&command, " --");
        for (size_t i = 0; i < args->n_operands; i++)
                shell_quote(&command, args->operands[i]);
        if (command.failed)
                return -ENOMEM;
        for (size_t i = 0; r == 0 && i < ELEMENTSOF(words); i++)
                r = strvec_add(ret, words[i]);
        return r < 0 ? r : strvec_add(ret, command.data);
}

/** remote_exec() - become that ssh. Return: negative errno with @reterr set, if at all. */
int remote_exec(const Client *client, const Args *args, bool terminal, TextError *reterr) {
        _cleanup_(strvec_deinit) StrVec words = {0};
        int r = remote_command(client, args, terminal && isatty(STDIN_FILENO) > 0, &words);

        if (r < 0)
                return r;
        (void) execvp("ssh", words.items);
        return text_error_set(reterr, -errno, "cannot run ssh: %s", strerror(errno));
}
