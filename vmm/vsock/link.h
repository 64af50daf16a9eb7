/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A ring of links inside the objects they link; a head is a link of its own. */

#include <stdbool.h>

typedef struct VsockLink VsockLink;

struct VsockLink {
        VsockLink *next, *previous; /* itself while alone */
};

static inline void vsock_link_init(VsockLink *link) {
        link->next = link->previous = link;
}

/* Of a head: whether anything is linked to it. Of another: whether it is on a ring. */
static inline bool vsock_link_is_linked(const VsockLink *link) {
        return link->next != link;
}

static inline void vsock_link_append(VsockLink *head, VsockLink *link) {
        link->previous = head->previous;
        link->next = head;
        head->previous->next = link;
        head->previous = link;
}

static inline void vsock_link_remove(VsockLink *link) {
        link->previous->next = link->next;
        link->next->previous = link->previous;
        vsock_link_init(link);
}
