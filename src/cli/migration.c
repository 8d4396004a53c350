#include "cli/migration.h"

#include <inttypes.h>
#include <stdio.h>

/* Of maxmemory, in percent. */
#define MEMORY_TIGHT 90
/* Keys that wait to be copied, from where on it is told that there are more and more. */
#define MIRROR_LAG 1000

/* Where the next warning goes; behind the last there is one place that is used again and again. */
static char *next_warning(struct migration *migration)
{
    size_t at = migration->warning_count;
    migration->warning_count += at < MIGRATION_WARNINGS;
    return migration->warnings[at < MIGRATION_WARNINGS ? at : MIGRATION_WARNINGS - 1];
}

#define WARN(migration, ...) ((void)snprintf(next_warning(migration), MIGRATION_TEXT, __VA_ARGS__))

static bool is_down(const struct fact *fact)
{
    return facts_is_server(fact) && strstr(fact->value, "state=down");
}

static enum phase find_phase(const struct facts *facts, const struct migration *migration)
{
    if (!facts->has_module) {
        return PHASE_NATIVE;
    }
    if (!migration->has_upstream) {
        return facts_number(facts, "curr_connections", 0) > 0 ? PHASE_BRIDGE : PHASE_IDLE;
    }
    if (migration->share < 100) {
        return PHASE_SHARING;
    }
    return migration->mirrors ? PHASE_MIRRORING : migration->reads ? PHASE_READING : PHASE_CONNECTED;
}

static void describe(struct migration *migration)
{
    static const char *const words[] = {
        [PHASE_NATIVE] = "native: the module is not loaded",
        [PHASE_BRIDGE] = "bridge: memcached clients are served here, no old servers are asked",
        [PHASE_IDLE] = "bridge: no memcached client is connected, no old servers are asked",
        [PHASE_CONNECTED] = "old servers are named, but neither read through nor mirrored to",
        [PHASE_READING] = "reading through: what is missing here comes from the old servers",
        [PHASE_MIRRORING] = "mirroring: writes go to the old servers, too",
    };
    if (migration->phase == PHASE_SHARING) {
        (void)snprintf(migration->text, MIGRATION_TEXT, "share: %u %% of the keys live here, the others in the old servers%s%s",
                       migration->share, migration->reads ? "; reads through" : "", migration->mirrors ? "; mirrors" : "");
    } else {
        (void)snprintf(migration->text, MIGRATION_TEXT, "%s%s", words[migration->phase],
                       migration->phase == PHASE_MIRRORING && migration->reads ? "; reads go through" : "");
    }
}

/* While some keys live in the old fleet, the way back is the same but for what there is to wait for. */
#define BACK_FROM_HERE "CONFIG SET diglot.upstream-share 0, wait for mirror waiting 0, then point the clients at the old servers"

struct advice {
    const char *next, *way_back;
};

static struct advice advise_by_phase(const struct facts *facts, const struct migration *migration)
{
    static const struct advice advice[] = {
        [PHASE_NATIVE] = {"done; `diglot detach` removes what the module has left", "load the module again"},
        [PHASE_BRIDGE] = {"move services to Redis clients one by one; to bring old data: CONFIG SET diglot.upstream, then `diglot import`",
                          "a service goes back to its memcached client"},
        [PHASE_IDLE] = {"to begin: CONFIG SET diglot.upstream names the old servers; at the end: `diglot detach` looks whether the module can go",
                        "memcached clients are served as before"},
        [PHASE_CONNECTED] = {"CONFIG SET diglot.upstream-read yes", "CONFIG SET diglot.upstream \"\""},
        [PHASE_READING] = {"CONFIG SET diglot.upstream-mirror yes keeps a way back; `diglot import` brings what nobody asks for",
                           "none that knows what was changed here: the mirror is off"},
        [PHASE_MIRRORING] = {"`diglot import`, then `diglot verify`; at its GO: CONFIG SET diglot.upstream \"\"", BACK_FROM_HERE},
        [PHASE_SHARING] = {"`diglot verify`, then raise diglot.upstream-share step by step to 100", BACK_FROM_HERE},
    };
    struct advice found = advice[migration->phase];
    if (migration->phase == PHASE_SHARING && migration->share == 0) {
        found.next = "point all clients that share keys here, then CONFIG SET diglot.upstream-share 10";
        found.way_back = facts_number(facts, "mirror_waiting", 0) > 0 ? "wait for mirror waiting 0, then point the clients at the old servers"
                                                                      : "point the clients at the old servers, which have everything";
    } else if (migration->phase == PHASE_SHARING && !migration->mirrors) {
        found.way_back = advice[PHASE_READING].way_back;
    }
    return found;
}

/* While an old server is down no key may move: what it alone has would count as missing, and copies to it wait. */
static void advise_about(const struct fact *down, struct migration *migration)
{
    const char *otherwise = migration->share < 100
        ? "if it is gone for good, so is what it alone had: CONFIG SET diglot.upstream-share 100 has its keys made anew here"
        : "`diglot import` and `diglot verify` need it. If both are done: CONFIG SET diglot.upstream \"\"";
    (void)snprintf(migration->next, MIGRATION_TEXT, "bring %.*s back before any other step; %s", (int)strcspn(down->value, ","), down->value, otherwise);
    if (migration->mirrors && migration->share > 0) {
        (void)snprintf(migration->way_back, MIGRATION_TEXT, "none while it is down; if it comes back empty, its keys are misses there");
    }
}

static void advise(const struct facts *facts, struct migration *migration)
{
    const struct fact *down = migration->has_upstream ? facts_find_down(facts) : NULL;
    struct advice advice = advise_by_phase(facts, migration);
    (void)snprintf(migration->next, MIGRATION_TEXT, "%s", advice.next);
    (void)snprintf(migration->way_back, MIGRATION_TEXT, "%s", advice.way_back);
    if (down) {
        advise_about(down, migration);
    }
}

/* ---- Warnings ---- */

bool migration_tells_trouble(const char *name)
{
    static const struct span ends[] = {SPAN("_errors"), SPAN("_timeouts"), SPAN("_unasked"), SPAN("_unstored"), SPAN("_failed"), SPAN("_dropped")};
    struct span text = span_of(name, strlen(name));
    if (!span_starts_with(text, SPAN("upstream_")) && !span_starts_with(text, SPAN("mirror_"))) {
        return false;
    }
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        if (span_ends_with(text, ends[i])) {
            return true;
        }
    }
    return false;
}

static void warn_of_servers(const struct facts *facts, struct migration *migration)
{
    for (size_t i = 0; i < facts->count; i++) {
        const struct fact *fact = &facts->list[i];
        if (is_down(fact)) {
            WARN(migration, "the old server %.*s is down: %s", (int)strcspn(fact->value, ","), fact->value,
                 migration->share < 100 ? "its keys that live there are misses, and changes of them errors" : "what it has is missing here");
        }
    }
}

static void warn_of_upstream(const struct facts *facts, const struct facts *before, struct migration *migration)
{
    for (size_t i = 0; i < facts->count; i++) {
        const char *name = facts->list[i].name;
        uint64_t now = facts_number(facts, name, 0);
        if (!migration_tells_trouble(name) || now == 0) {
            continue;
        }
        uint64_t then = before ? facts_number(before, name, now) : now;
        if (now > then) {
            WARN(migration, "%s grows: %" PRIu64 ", %" PRIu64 " more", name, now, now - then);
        }
    }
}

/* Where changes come faster than the old servers take them. */
static void warn_of_mirror(const struct facts *facts, const struct facts *before, struct migration *migration)
{
    uint64_t now = facts_number(facts, "mirror_waiting", 0), then = before ? facts_number(before, "mirror_waiting", now) : now;
    uint64_t lost = facts_number(facts, "mirror_failed", 0) + facts_number(facts, "mirror_dropped", 0);
    if (now >= MIRROR_LAG && now > then) {
        WARN(migration, "the mirror falls behind: %" PRIu64 " keys wait, %" PRIu64 " more", now, now - then);
    }
    if (migration->mirrors && lost > 0) {
        WARN(migration, "%" PRIu64 " changes have not reached the old servers: `diglot verify` before you go back", lost);
    }
}

static void warn_of_engine(const struct facts *facts, const struct facts *before, struct migration *migration)
{
    uint64_t used = facts_number(facts, "info.used_memory", 0), most = facts_number(facts, "info.maxmemory", 0);
    if (most > 0 && used / (most / 100 + 1) >= MEMORY_TIGHT) {
        WARN(migration, "memory: %" PRIu64 " %% of maxmemory are used", used / (most / 100 + 1));
    }
    if (before && facts_rate(facts, before, "info.evicted_keys") > 0) {
        WARN(migration, "keys are being evicted: %.0f/s", facts_rate(facts, before, "info.evicted_keys"));
    }
    if (before && facts_rate(facts, before, "rejected_connections") > 0) {
        WARN(migration, "memcached clients are turned away: raise diglot.maxconns");
    }
    const char *link = facts_text(facts, "info.master_link_status");
    if (link && strcmp(link, "up") != 0) {
        WARN(migration, "this is a replica, and its primary is not connected");
    }
    const char *save = facts_text(facts, "info.rdb_last_bgsave_status"), *append = facts_text(facts, "info.aof_last_write_status");
    if ((save && strcmp(save, "ok") != 0) || (append && strcmp(append, "ok") != 0)) {
        WARN(migration, "the engine's last write to disk failed");
    }
}

void migration_judge(const struct facts *facts, const struct facts *before, struct migration *migration)
{
    const char *upstream = facts_text(facts, "diglot.upstream");
    *migration = (struct migration){.has_upstream = upstream && upstream[0] != '\0'};
    migration->reads = migration->has_upstream && facts_is_on(facts, "diglot.upstream-read");
    migration->mirrors = migration->has_upstream && facts_is_on(facts, "diglot.upstream-mirror");
    migration->share = migration->has_upstream ? (unsigned)facts_number(facts, "diglot.upstream-share", 100) : 100;
    migration->phase = find_phase(facts, migration);
    describe(migration);
    advise(facts, migration);
    warn_of_servers(facts, migration);
    warn_of_upstream(facts, before, migration);
    warn_of_mirror(facts, before, migration);
    warn_of_engine(facts, before, migration);
}
