/* Diglot: makes a Redis or Valkey server speak memcached's protocols over the same keys.
 *
 * This file sets every part up, in the order of their dependence, and takes them down in the reverse one: it is the map of
 * the program. docs/architecture.md has the picture. */
#include "base/clock.h"
#include "base/version.h"
#include "engine/config.h"
#include "engine/descriptors.h"
#include "engine/engine.h"
#include "engine/engine_options.h"
#include "net/handshaker.h"
#include "net/listener.h"
#include "net/tls_context.h"
#include "net/unix_listener.h"
#include "net/worker.h"
#include "observe/stats.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define MODULE_VERSION 1
/* The engine's default of tcp-keepalive. */
#define KEEPALIVE_S 300

struct diglot {
    RedisModuleCtx *ctx; /* for calls outside of events and commands */
    struct options options;
    struct config_texts *config;
    struct counter_board board; /* set 0: the main thread; then the workers; the last: the handshaker */
    struct client_list clients;
    struct watch_hub watch;
    struct detail_table detail;
    struct usage usage;
    struct stats_sources stats;
    struct tls_settings tls_settings; /* in force */
    struct engine engine;
    struct listener_set listeners;
    struct listener_set tls_listeners;
    struct unix_listener unix_listener;
    struct handshaker *handshaker; /* NULL without diglot.tls-port */
    struct worker_shared shared;
    struct worker **workers;
    size_t worker_count;
    size_t thread_count; /* running; 0: the engine's loop turns the one worker */
    bool is_in_loop;     /* descriptors are registered with the engine's loop */
};

/* ---- The engine's loop ---- */

static void on_bell(int descriptor, void *user_data, int mask)
{
    (void)descriptor, (void)mask;
    struct diglot *diglot = user_data;
    executor_note_bell(&diglot->engine.executor); /* the batches are taken before the loop sleeps */
}

static void on_answers(int descriptor, void *user_data, int mask)
{
    (void)descriptor, (void)mask;
    struct diglot *diglot = user_data;
    mailbox_silence(&diglot->engine.upstream.answers); /* the jobs are taken before the loop sleeps */
}

static void on_worker_ready(int descriptor, void *user_data, int mask)
{
    (void)descriptor, (void)mask;
    worker_poll(user_data, 0);
}

static void collect_completions(void *context)
{
    struct diglot *diglot = context;
    worker_collect(diglot->workers[0]);
}

static void on_turn(void *owner)
{
    struct diglot *diglot = owner;
    if (diglot->thread_count > 0) return;
    worker_begin_execution(diglot->workers[0]);
    worker_expire_connections(diglot->workers[0]);
}

static bool uses_threads(const struct diglot *diglot)
{
    return option_get(&diglot->options, io_threads) > 0;
}

static bool join_loop(struct diglot *diglot)
{
    int bell = diglot->engine.executor.inbox.bell;
    int answers = diglot->engine.upstream.answers.bell;
    if (api.EventLoopAdd(bell, API_LOOP_READABLE, on_bell, diglot) != API_OK) return false;
    diglot->is_in_loop = true;
    if (api.EventLoopAdd(answers, API_LOOP_READABLE, on_answers, diglot) != API_OK) return false;
    if (uses_threads(diglot)) return true;
    struct worker *worker = diglot->workers[0];
    diglot->engine.executor.collect = collect_completions;
    diglot->engine.executor.collect_context = diglot;
    return api.EventLoopAdd(worker_descriptor(worker), API_LOOP_READABLE, on_worker_ready, worker) == API_OK;
}

static void leave_loop(struct diglot *diglot)
{
    if (!diglot->is_in_loop) return;
    diglot->is_in_loop = false;
    api.EventLoopDel(diglot->engine.executor.inbox.bell, API_LOOP_READABLE);
    api.EventLoopDel(diglot->engine.upstream.answers.bell, API_LOOP_READABLE);
    if (!uses_threads(diglot)) api.EventLoopDel(worker_descriptor(diglot->workers[0]), API_LOOP_READABLE);
}

/* ---- Parts ---- */

static bool refuse(RedisModuleCtx *ctx, const char *sentence)
{
    api.Log(ctx, "warning", "%s", sentence);
    return false;
}

static bool is_in_cluster(RedisModuleCtx *ctx)
{
    return api.GetContextFlags(ctx) & API_CONTEXT_CLUSTER;
}

static bool set_up_options(struct diglot *diglot, RedisModuleCtx *ctx)
{
    options_init(&diglot->options);
    diglot->config = config_load(ctx, &diglot->options);
    if (!diglot->config) return false;
    char error[BRIDGE_ERROR_SIZE];
    const char *refusal = options_refusal(&diglot->options);
    if (!refusal) refusal = engine_upstream_refusal(&diglot->options, is_in_cluster(ctx), error);
    if (refusal) return refuse(ctx, refusal);
    if (is_in_cluster(ctx) && option_get(&diglot->options, db) != 0)
        return refuse(ctx, "diglot.db must be 0 in a cluster, where other databases do not move with their slots in every engine");
    if (api.SelectDb(ctx, (int)option_get(&diglot->options, db)) != API_OK)
        return refuse(ctx, "diglot.db is a database that this server does not have: lower it or raise 'databases'");
    return api.SelectDb(ctx, 0) == API_OK;
}

static void set_up_observation(struct diglot *diglot)
{
    size_t threads = (size_t)option_get(&diglot->options, io_threads);
    diglot->worker_count = threads > 0 ? threads : 1;
    counter_board_init(&diglot->board, diglot->worker_count + 2);
    client_list_init(&diglot->clients);
    watch_hub_init(&diglot->watch);
    diglot->stats = (struct stats_sources){
        .board = &diglot->board,
        .clients = &diglot->clients,
        .options = &diglot->options,
        .started_ms = clock_wall_ms(),
        .watch = &diglot->watch,
        .detail = &diglot->detail,
    };
}

static void tear_down_observation(struct diglot *diglot)
{
    detail_deinit(&diglot->detail);
    usage_deinit(&diglot->usage);
    watch_hub_deinit(&diglot->watch);
    client_list_deinit(&diglot->clients);
    counter_board_deinit(&diglot->board);
}

/* The number of databases is the first that cannot be selected. */
static int count_databases(RedisModuleCtx *ctx)
{
    int count = 0;
    while (api.SelectDb(ctx, count) == API_OK) count++;
    CHECK(api.SelectDb(ctx, 0) == API_OK);
    return count;
}

static void on_shutdown(void *owner);
static bool reload_tls(void *owner, char error[TLS_ERROR_SIZE]);

static void set_up_commands(struct diglot *diglot, RedisModuleCtx *ctx)
{
    struct engine *engine = &diglot->engine;
    engine->options = &diglot->options;
    engine->board = &diglot->board;
    engine->is_primary = api.GetContextFlags(ctx) & API_CONTEXT_PRIMARY;
    engine_keyspace_init(&engine->keyspace);
    counter_board_init(&engine->unread, 1);
    version_clock_init(&engine->versions, clock_wall_ns());
    turnover_init(&engine->turnover);
    engine->databases = count_databases(ctx);
    engine->ledger = flag_ledger_new(&engine->keyspace.keyspace, &engine->versions, engine->databases);
    relocations_init(&engine->relocations);
    settling_init(&engine->settling);

    struct command_context *command = &engine->command;
    command_context_init(command);
    command->keyspace = &engine->keyspace.keyspace;
    command->ledger = engine->ledger;
    command->versions = &engine->versions;
    command->history = &engine->history;
    command->counters = &diglot->board.sets[0];
    command->options = &diglot->options;
    command->stats = &diglot->stats;
    command->watch = &diglot->watch;
    command->detail = &diglot->detail;
    command->usage = &diglot->usage;
    command->db = (int)option_get(&diglot->options, db);
    command->key_prefix = span_of(diglot->options.key_prefix, strlen(diglot->options.key_prefix));

    cluster_init(&engine->cluster, diglot->ctx, is_in_cluster(ctx), engine->ledger, command->counters);
    engine->owner = diglot;
    engine->ctx = diglot->ctx;
    engine->on_turn = on_turn;
    engine->on_shutdown = on_shutdown;
    engine->reload_tls = reload_tls;
}

static void tear_down_commands(struct diglot *diglot)
{
    command_context_deinit(&diglot->engine.command);
    cluster_deinit(&diglot->engine.cluster);
    flag_ledger_free(&diglot->engine.ledger);
    version_clock_deinit(&diglot->engine.versions);
    history_deinit(&diglot->engine.history);
    counter_board_deinit(&diglot->engine.unread);
    engine_keyspace_deinit(&diglot->engine.keyspace);
}

static void set_up_access(struct diglot *diglot, RedisModuleCtx *ctx)
{
    struct engine *engine = &diglot->engine;
    engine->command.doorkeeper = &engine->access.keeper;
    access_init(&engine->access, ctx, diglot->options.user, engine->command.db, engine->command.key_prefix);
    login_init(&engine->login, &engine->access, engine->command.counters);
}

static bool set_up_executor(struct diglot *diglot, RedisModuleCtx *ctx)
{
    struct engine *engine = &diglot->engine;
    if (!executor_init(&engine->executor, &engine->keyspace, &engine->command))
        return refuse(ctx, "cannot make an event descriptor: raise the limit of open files (ulimit -n)");
    engine->executor.cluster = &engine->cluster;
    engine->executor.access = &engine->access;
    engine->executor.login = &engine->login;
    engine->executor.calm = &engine->calm;
    calm_init(&engine->calm);
    engine->executor.lent = &diglot->shared.lent;
    engine->executor.upstream = &engine->upstream;
    return true;
}

static void render_upstream(void *bridge, struct buffer *output)
{
    bridge_render(bridge, output);
}

static bool set_up_upstream(struct diglot *diglot, RedisModuleCtx *ctx)
{
    struct engine *engine = &diglot->engine;
    if (!engine_upstream_init(&engine->upstream, &engine->command, &engine->executor.gate, &engine->access))
        return refuse(ctx, "cannot make an event descriptor: raise the limit of open files (ulimit -n)");
    engine->keyspace.bridge = &engine->upstream.bridge;
    diglot->stats.bridge = &engine->upstream.bridge;
    diglot->stats.render_upstream = render_upstream;
    return true;
}

static bool set_up_listeners(struct diglot *diglot, RedisModuleCtx *ctx)
{
    const struct options *options = &diglot->options;
    char error[LISTENER_ERROR_SIZE];
    uint16_t port = (uint16_t)option_get(options, port);
    uint16_t tls_port = (uint16_t)option_get(options, tls_port);
    struct span bind = span_of(options->bind, strlen(options->bind));
    bool is_open = (port == 0 || listener_set_open(&diglot->listeners, bind, port, error)) &&
                   (tls_port == 0 || listener_set_open(&diglot->tls_listeners, bind, tls_port, error)) &&
                   (*options->unixsocket == '\0' || unix_listener_open(&diglot->unix_listener, options->unixsocket,
                                                                       options_socket_mode(options), error));
    return is_open || refuse(ctx, error);
}

static void tear_down_listeners(struct diglot *diglot)
{
    listener_set_close(&diglot->listeners);
    listener_set_close(&diglot->tls_listeners);
    unix_listener_close(&diglot->unix_listener);
}

/* A forked child of the engine (a snapshot) that outlives a killed server must not hold its door: the next one could not
 * listen there. */
static void close_door_in_child(void)
{
    struct engine *engine = engine_instance();
    if (!engine) return;
    const struct diglot *diglot = engine->owner;
    const struct listener_set *sets[] = {&diglot->listeners, &diglot->tls_listeners};
    for (size_t set = 0; set < sizeof sets / sizeof *sets; set++)
        for (size_t i = 0; i < sets[set]->count; i++) (void)close(sets[set]->listeners[i].descriptor);
    if (diglot->unix_listener.is_open) (void)close(diglot->unix_listener.listener.descriptor);
}

static bool listen_in_clear(struct diglot *diglot, const struct listener *listener)
{
    return worker_listen(diglot->workers[0], listener->descriptor, listener->address, diglot->workers, diglot->worker_count);
}

static bool make_workers(struct diglot *diglot, RedisModuleCtx *ctx, int descriptor_floor)
{
    diglot->shared = (struct worker_shared){
        .options = &diglot->options,
        .clients = &diglot->clients,
        .watch = &diglot->watch,
        .executor = &diglot->engine.executor.inbox,
        .versions = &diglot->engine.versions,
        .workers = diglot->worker_count,
        .doorkeeper = &diglot->engine.access.keeper,
        .worker_count = diglot->worker_count,
        .keepalive_s = engine_option_number(ctx, "tcp-keepalive", KEEPALIVE_S),
        .descriptor_floor = descriptor_floor,
    };
    diglot->workers = check_calloc(diglot->worker_count, sizeof *diglot->workers);
    for (size_t i = 0; i < diglot->worker_count; i++) {
        diglot->workers[i] = worker_new(&diglot->shared, &diglot->board.sets[i + 1], uses_threads(diglot));
        if (!diglot->workers[i]) return false;
    }
    for (size_t i = 0; i < diglot->listeners.count; i++)
        if (!listen_in_clear(diglot, &diglot->listeners.listeners[i])) return false;
    return !diglot->unix_listener.is_open || listen_in_clear(diglot, &diglot->unix_listener.listener);
}

static bool set_up_workers(struct diglot *diglot, RedisModuleCtx *ctx)
{
    size_t connections = (size_t)option_get(&diglot->options, maxconns);
    diglot->engine.descriptor_floor = descriptors_reserve(ctx, connections);
    if (make_workers(diglot, ctx, diglot->engine.descriptor_floor)) return true;
    return refuse(ctx, "cannot make an epoll descriptor: raise the limit of open files (ulimit -n)");
}

/* The settings are the statistics' from here on. NULL with a sentence when they cannot be used, and nothing has changed. */
static struct ssl_ctx_st *make_tls_context(struct diglot *diglot, char error[TLS_ERROR_SIZE])
{
    struct tls_settings settings;
    engine_read_tls_settings(diglot->ctx, &diglot->options, &settings);
    struct ssl_ctx_st *context = tls_context_new(&settings, error);
    if (!context) return NULL;
    diglot->tls_settings = settings;
    diglot->stats.tls = &diglot->tls_settings;
    diglot->stats.tls_refreshed_ms = clock_wall_ms();
    return context;
}

static bool reload_tls(void *owner, char error[TLS_ERROR_SIZE])
{
    struct diglot *diglot = owner;
    error[0] = '\0';
    if (!diglot->handshaker) return true;
    struct ssl_ctx_st *context = make_tls_context(diglot, error);
    if (context) handshaker_set_context(diglot->handshaker, context);
    return context != NULL;
}

static bool listen_with_tls(struct diglot *diglot)
{
    for (size_t i = 0; i < diglot->tls_listeners.count; i++) {
        const struct listener *listener = &diglot->tls_listeners.listeners[i];
        if (!handshaker_listen(diglot->handshaker, listener->descriptor, listener->address, diglot->workers,
                               diglot->worker_count))
            return false;
    }
    return true;
}

static bool set_up_tls(struct diglot *diglot, RedisModuleCtx *ctx)
{
    if (option_get(&diglot->options, tls_port) == 0) return true;
    char error[TLS_ERROR_SIZE];
    struct ssl_ctx_st *context = make_tls_context(diglot, error);
    if (!context) return refuse(ctx, error);
    diglot->handshaker = handshaker_new(&diglot->shared, &diglot->board.sets[diglot->worker_count + 1], context);
    if (diglot->handshaker && listen_with_tls(diglot)) return true;
    return refuse(ctx, "cannot make an epoll descriptor: raise the limit of open files (ulimit -n)");
}

static bool start_threads(struct diglot *diglot, RedisModuleCtx *ctx)
{
    if (diglot->handshaker && !handshaker_start_thread(diglot->handshaker))
        return refuse(ctx, "cannot start a thread: raise the limit of processes (ulimit -u)");
    if (!uses_threads(diglot)) return true;
    for (; diglot->thread_count < diglot->worker_count; diglot->thread_count++)
        if (!worker_start_thread(diglot->workers[diglot->thread_count]))
            return refuse(ctx, "cannot start a thread: lower diglot.io-threads or raise the limit of processes (ulimit -u)");
    return true;
}

static void stop_threads(struct diglot *diglot)
{
    if (diglot->handshaker) handshaker_stop_thread(diglot->handshaker);
    engine_upstream_stop(&diglot->engine.upstream);
    while (diglot->thread_count > 0) worker_stop_thread(diglot->workers[--diglot->thread_count]);
}

/* The engine exits without unloading us. */
static void on_shutdown(void *owner)
{
    struct diglot *diglot = owner;
    stop_threads(diglot);
    unix_listener_remove_file(&diglot->unix_listener);
}

static void tear_down_workers(struct diglot *diglot)
{
    if (!diglot->workers) return;
    for (size_t i = 0; i < diglot->worker_count; i++)
        if (diglot->workers[i]) worker_free(&diglot->workers[i]);
    free(diglot->workers);
    diglot->workers = NULL;
}

static bool meet_engine(struct diglot *diglot, RedisModuleCtx *ctx)
{
    engine_set_instance(&diglot->engine);
    (void)pthread_atfork(NULL, NULL, close_door_in_child); /* goes with the module when that is unloaded */
    if (engine_subscribe(ctx) && engine_create_commands(ctx) && engine_register_info(ctx) && join_loop(diglot)) return true;
    return refuse(ctx, "the engine refused an event subscription or a command");
}

/* ---- The whole ---- */

static bool diglot_start(struct diglot *diglot, RedisModuleCtx *ctx)
{
    if (!set_up_options(diglot, ctx)) return false;
    set_up_observation(diglot);
    set_up_commands(diglot, ctx);
    set_up_access(diglot, ctx);
    return set_up_executor(diglot, ctx) && set_up_upstream(diglot, ctx) && set_up_listeners(diglot, ctx) && set_up_workers(diglot, ctx) &&
           set_up_tls(diglot, ctx) && meet_engine(diglot, ctx) && start_threads(diglot, ctx);
}

/* Takes down what is up; a part that is not up has nothing to take down. */
static void diglot_stop(struct diglot **diglot_at)
{
    struct diglot *diglot = *diglot_at;
    stop_threads(diglot);
    engine_set_instance(NULL);
    leave_loop(diglot);
    if (diglot->config && diglot->board.sets) {
        executor_deinit(&diglot->engine.executor);
        engine_upstream_deinit(&diglot->engine.upstream);
        handshaker_free(&diglot->handshaker);
        tear_down_workers(diglot);
        tear_down_listeners(diglot);
        access_deinit(&diglot->engine.access);
        tear_down_commands(diglot);
        tear_down_observation(diglot);
    }
    config_free(&diglot->config);
    api.FreeThreadSafeContext(diglot->ctx);
    free(diglot);
    *diglot_at = NULL;
}

static void announce(const struct diglot *diglot, RedisModuleCtx *ctx)
{
    const char *const sentence = "memcached clients are served on %s%s";
    for (size_t i = 0; i < diglot->listeners.count; i++)
        api.Log(ctx, "notice", sentence, diglot->listeners.listeners[i].address, "");
    for (size_t i = 0; i < diglot->tls_listeners.count; i++)
        api.Log(ctx, "notice", sentence, diglot->tls_listeners.listeners[i].address, " with TLS");
    if (diglot->unix_listener.is_open) api.Log(ctx, "notice", sentence, diglot->unix_listener.listener.address, "");
}

#define EXPORT __attribute__((visibility("default")))

EXPORT int RedisModule_OnLoad(RedisModuleCtx *ctx, void **argv, int argc)
{
    (void)argv;
    const char *missing = api_bind(ctx);
    if (missing) {
        if (api.Log) api.Log(ctx, "warning", "diglot needs Redis 7.0 or newer, or Valkey: this engine has no %s", missing);
        return API_ERR;
    }
    if (api.IsModuleNameBusy("diglot")) return API_ERR;
    api.SetModuleAttribs(ctx, "diglot", MODULE_VERSION, API_VERSION);
    if (argc > 0) {
        refuse(ctx, "diglot takes no module arguments: write options as diglot.NAME VALUE lines in the configuration");
        return API_ERR;
    }
    api.SetModuleOptions(ctx, API_OPTION_IO_ERRORS | API_OPTION_NO_IMPLICIT_SIGNAL | API_OPTION_REPL_ASYNC_LOAD |
                                  API_OPTION_ATOMIC_SLOT_MIGRATION);
    struct diglot *diglot = check_calloc_aligned(_Alignof(struct diglot), sizeof *diglot);
    diglot->ctx = api.GetDetachedThreadSafeContext(ctx);
    if (!diglot_start(diglot, ctx)) {
        diglot_stop(&diglot);
        return API_ERR;
    }
    announce(diglot, ctx);
    return API_OK;
}

EXPORT int RedisModule_OnUnload(RedisModuleCtx *ctx)
{
    struct engine *engine = engine_instance();
    if (!engine) return API_OK;
    if (!settling_finish(engine, ctx)) return API_ERR;
    struct diglot *diglot = engine->owner;
    diglot_stop(&diglot);
    return API_OK;
}
