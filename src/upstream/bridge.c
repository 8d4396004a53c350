/* The bridge: its options, its turns, and what is told of changes. */
#include "upstream/bridge.h"

#include "base/clock.h"
#include "upstream/bridge_parts.h"
#include "upstream/dial.h"

#include <stdio.h>
#include <stdlib.h>

#define MICROSECONDS_PER_MS 1000u
/* What the list of changes keeps of its memory. */
#define CHANGED_KEPT ((size_t)64 * 1024)

/* A change that is not settled; the name stands behind it. */
struct change {
    uint64_t hash;
    size_t name_size;
};

/* ---- Options ---- */

static struct span list_of(const struct options *options)
{
    return span_of(options->upstream, strlen(options->upstream));
}

bool bridge_is_wanted(const struct options *options)
{
    return options->upstream[strspn(options->upstream, " ,")] != '\0';
}

static struct fleet *make_fleet(const struct options *options, char error[FLEET_ERROR_SIZE])
{
    return fleet_new(list_of(options), (enum distribution)option_get(options, upstream_distribution),
                     (enum key_hash)option_get(options, upstream_hash), error);
}

/* NULL with a sentence. */
static struct roster *make_roster(const struct options *options, char error[BRIDGE_ERROR_SIZE])
{
    struct ssl_ctx_st *tls = NULL;
    struct fleet *fleet = make_fleet(options, error);
    if (!fleet) return NULL;
    if (option_get(options, upstream_tls)) {
        tls = dial_tls_context(options->upstream_tls_ca_cert_file, error);
        if (!tls) {
            fleet_free(&fleet);
            return NULL;
        }
    }
    return roster_new(fleet, tls);
}

_Static_assert(BRIDGE_ERROR_SIZE >= FLEET_ERROR_SIZE && BRIDGE_ERROR_SIZE >= DIAL_ERROR_SIZE, "sentences fit");

const char *bridge_refusal(const struct options *options, char error[BRIDGE_ERROR_SIZE])
{
    if (!bridge_is_wanted(options)) return NULL;
    struct roster *roster = make_roster(options, error);
    if (!roster) return error;
    roster_release(&roster);
    return NULL;
}

static void drop_roster(struct bridge *bridge)
{
    bridge_give_up_asks(bridge, UINT64_MAX);
    bridge_give_up_passages(bridge, UINT64_MAX);
    bridge_drop_echoes(bridge);
    free(bridge->servers);
    bridge->servers = NULL;
    roster_release(&bridge->roster);
}

static void take_roster(struct bridge *bridge, struct roster *roster)
{
    drop_roster(bridge);
    if (!roster) return;
    if (!bridge->host->configure(bridge->host, roster)) {
        roster_release(&roster);
        return;
    }
    bridge->roster = roster;
    bridge->generation++;
    bridge->servers = check_calloc(roster->fleet->count, sizeof *bridge->servers);
    for (size_t i = 0; i < roster->fleet->count; i++) ring_init(&bridge->servers[i].queue);
}

/* Two sets of options that say the same of the servers have the same hash. */
static uint64_t hash_servers(const struct options *options)
{
    struct buffer text;
    const int32_t choices[] = {option_get(options, upstream_distribution), option_get(options, upstream_hash),
                               option_get(options, upstream_tls)};
    const char *ca_cert_file = options->upstream_tls_ca_cert_file;
    buffer_init(&text);
    buffer_append(&text, span_of(choices, sizeof choices));
    buffer_append(&text, span_of(ca_cert_file, strlen(ca_cert_file) + 1));
    buffer_append(&text, list_of(options));
    uint64_t hash = hash_key(buffer_content(&text));
    buffer_deinit(&text);
    return hash;
}

static void apply_servers(struct bridge *bridge, bool is_on)
{
    char error[BRIDGE_ERROR_SIZE];
    uint64_t hash = hash_servers(bridge->options);
    bool is_same = bridge->servers_hash == hash && is_on == (bridge->roster != NULL);
    if (!is_same) take_roster(bridge, is_on ? make_roster(bridge->options, error) : NULL);
    bridge->servers_hash = hash;
}

/* Where fewer keys live here than before, the truth about the others is the old fleet's again. */
static void take_share(struct bridge *bridge)
{
    unsigned share = (unsigned)option_get(bridge->options, upstream_share);
    for (unsigned lost = share; lost < bridge->share; lost++) marks_clear_share(&bridge->marks, lost);
    if (share != bridge->share) bridge->share_changes++;
    bridge->share = share;
}

/* What was changed here is forgotten where a migration begins or ends, but not where a server starts in the middle of one. */
static void apply_options(struct bridge *bridge)
{
    bool was_on = bridge->roster != NULL, is_on = bridge_is_wanted(bridge->options);
    bridge->is_stale = false;
    bridge->is_quiet = true;
    if (!bridge->is_fresh && was_on != is_on) marks_clear(&bridge->marks);
    if (bridge->is_fresh || !was_on) bridge->share = (unsigned)option_get(bridge->options, upstream_share);
    apply_servers(bridge, is_on);
    bridge->is_fresh = false;
    bridge->reads = option_get(bridge->options, upstream_read);
    bool mirrors = option_get(bridge->options, upstream_mirror);
    if (bridge->mirrors && !mirrors) bridge_drop_echoes(bridge);
    bridge->mirrors = mirrors;
    take_share(bridge);
    bridge->is_quiet = false;
}

void bridge_note_options(struct bridge *bridge)
{
    bridge->is_stale = true;
}

/* ---- Changes ---- */

void bridge_note_change(struct bridge *bridge, int db, struct span name)
{
    struct span key;
    if (!bridge->roster || bridge->is_quiet || db != bridge->command->db) return;
    if (span_starts_with(name, COMMAND_UPSTREAM_PREFIX)) marks_note_lost(&bridge->marks);
    if (!command_is_item_name(bridge->command, name, &key)) return;
    struct change change = {hash_key(name), name.size};
    bool is_settled = bridge->marks.is_loaded && marks_has(&bridge->marks, change.hash);
    if (!bridge->mirrors && is_settled) return;
    buffer_append(&bridge->changed, span_of(&change, sizeof change));
    buffer_append(&bridge->changed, name);
}

void bridge_note_emptied(struct bridge *bridge, int db, bool by_client)
{
    if (!bridge->roster || db != bridge->command->db) return;
    buffer_reset(&bridge->changed, CHANGED_KEPT);
    bridge->owes_fill = true;
    bridge->owes_flush |= by_client && (bridge->mirrors || bridge->share < SHARES);
}

void bridge_note_replaced(struct bridge *bridge)
{
    buffer_reset(&bridge->changed, CHANGED_KEPT);
    marks_forget(&bridge->marks);
    bridge->owes_fill = bridge->owes_flush = false;
    bridge_drop_echoes(bridge);
}

static void settle_change(struct bridge *bridge, const struct change *change, struct span name)
{
    if (bridge_is_here(bridge, change->hash)) marks_add(&bridge->marks, change->hash);
    if (bridge->mirrors) bridge_echo(bridge, name, change->hash);
}

static void settle_emptied(struct bridge *bridge)
{
    if (bridge->owes_fill) {
        bridge_drop_echoes(bridge);
        for (unsigned share = 0; share < bridge->share; share++) marks_fill_share(&bridge->marks, share);
    }
    for (size_t i = 0; bridge->owes_flush && i < bridge->roster->fleet->count; i++) bridge->servers[i].owes_flush = true;
    bridge->owes_fill = bridge->owes_flush = false;
}

/* What was changed before the database was emptied has been forgotten, so the order is right. */
static void settle(struct bridge *bridge)
{
    struct change change;
    bridge->is_quiet = true;
    marks_restore(&bridge->marks);
    settle_emptied(bridge);
    for (struct span rest = buffer_content(&bridge->changed); rest.size > 0;) {
        memcpy(&change, rest.data, sizeof change);
        rest = span_skip(rest, sizeof change);
        settle_change(bridge, &change, span_of(rest.data, change.name_size));
        rest = span_skip(rest, change.name_size);
    }
    buffer_reset(&bridge->changed, CHANGED_KEPT);
    bridge->is_quiet = false;
}

static bool has_changes(const struct bridge *bridge)
{
    return buffer_size(&bridge->changed) > 0 || bridge->owes_fill || bridge->owes_flush || bridge->marks.is_lost;
}

/* ---- Turns ---- */

bool bridge_has_work(const struct bridge *bridge)
{
    if (bridge->is_stale) return true;
    if (!bridge->roster) return false;
    return has_changes(bridge) || !ring_is_empty(&bridge->asked) || !ring_is_empty(&bridge->passages) ||
           !ring_is_empty(&bridge->stalled) || bridge->echoes.count > 0 || bridge->finished;
}

void bridge_begin_turn(struct bridge *bridge, bool is_primary, bool may_write)
{
    bridge->may_write = is_primary && may_write;
    if (bridge->is_stale && bridge->may_write) apply_options(bridge);
    if (!is_primary && bridge->roster) {
        drop_roster(bridge); /* a replica follows; when it is promoted, it begins where its primary was */
        bridge->is_fresh = bridge->is_stale = true;
    }
    bridge->is_active = bridge->roster && is_primary;
    if (!bridge->is_active) return;
    uint64_t now_us = clock_monotonic_us();
    bridge_give_up_asks(bridge, now_us);
    bridge_give_up_passages(bridge, now_us);
    if (bridge->may_write && has_changes(bridge)) settle(bridge);
    bridge_retry_stalled(bridge);
}

void bridge_end_turn(struct bridge *bridge)
{
    if (!bridge->is_active || !bridge->may_write) return;
    if (has_changes(bridge)) settle(bridge);
    bridge_send_echoes(bridge);
}

void bridge_take_job(struct bridge *bridge, struct job *job)
{
    switch (job->kind) {
    case JOB_FETCH: bridge_take_fetched(bridge, job); break;
    case JOB_PASS: bridge_take_passed(bridge, job); break;
    case JOB_STORE:
    case JOB_REMOVE: bridge_take_echoed(bridge, job); break;
    case JOB_FLUSH: bridge_take_flushed(bridge, job); break;
    case JOB_CONFIGURE: job_free(&job); break;
    }
}

/* ---- Batches ---- */

uint64_t bridge_deadline(const struct bridge *bridge, uint64_t now_us)
{
    return now_us + (uint64_t)option_get(bridge->options, upstream_timeout) * MICROSECONDS_PER_MS;
}

struct span bridge_key_of(const struct bridge *bridge, struct span name)
{
    return span_skip(name, bridge->command->key_prefix.size);
}

size_t bridge_server_of(const struct bridge *bridge, struct span name)
{
    return fleet_server_of(bridge->roster->fleet, bridge_key_of(bridge, name));
}

/* Also in a worker, when its batch is not to be executed any more. */
static void free_errand(struct errand **errand)
{
    for (size_t i = 0; i < BATCH_CAPACITY; i++) job_free(&(*errand)->answers[i]);
    free(*errand);
    *errand = NULL;
}

struct errand *errand_of(struct batch *batch)
{
    if (!batch->errand) {
        batch->errand = check_calloc(1, sizeof *batch->errand);
        batch->errand->batch = batch;
        batch->free_errand = free_errand;
    }
    return batch->errand;
}

void errand_arrive(struct bridge *bridge, struct errand *errand)
{
    CHECK(errand->waits > 0);
    if (--errand->waits > 0) return;
    errand->next = bridge->finished;
    bridge->finished = errand;
}

struct batch *bridge_next_ready(struct bridge *bridge)
{
    struct errand *errand = bridge->finished;
    if (!errand) return NULL;
    bridge->finished = errand->next;
    return errand->batch;
}

void bridge_release(struct batch *batch)
{
    struct errand *errand = batch->errand;
    if (!errand) return;
    CHECK(errand->waits == 0);
    size_t bytes = 0;
    for (uint32_t i = batch->executed; i < batch->count; i++)
        if (errand->answers[i]) bytes += sizeof(struct job) + errand->answers[i]->bytes.capacity;
    batch->errand_bytes = bytes > 0 ? bytes + sizeof *errand : 0;
    if (bytes == 0) batch->free_errand(&batch->errand);
}

/* So many requests of a batch are passed through at once: their answers are all kept until the last has come. */
#define PASSES_AT_ONCE 32

/* Prepares one message. False: those behind it are prepared when it is executed. */
static bool prepare(struct bridge *bridge, struct batch *batch, struct identity *identity, uint32_t index, unsigned *passes)
{
    const struct request *request = &batch->messages[index].request;
    if (request_is_local(request->op) || (batch->errand && batch->errand->answers[index])) return true;
    if (!request_is_keyed(request->op)) return false;
    struct span name = command_full_key(bridge->command, request->key);
    struct span key;
    if (!command_is_item_name(bridge->command, name, &key)) return true;
    uint64_t hash = hash_key(name);
    if (!bridge->host->may_ask(bridge->host, identity, request)) return true;
    if (bridge_carry(bridge, batch, index, name, hash)) return true;
    if (bridge_is_here(bridge, hash)) {
        if (bridge->reads) (void)bridge_ask(bridge, batch, name, hash, request);
        return true;
    }
    bridge_pass(bridge, batch, index, name, hash);
    return ++*passes < PASSES_AT_ONCE;
}

bool bridge_is_prepared(const struct bridge *bridge, const struct batch *batch)
{
    return batch->executed < batch->prepared && batch->prepared_at == bridge->share_changes;
}

bool bridge_hold(struct bridge *bridge, struct batch *batch, struct identity *identity)
{
    if (!bridge->is_active) {
        batch->prepared = batch->count;
        return false;
    }
    unsigned passes = 0;
    if (bridge->may_write && has_changes(bridge)) settle(bridge);
    bool is_outdated = batch->prepared_at != bridge->share_changes;
    if (is_outdated || batch->prepared < batch->executed) batch->prepared = batch->executed;
    batch->prepared_at = bridge->share_changes;
    while (batch->prepared < batch->count)
        if (!prepare(bridge, batch, identity, batch->prepared++, &passes)) break;
    return batch->errand && batch->errand->waits > 0;
}

bool bridge_answer(struct batch *batch, uint32_t index)
{
    struct errand *errand = batch->errand;
    if (!errand || !errand->answers[index]) return false;
    struct message *message = &batch->messages[index];
    message->result = (struct result){.status = RESULT_PENDING}; /* the near cache may have had a copy */
    pass_settle(errand->answers[index], &message->request, &message->result, &batch->values);
    job_free(&errand->answers[index]);
    return true;
}

/* ---- The bridge ---- */

static void on_stale(struct mark_listener *listener, int db, struct span name)
{
    bridge_note_change((struct bridge *)listener, db, name);
}

void bridge_init(struct bridge *bridge, struct bridge_host *host, struct command_context *command,
                 const struct options *options, struct counters *counters)
{
    *bridge = (struct bridge){.listener.on_stale = on_stale,
                              .host = host,
                              .command = command,
                              .options = options,
                              .counters = counters,
                              .is_stale = true,
                              .is_fresh = true};
    command->marks = &bridge->listener;
    marks_init(&bridge->marks, command->keyspace, command->db, (size_t)option_get(options, upstream_memory));
    ring_init(&bridge->asked);
    ring_init(&bridge->passages);
    ring_init(&bridge->stalled);
    buffer_init(&bridge->changed);
    buffer_init(&bridge->value);
}

void bridge_deinit(struct bridge *bridge)
{
    if (!bridge->host) return;
    drop_roster(bridge);
    for (struct batch *batch = bridge_next_ready(bridge); batch; batch = bridge_next_ready(bridge)) bridge_release(batch);
    bridge_free_asks(bridge);
    bridge_free_passages(bridge);
    bridge_free_echoes(bridge);
    marks_deinit(&bridge->marks);
    buffer_deinit(&bridge->changed);
    buffer_deinit(&bridge->value);
}
