/* SPDX-License-Identifier: Apache-2.0 */
#include "config/keeper.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/str.h"

/*
 * A line:   keeper PID START-TIME BELL FAILURE CONSOLE ERR [LOG KEYS]
 *           spawned PID START-TIME
 *           server INDEX PID START-TIME
 *           executed | failed SENTENCE
 *           server-ended INDEX exited|killed|dumped STATUS
 *           ended exited|killed|dumped STATUS GUEST-TICKS OOM-KILLS [USER-TICKS [PEAK-BYTES]]
 *
 * Lines come in this order. One that has no newline is still being written; one of another kind comes from another
 * version and is passed over.
 */

#define WORDS_MAX 10u
#define LINE_MAX_BYTES (KEEPER_ERROR_MAX + 64u)

static const char *const end_names[] = {[KEEPER_END_EXITED] = "exited",
                                        [KEEPER_END_KILLED] = "killed",
                                        [KEEPER_END_DUMPED] = "dumped"};

/** keeper_record_deinit() - release what it owns */
void keeper_record_deinit(KeeperRecord *record) {
        free(record->failed);
        *record = (KeeperRecord){0};
}

/* Splits @line at blanks, in place. */
static size_t split(char *line, char **words) {
        char *state = NULL;
        size_t n = 0;

        for (char *word = strtok_r(line, " ", &state); word && n < WORDS_MAX;
             word = strtok_r(NULL, " ", &state))
                words[n++] = word;
        return n;
}

/* A descriptor, or -1 for none. */
static int parse_kept(const char *text, int *ret) {
        if (str_eq(text, "-1")) {
                *ret = -EBADF;
                return 0;
        }
        return parse_fd(text, ret) < 0 ? -EBADMSG : 0;
}

static int parse_process(char *const *words, KeeperProcess *ret) {
        uint32_t pid;

        if (parse_u32(words[0], &pid) < 0 || pid == 0 || pid > INT32_MAX ||
            parse_u64(words[1], &ret->start_time) < 0)
                return -EBADMSG;
        ret->pid = (pid_t) pid;
        return 0;
}

/* A keeper of an earlier version has none of the last two. */
static int parse_self(char *const *words, size_t n, KeeperRecord *record) {
        int *const fds[] = {&record->fds.bell_in, &record->fds.failure, &record->fds.console,
                            &record->fds.err,     &record->fds.log,     &record->fds.keys};
        int r = parse_process(words, &record->keeper);

        for (size_t i = 0; r == 0 && i < ELEMENTSOF(fds) && 2 + i < n; i++)
                r = parse_kept(words[2 + i], fds[i]);
        return r;
}

static int parse_end_name(const char *name, KeeperEnd *ret) {
        for (KeeperEnd end = KEEPER_END_EXITED; end <= KEEPER_END_DUMPED; end++)
                if (str_eq(end_names[end], name)) {
                        *ret = end;
                        return 0;
                }
        return -EBADMSG;
}

static int parse_index(const char *word, KeeperRecord *record, KeeperServer **ret) {
        uint32_t index;

        if (parse_u32(word, &index) < 0 || index >= KEEPER_SERVERS_MAX)
                return -EBADMSG;
        *ret = &record->servers[index];
        return 0;
}

static int parse_server(char *const *words, KeeperRecord *record) {
        KeeperServer *server;
        int r = parse_index(words[0], record, &server);

        return r < 0 ? r : parse_process(words + 1, &server->process);
}

static int parse_server_end(char *const *words, KeeperRecord *record) {
        KeeperServer *server;
        uint32_t status;
        int r = parse_index(words[0], record, &server);

        if (r < 0 || parse_u32(words[2], &status) < 0 || status > 255)
                return -EBADMSG;
        server->status = (int) status;
        return parse_end_name(words[1], &server->end);
}

/* A keeper of an earlier version says nothing of the last numbers. */
static int parse_end(char *const *words, size_t n, KeeperRecord *record) {
        uint32_t status;

        if (parse_u32(words[1], &status) < 0 || status > 255 ||
            parse_u64(words[2], &record->guest_ticks) < 0 ||
            parse_u64(words[3], &record->oom_kills) < 0 ||
            (n > 4 && parse_u64(words[4], &record->user_ticks) < 0) ||
            (n > 5 && parse_u64(words[5], &record->peak_bytes) < 0))
                return -EBADMSG;
        record->status = (int) status;
        return parse_end_name(words[0], &record->end);
}

static int parse_line(char *line, KeeperRecord *record) {
        const char *error = str_after_prefix(line, "failed ");
        char *words[WORDS_MAX];
        size_t n;

        if (error) {
                free(record->failed);
                record->failed = strdup(error);
                return record->failed ? 0 : -ENOMEM;
        }
        n = split(line, words);
        if (n == 0)
                return 0;
        if (str_eq(words[0], "executed"))
                record->executed = true;
        else if (str_eq(words[0], "keeper"))
                return n < 7 ? -EBADMSG : parse_self(words + 1, n - 1, record);
        else if (str_eq(words[0], "spawned"))
                return n < 3 ? -EBADMSG : parse_process(words + 1, &record->vmm);
        else if (str_eq(words[0], "server"))
                return n < 4 ? -EBADMSG : parse_server(words + 1, record);
        else if (str_eq(words[0], "server-ended"))
                return n < 4 ? -EBADMSG : parse_server_end(words + 1, record);
        else if (str_eq(words[0], "ended"))
                return n < 5 ? -EBADMSG : parse_end(words + 1, n - 1, record);
        return 0;
}

/**
 * keeper_record_parse() - read the text of a record file
 * @text: changed
 * @ret:  release with keeper_record_deinit()
 *
 * Return: 0, also for an empty one; -EBADMSG for a line that says something else than it should; -ENOMEM.
 */
int keeper_record_parse(char *text, KeeperRecord *ret) {
        _cleanup_(keeper_record_deinit) KeeperRecord record = {.fds = KEEPER_FDS_NONE};
        char *end;

        for (char *line = text; (end = strchr(line, '\n')); line = end + 1) {
                int r;

                *end = '\0';
                r = parse_line(line, &record);
                if (r < 0)
                        return r;
        }
        *ret = record;
        record = (KeeperRecord){0};
        return 0;
}

/** keeper_record_read() - keeper_record_parse() of a file, from its start. Return: 0 or negative errno. */
int keeper_record_read(int fd, KeeperRecord *ret) {
        char text[KEEPER_RECORD_MAX + 1];
        ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

        if (n < 0)
                return -errno;
        text[n] = '\0';
        return keeper_record_parse(text, ret);
}

/** keeper_fds_format() - value of KEEPER_OPTION. Return: 0; -ENOBUFS. */
int keeper_fds_format(const KeeperFds *fds, char *buf, size_t size) {
        const int all[] = {fds->record,  fds->bell_in, fds->bell_out, fds->status_in, fds->failure,
                           fds->console, fds->err,     fds->log,      fds->keys};
        size_t len = 0;

        for (size_t i = 0; i < ELEMENTSOF(all); i++) {
                int n = snprintf(buf + len, size - len, "%s%d", i > 0 ? "," : "",
                                 all[i] < 0 ? -1 : all[i]);

                if (n < 0 || (size_t) n >= size - len)
                        return -ENOBUFS;
                len += (size_t) n;
        }
        return 0;
}

/** keeper_fds_parse() - what keeper_fds_format() wrote. Return: 0 or -EBADMSG. */
int keeper_fds_parse(const char *text, KeeperFds *ret) {
        KeeperFds fds;
        int *const all[] = {&fds.record,  &fds.bell_in, &fds.bell_out, &fds.status_in, &fds.failure,
                            &fds.console, &fds.err,     &fds.log,      &fds.keys};
        char copy[128], *state = NULL, *word;

        if (strlen(text) >= sizeof(copy))
                return -EBADMSG;
        (void) snprintf(copy, sizeof(copy), "%s", text);
        word = strtok_r(copy, ",", &state);
        for (size_t i = 0; i < ELEMENTSOF(all); i++, word = strtok_r(NULL, ",", &state))
                if (!word || parse_kept(word, all[i]) < 0)
                        return -EBADMSG;
        if (word || fds.record < 0 || fds.bell_in < 0 || fds.bell_out < 0 || fds.status_in < 0)
                return -EBADMSG;
        *ret = fds;
        return 0;
}

static int write_line(int fd, const char *format, ...) _printf_(2, 3);

/* In one write(), so that a reader sees all of it or nothing. */
static int write_line(int fd, const char *format, ...) {
        char line[LINE_MAX_BYTES];
        va_list ap;
        int n;

        va_start(ap, format);
        n = vsnprintf(line, sizeof(line), format, ap);
        va_end(ap);
        if (n < 0 || (size_t) n >= sizeof(line))
                return -EMSGSIZE;
        return fd_write_all(fd, line, (size_t) n);
}

/** keeper_write_self() - the first line; likewise the others below. Return: 0 or negative errno. */
int keeper_write_self(int fd, const KeeperProcess *self, const KeeperFds *fds) {
        return write_line(fd, "keeper %d %" PRIu64 " %d %d %d %d %d %d\n", self->pid,
                          self->start_time, MAX(fds->bell_in, -1), MAX(fds->failure, -1),
                          MAX(fds->console, -1), MAX(fds->err, -1), MAX(fds->log, -1),
                          MAX(fds->keys, -1));
}

/** keeper_write_spawned() - the VMM has a process */
int keeper_write_spawned(int fd, const KeeperProcess *vmm) {
        return write_line(fd, "spawned %d %" PRIu64 "\n", vmm->pid, vmm->start_time);
}

/** keeper_write_server() - so has the server of the folder number @index */
int keeper_write_server(int fd, const KeeperProcess *server, size_t index) {
        return write_line(fd, "server %zu %d %" PRIu64 "\n", index, server->pid,
                          server->start_time);
}

/** keeper_write_server_ended() - a server ended, with an exit status or a signal's number */
int keeper_write_server_ended(int fd, size_t index, KeeperEnd end, int status) {
        return write_line(fd, "server-ended %zu %s %d\n", index, end_names[end], status);
}

/** keeper_write_executed() - the VMM's program runs in its process */
int keeper_write_executed(int fd) {
        return write_line(fd, "executed\n");
}

/* @error: up to its first newline, if it has one */
int keeper_write_failed(int fd, const char *error) {
        return write_line(fd, "failed %.*s\n",
                          (int) MIN(strcspn(error, "\n"), (size_t) KEEPER_ERROR_MAX), error);
}

/** keeper_write_ended() - the VMM ended; the last line */
int keeper_write_ended(int fd, const KeeperRecord *record) {
        return write_line(fd, "ended %s %d %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
                          end_names[record->end], record->status, record->guest_ticks,
                          record->oom_kills, record->user_ticks, record->peak_bytes);
}
