/* What the memcached door tells of the new server, by the names of cli/facts.h, for who cannot reach its RESP port: `stats` and
 * `stats upstream` under their own names, and those options and fields of INFO that can be made of them. The asking client does
 * not count itself. */
#ifndef DIGLOT_CLI_DOOR_FACTS_H
#define DIGLOT_CLI_DOOR_FACTS_H

#include "cli/channel.h"
#include "cli/facts.h"

/* Asks for everything; `facts` is empty. False: `error` of the channel tells; so, too, where this is the door of another memcached. */
MUST_USE bool door_facts_gather(struct facts *facts, struct channel *channel);

#endif
