/* What requests cost in allocations, once everything is warm: none, from the socket to the socket. A worker with its near cache
 * serves one client, and what it asks is executed as the executor does it, on the keyspace in memory. Only what that
 * allocates is not counted, nor what the client does: a key's own memory is the engine's matter. */
#include "fake/world.h"

#include "base/mailbox.h"
#include "command/batch.h"
#include "net/connection.h"
#include "net/worker.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* Rounds until everything has the size that it needs, and rounds that are counted. */
#define WARM_UP 4
#define ROUNDS 32
/* Turns of the worker without anything to do, behind which a round is over. */
#define IDLE_TURNS 2

/* ---- The counter: the linker sends all calls of the program's objects here (Makefile) ---- */

/* Allocation functions have no context that a counter could come from. One thread. */
static struct {
    bool is_counting;
    unsigned calls;
} heap;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

void *__wrap_malloc(size_t size)
{
    heap.calls += heap.is_counting;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    heap.calls += heap.is_counting;
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    heap.calls += heap.is_counting;
    return __real_realloc(memory, size);
}

static bool pause_counting(void)
{
    bool was_counting = heap.is_counting;
    heap.is_counting = false;
    return was_counting;
}

/* ---- A keyspace that is not counted ---- */

struct uncounted_keyspace {
    struct keyspace keyspace; /* first: what commands see */
    struct keyspace *counted;
};

static struct keyspace *behind(struct keyspace *keyspace)
{
    return ((struct uncounted_keyspace *)keyspace)->counted;
}

#define UNCOUNTED(type, name, parameters, arguments)                    \
    static type name##_uncounted parameters                             \
    {                                                                   \
        bool was_counting = pause_counting();                           \
        struct keyspace *real = behind(keyspace);                       \
        type result = real->api->name arguments;                        \
        heap.is_counting = was_counting;                                \
        return result;                                                  \
    }
#define UNCOUNTED_VOID(name, parameters, arguments)                     \
    static void name##_uncounted parameters                             \
    {                                                                   \
        bool was_counting = pause_counting();                           \
        struct keyspace *real = behind(keyspace);                       \
        real->api->name arguments;                                      \
        heap.is_counting = was_counting;                                \
    }

UNCOUNTED(enum keyspace_kind, open, (struct keyspace * keyspace, int db, struct span key, enum keyspace_mode mode),
          (real, db, key, mode))
UNCOUNTED(struct span, value, (struct keyspace * keyspace), (real))
UNCOUNTED(size_t, size, (struct keyspace * keyspace), (real))
UNCOUNTED(int64_t, idle, (struct keyspace * keyspace), (real))
UNCOUNTED(int64_t, expiry, (struct keyspace * keyspace), (real))
UNCOUNTED_VOID(use, (struct keyspace * keyspace, uint32_t times), (real, times))
UNCOUNTED_VOID(store, (struct keyspace * keyspace, struct span value, int64_t expiry, const char *event),
               (real, value, expiry, event))
UNCOUNTED_VOID(append, (struct keyspace * keyspace, struct span bytes), (real, bytes))
UNCOUNTED_VOID(patch, (struct keyspace * keyspace, size_t offset, struct span bytes), (real, offset, bytes))
UNCOUNTED_VOID(remove, (struct keyspace * keyspace), (real))
UNCOUNTED_VOID(expire, (struct keyspace * keyspace, int64_t expiry), (real, expiry))
UNCOUNTED_VOID(retain, (struct keyspace * keyspace), (real))
UNCOUNTED_VOID(close, (struct keyspace * keyspace), (real))

static const struct keyspace_api uncounted_api = {
    .open = open_uncounted,   .value = value_uncounted,   .size = size_uncounted,     .idle = idle_uncounted,
    .use = use_uncounted,     .expiry = expiry_uncounted, .store = store_uncounted,   .patch = patch_uncounted,
    .append = append_uncounted, .remove = remove_uncounted, .expire = expire_uncounted, .retain = retain_uncounted, .close = close_uncounted,
};

/* ---- A house with one door and one client ---- */

struct house {
    struct world world;
    struct uncounted_keyspace keyspace;
    struct watch_hub hub;
    struct doorkeeper doorkeeper;
    struct mailbox executor;
    struct worker_shared shared;
    struct worker *worker;
    int client;
    struct buffer reply; /* to the latest round */
    bool is_busy;        /* the last turn had something to do */
};

static void open_client(struct house *house)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    house->client = ends[0];
    atomic_fetch_add(&house->shared.connections, 1);
    worker_admit(house->worker, connection_new(ends[1], "unix:client", "unix:door"));
}

/* Everybody in it uses the keyspace that is not counted. */
static void open_world(struct house *house)
{
    struct world *world = &house->world;
    world_init(world);
    house->keyspace = (struct uncounted_keyspace){{&uncounted_api}, &world->fake.keyspace};
    flag_ledger_free(&world->ledger);
    world->ledger = flag_ledger_new(&house->keyspace.keyspace, &world->versions, FAKE_DATABASES);
    flag_ledger_set_role(world->ledger, true, true);
    world->fake.ledger = world->ledger;
    world->context.ledger = world->ledger;
    world->context.keyspace = &house->keyspace.keyspace;
    world->context.watch = &house->hub;
}

static int open_house(void **state)
{
    struct house *house = check_calloc(1, sizeof *house);
    open_world(house);
    watch_hub_init(&house->hub);
    atomic_store(&house->doorkeeper.reads_freely, true);
    assert_true(mailbox_init(&house->executor, false));
    house->shared.options = &house->world.options;
    house->shared.clients = &house->world.clients;
    house->shared.watch = &house->hub;
    house->shared.doorkeeper = &house->doorkeeper;
    house->shared.executor = &house->executor;
    house->shared.versions = &house->world.versions;
    house->shared.workers = 1;
    house->worker = worker_new(&house->shared, &house->world.board.sets[0], false);
    assert_non_null(house->worker);
    buffer_init(&house->reply);
    open_client(house);
    *state = house;
    return 0;
}

static int close_house(void **state)
{
    struct house *house = *state;
    close(house->client);
    worker_free(&house->worker);
    mailbox_deinit(&house->executor);
    watch_hub_deinit(&house->hub);
    buffer_deinit(&house->reply);
    world_deinit(&house->world);
    free(house);
    return 0;
}

static void execute_message(struct house *house, struct batch *batch, uint32_t index)
{
    struct command_context *context = &house->world.context;
    struct message *message = &batch->messages[index];
    if (request_is_local(message->request.op)) return;
    if (message->result.status == RESULT_HIT && command_take_answer(context, &batch->sightings[index])) return;
    message->result = (struct result){.status = RESULT_PENDING};
    context->sighting = batch_sighting(batch, index);
    command_execute(context, &message->request, &message->result, &batch->values);
    context->sighting = NULL;
}

static void execute_all(struct house *house)
{
    struct mail *next;
    for (struct mail *mail = mailbox_poll(&house->executor); mail; mail = next) {
        next = mail->next;
        struct batch *batch = (struct batch *)mail;
        while (batch->executed < batch->count) execute_message(house, batch, batch->executed++);
        mailbox_post(batch->home, &batch->mail);
        house->is_busy = true;
    }
}

static void turn(struct house *house)
{
    heap.is_counting = true;
    worker_poll(house->worker, 0);
    execute_all(house);
    worker_collect(house->worker);
    heap.is_counting = false;
}

static void read_reply(struct house *house)
{
    ssize_t size;
    do {
        buffer_reserve(&house->reply, 65536);
        size = recv(house->client, house->reply.data + house->reply.end, buffer_room(&house->reply), 0);
        if (size > 0) house->reply.end += (size_t)size;
        house->is_busy |= size > 0;
    } while (size > 0);
    assert_true(size < 0 && errno == EAGAIN);
}

/* All requests at once, and everything that comes of them. */
static void ask(struct house *house, struct span requests)
{
    buffer_reset(&house->reply, SIZE_MAX);
    for (int idle = 0; idle < IDLE_TURNS || requests.size > 0;) {
        ssize_t sent = requests.size > 0 ? send(house->client, requests.data, requests.size, MSG_NOSIGNAL) : 0;
        if (sent > 0) requests = span_skip(requests, (size_t)sent);
        house->is_busy = sent > 0;
        turn(house);
        read_reply(house);
        idle = house->is_busy ? 0 : idle + 1;
    }
}

/* ---- What is asked ---- */

#define TEN_KEYS(letter) \
    " " letter "0 " letter "1 " letter "2 " letter "3 " letter "4 " letter "5 " letter "6 " letter "7 " letter "8 " letter "9"
#define HUNDRED_KEYS                                                                                                     \
    TEN_KEYS("a") TEN_KEYS("b") TEN_KEYS("c") TEN_KEYS("d") TEN_KEYS("e") TEN_KEYS("f") TEN_KEYS("g") TEN_KEYS("h")       \
    TEN_KEYS("i") TEN_KEYS("j")
#define TEN_BYTES "0123456789"
#define VALUE \
    TEN_BYTES TEN_BYTES TEN_BYTES TEN_BYTES TEN_BYTES TEN_BYTES TEN_BYTES TEN_BYTES TEN_BYTES TEN_BYTES
#define HIT(key) "VALUE " key " 0 100\r\n" VALUE "\r\n"

/* opcode, size of the extras, size of key and extras and value together; the key is "k". */
#define BINARY(opcode, extras, body) \
    "\x80" opcode "\0\1" extras "\0\0\0" "\0\0\0" body "opaq" "\0\0\0\0\0\0\0\0"
#define NO_EXTRAS "\0"
#define STORE_EXTRAS "\0\0\0\0\0\0\0\0"
#define COUNT_EXTRAS "\0\0\0\0\0\0\0\1" "\0\0\0\0\0\0\0\1" "\0\0\0\0"

/* One request, or some that belong together, and how the answer to it begins. */
static const struct {
    const char *name;
    struct span request;
    struct span answer;
} questions[] = {
    {"get", SPAN("get k\r\n"), SPAN(HIT("k") "END\r\n")},
    {"get of what is missing", SPAN("get missing\r\n"), SPAN("END\r\n")},
    {"gets", SPAN("gets k\r\n"), SPAN("VALUE k 0 100 ")},
    {"get of a hundred", SPAN("get" HUNDRED_KEYS "\r\n"), SPAN(HIT("a0") HIT("a1"))},
    {"gat", SPAN("gat 0 k\r\n"), SPAN(HIT("k") "END\r\n")},
    {"set", SPAN("set k 0 0 100\r\n" VALUE "\r\n"), SPAN("STORED\r\n")},
    {"set with flags", SPAN("set flagged 7 0 100\r\n" VALUE "\r\n"), SPAN("STORED\r\n")},
    {"set that expires", SPAN("set brief 0 100 100\r\n" VALUE "\r\n"), SPAN("STORED\r\n")},
    {"set and get", SPAN("set k 0 0 100\r\n" VALUE "\r\nget k\r\n"), SPAN("STORED\r\n" HIT("k") "END\r\n")},
    {"set and delete", SPAN("set gone 0 0 1\r\n1\r\ndelete gone\r\n"), SPAN("STORED\r\nDELETED\r\n")},
    {"set and append", SPAN("set long 0 0 1\r\n1\r\nappend long 0 0 1\r\n1\r\n"), SPAN("STORED\r\nSTORED\r\n")},
    {"incr", SPAN("incr number 1\r\n"), SPAN("1")},
    {"touch", SPAN("touch k 0\r\n"), SPAN("TOUCHED\r\n")},
    {"mg", SPAN("mg k v\r\n"), SPAN("VA 100\r\n" VALUE "\r\n")},
    {"mg with flags", SPAN("mg k c f h k l O1 s t v\r\n"), SPAN("VA 100 c")},
    {"mg of a key in base64", SPAN("mg aw== b k v\r\n"), SPAN("VA 100 kaw== b\r\n" VALUE)},
    {"ms", SPAN("ms k 100\r\n" VALUE "\r\n"), SPAN("HD\r\n")},
    {"ms with flags", SPAN("ms k 100 c k O1 T0\r\n" VALUE "\r\n"), SPAN("HD c")},
    {"md", SPAN("ms gone 1\r\n1\r\nmd gone\r\n"), SPAN("HD\r\nHD\r\n")},
    {"ma", SPAN("ma number v\r\n"), SPAN("VA ")},
    {"binary get", SPAN(BINARY("\0", NO_EXTRAS, "\1") "k"), SPAN("\x81\0\0\0\4\0\0\0\0\0\0\x68" "opaq")},
    {"binary set", SPAN(BINARY("\1", "\x8", "\x6d") STORE_EXTRAS "k" VALUE), SPAN("\x81\1\0\0\0\0\0\0\0\0\0\0" "opaq")},
    {"binary incr", SPAN(BINARY("\5", "\x14", "\x15") COUNT_EXTRAS "n"), SPAN("\x81\5\0\0\0\0\0\0\0\0\0\x8" "opaq")},
};

/* Everything that is asked for. */
static void fill(struct house *house)
{
    struct buffer sets;
    buffer_init(&sets);
    struct span keys = SPAN(HUNDRED_KEYS " k");
    for (; keys.size > 0; keys = span_skip(keys, keys.data[1] == 'k' ? 2 : 3)) {
        buffer_append(&sets, SPAN("set "));
        buffer_append(&sets, span_of(keys.data + 1, keys.data[1] == 'k' ? 1 : 2));
        buffer_append(&sets, SPAN(" 0 0 100\r\n" VALUE "\r\n"));
    }
    buffer_append(&sets, SPAN("set number 0 0 9\r\n100000000\r\n"));
    ask(house, buffer_content(&sets));
    assert_true(span_starts_with(buffer_content(&house->reply), SPAN("STORED\r\nSTORED\r\n")));
    buffer_deinit(&sets);
}

/* Asks on a connection of its own, as each speaks one protocol. */
static void count(struct house *house, size_t question, size_t times)
{
    close(house->client);
    open_client(house);
    struct buffer requests;
    buffer_init(&requests);
    for (size_t i = 0; i < times; i++) buffer_append(&requests, questions[question].request);
    for (int round = 0; round < WARM_UP; round++) ask(house, buffer_content(&requests));
    heap.calls = 0;
    for (int round = 0; round < ROUNDS; round++) {
        ask(house, buffer_content(&requests));
        if (!span_starts_with(buffer_content(&house->reply), questions[question].answer))
            fail_msg("%s, %zu at once: answered %.*s", questions[question].name, times, (int)buffer_size(&house->reply),
                     buffer_content(&house->reply).data);
    }
    if (heap.calls > 0)
        fail_msg("%s, %zu at once: %u allocations in %d rounds", questions[question].name, times, heap.calls, ROUNDS);
    buffer_deinit(&requests);
}

static void count_all(struct house *house, size_t times)
{
    fill(house);
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) count(house, i, times);
}

static void test_lone_requests_allocate_nothing(void **state)
{
    count_all(*state, 1);
}

static void test_pipelines_allocate_nothing(void **state)
{
    count_all(*state, 16);
}

static void test_without_near_cache_nothing_is_allocated(void **state)
{
    struct house *house = *state;
    atomic_store(&house->world.options.cache_size, 0);
    count_all(house, 16);
}

/* The counter counts. */
static void test_what_is_allocated_is_counted(void **state)
{
    (void)state;
    heap.calls = 0;
    heap.is_counting = true;
    struct batch *batch = batch_new();
    buffer_append(&batch->values, SPAN("value"));
    heap.is_counting = false;
    batch_free(&batch);
    assert_int_equal(heap.calls, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lone_requests_allocate_nothing, open_house, close_house),
        cmocka_unit_test_setup_teardown(test_pipelines_allocate_nothing, open_house, close_house),
        cmocka_unit_test_setup_teardown(test_without_near_cache_nothing_is_allocated, open_house, close_house),
        cmocka_unit_test_setup_teardown(test_what_is_allocated_is_counted, open_house, close_house),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
