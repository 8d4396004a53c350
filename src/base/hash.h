/* Hashes. Pure; any thread. */
#ifndef DIGLOT_BASE_HASH_H
#define DIGLOT_BASE_HASH_H

#include "base/span.h"

#include <stdint.h>

/* Redis Cluster's number of hash slots. */
#define HASH_SLOTS 16384

/* XXH3, 64 bits, seed 0: it is stored in flag ledgers, so it never changes. */
uint64_t hash_key(struct span key);

/* The hash slot of a key (CRC16/XMODEM of the part between the first '{' and the next '}' if that is not empty, else of
 * the whole key; Redis Cluster specification, "Hash tags"). 0 … HASH_SLOTS-1. */
uint16_t hash_slot(struct span key);

/* CRC16/XMODEM: polynomial 0x1021, initial value 0. */
uint16_t hash_crc16(struct span bytes);

#endif
