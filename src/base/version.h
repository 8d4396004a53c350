/* What this program calls itself, and the memcached whose behaviour it promises. */
#ifndef DIGLOT_BASE_VERSION_H
#define DIGLOT_BASE_VERSION_H

#define DIGLOT_VERSION "0.1.0"
/* Clients compare the number that `version` tells: it says which memcached's features and bytes to expect. */
#define DIGLOT_MEMCACHED_LEVEL "1.6.18"

#endif
