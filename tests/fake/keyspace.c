#include "fake/keyspace.h"

#include "base/check.h"
#include "item/expiry.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static struct fake_keyspace *of(struct keyspace *keyspace)
{
    return (struct fake_keyspace *)keyspace;
}

/* ---- Keys ---- */

static struct fake_key **bucket_of(struct fake_keyspace *fake, int db, struct span name)
{
    CHECK(db >= 0 && db < FAKE_DATABASES);
    return &fake->databases[db][hash_key(name) % FAKE_BUCKETS];
}

static struct fake_key **find_link(struct fake_keyspace *fake, int db, struct span name)
{
    struct fake_key **link = bucket_of(fake, db, name);
    while (*link && !span_equal(buffer_content(&(*link)->name), name)) link = &(*link)->next;
    return link;
}

static void set_bytes(struct buffer *buffer, struct span bytes)
{
    buffer_reset(buffer, 0);
    if (bytes.size > 0) buffer_append(buffer, bytes);
}

static struct fake_key *make_key(struct fake_keyspace *fake, int db, struct span name)
{
    struct fake_key **link = find_link(fake, db, name);
    if (*link) return *link;
    struct fake_key *key = check_calloc(1, sizeof *key);
    buffer_init(&key->name);
    buffer_init(&key->value);
    set_bytes(&key->name, name);
    key->kind = KEYSPACE_STRING;
    key->expiry = KEYSPACE_NO_EXPIRY;
    key->last_use_ms = fake->now_ms;
    *link = key;
    return key;
}

static void free_key(struct fake_key **link)
{
    struct fake_key *key = *link;
    *link = key->next;
    buffer_deinit(&key->name);
    buffer_deinit(&key->value);
    free(key);
}

static void empty_db(struct fake_keyspace *fake, int db)
{
    for (size_t i = 0; i < FAKE_BUCKETS; i++)
        while (fake->databases[db][i]) free_key(&fake->databases[db][i]);
}

const struct fake_key *fake_find(const struct fake_keyspace *fake, int db, struct span name)
{
    return *find_link((struct fake_keyspace *)fake, db, name);
}

bool fake_holds(const struct fake_keyspace *fake, int db, struct span name, struct span value)
{
    const struct fake_key *key = fake_find(fake, db, name);
    return key && key->kind == KEYSPACE_STRING && span_equal(buffer_content(&key->value), value);
}

/* ---- Logs ---- */

__attribute__((format(printf, 2, 3))) static void add_line(struct buffer *log, const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    if (size > (int)sizeof line - 2) size = (int)sizeof line - 2;
    line[size] = '\n';
    if (buffer_size(log) < 64 * 1024) buffer_append(log, span_of(line, (size_t)size + 1));
}

static bool said(struct buffer *log, const char *lines)
{
    bool is_same = span_equal(buffer_content(log), span_of(lines, strlen(lines)));
    if (!is_same) {
        struct span is = buffer_content(log);
        fprintf(stderr, "logged:\n%.*sexpected:\n%s", (int)is.size, is.size ? is.data : "", lines);
    }
    buffer_reset(log, 64 * 1024);
    return is_same;
}

bool fake_notified(struct fake_keyspace *fake, const char *lines)
{
    return said(&fake->events, lines);
}

bool fake_propagated(struct fake_keyspace *fake, const char *lines)
{
    return said(&fake->propagation, lines);
}

/* Long values would hide the rest of a line. */
static int shown(struct span bytes)
{
    return bytes.size > 100 ? 100 : (int)bytes.size;
}

/* ---- Events: what the engine tells, and what its listener makes of them ---- */

/* The first database is not named. */
static void log_event(struct fake_keyspace *fake, int db, struct span name, const char *event)
{
    if (fake->on_event) fake->on_event(fake->event_listener, db, name, event);
    if (db == 0)
        add_line(&fake->events, "%s %.*s", event, shown(name), name.data);
    else
        add_line(&fake->events, "%s %.*s in %d", event, shown(name), name.data, db);
}

enum change {
    CHANGE_NOTHING,
    CHANGE_NEW,
    CHANGE_OVERWRITE,
    CHANGE_CONTENT,
};

static void tell(struct fake_keyspace *fake, int db, struct span name, const char *event, enum change change)
{
    log_event(fake, db, name, event);
    struct item_key key = item_key_of(name);
    if (fake->ledger) {
        if (flag_ledger_owns(fake->ledger, &key)) {
            if (change != CHANGE_NEW) flag_ledger_note_ledger_lost(fake->ledger, db, key.slot);
            return;
        }
        if (change == CHANGE_NEW) flag_ledger_note_new(fake->ledger, db, &key);
        if (change == CHANGE_OVERWRITE) flag_ledger_note_overwrite(fake->ledger, db, &key);
    }
    if (fake->versions && change == CHANGE_NOTHING) version_note_change(fake->versions, key.hash);
    if (fake->versions && change >= CHANGE_OVERWRITE) version_advance(fake->versions, key.hash);
    if (fake->history && change >= CHANGE_OVERWRITE) history_forget(fake->history, key.hash);
}

/* A key went from one place to another. The name of a ledger string has no flags, and none are kept for one. */
static void tell_moved(struct fake_keyspace *fake, const char *verb, int from_db, struct span from, int to_db,
                       struct span to)
{
    char event[32];
    struct item_key from_key = item_key_of(from), to_key = item_key_of(to);
    (void)snprintf(event, sizeof event, "%s_from", verb);
    bool to_ledger = fake->ledger && flag_ledger_owns(fake->ledger, &to_key);
    tell(fake, from_db, from, event, to_ledger ? CHANGE_OVERWRITE : CHANGE_CONTENT);
    (void)snprintf(event, sizeof event, "%s_to", verb);
    tell(fake, to_db, to, event, CHANGE_CONTENT);
    from_key.name = SPAN("");
    if (fake->ledger && !to_ledger) flag_ledger_note_move(fake->ledger, from_db, &from_key, to_db, &to_key);
}

static void tell_copied(struct fake_keyspace *fake, int from_db, struct span from, int to_db, struct span to,
                        enum fake_source source)
{
    struct item_key from_key = item_key_of(from), to_key = item_key_of(to);
    tell(fake, to_db, to, "copy_to", CHANGE_CONTENT);
    if (!fake->ledger || flag_ledger_owns(fake->ledger, &to_key)) return;
    switch (source) {
    case FAKE_SOURCE_KNOWN: flag_ledger_note_copy(fake->ledger, from_db, &from_key, to_db, &to_key); break;
    case FAKE_SOURCE_IN_ANY_DB: flag_ledger_note_copy_from_any_db(fake->ledger, &from_key, to_db, &to_key); break;
    case FAKE_SOURCE_UNKNOWN: flag_ledger_note_unknown(fake->ledger, to_db, &to_key); break;
    }
}

/* Looks a key up as the engine does: one that has expired goes, with its event. */
static struct fake_key *look_up(struct fake_keyspace *fake, int db, struct span name)
{
    struct fake_key **link = find_link(fake, db, name);
    if (!*link || !expiry_has_passed((*link)->expiry, fake->now_ms)) return *link;
    if (fake->keeps_expired) return NULL;
    free_key(link);
    tell(fake, db, name, "expired", CHANGE_OVERWRITE);
    add_line(&fake->propagation, "DEL %.*s", shown(name), name.data);
    return NULL;
}

/* ---- The keyspace interface ---- */

static enum keyspace_kind open_key(struct keyspace *keyspace, int db, struct span name, enum keyspace_mode mode)
{
    struct fake_keyspace *fake = of(keyspace);
    CHECK(!fake->is_open && !fake->is_walking);
    fake->is_open = true;
    fake->mode = mode;
    fake->open_db = db;
    set_bytes(&fake->open_name, name);
    fake->open_key = look_up(fake, db, name);
    bool is_noticed = mode == KEYSPACE_READ || mode == KEYSPACE_WRITE;
    fake->idle_since_ms = fake->open_key ? fake->open_key->last_use_ms : 0;
    if (is_noticed && fake->open_key) fake->open_key->last_use_ms = fake->now_ms;
    return fake->open_key ? fake->open_key->kind : KEYSPACE_ABSENT;
}

static struct span open_name(const struct fake_keyspace *fake)
{
    return buffer_content(&fake->open_name);
}

static void take_back(struct fake_keyspace *fake)
{
    free(fake->lent);
    fake->lent = NULL;
}

static struct span value_of_key(struct keyspace *keyspace)
{
    struct fake_keyspace *fake = of(keyspace);
    CHECK(fake->is_open && fake->open_key && fake->open_key->kind == KEYSPACE_STRING);
    struct span value = buffer_content(&fake->open_key->value);
    if (!fake->lent) {
        fake->lent = check_malloc(value.size ? value.size : 1);
        if (value.size > 0) memcpy(fake->lent, value.data, value.size);
    }
    return span_of(fake->lent, value.size);
}

static size_t size_of_key(struct keyspace *keyspace)
{
    struct fake_keyspace *fake = of(keyspace);
    CHECK(fake->is_open && fake->open_key && fake->open_key->kind == KEYSPACE_STRING);
    return buffer_size(&fake->open_key->value);
}

static void use_key(struct keyspace *keyspace, uint32_t times)
{
    struct fake_keyspace *fake = (struct fake_keyspace *)keyspace;
    CHECK(fake->is_open && fake->open_key);
    fake->open_key->uses += times;
}

static int64_t idle_of_key(struct keyspace *keyspace)
{
    struct fake_keyspace *fake = of(keyspace);
    CHECK(fake->is_open && fake->open_key);
    return fake->knows_idle ? (fake->now_ms - fake->idle_since_ms) / 1000 : -1;
}

static void retain_key(struct keyspace *keyspace)
{
    struct fake_keyspace *fake = of(keyspace);
    CHECK(fake->is_open && fake->open_key);
    fake->retained++;
}

static int64_t expiry_of_key(struct keyspace *keyspace)
{
    struct fake_keyspace *fake = of(keyspace);
    CHECK(fake->is_open && fake->open_key);
    return fake->open_key->expiry;
}

static void begin_change(struct fake_keyspace *fake)
{
    CHECK(fake->is_open && keyspace_mode_writes(fake->mode));
}

static void notify(struct fake_keyspace *fake, const char *event)
{
    log_event(fake, fake->open_db, open_name(fake), event);
}

static void store_value(struct keyspace *keyspace, struct span value, int64_t expiry, const char *event)
{
    struct fake_keyspace *fake = of(keyspace);
    begin_change(fake);
    CHECK(!expiry_has_passed(expiry, fake->now_ms));
    struct span name = open_name(fake);
    fake->open_key = make_key(fake, fake->open_db, name);
    fake->open_key->kind = KEYSPACE_STRING;
    fake->open_key->expiry = expiry;
    take_back(fake); /* first, so that a value inside the open one is caught */
    set_bytes(&fake->open_key->value, value);
    if (expiry == KEYSPACE_NO_EXPIRY)
        add_line(&fake->propagation, "SET %.*s %.*s", shown(name), name.data, shown(value), value.data);
    else
        add_line(&fake->propagation, "SET %.*s %.*s PXAT %lld", shown(name), name.data, shown(value), value.data,
                 (long long)expiry);
    notify(fake, event);
}

static void append_value(struct keyspace *keyspace, struct span bytes)
{
    struct fake_keyspace *fake = of(keyspace);
    begin_change(fake);
    CHECK(fake->open_key && fake->open_key->kind == KEYSPACE_STRING);
    take_back(fake);
    buffer_append(&fake->open_key->value, bytes);
    add_line(&fake->propagation, "APPEND %.*s %.*s", shown(open_name(fake)), open_name(fake).data, shown(bytes), bytes.data);
    notify(fake, "append");
}

static void patch_value(struct keyspace *keyspace, size_t offset, struct span bytes)
{
    struct fake_keyspace *fake = of(keyspace);
    begin_change(fake);
    CHECK(fake->open_key && fake->open_key->kind == KEYSPACE_STRING);
    struct buffer *value = &fake->open_key->value;
    CHECK(offset <= buffer_size(value) && bytes.size <= buffer_size(value) - offset);
    take_back(fake);
    memcpy(value->data + value->begin + offset, bytes.data, bytes.size);
    add_line(&fake->propagation, "SETRANGE %.*s %zu", shown(open_name(fake)), open_name(fake).data, offset);
    notify(fake, "setrange");
}

static void remove_key(struct keyspace *keyspace)
{
    struct fake_keyspace *fake = of(keyspace);
    begin_change(fake);
    CHECK(fake->open_key);
    take_back(fake);
    free_key(find_link(fake, fake->open_db, open_name(fake)));
    fake->open_key = NULL;
    add_line(&fake->propagation, "DEL %.*s", shown(open_name(fake)), open_name(fake).data);
    notify(fake, "del");
}

static void expire_key(struct keyspace *keyspace, int64_t expiry)
{
    struct fake_keyspace *fake = of(keyspace);
    begin_change(fake);
    CHECK(fake->open_key && !expiry_has_passed(expiry, fake->now_ms));
    if (expiry == KEYSPACE_NO_EXPIRY && fake->open_key->expiry == KEYSPACE_NO_EXPIRY) return;
    take_back(fake);
    fake->open_key->expiry = expiry;
    struct span name = open_name(fake);
    if (expiry == KEYSPACE_NO_EXPIRY)
        add_line(&fake->propagation, "PERSIST %.*s", shown(name), name.data);
    else
        add_line(&fake->propagation, "PEXPIREAT %.*s %lld", shown(name), name.data, (long long)expiry);
    notify(fake, expiry == KEYSPACE_NO_EXPIRY ? "persist" : "expire");
}

static void close_key(struct keyspace *keyspace)
{
    struct fake_keyspace *fake = of(keyspace);
    CHECK(fake->is_open);
    take_back(fake);
    fake->is_open = false;
    fake->open_key = NULL;
}

static bool flush_db(struct keyspace *keyspace, int db)
{
    struct fake_keyspace *fake = of(keyspace);
    CHECK(!fake->is_open);
    if (fake->refuses_flush) return false;
    add_line(&fake->propagation, "FLUSHDB");
    fake_resp_flushdb(fake, db);
    return true;
}

static bool scan_db(struct keyspace *keyspace, int db, uint64_t *cursor, size_t effort,
                    void (*visit)(void *context, struct span name), void *context)
{
    struct fake_keyspace *fake = of(keyspace);
    CHECK(!fake->is_open && !fake->is_walking && *cursor < FAKE_BUCKETS);
    fake->is_walking = true;
    for (; effort > 0 && *cursor < FAKE_BUCKETS; effort--, (*cursor)++)
        for (struct fake_key *key = fake->databases[db][*cursor]; key; key = key->next)
            visit(context, buffer_content(&key->name));
    fake->is_walking = false;
    return *cursor < FAKE_BUCKETS;
}

/* The names of a bucket first: the visitor may open keys, and so remove expired ones. */
static void visit_bucket(struct fake_keyspace *fake, int db, size_t bucket, void (*visit)(void *context, struct span name),
                         void *context)
{
    struct buffer names;
    buffer_init(&names);
    for (struct fake_key *key = fake->databases[db][bucket]; key; key = key->next) {
        size_t size = buffer_size(&key->name);
        buffer_append(&names, span_of(&size, sizeof size));
        buffer_append(&names, buffer_content(&key->name));
    }
    while (buffer_size(&names) > 0) {
        size_t size;
        memcpy(&size, buffer_content(&names).data, sizeof size);
        buffer_consume(&names, sizeof size);
        visit(context, span_of(buffer_content(&names).data, size));
        buffer_consume(&names, size);
    }
    buffer_deinit(&names);
}

static bool walk_db(struct keyspace *keyspace, int db, uint64_t *cursor, size_t count,
                    void (*visit)(void *context, struct span name), void *context)
{
    struct fake_keyspace *fake = of(keyspace);
    (void)count;
    CHECK(!fake->is_open && !fake->is_walking);
    if (fake->refuses_walk) return false;
    if (*cursor < FAKE_BUCKETS) visit_bucket(fake, db, *cursor, visit, context);
    *cursor = *cursor + 1 < FAKE_BUCKETS ? *cursor + 1 : 0;
    return true;
}

static bool refresh_certs(struct keyspace *keyspace)
{
    return !of(keyspace)->has_bad_certs;
}

static void shut_down(struct keyspace *keyspace)
{
    of(keyspace)->is_shut_down = true;
}

static void read_facts(struct keyspace *keyspace, int db, struct engine_facts *facts)
{
    struct fake_keyspace *fake = of(keyspace);
    *facts = fake->facts;
    facts->keys = 0;
    for (size_t i = 0; i < FAKE_BUCKETS; i++)
        for (struct fake_key *key = fake->databases[db][i]; key; key = key->next) facts->keys++;
}

static const struct keyspace_api fake_keyspace_api = {
    .open = open_key,
    .value = value_of_key,
    .size = size_of_key,
    .idle = idle_of_key,
    .use = use_key,
    .expiry = expiry_of_key,
    .store = store_value,
    .append = append_value,
    .patch = patch_value,
    .remove = remove_key,
    .expire = expire_key,
    .retain = retain_key,
    .close = close_key,
    .flush = flush_db,
    .scan = scan_db,
    .walk = walk_db,
    .shut_down = shut_down,
    .refresh_certs = refresh_certs,
    .facts = read_facts,
};

void fake_keyspace_init(struct fake_keyspace *fake)
{
    *fake = (struct fake_keyspace){.keyspace.api = &fake_keyspace_api};
    buffer_init(&fake->events);
    buffer_init(&fake->propagation);
    buffer_init(&fake->open_name);
}

void fake_keyspace_clear(struct fake_keyspace *fake)
{
    CHECK(!fake->is_open);
    for (int db = 0; db < FAKE_DATABASES; db++) empty_db(fake, db);
    buffer_reset(&fake->events, 64 * 1024);
    buffer_reset(&fake->propagation, 64 * 1024);
}

void fake_keyspace_deinit(struct fake_keyspace *fake)
{
    fake_keyspace_clear(fake);
    buffer_deinit(&fake->events);
    buffer_deinit(&fake->propagation);
    buffer_deinit(&fake->open_name);
}

/* ---- What RESP clients and the engine do ---- */

/* One that was kept goes when its name is used anew. */
static void drop_expired(struct fake_keyspace *fake, int db, struct span name)
{
    bool keeps_expired = fake->keeps_expired;
    fake->keeps_expired = false;
    (void)look_up(fake, db, name);
    fake->keeps_expired = keeps_expired;
}

/* The key for a command that makes it where it is absent. */
static struct fake_key *look_up_or_make(struct fake_keyspace *fake, int db, struct span name)
{
    struct fake_key *key = look_up(fake, db, name);
    if (key) return key;
    drop_expired(fake, db, name);
    key = make_key(fake, db, name);
    tell(fake, db, name, "new", CHANGE_NEW);
    return key;
}

void fake_resp_set(struct fake_keyspace *fake, int db, struct span name, struct span value, int64_t expiry)
{
    struct fake_key *key = look_up_or_make(fake, db, name);
    key->kind = KEYSPACE_STRING;
    key->expiry = expiry;
    set_bytes(&key->value, value);
    tell(fake, db, name, "set", CHANGE_OVERWRITE);
    if (expiry != KEYSPACE_NO_EXPIRY) tell(fake, db, name, "expire", CHANGE_NOTHING);
}

void fake_resp_append(struct fake_keyspace *fake, int db, struct span name, struct span value)
{
    struct fake_key *key = look_up_or_make(fake, db, name);
    if (key->kind != KEYSPACE_STRING) return; /* WRONGTYPE */
    buffer_append(&key->value, value);
    tell(fake, db, name, "append", CHANGE_CONTENT);
}

void fake_resp_lpush(struct fake_keyspace *fake, int db, struct span name)
{
    (void)fake_resp_del(fake, db, name);
    struct fake_key *key = look_up_or_make(fake, db, name);
    key->kind = KEYSPACE_FOREIGN;
    tell(fake, db, name, "lpush", CHANGE_OVERWRITE);
}

bool fake_resp_del(struct fake_keyspace *fake, int db, struct span name)
{
    if (!look_up(fake, db, name)) return false;
    free_key(find_link(fake, db, name));
    tell(fake, db, name, "del", CHANGE_OVERWRITE);
    return true;
}

bool fake_resp_expire(struct fake_keyspace *fake, int db, struct span name, int64_t expiry)
{
    struct fake_key *key = look_up(fake, db, name);
    if (!key) return false;
    if (expiry_has_passed(expiry, fake->now_ms)) return fake_resp_del(fake, db, name);
    key->expiry = expiry;
    tell(fake, db, name, expiry == KEYSPACE_NO_EXPIRY ? "persist" : "expire", CHANGE_NOTHING);
    return true;
}

/* Puts a copy of a key into the place of another, which goes without a word. */
static void put_copy(struct fake_keyspace *fake, const struct fake_key *from, int to_db, struct span to)
{
    drop_expired(fake, to_db, to);
    struct fake_key **old = find_link(fake, to_db, to);
    if (*old) free_key(old);
    struct fake_key *key = make_key(fake, to_db, to);
    key->kind = from->kind;
    key->expiry = from->expiry;
    set_bytes(&key->value, buffer_content(&from->value));
    tell(fake, to_db, to, "new", CHANGE_NEW);
}

bool fake_resp_rename(struct fake_keyspace *fake, int db, struct span from, struct span to)
{
    struct fake_key *key = look_up(fake, db, from);
    if (!key || span_equal(from, to)) return false;
    look_up(fake, db, to);
    put_copy(fake, key, db, to);
    free_key(find_link(fake, db, from));
    tell_moved(fake, "rename", db, from, db, to);
    return true;
}

bool fake_resp_move(struct fake_keyspace *fake, int from_db, struct span name, int to_db)
{
    struct fake_key *key = look_up(fake, from_db, name);
    if (!key || from_db == to_db || look_up(fake, to_db, name)) return false;
    put_copy(fake, key, to_db, name);
    free_key(find_link(fake, from_db, name));
    tell_moved(fake, "move", from_db, name, to_db, name);
    return true;
}

bool fake_resp_copy(struct fake_keyspace *fake, int from_db, struct span from, int to_db, struct span to,
                    enum fake_source source)
{
    struct fake_key *key = look_up(fake, from_db, from);
    if (!key || (from_db == to_db && span_equal(from, to))) return false;
    look_up(fake, to_db, to);
    put_copy(fake, key, to_db, to);
    tell_copied(fake, from_db, from, to_db, to, source);
    return true;
}

void fake_resp_flushdb(struct fake_keyspace *fake, int db)
{
    empty_db(fake, db);
    if (fake->versions) version_advance_all(fake->versions);
    if (fake->history) history_forget_all(fake->history);
    if (fake->ledger) flag_ledger_note_emptied(fake->ledger, db);
}

void fake_resp_flushall(struct fake_keyspace *fake)
{
    for (int db = 0; db < FAKE_DATABASES; db++) empty_db(fake, db);
    if (fake->versions) version_advance_all(fake->versions);
    if (fake->history) history_forget_all(fake->history);
    if (fake->ledger) flag_ledger_note_loaded(fake->ledger);
}

void fake_resp_swapdb(struct fake_keyspace *fake, int first, int second)
{
    struct fake_key *buckets[FAKE_BUCKETS];
    memcpy(buckets, fake->databases[first], sizeof buckets);
    memcpy(fake->databases[first], fake->databases[second], sizeof buckets);
    memcpy(fake->databases[second], buckets, sizeof buckets);
    if (fake->versions) version_advance_all(fake->versions);
    if (fake->history) history_forget_all(fake->history);
    if (fake->ledger) flag_ledger_note_swapped(fake->ledger, first, second);
}

bool fake_engine_evict(struct fake_keyspace *fake, int db, struct span name)
{
    struct fake_key **link = find_link(fake, db, name);
    if (!*link) return false;
    struct item_key key = item_key_of(name);
    bool is_ledger = fake->ledger && flag_ledger_owns(fake->ledger, &key);
    if (is_ledger && (*link)->kind == KEYSPACE_STRING)
        flag_ledger_note_ledger_leaving(fake->ledger, db, key.slot, buffer_content(&(*link)->value));
    free_key(link);
    if (is_ledger)
        flag_ledger_note_ledger_evicted(fake->ledger, db, key.slot);
    else
        tell(fake, db, name, "evicted", CHANGE_OVERWRITE);
    return true;
}

static struct fake_key *find_expired(struct fake_keyspace *fake, int db)
{
    for (size_t i = 0; i < FAKE_BUCKETS; i++)
        for (struct fake_key *key = fake->databases[db][i]; key; key = key->next)
            if (expiry_has_passed(key->expiry, fake->now_ms)) return key;
    return NULL;
}

void fake_engine_expire_all(struct fake_keyspace *fake)
{
    if (fake->keeps_expired) return;
    struct buffer name;
    buffer_init(&name);
    for (int db = 0; db < FAKE_DATABASES; db++) {
        for (struct fake_key *key = find_expired(fake, db); key; key = find_expired(fake, db)) {
            set_bytes(&name, buffer_content(&key->name));
            look_up(fake, db, buffer_content(&name));
        }
    }
    buffer_deinit(&name);
}
