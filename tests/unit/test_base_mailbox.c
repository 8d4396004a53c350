/* The mailbox: order, bell, and no mail lost between threads. */
#include "base/mailbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

#define POSTERS 4
#define LETTERS_EACH 20000

struct letter {
    struct mail mail;
    int poster;
    int number;
};

static bool rings(const struct mailbox *box, int timeout_ms)
{
    struct pollfd bell = {.fd = box->bell, .events = POLLIN};
    return poll(&bell, 1, timeout_ms) == 1;
}

static void test_takes_oldest_first(void **state)
{
    (void)state;
    struct mailbox box;
    struct letter letters[3];
    assert_true(mailbox_init(&box, false));
    assert_null(mailbox_take(&box));
    for (int i = 0; i < 3; i++) {
        mailbox_post(&box, &letters[i].mail);
    }
    struct mail *mail = mailbox_take(&box);
    for (int i = 0; i < 3; i++) {
        assert_ptr_equal(mail, &letters[i].mail);
        mail = mail->next;
    }
    assert_null(mail);
    assert_null(mailbox_take(&box));
    mailbox_ring(&box);
    mailbox_deinit(&box);
}

static void test_bell(void **state)
{
    (void)state;
    struct mailbox box;
    struct letter letters[2];
    assert_true(mailbox_init(&box, true));
    assert_false(rings(&box, 0));
    mailbox_post(&box, &letters[0].mail);
    mailbox_post(&box, &letters[1].mail);
    assert_true(rings(&box, 0));
    assert_non_null(mailbox_take(&box));
    assert_false(rings(&box, 0));
    mailbox_post(&box, &letters[0].mail);
    assert_true(rings(&box, 0));
    assert_non_null(mailbox_take(&box));
    mailbox_ring(&box);
    assert_true(rings(&box, 0));
    assert_null(mailbox_take(&box));
    assert_false(rings(&box, 0));
    mailbox_deinit(&box);
    assert_int_equal(box.bell, -1);
}

static void test_nobody_rings_for_a_taker_that_is_awake(void **state)
{
    (void)state;
    struct mailbox box;
    struct letter letters[2];
    assert_true(mailbox_init(&box, true));
    assert_null(mailbox_collect(&box));
    for (int i = 0; i < 3; i++) {
        mailbox_post(&box, &letters[0].mail);
        mailbox_post(&box, &letters[1].mail);
        struct mail *mail = mailbox_collect(&box);
        assert_ptr_equal(mail, &letters[0].mail);
        assert_ptr_equal(mail->next, &letters[1].mail);
        assert_null(mail->next->next);
        assert_null(mailbox_collect(&box));
    }
    mailbox_post(&box, &letters[0].mail);
    assert_false(mailbox_rest(&box)); /* there is something */
    assert_false(rings(&box, 0));
    assert_ptr_equal(mailbox_poll(&box), &letters[0].mail); /* who polls waits for the bell */
    mailbox_post(&box, &letters[0].mail);
    assert_true(rings(&box, 0));
    assert_ptr_equal(mailbox_take(&box), &letters[0].mail);
    mailbox_deinit(&box);
}

static void test_a_taker_that_rests_is_rung_for_once(void **state)
{
    (void)state;
    struct mailbox box;
    struct letter letters[2];
    assert_true(mailbox_init(&box, true));
    assert_null(mailbox_collect(&box));
    assert_true(mailbox_rest(&box));
    assert_true(mailbox_rest(&box));
    mailbox_post(&box, &letters[0].mail);
    assert_true(rings(&box, 0));
    mailbox_silence(&box);
    mailbox_post(&box, &letters[1].mail);
    assert_false(rings(&box, 0));
    assert_false(mailbox_rest(&box));
    mailbox_rise(&box); /* mail stays */
    assert_ptr_equal(mailbox_collect(&box), &letters[0].mail);
    assert_true(mailbox_rest(&box));
    mailbox_rise(&box);
    mailbox_post(&box, &letters[0].mail);
    assert_false(rings(&box, 0));
    assert_ptr_equal(mailbox_collect(&box), &letters[0].mail);
    mailbox_deinit(&box);
}

static void test_who_leaves_mail_rings_later(void **state)
{
    (void)state;
    struct mailbox box, mute;
    struct letter letters[2];
    assert_true(mailbox_init(&box, true));
    assert_true(mailbox_leave(&box, &letters[0].mail));
    assert_false(mailbox_leave(&box, &letters[1].mail));
    assert_false(rings(&box, 0));
    assert_ptr_equal(mailbox_collect(&box), &letters[0].mail);
    assert_false(mailbox_leave(&box, &letters[0].mail)); /* the taker is awake */
    mailbox_deinit(&box);
    assert_true(mailbox_init(&mute, false));
    assert_false(mailbox_leave(&mute, &letters[0].mail)); /* there is no bell */
    mailbox_deinit(&mute);
}

struct post_office {
    struct mailbox box;
    struct letter letters[POSTERS][LETTERS_EACH];
};

struct poster {
    struct post_office *office;
    int number;
};

static void *post_letters(void *argument)
{
    struct poster *poster = argument;
    for (int i = 0; i < LETTERS_EACH; i++) {
        struct letter *letter = &poster->office->letters[poster->number][i];
        letter->poster = poster->number;
        letter->number = i;
        mailbox_post(&poster->office->box, &letter->mail);
    }
    return NULL;
}

/* One turn of a taker that sleeps on the bell alone: a lost ring would leave it waiting. */
static struct mail *take_when_rung(struct mailbox *box)
{
    assert_true(rings(box, 10000));
    return mailbox_take(box);
}

/* The same of one that sleeps only when there is nothing. */
static struct mail *collect_before_rest(struct mailbox *box)
{
    if (mailbox_rest(box)) {
        assert_true(rings(box, 10000));
        mailbox_silence(box);
    }
    return mailbox_collect(box);
}

static void receive_from_many(struct mail *(*take)(struct mailbox *))
{
    struct post_office *office = check_calloc_aligned(_Alignof(struct post_office), sizeof *office);
    struct poster posters[POSTERS];
    pthread_t threads[POSTERS];
    int next[POSTERS] = {0};
    assert_true(mailbox_init(&office->box, true));
    for (int i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){office, i};
        assert_int_equal(pthread_create(&threads[i], NULL, post_letters, &posters[i]), 0);
    }
    for (int taken = 0; taken < POSTERS * LETTERS_EACH;) {
        for (struct mail *mail = take(&office->box); mail != NULL; mail = mail->next) {
            const struct letter *letter = (const struct letter *)mail;
            assert_int_equal(letter->number, next[letter->poster]);
            next[letter->poster]++;
            taken++;
        }
    }
    for (int i = 0; i < POSTERS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_null(mailbox_take(&office->box));
    mailbox_deinit(&office->box);
    free(office);
}

static void test_many_posters(void **state)
{
    (void)state;
    receive_from_many(take_when_rung);
    receive_from_many(collect_before_rest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_takes_oldest_first),
        cmocka_unit_test(test_bell),
        cmocka_unit_test(test_nobody_rings_for_a_taker_that_is_awake),
        cmocka_unit_test(test_a_taker_that_rests_is_rung_for_once),
        cmocka_unit_test(test_who_leaves_mail_rings_later),
        cmocka_unit_test(test_many_posters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
