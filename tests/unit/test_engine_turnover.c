/* How long near caches may answer, by how fast eviction renews the memory. How many keys there are is the test's own. */
#include "engine/turnover.h"

#include "engine/keyspace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define KEYS 100000u
#define DB 3

#define EXPIRING 10000u

static struct engine_keyspace keyspace;
static const char *policy;
static uint64_t keys;
static float ratio; /* of the memory that is used */
static int flags;
static uint64_t now_us;

/* The linker sends all calls here (Makefile). */
uint64_t __wrap_clock_monotonic_us(void);

uint64_t __wrap_clock_monotonic_us(void)
{
    return now_us;
}

void engine_keyspace_enter(struct engine_keyspace *entered, RedisModuleCtx *ctx)
{
    (void)ctx;
    assert_ptr_equal(entered, &keyspace);
}

void engine_keyspace_leave(struct engine_keyspace *left)
{
    assert_ptr_equal(left, &keyspace);
}

size_t engine_keyspace_count(struct engine_keyspace *counted, int db)
{
    assert_ptr_equal(counted, &keyspace);
    assert_int_equal(db, DB);
    return keys;
}

/* The facts are the name of their section. */
static RedisModuleServerInfoData *get_info(RedisModuleCtx *ctx, const char *section)
{
    (void)ctx;
    return (RedisModuleServerInfoData *)section;
}

static void free_info(RedisModuleCtx *ctx, RedisModuleServerInfoData *facts)
{
    (void)ctx;
    assert_non_null(facts);
}

static const char *info_field(RedisModuleServerInfoData *facts, const char *name)
{
    const char *section = (const char *)facts;
    if (strcmp(section, "memory") == 0 && strcmp(name, "maxmemory_policy") == 0) return policy;
    return strcmp(section, "keyspace") == 0 && strcmp(name, "db3") == 0 ? "keys=100000,expires=10000,avg_ttl=7" : NULL;
}

static int context_flags(RedisModuleCtx *ctx)
{
    (void)ctx;
    return flags;
}

static float used_memory_ratio(void)
{
    return ratio;
}

static int set_up(void **state)
{
    (void)state;
    keys = KEYS;
    flags = API_CONTEXT_EVICTS;
    ratio = 1;
    api.GetContextFlags = context_flags;
    api.GetUsedMemoryRatio = used_memory_ratio;
    policy = "allkeys-lru";
    api.GetServerInfo = get_info;
    api.FreeServerInfo = free_info;
    api.ServerInfoGetFieldC = info_field;
    return 0;
}

/* So many are evicted in so long a time, which is over now. */
static uint32_t judge(struct turnover *turnover, unsigned evicted, uint64_t passed_ms)
{
    now_us = turnover->since_us + passed_ms * 1000;
    for (unsigned i = 0; i < evicted; i++) turnover_note_eviction(turnover);
    turnover_judge(turnover, &keyspace, NULL, DB);
    return turnover->life_ms;
}

static void test_lives_are_long_where_nothing_is_evicted(void **state)
{
    (void)state;
    struct turnover turnover;
    turnover_init(&turnover);
    assert_int_equal(turnover.life_ms, TURNOVER_LIFE_MOST_MS);
    assert_int_equal(judge(&turnover, 0, 1000), TURNOVER_LIFE_MOST_MS);
    assert_int_equal(judge(&turnover, KEYS / 100, 1000), TURNOVER_LIFE_MOST_MS); /* renewed in 100 s */
}

static void test_lives_are_an_eighth_of_the_renewal(void **state)
{
    (void)state;
    struct turnover turnover;
    turnover_init(&turnover);
    assert_int_equal(judge(&turnover, KEYS / 40, 1000), 5000);
    assert_int_equal(judge(&turnover, KEYS / 20, 2000), 5000);
    assert_int_equal(judge(&turnover, KEYS / 10, 1000), 1250);
}

static void test_the_engine_sees_every_read_where_all_is_renewed_in_seconds(void **state)
{
    (void)state;
    struct turnover turnover;
    turnover_init(&turnover);
    assert_int_equal(judge(&turnover, KEYS / 5, 1000), 0);
    assert_int_equal(judge(&turnover, KEYS, 1000), 0);
    assert_int_equal(judge(&turnover, KEYS / 10, 1000), 1250);
    assert_int_equal(judge(&turnover, KEYS, 1000), 0);
    assert_int_equal(judge(&turnover, 0, 1000), TURNOVER_LIFE_MOST_MS);
}

static void test_is_judged_a_few_times_a_second(void **state)
{
    (void)state;
    struct turnover turnover;
    turnover_init(&turnover);
    assert_int_equal(judge(&turnover, KEYS, 10), TURNOVER_LIFE_MOST_MS);
    assert_int_equal(judge(&turnover, 0, 1000), 0); /* those are remembered */
}

static void test_items_that_are_not_evicted_do_not_count(void **state)
{
    (void)state;
    struct turnover turnover;
    turnover_init(&turnover);
    policy = "volatile-lru";
    assert_int_equal(judge(&turnover, EXPIRING / 40, 1000), 5000);
    assert_int_equal(judge(&turnover, EXPIRING, 1000), 0);
    policy = "allkeys-lfu";
    turnover_init(&turnover);
    assert_int_equal(judge(&turnover, EXPIRING / 40, 1000), TURNOVER_LIFE_MOST_MS);
}

/* Whatever was read before memory is full must look younger then than what has come meanwhile. */
static void test_memory_that_fills_is_as_if_it_were_renewed(void **state)
{
    (void)state;
    struct turnover turnover;
    turnover_init(&turnover);
    assert_int_equal(judge(&turnover, 0, 1000), TURNOVER_LIFE_MOST_MS); /* they are counted for the first time */
    keys += keys / 40;
    assert_int_equal(judge(&turnover, 0, 1000), 5125); /* 41 s */
    keys *= 2;
    assert_int_equal(judge(&turnover, 0, 1000), 0);
    keys += keys / 80;
    assert_int_equal(judge(&turnover, (unsigned)keys / 80, 1000), 5032); /* a bit more than 40 s */
    keys /= 2;
    assert_int_equal(judge(&turnover, 0, 1000), TURNOVER_LIFE_MOST_MS);
}

static void test_memory_that_has_room_may_fill(void **state)
{
    (void)state;
    struct turnover turnover;
    turnover_init(&turnover);
    for (int i = 0; i < 4; i++) {
        ratio = i < 2 ? 0.4f : 1;
        flags = i < 2 ? API_CONTEXT_EVICTS : 0;
        assert_int_equal(judge(&turnover, 0, 1000), TURNOVER_LIFE_MOST_MS);
        keys *= 2;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_lives_are_long_where_nothing_is_evicted, set_up),
        cmocka_unit_test_setup(test_lives_are_an_eighth_of_the_renewal, set_up),
        cmocka_unit_test_setup(test_the_engine_sees_every_read_where_all_is_renewed_in_seconds, set_up),
        cmocka_unit_test_setup(test_is_judged_a_few_times_a_second, set_up),
        cmocka_unit_test_setup(test_memory_that_fills_is_as_if_it_were_renewed, set_up),
        cmocka_unit_test_setup(test_memory_that_has_room_may_fill, set_up),
        cmocka_unit_test_setup(test_items_that_are_not_evicted_do_not_count, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
