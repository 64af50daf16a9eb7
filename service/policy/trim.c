/* SPDX-License-Identifier: Apache-2.0 */
#include "service/policy/trim.h"

#include <errno.h>

#include "base/cleanup.h"
#include "base/str.h"

/* Averages over 10 s, in hundredths of a percent of the time. */
#define FULL_CENTI 100u  /* every task waited: what is left to be taken is taken at once */
#define RELAX_CENTI 100u /* a fifth of what the trigger takes for pressure */

/* What a guest keeps at hand when its memory is taken by pressure. */
#define KEPT_BYTES ((uint64_t) 32 << 20)

static const char *const names[] = {"none", "moderate", "low", "critical"};

/** trim_level_from_string() - a level that asks for something. Return: 0 or -EINVAL. */
int trim_level_from_string(const char *text, TrimLevel *ret) {
        for (unsigned i = TRIM_MODERATE; i < ELEMENTSOF(names); i++)
                if (str_eq(text, names[i])) {
                        *ret = (TrimLevel) i;
                        return 0;
                }
        return -EINVAL;
}

/** trim_level_to_string() - its name on the bus; static */
const char *trim_level_to_string(TrimLevel level) {
        return names[level];
}

/**
 * trim_policy_press() - the kernel says that tasks waited for memory
 * @full_centi: part of the last 10 s in which all did, in hundredths of a percent
 *
 * Pressure that goes on raises the level once an interval. When all tasks wait it rises to the top, and the first time
 * that does not wait for the interval. At the top it is applied anew, for there may be new VMs, and guests with more to give.
 *
 * Return: whether the level is to be applied.
 */
bool trim_policy_press(TrimPolicy *policy, usec_t now, uint32_t full_centi) {
        const bool full = full_centi >= FULL_CENTI, escalates = full && !policy->full;

        if (policy->decided_usec > 0 && now - policy->decided_usec < policy->interval_usec &&
            !escalates)
                return false;
        policy->level = full || policy->level == TRIM_CRITICAL ? TRIM_CRITICAL
                                                               : (TrimLevel) (policy->level + 1);
        policy->full = full;
        policy->decided_usec = now;
        return true;
}

/**
 * trim_policy_relax() - look whether the pressure is gone; each interval, as long as there is a level
 * @some_centi: part of the last 10 s in which some tasks waited, in hundredths of a percent
 *
 * The level falls by one, and only far below of what raises it. Return: whether it is to be applied.
 */
bool trim_policy_relax(TrimPolicy *policy, usec_t now, uint32_t some_centi) {
        if (policy->level == TRIM_NONE || now - policy->decided_usec < policy->interval_usec ||
            some_centi >= RELAX_CENTI)
                return false;
        policy->level = (TrimLevel) (policy->level - 1);
        policy->full = false;
        policy->decided_usec = now;
        return true;
}

static uint64_t percent_of(TrimLevel level) {
        switch (level) {
        case TRIM_NONE:
                return 0;
        case TRIM_MODERATE:
                return 10;
        case TRIM_LOW:
                return 30;
        case TRIM_CRITICAL:
                return 50;
        }
        return 0;
}

/**
 * trim_to_level() - what the guest is to give up at @level, whatever it has left
 *
 * Return: 0; -EOPNOTSUPP when the guest does not tell how much memory it has.
 */
int trim_to_level(const TrimGuest *guest, TrimLevel level, uint64_t *ret) {
        if (guest->total == TRIM_UNKNOWN || guest->total == 0)
                return -EOPNOTSUPP;
        *ret = MIN(guest->total, guest->memory) / 100 * percent_of(level);
        return 0;
}

/**
 * trim_by_pressure() - what the guest is to give up when the host's pressure came to @level
 * @rising: else the level fell, and nobody is asked for more
 *
 * What is taken is at most what the guest says that it can spare, but for 32 MiB that it keeps; and never less than its
 * owner asked for.
 *
 * Return: 0; -EOPNOTSUPP when the guest does not tell what is needed.
 */
int trim_by_pressure(const TrimGuest *guest, TrimLevel level, bool rising, uint64_t *ret) {
        const uint64_t given = MIN(guest->given, guest->memory);
        uint64_t wanted, available, most;
        int r = trim_to_level(guest, level, &wanted);

        if (r < 0 || guest->available == TRIM_UNKNOWN)
                return -EOPNOTSUPP;
        available = MIN(guest->available, guest->memory);
        most = given + (available > KEPT_BYTES ? available - KEPT_BYTES : 0);
        if (rising)
                wanted = MAX(MIN(wanted, most), guest->asked);
        else
                wanted = MIN(wanted, guest->asked);
        *ret = MIN(MAX(wanted, guest->own_choice), guest->memory);
        return 0;
}
