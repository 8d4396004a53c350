/* A slot moves from one node to another, key by key, in every order: the flags of its items are right or lost, and where the
 * ledger goes last and nobody restarts, none is lost. */
#include "command/flag_ledger_parts.h"

#include "fake/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define KEYS 8
#define ROUNDS 400
#define STEPS 60

struct node {
    struct world world;
    struct slot_authority authority;
    enum slot_tenure tenure;
};

struct item_truth {
    bool exists;
    bool is_at_target;
    uint32_t flags;
};

struct move {
    struct node source, target;
    struct item_truth items[KEYS];
    unsigned seed;
};

static unsigned draw(struct move *move, unsigned below)
{
    move->seed = move->seed * 1103515245u + 12345u;
    return (move->seed >> 16) % below;
}

static struct span name_of(size_t i)
{
    static char names[KEYS][16];
    int size = snprintf(names[i], sizeof names[i], "{a}%zu", i);
    return span_of(names[i], (size_t)size);
}

static uint16_t the_slot(void)
{
    return hash_slot(SPAN("a"));
}

static struct span the_ledger(struct node *node)
{
    static char name[LEDGER_NAME_SIZE];
    return flag_ledger_name(node->world.ledger, the_slot(), name);
}

/* ---- A node ---- */

static enum slot_tenure confirm(void *owner, uint16_t slot)
{
    const struct node *node = owner;
    return slot == the_slot() ? node->tenure : TENURE_OURS;
}

static uint64_t count_keys(void *owner, uint16_t slot)
{
    struct node *node = owner;
    assert_int_equal(slot, the_slot());
    uint64_t count = fake_find(&node->world.fake, 0, the_ledger(node)) != NULL;
    for (size_t i = 0; i < KEYS; i++) count += fake_find(&node->world.fake, 0, name_of(i)) != NULL;
    return count;
}

static void visit_keys(void *owner, uint16_t slot, size_t most, void (*visit)(void *context, struct span key), void *context)
{
    struct node *node = owner;
    assert_int_equal(slot, the_slot());
    for (size_t i = 0; i < KEYS && most > 0; i++) {
        if (!fake_find(&node->world.fake, 0, name_of(i))) continue;
        visit(context, name_of(i));
        most--;
    }
}

static void set_tenure(struct node *node, enum slot_tenure tenure, bool is_news)
{
    node->tenure = tenure;
    flag_ledger_set_tenure(node->world.ledger, the_slot(), tenure, is_news);
}

static void node_init(struct node *node, enum slot_tenure tenure)
{
    world_init(&node->world);
    node->authority = (struct slot_authority){node, confirm, count_keys, visit_keys};
    flag_ledger_join_cluster(node->world.ledger, &node->authority);
    set_tenure(node, tenure, false);
}

static void settle(struct node *node)
{
    flag_ledger_settle(node->world.ledger);
}

/* The key as the engine puts it there or takes it away, without a word. */
static void put(struct node *node, struct span name, struct span value)
{
    struct keyspace *keyspace = &node->world.fake.keyspace;
    keyspace->api->open(keyspace, 0, name, KEYSPACE_WRITE);
    keyspace->api->store(keyspace, value, KEYSPACE_NO_EXPIRY, "set");
    keyspace->api->close(keyspace);
}

static void take(struct node *node, struct span name)
{
    struct keyspace *keyspace = &node->world.fake.keyspace;
    if (keyspace->api->open(keyspace, 0, name, KEYSPACE_WRITE) != KEYSPACE_ABSENT) keyspace->api->remove(keyspace);
    keyspace->api->close(keyspace);
}

static void delete_item(struct node *node, size_t i)
{
    struct item_key key = item_key_of(name_of(i));
    take(node, key.name);
    flag_ledger_note_removed(node->world.ledger, 0, &key);
}

/* ---- What happens while a slot moves ---- */

static void move_item(struct move *move, size_t i)
{
    struct item_truth *item = &move->items[i];
    if (!item->exists || item->is_at_target) return;
    struct item_key key = item_key_of(name_of(i));
    flag_ledger_expect(move->target.world.ledger, the_slot());
    put(&move->target, key.name, SPAN("v"));
    flag_ledger_note_came(move->target.world.ledger, 0, &key);
    delete_item(&move->source, i);
    item->is_at_target = true;
}

static void move_ledger(struct move *move)
{
    const struct fake_key *ledger = fake_find(&move->source.world.fake, 0, the_ledger(&move->source));
    if (!ledger) return;
    flag_ledger_expect(move->target.world.ledger, the_slot());
    assert_null(fake_find(&move->target.world.fake, 0, the_ledger(&move->target))); /* BUSYKEY */
    put(&move->target, the_ledger(&move->target), buffer_content(&ledger->value));
    flag_ledger_note_ledger_changed(move->target.world.ledger, 0, the_slot());
    take(&move->source, the_ledger(&move->source));
    flag_ledger_note_ledger_left(move->source.world.ledger, 0, the_slot());
}

/* A memcached client at the old node; refused once the ledger has left. */
static void write_at_source(struct move *move, size_t i)
{
    struct item_truth *item = &move->items[i];
    if (!item->exists || item->is_at_target || flag_ledger_has_left(move->source.world.ledger, 0, the_slot())) return;
    struct item_key key = item_key_of(name_of(i));
    item->flags = draw(move, 3) * 7;
    put(&move->source, key.name, SPAN("v"));
    flag_ledger_write(move->source.world.ledger, 0, &key, (struct item_flags){item->flags, 0});
}

/* A RESP client, wherever it is sent. */
static void set_somewhere(struct move *move, size_t i)
{
    struct item_truth *item = &move->items[i];
    item->is_at_target |= !item->exists;
    struct node *node = item->is_at_target ? &move->target : &move->source;
    *item = (struct item_truth){true, item->is_at_target, 0};
    fake_resp_set(&node->world.fake, 0, name_of(i), SPAN("r"), KEYSPACE_NO_EXPIRY);
}

static void delete_somewhere(struct move *move, size_t i)
{
    struct item_truth *item = &move->items[i];
    if (!item->exists) return;
    delete_item(item->is_at_target ? &move->target : &move->source, i);
    item->exists = false;
}

static void rename_somewhere(struct move *move, size_t i)
{
    size_t to = draw(move, KEYS);
    struct item_truth *item = &move->items[i], *other = &move->items[to];
    if (to == i || !item->exists || !other->exists || item->is_at_target != other->is_at_target) return;
    struct node *node = item->is_at_target ? &move->target : &move->source;
    assert_true(fake_resp_rename(&node->world.fake, 0, name_of(i), name_of(to)));
    *other = *item;
    item->exists = false;
}

static void restart(struct node *node)
{
    settle(node);
    flag_ledger_note_loaded(node->world.ledger);
    set_tenure(node, node->tenure, false);
}

/* ---- Moves ---- */

static void begin(struct move *move, unsigned seed)
{
    *move = (struct move){.seed = seed};
    node_init(&move->source, TENURE_OURS);
    node_init(&move->target, TENURE_ELSEWHERE);
    for (size_t i = 0; i < KEYS; i++) {
        move->items[i].exists = draw(move, 4) > 0;
        if (move->items[i].exists) write_at_source(move, i);
    }
    set_tenure(&move->target, TENURE_COMING, true);
    set_tenure(&move->source, TENURE_LEAVING, true);
}

static void end(struct move *move)
{
    for (size_t i = 0; i < KEYS; i++) move_item(move, i);
    settle(&move->source);
    move_ledger(move);
    settle(&move->target);
    assert_int_equal(count_keys(&move->source, the_slot()), 0);
    set_tenure(&move->target, TENURE_OURS, true);
    set_tenure(&move->source, TENURE_ELSEWHERE, true);
    settle(&move->source);
    settle(&move->target);
    assert_int_equal(count_keys(&move->source, the_slot()), 0);
}

static size_t count_lost_at(struct move *move, struct node *owner)
{
    size_t lost = 0;
    for (size_t i = 0; i < KEYS; i++) {
        struct item_key key = item_key_of(name_of(i));
        struct item_flags flags;
        assert_int_equal(fake_find(&owner->world.fake, 0, key.name) != NULL, move->items[i].exists);
        if (!move->items[i].exists) continue;
        if (!flag_ledger_read(owner->world.ledger, 0, &key, &flags))
            lost++;
        else
            assert_int_equal(flags.flags, move->items[i].flags);
    }
    world_deinit(&move->source.world);
    world_deinit(&move->target.world);
    return lost;
}

static size_t count_lost(struct move *move)
{
    return count_lost_at(move, &move->target);
}

typedef void step(struct move *move, size_t i);

static void go(struct move *move, step *const *steps, size_t count)
{
    for (int i = 0; i < STEPS; i++) {
        steps[draw(move, (unsigned)count)](move, draw(move, KEYS));
        if (draw(move, 3) > 0) settle(&move->source); /* Redis 7.0 settles later */
        if (draw(move, 3) > 0) settle(&move->target);
    }
}

static void test_ledger_last(void **state)
{
    (void)state;
    static step *const steps[] = {move_item, write_at_source, set_somewhere, delete_somewhere, rename_somewhere};
    for (unsigned seed = 0; seed < ROUNDS; seed++) {
        struct move move;
        begin(&move, seed);
        go(&move, steps, sizeof steps / sizeof *steps);
        end(&move);
        assert_int_equal(count_lost(&move), 0);
    }
}

static void maybe_move_ledger(struct move *move, size_t i)
{
    if (i > 0) return;
    settle(&move->source);
    move_ledger(move);
    settle(&move->target);
}

static void test_ledger_in_any_order(void **state)
{
    (void)state;
    static step *const steps[] = {move_item,        write_at_source,  set_somewhere,
                                  delete_somewhere, rename_somewhere, maybe_move_ledger};
    size_t lost = 0;
    for (unsigned seed = 0; seed < ROUNDS; seed++) {
        struct move move;
        begin(&move, seed);
        go(&move, steps, sizeof steps / sizeof *steps);
        end(&move);
        lost += count_lost(&move);
    }
    assert_true(lost > 0);
}

static void maybe_restart(struct move *move, size_t i)
{
    if (i == 0) restart(&move->target);
    if (i == 1) restart(&move->source);
}

static void test_restarts(void **state)
{
    (void)state;
    static step *const steps[] = {move_item,        write_at_source,   set_somewhere,
                                  delete_somewhere, rename_somewhere,  maybe_move_ledger, maybe_restart};
    size_t lost = 0;
    for (unsigned seed = 0; seed < ROUNDS; seed++) {
        struct move move;
        begin(&move, seed);
        go(&move, steps, sizeof steps / sizeof *steps);
        end(&move);
        lost += count_lost(&move);
    }
    assert_true(lost > 0);
}

/* ---- Moves that are called off ---- */

static void bring_ledger_back(struct move *move)
{
    struct node *source = &move->source, *target = &move->target;
    const struct fake_key *ledger = fake_find(&target->world.fake, 0, the_ledger(target));
    if (!ledger) return;
    if (!flag_ledger_is_here(source->world.ledger, 0, the_slot())) {
        put(source, the_ledger(source), buffer_content(&ledger->value));
        flag_ledger_note_ledger_changed(source->world.ledger, 0, the_slot());
    }
    take(target, the_ledger(target));
    flag_ledger_note_ledger_left(target->world.ledger, 0, the_slot());
}

static void bring_back(struct move *move, size_t i)
{
    struct item_truth *item = &move->items[i];
    if (!item->exists || !item->is_at_target) return;
    struct item_key key = item_key_of(name_of(i));
    put(&move->source, key.name, SPAN("v"));
    flag_ledger_note_came(move->source.world.ledger, 0, &key);
    delete_item(&move->target, i);
    item->is_at_target = false;
    if (draw(move, 2)) settle(&move->source);
    if (draw(move, 2)) write_at_source(move, i);
}

static void call_off(struct move *move)
{
    settle(&move->source);
    set_tenure(&move->source, TENURE_OURS, true);
    if (draw(move, 2)) settle(&move->source);
    bring_ledger_back(move);
    for (size_t i = 0; i < KEYS; i++) bring_back(move, i);
    settle(&move->target);
    set_tenure(&move->target, TENURE_ELSEWHERE, true);
    settle(&move->source);
}

/* Where the ledger went last, and came back first, not even the sweep removes anything. */
static void test_called_off(void **state)
{
    (void)state;
    static step *const steps[] = {move_item, write_at_source, set_somewhere, delete_somewhere, rename_somewhere, maybe_restart};
    size_t lost = 0;
    for (unsigned seed = 0; seed < ROUNDS; seed++) {
        struct move move;
        begin(&move, seed);
        go(&move, steps, sizeof steps / sizeof *steps);
        for (size_t i = 0; seed % 2 && i < KEYS; i++) move_item(&move, i);
        for (int i = 0; i < 2; i++) settle(i ? &move.target : &move.source);
        if (seed % 2) move_ledger(&move);
        if (seed % 4 == 3) restart(&move.source);
        call_off(&move);
        for (int turns = 0; world_turn(&move.source.world);) assert_true(++turns < 1000);
        lost += count_lost_at(&move, &move.source);
    }
    assert_true(lost > 0);
}

/* More is written to keys that have come than memory is for. */
static void test_more_than_can_wait(void **state)
{
    (void)state;
    struct move move;
    begin(&move, 1);
    for (size_t i = 0; i < KEYS; i++) move_item(&move, i);
    for (int i = 0; i < 20000; i++) {
        char name[16];
        int size = snprintf(name, sizeof name, "{a}x%d", i);
        fake_resp_set(&move.target.world.fake, 0, span_of(name, (size_t)size), SPAN("r"), KEYSPACE_NO_EXPIRY);
        settle(&move.target);
    }
    assert_true(move.target.world.ledger->tenures.waiting.count < 20000);
    end(&move);
    assert_true(count_lost(&move) > 0);
}

/* Nothing is written into a slot that is another's: what is told of it is of that node's doing. */
static void test_elsewhere(void **state)
{
    (void)state;
    struct node node;
    node_init(&node, TENURE_ELSEWHERE);
    struct item_key key = item_key_of(name_of(0));
    put(&node, the_ledger(&node), SPAN("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"));
    flag_ledger_note_ledger_lost(node.world.ledger, 0, the_slot());
    flag_ledger_note_overwrite(node.world.ledger, 0, &key);
    flag_ledger_note_unknown(node.world.ledger, 0, &key);
    take(&node, the_ledger(&node));
    flag_ledger_note_ledger_lost(node.world.ledger, 0, the_slot());
    settle(&node);
    assert_int_equal(count_keys(&node, the_slot()), 0);
    assert_false(world_turn(&node.world));
    assert_false(flag_ledger_has_work(node.world.ledger));
    world_deinit(&node.world);
}

/* Lost items of a slot that leaves are the next node's to remove. */
static void test_sweep_waits_for_the_move(void **state)
{
    (void)state;
    struct node node;
    node_init(&node, TENURE_OURS);
    struct request request = {.op = REQUEST_SET, .key = name_of(0), .flags = 5, .value = SPAN("v")};
    assert_int_equal(world_execute(&node.world, &request).status, RESULT_STORED);
    set_tenure(&node, TENURE_LEAVING, true);
    assert_true(fake_resp_del(&node.world.fake, 0, the_ledger(&node)));
    int turns = 0;
    while (world_turn(&node.world)) assert_true(++turns < 1000);
    assert_int_equal(count_keys(&node, the_slot()), 2); /* a ledger that says so, and the item */
    assert_true(flag_ledger_has_work(node.world.ledger));
    set_tenure(&node, TENURE_OURS, true); /* called off */
    while (world_turn(&node.world)) assert_true(++turns < 2000);
    assert_int_equal(count_keys(&node, the_slot()), 0);
    world_deinit(&node.world);
}

/* ---- Single points: what the moves above keep from happening ---- */

static struct item_flags lost_flags(void)
{
    return (struct item_flags){UINT32_MAX, 0};
}

static struct item_flags flags_at(struct node *node, size_t i)
{
    struct item_key key = item_key_of(name_of(i));
    struct item_flags flags;
    return flag_ledger_read(node->world.ledger, 0, &key, &flags) ? flags : lost_flags();
}

static void write_at(struct node *node, size_t i, uint32_t flags)
{
    struct item_key key = item_key_of(name_of(i));
    put(node, key.name, SPAN("v"));
    flag_ledger_write(node->world.ledger, 0, &key, (struct item_flags){flags, 0});
}

/* A ledger that comes, with the flags 7 of the first item. */
static void bring_ledger(struct node *node)
{
    struct node other;
    node_init(&other, TENURE_OURS);
    write_at(&other, 0, 7);
    const struct fake_key *ledger = fake_find(&other.world.fake, 0, the_ledger(&other));
    put(node, the_ledger(node), buffer_content(&ledger->value));
    flag_ledger_note_ledger_changed(node->world.ledger, 0, the_slot());
    world_deinit(&other.world);
}

static void bring_item(struct node *node, size_t i)
{
    struct item_key key = item_key_of(name_of(i));
    flag_ledger_expect(node->world.ledger, the_slot());
    put(node, key.name, SPAN("v"));
    flag_ledger_note_came(node->world.ledger, 0, &key);
}

/* Where the ledger has gone, nobody knows what flags an item has that is still there, and none is made anew: its like would find
 * its place taken. */
static void test_nothing_is_known_where_the_ledger_has_left(void **state)
{
    (void)state;
    struct node node;
    node_init(&node, TENURE_OURS);
    write_at(&node, 0, 7);
    set_tenure(&node, TENURE_LEAVING, true);
    take(&node, the_ledger(&node));
    flag_ledger_note_ledger_left(node.world.ledger, 0, the_slot());
    settle(&node);
    assert_int_equal(flags_at(&node, 0).flags, lost_flags().flags);
    write_at(&node, 1, 5);
    assert_null(fake_find(&node.world.fake, 0, the_ledger(&node)));
    set_tenure(&node, TENURE_OURS, true); /* called off */
    settle(&node);
    assert_int_equal(flags_at(&node, 0).flags, lost_flags().flags);
    world_deinit(&node.world);
}

static void test_no_ledger_is_made_where_one_will_come(void **state)
{
    (void)state;
    struct node node;
    node_init(&node, TENURE_COMING);
    write_at(&node, 0, 5);
    assert_null(fake_find(&node.world.fake, 0, the_ledger(&node)));
    world_deinit(&node.world);
}

/* The second one cannot know what was done to the first. */
static void test_a_ledger_that_comes_twice_is_not_trusted(void **state)
{
    (void)state;
    struct node node;
    node_init(&node, TENURE_COMING);
    bring_item(&node, 0);
    bring_ledger(&node);
    settle(&node);
    assert_int_equal(flags_at(&node, 0).flags, 7);
    fake_resp_set(&node.world.fake, 0, name_of(0), SPAN("r"), KEYSPACE_NO_EXPIRY);
    settle(&node);
    assert_int_equal(flags_at(&node, 0).flags, 0);
    bring_ledger(&node);
    settle(&node);
    assert_int_equal(flags_at(&node, 0).flags, lost_flags().flags);
    world_deinit(&node.world);
}

/* It came, was changed here, and came again: nobody knows which of both the ledger tells of. */
static void test_an_item_that_comes_twice_is_lost(void **state)
{
    (void)state;
    struct node node;
    node_init(&node, TENURE_COMING);
    bring_item(&node, 0);
    settle(&node);
    fake_resp_set(&node.world.fake, 0, name_of(0), SPAN("r"), KEYSPACE_NO_EXPIRY);
    settle(&node);
    bring_item(&node, 0);
    settle(&node);
    bring_ledger(&node);
    settle(&node);
    assert_int_equal(flags_at(&node, 0).flags, lost_flags().flags);
    world_deinit(&node.world);
}

/* A ledger has come, and it may not be written yet what that means. */
static void test_what_came_is_not_known_while_nothing_may_be_written(void **state)
{
    (void)state;
    struct node node;
    node_init(&node, TENURE_OURS);
    assert_int_equal(flags_at(&node, 0).flags, 0);
    put(&node, name_of(0), SPAN("v"));
    world_set_writable(&node.world, false);
    bring_ledger(&node);
    assert_int_equal(flags_at(&node, 0).flags, lost_flags().flags);
    world_set_writable(&node.world, true);
    settle(&node);
    assert_int_equal(flags_at(&node, 0).flags, lost_flags().flags);
    world_deinit(&node.world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ledger_last),
        cmocka_unit_test(test_ledger_in_any_order),
        cmocka_unit_test(test_restarts),
        cmocka_unit_test(test_called_off),
        cmocka_unit_test(test_more_than_can_wait),
        cmocka_unit_test(test_elsewhere),
        cmocka_unit_test(test_sweep_waits_for_the_move),
        cmocka_unit_test(test_nothing_is_known_where_the_ledger_has_left),
        cmocka_unit_test(test_no_ledger_is_made_where_one_will_come),
        cmocka_unit_test(test_a_ledger_that_comes_twice_is_not_trusted),
        cmocka_unit_test(test_an_item_that_comes_twice_is_lost),
        cmocka_unit_test(test_what_came_is_not_known_while_nothing_may_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
