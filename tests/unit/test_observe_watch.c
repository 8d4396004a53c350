#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "observe/watch_lines.h"

struct fixture {
    struct watch_hub hub;
    struct mailbox home;
    struct buffer output;
};

static int set_up(void **state)
{
    struct fixture *fixture = check_calloc_aligned(_Alignof(struct fixture), sizeof(*fixture));
    watch_hub_init(&fixture->hub);
    buffer_init(&fixture->output);
    assert_true(mailbox_init(&fixture->home, false));
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    mailbox_deinit(&fixture->home);
    buffer_deinit(&fixture->output);
    watch_hub_deinit(&fixture->hub);
    free(fixture);
    return 0;
}

static void test_streams(void **state)
{
    (void)state;
    static const struct {
        struct span names;
        uint32_t streams;
    } cases[] = {
        {SPAN(""), WATCH_FETCHERS},          {SPAN("  "), WATCH_FETCHERS},
        {SPAN(" mutations"), WATCH_MUTATIONS}, {SPAN("fetchers  fetchers "), WATCH_FETCHERS},
        {SPAN("fetchers mutations evictions connevents deletions rawcmds"), 63},
        {SPAN("Fetchers"), 0},               {SPAN("fetchers sysevents"), 0},
        {SPAN("proxyreqs"), 0},              {SPAN("fetcher"), 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t streams;
        assert_int_equal(watch_parse_streams(cases[i].names, &streams), cases[i].streams != 0);
        if (cases[i].streams != 0) assert_int_equal(streams, cases[i].streams);
    }
}

static void test_wanted_while_watched(void **state)
{
    struct fixture *fixture = *state;
    struct watch_hub *hub = &fixture->hub;
    assert_false(watch_wants(NULL, WATCH_FETCHERS) || watch_wants(hub, WATCH_FETCHERS));
    struct watcher *first = watcher_new(hub, WATCH_FETCHERS, &fixture->home, fixture);
    struct watcher *second = watcher_new(hub, WATCH_FETCHERS | WATCH_EVICTIONS, &fixture->home, fixture);
    assert_true(watch_wants(hub, WATCH_FETCHERS) && watch_wants(hub, WATCH_EVICTIONS));
    assert_false(watch_wants(hub, WATCH_MUTATIONS));
    watcher_free(hub, &second);
    assert_null(second);
    assert_true(watch_wants(hub, WATCH_FETCHERS) && !watch_wants(hub, WATCH_EVICTIONS));
    watcher_free(hub, &first);
    assert_false(watch_wants(hub, WATCH_FETCHERS));
    watcher_free(hub, &first);
}

/* Takes what a watcher holds, without the time, which differs. */
static void expect(struct fixture *fixture, struct watcher *watcher, const char *lines)
{
    char text[2048];
    size_t size = 0;
    buffer_reset(&fixture->output, 0);
    watcher_take(&fixture->hub, watcher, &fixture->output);
    struct span content = buffer_content(&fixture->output);
    for (size_t i = 0; i < content.size; i++) {
        bool is_time = (i == 0 || content.data[i - 1] == '\n') && content.size - i > 3 && memcmp(content.data + i, "ts=", 3) == 0;
        while (is_time && content.data[i] != ' ') i++;
        if (!is_time) text[size++] = content.data[i];
        assert_true(size < sizeof text);
    }
    text[size] = '\0';
    assert_string_equal(text, lines);
}

static void test_lines(void **state)
{
    struct fixture *fixture = *state;
    struct watch_hub *hub = &fixture->hub;
    struct watcher *all = watcher_new(hub, 63, &fixture->home, fixture);
    watch_tell_get(hub, SPAN("a b"), true, 7, 3);
    watch_tell_get(hub, SPAN("miss"), false, 7, 3);
    const struct watch_store store = {SPAN("k"), "not_stored", "add", -1, 8, 5};
    watch_tell_store(hub, &store);
    watch_tell_delete(hub, SPAN("k"), "md", 4);
    watch_tell_eviction(hub, SPAN("%"));
    expect(fixture, all, "gid=1 type=item_get key=a%20b status=found clsid=1 cfd=7 size=3\n"
                         "gid=2 type=item_get key=miss status=not_found clsid=0 cfd=7 size=0\n"
                         "gid=3 type=item_store key=k status=not_stored cmd=add ttl=-1 clsid=1 cfd=8 size=5\n"
                         "gid=4 type=deleted key=k cmd=md clsid=1 size=4\n"
                         "gid=5 type=eviction key=%25 fetch=no ttl=-1 la=0 clsid=1 size=0\n");
    watch_tell_connection(hub, "tcp:127.0.0.1:4711", NULL, 9);
    watch_tell_connection(hub, "tcp6:[::1]:5", "normal", 9);
    watch_tell_connection(hub, "unix:/a:b", "error", 9);
    watch_tell_connection(hub, "", NULL, 9);
    expect(fixture, all, "gid=6 type=conn_new rip=127.0.0.1 rport=4711 transport=tcp cfd=9\n"
                         "gid=7 type=conn_close rip=::1 rport=5 transport=tcp6 reason=normal cfd=9\n"
                         "gid=8 type=conn_close rip=/a:b rport=0 transport=unix reason=error cfd=9\n"
                         "gid=9 type=conn_new rip= rport=0 transport=tcp cfd=9\n");
    char name[300];
    memset(name, 0xff, sizeof name);
    watch_tell_get(hub, span_of(name, sizeof name), false, INT32_MAX, 0);
    buffer_reset(&fixture->output, 0);
    watcher_take(hub, all, &fixture->output);
    assert_true(buffer_size(&fixture->output) > 3 * 250);
    assert_ptr_equal(watcher_arrive(hub, mailbox_take(&fixture->home)), fixture);
    watcher_free(hub, &all);
}

static void test_only_wanted_streams(void **state)
{
    struct fixture *fixture = *state;
    struct watcher *watcher = watcher_new(&fixture->hub, WATCH_EVICTIONS, &fixture->home, fixture);
    watch_tell_get(&fixture->hub, SPAN("k"), true, 7, 3);
    assert_null(mailbox_take(&fixture->home));
    watch_tell_eviction(&fixture->hub, SPAN("k"));
    expect(fixture, watcher, "gid=2 type=eviction key=k fetch=no ttl=-1 la=0 clsid=1 size=0\n");
    assert_ptr_equal(watcher_arrive(&fixture->hub, mailbox_take(&fixture->home)), fixture);
    watcher_free(&fixture->hub, &watcher);
}

/* One mail for however many lines, and a new one once they were taken. */
static void test_mail(void **state)
{
    struct fixture *fixture = *state;
    struct watcher *watcher = watcher_new(&fixture->hub, WATCH_FETCHERS, &fixture->home, fixture);
    for (int i = 0; i < 3; i++) {
        watch_publish(&fixture->hub, WATCH_FETCHERS, SPAN("x"));
        watch_publish(&fixture->hub, WATCH_FETCHERS, SPAN("x"));
        struct mail *mail = mailbox_take(&fixture->home);
        assert_non_null(mail);
        assert_null(mail->next);
        assert_ptr_equal(watcher_arrive(&fixture->hub, mail), fixture);
        watch_publish(&fixture->hub, WATCH_FETCHERS, SPAN("x"));
        assert_null(mailbox_take(&fixture->home)); /* the rest is still to be taken */
        buffer_reset(&fixture->output, 0);
        watcher_take(&fixture->hub, watcher, &fixture->output);
    }
    watcher_free(&fixture->hub, &watcher);
}

/* One whose connection goes while it is on its way is freed where it arrives. */
static void test_gone_on_the_way(void **state)
{
    struct fixture *fixture = *state;
    struct watcher *watcher = watcher_new(&fixture->hub, WATCH_FETCHERS, &fixture->home, fixture);
    watch_publish(&fixture->hub, WATCH_FETCHERS, SPAN("x"));
    watcher_free(&fixture->hub, &watcher);
    assert_int_equal(watch_count(&fixture->hub).watchers, 0);
    assert_null(watcher_arrive(&fixture->hub, mailbox_take(&fixture->home)));
}

static void test_a_full_buffer_skips(void **state)
{
    struct fixture *fixture = *state;
    struct watch_hub *hub = &fixture->hub;
    struct watcher *slow = watcher_new(hub, WATCH_FETCHERS, &fixture->home, fixture);
    struct watcher *other = watcher_new(hub, WATCH_FETCHERS, &fixture->home, fixture);
    static const char line[1000] = {0};
    for (int i = 0; i < 1000; i++) {
        watch_publish(hub, WATCH_FETCHERS, span_of(line, sizeof line));
        buffer_reset(&fixture->output, 0);
        watcher_take(hub, other, &fixture->output);
        assert_true(buffer_size(&fixture->output) > sizeof line);
    }
    uint64_t skipped = watch_count(hub).skipped;
    assert_true(skipped > 700 && skipped < 1000);
    assert_int_equal(watch_count(hub).sent, 2000 - skipped);
    buffer_reset(&fixture->output, 0);
    watcher_take(hub, slow, &fixture->output);
    assert_true(buffer_size(&fixture->output) <= WATCHER_BUFFER_SIZE);
    watch_publish(hub, WATCH_FETCHERS, SPAN("x"));
    watch_publish(hub, WATCH_FETCHERS, SPAN("y"));
    char expected[64];
    (void)snprintf(expected, sizeof expected, "skipped=%d\ngid=1001 x\ngid=1002 y\n", (int)skipped);
    expect(fixture, slow, expected);
    struct mail *next;
    for (struct mail *mail = mailbox_take(&fixture->home); mail; mail = next) {
        next = mail->next;
        (void)watcher_arrive(hub, mail);
    }
    watcher_free(hub, &slow);
    watcher_free(hub, &other);
}

static void test_bound_on_watchers(void **state)
{
    struct fixture *fixture = *state;
    struct watcher *watchers[WATCHERS_MAX];
    for (size_t i = 0; i < WATCHERS_MAX; i++) {
        watchers[i] = watcher_new(&fixture->hub, WATCH_FETCHERS, &fixture->home, fixture);
        assert_non_null(watchers[i]);
    }
    assert_null(watcher_new(&fixture->hub, WATCH_FETCHERS, &fixture->home, fixture));
    for (size_t i = 0; i < WATCHERS_MAX; i++) watcher_free(&fixture->hub, &watchers[i]);
}

#define PUBLISHED 20000

static void *publish(void *argument)
{
    for (int i = 0; i < PUBLISHED; i++) watch_publish(argument, WATCH_FETCHERS, SPAN("line"));
    return NULL;
}

static void test_threads(void **state)
{
    struct fixture *fixture = *state;
    struct watch_hub *hub = &fixture->hub;
    struct watcher *watcher = watcher_new(hub, WATCH_FETCHERS, &fixture->home, fixture);
    pthread_t threads[2];
    for (size_t i = 0; i < 2; i++) assert_int_equal(pthread_create(&threads[i], NULL, publish, hub), 0);
    while (watch_count(hub).sent + watch_count(hub).skipped < 2 * PUBLISHED) {
        struct mail *mail = mailbox_take(&fixture->home);
        if (mail) assert_ptr_equal(watcher_arrive(hub, mail), fixture);
        buffer_reset(&fixture->output, 0);
        watcher_take(hub, watcher, &fixture->output);
        struct watcher *passing = watcher_new(hub, WATCH_MUTATIONS, &fixture->home, fixture);
        watcher_free(hub, &passing);
    }
    for (size_t i = 0; i < 2; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
    struct mail *mail = mailbox_take(&fixture->home);
    if (mail) assert_ptr_equal(watcher_arrive(hub, mail), fixture);
    watcher_free(hub, &watcher);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_streams),     TEST(test_wanted_while_watched), TEST(test_lines),
        TEST(test_only_wanted_streams), TEST(test_mail), TEST(test_gone_on_the_way),
        TEST(test_a_full_buffer_skips), TEST(test_bound_on_watchers), TEST(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
