#include "engine/gate.h"

/* A key that nobody has. The engine checks a DEL of it as it checks any write, and then does nothing. */
#define ABSENT_KEY "diglot:absent"

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

void gate_begin_turn(struct gate *gate, RedisModuleCtx *ctx)
{
    gate->ctx = ctx;
    gate->flags = api.GetContextFlags(ctx);
    gate->is_checked = false;
}

static struct span reason_of(RedisModuleCallReply *reply)
{
    size_t size;
    const char *text = api.CallReplyStringPtr(reply, &size);
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        if (span_starts_with(span_of(text, size), refusals[i].error)) return refusals[i].reason;
    return SPAN("the engine refuses writes now; see its log");
}

/* Has the engine check a write: min-replicas-to-write, a failed save or AOF, a read-only replica. */
static void ask_engine(struct gate *gate)
{
    gate->verdict = GATE_OPEN;
    RedisModuleCallReply *reply = api.Call(gate->ctx, "DEL", "SEc", ABSENT_KEY);
    if (!reply) return;
    if (api.CallReplyType(reply) == API_REPLY_ERROR) {
        gate->verdict = GATE_REFUSE;
        gate->reason = reason_of(reply);
    }
    api.FreeCallReply(reply);
}

/* What holds for all writes of a turn. */
static void check_turn(struct gate *gate)
{
    gate->is_checked = true;
    if (!gate_is_primary(gate)) {
        gate->verdict = GATE_REFUSE;
        gate->reason = refusals[0].reason;
    } else if (api.AvoidReplicaTraffic()) {
        gate->verdict = GATE_WAIT;
    } else {
        ask_engine(gate);
    }
}

static bool needs_memory(enum request_op op)
{
    return op >= REQUEST_SET && op <= REQUEST_DECR;
}

/* Above maxmemory: evict and go on where the policy allows, else refuse as the engine does. */
static enum gate_verdict check_memory(struct gate *gate, struct result *result)
{
    if (api.GetUsedMemoryRatio() <= 1.0f) return GATE_OPEN;
    if (gate->flags & API_CONTEXT_EVICTS) {
        reclaimer_ask(&gate->reclaimer, gate->ctx);
        return GATE_WAIT;
    }
    result->status = RESULT_OUT_OF_MEMORY;
    return GATE_REFUSE;
}

enum gate_verdict gate_check(struct gate *gate, const struct request *request, struct result *result)
{
    if (!request_writes(request->op)) return GATE_OPEN;
    if (!gate->is_checked) check_turn(gate);
    if (gate->verdict == GATE_REFUSE) {
        result->status = RESULT_REFUSED;
        result->text = gate->reason;
    }
    if (gate->verdict != GATE_OPEN) return gate->verdict;
    bool is_limited = gate->flags & API_CONTEXT_MAXMEMORY;
    return is_limited && needs_memory(request->op) ? check_memory(gate, result) : GATE_OPEN;
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
