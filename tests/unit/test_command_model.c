/* Random interleavings of memcached requests, RESP commands, lost ledgers and phases without writing, against a model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "fake/model.h"

#define ROUNDS 400
#define ROUND_BYTES 4096

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void run_rounds(uint64_t seed, int rounds)
{
    static struct world world;
    uint64_t hits = 0, misses = 0, stored = 0, swept = 0, won = 0;
    world_init(&world);
    for (int round = 0; round < rounds; round++) {
        uint8_t input[ROUND_BYTES];
        struct model model;
        printf("seed %llu\n", (unsigned long long)seed);
        (void)fflush(stdout);
        uint64_t state = seed++ * 0x9e3779b97f4a7c15u + 1;
        for (size_t i = 0; i < sizeof input; i++) input[i] = (uint8_t)(next_random(&state) >> 32);
        world_reset(&world);
        model_init(&model, &world);
        model.traces = getenv("DIGLOT_TRACE") != NULL;
        model_run(&model, input, sizeof input);
        hits += model.hits, misses += model.misses_allowed, stored += model.cas_stored, swept += model.swept;
        won += model.won;
    }
    uint64_t kept = world.kept_count;
    world_deinit(&world);
    printf("%llu hits, %llu misses of lost flags, %llu cas stored, %llu swept, %llu won\n", (unsigned long long)hits,
           (unsigned long long)misses, (unsigned long long)stored, (unsigned long long)swept, (unsigned long long)won);
    assert_true(rounds < ROUNDS || kept > 1000);
    assert_true(rounds < ROUNDS || (hits > 1000 && misses > 100 && stored > 100 && swept > 100 && won > 100));
}

/* DIGLOT_SEED repeats one round, and DIGLOT_TRACE tells its steps. */
static void test_random_changes(void **state)
{
    (void)state;
    const char *seed = getenv("DIGLOT_SEED");
    if (seed)
        run_rounds(strtoull(seed, NULL, 10), 1);
    else
        run_rounds((uint64_t)time(NULL) * ROUNDS, ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_changes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
