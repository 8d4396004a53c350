/* The courier: the one thread that speaks with the old servers. It takes jobs from the main thread, keeps a connection to each
 * server, and brings the jobs back with what has come of them. Nothing here waits for one server at the cost of another, but
 * for looking up a name. */
#ifndef DIGLOT_UPSTREAM_COURIER_H
#define DIGLOT_UPSTREAM_COURIER_H

#include "upstream/job.h"
#include "upstream/roster.h"

struct courier;

/* `home`: where jobs come back to. NULL with errno when the kernel refuses a descriptor or a thread. */
MUST_USE struct courier *courier_start(struct mailbox *home);

/* Ends the thread; jobs that are under way are freed. Sets *courier to NULL; nothing happens to NULL. Jobs that have come home
 * stay there. */
void courier_stop(struct courier **courier);

/* From here on jobs are for the servers of this roster; those under way come back unreachable. Main thread. */
void courier_configure(struct courier *courier, struct roster *roster);

/* Takes the job over, which is for a server of the latest roster. Main thread. */
void courier_send(struct courier *courier, struct job *job);

#endif
