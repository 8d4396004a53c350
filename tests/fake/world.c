#include "fake/world.h"

void world_init(struct world *world)
{
    *world = (struct world){0};
    fake_keyspace_init(&world->fake);
    options_init(&world->options);
    counter_board_init(&world->board, 1);
    client_list_init(&world->clients);
    version_clock_init(&world->versions, (uint64_t)WORLD_BEGIN_MS * 1000000);
    world->ledger = flag_ledger_new(&world->fake.keyspace, FAKE_DATABASES);
    world->fake.ledger = world->ledger;
    world->fake.versions = &world->versions;
    world->fake.history = &world->history;
    world->stats = (struct stats_sources){
        .board = &world->board, .clients = &world->clients, .options = &world->options, .started_ms = WORLD_BEGIN_MS};
    buffer_init(&world->values);

    command_context_init(&world->context);
    world->context.keyspace = &world->fake.keyspace;
    world->context.ledger = world->ledger;
    world->context.versions = &world->versions;
    world->context.history = &world->history;
    world->context.counters = &world->board.sets[0];
    world->context.options = &world->options;
    world->context.stats = &world->stats;
    world_set_clock(world, WORLD_BEGIN_MS);
    world_set_writable(world, true);
}

void world_deinit(struct world *world)
{
    command_context_deinit(&world->context);
    buffer_deinit(&world->values);
    flag_ledger_free(&world->ledger);
    version_clock_deinit(&world->versions);
    history_deinit(&world->history);
    client_list_deinit(&world->clients);
    counter_board_deinit(&world->board);
    fake_keyspace_deinit(&world->fake);
}

void world_reset(struct world *world)
{
    fake_resp_flushall(&world->fake);
    fake_keyspace_clear(&world->fake);
    world->fake.keeps_expired = false;
    world->context.flush_at_ms = 0;
    world->context.leave = COMMAND_MUST_ASK;
    history_deinit(&world->history);
    world_set_clock(world, WORLD_BEGIN_MS);
    world_set_writable(world, true);
}

void world_set_clock(struct world *world, int64_t now_ms)
{
    world->fake.now_ms = now_ms;
    world->context.now_ms = now_ms;
}

void world_set_writable(struct world *world, bool is_writable)
{
    flag_ledger_set_role(world->ledger, true, is_writable);
}

struct result world_execute(struct world *world, const struct request *request)
{
    struct result result = {0};
    buffer_reset(&world->values, 64 * 1024);
    command_execute(&world->context, request, &result, &world->values);
    return result;
}

struct span world_value(const struct world *world, const struct result *result)
{
    return span_of(buffer_content(&world->values).data + result->value_offset, result->value_size);
}

bool world_turn(struct world *world)
{
    flag_ledger_settle(world->ledger);
    flag_ledger_explore(world->ledger, world->context.db);
    return flag_ledger_sweep(world->ledger);
}

bool world_find_ledger(const struct world *world, int db, uint16_t slot, struct span *name)
{
    for (size_t i = 0; i < FAKE_BUCKETS; i++) {
        for (const struct fake_key *key = world->fake.databases[db][i]; key; key = key->next) {
            struct item_key item = item_key_of(buffer_content(&key->name));
            if (item.slot != slot || !flag_ledger_owns(world->ledger, &item)) continue;
            *name = item.name;
            return true;
        }
    }
    return false;
}
