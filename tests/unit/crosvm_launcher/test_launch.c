/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The launcher as the daemon starts it, with a recorder in the place of the VMM: this same program under another name,
 * which writes down what it was given.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/str.h"
#include "config/composite.h"
#include "config/launch_plan.h"

#define RECORDER_NAME "recorder"
#define FDS_MAX 600
#define HVC0_WITH_INPUT                                                                            \
        "type=file,path=/proc/self/fd/3,input=/proc/self/fd/5,hardware=virtio-console,num=1"

/* The recorder: one line for each fact, on standard output. */

static void record_composite(int fd) {
        _cleanup_(composite_spec_deinit) CompositeSpec spec = {0};
        char data[12000];
        ssize_t n = pread(fd, data, sizeof(data), 0);

        if (n <= 0 || !composite_is(data, (size_t) n))
                return;
        if (composite_decode(data, (size_t) n, &spec, NULL) < 0) {
                (void) printf("composite %d undecodable\n", fd);
                return;
        }
        (void) printf("composite %d size %" PRIu64 "\n", fd, spec.size);
        for (size_t i = 0; i < spec.n_parts; i++)
                (void) printf("part %d offset %" PRIu64 " size %" PRIu64 " %s %s\n", fd,
                              spec.parts[i].offset, spec.parts[i].size, spec.parts[i].path,
                              spec.parts[i].writable ? "rw" : "ro");
}

static void record_descriptors(void) {
        DIR *dir = opendir("/proc/self/fd");
        struct dirent *entry;

        while (dir && (entry = readdir(dir))) {
                struct stat st;
                int fd;

                if (parse_fd(entry->d_name, &fd) < 0 || fd == dirfd(dir) || fstat(fd, &st) < 0)
                        continue;
                (void) printf("fd %d inode %lu cloexec %d\n", fd, (unsigned long) st.st_ino,
                              fcntl(fd, F_GETFD));
                record_composite(fd);
        }
        if (dir)
                (void) closedir(dir);
}

static void record_signals(void) {
        unsigned blocked = 0, ignored = 0; /* handlers do not survive exec */
        struct sigaction action;
        sigset_t mask;

        (void) sigprocmask(SIG_SETMASK, NULL, &mask);
        for (int signal = 1; signal < NSIG; signal++) {
                blocked += sigismember(&mask, signal) == 1;
                if (sigaction(signal, NULL, &action) == 0)
                        ignored += action.sa_handler == SIG_IGN;
        }
        (void) printf("signals blocked %u ignored %u\n", blocked, ignored);
}

static int record(int argc, char **argv, char **environment) {
        struct rlimit core;
        char cwd[256];

        for (int i = 0; i < argc; i++)
                (void) printf("arg %d %s\n", i, argv[i]);
        for (char **e = environment; *e; e++)
                (void) printf("env %s\n", *e);
        record_signals();
        record_descriptors();
        (void) getrlimit(RLIMIT_CORE, &core);
        (void) printf("own group %d\n", getpgrp() == getpid());
        (void) printf("core %lu\n", (unsigned long) core.rlim_cur);
        (void) printf("no new privs %d\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
        (void) printf("cwd %s\n", getcwd(cwd, sizeof(cwd)));
        (void) printf("stdin at end %d\n", getchar() == EOF);
        return fflush(stdout) == 0 ? 0 : 1;
}

/* The daemon's side. */

typedef struct Launch {
        LaunchPlan plan;
        char directory[64];
        char launcher[PATH_MAX], recorder[PATH_MAX];
        int status_in; /* owned; end of the status pipe that is read */
        char *record;  /* owned; what the recorder wrote */
        char *status;  /* owned; what the launcher said */
        int exit_status;
        int fds[FDS_MAX]; /* owned; those of the plan */
        unsigned n_fds;
} Launch;

static int own(Launch *l, int fd) {
        assert_true(fd >= 0);
        assert_true(l->n_fds < FDS_MAX);
        l->fds[l->n_fds++] = fd;
        return fd;
}

/* A file of its own, inheritable, with @size bytes of content. */
static int make_file(Launch *l, off_t size) {
        int fd = memfd_create("client", 0);

        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, size), 0);
        return own(l, fd);
}

static void find_programs(Launch *l) {
        char self[PATH_MAX];
        ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
        char *tests;

        assert_true(n > 0);
        self[n] = '\0';
        assert_int_equal(snprintf(l->recorder, sizeof(l->recorder), "%s/" RECORDER_NAME,
                                  l->directory) < PATH_MAX,
                         1);
        assert_int_equal(symlink(self, l->recorder), 0);
        tests = strstr(self, "/tests/unit/");
        assert_non_null(tests);
        *tests = '\0';
        assert_true(snprintf(l->launcher, sizeof(l->launcher), "%s/vivarium-launch", self) <
                    PATH_MAX);
}

static int setup(void **state) {
        Launch *l = calloc(1, sizeof(*l));
        int pipe_fds[2];

        assert_non_null(l);
        (void) strcpy(l->directory, "/tmp/vivarium-test-XXXXXX");
        assert_non_null(mkdtemp(l->directory));
        find_programs(l);
        launch_plan_init(&l->plan);
        l->plan.vmm_path = strdup(l->recorder);
        l->plan.vm_name = strdup("crosvm_test");
        assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
        l->status_in = pipe_fds[0];
        assert_int_equal(fd_set_cloexec(pipe_fds[1], false), 0);
        l->plan.status = own(l, pipe_fds[1]);
        l->plan.vmm_stderr = make_file(l, 0);
        *state = l;
        return 0;
}

static int teardown(void **state) {
        Launch *l = *state;

        for (unsigned i = 0; i < l->n_fds; i++)
                (void) fd_close(l->fds[i]);
        (void) fd_close(l->status_in);
        launch_plan_deinit(&l->plan);
        free(l->record);
        free(l->status);
        (void) unlink(l->recorder);
        (void) rmdir(l->directory);
        free(l);
        return 0;
}

/* Spawns the launcher as the daemon does, and gathers what came of it. */
static void spawn_with(Launch *l, const char *plan_text) {
        int plan_fd = fd_memfd_from("plan", plan_text, strlen(plan_text)), status;
        char option[64], *environment[] = {NULL, NULL}, marker[] = "SECRET=1";
        char *argv[] = {l->launcher, option, NULL};
        pid_t pid;

        assert_true(plan_fd >= 0);
        assert_int_equal(fd_set_cloexec(plan_fd, false), 0);
        (void) snprintf(option, sizeof(option), LAUNCH_PLAN_OPTION "%d", plan_fd);
        environment[0] = marker;
        assert_int_equal(posix_spawn(&pid, l->launcher, NULL, NULL, argv, environment), 0);
        assert_int_equal(fd_close(plan_fd), -EBADF);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        l->exit_status = WEXITSTATUS(status);
        /* The launcher's end is gone; ours must be too, for the end of the file to be seen. */
        assert_int_equal(dup3(l->status_in, l->plan.status, O_CLOEXEC), l->plan.status);
        assert_int_equal(fd_read_bounded(l->status_in, 65536, &l->status, NULL), 0);
        assert_int_equal(lseek(l->plan.vmm_stderr, 0, SEEK_SET), 0);
        assert_int_equal(fd_read_bounded(l->plan.vmm_stderr, 1 << 20, &l->record, NULL), 0);
}

static void spawn_plan(Launch *l) {
        _cleanup_(freep) char *text = NULL;

        assert_int_equal(launch_plan_to_json(&l->plan, &text), 0);
        spawn_with(l, text);
}

static void use_config(Launch *l, const char *json) {
        _cleanup_(text_error_deinit) TextError error = {0};

        vm_config_deinit(&l->plan.config);
        if (vm_config_parse(json, &l->plan.config, &error) < 0)
                fail_msg("%s", error.message);
}

static bool has_line(const char *text, const char *line) {
        size_t n = strlen(line);

        for (const char *p = text; (p = strstr(p, line)); p += n)
                if ((p == text || p[-1] == '\n') && p[n] == '\n')
                        return true;
        return false;
}

static void assert_line(const Launch *l, const char *format, ...) _printf_(2, 3);

static void assert_line(const Launch *l, const char *format, ...) {
        char line[512];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(line, sizeof(line), format, ap);
        va_end(ap);
        if (!has_line(l->record, line))
                fail_msg("no line '%s' in:\n%s", line, l->record);
}

static unsigned long inode_of(int fd) {
        struct stat st;

        assert_int_equal(fstat(fd, &st), 0);
        return (unsigned long) st.st_ino;
}

static unsigned count_lines(const char *text, const char *start) {
        unsigned n = 0;

        for (const char *p = text; (p = strstr(p, start)); p++)
                n += p == text || p[-1] == '\n';
        return n;
}

static void assert_started(const Launch *l) {
        assert_string_equal(l->status, "");
        assert_int_equal(l->exit_status, 0);
}

static void test_the_command_line_is_androids_with_the_plans_descriptors(void **state) {
        static const char *const expected[] = {
                "--extended-status",
                "--log-level",
                "info",
                "run",
                "--name",
                "crosvm_test",
                "--no-usb",
                "--mem",
                "512",
                "--cpus",
                "2",
                "--serial",
                "type=file,path=/proc/self/fd/3,hardware=serial,num=1,console",
                "--serial",
                "type=file,path=/proc/self/fd/4,hardware=serial,num=2",
                "--serial",
                HVC0_WITH_INPUT,
                "--serial",
                "type=sink,hardware=virtio-console,num=2",
                "--serial",
                "type=file,path=/proc/self/fd/6,hardware=virtio-console,num=3",
                "--initrd",
                "/proc/self/fd/8",
                "--params",
                "panic=-1 quiet",
                "--block",
                "path=/proc/self/fd/9,ro=false",
                "--block",
                "path=/proc/self/fd/10,ro=true",
                "--hypervisor",
                "soft",
                "/proc/self/fd/7",
        };
        Launch *l = *state;
        LaunchPlan *plan = &l->plan;
        int kernel = make_file(l, 100), initrd = make_file(l, 100);
        int rw = make_file(l, 4096), ro = make_file(l, 4096);

        plan->log_level = strdup("info");
        plan->hypervisor = VMM_HYPERVISOR_SOFT;
        plan->console_out = make_file(l, 0);
        plan->console_in = make_file(l, 0);
        plan->failure_out = make_file(l, 0);
        plan->log_out = make_file(l, 0);
        use_config(l, "{\"kernel\":\"fd:k\",\"initrd\":\"fd:i\",\"params\":\"panic=-1 quiet\","
                      "\"memory_mib\":512,\"cpus\":2,\"disks\":["
                      "{\"image\":\"fd:rw\",\"writable\":true},"
                      "{\"image\":\"fd:ro\",\"writable\":false}]}");
        assert_int_equal(launch_plan_add_file(plan, "ro", ro), 0);
        assert_int_equal(launch_plan_add_file(plan, "rw", rw), 0);
        assert_int_equal(launch_plan_add_file(plan, "i", initrd), 0);
        assert_int_equal(launch_plan_add_file(plan, "k", kernel), 0);
        spawn_plan(l);
        assert_started(l);
        assert_line(l, "arg 0 %s", l->recorder);
        for (size_t i = 0; i < ELEMENTSOF(expected); i++)
                assert_line(l, "arg %zu %s", i + 1, expected[i]);
        assert_int_equal(count_lines(l->record, "arg "), ELEMENTSOF(expected) + 1);
        assert_line(l, "fd 3 inode %lu cloexec 0", inode_of(plan->console_out));
        assert_line(l, "fd 4 inode %lu cloexec 0", inode_of(plan->failure_out));
        assert_line(l, "fd 5 inode %lu cloexec 0", inode_of(plan->console_in));
        assert_line(l, "fd 6 inode %lu cloexec 0", inode_of(plan->log_out));
        assert_line(l, "fd 7 inode %lu cloexec 0", inode_of(kernel));
        assert_line(l, "fd 8 inode %lu cloexec 0", inode_of(initrd));
        assert_line(l, "fd 9 inode %lu cloexec 0", inode_of(rw));
        assert_line(l, "fd 10 inode %lu cloexec 0", inode_of(ro));
        assert_int_equal(count_lines(l->record, "fd "), 3 + 8);
}

static void use_minimal(Launch *l) {
        use_config(l, "{\"kernel\":\"fd:k\"}");
        assert_int_equal(launch_plan_add_file(&l->plan, "k", make_file(l, 10)), 0);
}

static void test_the_vmm_starts_clean_in_its_own_group(void **state) {
        Launch *l = *state;
        sigset_t mask, old;
        int stray = make_file(l, 0);

        use_minimal(l);
        (void) sigemptyset(&mask);
        (void) sigaddset(&mask, SIGUSR1);
        (void) sigaddset(&mask, SIGTERM);
        assert_int_equal(sigprocmask(SIG_BLOCK, &mask, &old), 0);
        assert_true(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
        assert_true(signal(SIGHUP, SIG_IGN) != SIG_ERR);
        spawn_plan(l);
        assert_true(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
        assert_true(signal(SIGHUP, SIG_DFL) != SIG_ERR);
        assert_int_equal(sigprocmask(SIG_SETMASK, &old, NULL), 0);
        assert_started(l);
        assert_int_equal(count_lines(l->record, "env "), 0);
        assert_line(l, "signals blocked 0 ignored 0");
        assert_line(l, "own group 1");
        assert_line(l, "core 0");
        assert_line(l, "no new privs 1");
        assert_line(l, "cwd /");
        assert_line(l, "stdin at end 1");
        assert_line(l, "fd 1 inode %lu cloexec 0", inode_of(l->plan.vmm_stderr));
        assert_line(l, "fd 2 inode %lu cloexec 0", inode_of(l->plan.vmm_stderr));
        assert_int_equal(count_lines(l->record, "fd "), 4); /* the streams and the kernel */
        assert_true(stray > 2);
}

static void test_a_vm_to_be_debugged_may_leave_a_core(void **state) {
#ifdef __SANITIZE_ADDRESS__
        print_message("the address sanitizer sets RLIMIT_CORE itself\n");
        skip();
#endif
        struct rlimit old, some = {4096, 0};
        Launch *l = *state;

        use_config(l, "{\"kernel\":\"fd:k\",\"debug_level\":\"full\"}");
        assert_int_equal(launch_plan_add_file(&l->plan, "k", make_file(l, 10)), 0);
        assert_int_equal(getrlimit(RLIMIT_CORE, &old), 0);
        if (old.rlim_max < some.rlim_cur)
                skip();
        some.rlim_max = old.rlim_max;
        assert_int_equal(setrlimit(RLIMIT_CORE, &some), 0);
        spawn_plan(l);
        assert_int_equal(setrlimit(RLIMIT_CORE, &old), 0);
        assert_started(l);
        assert_line(l, "core 4096");
}

static void test_input_for_ttyS0_goes_nowhere_else(void **state) {
        Launch *l = *state;

        use_config(l, "{\"kernel\":\"fd:k\",\"console_input_device\":\"ttyS0\"}");
        assert_int_equal(launch_plan_add_file(&l->plan, "k", make_file(l, 10)), 0);
        l->plan.console_in = make_file(l, 0);
        l->plan.ramdump_out = make_file(l, 0);
        spawn_plan(l);
        assert_started(l);
        assert_non_null(
                strstr(l->record, "type=sink,input=/proc/self/fd/3,hardware=serial,num=1\n"));
        assert_non_null(strstr(l->record, "type=sink,hardware=virtio-console,num=1\n"));
        assert_non_null(strstr(l->record, "type=sink,hardware=virtio-console,num=2\n"));
        assert_non_null(strstr(l->record, " --ramdump\n"));
        assert_non_null(strstr(l->record, " /proc/self/fd/4\n"));
}

/* The number that the line beginning with @start has behind it. */
static int number_behind(const Launch *l, const char *start) {
        const char *p = strstr(l->record, start);

        assert_non_null(p);
        return atoi(p + strlen(start));
}

static void test_partitions_become_a_composite_of_the_clients_files(void **state) {
        Launch *l = *state;
        int a = make_file(l, 10000), b = make_file(l, 8192), spec;

        use_config(l, "{\"kernel\":\"fd:k\",\"disks\":[{\"writable\":true,\"partitions\":["
                      "{\"label\":\"a\",\"path\":\"fd:a\"},"
                      "{\"label\":\"b\",\"path\":\"fd:b\",\"writable\":true}]}]}");
        assert_int_equal(launch_plan_add_file(&l->plan, "k", make_file(l, 10)), 0);
        assert_int_equal(launch_plan_add_file(&l->plan, "a", a), 0);
        assert_int_equal(launch_plan_add_file(&l->plan, "b", b), 0);
        spawn_plan(l);
        assert_started(l);
        spec = number_behind(l, "path=/proc/self/fd/");
        assert_line(l, "composite %d size 65536", spec);
        /* head, a, the filler behind a, b, tail */
        assert_line(l, "part %d offset 0 size 20480 /proc/self/fd/4 ro", spec);
        assert_line(l, "part %d offset 20480 size 10000 /proc/self/fd/5 ro", spec);
        assert_line(l, "part %d offset 30480 size 2288 /proc/self/fd/6 ro", spec);
        assert_line(l, "part %d offset 32768 size 8192 /proc/self/fd/7 rw", spec);
        assert_line(l, "part %d offset 40960 size 24576 /proc/self/fd/8 ro", spec);
        assert_line(l, "fd 5 inode %lu cloexec 0", inode_of(a));
        assert_line(l, "fd 7 inode %lu cloexec 0", inode_of(b));
}

static void test_hundreds_of_descriptors_arrive_where_they_belong(void **state) {
        _cleanup_(strbuf_deinit) StrBuf config = {0};
        Launch *l = *state;
        int files[400];

        strbuf_append(&config, "{\"kernel\":\"fd:k\",\"disks\":[");
        for (unsigned i = 0; i < 400; i++) {
                char name[16];

                (void) snprintf(name, sizeof(name), "f%u", i);
                files[i] = make_file(l, 4096);
                assert_int_equal(launch_plan_add_file(&l->plan, name, files[i]), 0);
                if (i % 100 == 0)
                        strbuf_printf(&config, "%s{\"writable\":true,\"partitions\":[",
                                      i == 0 ? "" : "]},");
                strbuf_printf(&config, "%s{\"label\":\"%u\",\"path\":\"fd:f%u\",\"writable\":true}",
                              i % 100 == 0 ? "" : ",", i, i);
        }
        strbuf_append(&config, "]}]}");
        use_config(l, config.data);
        assert_int_equal(launch_plan_add_file(&l->plan, "k", make_file(l, 10)), 0);
        spawn_plan(l);
        assert_started(l);
        assert_int_equal(count_lines(l->record, "composite "), 4);
        for (unsigned i = 0; i < 400; i++) {
                char start[64];
                const char *part;
                int fd;

                /* Each of the four disks has its partition i % 100 at the same offset, in order. */
                (void) snprintf(start, sizeof(start), " offset %u size 4096 /proc/self/fd/",
                                20480 + i % 100 * 4096);
                part = l->record;
                for (unsigned k = 0; k <= i / 100; k++) {
                        part = strstr(part + 1, start);
                        assert_non_null(part);
                }
                fd = atoi(part + strlen(start));
                assert_line(l, "fd %d inode %lu cloexec 0", fd, inode_of(files[i]));
        }
}

static void assert_failed(const Launch *l, const char *words) {
        assert_int_equal(l->exit_status, 1);
        assert_string_equal(l->record, "");
        if (!strstr(l->status, words) ||
            strchr(l->status, '\n') != l->status + strlen(l->status) - 1)
                fail_msg("'%s', expected one line with '%s'", l->status, words);
}

/* A VM with a socket for its guest's, as the daemon gives every VM one. */
static void use_sockets(Launch *l, VmmDialect dialect) {
        int dir = open(l->directory, O_RDONLY | O_DIRECTORY);

        use_minimal(l);
        l->plan.dialect = dialect;
        l->plan.cid = 2048;
        l->plan.vsock_dir = own(l, dir);
}

static void test_our_own_vmm_has_its_sandbox_and_a_directory_of_sockets(void **state) {
        Launch *l = *state;

        use_sockets(l, VMM_DIALECT_VIVARIUM);
        spawn_plan(l);
        assert_started(l);
        assert_null(strstr(l->record, "sandbox"));
        assert_non_null(strstr(l->record, " --vsock\n"));
        assert_non_null(strstr(l->record, " cid=2048,socket-dir=/proc/self/fd/"));
}

static void test_sockets_of_the_hosts_kernel_are_its_device(void **state) {
        Launch *l = *state;

        use_minimal(l);
        l->plan.cid = 2048;
        l->plan.vhost_vsock = own(l, open("/dev/null", O_RDWR));
        spawn_plan(l);
        assert_started(l);
        assert_non_null(strstr(l->record, " --vsock\n"));
        assert_non_null(strstr(l->record, " cid=2048,device=/proc/self/fd/"));
        assert_non_null(strstr(l->record, "vmm.notify_socket=vsock-stream:2:2048"));
}

static void test_a_crosvm_of_today_is_spoken_to_in_its_words(void **state) {
        Launch *l = *state;

        use_sockets(l, VMM_DIALECT_CROSVM);
        l->plan.hypervisor = VMM_HYPERVISOR_KVM;
        spawn_plan(l);
        assert_started(l);
        assert_non_null(strstr(l->record, " --name\n"));
        assert_non_null(strstr(l->record, " --disable-sandbox\n"));
        assert_non_null(strstr(l->record, " --vsock\n"));
        assert_non_null(strstr(l->record, " cid=2048\n"));
        assert_non_null(strstr(l->record, " --hypervisor\n"));
        assert_non_null(strstr(l->record, " kvm\n"));
}

static void test_a_crosvm_of_2023_has_a_cid_and_no_name(void **state) {
        Launch *l = *state;

        use_sockets(l, VMM_DIALECT_CROSVM_2023);
        spawn_plan(l);
        assert_started(l);
        assert_non_null(strstr(l->record, " --cid\n"));
        assert_non_null(strstr(l->record, " 2048\n"));
        assert_null(strstr(l->record, "--vsock"));
        assert_null(strstr(l->record, "--name"));
}

static void test_a_crosvm_is_not_asked_for_the_software_processor(void **state) {
        Launch *l = *state;

        use_sockets(l, VMM_DIALECT_CROSVM);
        l->plan.hypervisor = VMM_HYPERVISOR_SOFT;
        spawn_plan(l);
        assert_failed(l, "--hypervisor: a crosvm cannot do that");
}

static void test_a_vmm_that_is_not_there_is_reported(void **state) {
        Launch *l = *state;

        use_minimal(l);
        free(l->plan.vmm_path);
        l->plan.vmm_path = strdup("/nowhere/vmm");
        spawn_plan(l);
        assert_failed(l, "cannot execute /nowhere/vmm: No such file or directory");
}

static void test_a_closed_descriptor_is_reported(void **state) {
        Launch *l = *state;

        use_config(l, "{\"kernel\":\"fd:k\"}");
        assert_int_equal(launch_plan_add_file(&l->plan, "k", 999), 0);
        spawn_plan(l);
        assert_failed(l, "kernel: fd:k: Bad file descriptor");
}

static void test_images_that_are_not_raw_are_reported(void **state) {
        static const char text[] = COMPOSITE_MAGIC "anything";
        Launch *l = *state;
        int fd = make_file(l, 4096);

        assert_int_equal(pwrite(fd, text, sizeof(text), 0), sizeof(text));
        use_config(l, "{\"kernel\":\"fd:k\",\"disks\":[{\"image\":\"fd:k\",\"writable\":false}]}");
        assert_int_equal(launch_plan_add_file(&l->plan, "k", fd), 0);
        spawn_plan(l);
        assert_failed(l, "disks[0].image: a composite disk, where only raw images are accepted");
}

static void test_a_partition_that_cannot_be_written_whole_is_reported(void **state) {
        Launch *l = *state;

        use_config(l, "{\"kernel\":\"fd:k\",\"disks\":[{\"writable\":true,\"partitions\":["
                      "{\"label\":\"a\",\"path\":\"fd:a\",\"writable\":true}]}]}");
        assert_int_equal(launch_plan_add_file(&l->plan, "k", make_file(l, 1)), 0);
        assert_int_equal(launch_plan_add_file(&l->plan, "a", make_file(l, 1000)), 0);
        spawn_plan(l);
        assert_failed(l, "disks[0].partitions[0].path: the file has 1000 bytes");
}

static void test_an_empty_partition_is_reported(void **state) {
        Launch *l = *state;

        use_config(l, "{\"kernel\":\"fd:k\",\"disks\":[{\"writable\":false,\"partitions\":["
                      "{\"label\":\"a\",\"path\":\"fd:a\"}]}]}");
        assert_int_equal(launch_plan_add_file(&l->plan, "k", make_file(l, 1)), 0);
        assert_int_equal(launch_plan_add_file(&l->plan, "a", make_file(l, 0)), 0);
        spawn_plan(l);
        assert_failed(l, "disks[0].partitions[0].path: the file is empty");
}

static void test_a_plan_that_is_none_fails_without_a_status_line(void **state) {
        Launch *l = *state;

        spawn_with(l, "{\"vmm_path\": 5}");
        assert_int_equal(l->exit_status, 1);
        assert_string_equal(l->status, ""); /* it could not know where; its standard error has it */
        assert_string_equal(l->record, "");
}

#define LAUNCH_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv, char **environment) {
        const char *slash = strrchr(argv[0], '/');
        const struct CMUnitTest tests[] = {
                LAUNCH_TEST(test_the_command_line_is_androids_with_the_plans_descriptors),
                LAUNCH_TEST(test_the_vmm_starts_clean_in_its_own_group),
                LAUNCH_TEST(test_a_vm_to_be_debugged_may_leave_a_core),
                LAUNCH_TEST(test_input_for_ttyS0_goes_nowhere_else),
                LAUNCH_TEST(test_partitions_become_a_composite_of_the_clients_files),
                LAUNCH_TEST(test_hundreds_of_descriptors_arrive_where_they_belong),
                LAUNCH_TEST(test_our_own_vmm_has_its_sandbox_and_a_directory_of_sockets),
                LAUNCH_TEST(test_sockets_of_the_hosts_kernel_are_its_device),
                LAUNCH_TEST(test_a_crosvm_of_today_is_spoken_to_in_its_words),
                LAUNCH_TEST(test_a_crosvm_of_2023_has_a_cid_and_no_name),
                LAUNCH_TEST(test_a_crosvm_is_not_asked_for_the_software_processor),
                LAUNCH_TEST(test_a_vmm_that_is_not_there_is_reported),
                LAUNCH_TEST(test_a_closed_descriptor_is_reported),
                LAUNCH_TEST(test_images_that_are_not_raw_are_reported),
                LAUNCH_TEST(test_a_partition_that_cannot_be_written_whole_is_reported),
                LAUNCH_TEST(test_an_empty_partition_is_reported),
                LAUNCH_TEST(test_a_plan_that_is_none_fails_without_a_status_line),
        };

        if (slash && str_eq(slash + 1, RECORDER_NAME))
                return record(argc, argv, environment);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
