/* What memcached 1.6.45 answers to these lines, in this order, and what it counts: the very words that it said, but for the
 * tokens (which are ours) and the values, which stand behind a colon here. Known differences have a test of their own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fake/dialogue.h"

static const struct {
    const char *line;
    const char *value;
    const char *answer;
    const char *counts;
} exchanges[] = {
    /* Vivifying reads, and the order of t, N and T. */
    {"mg v1 t", NULL, "EN", "cmd_get+1 get_misses+1"},
    {"mg v1 v t N30", NULL, "VA 0 t-1 W: ", "cmd_get+1 get_hits+1 total_items+1"},
    {"mg v1 v t f s N30", NULL, "VA 0 t30 f0 s0 Z: ", "cmd_get+1 get_hits+1"},
    {"mg v1 t", NULL, "HD t30 Z", "cmd_get+1 get_hits+1"},
    {"get v1", NULL, "VALUE 0: ", "cmd_get+1 get_hits+1"},
    {"mg v2 N30 t", NULL, "HD t30 W", "cmd_get+1 get_hits+1 total_items+1"},
    {"mg v3 N0 t v", NULL, "VA 0 t-1 W: ", "cmd_get+1 get_hits+1 total_items+1"},
    {"mg v4 N100 T30 t v", NULL, "VA 0 t30 W: ", "cmd_touch+1 touch_hits+1 total_items+1"},
    {"mg v4 t", NULL, "HD t30 Z", "cmd_get+1 get_hits+1"},
    {"mg v5 N30 t T60", NULL, "HD t30 W", "cmd_touch+1 touch_hits+1 total_items+1"},
    {"mg v5 t", NULL, "HD t60 Z", "cmd_get+1 get_hits+1"},
    {"mg v6 T60 t N30", NULL, "HD t60 W", "cmd_touch+1 touch_hits+1 total_items+1"},
    {"mg v6 t", NULL, "HD t30 Z", "cmd_get+1 get_hits+1"},
    {"mg v7 T60 N30 t", NULL, "HD t30 W", "cmd_touch+1 touch_hits+1 total_items+1"},
    {"mg v8 N100 R200 t", NULL, "HD t100 W", "cmd_get+1 get_hits+1 total_items+1"},
    {"mg v8 N100 R200 t", NULL, "HD t100 Z", "cmd_get+1 get_hits+1"},
    {"mg v9 T50", NULL, "EN", "cmd_get+1 get_misses+1"},
    {"mg v9 R50", NULL, "EN", "cmd_get+1 get_misses+1"},
    {"add v8 0 0", "ab", "NOT_STORED", "cmd_set+1"},
    {"ms v8 ME", "ab", "NS", "cmd_set+1"},
    {"incr v8 1", NULL, "NON_NUMERIC", ""},
    {"append v8 0 0", "5", "STORED", "cmd_set+1 total_items+1"},
    {"mg v8 v t", NULL, "VA 1 t100: 5", "cmd_get+1 get_hits+1"},
    /* Touching reads. */
    {"ms t1 T40", "ab", "HD", "cmd_set+1 total_items+1"},
    {"mg t1 T100 t v", NULL, "VA 2 t100: ab", "cmd_touch+1 touch_hits+1"},
    {"mg t1 t T50", NULL, "HD t100", "cmd_touch+1 touch_hits+1"},
    {"mg t1 t", NULL, "HD t50", "cmd_get+1 get_hits+1"},
    {"gat t1 30", NULL, "VALUE 0: ab", "cmd_touch+1 touch_hits+1"},
    {"mg t1 t", NULL, "HD t30", "cmd_get+1 get_hits+1"},
    {"touch t1 20", NULL, "OK", "cmd_touch+1 touch_hits+1"},
    {"mg t1 t s v f", NULL, "VA 2 t20 s2 f0: ab", "cmd_get+1 get_hits+1"},
    {"touch none 20", NULL, "NOT_FOUND", "cmd_touch+1 touch_misses+1"},
    {"gat none 20", NULL, "NOT_FOUND", "cmd_touch+1 touch_misses+1"},
    /* Refreshing before the end. */
    {"ms r1 T40 F9", "old", "HD", "cmd_set+1 total_items+1"},
    {"mg r1 R40 t", NULL, "HD t40", "cmd_get+1 get_hits+1"},
    {"mg r1 R30 t", NULL, "HD t40", "cmd_get+1 get_hits+1"},
    {"mg r1 R41 t f", NULL, "HD t40 f9 W", "cmd_get+1 get_hits+1"},
    {"mg r1 R60 t", NULL, "HD t40 Z", "cmd_get+1 get_hits+1"},
    {"mg r1 t", NULL, "HD t40 Z", "cmd_get+1 get_hits+1"},
    {"mg r1 T100 R60 t", NULL, "HD t100 Z", "cmd_touch+1 touch_hits+1"},
    {"ms r1 T40 F9", "old", "HD", "cmd_set+1 total_items+1"},
    {"mg r1 t", NULL, "HD t40", "cmd_get+1 get_hits+1"},
    {"mg r1 t T100 R60", NULL, "HD t40", "cmd_touch+1 touch_hits+1"},
    {"ms r1 T40", "old", "HD", "cmd_set+1 total_items+1"},
    {"mg r1 t R50 T100", NULL, "HD t40 W", "cmd_touch+1 touch_hits+1"},
    {"ms r1 T0", "old", "HD", "cmd_set+1 total_items+1"},
    {"mg r1 R60 t", NULL, "HD t-1", "cmd_get+1 get_hits+1"},
    /* Stale items: marked by md. */
    {"ms d1 F7", "new", "HD", "cmd_set+1 total_items+1"},
    {"md d1 I T30", NULL, "HD", ""},
    {"mg d1 v t f", NULL, "VA 3 t30 f7 X W: new", "cmd_get+1 get_hits+1"},
    {"mg d1 v t f", NULL, "VA 3 t30 f7 Z X: new", "cmd_get+1 get_hits+1"},
    {"get d1", NULL, "VALUE 7: new", "cmd_get+1 get_hits+1"},
    {"mg d1 T60 t v", NULL, "VA 3 t60 Z X: new", "cmd_touch+1 touch_hits+1"},
    {"md d1 I", NULL, "HD", ""},
    {"mg d1 t v", NULL, "VA 3 t60 X W: new", "cmd_get+1 get_hits+1"},
    {"touch d1 100", NULL, "OK", "cmd_touch+1 touch_hits+1"},
    {"mg d1 t", NULL, "HD t100 Z X", "cmd_get+1 get_hits+1"},
    {"ms d1", "newer", "HD", "cmd_set+1 total_items+1"},
    {"mg d1 v t", NULL, "VA 5 t-1: newer", "cmd_get+1 get_hits+1"},
    {"md d1 I", NULL, "HD", ""},
    {"append d1 0 0", "z", "STORED", "cmd_set+1 total_items+1"},
    {"mg d1 v t", NULL, "VA 6 t-1: newerz", "cmd_get+1 get_hits+1"},
    {"md none I", NULL, "NF", "delete_misses+1"},
    {"md d1 T30", NULL, "HD", "delete_hits+1"},
    {"mg d1 v", NULL, "EN", "cmd_get+1 get_misses+1"},
    /* Stale items and numbers. */
    {"ms n1 T100", "8", "HD", "cmd_set+1 total_items+1"},
    {"md n1 I", NULL, "HD", ""},
    {"incr n1 1", NULL, "9", "incr_hits+1"},
    {"mg n1 v", NULL, "VA 1 X W: 9", "cmd_get+1 get_hits+1"},
    {"ma n1 v t", NULL, "VA 2 t100: 10", "incr_hits+1"},
    {"md n1 I", NULL, "HD", ""},
    {"mg n1 t", NULL, "HD t100 X W", "cmd_get+1 get_hits+1"},
    {"ma n1 MD D3 v", NULL, "VA 1: 7", "decr_hits+1"},
    /* Stale items: stored so, by one who is late. */
    {"ms s1 T100 F3 E1000", "ab", "HD", "cmd_set+1 total_items+1"},
    {"ms s1 I C1 F4", "old", "HD", "cmd_set+1 cas_hits+1 total_items+1"},
    {"mg s1 t v f", NULL, "VA 3 t100 f4 X W: old", "cmd_get+1 get_hits+1"},
    {"mg s1 t v f", NULL, "VA 3 t100 f4 Z X: old", "cmd_get+1 get_hits+1"},
    {"ms s1 I C1 T50", "old2", "HD", "cmd_set+1 cas_hits+1 total_items+1"},
    {"mg s1 t v f", NULL, "VA 4 t100 f0 Z X: old2", "cmd_get+1 get_hits+1"},
    {"ms s1 I C1 MR F6", "old3", "HD", "cmd_set+1 cas_hits+1 total_items+1"},
    {"mg s1 t v f", NULL, "VA 4 t100 f6 Z X: old3", "cmd_get+1 get_hits+1"},
    {"ms s1 I C1 MA", "x", "EX", "cmd_set+1"},
    {"ms s1 I C18446744073709551615", "x", "EX", "cmd_set+1 cas_badval+1"},
    {"mg s1 t v f", NULL, "VA 4 t100 f6 Z X: old3", "cmd_get+1 get_hits+1"},
    {"ms s1", "fresh", "HD", "cmd_set+1 total_items+1"},
    {"mg s1 v f t", NULL, "VA 5 f0 t-1: fresh", "cmd_get+1 get_hits+1"},
    {"ms s2 I C1 T50", "x", "NF", "cmd_set+1 cas_misses+1"},
    {"ms s2 I T50", "x", "HD", "cmd_set+1 total_items+1"},
    {"mg s2 t v", NULL, "VA 1 t50: x", "cmd_get+1 get_hits+1"},
    {"ms s2 I T60", "y", "HD", "cmd_set+1 total_items+1"},
    {"mg s2 t v", NULL, "VA 1 t60: y", "cmd_get+1 get_hits+1"},
    {"ms s3 ME I C5 T30", "ab", "HD", "cmd_set+1 total_items+1"},
    {"mg s3 t v", NULL, "VA 2 t30: ab", "cmd_get+1 get_hits+1"},
    {"ms s3 ME I C5 T30", "cd", "NS", "cmd_set+1"},
    {"ms s4 E1000", "a", "HD", "cmd_set+1 total_items+1"},
    {"ms s4 I C1000 T20", "b", "HD", "cmd_set+1 cas_hits+1 total_items+1"},
    {"mg s4 v t", NULL, "VA 1 t20: b", "cmd_get+1 get_hits+1"},
    /* Cleared items. */
    {"ms x1 T40 F9", "old", "HD", "cmd_set+1 total_items+1"},
    {"md x1 x", NULL, "HD", "delete_hits+1 total_items+1"},
    {"mg x1 v t f s", NULL, "VA 0 t-1 f0 s0: ", "cmd_get+1 get_hits+1"},
    {"ms x1 T40 F9", "old", "HD", "cmd_set+1 total_items+1"},
    {"md x1 x T20", NULL, "HD", "delete_hits+1 total_items+1"},
    {"mg x1 v t f s", NULL, "VA 0 t20 f0 s0: ", "cmd_get+1 get_hits+1"},
    {"ms x1 T40 F9", "old", "HD", "cmd_set+1 total_items+1"},
    {"md x1 x I T20", NULL, "HD", "total_items+1"},
    {"mg x1 v t f s", NULL, "VA 0 t20 f0 s0 X W: ", "cmd_get+1 get_hits+1"},
    {"mg x1 v t f s", NULL, "VA 0 t20 f0 s0 Z X: ", "cmd_get+1 get_hits+1"},
    {"md none x", NULL, "NF", "delete_misses+1"},
    {"md x1 x I T-1", NULL, "HD", "total_items+1"},
    {"mg x1 v", NULL, "EN", "cmd_get+1 get_misses+1"},
    /* Tokens compared. */
    {"ms c1 E100", "ab", "HD", "cmd_set+1 total_items+1"},
    {"ms c1 C5", "cd", "EX", "cmd_set+1 cas_badval+1"},
    {"ms c1 C100 E101 s", "cd", "HD s2", "cmd_set+1 cas_hits+1 total_items+1"},
    {"mg c1 C101 v s", NULL, "HD s2", "cmd_get+1 get_hits+1"},
    {"mg c1 C5 v s", NULL, "VA 2 s2: cd", "cmd_get+1 get_hits+1"},
    {"ms c1 C0", "cd", "EX", "cmd_set+1 cas_badval+1"},
    {"ms c1 MR C5", "x", "EX", "cmd_set+1 cas_badval+1"},
    {"ms c1 MR C101 E102", "ef", "HD", "cmd_set+1 cas_hits+1 total_items+1"},
    {"ms c1 MA C5", "x", "EX", "cmd_set+1"},
    {"ms c1 MA C102 E103 s", "gh", "HD s4", "cmd_set+1 total_items+1"},
    {"ms c1 MP C103 E104 s", "0", "HD s5", "cmd_set+1 total_items+1"},
    {"mg c1 v", NULL, "VA 5: 0efgh", "cmd_get+1 get_hits+1"},
    {"ms none C5", "x", "NF", "cmd_set+1 cas_misses+1"},
    {"ms none MR C5", "x", "NF", "cmd_set+1 cas_misses+1"},
    {"ms none MA C5", "x", "NS", "cmd_set+1"},
    {"ms c1 ME C5", "x", "NS", "cmd_set+1"},
    {"ms c2 ME C5", "x", "HD", "cmd_set+1 total_items+1"},
    {"mg c2 v", NULL, "VA 1: x", "cmd_get+1 get_hits+1"},
    {"md c1 C5", NULL, "EX", "delete_misses+1"},
    {"md c1 C5 I", NULL, "EX", "delete_misses+1"},
    {"md c1 C0", NULL, "EX", "delete_misses+1"},
    {"md c1 C104 I E200", NULL, "HD", ""},
    {"md c1 C200 x E201", NULL, "HD", "delete_hits+1 total_items+1"},
    {"md c1 C201", NULL, "HD", "delete_hits+1"},
    {"md c1 C201", NULL, "NF", "delete_misses+1"},
    /* Modes. */
    {"ms m1 MR", "x", "NS", "cmd_set+1"},
    {"ms m1 MA", "x", "NS", "cmd_set+1"},
    {"ms m1 MP", "x", "NS", "cmd_set+1"},
    {"ms m1 MA N60 F7 s", "cd", "HD s2", "cmd_set+1 total_items+1"},
    {"mg m1 v t f", NULL, "VA 2 t60 f7: cd", "cmd_get+1 get_hits+1"},
    {"ms m1 MA N60 T90 F9 s", "ef", "HD s4", "cmd_set+1 total_items+1"},
    {"mg m1 v t f", NULL, "VA 4 t60 f7: cdef", "cmd_get+1 get_hits+1"},
    {"ms m1 MP s", "ab", "HD s6", "cmd_set+1 total_items+1"},
    {"mg m1 v t f", NULL, "VA 6 t60 f7: abcdef", "cmd_get+1 get_hits+1"},
    {"ms m2 MA C4 N30", "12", "HD", "cmd_set+1 total_items+1"},
    {"mg m2 v t", NULL, "VA 2 t30: 12", "cmd_get+1 get_hits+1"},
    {"ms m1 ME", "x", "NS", "cmd_set+1"},
    {"ms m1 MR F1", "x", "HD", "cmd_set+1 total_items+1"},
    {"mg m1 v t f", NULL, "VA 1 t-1 f1: x", "cmd_get+1 get_hits+1"},
    /* Numbers. */
    {"ma a1 t v", NULL, "NF", "incr_misses+1"},
    {"ma a1 N30 t v", NULL, "VA 1 t30: 0", "total_items+1"},
    {"ma a1 N30 t v", NULL, "VA 1 t30: 1", "incr_hits+1"},
    {"ma a1 N30 T100 t v", NULL, "VA 1 t100: 2", "incr_hits+1"},
    {"ma a1 t v", NULL, "VA 1 t100: 3", "incr_hits+1"},
    {"ma a1 t T50 v", NULL, "VA 1 t100: 4", "incr_hits+1"},
    {"ma a1 T60 t v", NULL, "VA 1 t60: 5", "incr_hits+1"},
    {"ma a2 N0 J13 t v E88", NULL, "VA 2 t-1: 13", "total_items+1"},
    {"ma a2 N0 J13 MD D5 C88 E89 t v", NULL, "VA 1 t-1: 8", "decr_hits+1"},
    {"ma a2 MD D50 C88", NULL, "EX", ""},
    {"ma a2 MD D50 C89 v", NULL, "VA 1: 0", "decr_hits+1"},
    {"ma a2 C0", NULL, "HD", "incr_hits+1"},
    {"ma a3 C1 N30 v t", NULL, "VA 1 t30: 0", "total_items+1"},
    {"ma a3 C1 v", NULL, "EX", ""},
    {"ma a4 N30 J18446744073709551615 v", NULL, "VA 20: 18446744073709551615", "total_items+1"},
    {"ma a4 v", NULL, "VA 1: 0", "incr_hits+1"},
    {"ma a5 t N30 v", NULL, "VA 1 t-1: 0", "total_items+1"},
    {"ma a6 N30 t T60 v", NULL, "VA 1 t30: 0", "total_items+1"},
    {"ma a7 T60 N30 t v", NULL, "VA 1 t30: 0", "total_items+1"},
    {"ma none", NULL, "NF", "incr_misses+1"},
    {"ma none MD", NULL, "NF", "decr_misses+1"},
    {"ms a8", "ab", "HD", "cmd_set+1 total_items+1"},
    {"ma a8 v", NULL, "NON_NUMERIC", ""},
    {"ma a8 C1", NULL, "EX", ""},
    {"ms a8", "", "HD", "cmd_set+1 total_items+1"},
    {"ma a8 C1", NULL, "NON_NUMERIC", ""},
    /* What is known of the past. */
    {"ms h1 T100", "ab", "HD", "cmd_set+1 total_items+1"},
    {"mg h1 h", NULL, "HD h0", "cmd_get+1 get_hits+1"},
    {"mg h1 h", NULL, "HD h1", "cmd_get+1 get_hits+1"},
    {"ms h1 T100", "ab", "HD", "cmd_set+1 total_items+1"},
    {"mg h1 u h", NULL, "HD h0", "cmd_get+1 get_hits+1"},
    {"mg h1 h", NULL, "HD h0", "cmd_get+1 get_hits+1"},
    {"mg h1 h", NULL, "HD h1", "cmd_get+1 get_hits+1"},
    {"ms h1", "ab", "HD", "cmd_set+1 total_items+1"},
    {"touch h1 10", NULL, "OK", "cmd_touch+1 touch_hits+1"},
    {"mg h1 h", NULL, "HD h1", "cmd_get+1 get_hits+1"},
    {"ms h1", "15", "HD", "cmd_set+1 total_items+1"},
    {"mg h1 h", NULL, "HD h0", "cmd_get+1 get_hits+1"},
    {"incr h1 1", NULL, "16", "incr_hits+1"},
    {"mg h1 h", NULL, "HD h1", "cmd_get+1 get_hits+1"},
    {"md h1 I", NULL, "HD", ""},
    {"mg h1 h", NULL, "HD h1 X W", "cmd_get+1 get_hits+1"},
    {"ms h1 I C1", "15", "HD", "cmd_set+1 cas_hits+1 total_items+1"},
    {"mg h1 h", NULL, "HD h0 Z X", "cmd_get+1 get_hits+1"},
    {"mg h1 h", NULL, "HD h1 Z X", "cmd_get+1 get_hits+1"},
    {"append h1 0 0", "1", "STORED", "cmd_set+1 total_items+1"},
    {"mg h1 h", NULL, "HD h0", "cmd_get+1 get_hits+1"},
    {"get h1", NULL, "VALUE 0: 151", "cmd_get+1 get_hits+1"},
    {"mg h1 h", NULL, "HD h1", "cmd_get+1 get_hits+1"},
    {"md h1 x", NULL, "HD", "delete_hits+1 total_items+1"},
    {"mg h1 h", NULL, "HD h0", "cmd_get+1 get_hits+1"},
    {"mg h2 N10 h", NULL, "HD h0 W", "cmd_get+1 get_hits+1 total_items+1"},
    {"mg h2 h", NULL, "HD h1 Z", "cmd_get+1 get_hits+1"},
    {"me h1", NULL, "HD", "cmd_meta+1"},
    {"me none", NULL, "EN", "cmd_meta+1"},
};

static void test_as_memcached(void **state)
{
    (void)state;
    static struct world world;
    static struct dialogue dialogue = {.world = &world};
    size_t wrong = 0;
    world_init(&world);
    for (size_t i = 0; i < sizeof exchanges / sizeof *exchanges; i++) {
        const char *answer = dialogue_say(&dialogue, exchanges[i].line, exchanges[i].value);
        if (strcmp(answer, exchanges[i].answer) == 0 && strcmp(dialogue.counts, exchanges[i].counts) == 0) continue;
        print_error("%s\n  answers %s (%s)\n  not %s (%s)\n", exchanges[i].line, answer, dialogue.counts,
                    exchanges[i].answer, exchanges[i].counts);
        wrong++;
    }
    world_deinit(&world);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_as_memcached)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
