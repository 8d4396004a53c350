#include "lg.h"
#include <math.h>
#include <stdlib.h>

enum { STRATA_BITS = 16, STRATA = 1 << STRATA_BITS };

uint64_t random_next(struct generator *lg)
{
    lg->random ^= lg->random << 13;
    lg->random ^= lg->random >> 7;
    lg->random ^= lg->random << 17;
    return lg->random;
}

/* Where the distribution of ranks is cut into strata of the same weight. Frequent ranks fill many strata, the rare ones at the
 * end share one, in which they are as good as equally frequent. */
double *zipf_bounds_new(long keyspace, double exponent)
{
    double *bounds = malloc((STRATA + 1) * sizeof *bounds), total = 0, below = 0;
    for (long rank = 0; rank < keyspace; rank++)
        total += pow((double)rank + 1, -exponent);
    int stratum = 0;
    for (long rank = 0; rank < keyspace; rank++) {
        double weight = pow((double)rank + 1, -exponent) / total;
        for (; stratum < STRATA && (double)stratum / STRATA < below + weight; stratum++)
            bounds[stratum] = (double)rank + ((double)stratum / STRATA - below) / weight;
        below += weight;
    }
    while (stratum <= STRATA)
        bounds[stratum++] = (double)keyspace;
    return bounds;
}

/* Neighbours in rank are not neighbours in the keyspace. */
static long zipf_next(struct generator *lg)
{
    uint64_t random = random_next(lg);
    const double *bound = lg->zipf_bounds + (random >> (64 - STRATA_BITS));
    double within = (double)(random & UINT32_MAX) / 4294967296.0;
    uint64_t rank = (uint64_t)(bound[0] + within * (bound[1] - bound[0]));
    return (long)(rank * 2654435761U % (uint64_t)lg->settings.keyspace);
}

long key_next(struct generator *lg)
{
    if (lg->settings.sequential)
        return lg->sequence++ % lg->settings.keyspace;
    return lg->zipf_bounds ? zipf_next(lg) : (long)(random_next(lg) & INT64_MAX) % lg->settings.keyspace;
}
