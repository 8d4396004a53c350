#include "lg.h"

static int histogram_bucket(uint64_t ns)
{
    uint64_t value = ns >> 6;
    if (value < 64)
        return (int)value;
    int exponent = 63 - __builtin_clzll(value);
    int bucket = (exponent - 5) * 64 + (int)((value >> (exponent - 6)) & 63);
    return bucket < HISTOGRAM_SIZE ? bucket : HISTOGRAM_SIZE - 1;
}

static double histogram_value_us(int bucket)
{
    if (bucket < 64)
        return bucket * 64 / 1000.0;
    int exponent = bucket / 64 + 5;
    uint64_t base = (1ULL << exponent) + ((uint64_t)(bucket & 63) << (exponent - 6));
    return (double)(base + (1ULL << (exponent > 7 ? exponent - 7 : 0))) * 64 / 1000;
}

void latency_count(struct tally *tally, uint64_t ns)
{
    tally->histogram[histogram_bucket(ns)]++;
}

double latency_percentile_us(const struct tally *tally, double percent)
{
    uint64_t total = 0, seen = 0;
    for (int i = 0; i < HISTOGRAM_SIZE; i++)
        total += tally->histogram[i];
    for (int i = 0; i < HISTOGRAM_SIZE && total; i++) {
        seen += tally->histogram[i];
        if (seen > (uint64_t)((double)total * percent / 100))
            return histogram_value_us(i);
    }
    return 0;
}
