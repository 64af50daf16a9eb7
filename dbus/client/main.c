/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "dbus/client/client.h"
#include "dbus/client/reasons.h"
#include "dbus/client/verbs.h"

/* --help and --version, which need neither verb nor bus. Return: whether one of them was asked for. */
static bool answer_at_once(const Args *args) {
        if (args_has(args, OPTION_HELP)) {
                if (args->verb)
                        help_print_verb(stdout, args->verb);
                else
                        help_print(stdout, verbs);
                return true;
        }
        if (args_has(args, OPTION_VERSION)) {
                printf("vivctl " VIVARIUM_VERSION "\n");
                return true;
        }
        return false;
}

static int run(const Args *args, TextError *reterr) {
        _cleanup_(client_deinit) Client client = {0};
        int r;

        if (client_init(&client, args, reterr) < 0)
                return EXIT_STATUS_USAGE;
        r = args->verb->run(&client, args, reterr);
        if (r < 0) {
                client_print_error(reterr, r);
                text_error_deinit(reterr);
                return r == CLIENT_E_USAGE ? EXIT_STATUS_USAGE : EXIT_STATUS_ERROR;
        }
        return r;
}

int main(int argc, char **argv) {
        _cleanup_(text_error_deinit) TextError error = {0};
        _cleanup_(args_deinit) Args args = {0};
        int status;

        if (args_parse(argc, (const char *const *) argv, verbs, &args, &error) < 0) {
                status = EXIT_STATUS_USAGE;
        } else if (answer_at_once(&args)) {
                status = EXIT_STATUS_OK;
        } else if (!args.verb) {
                help_print(stderr, verbs);
                status = EXIT_STATUS_USAGE;
        } else {
                status = run(&args, &error);
        }
        /* Statuses other than 0 may come with a sentence, such as what is wrong with the command line. */
        if (error.message)
                client_print_error(&error, 0);
        if (fflush(stdout) != 0 && status == EXIT_STATUS_OK)
                status = EXIT_STATUS_ERROR;
        return status;
}
