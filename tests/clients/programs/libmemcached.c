/* libmemcached.c - everything that libmemcached offers, on one server.
 *
 *     libmemcached HOST PORT ascii|binary [USER PASSWORD]
 *
 * Prints a line per step, `name = value`, with ` !! not EXPECTED` behind what is not as it must be; the status is 1 then.
 */
#include <libmemcached/memcached.h>
#include <libmemcachedutil-1.0/pool.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MANY = 300, TEXT_SIZE = 4096 };

struct run {
    const char *host, *user, *password;
    in_port_t port;
    bool is_binary;
    memcached_st *client;
    int steps, faults;
    char text[TEXT_SIZE];
};

static const char *print(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

static const char *print(struct run *run, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(run->text, sizeof run->text, format, arguments);
    va_end(arguments);
    return run->text;
}

static void expect(struct run *run, const char *name, const char *actual, const char *expected) {
    run->steps++;
    printf("%s = %s", name, actual);
    if (strcmp(actual, expected) != 0) {
        printf(" !! not %s", expected);
        run->faults++;
    }
    putchar('\n');
}

static void expect_result(struct run *run, const char *name, memcached_return_t actual, memcached_return_t expected) {
    expect(run, name, memcached_strerror(run->client, actual), memcached_strerror(run->client, expected));
}

static void expect_number(struct run *run, const char *name, uint64_t actual, uint64_t expected) {
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, expected);
    expect(run, name, print(run, "%" PRIu64, actual), text);
}

static void expect_ok(struct run *run, const char *name, memcached_return_t actual) {
    expect_result(run, name, actual, MEMCACHED_SUCCESS);
}

static memcached_return_t set(struct run *run, const char *key, const char *value, time_t expiry, uint32_t flags) {
    return memcached_set(run->client, key, strlen(key), value, strlen(value), expiry, flags);
}

/* The value and flags of a key, or why there are none. Long values are told by their length. */
static const char *value_of(struct run *run, const char *key) {
    size_t size = 0;
    uint32_t flags = 0;
    memcached_return_t result;
    char *value = memcached_get(run->client, key, strlen(key), &size, &flags, &result);
    if (result != MEMCACHED_SUCCESS) {
        return memcached_strerror(run->client, result);
    }
    const char *text = size > 1000 ? print(run, "%zu bytes flags %u", size, flags)
                                   : print(run, "'%.*s' flags %u", (int)size, value ? value : "", flags);
    free(value);
    return text;
}

static void expect_value(struct run *run, const char *name, const char *key, const char *expected) {
    expect(run, name, value_of(run, key), expected);
}

static memcached_st *connect_client(struct run *run) {
    memcached_st *client = memcached_create(NULL);
    memcached_behavior_set(client, MEMCACHED_BEHAVIOR_BINARY_PROTOCOL, run->is_binary);
    memcached_behavior_set(client, MEMCACHED_BEHAVIOR_TCP_NODELAY, 1);
    memcached_behavior_set(client, MEMCACHED_BEHAVIOR_SUPPORT_CAS, 1);
    memcached_behavior_set(client, MEMCACHED_BEHAVIOR_VERIFY_KEY, 0);
    memcached_behavior_set(client, MEMCACHED_BEHAVIOR_POLL_TIMEOUT, 20000);
    memcached_behavior_set(client, MEMCACHED_BEHAVIOR_RETRY_TIMEOUT, 0);
    memcached_server_add(client, run->host, run->port);
    if (run->user) {
        memcached_set_sasl_auth_data(client, run->user, run->password);
    }
    return client;
}

static void storage(struct run *run) {
    memcached_st *client = run->client;
    memcached_return_t there = run->is_binary ? MEMCACHED_DATA_EXISTS : MEMCACHED_NOTSTORED;
    memcached_return_t absent = run->is_binary ? MEMCACHED_NOTFOUND : MEMCACHED_NOTSTORED;
    expect_ok(run, "set", set(run, "k", "value", 0, 7));
    expect_value(run, "get", "k", "'value' flags 7");
    expect_value(run, "get absent", "absent", "NOT FOUND");
    expect_result(run, "add there", memcached_add(client, "k", 1, "other", 5, 0, 0), there);
    expect_ok(run, "add", memcached_add(client, "added", 5, "a", 1, 0, UINT32_MAX));
    expect_value(run, "get added", "added", "'a' flags 4294967295");
    expect_ok(run, "replace", memcached_replace(client, "added", 5, "b", 1, 0, 1));
    expect_value(run, "get replaced", "added", "'b' flags 1");
    expect_result(run, "replace absent", memcached_replace(client, "absent", 6, "x", 1, 0, 0), absent);
    expect_ok(run, "append", memcached_append(client, "k", 1, "-end", 4, 0, 99));
    expect_ok(run, "prepend", memcached_prepend(client, "k", 1, "start-", 6, 0, 99));
    expect_value(run, "get joined, with the flags of set", "k", "'start-value-end' flags 7");
    expect_result(run, "append absent", memcached_append(client, "absent", 6, "x", 1, 0, 0), MEMCACHED_NOTSTORED);
    expect_result(run, "prepend absent", memcached_prepend(client, "absent", 6, "x", 1, 0, 0), MEMCACHED_NOTSTORED);
    expect_ok(run, "set empty", set(run, "empty", "", 0, 3));
    expect_value(run, "get empty", "empty", "'' flags 3");
    expect_ok(run, "exist", memcached_exist(client, "k", 1));
    expect_value(run, "exist leaves the item", "k", "'start-value-end' flags 7");
    expect_result(run, "exist absent", memcached_exist(client, "absent", 6), MEMCACHED_NOTFOUND);
    expect_ok(run, "delete", memcached_delete(client, "k", 1, 0));
    expect_result(run, "delete again", memcached_delete(client, "k", 1, 0), MEMCACHED_NOTFOUND);
    expect_value(run, "get deleted", "k", "NOT FOUND");
}

static void by_group(struct run *run) {
    memcached_st *client = run->client;
    size_t size;
    uint32_t flags;
    memcached_return_t result;
    uint64_t number = 0;
    expect_ok(run, "set by key", memcached_set_by_key(client, "group", 5, "g", 1, "1", 1, 0, 5));
    expect_result(run, "add by key", memcached_add_by_key(client, "group", 5, "g", 1, "2", 1, 0, 0),
                  run->is_binary ? MEMCACHED_DATA_EXISTS : MEMCACHED_NOTSTORED);
    expect_ok(run, "replace by key", memcached_replace_by_key(client, "group", 5, "g", 1, "2", 1, 0, 6));
    expect_ok(run, "append by key", memcached_append_by_key(client, "group", 5, "g", 1, "0", 1, 0, 0));
    expect_ok(run, "prepend by key", memcached_prepend_by_key(client, "group", 5, "g", 1, "1", 1, 0, 0));
    expect_ok(run, "increment by key", memcached_increment_by_key(client, "group", 5, "g", 1, 10, &number));
    expect_number(run, "incremented by key", number, 130);
    expect_ok(run, "decrement by key", memcached_decrement_by_key(client, "group", 5, "g", 1, 7, &number));
    expect_number(run, "decremented by key", number, 123);
    expect_ok(run, "touch by key", memcached_touch_by_key(client, "group", 5, "g", 1, 1000));
    expect_ok(run, "exist by key", memcached_exist_by_key(client, "group", 5, "g", 1));
    char *value = memcached_get_by_key(client, "group", 5, "g", 1, &size, &flags, &result);
    expect(run, "get by key", print(run, "%.*s flags %u", (int)size, value ? value : "", flags), "123 flags 6");
    free(value);
    expect_ok(run, "delete by key", memcached_delete_by_key(client, "group", 5, "g", 1, 0));
    expect_value(run, "get behind it", "g", "NOT FOUND");
}

/* The token of a key that is there, 0 otherwise. */
static uint64_t token_of(struct run *run, const char *key) {
    size_t size = strlen(key);
    uint64_t token = 0;
    memcached_return_t result = memcached_mget(run->client, &key, &size, 1);
    memcached_result_st found;
    memcached_result_create(run->client, &found);
    while (result == MEMCACHED_SUCCESS && memcached_fetch_result(run->client, &found, &result)) {
        token = memcached_result_cas(&found);
    }
    memcached_result_free(&found);
    return token;
}

static void cas(struct run *run) {
    memcached_st *client = run->client;
    set(run, "k", "one", 0, 7);
    uint64_t token = token_of(run, "k");
    expect_number(run, "a token is not 0", token != 0, 1);
    expect_number(run, "a token stands", token_of(run, "k") == token, 1);
    expect_ok(run, "cas", memcached_cas(client, "k", 1, "two", 3, 0, 8, token));
    expect_result(run, "cas again", memcached_cas(client, "k", 1, "three", 5, 0, 9, token), MEMCACHED_DATA_EXISTS);
    expect_value(run, "get cas", "k", "'two' flags 8");
    expect_number(run, "the token moved", token_of(run, "k") != token, 1);
    expect_result(run, "cas absent", memcached_cas(client, "absent", 6, "x", 1, 0, 0, token), MEMCACHED_NOTFOUND);
    token = token_of(run, "k");
    expect_ok(run, "append moves the token", memcached_append(client, "k", 1, "!", 1, 0, 0));
    expect_result(run, "cas behind append", memcached_cas(client, "k", 1, "x", 1, 0, 0, token), MEMCACHED_DATA_EXISTS);
    expect_ok(run, "cas by key", memcached_cas_by_key(client, "g", 1, "k", 1, "x", 1, 0, 0, token_of(run, "k")));
    expect_value(run, "get cas by key", "k", "'x' flags 0");
}

static void counters(struct run *run) {
    memcached_st *client = run->client;
    uint64_t number = 0;
    set(run, "n", "10", 0, 5);
    expect_ok(run, "increment", memcached_increment(client, "n", 1, 5, &number));
    expect_number(run, "incremented", number, 15);
    expect_ok(run, "decrement", memcached_decrement(client, "n", 1, 3, &number));
    expect_number(run, "decremented", number, 12);
    expect_value(run, "get counter", "n", "'12' flags 5");
    expect_ok(run, "decrement below 0", memcached_decrement(client, "n", 1, 100, &number));
    expect_number(run, "stops at 0", number, 0);
    set(run, "n", "10", 0, 0);
    expect_ok(run, "increment by the largest", memcached_increment_by_key(client, "g", 1, "n", 1, UINT64_MAX, &number));
    expect_number(run, "wraps", number, 9);
    expect_result(run, "increment absent", memcached_increment(client, "absent", 6, 1, &number), MEMCACHED_NOTFOUND);
    expect_result(run, "decrement absent", memcached_decrement(client, "absent", 6, 1, &number), MEMCACHED_NOTFOUND);
    set(run, "text", "abc", 0, 0);
    expect_number(run, "increment of text fails", memcached_increment(client, "text", 4, 1, &number) != MEMCACHED_SUCCESS, 1);
    expect(run, "why", memcached_last_error_message(client) ? "told" : "not told", "told");
    expect_value(run, "text stays", "text", "'abc' flags 0");
    if (!run->is_binary) {
        expect_result(run, "initial needs binary",
                      memcached_increment_with_initial(client, "i", 1, 1, 5, 0, &number), MEMCACHED_INVALID_ARGUMENTS);
        return;
    }
    expect_ok(run, "increment with initial", memcached_increment_with_initial(client, "i", 1, 3, 40, 0, &number));
    expect_number(run, "initial", number, 40);
    expect_ok(run, "increment with initial again", memcached_increment_with_initial(client, "i", 1, 3, 40, 0, &number));
    expect_number(run, "incremented from initial", number, 43);
    expect_ok(run, "decrement with initial", memcached_decrement_with_initial(client, "d", 1, 3, 9, 1000, &number));
    expect_number(run, "initial of decrement", number, 9);
    expect_ok(run, "decrement with initial by key",
              memcached_decrement_with_initial_by_key(client, "g", 1, "d", 1, 3, 9, 0, &number));
    expect_number(run, "decremented from initial", number, 6);
    expect_ok(run, "increment with initial by key",
              memcached_increment_with_initial_by_key(client, "g", 1, "large", 5, 1, UINT64_MAX, 0, &number));
    expect_number(run, "largest initial", number, UINT64_MAX);
    expect_value(run, "a counter is text", "i", "'43' flags 0");
    expect_result(run, "no initial", memcached_increment_with_initial(client, "absent", 6, 1, 1,
                                                                      MEMCACHED_EXPIRATION_NOT_ADD, &number), MEMCACHED_NOTFOUND);
}

static memcached_return_t count_result(const memcached_st *client, memcached_result_st *result, void *context) {
    (void)client;
    *(uint64_t *)context += memcached_result_length(result) * 1000 + memcached_result_flags(result);
    return MEMCACHED_SUCCESS;
}

static void many(struct run *run) {
    memcached_st *client = run->client;
    static char names[MANY + 10][16];
    const char *keys[MANY + 10];
    size_t sizes[MANY + 10];
    for (int i = 0; i < MANY + 10; i++) {
        sizes[i] = (size_t)snprintf(names[i], sizeof names[i], "many-%d", i);
        keys[i] = names[i];
        if (i < MANY && set(run, keys[i], keys[i], 0, (uint32_t)i) != MEMCACHED_SUCCESS) {
            expect(run, "set many", keys[i], "stored");
        }
    }
    expect_ok(run, "mget", memcached_mget(client, keys, sizes, MANY + 10));
    int found = 0, wrong = 0;
    memcached_return_t result;
    memcached_result_st *item;
    while ((item = memcached_fetch_result(client, NULL, &result))) {
        found++;
        wrong += memcached_result_length(item) != memcached_result_key_length(item)
                 || memcmp(memcached_result_value(item), memcached_result_key_value(item), memcached_result_length(item)) != 0
                 || strtoul(memcached_result_key_value(item) + 5, NULL, 10) != memcached_result_flags(item);
        memcached_result_free(item);
    }
    expect_result(run, "the end of mget", result, MEMCACHED_NOTFOUND);
    expect_number(run, "found", (uint64_t)found, MANY);
    expect_number(run, "wrong", (uint64_t)wrong, 0);

    char key[MEMCACHED_MAX_KEY];
    size_t key_size, size;
    uint32_t flags;
    expect_ok(run, "mget by key", memcached_mget_by_key(client, "g", 1, keys + 5, sizes + 5, 1));
    char *value = memcached_fetch(client, key, &key_size, &size, &flags, &result);
    expect(run, "fetch", print(run, "%.*s %.*s %u", (int)key_size, key, (int)size, value ? value : "", flags), "many-5 many-5 5");
    free(value);
    expect_number(run, "fetch at the end", memcached_fetch(client, key, &key_size, &size, &flags, &result) == NULL, 1);

    uint64_t sum = 0;
    memcached_execute_fn functions[] = {count_result};
    expect_ok(run, "mget once more", memcached_mget(client, keys, sizes, 20));
    memcached_fetch_execute(client, functions, &sum, 1);
    expect_number(run, "fetch execute", sum, 1000 * (10 * 6 + 10 * 7) + 190);
    sum = 0;
    result = memcached_mget_execute(client, keys, sizes, 20, functions, &sum, 1);
    expect_result(run, "mget execute", result, run->is_binary ? MEMCACHED_SUCCESS : MEMCACHED_NOT_SUPPORTED);
    if (run->is_binary) {
        memcached_fetch_execute(client, functions, &sum, 1);
        expect_number(run, "what it found", sum, 1000 * (10 * 6 + 10 * 7) + 190);
    }
    sum = 0;
    expect_ok(run, "mget of misses", memcached_mget(client, keys + MANY, sizes + MANY, 10));
    memcached_fetch_execute(client, functions, &sum, 1);
    expect_number(run, "misses", sum, 0);
}

static void quiet(struct run *run) {
    char key[16];
    memcached_behavior_set(run->client, MEMCACHED_BEHAVIOR_NOREPLY, 1);
    for (int i = 0; i < MANY; i++) {
        snprintf(key, sizeof key, "quiet-%d", i);
        if (memcached_failed(set(run, key, "50", 0, 2))) {
            expect(run, "quiet set", key, "sent");
        }
    }
    uint64_t number;
    if (!run->is_binary) {
        /* Binary answers what fails even when asked to be quiet, and libmemcached takes that for the next answer. */
        memcached_add(run->client, "quiet-0", 7, "no", 2, 0, 0);
        memcached_replace(run->client, "absent", 6, "no", 2, 0, 4);
        memcached_delete(run->client, "absent", 6, 0);
    }
    memcached_append(run->client, "quiet-1", 7, "0", 1, 0, 0);
    memcached_prepend(run->client, "quiet-1", 7, "0", 1, 0, 0);
    memcached_replace(run->client, "quiet-2", 7, "new", 3, 0, 4);
    memcached_delete(run->client, "quiet-3", 7, 0);
    memcached_increment(run->client, "quiet-4", 7, 5, &number);
    memcached_decrement(run->client, "quiet-5", 7, 5, &number);
    memcached_flush_buffers(run->client);
    expect_value(run, "last quiet set", "quiet-299", "'50' flags 2");
    expect_value(run, "quiet add", "quiet-0", "'50' flags 2");
    expect_value(run, "quiet append and prepend", "quiet-1", "'0500' flags 2");
    expect_value(run, "quiet replace", "quiet-2", "'new' flags 4");
    expect_value(run, "quiet delete", "quiet-3", "NOT FOUND");
    expect_value(run, "quiet increment", "quiet-4", "'55' flags 2");
    expect_value(run, "quiet decrement", "quiet-5", "'45' flags 2");
    memcached_behavior_set(run->client, MEMCACHED_BEHAVIOR_NOREPLY, 0);
    memcached_behavior_set(run->client, MEMCACHED_BEHAVIOR_BUFFER_REQUESTS, 1);
    for (int i = 0; i < MANY; i++) {
        snprintf(key, sizeof key, "buffer-%d", i);
        set(run, key, key, 0, 1);
    }
    expect_ok(run, "flush buffers", memcached_flush_buffers(run->client));
    expect_value(run, "buffered set", "buffer-299", "'buffer-299' flags 1");
    memcached_behavior_set(run->client, MEMCACHED_BEHAVIOR_BUFFER_REQUESTS, 0);
}

static void expiry(struct run *run) {
    memcached_st *client = run->client;
    expect_ok(run, "set for long", set(run, "t", "v", 1000, 1));
    expect_ok(run, "set until", set(run, "u", "v", time(NULL) + 1000, 2));
    expect_ok(run, "set past", set(run, "p", "v", time(NULL) - 1000, 3));
    expect_value(run, "get for long", "t", "'v' flags 1");
    expect_value(run, "get until", "u", "'v' flags 2");
    expect_value(run, "get past", "p", "NOT FOUND");
    expect_ok(run, "touch", memcached_touch(client, "t", 1, 2000));
    expect_value(run, "get touched", "t", "'v' flags 1");
    expect_result(run, "touch absent", memcached_touch(client, "absent", 6, 10), MEMCACHED_NOTFOUND);
    expect_ok(run, "touch into the past", memcached_touch(client, "u", 1, time(NULL) - 1000));
    expect_value(run, "get past touch", "u", "NOT FOUND");
    expect_ok(run, "set for a second", set(run, "s", "v", 1, 0));
    time_t deadline = time(NULL) + 20;
    while (strcmp(value_of(run, "s"), "NOT FOUND") != 0 && time(NULL) < deadline) {
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    expect_value(run, "get behind a second", "s", "NOT FOUND");
}

static void keys_and_sizes(struct run *run) {
    memcached_st *client = run->client;
    static char key[300], value[2 * 1024 * 1024];
    memset(key, 'k', sizeof key);
    memset(value, 'x', sizeof value);
    expect_ok(run, "longest key", memcached_set(client, key, 250, "v", 1, 0, 9));
    key[250] = 0;
    expect_value(run, "get longest key", key, "'v' flags 9");
    key[250] = 'k';
    expect_result(run, "key too long", memcached_set(client, key, 251, "v", 1, 0, 0), MEMCACHED_BAD_KEY_PROVIDED);
    expect_result(run, "empty key", memcached_set(client, "", 0, "v", 1, 0, 0), MEMCACHED_BAD_KEY_PROVIDED);
    expect_ok(run, "unicode key", set(run, "gr\xc3\xbc\xc3\x9f" "e-\xe2\x98\x83", "gr\xc3\xbc\xc3\x9f" "e", 0, 0));
    expect_value(run, "get unicode key", "gr\xc3\xbc\xc3\x9f" "e-\xe2\x98\x83", "'gr\xc3\xbc\xc3\x9f" "e' flags 0");
    expect_ok(run, "odd key", set(run, "!\"$%&/()=?{[]}\\'#+*~<>|;:,._-^", "odd", 0, 0));
    expect_value(run, "get odd key", "!\"$%&/()=?{[]}\\'#+*~<>|;:,._-^", "'odd' flags 0");
    const size_t sizes[] = {1001, 65536, 1048576 - 300};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char name[64], expected[64];
        snprintf(name, sizeof name, "set %zu bytes", sizes[i]);
        expect_ok(run, name, memcached_set(client, "size", 4, value, sizes[i], 0, 4));
        snprintf(name, sizeof name, "get %zu bytes", sizes[i]);
        snprintf(expected, sizeof expected, "%zu bytes flags 4", sizes[i]);
        expect_value(run, name, "size", expected);
    }
    memcached_return_t result = memcached_set(client, "size", 4, value, 1048577, 0, 0);
    expect_result(run, "too large", result, MEMCACHED_E2BIG);
    memcached_quit(client);
    expect_value(run, "too large takes the old value away", "size", "NOT FOUND");
    const char binary_value[] = "\0\r\n\xff END\r\n";
    expect_ok(run, "set bytes", memcached_set(client, "bytes", 5, binary_value, sizeof binary_value, 0, 0));
    size_t size = 0;
    uint32_t flags;
    char *found = memcached_get(client, "bytes", 5, &size, &flags, &result);
    expect_number(run, "get bytes", found && size == sizeof binary_value && memcmp(found, binary_value, size) == 0, 1);
    free(found);
}

static void prefix(struct run *run) {
    memcached_st *client = run->client;
    expect_ok(run, "namespace", memcached_callback_set(client, MEMCACHED_CALLBACK_NAMESPACE, "space:"));
    expect_ok(run, "set within", set(run, "k", "within", 0, 0));
    expect_value(run, "get within", "k", "'within' flags 0");
    const char *keys[] = {"k"};
    const size_t sizes[] = {1};
    memcached_return_t result = memcached_mget(client, keys, sizes, 1);
    memcached_result_st *item = memcached_fetch_result(client, NULL, &result);
    expect(run, "mget within", item ? print(run, "%.*s", (int)memcached_result_key_length(item), memcached_result_key_value(item))
                                    : "none", "k");
    memcached_result_free(item);
    memcached_fetch_result(client, NULL, &result);
    expect_ok(run, "no namespace", memcached_callback_set(client, MEMCACHED_CALLBACK_NAMESPACE, NULL));
    expect_value(run, "get from outside", "space:k", "'within' flags 0");
}

static void options(struct run *run) {
    static const struct { const char *name; memcached_behavior_t behavior; uint64_t value; } table[] = {
        {"ketama", MEMCACHED_BEHAVIOR_KETAMA, 1},
        {"weighted ketama", MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED, 1},
        {"murmur", MEMCACHED_BEHAVIOR_HASH, MEMCACHED_HASH_MURMUR},
        {"no block", MEMCACHED_BEHAVIOR_NO_BLOCK, 1},
        {"keepalive", MEMCACHED_BEHAVIOR_TCP_KEEPALIVE, 1},
        {"cork", MEMCACHED_BEHAVIOR_CORK, 1},
        {"no cas", MEMCACHED_BEHAVIOR_SUPPORT_CAS, 0},
        {"key prefetch", MEMCACHED_BEHAVIOR_IO_KEY_PREFETCH, 10},
        {"small sockets", MEMCACHED_BEHAVIOR_SOCKET_SEND_SIZE, 4096},
    };
    memcached_st *usual = run->client;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char name[64];
        run->client = connect_client(run);
        memcached_behavior_set(run->client, table[i].behavior, table[i].value);
        snprintf(name, sizeof name, "set with %s", table[i].name);
        expect_ok(run, name, set(run, "option", "v", 0, (uint32_t)i));
        snprintf(name, sizeof name, "get with %s", table[i].name);
        char expected[32];
        snprintf(expected, sizeof expected, "'v' flags %zu", i);
        expect_value(run, name, "option", expected);
        memcached_free(run->client);
    }
    run->client = usual;
    memcached_st *copy = memcached_clone(NULL, usual);
    run->client = copy;
    set(run, "k", "clone", 0, 0);
    expect_value(run, "get with a clone", "k", "'clone' flags 0");
    memcached_free(copy);
    run->client = usual;
}

static memcached_return_t count_stat(const memcached_instance_st *server, const char *key, size_t key_size, const char *value,
                                     size_t value_size, void *context) {
    (void)server, (void)key, (void)value;
    *(int *)context += key_size > 0 && value_size > 0;
    return MEMCACHED_SUCCESS;
}

static memcached_return_t take_version(const memcached_st *client, const memcached_instance_st *server, void *context) {
    (void)client;
    *(bool *)context = memcached_server_major_version(server) >= 1;
    return MEMCACHED_SUCCESS;
}

static void server_facts(struct run *run) {
    memcached_st *client = run->client;
    memcached_return_t result;
    memcached_stat_st *stats = memcached_stat(client, NULL, &result);
    expect_ok(run, "stat", result);
    char *number = stats ? memcached_stat_get_value(client, stats, "cmd_set", &result) : NULL;
    expect_number(run, "sets were counted", number && strtoul(number, NULL, 10) >= MANY, 1);
    free(number);
    number = stats ? memcached_stat_get_value(client, stats, "pointer_size", &result) : NULL;
    expect(run, "pointer_size", number ? number : "none", "64");
    free(number);
    memcached_stat_free(client, stats);
    int counted = 0;
    expect_ok(run, "stat execute", memcached_stat_execute(client, "settings", count_stat, &counted));
    expect_number(run, "settings", counted > 5, 1);
    bool has_version = false;
    memcached_server_fn functions[] = {take_version};
    expect_ok(run, "version", memcached_version(client));
    memcached_server_cursor(client, functions, &has_version, 1);
    expect_number(run, "a version was told", has_version, 1);
    if (!run->user) {
        /* With SASL memcached refuses it. */
        expect_ok(run, "verbosity", memcached_verbosity(client, 0));
    }
    expect_value(run, "get behind all that", "added", "'b' flags 1");
}

struct worker {
    memcached_pool_st *pool;
    int number, faults;
};

static void *work(void *context) {
    struct worker *worker = context;
    for (int i = 0; i < MANY; i++) {
        memcached_return_t result;
        struct timespec patience = {.tv_sec = 20};
        memcached_st *client = memcached_pool_fetch(worker->pool, &patience, &result);
        char key[32];
        size_t size = (size_t)snprintf(key, sizeof key, "pool-%d-%d", worker->number, i), length = 0;
        uint32_t flags = 0;
        worker->faults += !client || memcached_set(client, key, size, key, size, 0, (uint32_t)i) != MEMCACHED_SUCCESS;
        char *value = client ? memcached_get(client, key, size, &length, &flags, &result) : NULL;
        worker->faults += !value || length != size || memcmp(value, key, size) != 0 || flags != (uint32_t)i;
        free(value);
        uint64_t number;
        worker->faults += memcached_increment(client, "pool", 4, 1, &number) != MEMCACHED_SUCCESS;
        memcached_pool_release(worker->pool, client);
    }
    return NULL;
}

static void pool(struct run *run) {
    set(run, "pool", "0", 0, 0);
    memcached_pool_st *shared = memcached_pool_create(run->client, 1, 4);
    struct worker workers[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        workers[i] = (struct worker){.pool = shared, .number = i};
        pthread_create(&threads[i], NULL, work, &workers[i]);
    }
    int faults = 0;
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        faults += workers[i].faults;
    }
    expect_number(run, "faults of a pool", (uint64_t)faults, 0);
    run->client = memcached_pool_destroy(shared);
    expect_value(run, "the pool's counter", "pool", "'1200' flags 0");
}

static memcached_return_t count_key(const memcached_st *client, const char *key, size_t size, void *context) {
    (void)client, (void)key;
    *(uint64_t *)context += size > 0;
    return MEMCACHED_SUCCESS;
}

static void flush(struct run *run) {
    uint64_t keys = 0;
    memcached_dump_fn functions[] = {count_key};
    if (!run->is_binary) {
        /* It asks for `stats cachedump` of every slab class; what a server tells there is its own affair. */
        memcached_dump(run->client, functions, &keys, 1);
        memcached_quit(run->client);
    }
    set(run, "k", "v", 0, 0);
    expect_ok(run, "flush", memcached_flush(run->client, 0));
    expect_value(run, "get flushed", "k", "NOT FOUND");
    expect_value(run, "get flushed long ago", "added", "NOT FOUND");
    expect_ok(run, "set behind flush", set(run, "k", "v", 0, 0));
    expect_value(run, "get behind flush", "k", "'v' flags 0");
    memcached_quit(run->client);
    expect_value(run, "get behind quit", "k", "'v' flags 0");
}

int main(int count, char **words) {
    if (count != 4 && count != 6) {
        fprintf(stderr, "usage: %s HOST PORT ascii|binary [USER PASSWORD]\n", words[0]);
        return 2;
    }
    struct run run = {.host = words[1], .port = (in_port_t)strtoul(words[2], NULL, 10), .is_binary = strcmp(words[3], "binary") == 0,
                      .user = count > 4 ? words[4] : NULL, .password = count > 4 ? words[5] : NULL};
    run.client = connect_client(&run);
    void (*const parts[])(struct run *) = {storage, by_group, cas, counters, many, quiet, expiry, keys_and_sizes, prefix, options,
                                           server_facts, pool, flush};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        parts[i](&run);
    }
    memcached_free(run.client);
    printf("%d steps, %d faults\n", run.steps, run.faults);
    return run.faults != 0;
}
