/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The messages between a balloon and whoever sizes it by --balloon-control: JSON in the shapes of crosvm's
 * BalloonTubeCommand and BalloonTubeResult, one message a packet. What arrives is hostile.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/text_error.h"
#include "config/control_message.h"

#define BALLOON_MESSAGE_MAX 4096u /* bytes of a command */

typedef enum BalloonCommandKind {
        BALLOON_ADJUST,
        BALLOON_STATS,
        /* Of working sets, for which Linux has no driver: understood, and not answered, as in crosvm without one. */
        BALLOON_WORKING_SET,
        BALLOON_WORKING_SET_CONFIG,
} BalloonCommandKind;

typedef struct BalloonCommand {
        BalloonCommandKind kind;
        uint64_t bytes;     /* BALLOON_ADJUST: the new size */
        bool allow_failure; /* BALLOON_ADJUST: to be answered once the guest has reached it */
} BalloonCommand;

typedef enum BalloonResultKind {
        BALLOON_READY,     /* a driver is there */
        BALLOON_NOT_READY, /* none is, and what it had been asked is forgotten */
        BALLOON_ADJUSTED,  /* @bytes */
        BALLOON_HAS_STATS, /* @stats */
} BalloonResultKind;

typedef struct BalloonResult {
        BalloonResultKind kind;
        uint64_t bytes;
        ControlBalloon stats;
} BalloonResult;

struct json_object;

int balloon_command_parse(const char *json, BalloonCommand *ret, TextError *reterr);
int balloon_result_format(const BalloonResult *result, char **ret);
int balloon_stats_build(const ControlBalloon *balloon, struct json_object *body);
