/* The audience, where the engine says what the test wants. */
#include "engine/audience.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define NOBODY "# Replication\r\nrole:master\r\nconnected_slaves:0\r\nmaster_replid:f0\r\nrepl_backlog_active:0\r\nrepl_backlog_size:1\r\n"
#define A_REPLICA "# Replication\r\nrole:master\r\nconnected_slaves:1\r\nmaster_replid:f0\r\nrepl_backlog_active:1\r\nrepl_backlog_size:1\r\n"
/* Of the two conditions each counts by itself, though no engine has a replica without a backlog. */
#define NO_BACKLOG "# Replication\r\nrole:master\r\nconnected_slaves:1\r\nmaster_replid:f0\r\nrepl_backlog_active:0\r\nrepl_backlog_size:1\r\n"
/* A replica that was there may come back, and take up where it left. */
#define A_BACKLOG "# Replication\r\nrole:master\r\nconnected_slaves:0\r\nmaster_replid:f0\r\nrepl_backlog_active:1\r\nrepl_backlog_size:1\r\n"

static struct scene {
    struct audience audience;
    struct calm calm;
    const char *info; /* NULL: the engine does not answer */
    int asked;        /* so far */
} scene;

static RedisModuleCallReply *call(RedisModuleCtx *ctx, const char *command, const char *format, ...)
{
    (void)ctx, (void)command, (void)format;
    scene.asked++;
    return scene.info ? (RedisModuleCallReply *)&scene : NULL;
}

static const char *reply_text(RedisModuleCallReply *reply, size_t *size)
{
    (void)reply;
    *size = strlen(scene.info);
    return scene.info;
}

static void free_reply(RedisModuleCallReply *reply) { (void)reply; }

static int begin(void **state)
{
    (void)state;
    scene = (struct scene){.info = NOBODY, .calm.changes = 1};
    api = (struct api){.Call = call, .CallReplyStringPtr = reply_text, .FreeCallReply = free_reply};
    return 0;
}

/* A turn with as many writes as it takes until the engine is asked; tells whether the last of them was heard by nobody. */
static bool is_absent(int flags)
{
    bool is_absent = false;
    audience_begin_turn(&scene.audience, &scene.calm, NULL, flags);
    for (unsigned i = 0; i < AUDIENCE_ASKED_AFTER; i++) is_absent = audience_is_absent(&scene.audience);
    audience_end_turn(&scene.audience);
    assert_false(audience_is_absent(&scene.audience)); /* between turns */
    return is_absent;
}

static void test_nobody_is_there(void **state)
{
    (void)state;
    assert_true(is_absent(API_CONTEXT_PRIMARY));
    assert_int_equal(scene.asked, 1);
    assert_true(is_absent(API_CONTEXT_PRIMARY));
    assert_int_equal(scene.asked, 1);
}

static void test_whoever_is_there_or_may_come_back_hears(void **state)
{
    (void)state;
    static const char *const infos[] = {A_REPLICA, NO_BACKLOG, A_BACKLOG, NULL};
    for (size_t i = 0; i < sizeof infos / sizeof *infos; i++) {
        scene.info = infos[i];
        scene.calm.changes++;
        assert_false(is_absent(API_CONTEXT_PRIMARY));
    }
    assert_int_equal(scene.asked, 4);
}

static void test_a_file_and_the_nodes_of_a_cluster_hear(void **state)
{
    (void)state;
    assert_true(is_absent(API_CONTEXT_PRIMARY));
    assert_false(is_absent(API_CONTEXT_PRIMARY | API_CONTEXT_AOF));
    assert_false(is_absent(API_CONTEXT_PRIMARY | API_CONTEXT_CLUSTER));
    assert_true(is_absent(API_CONTEXT_PRIMARY));
}

static void test_the_engine_is_asked_again_when_somebody_may_have_come(void **state)
{
    (void)state;
    assert_true(is_absent(API_CONTEXT_PRIMARY));
    scene.calm.changes++;
    scene.info = A_REPLICA;
    assert_false(is_absent(API_CONTEXT_PRIMARY));
    scene.info = NOBODY;
    scene.calm.changes++;
    assert_true(is_absent(API_CONTEXT_PRIMARY));
    scene.calm.uneasy_until = 1; /* a pause, behind which somebody may come */
    scene.info = A_REPLICA;
    assert_false(is_absent(API_CONTEXT_PRIMARY));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_nobody_is_there, begin),
        cmocka_unit_test_setup(test_whoever_is_there_or_may_come_back_hears, begin),
        cmocka_unit_test_setup(test_a_file_and_the_nodes_of_a_cluster_hear, begin),
        cmocka_unit_test_setup(test_the_engine_is_asked_again_when_somebody_may_have_come, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
