#include "engine/gate.h"

/* The key of the probes where any will do. It need not exist, and nothing happens to it. */
#define PROBE_KEY "diglot:probe"
/* From here on memory may be full in no time. */
#define NEAR_EVICTION 0.5f

static const struct {
    struct span error; /* how the engine's reply begins */
    struct span reason;
} refusals[] = {
    {SPAN("READONLY"), SPAN("READONLY You can't write against a read only replica.")},
    {SPAN("NOREPLICAS"), SPAN("NOREPLICAS Not enough good replicas to write.")},
    {SPAN("MISCONF"), SPAN("MISCONF the engine cannot persist and refuses writes; see its log")},
    {SPAN("MASTERDOWN"), SPAN("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.")},
    {SPAN("LOADING"), SPAN("LOADING the engine is loading the dataset in memory")},
};

void gate_init(struct gate *gate)
{
    *gate = (struct gate){0};
    reclaimer_init(&gate->reclaimer);
}

void gate_deinit(struct gate *gate)
{
    reclaimer_deinit(&gate->reclaimer);
}

static float memory_ratio(const struct gate *gate)
{
    return gate->flags & API_CONTEXT_MAXMEMORY ? api.GetUsedMemoryRatio() : 0.0f;
}

/* Only what the cron finds, a failed save, can then make the engine refuse them. */
static bool still_takes_writes(const struct gate *gate)
{
    return gate->writes.is_known && gate->writes.verdict == GATE_OPEN && gate_is_primary(gate) &&
           calm_holds_until_cron(gate->calm, gate->writes_since) && !api.AvoidReplicaTraffic();
}

void gate_begin_turn(struct gate *gate, struct calm *calm, RedisModuleCtx *ctx, int context_flags, bool is_alone)
{
    gate->ctx = ctx;
    gate->calm = calm;
    gate->flags = context_flags;
    gate->reads = gate->growth = (struct gate_answer){0};
    if (!is_alone || !still_takes_writes(gate)) gate->writes = (struct gate_answer){0};
    gate->local_key = NULL;
}

void gate_end_turn(struct gate *gate)
{
    if (!gate->growth.is_known || gate->growth.verdict != GATE_OPEN) return;
    float ratio = memory_ratio(gate);
    if (ratio > 1.0f && gate->flags & API_CONTEXT_EVICTS) (void)reclaimer_ask(&gate->reclaimer, gate->ctx, ratio);
}

/* What a probe's error says of requests like it; an error about the probe's key says nothing. */
static void take_refusal(struct gate_answer *answer, RedisModuleCallReply *reply)
{
    size_t size;
    const char *text = api.CallReplyStringPtr(reply, &size);
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        if (!span_starts_with(span_of(text, size), refusals[i].error)) continue;
        answer->verdict = GATE_REFUSE;
        answer->status = RESULT_REFUSED;
        answer->reason = refusals[i].reason;
    }
}

/* Has the engine check a command as it checks a script's: min-replicas-to-write, a failed save or AOF, a stale replica. */
static void take_answer(struct gate_answer *answer, RedisModuleCallReply *reply)
{
    if (!reply) return;
    if (api.CallReplyType(reply) == API_REPLY_ERROR) take_refusal(answer, reply);
    api.FreeCallReply(reply);
}

static struct span probe_key(const struct gate *gate)
{
    if (!gate->local_key) return SPAN(PROBE_KEY);
    size_t size;
    const char *data = api.StringPtrLen(gate->local_key, &size);
    return span_of(data, size);
}

static void check_reads(struct gate *gate)
{
    struct span key = probe_key(gate);
    if (pauses_hold_reads(&gate->pauses))
        gate->reads.verdict = GATE_WAIT;
    else if (!gate_is_primary(gate))
        take_answer(&gate->reads, api.Call(gate->ctx, "STRLEN", "SEb", key.data, key.size));
}

static void probe_writes(struct gate *gate, struct span key)
{
    gate->writes_since = calm_mark_now(gate->calm);
    gate->calm->is_asking = true;
    take_answer(&gate->writes, api.Call(gate->ctx, "SETRANGE", "SEbcc", key.data, key.size, "0", ""));
    gate->calm->is_asking = false;
}

static void check_writes(struct gate *gate)
{
    struct gate_answer *writes = &gate->writes;
    struct span key = probe_key(gate);
    if (!gate_is_primary(gate))
        *writes = (struct gate_answer){.verdict = GATE_REFUSE, .status = RESULT_REFUSED, .reason = refusals[0].reason};
    else if (api.AvoidReplicaTraffic())
        writes->verdict = GATE_WAIT;
    else
        probe_writes(gate, key);
}

/* Above maxmemory: evict and go on where the policy allows and it helps, else refuse as the engine does. */
static void limit_growth(struct gate *gate, float ratio)
{
    bool evicts = gate->flags & API_CONTEXT_EVICTS;
    if (evicts && reclaimer_ask(&gate->reclaimer, gate->ctx, ratio) == RECLAIMER_WORKS)
        gate->growth.verdict = GATE_WAIT;
    else
        gate->growth = (struct gate_answer){.is_known = true, .verdict = GATE_REFUSE, .status = RESULT_OUT_OF_MEMORY};
}

static void check_growth(struct gate *gate)
{
    float ratio = memory_ratio(gate);
    gate->ceiling = reclaimer_ceiling(&gate->reclaimer, ratio);
    if (ratio <= 1.0f)
        reclaimer_rest(&gate->reclaimer);
    else if (ratio > gate->ceiling)
        limit_growth(gate, ratio);
    else
        (void)reclaimer_ask(&gate->reclaimer, gate->ctx, ratio);
}

/* Memory fills while a turn goes on: what was below the ceiling is looked at anew for each request. */
static void recheck_growth(struct gate *gate)
{
    if (gate->growth.verdict != GATE_OPEN) return;
    float ratio = memory_ratio(gate);
    if (ratio > 1.0f && ratio > gate->ceiling) limit_growth(gate, ratio);
}

/* Looks an answer up, finding it out first where the turn has not yet. */
static const struct gate_answer *find_answer(struct gate *gate, struct gate_answer *answer, void (*check)(struct gate *gate))
{
    if (!answer->is_known) {
        answer->is_known = true;
        check(gate);
    }
    return answer;
}

/* A meta get needs memory where it may make an item. */
static bool needs_memory(const struct request *request)
{
    if (request->op == REQUEST_GAT) return request->extras && (request->extras->asks & ASK_VIVIFY);
    return request->op >= REQUEST_SET && request->op <= REQUEST_DECR;
}

static const struct gate_answer *answer_for_growth(struct gate *gate)
{
    const struct gate_answer *growth = find_answer(gate, &gate->growth, check_growth);
    recheck_growth(gate);
    return growth;
}

static const struct gate_answer *answer_for(struct gate *gate, const struct request *request)
{
    enum request_op op = request->op;
    if (request_is_on_server(op) && !request_dumps(op)) return NULL;
    if (!request_writes(op)) return find_answer(gate, &gate->reads, check_reads);
    const struct gate_answer *writes = find_answer(gate, &gate->writes, check_writes);
    if (writes->verdict != GATE_OPEN || !needs_memory(request)) return writes;
    return answer_for_growth(gate);
}

enum gate_verdict gate_check(struct gate *gate, const struct request *request, struct result *result)
{
    const struct gate_answer *answer = answer_for(gate, request);
    if (!answer) return GATE_OPEN;
    if (answer->verdict == GATE_REFUSE) {
        result->status = answer->status;
        result->text = answer->reason;
    }
    return answer->verdict;
}

bool gate_is_known_open(const struct gate *gate)
{
    return gate->writes.is_known && gate->writes.verdict == GATE_OPEN && gate->growth.verdict == GATE_OPEN;
}

enum gate_verdict gate_check_mark(struct gate *gate)
{
    const struct gate_answer *writes = find_answer(gate, &gate->writes, check_writes);
    return writes->verdict == GATE_OPEN ? answer_for_growth(gate)->verdict : writes->verdict;
}

bool gate_is_reclaiming(const struct gate *gate)
{
    return gate->growth.verdict == GATE_WAIT && !gate->reclaimer.is_waiting;
}

bool gate_is_near_eviction(const struct gate *gate)
{
    return (gate->flags & API_CONTEXT_EVICTS) && memory_ratio(gate) > NEAR_EVICTION;
}

bool gate_is_primary(const struct gate *gate)
{
    return gate->flags & API_CONTEXT_PRIMARY;
}

bool gate_lets_maintenance_write(const struct gate *gate)
{
    return gate_is_primary(gate) && !api.AvoidReplicaTraffic();
}

bool gate_has_aof(const struct gate *gate)
{
    return gate->flags & API_CONTEXT_AOF;
}
