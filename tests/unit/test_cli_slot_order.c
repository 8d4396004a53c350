#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/hash.h"
#include "cli/slot_order.h"

#define KEYS 5000

/* Names of several sizes; the size tells as what a key was put. */
static void put(struct spool *spool, uint32_t number)
{
    struct listed_key key = {.expiry = (int64_t)number - 1, .item_size = number};
    key.size = (uint32_t)snprintf(key.name, sizeof key.name, "key:%u:%.*s", number, (int)(number % 20), "tail tail tail tail");
    assert_true(spool_put(spool, &key));
}

static uint16_t check_key(const struct listed_key *key, bool *seen)
{
    char name[64];
    uint32_t number = key->item_size;
    assert_in_range(number, 0, KEYS - 1);
    assert_false(seen[number]);
    seen[number] = true;
    assert_int_equal(key->expiry, (int64_t)number - 1);
    int size = snprintf(name, sizeof name, "key:%u:%.*s", number, (int)(number % 20), "tail tail tail tail");
    assert_int_equal(key->size, size);
    assert_memory_equal(key->name, name, (size_t)size);
    return hash_slot(span_of(key->name, key->size));
}

static void test_every_key_comes_once_and_in_the_order_of_slots(void **state)
{
    (void)state;
    struct spool spool;
    struct slot_order order;
    struct listed_key key;
    bool seen[KEYS] = {false};
    assert_true(spool_open(&spool));
    slot_order_init(&order, &spool);
    for (uint32_t i = 0; i < KEYS; i++) {
        put(&spool, i);
    }
    assert_true(spool_end(&spool));
    for (uint32_t i = 0; i < 10; i++) { /* not wanted yet: as they come */
        assert_true(slot_order_take(&order, &key));
        assert_int_equal(key.item_size, i);
        (void)check_key(&key, seen);
    }
    order.is_wanted = true;
    uint16_t before = 0;
    for (uint32_t i = 10; i < KEYS; i++) {
        assert_false(slot_order_is_over(&order));
        assert_true(slot_order_take(&order, &key));
        uint16_t slot = check_key(&key, seen);
        assert_true(slot >= before);
        before = slot;
    }
    assert_false(slot_order_take(&order, &key));
    assert_true(slot_order_is_over(&order));
    slot_order_deinit(&order);
    spool_close(&spool);
}

static void test_what_comes_later_is_not_lost(void **state)
{
    (void)state;
    struct spool spool;
    struct slot_order order;
    struct listed_key key;
    bool seen[KEYS] = {false};
    assert_true(spool_open(&spool));
    slot_order_init(&order, &spool);
    order.is_wanted = true;
    uint32_t taken = 0;
    assert_false(slot_order_take(&order, &key));
    for (uint32_t i = 0; i < KEYS; i++) {
        put(&spool, i);
        if (i % 100 == 99 && slot_order_take(&order, &key)) {
            (void)check_key(&key, seen);
            taken++;
        }
    }
    assert_int_not_equal(taken, 0);
    assert_true(spool_end(&spool));
    for (; !slot_order_is_over(&order); taken++) {
        assert_true(slot_order_take(&order, &key));
        (void)check_key(&key, seen);
    }
    assert_int_equal(taken, KEYS);
    slot_order_deinit(&order);
    spool_close(&spool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_key_comes_once_and_in_the_order_of_slots),
                                       cmocka_unit_test(test_what_comes_later_is_not_lost)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
