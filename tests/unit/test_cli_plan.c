#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/plan.h"

#include <stdlib.h>

static char *copy_of(const char *text)
{
    char *copy = strdup(text);
    assert_non_null(copy);
    return copy;
}

/* The words of a line, parted by blanks. */
static void read_line(const char *line, struct memcached_options *options)
{
    char *words[64] = {copy_of("memcached")}, *copy = copy_of(line), *rest = copy;
    int count = 1;
    for (char *word = strsep(&rest, " "); word; word = strsep(&rest, " ")) {
        if (word[0] != '\0') {
            words[count++] = word;
        }
    }
    memcached_options_read(count, words, options);
    free(words[0]);
    free(copy);
}

static void test_defaults(void **state)
{
    (void)state;
    struct memcached_options options;
    read_line("", &options);
    assert_int_equal(options.memory_mb, 64);
    assert_int_equal(options.item_size_max, 1 << 20);
    assert_int_equal(options.threads, 4);
    assert_true(options.evicts && options.may_flush && !options.uses_tls);
    assert_int_equal(options.remark_count, 0);
}

static void test_forms(void **state)
{
    (void)state;
    struct memcached_options options;
    read_line("-m512 --conn-limit=9 --threads 2 -I 512k -vvv -MF -n 64 -f 1.1 -o idle_timeout=5,,modern", &options);
    assert_int_equal(options.memory_mb, 512);
    assert_int_equal(options.connections, 9);
    assert_int_equal(options.threads, 2);
    assert_int_equal(options.item_size_max, 512 * 1024);
    assert_int_equal(options.verbosity, 3);
    assert_false(options.evicts || options.may_flush);
    assert_int_equal(options.idle_timeout, 5);
    for (size_t i = 0; i < options.remark_count; i++) {
        assert_false(options.remarks[i].is_unknown);
    }
    read_line("-I 3M", &options);
    assert_int_equal(options.item_size_max, 3 << 20);
}

static void test_what_is_not_understood(void **state)
{
    (void)state;
    static const char *const lines[] = {"-Q",     "--nothing", "-m lots", "-m -1",      "-I 2g",          "-I 2mm",
                                        "-o new", "-c",        "word",    "-o hot_lru_pct", "-o no_such_thing", "-f x"};
    struct memcached_options options;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        read_line(lines[i], &options);
        assert_int_equal(options.remark_count, 1);
        assert_true(options.remarks[0].is_unknown);
    }
}

static void test_remarks_are_bounded(void **state)
{
    (void)state;
    struct memcached_options options;
    read_line("", &options);
    for (int i = 0; i < 3 * MEMCACHED_REMARKS_MAX; i++) {
        (void)memcached_options_remark(&options, "option", "text");
    }
    assert_int_equal(options.remark_count, MEMCACHED_REMARKS_MAX);
}

/* Measured: docs/migrating.md. */
static void test_memory(void **state)
{
    (void)state;
    struct item_shape shape = {16, 100, 0, 0};
    assert_int_equal((int)item_memory_memcached(&shape, 1.25, 48), 193);
    assert_int_equal((int)item_memory_engine(&shape, false), 200);
    assert_int_equal((int)item_memory_engine(&shape, true), 178);
    double before = 0;
    for (uint64_t size = 0; size < 2000000; size = size * 3 / 2 + 1) {
        shape.value_size = size;
        double memory = item_memory_engine(&shape, false);
        assert_true(memory >= before && memory > (double)size && memory < (double)size * 1.3 + 200);
        assert_true(item_memory_memcached(&shape, 1.25, 48) > (double)size);
        before = memory;
    }
}

static const struct plan_entry *find_line(const struct plan *plan, const char *name)
{
    for (size_t i = 0; i < plan->count; i++) {
        if (plan->entries[i].kind == PLAN_LINE && strncmp(plan->entries[i].line, name, strlen(name)) == 0) {
            return &plan->entries[i];
        }
    }
    return NULL;
}

static void assert_bind(const char *listen, const char *bind)
{
    struct memcached_options options;
    struct plan plan;
    read_line(listen, &options);
    plan_make(&options, &(struct plan_wishes){.shape = {16, 100, 0, 0}}, &plan);
    assert_string_equal(find_line(&plan, "diglot.bind")->line, bind);
}

static void test_addresses(void **state)
{
    (void)state;
    assert_bind("", "diglot.bind \"* -::*\"");
    assert_bind("-l 127.0.0.1", "diglot.bind \"127.0.0.1\"");
    assert_bind("-l 10.0.0.1,::1", "diglot.bind \"10.0.0.1 ::1\"");
    assert_bind("-l 10.0.0.1:11300,[::1]:5", "diglot.bind \"10.0.0.1 ::1\"");
    assert_bind("-l notls:proto[ascii]:tag_tools_:10.0.0.1:1", "diglot.bind \"10.0.0.1\"");
    assert_bind("-l ,,", "diglot.bind \"* -::*\"");
}

static void test_every_line_has_a_comment(void **state)
{
    (void)state;
    struct memcached_options options;
    struct plan plan;
    read_line("-Z -A -F -M -X -W -S -d -P /p -v -Y f -b 9 -U 1 -o ssl_chain_cert=c,ssl_ca_cert=a,ssl_ciphers=x,idle_timeout=1", &options);
    plan_make(&options, &(struct plan_wishes){.shape = {16, 100, 100, 100}, .module_path = "/m.so"}, &plan);
    for (size_t i = 0; i < plan.count; i++) {
        assert_int_not_equal(plan.entries[i].comment[0], '\0');
        assert_int_not_equal(plan.entries[i].line[0], '\0');
    }
    assert_non_null(find_line(&plan, "diglot.tls-cert-file \"c\""));
    assert_non_null(find_line(&plan, "diglot.tls-key-file \"c\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),  cmocka_unit_test(test_forms),  cmocka_unit_test(test_what_is_not_understood), cmocka_unit_test(test_remarks_are_bounded),
        cmocka_unit_test(test_memory),    cmocka_unit_test(test_addresses), cmocka_unit_test(test_every_line_has_a_comment)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
