#include "engine/executor.h"

#include "base/clock.h"
#include "engine/budget.h"
#include "engine/engine.h"
#include "engine/look_ahead.h"

/* Bytes of values that workers have not looked at yet. With more, nothing is executed: they would pile up in between. */
#define LENT_MOST ((size_t)32 * 1024 * 1024)
/* How long a worker that sleeps may wait to be woken while others' batches are executed. */
#define WAKE_INTERVAL_US 500u
/* Waiting logins are not looked at more often. */
#define LOGINS_INTERVAL_US 10000u
/* How often some of the ledgers are used. */
#define RETAIN_INTERVAL_US 90000u

static void list_append(struct batch_list *list, struct batch *batch)
{
    batch->mail.next = NULL;
    if (list->last)
        list->last->mail.next = &batch->mail;
    else
        list->first = batch;
    list->last = batch;
}

static struct batch *list_take(struct batch_list *list)
{
    struct batch *batch = list->first;
    if (!batch) return NULL;
    list->first = batch_of_mail(batch->mail.next);
    if (!list->first) list->last = NULL;
    return batch;
}

bool executor_init(struct executor *executor, struct engine_keyspace *keyspace, struct command_context *command)
{
    *executor = (struct executor){.keyspace = keyspace, .command = command};
    gate_init(&executor->gate);
    return mailbox_init(&executor->inbox, true);
}

void executor_deinit(struct executor *executor)
{
    mailbox_deinit(&executor->inbox);
    gate_deinit(&executor->gate);
    executor->ready = executor->heavy = executor->parked = executor->logins = executor->unflushed = (struct batch_list){0};
}

enum progress {
    PROGRESS_DONE,   /* the batch can go home, with what is executed of it */
    PROGRESS_PARKED, /* its first message must wait */
    PROGRESS_LOGIN,  /* its first message is a login that must wait */
    PROGRESS_SPENT,  /* the turn is over */
};

/* A read that comes to a write, the mark of who refreshes an item, asks the gate as a write does. Where the engine takes no
 * writes, or the user may not write, it reads without. */
static enum progress execute_again(struct executor *executor, struct batch *batch, struct identity *identity,
                                   struct message *message)
{
    struct command_context *command = executor->command;
    message->result.status = RESULT_PENDING;
    enum gate_verdict verdict = GATE_REFUSE;
    if (identity->grant.is_open || access_may_mark(executor->access, identity, message->request.key))
        verdict = gate_check_mark(&executor->gate);
    if (verdict == GATE_WAIT) return PROGRESS_PARKED;
    command->leave = verdict == GATE_OPEN ? COMMAND_MAY_MARK : COMMAND_MAY_NOT_MARK;
    command_execute(command, &message->request, &message->result, &batch->values);
    command->leave = COMMAND_MUST_ASK;
    if (verdict == GATE_OPEN) executor->has_unflushed_writes = true;
    return PROGRESS_DONE;
}

/* ---- Answers of the near cache ---- */

/* True when the message needs no execution any more. */
static bool take_answer(struct executor *executor, struct batch *batch, const struct identity *identity,
                        struct message *message)
{
    if (!message_is_answered(message)) return false;
    if (identity->grant.is_open && command_take_answer(executor->command, &batch->sightings[batch->executed])) return true;
    message->result = (struct result){.status = RESULT_PENDING};
    read_ahead_close(&executor->keyspace->ahead); /* its key may be open for a later message */
    return false;
}

/* ---- Execution ---- */

/* A reply may leave at once when everything that it can have seen is in the append-only file, or there is none. */
static bool must_wait_for_flush(const struct executor *executor)
{
    if (!gate_has_aof(&executor->gate)) return false;
    return executor->has_unflushed_writes || executor->command->versions->last != executor->flushed_version;
}

/* Who takes what the message reads at once, ahead of the batch's return; NULL: nobody may. */
static struct outlet *outlet_for(const struct executor *executor, const struct batch *batch, const struct request *request)
{
    bool may_leave = batch->outlet && request->op == REQUEST_GET && !batch->errand;
    return may_leave && !must_wait_for_flush(executor) ? batch->outlet : NULL;
}

/* Only keys of a user who may do everything with all of them are opened before their turn. */
static void execute_command(struct executor *executor, struct batch *batch, const struct identity *identity,
                            struct message *message)
{
    struct read_ahead *ahead = &executor->keyspace->ahead;
    read_ahead_reach(ahead, &message->request);
    if (identity->grant.is_open && read_ahead_is_empty(ahead)) look_ahead(executor, batch);
    executor->command->sighting = batch_sighting(batch, batch->executed);
    executor->command->outlet = outlet_for(executor, batch, &message->request);
    command_execute(executor->command, &message->request, &message->result, &batch->values);
    executor->command->outlet = NULL;
    executor->command->sighting = NULL;
}

/* What may tell of keys tells of those that the user may read. */
static void execute_for_reader(struct executor *executor, struct batch *batch, const struct identity *identity,
                               struct message *message)
{
    struct command_context *command = executor->command;
    struct access_reader reader;
    command->reader = access_begin_reading(executor->access, &reader, identity);
    command_execute(command, &message->request, &message->result, &batch->values);
    command->reader = NULL;
    access_end_reading(&reader);
}

static enum progress execute_login(struct executor *executor, struct batch *batch, struct message *message)
{
    uint64_t now_us = clock_monotonic_us();
    uint64_t due_us = login_execute(executor->login, batch, message, now_us);
    if (due_us == 0) return PROGRESS_DONE;
    if (due_us < now_us + LOGINS_INTERVAL_US) due_us = now_us + LOGINS_INTERVAL_US;
    if (!executor->logins.first || due_us < executor->logins_due_us) executor->logins_due_us = due_us;
    return PROGRESS_LOGIN;
}

/* What may come to write a mark, and can do without when there is no memory for it. */
static bool may_mark(const struct request *request)
{
    if (!request->extras) return false;
    uint32_t asks = request->extras->asks;
    if (request->op == REQUEST_DELETE) return asks & (ASK_INVALIDATE | ASK_CLEAR);
    return request->op == REQUEST_GAT && (asks & ASK_META);
}

static enum gate_verdict pass_gate(struct executor *executor, const struct request *request, struct result *result)
{
    enum gate_verdict verdict = gate_check(&executor->gate, request, result);
    executor->command->is_short_of_memory = false;
    if (verdict != GATE_OPEN || !may_mark(request)) return verdict;
    enum gate_verdict mark = gate_check_mark(&executor->gate);
    executor->command->is_short_of_memory = mark == GATE_REFUSE;
    return mark == GATE_WAIT ? GATE_WAIT : GATE_OPEN;
}

/* In a cluster the key's slot must be this node's. */
static bool is_served_here(struct executor *executor, struct batch *batch, struct message *message)
{
    const struct request *request = &message->request;
    bool is_served = !request_is_keyed(request->op) ||
                     cluster_admits(executor->cluster, command_full_key(executor->command, request->key),
                                    request_writes(request->op), &message->result, batch->extras[batch->executed].refusal);
    bool may_write = request_writes(request->op) || request->extras; /* a meta get may come to a mark */
    if (is_served && may_write) executor->gate.local_key = cluster_local_key(executor->cluster);
    return is_served;
}

/* What asks about the whole server takes as long as a hundred others: there is one of the kind in a turn. */
static bool is_costly(const struct request *request)
{
    return request_dumps(request->op) || request->op == REQUEST_STATS;
}

static enum progress execute_message(struct executor *executor, struct batch *batch, struct identity *identity,
                                     struct message *message)
{
    struct request *request = &message->request;
    if (request_is_local(request->op)) return PROGRESS_DONE;
    if (batch->errand && bridge_answer(batch, batch->executed)) return PROGRESS_DONE;
    if (request->op == REQUEST_AUTH) return execute_login(executor, batch, message);
    if (take_answer(executor, batch, identity, message)) return PROGRESS_DONE;
    if (!identity->grant.is_open && !access_check(executor->access, identity, request, &message->result))
        return PROGRESS_DONE;
    if (executor->cluster->is_enabled && !is_served_here(executor, batch, message)) return PROGRESS_DONE;
    if (is_costly(request)) {
        if (executor->has_met_costly) return PROGRESS_PARKED;
        executor->has_met_costly = true;
    }
    enum gate_verdict verdict = pass_gate(executor, request, &message->result);
    if (verdict == GATE_WAIT) return PROGRESS_PARKED;
    if (verdict == GATE_REFUSE) return PROGRESS_DONE;
    if (is_costly(request))
        execute_for_reader(executor, batch, identity, message);
    else
        execute_command(executor, batch, identity, message);
    if (message->result.status == RESULT_NEEDS_WRITE) return execute_again(executor, batch, identity, message);
    if (request_writes(request->op)) executor->has_unflushed_writes = true;
    return PROGRESS_DONE;
}

/* One behind the last message that may be executed now: what is not prepared (upstream/bridge.h) goes home with the rest, and
 * comes again. */
static uint32_t end_of_prepared(const struct executor *executor, const struct batch *batch)
{
    return bridge_is_on(&executor->upstream->bridge) ? batch->prepared : batch->count;
}

static void settle_outlet(const struct batch *batch)
{
    if (batch->outlet && batch->outlet->held > 0) batch->outlet->settle(batch->outlet);
}

/* Values that the outlet holds stay in place as long as it is keys of the same window (engine/read_ahead.h) that are read. */
static void make_way(const struct executor *executor, const struct batch *batch, const struct message *next)
{
    bool reads = next->request.op == REQUEST_GET;
    if (!reads || !read_ahead_has(&executor->keyspace->ahead, &next->request)) settle_outlet(batch);
}

/* True when values wait that the client did not take: they must leave before anything else is executed. */
static bool must_leave(const struct batch *batch)
{
    return batch->apart.size > 0 && batch->outlet->held == 0;
}

/* A message that must wait does not hold back the replies of those before it: they go home, and the rest comes again; but where
 * old servers have answered, the batch stays here. */
static enum progress execute_messages(struct executor *executor, struct batch *batch, struct budget *budget)
{
    uint32_t before = batch->executed;
    uint64_t bytes_before = budget->bytes;
    executor->command->client_descriptor = batch->descriptor;
    executor->command->client_address = batch->peer;
    struct identity *identity = access_resolve(executor->access, batch->identity);
    uint32_t end = end_of_prepared(executor, batch);
    while (batch->executed < end) {
        make_way(executor, batch, &batch->messages[batch->executed]);
        if (must_leave(batch)) break;
        enum progress progress = execute_message(executor, batch, identity, &batch->messages[batch->executed]);
        if (progress != PROGRESS_DONE) return batch->executed == before || batch->errand ? progress : PROGRESS_DONE;
        const struct message *message = &batch->messages[batch->executed++];
        budget_charge(budget, message, executor->command->joined);
        executor->command->joined = 0;
        if (message->result.status == RESULT_PART) break;
        if (budget->bytes - bytes_before >= BATCH_REPLY_LIMIT) break;
        if (budget->is_spent && batch->executed < end) return PROGRESS_SPENT;
    }
    bridge_release(batch);
    return PROGRESS_DONE;
}

static enum progress execute_batch(struct executor *executor, struct batch *batch, struct budget *budget)
{
    enum progress progress = execute_messages(executor, batch, budget);
    settle_outlet(batch);
    return batch->apart.size > 0 ? PROGRESS_DONE : progress;
}

/* Waking a thread costs as much as executing some requests: workers are woken once for all batches of a round. */
static void wake_workers(struct executor *executor, uint64_t now_us)
{
    while (executor->sleeper_count > 0) mailbox_ring(executor->sleepers[--executor->sleeper_count]);
    executor->woken_us = now_us;
}

static void note_sleeper(struct executor *executor, struct mailbox *home)
{
    for (size_t i = 0; i < executor->sleeper_count; i++)
        if (executor->sleepers[i] == home) return; /* it has slept again meanwhile */
    CHECK(executor->sleeper_count < EXECUTOR_WORKERS_MOST);
    executor->sleepers[executor->sleeper_count++] = home;
}

static void send_home(struct executor *executor, struct batch *batch)
{
    if (batch->values.capacity > BATCH_LENT_LEAST) {
        batch->lent = batch->values.capacity;
        atomic_fetch_add_explicit(executor->lent, batch->lent, memory_order_relaxed);
    }
    struct mailbox *home = batch->home; /* behind this the batch is its worker's */
    if (mailbox_leave(home, &batch->mail)) note_sleeper(executor, home);
}

static bool has_lent_too_much(const struct executor *executor)
{
    return atomic_load_explicit(executor->lent, memory_order_relaxed) > LENT_MOST;
}

static void receive(struct executor *executor)
{
    for (struct mail *mail = mailbox_collect(&executor->inbox); mail;) {
        struct mail *next = mail->next;
        struct batch *batch = batch_of_mail(mail);
        list_append(batch->executed > 0 ? &executor->heavy : &executor->ready, batch);
        mail = next;
    }
}

static bool has_batches(const struct executor *executor)
{
    return executor->ready.first || executor->heavy.first;
}

/* The rest of a batch is executed when nobody else waits; but one of them comes in every turn. */
static void promote_heavy(struct executor *executor)
{
    struct batch *batch = list_take(&executor->heavy);
    if (batch) list_append(&executor->ready, batch);
}

/* True when the bridge keeps the batch until old servers have answered. */
static bool is_held(struct executor *executor, struct batch *batch)
{
    struct bridge *bridge = &executor->upstream->bridge;
    if (!bridge_is_on(bridge) || bridge_is_prepared(bridge, batch) || batch->is_local) return false;
    return bridge_hold(bridge, batch, access_resolve(executor->access, batch->identity));
}

/* What was opened ahead for the rest of a batch that has not come to its end. */
static void close_rest(struct executor *executor, const struct batch *batch)
{
    if (batch->executed < batch->count) read_ahead_close(&executor->keyspace->ahead);
}

static bool execute_all_ready(struct executor *executor, struct budget *budget)
{
    while (has_batches(executor)) {
        if (!executor->ready.first) promote_heavy(executor);
        if (budget->is_spent || has_lent_too_much(executor)) return false;
        struct batch *batch = executor->ready.first;
        if (is_held(executor, batch)) {
            list_take(&executor->ready);
            continue;
        }
        enum progress progress = execute_batch(executor, batch, budget);
        close_rest(executor, batch);
        if (progress == PROGRESS_SPENT) return false;
        list_take(&executor->ready);
        if (progress == PROGRESS_PARKED)
            list_append(&executor->parked, batch);
        else if (progress == PROGRESS_LOGIN)
            list_append(&executor->logins, batch);
        else if (must_wait_for_flush(executor))
            list_append(&executor->unflushed, batch);
        else
            send_home(executor, batch);
        if (budget->now_us - executor->woken_us >= WAKE_INTERVAL_US) wake_workers(executor, budget->now_us);
    }
    return true;
}

/* True when all that was ready is done or parked. */
static bool execute_ready(struct executor *executor, struct budget *budget)
{
    bool is_finished = execute_all_ready(executor, budget);
    read_ahead_close(&executor->keyspace->ahead); /* the turn may end before what was looked ahead to */
    return is_finished;
}

static void list_append_all(struct batch_list *list, struct batch_list *others)
{
    for (struct batch *batch = list_take(others); batch; batch = list_take(others)) list_append(list, batch);
}

/* What was parked is tried first, in its order. */
static void unpark(struct executor *executor)
{
    struct batch_list later = executor->ready;
    executor->ready = executor->parked;
    executor->parked = (struct batch_list){0};
    list_append_all(&executor->ready, &later);
}

static bool has_due_logins(const struct executor *executor)
{
    return executor->logins.first && clock_monotonic_us() >= executor->logins_due_us;
}

/* Logins that have waited come behind everybody else, in their order. What finds that it must wait on goes back. */
static void unpark_logins(struct executor *executor)
{
    if (!has_due_logins(executor)) return;
    struct batch_list due = executor->logins;
    executor->logins = (struct batch_list){0};
    list_append_all(&executor->ready, &due);
}

static bool has_work(const struct executor *executor)
{
    return has_batches(executor) || executor->parked.first || executor->must_retain || has_due_logins(executor) || flag_ledger_has_work(executor->command->ledger) ||
           executor->command->flush_at_ms != 0 || bridge_has_work(&executor->upstream->bridge) || cluster_has_news(executor->cluster);
}

/* What old servers have answered, and the batches that have waited for it. */
static void receive_answers(struct executor *executor)
{
    struct bridge *bridge = &executor->upstream->bridge;
    engine_upstream_collect(executor->upstream);
    for (struct batch *batch = bridge_next_ready(bridge); batch; batch = bridge_next_ready(bridge))
        list_append(&executor->ready, batch);
}

/* Where keys are evicted fast, all ledgers are used in a quarter of the time in which all keys are. */
static void retain_ledgers(struct executor *executor)
{
    struct command_context *command = executor->command;
    executor->must_retain = false;
    executor->evictions = 0;
    if (!gate_is_near_eviction(&executor->gate)) return;
    executor->evictions_most = engine_keyspace_count(executor->keyspace, command->db) * FLAG_LEDGER_RETAINED_AT_ONCE / HASH_SLOTS / 4;
    flag_ledger_retain(command->ledger, command->db);
    if (flag_ledger_strings(command->ledger, command->db) > 0) engine_hear_evictions(executor->gate.ctx);
}

/* What is to be done ahead of the batches. */
static void prepare(struct executor *executor, RedisModuleCtx *ctx)
{
    struct gate *gate = &executor->gate;
    executor->has_met_costly = false;
    struct audience *audience = &executor->keyspace->audience;
    int flags = api.GetContextFlags(ctx);
    audience_begin_turn(audience, executor->calm, ctx, flags);
    gate_begin_turn(gate, executor->calm, ctx, flags, audience->state == AUDIENCE_ABSENT);
    executor->command->now_ms = clock_wall_ms();
    flag_ledger_set_role(executor->command->ledger, gate_is_primary(gate), gate_lets_maintenance_write(gate));
    cluster_begin_turn(executor->cluster);
    flag_ledger_settle(executor->command->ledger);
    flag_ledger_explore(executor->command->ledger, executor->command->db);
    if (executor->must_retain) retain_ledgers(executor);
    bridge_begin_turn(&executor->upstream->bridge, gate_is_primary(gate), gate_lets_maintenance_write(gate));
    receive_answers(executor);
    if (command_flush_is_due(executor->command) && gate_lets_maintenance_write(gate))
        command_flush_when_due(executor->command);
}

static void collect(struct executor *executor)
{
    if (executor->collect) executor->collect(executor->collect_context);
}

/* Executes, gives back, and takes what comes of that, as long as the turn lasts. True when nothing is left to do now. */
static bool execute_rounds(struct executor *executor, struct budget *budget)
{
    executor->woken_us = budget->now_us;
    for (;;) {
        bool is_finished = execute_ready(executor, budget);
        wake_workers(executor, budget->now_us);
        collect(executor);
        receive(executor);
        if (!is_finished) return false;
        if (!has_batches(executor)) return true;
        if (budget_is_over(budget)) return false;
    }
}

void executor_note_time(struct executor *executor, uint64_t now_us)
{
    if (now_us - executor->retained_us < RETAIN_INTERVAL_US) return;
    executor->retained_us = now_us;
    executor->must_retain = true;
}

void executor_note_eviction(struct executor *executor)
{
    reclaimer_note_eviction(&executor->gate.reclaimer);
    if (++executor->evictions > executor->evictions_most) executor->must_retain = true;
}

/* True when the loop may sleep until something comes. */
static bool take_turn(struct executor *executor, RedisModuleCtx *ctx)
{
    if (!has_work(executor)) return true;
    struct budget budget;
    budget_init(&budget);
    unpark(executor);
    unpark_logins(executor);
    promote_heavy(executor);
    engine_keyspace_enter(executor->keyspace, ctx);
    prepare(executor, ctx);
    if (gate_has_aof(&executor->gate) || gate_is_near_eviction(&executor->gate)) budget_lengthen(&budget);
    bool is_finished = execute_rounds(executor, &budget);
    bridge_end_turn(&executor->upstream->bridge);
    bool is_swept = !flag_ledger_sweep(executor->command->ledger);
    gate_end_turn(&executor->gate);
    engine_keyspace_leave(executor->keyspace);
    bool costly_wait = executor->has_met_costly && executor->parked.first;
    budget_tell(&budget, executor->command->counters);
    return is_finished && is_swept && !costly_wait && !gate_is_reclaiming(&executor->gate) && !executor->unflushed.first;
}

/* The bell rings on as long as there is something to do: ringing it and silencing it are system calls. */
static void ring_on(struct executor *executor)
{
    if (executor->is_ringing) return;
    executor->is_ringing = true;
    mailbox_ring(&executor->inbox);
}

static void stop_ringing(struct executor *executor)
{
    if (!executor->is_ringing) return;
    executor->is_ringing = false;
    mailbox_silence(&executor->inbox);
}

void executor_note_bell(struct executor *executor)
{
    executor->is_ringing = true;
}

void executor_turn(struct executor *executor, RedisModuleCtx *ctx)
{
    receive(executor);
    bool may_sleep = take_turn(executor, ctx);
    receive(executor);
    if (may_sleep && !has_batches(executor)) {
        stop_ringing(executor);
        if (mailbox_rest(&executor->inbox)) return;
    }
    ring_on(executor);
}

void executor_release(struct executor *executor)
{
    mailbox_rise(&executor->inbox);
    executor->has_unflushed_writes = false;
    executor->flushed_version = executor->command->versions->last;
    if (!executor->unflushed.first) return;
    for (struct batch *batch = list_take(&executor->unflushed); batch; batch = list_take(&executor->unflushed))
        send_home(executor, batch);
    wake_workers(executor, executor->woken_us);
    collect(executor);
}
