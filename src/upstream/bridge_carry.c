/* What an importer brings: items that it has read from the old servers. It marks them with a flag that memcached knows and
 * ignores, so that a bridge can tell them from what clients add: `ms KEY SIZE … ME Pcarry`. They are stored only where the key lives
 * here, is missing and was never changed; and they count as no change, so they are not mirrored back. */
#include "command/carry.h"
#include "item/expiry.h"
#include "upstream/bridge_parts.h"

#define CARRY_FLAG SPAN("Pcarry")

static bool has_flag(struct span flags, struct span flag)
{
    for (size_t at = 0; at + flag.size <= flags.size; at++) {
        bool begins = at == 0 || flags.data[at - 1] == ' ';
        bool ends = at + flag.size == flags.size || flags.data[at + flag.size] == ' ';
        if (begins && ends && span_equal(span_of(flags.data + at, flag.size), flag)) return true;
    }
    return false;
}

static bool carry(struct bridge *bridge, struct span name, uint64_t hash, const struct request *request)
{
    if (!bridge_is_here(bridge, hash) || marks_has(&bridge->marks, hash)) return false;
    struct carried_item item = {.value = request->value,
                                .expiry = expiry_from_exptime(request->exptime, bridge->command->now_ms),
                                .flags = request->flags};
    bridge->is_quiet = true;
    bool is_stored = carry_in(bridge->command, name, &item);
    bridge->is_quiet = false;
    return is_stored;
}

bool bridge_carry(struct bridge *bridge, struct batch *batch, uint32_t index, struct span name, uint64_t hash)
{
    const struct request *request = &batch->messages[index].request;
    if (request->op != REQUEST_ADD || !request->extras || !has_flag(request->text, CARRY_FLAG)) return false;
    if (bridge->host->may_store(bridge->host) != BRIDGE_MAY) return false; /* the gate says so to the client */
    struct job *job = job_new(JOB_PASS, 0, SPAN(""));
    bool is_stored = carry(bridge, name, hash, request);
    job->outcome = JOB_DONE;
    job->reply = (struct client_reply){.kind = is_stored ? CLIENT_REPLY_DONE : CLIENT_REPLY_NOT_STORED, .ttl = -1};
    errand_of(batch)->answers[index] = job;
    counter_add(bridge->counters, is_stored ? COUNTER_UPSTREAM_CARRIED : COUNTER_UPSTREAM_CARRIED_NOT, 1);
    return true;
}
