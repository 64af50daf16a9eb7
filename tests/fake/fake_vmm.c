/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VMM without a machine: takes the command line of the real one and then does what the words of its kernel
 * parameters say, in order, so that a test can have any end it wants:
 *
 *     failure:TEXT  console:TEXT  log:TEXT  stderr:TEXT
 *                                               write there ("%20" for a blank, "%0a" newline, "%1b" escape)
 *     echo                                      write each key to the console, until the key "q"
 *     flood:BYTES  console-flood:BYTES          write that much to the failure port or the console, a hundred '|' at
 *                                               its start
 *     fork                                      leave a child behind that keeps all descriptors
 *     touch:BYTES                               use so much guest memory
 *     name:TEXT                                 be called that in /proc
 *     await                                     wait for SIGUSR1
 *     deaf                                      close the control socket
 *     forbidden                                 enter the real VMM's sandbox, and trace another process
 *     exit:STATUS  signal:NUMBER  sleep         end, or wait for the end
 *
 * In the launcher's place it is one that hangs.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "config/crosvm_flags.h"
#include "config/hypervisor_probe.h"
#include "config/launch_plan.h"
#include "vmm/jail/jail.h"

static int open_serial(const VmmConfig *config, VmmSerialHardware hardware, unsigned num) {
        for (size_t i = 0; i < config->n_serials; i++)
                if (config->serials[i].hardware == hardware && config->serials[i].num == num &&
                    config->serials[i].type == VMM_SERIAL_FILE)
                        return open(config->serials[i].path, O_WRONLY | O_CLOEXEC);
        return -EBADF;
}

static void replace(char *text, const char *escape, char byte) {
        for (char *p = text; (p = strstr(p, escape)); p++) {
                *p = byte;
                memmove(p + 1, p + strlen(escape), strlen(p + strlen(escape)) + 1);
        }
}

static void unescape(char *text) {
        replace(text, "%20", ' ');
        replace(text, "%0a", '\n');
        replace(text, "%1b", '\x1b');
}

static void say(int fd, char *text) {
        unescape(text);
        if (fd < 0 || fd_write_all(fd, text, strlen(text)) < 0)
                _exit(99);
}

static void flood(int fd, size_t bytes) {
        char block[4096];

        memset(block, '|', 100);
        memset(block + 100, 'x', sizeof(block) - 100);
        for (size_t done = 0; done < bytes; done += sizeof(block))
                if (fd_write_all(fd, block, MIN(sizeof(block), bytes - done)) < 0)
                        _exit(99);
}

static void echo(const VmmConfig *config) {
        int out = open_serial(config, VMM_SERIAL_HARDWARE_VIRTIO_CONSOLE, 1), in = -EBADF;
        char key = 0;

        for (size_t i = 0; i < config->n_serials; i++)
                if (config->serials[i].input)
                        in = open(config->serials[i].input, O_RDONLY | O_CLOEXEC);
        while (key != 'q')
                if (read(in, &key, 1) != 1 || write(out, &key, 1) != 1)
                        _exit(99);
}

static void touch(size_t bytes) {
        int fd = memfd_create("crosvm_guest", MFD_CLOEXEC);
        char *p;

        if (fd < 0 || ftruncate(fd, (off_t) bytes) < 0)
                _exit(99);
        p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
                _exit(99);
        memset(p, 1, bytes);
}

static void die_by(int signo) {
        const struct rlimit no_core = {0, 0};

        (void) setrlimit(RLIMIT_CORE, &no_core);
        (void) signal(signo, SIG_DFL);
        (void) raise(signo);
        _exit(98);
}

static _Noreturn void wait_for_the_end(void) {
        for (;;)
                (void) pause();
}

/* Nobody answers on the control socket any more, nor ever will. */
static void turn_deaf(const VmmConfig *config) {
        static const char inherited[] = "/proc/self/fd/";
        int fd;

        if (!config->socket || strncmp(config->socket, inherited, strlen(inherited)) != 0)
                _exit(99);
        fd = atoi(config->socket + strlen(inherited));
        (void) shutdown(fd, SHUT_RDWR);
        (void) close(fd);
}

static void leave_child(void) {
        pid_t pid = fork();

        if (pid < 0)
                _exit(99);
        if (pid == 0)
                wait_for_the_end();
}

static void break_out(void) {
        TextError error = {0};

        (void) prctl(PR_SET_NAME, "fake_vmm");
        if (jail_enter(&(JailOptions){0}, &error) < 0 || jail_enter_role(JAIL_LOOP) < 0)
                _exit(99);
        (void) ptrace(PTRACE_SEIZE, 1, NULL, NULL);
        _exit(98);
}

/* Who sends it need not know how far we are. */
static void block_usr1(void) {
        sigset_t set;

        (void) sigemptyset(&set);
        (void) sigaddset(&set, SIGUSR1);
        (void) sigprocmask(SIG_BLOCK, &set, NULL);
}

static void await(void) {
        sigset_t set;
        int signo;

        (void) sigemptyset(&set);
        (void) sigaddset(&set, SIGUSR1);
        (void) prctl(PR_SET_NAME, "awaiting"); /* for whoever is to send it */
        (void) sigwait(&set, &signo);
}

static void do_word(const VmmConfig *config, char *word) {
        char *value = strchr(word, ':');

        if (value)
                *value++ = '\0';
        if (str_eq(word, "failure"))
                say(open_serial(config, VMM_SERIAL_HARDWARE_16550, 2), value);
        else if (str_eq(word, "console"))
                say(open_serial(config, VMM_SERIAL_HARDWARE_VIRTIO_CONSOLE, 1), value);
        else if (str_eq(word, "log"))
                say(open_serial(config, VMM_SERIAL_HARDWARE_VIRTIO_CONSOLE, 3), value);
        else if (str_eq(word, "stderr"))
                say(STDERR_FILENO, value);
        else if (str_eq(word, "flood"))
                flood(open_serial(config, VMM_SERIAL_HARDWARE_16550, 2), strtoul(value, NULL, 10));
        else if (str_eq(word, "forbidden"))
                break_out();
        else if (str_eq(word, "console-flood"))
                flood(open_serial(config, VMM_SERIAL_HARDWARE_VIRTIO_CONSOLE, 1),
                      strtoul(value, NULL, 10));
        else if (str_eq(word, "echo"))
                echo(config);
        else if (str_eq(word, "deaf"))
                turn_deaf(config);
        else if (str_eq(word, "fork"))
                leave_child();
        else if (str_eq(word, "touch"))
                touch(strtoul(value, NULL, 10));
        else if (str_eq(word, "name")) {
                unescape(value);
                (void) prctl(PR_SET_NAME, value);
        } else if (str_eq(word, "exit"))
                _exit(atoi(value));
        else if (str_eq(word, "signal"))
                die_by(atoi(value));
        else if (str_eq(word, "await"))
                await();
        else if (str_eq(word, "sleep"))
                wait_for_the_end();
}

static int probe(void) {
        const HypervisorProbe kvm = {
                .hypervisor = VMM_HYPERVISOR_KVM, .available = true, .reason = "it is a fake"};
        const HypervisorProbe soft = {.hypervisor = VMM_HYPERVISOR_SOFT,
                                      .reason = "it is not even faked"};

        return hypervisor_probe_print(stdout, &kvm) < 0 ||
               hypervisor_probe_print(stdout, &soft) < 0;
}

int main(int argc, char **argv) {
        VmmConfig config;
        TextError error = {0};
        char *state = NULL;

        if (argc == 2 && str_eq(argv[1], HYPERVISOR_PROBE_VERB))
                return probe();
        if (argc >= 2 && str_after_prefix(argv[1], LAUNCH_PLAN_OPTION))
                wait_for_the_end();
        if (crosvm_flags_parse(argc, argv, &config, &error) < 0) {
                (void) fprintf(stderr, "fake_vmm: %s\n", text_error_message(&error, -EINVAL));
                return VMM_EXIT_INVALID_ARGS;
        }
        block_usr1();
        for (size_t i = 0; i < config.params.n; i++)
                for (char *word = strtok_r(config.params.items[i], " ", &state); word;
                     word = strtok_r(NULL, " ", &state))
                        do_word(&config, word);
        _exit(0);
}
