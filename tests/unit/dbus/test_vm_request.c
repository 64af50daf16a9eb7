/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "dbus/client/reasons.h"
#include "dbus/client/verbs.h"

static char dir[] = "/tmp/vivctl-request-XXXXXX";

static void put(const char *name, const char *text) {
        char path[128];
        FILE *file;

        (void) snprintf(path, sizeof(path), "%s/%s", dir, name);
        file = fopen(path, "we");
        assert_non_null(file);
        assert_true(fputs(text, file) >= 0);
        assert_int_equal(fclose(file), 0);
}

/* Builds a request from a command line; returns what vm_request_build() does. */
static int build(const char *const *argv, VmRequest *request, TextError *error) {
        _cleanup_(args_deinit) Args args = {0};
        int argc = 0;

        while (argv[argc])
                argc++;
        assert_int_equal(args_parse(argc, argv, verbs, &args, NULL), 0);
        return vm_request_build(&args, request, error);
}

#define BUILD(request, error, ...)                                                                 \
        build((const char *[]){"vivctl", __VA_ARGS__, NULL}, request, error)

/* What the descriptor @name of the request is open on, and how. */
static void expect_file(const VmRequest *request, size_t i, const char *name, const char *file,
                        int access) {
        char path[PATH_MAX], expected[PATH_MAX];

        assert_true(i < request->n_files);
        assert_string_equal(request->files[i].name, name);
        assert_int_equal(fd_describe(request->files[i].fd, path, sizeof(path)), 0);
        (void) snprintf(expected, sizeof(expected), "%s/%s", dir, file);
        assert_string_equal(path, expected);
        assert_int_equal(fcntl(request->files[i].fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK), access);
        assert_true(fcntl(request->files[i].fd, F_GETFD) & FD_CLOEXEC);
}

static void test_paths_of_a_config_begin_where_it_is(void **state) {
        _cleanup_(vm_request_deinit) VmRequest request = {0};
        char path[128];

        put("k", "kernel");
        put("d", "disk");
        put("vm.json", "{\"kernel\":\"k\",\"disks\":[{\"image\":\"./d\",\"writable\":true}]}");
        (void) snprintf(path, sizeof(path), "%s/vm.json", dir);
        assert_int_equal(chdir("/"), 0);
        assert_int_equal(BUILD(&request, NULL, "run", path), 0);
        assert_string_equal(request.json,
                            "{\"kernel\":\"fd:kernel\",\"disks\":[{\"image\":\"fd:disk0\","
                            "\"writable\":true}]}");
        assert_int_equal(request.n_files, 2);
        expect_file(&request, 0, "kernel", "k", O_RDONLY);
        expect_file(&request, 1, "disk0", "d", O_RDWR);
}

static void test_options_alone_make_a_config(void **state) {
        _cleanup_(vm_request_deinit) VmRequest request = {0};

        put("k", "kernel");
        put("i", "initrd");
        put("d", "disk");
        assert_int_equal(chdir(dir), 0);
        assert_int_equal(BUILD(&request, NULL, "run", "--kernel", "k", "--initrd=i", "--params",
                               "a=b \"c\"", "-m", "64", "--cpus", "0x2", "--disk=d:ro", "--disk",
                               "d", "-n", "x"),
                         0);
        assert_string_equal(request.json,
                            "{\"kernel\":\"fd:kernel\",\"initrd\":\"fd:initrd\","
                            "\"params\":\"a=b \\\"c\\\"\",\"memory_mib\":64,\"cpus\":2,\"disks\":["
                            "{\"image\":\"fd:disk0\",\"writable\":false},"
                            "{\"image\":\"fd:disk1\",\"writable\":true}],\"name\":\"x\"}");
        expect_file(&request, 2, "disk0", "d", O_RDONLY);
        expect_file(&request, 3, "disk1", "d", O_RDWR);
}

static void test_options_win_over_the_config(void **state) {
        _cleanup_(vm_request_deinit) VmRequest request = {0};

        put("k", "kernel");
        put("over.json",
            "{\"bootloader\":\"gone\",\"cpu_topology\":\"match_host\",\"name\":\"a\"}");
        assert_int_equal(chdir(dir), 0);
        assert_int_equal(
                BUILD(&request, NULL, "run", "over.json", "--kernel=k", "--cpus=3", "--name=b"), 0);
        assert_string_equal(request.json, "{\"name\":\"b\",\"kernel\":\"fd:kernel\",\"cpus\":3}");
}

static void test_firmware_takes_the_place_of_the_configs_kernel(void **state) {
        _cleanup_(vm_request_deinit) VmRequest request = {0};

        put("k", "bios");
        put("over.json",
            "{\"kernel\":\"gone\",\"initrd\":\"gone\",\"params\":\"a\",\"name\":\"a\"}");
        assert_int_equal(chdir(dir), 0);
        assert_int_equal(BUILD(&request, NULL, "run", "over.json", "--bootloader=k"), 0);
        assert_string_equal(request.json, "{\"name\":\"a\",\"bootloader\":\"fd:bootloader\"}");
        expect_file(&request, 0, "bootloader", "k", O_RDONLY);
}

static void expect_failure(int expected, const char *message, const char *const *argv) {
        _cleanup_(text_error_deinit) TextError error = {0};
        _cleanup_(vm_request_deinit) VmRequest request = {0};

        assert_int_equal(build(argv, &request, &error), expected);
        assert_string_equal(error.message, message);
        assert_null(request.json);
        assert_int_equal(request.n_files, 0);
}

#define EXPECT_FAILURE(r, message, ...)                                                            \
        expect_failure(r, message, (const char *[]){"vivctl", __VA_ARGS__, NULL})

static void test_failures_name_file_member_and_cause(void **state) {
        assert_int_equal(chdir(dir), 0);
        put("bad.json", "{\n\"kernel\": }");
        put("gone.json", "{\"kernel\":\"gone\"}");
        put("dir.json", "{\"kernel\":\".\"}");
        put("typed.json", "{\"kernel\":[]}");
        assert_int_equal(mkfifo("fifo", 0600), 0);

        EXPECT_FAILURE(-ENOENT, "cannot open \"no.json\": No such file or directory", "run",
                       "no.json");
        EXPECT_FAILURE(EXIT_STATUS_USAGE, "bad.json: kernel: line 2 column 11: expected a value",
                       "run", "bad.json");
        EXPECT_FAILURE(-ENOENT,
                       "gone.json: kernel: cannot open \"gone\": No such file or directory\n"
                       "Relative paths begin at the config file.",
                       "run", "gone.json");
        EXPECT_FAILURE(EXIT_STATUS_USAGE,
                       "dir.json: kernel: \".\" is neither a file nor a block device", "run",
                       "dir.json");
        EXPECT_FAILURE(EXIT_STATUS_USAGE, "typed.json: kernel: expected the path of a file", "run",
                       "typed.json");
        EXPECT_FAILURE(-ENOENT, "kernel: cannot open \"/gone\": No such file or directory", "run",
                       "--kernel=/gone");
        EXPECT_FAILURE(-EISDIR, "cannot read \".\": Is a directory", "run", ".");
}

static void test_a_fifo_is_refused_and_not_waited_for(void **state) {
        _cleanup_(text_error_deinit) TextError error = {0};
        _cleanup_(vm_request_deinit) VmRequest request = {0};

        assert_int_equal(chdir(dir), 0);
        assert_int_equal(BUILD(&request, &error, "run", "--kernel=fifo"), EXIT_STATUS_USAGE);
        assert_non_null(strstr(error.message, "is neither a file nor a block device"));
}

static void test_wrong_command_lines_are_usage_errors(void **state) {
        EXPECT_FAILURE(EXIT_STATUS_USAGE,
                       "run needs a config file, or --kernel; see vivctl run --help", "run",
                       "--mem=1");
        EXPECT_FAILURE(EXIT_STATUS_USAGE, "--mem=lots: expected a number", "run", "--kernel=/k",
                       "--mem=lots");
        EXPECT_FAILURE(EXIT_STATUS_USAGE, "--cpus=-1: expected a number", "run", "--kernel=/k",
                       "--cpus=-1");
        EXPECT_FAILURE(EXIT_STATUS_USAGE, "--kernel=: expected the path of a file", "run",
                       "--kernel=");
        EXPECT_FAILURE(EXIT_STATUS_USAGE, "--disk=:ro: expected the path of a file", "run",
                       "--kernel=/k", "--disk=:ro");
}

static int make_dir(void **state) {
        return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state) {
        static const char *const names[] = {"k",          "i",        "d",         "vm.json",
                                            "over.json",  "bad.json", "gone.json", "dir.json",
                                            "typed.json", "fifo"};

        if (chdir(dir) < 0)
                return -1;
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                (void) unlink(names[i]);
        return chdir("/") < 0 || rmdir(dir) < 0 ? -1 : 0;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_paths_of_a_config_begin_where_it_is),
                cmocka_unit_test(test_options_alone_make_a_config),
                cmocka_unit_test(test_options_win_over_the_config),
                cmocka_unit_test(test_firmware_takes_the_place_of_the_configs_kernel),
                cmocka_unit_test(test_failures_name_file_member_and_cause),
                cmocka_unit_test(test_a_fifo_is_refused_and_not_waited_for),
                cmocka_unit_test(test_wrong_command_lines_are_usage_errors),
        };

        return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
