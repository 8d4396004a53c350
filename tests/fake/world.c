#include "fake/world.h"

#include "base/check.h"

#define CACHE_SIZE ((size_t)256 * 1024)

void world_init(struct world *world)
{
    *world = (struct world){0};
    fake_keyspace_init(&world->fake);
    options_init(&world->options);
    counter_board_init(&world->board, 1);
    client_list_init(&world->clients);
    version_clock_init(&world->versions, (uint64_t)WORLD_BEGIN_MS * 1000000);
    world->ledger = flag_ledger_new(&world->fake.keyspace, &world->versions, FAKE_DATABASES);
    world->fake.ledger = world->ledger;
    world->fake.versions = &world->versions;
    world->fake.history = &world->history;
    world->stats = (struct stats_sources){
        .board = &world->board, .clients = &world->clients, .options = &world->options, .started_ms = WORLD_BEGIN_MS};
    buffer_init(&world->values);
    version_set_open(&world->versions, true);
    version_set_life(&world->versions, WORLD_LIFE_MS);
    buffer_init(&world->kept);
    counter_board_init(&world->cache_board, 1);
    for (int db = 0; db < FAKE_DATABASES; db++) {
        world->caches[db] = near_cache_new(&world->versions, &world->cache_board.sets[0]);
        near_cache_set_size(world->caches[db], CACHE_SIZE);
    }

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
    for (int db = 0; db < FAKE_DATABASES; db++) near_cache_free(&world->caches[db]);
    counter_board_deinit(&world->cache_board);
    buffer_deinit(&world->kept);
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
    for (int db = 0; db < FAKE_DATABASES; db++) near_cache_set_clocks(world->caches[db], (uint64_t)now_ms * 1000, now_ms);
}

void world_set_writable(struct world *world, bool is_writable)
{
    flag_ledger_set_role(world->ledger, true, is_writable);
}

/* What the cache knows of the request's key; NULL when it would not answer. */
static const struct near_entry *find_kept(const struct world *world, const struct request *request, uint64_t hash)
{
    const struct near_cache *cache = world->caches[world->context.db];
    struct near_entry *entry = near_cache_locate(cache, hash);
    return entry && near_cache_answers(cache, entry, request->key, hash) ? entry : NULL;
}

static void note_kept(struct world *world, const struct near_entry *kept)
{
    buffer_reset(&world->kept, 64 * 1024);
    buffer_append(&world->kept, near_entry_value(kept));
    world->kept_flags = kept->flags;
    world->kept_count++;
}

static void compare(struct world *world, const struct request *request, const struct near_entry *kept,
                    const struct result *result, uint64_t hash)
{
    struct span name = command_full_key(&world->context, request->key);
    bool is_there = fake_holds(&world->fake, world->context.db, name, near_entry_value(kept));
    if (result->status == RESULT_NOT_FOUND && is_there) return; /* its flags are lost since */
    bool has_value = !(request->extras && (request->extras->asks & (ASK_NO_VALUE | ASK_COMPARE)));
    CHECK(result->status == RESULT_HIT);
    CHECK(result->flags == kept->flags);
    CHECK(fake_find(&world->fake, world->context.db, name)->expiry == kept->expiry);
    CHECK(version_current(&world->versions, hash) == kept->token);
    CHECK(!has_value || span_equal(world_value(world, result), near_entry_value(kept)));
    CHECK(!request->extras || !(request->extras->asks & ASK_META) || request->extras->told == 0 ||
          request->extras->asks & ASK_HISTORY);
}

static struct result execute_read(struct world *world, const struct request *request)
{
    struct result result = {0};
    uint64_t hash = hash_key(command_full_key(&world->context, request->key));
    struct sighting sighting = {.hash = hash, .is_wanted = true};
    const struct near_entry *kept = find_kept(world, request, hash);
    world->has_kept = kept != NULL;
    if (kept) note_kept(world, kept);
    world->context.sighting = &sighting;
    command_execute(&world->context, request, &result, &world->values);
    world->context.sighting = NULL;
    if (kept) compare(world, request, kept, &result, hash);
    if (sighting.stamp == 0) return result;
    const struct near_entry item = {
        .stamp = sighting.stamp, .token = sighting.token, .expiry = sighting.expiry, .flags = result.flags};
    near_cache_store(world->caches[world->context.db], request->key, hash, world_value(world, &result), &item);
    return result;
}

struct result world_execute(struct world *world, const struct request *request)
{
    struct result result = {0};
    buffer_reset(&world->values, 64 * 1024);
    if (request->op == REQUEST_GET) return execute_read(world, request);
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
