/* What this program calls itself, and the memcached whose behaviour it promises. */
#ifndef DIGLOT_BASE_VERSION_H
#define DIGLOT_BASE_VERSION_H

#define DIGLOT_VERSION "0.1.0"
/* What `version` tells: clients compare the number, and some take whatever stands at the end for it, so it stands alone. */
#define DIGLOT_MEMCACHED_LEVEL "1.6.18"

#endif
