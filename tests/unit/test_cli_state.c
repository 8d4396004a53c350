#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/dashboard.h"
#include "cli/journal.h"
#include "cli/migration.h"
#include "cli/progress.h"
#include "cli/redcouch.h"

#include <stdlib.h>
#include <unistd.h>

static void add(struct facts *facts, const char *name, const char *value)
{
    facts_add(facts, "", span_of(name, strlen(name)), span_of(value, strlen(value)));
}

static enum phase phase_of(const char *upstream, const char *read, const char *mirror, const char *share, const char *clients)
{
    struct facts facts;
    struct migration migration;
    facts_init(&facts);
    facts.has_module = true;
    add(&facts, "diglot.upstream", upstream);
    add(&facts, "diglot.upstream-read", read);
    add(&facts, "diglot.upstream-mirror", mirror);
    add(&facts, "diglot.upstream-share", share);
    add(&facts, "curr_connections", clients);
    migration_judge(&facts, NULL, &migration);
    facts_deinit(&facts);
    assert_int_not_equal(migration.text[0], '\0');
    assert_int_not_equal(migration.next[0], '\0');
    assert_int_not_equal(migration.way_back[0], '\0');
    return migration.phase;
}

static void test_phases(void **state)
{
    (void)state;
    struct facts nothing;
    struct migration migration;
    facts_init(&nothing);
    migration_judge(&nothing, NULL, &migration);
    assert_int_equal(migration.phase, PHASE_NATIVE);
    nothing.has_module = true; /* and tells nothing */
    migration_judge(&nothing, &nothing, &migration);
    assert_int_equal(migration.phase, PHASE_IDLE);
    assert_int_equal(phase_of("", "yes", "yes", "5", "0"), PHASE_IDLE);
    assert_int_equal(phase_of("", "yes", "no", "100", "3"), PHASE_BRIDGE);
    assert_int_equal(phase_of("a:1", "no", "no", "100", "3"), PHASE_CONNECTED);
    assert_int_equal(phase_of("a:1", "yes", "no", "100", "3"), PHASE_READING);
    assert_int_equal(phase_of("a:1", "yes", "yes", "100", "3"), PHASE_MIRRORING);
    assert_int_equal(phase_of("a:1", "yes", "yes", "10", "3"), PHASE_SHARING);
}

static void test_warnings(void **state)
{
    (void)state;
    struct facts before, facts;
    struct migration migration;
    facts_init(&before);
    facts_init(&facts);
    before.has_module = facts.has_module = true;
    facts.taken_us = 1000000;
    add(&before, "upstream_errors", "5");
    add(&before, "mirror_failed", "1");
    add(&before, "info.evicted_keys", "10");
    add(&facts, "upstream_errors", "7");
    add(&facts, "mirror_failed", "1");
    add(&facts, "info.evicted_keys", "11");
    add(&facts, "server_0", "old:11211,state=down,failures=3");
    add(&facts, "server_1", "old2:11211,state=ready");
    add(&facts, "info.used_memory", "95000");
    add(&facts, "info.maxmemory", "100000");
    add(&facts, "info.master_link_status", "down");
    migration_judge(&facts, &before, &migration);
    assert_int_equal(migration.warning_count, 5);
    assert_string_equal(migration.warnings[0], "the old server old:11211 is down: what it has is missing here");
    assert_string_equal(migration.warnings[1], "upstream_errors grows: 7, 2 more");
    facts_deinit(&before);
    facts_deinit(&facts);
}

static void assert_way_back(const char *mirror, const char *share, const char *waiting, const char *words)
{
    struct facts facts;
    struct migration migration;
    facts_init(&facts);
    facts.has_module = true;
    add(&facts, "diglot.upstream", "a:1");
    add(&facts, "diglot.upstream-read", "yes");
    add(&facts, "diglot.upstream-mirror", mirror);
    add(&facts, "diglot.upstream-share", share);
    add(&facts, "mirror_waiting", waiting);
    migration_judge(&facts, NULL, &migration);
    assert_non_null(strstr(migration.way_back, words));
    facts_deinit(&facts);
}

/* Nobody is told to go back to servers that do not have what is here. */
static void test_the_way_back(void **state)
{
    (void)state;
    assert_way_back("yes", "0", "7", "wait for mirror waiting 0, then point");
    assert_way_back("yes", "0", "0", "point the clients at the old servers, which have everything");
    assert_way_back("yes", "50", "0", "upstream-share 0, wait for mirror waiting 0, then point");
    assert_way_back("yes", "100", "0", "upstream-share 0, wait for mirror waiting 0, then point");
    assert_way_back("no", "50", "0", "none");
    assert_way_back("no", "100", "0", "none");
}

static void assert_advice_while_down(const char *share, const char *next, const char *way_back)
{
    struct facts facts;
    struct migration migration;
    facts_init(&facts);
    facts.has_module = true;
    add(&facts, "diglot.upstream", "a:1 b:1");
    add(&facts, "diglot.upstream-mirror", "yes");
    add(&facts, "diglot.upstream-share", share);
    add(&facts, "server_0", "a:1,state=ready");
    add(&facts, "server_1", "b:1,state=down");
    migration_judge(&facts, NULL, &migration);
    assert_non_null(strstr(migration.next, "bring b:1 back before any other step"));
    assert_non_null(strstr(migration.next, next));
    assert_non_null(strstr(migration.way_back, way_back));
    facts_deinit(&facts);
}

/* Nobody is told to move keys, to import or to compare. */
static void test_no_step_while_an_old_server_is_down(void **state)
{
    (void)state;
    assert_advice_while_down("0", "if it is gone for good", "point the clients at the old servers");
    assert_advice_while_down("50", "if it is gone for good", "none while it is down");
    assert_advice_while_down("100", "If both are done: CONFIG SET diglot.upstream \"\"", "none while it is down");
}

static void test_warnings_of_the_mirror(void **state)
{
    (void)state;
    struct facts before, facts;
    struct migration migration;
    facts_init(&before);
    facts_init(&facts);
    before.has_module = facts.has_module = true;
    facts.taken_us = 1000000;
    add(&facts, "diglot.upstream", "a:1");
    add(&facts, "diglot.upstream-mirror", "yes");
    add(&before, "mirror_waiting", "900");
    add(&facts, "mirror_waiting", "1200");
    add(&before, "mirror_dropped", "3");
    add(&facts, "mirror_dropped", "3");
    migration_judge(&facts, &before, &migration);
    assert_int_equal(migration.warning_count, 2);
    assert_string_equal(migration.warnings[0], "the mirror falls behind: 1200 keys wait, 300 more");
    assert_string_equal(migration.warnings[1], "3 changes have not reached the old servers: `diglot verify` before you go back");
    facts_deinit(&before);
    facts_deinit(&facts);
}

static void test_info(void **state)
{
    (void)state;
    struct facts facts;
    facts_init(&facts);
    facts_add_info(&facts, SPAN("# Server\r\nredis_version:7.0.15\r\n\r\nnonsense\r\ndb0:keys=1,expires=0\r\nlast:"));
    assert_int_equal(facts.count, 3);
    assert_string_equal(facts_text(&facts, "info.redis_version"), "7.0.15");
    assert_string_equal(facts_text(&facts, "info.last"), "");
    assert_null(facts_text(&facts, "redis_version"));
    assert_int_equal(facts_number(&facts, "info.redis_version", 9), 9);
    facts_deinit(&facts);
}

static void test_rates(void **state)
{
    (void)state;
    struct facts before, facts;
    facts_init(&before);
    facts_init(&facts);
    facts.taken_us = 2000000;
    add(&before, "a", "10");
    add(&facts, "a", "50");
    add(&before, "reset", "50");
    add(&facts, "reset", "1");
    add(&facts, "new", "1");
    assert_int_equal((int)facts_rate(&facts, &before, "a"), 20);
    assert_int_equal((int)facts_rate(&facts, &before, "reset"), 0);
    assert_int_equal((int)facts_rate(&facts, &before, "new"), 0);
    facts_deinit(&before);
    facts_deinit(&facts);
}

/* What an operator looks for stands on the first lines of a small terminal. */
static void test_a_dashboard_in_trouble(void **state)
{
    (void)state;
    struct facts before, facts;
    struct buffer text;
    facts_init(&before);
    facts_init(&facts);
    buffer_init(&text);
    before.has_module = facts.has_module = true;
    facts.taken_us = 2000000;
    add(&facts, "diglot.upstream", "old:11211 b:11211");
    add(&facts, "diglot.upstream-mirror", "yes");
    add(&facts, "diglot.upstream-share", "50");
    add(&before, "mirror_sent", "0");
    add(&facts, "mirror_sent", "1000");
    add(&facts, "mirror_waiting", "250");
    add(&facts, "upstream_unstored", "0");
    add(&facts, "upstream_carried", "0");
    add(&before, "server_0", "old:11211,state=ready,version=1.6.18,meta=yes,answered=1000,failures=0,copying=0");
    add(&facts, "server_0", "old:11211,state=ready,version=1.6.18,meta=yes,answered=5000,failures=0,copying=7");
    add(&facts, "server_1", "b:11211,state=down,version=1.4.39,meta=no,answered=10,failures=3,copying=0");
    const struct dashboard_view view = {"host:1", &facts, &before, false, "03:00:00", 80};
    dashboard_render(&view, &text);
    buffer_append(&text, span_of("", 1));
    const char *shown = buffer_content(&text).data;
    assert_non_null(strstr(shown, "[####################....................] 50 %\nWARNING    the old server b:11211 is down"));
    assert_true(span_starts_with(buffer_content(&text), SPAN("03:00:00 (q ends)  host:1  ")));
    assert_non_null(strstr(shown, "\nnext       bring b:11211 back before any other step; if it is gone for good"));
    assert_non_null(strstr(shown, "\nway back   none while it is down; if it comes back empty"));
    assert_non_null(strstr(shown, "\nupstream   unstored 0\n"));
    assert_null(strstr(shown, " behind")); /* what waits for a server that is down */
    assert_non_null(strstr(shown, "\nold fleet  old:11211  ready       1.6.18  answered 5,000 (2,000/s)  copying 7\n"));
    assert_non_null(strstr(shown, "  b:11211  down        1.4.39 without meta  answered 10  failures 3\n"));
    buffer_deinit(&text);
    facts_deinit(&before);
    facts_deinit(&facts);
}

static void test_a_dashboard_tells_how_far_the_mirror_is_behind(void **state)
{
    (void)state;
    struct facts before, facts;
    struct buffer text;
    facts_init(&before);
    facts_init(&facts);
    buffer_init(&text);
    before.has_module = facts.has_module = true;
    facts.taken_us = 2000000;
    add(&facts, "diglot.upstream", "a:11211");
    add(&before, "mirror_sent", "0");
    add(&facts, "mirror_sent", "1000");
    add(&facts, "mirror_waiting", "250");
    const struct dashboard_view view = {"host:1", &facts, &before, false, NULL, 80};
    dashboard_render(&view, &text);
    buffer_append(&text, span_of("", 1));
    assert_non_null(strstr(buffer_content(&text).data, "0.5 s behind"));
    buffer_deinit(&text);
    facts_deinit(&before);
    facts_deinit(&facts);
}

/* Whatever a server leaves out, something is shown. */
static void test_a_dashboard_of_nothing(void **state)
{
    (void)state;
    struct facts facts;
    struct buffer text;
    facts_init(&facts);
    buffer_init(&text);
    const struct dashboard_view view = {"host:1", &facts, &facts, true, NULL, 80};
    dashboard_render(&view, &text);
    assert_true(span_starts_with(buffer_content(&text), SPAN("\033[1mhost:1")));
    json_t *report = dashboard_json(&view);
    assert_string_equal(json_string_value(json_object_get(report, "phase")), "native");
    json_decref(report);
    buffer_deinit(&text);
}

static void test_how_numbers_are_shown(void **state)
{
    (void)state;
    char text[64];
    progress_group(0, text);
    assert_string_equal(text, "0");
    progress_group(999, text);
    assert_string_equal(text, "999");
    progress_group(1234567, text);
    assert_string_equal(text, "1,234,567");
    progress_group(UINT64_MAX, text);
    assert_string_equal(text, "18,446,744,073,709,551,615");
    progress_time(65, text);
    assert_string_equal(text, "1:05");
    progress_time(36061, text);
    assert_string_equal(text, "10:01:01");
    progress_bar(0.5, 4, text);
    assert_string_equal(text, "##..");
    progress_bar(7, 4, text);
    assert_string_equal(text, "####");
    progress_bar(-1, 4, text);
    assert_string_equal(text, "....");
}

static void test_redcouch(void **state)
{
    (void)state;
    uint32_t flags = 1;
    struct buffer output;
    buffer_init(&output);
    assert_true(redcouch_flags(SPAN(""), &flags) && flags == 0);
    assert_true(redcouch_flags(SPAN("4294967295"), &flags) && flags == UINT32_MAX);
    assert_false(redcouch_flags(SPAN("4294967296"), &flags));
    assert_false(redcouch_flags(SPAN("-1"), &flags));
    assert_true(redcouch_unhex(SPAN(""), &output) && buffer_size(&output) == 0);
    assert_true(redcouch_unhex(SPAN("00fFa1"), &output));
    assert_true(span_equal(buffer_content(&output), SPAN("\0\xff\xa1")));
    assert_false(redcouch_unhex(SPAN("0"), &output));
    assert_false(redcouch_unhex(SPAN("0g"), &output));
    assert_int_equal(buffer_size(&output), 3);
    buffer_deinit(&output);
}

static void test_journal(void **state)
{
    (void)state;
    char path[] = "/tmp/diglot-journal-XXXXXX";
    struct journal journal;
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    (void)close(descriptor);
    assert_true(journal_open(&journal, path, "target:1"));
    journal_note(&journal, JOURNAL_BEGUN, "a:1");
    journal_note(&journal, JOURNAL_BEGUN, "a:11");
    journal_note(&journal, JOURNAL_DONE, "a:1");
    journal_close(&journal);
    assert_int_equal(journal_find(path, "a:1"), JOURNAL_DONE);
    assert_int_equal(journal_find(path, "a:11"), JOURNAL_BEGUN);
    assert_int_equal(journal_find(path, "a:111"), JOURNAL_NEW);
    assert_int_equal(journal_find(NULL, "a:1"), JOURNAL_NEW);
    assert_true(journal_open(&journal, path, "target:1"));
    journal_note(&journal, JOURNAL_DONE, "a:11");
    journal_close(&journal);
    assert_int_equal(journal_find(path, "a:11"), JOURNAL_DONE);
    assert_false(journal_open(&journal, path, "other:1"));
    journal_close(&journal);
    assert_int_equal(unlink(path), 0);
    assert_true(journal_open(&journal, NULL, "target:1"));
    journal_note(&journal, JOURNAL_DONE, "a:1");
    journal_close(&journal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_phases),   cmocka_unit_test(test_warnings), cmocka_unit_test(test_info),
        cmocka_unit_test(test_the_way_back), cmocka_unit_test(test_no_step_while_an_old_server_is_down),
        cmocka_unit_test(test_warnings_of_the_mirror),
        cmocka_unit_test(test_a_dashboard_in_trouble),
        cmocka_unit_test(test_a_dashboard_tells_how_far_the_mirror_is_behind),
        cmocka_unit_test(test_rates),    cmocka_unit_test(test_a_dashboard_of_nothing), cmocka_unit_test(test_how_numbers_are_shown),
        cmocka_unit_test(test_redcouch), cmocka_unit_test(test_journal)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
