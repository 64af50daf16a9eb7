/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the next daemon finds: state files, the file of past deaths, and the records of keepers. They may be torn, of
 * another version, or written by somebody else.
 *
 * Input: a letter for the kind of file, then its contents.
 */

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "config/keeper.h"
#include "service/store/history.h"
#include "service/store/state_file.h"
#include "service/vm/fields.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_fields(const Fields *fields) {
        VmInfo info = {0};

        (void) vm_info_from_fields(fields, &info);
        vm_info_deinit(&info);
}

/* Frames, one behind the other. */
static void fuzz_frames(const char *text, size_t len) {
        while (len > 0) {
                Fields fields = {0};
                size_t used = 0;

                if (state_unframe(text, len, &fields, &used) == 0) {
                        assert(used > 0 && used <= len);
                        read_fields(&fields);
                } else
                        used = state_next_frame(text, len);
                fields_deinit(&fields);
                if (used == 0)
                        return;
                assert(used <= len);
                text += used;
                len -= used;
        }
}

/* The inside of a frame, with no checksum in the way; what was read is written and read the same again. */
static void fuzz_fields(const char *text, size_t len) {
        Fields fields = {0}, again = {0};
        _cleanup_(strbuf_deinit) StrBuf out = {0};

        if (fields_decode(text, len, &fields) == 0) {
                read_fields(&fields);
                assert(fields_encode(&fields, &out) == 0);
                assert(fields_decode(out.data ?: "", out.len, &again) == 0);
                assert(again.n == fields.n);
        }
        fields_deinit(&fields);
        fields_deinit(&again);
}

static void fuzz_record(const char *text, size_t len) {
        char *copy = strndup(text, len);
        KeeperRecord record;

        assert(copy);
        if (keeper_record_parse(copy, &record) == 0)
                keeper_record_deinit(&record);
        free(copy);
}

/* The history's, and in it that of what is not written yet. */
static char directory[32], ahead[40];

static void remove_directories(void) {
        (void) rmdir(ahead);
        (void) rmdir(directory);
}

static void make_directories(void) {
        (void) strcpy(directory, "/tmp/fuzz-state.XXXXXX");
        assert(mkdtemp(directory));
        (void) snprintf(ahead, sizeof(ahead), "%s/ahead", directory);
        assert(mkdir(ahead, 0700) == 0);
        (void) atexit(remove_directories);
}

static void read_history(History *history) {
        for (size_t i = 0; i < history_n(history); i++) {
                Fields fields = {0};

                if (history_read(history, i, &fields) == 0)
                        read_fields(&fields);
                fields_deinit(&fields);
        }
}

/* @where: which of the two files an earlier daemon left like that */
static void fuzz_history(const char *where, const char *text, size_t len) {
        static const char *const left[] = {"history", ".history.bad", "ahead/history"};
        _cleanup_(fd_closep) int fd = -EBADF, ahead_dir = -EBADF, dir = -EBADF;
        History *history;

        if (!directory[0])
                make_directories();
        dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        ahead_dir = open(ahead, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        fd = openat(dir, where, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert(fd >= 0 && fd_write_all(fd, text, len) == 0);
        if (history_open(
                    &(HistorySpec){
                            .directory = directory, .ahead_dir = ahead_dir, .key = "ID", .max = 8},
                    &history) == 0) {
                read_history(history);
                (void) history_free(history);
        }
        for (size_t i = 0; i < ELEMENTSOF(left); i++)
                (void) unlinkat(dir, left[i], 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const char *text = (const char *) data + 1;

        log_set_level(LOG_LEVEL_OFF);
        if (size < 1)
                return 0;
        switch (data[0]) {
        case 's':
                fuzz_frames(text, size - 1);
                break;
        case 'f':
                fuzz_fields(text, size - 1);
                break;
        case 'k':
                fuzz_record(text, size - 1);
                break;
        case 'h':
                fuzz_history("history", text, size - 1);
                break;
        case 'a':
                fuzz_history("ahead/history", text, size - 1);
                break;
        default:
                break;
        }
        return 0;
}
