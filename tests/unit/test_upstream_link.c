/* The connection to an old server that is slow, stops in the middle, or never answers: each job comes back, and in its time. */
#include "upstream/link.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netdb.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND_US 1000000u

/* In place of the system's: "two" has an address where nobody listens, and then one where the server does. */
int getaddrinfo(const char *host, const char *port, const struct addrinfo *wish, struct addrinfo **found)
{
    (void)wish;
    static struct sockaddr_in addresses[2];
    static struct addrinfo infos[2];
    for (int i = 0; i < 2; i++) {
        addresses[i] = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)),
                                            .sin_addr.s_addr = htonl(i == 0 ? INADDR_LOOPBACK + 1 : INADDR_LOOPBACK)};
        infos[i] = (struct addrinfo){.ai_family = AF_INET, .ai_socktype = SOCK_STREAM, .ai_addrlen = sizeof addresses[i],
                                     .ai_addr = (struct sockaddr *)&addresses[i], .ai_next = i == 0 ? &infos[1] : NULL};
    }
    *found = strcmp(host, "two") == 0 ? &infos[0] : &infos[1];
    return 0;
}

void freeaddrinfo(struct addrinfo *found)
{
    (void)found;
}
#define JOBS_MOST 8

/* A server in the test's hands, and the link to it. */
struct scene {
    struct link_owner owner; /* first */
    struct fleet_server target;
    struct server_status status;
    struct link link;
    int listener;
    int peer; /* the server's end of the connection */
    uint64_t now_us;
    enum job_outcome outcomes[JOBS_MOST];
    size_t finished;
};

static void finish(struct link_owner *owner, struct job *job)
{
    struct scene *scene = (struct scene *)owner;
    assert_true(scene->finished < JOBS_MOST);
    scene->outcomes[scene->finished++] = job->outcome;
    job_free(&job);
}

static void begin(struct scene *scene)
{
    *scene = (struct scene){.owner.finish = finish, .target.host = "127.0.0.1", .peer = -1, .now_us = clock_monotonic_us()};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    scene->owner.epoll = epoll_create1(EPOLL_CLOEXEC);
    scene->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(scene->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(scene->listener, 8), 0);
    assert_int_equal(getsockname(scene->listener, (struct sockaddr *)&address, &size), 0);
    scene->target.port = ntohs(address.sin_port);
    link_init(&scene->link, &scene->owner, &scene->target, &scene->status, NULL);
}

static void end(struct scene *scene)
{
    link_deinit(&scene->link);
    if (scene->peer >= 0) close(scene->peer);
    close(scene->listener);
    close(scene->owner.epoll);
}

static void submit_as(struct scene *scene, enum job_kind kind, uint64_t lifetime_us)
{
    struct job *job = job_new(kind, 0, SPAN("k"));
    job->deadline_us = scene->now_us + lifetime_us;
    link_submit(&scene->link, job);
    link_flush(&scene->link, scene->now_us);
}

static void submit(struct scene *scene, uint64_t lifetime_us)
{
    submit_as(scene, JOB_FETCH, lifetime_us);
}

/* Whatever the socket is ready for happens; waits for it where there is nothing. */
static void handle_events(struct scene *scene)
{
    struct epoll_event events[4];
    int count = epoll_wait(scene->owner.epoll, events, 4, 10000);
    assert_true(count > 0);
    for (int i = 0; i < count; i++) {
        struct event_source *source = events[i].data.ptr;
        source->handle(source, events[i].events);
    }
}

/* So much later nothing has happened but that time has passed. */
static void wait_in_vain(struct scene *scene, uint64_t microseconds)
{
    scene->now_us += microseconds;
    link_check_time(&scene->link, scene->now_us);
}

static void hear(struct scene *scene, const char *expected)
{
    char text[256];
    size_t size = 0;
    while (size < strlen(expected)) {
        ssize_t more = recv(scene->peer, text + size, sizeof text - size, 0);
        assert_true(more > 0);
        size += (size_t)more;
    }
    assert_int_equal(size, strlen(expected));
    assert_memory_equal(text, expected, size);
}

static void say(struct scene *scene, const char *text)
{
    assert_int_equal(send(scene->peer, text, strlen(text), 0), (ssize_t)strlen(text));
}

static void greet(struct scene *scene)
{
    scene->peer = accept(scene->listener, NULL, NULL);
    handle_events(scene);
    hear(scene, "version\r\nmn\r\n");
    say(scene, "VERSION 1.6.18\r\nMN\r\n");
    while (scene->link.state != LINK_READY) handle_events(scene);
}

/* A machine is busy at times: who waits ten seconds for an answer waits as long for the connection. */
static void test_a_connection_takes_as_long_as_whoever_waits(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    submit(&scene, 10 * SECOND_US);
    wait_in_vain(&scene, 9 * SECOND_US);
    assert_int_equal(scene.finished, 0);
    greet(&scene);
    hear(&scene, "mg k v f t\r\n");
    say(&scene, "EN\r\n");
    while (scene.finished == 0) handle_events(&scene);
    assert_int_equal(scene.outcomes[0], JOB_DONE);
    end(&scene);
}

/* As "localhost" mostly has ::1 first, where an old memcached does not listen. */
static void test_all_addresses_of_a_name_are_tried(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    (void)snprintf(scene.target.host, sizeof scene.target.host, "two");
    submit(&scene, 10 * SECOND_US);
    while (scene.finished == 0 && scene.link.address == 0) handle_events(&scene); /* the first refuses */
    assert_int_equal(scene.finished, 0);
    greet(&scene);
    hear(&scene, "mg k v f t\r\n");
    say(&scene, "EN\r\n");
    while (scene.finished == 0) handle_events(&scene);
    assert_int_equal(scene.outcomes[0], JOB_DONE);
    end(&scene);
}

static void test_a_connection_that_no_address_takes(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    close(scene.listener);
    (void)snprintf(scene.target.host, sizeof scene.target.host, "two");
    submit(&scene, 10 * SECOND_US);
    while (scene.finished == 0) handle_events(&scene);
    assert_int_equal(scene.outcomes[0], JOB_UNREACHABLE);
    assert_int_equal(scene.link.state, LINK_CLOSED);
    scene.listener = dup(scene.owner.epoll);
    end(&scene);
}

static void test_a_connection_that_is_not_made(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    submit(&scene, SECOND_US / 10);
    wait_in_vain(&scene, SECOND_US / 10);
    assert_int_equal(scene.finished, 1);
    assert_int_equal(scene.outcomes[0], JOB_LATE);
    assert_int_equal(scene.link.state, LINK_CLOSED);
    end(&scene);
}

/* Half of an answer is none: the job comes back in time, and so does that behind it. */
static void test_half_of_an_answer(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    submit(&scene, SECOND_US);
    greet(&scene);
    submit(&scene, SECOND_US);
    hear(&scene, "mg k v f t\r\nmg k v f t\r\n");
    say(&scene, "VA 5 f0 t-1\r\nha");
    handle_events(&scene);
    wait_in_vain(&scene, SECOND_US / 2);
    assert_int_equal(scene.finished, 0);
    wait_in_vain(&scene, SECOND_US / 2);
    assert_int_equal(scene.finished, 2);
    assert_int_equal(scene.outcomes[0], JOB_LATE);
    assert_int_equal(scene.outcomes[1], JOB_LATE);
    assert_int_equal(scene.link.state, LINK_CLOSED);
    end(&scene);
}

/* What was left of the connection before is neither sent nor taken for an answer. */
static void test_a_connection_begins_empty(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    submit(&scene, SECOND_US);
    greet(&scene);
    hear(&scene, "mg k v f t\r\n");
    say(&scene, "VA 5 f0 t-1\r\nha");
    handle_events(&scene);
    buffer_append(&scene.link.output, SPAN("half of a requ"));
    wait_in_vain(&scene, SECOND_US);
    assert_int_equal(scene.link.state, LINK_CLOSED);
    close(scene.peer);
    submit(&scene, SECOND_US);
    greet(&scene);
    hear(&scene, "mg k v f t\r\n");
    say(&scene, "EN\r\n");
    while (scene.finished == 1) handle_events(&scene);
    assert_int_equal(scene.outcomes[1], JOB_DONE);
    end(&scene);
}

/* Who says what nobody asked, or more than anybody can take, is not listened to. */
static void test_a_server_out_of_its_mind(void **state)
{
    (void)state;
    static const char *const words[] = {"EN\r\nEN\r\n", "VA 536870913 f0 t-1\r\n"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct scene scene;
        begin(&scene);
        submit(&scene, SECOND_US);
        greet(&scene);
        hear(&scene, "mg k v f t\r\n");
        say(&scene, words[i]);
        while (scene.finished == 0) handle_events(&scene);
        assert_int_equal(scene.link.state, LINK_CLOSED);
        end(&scene);
    }
}

/* A client that waits behind a copy waits no longer for that. */
static void test_copies_hold_nobody(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    submit(&scene, SECOND_US);
    greet(&scene);
    hear(&scene, "mg k v f t\r\n");
    say(&scene, "EN\r\n");
    while (scene.finished == 0) handle_events(&scene);
    submit_as(&scene, JOB_REMOVE, 10 * SECOND_US);
    submit(&scene, SECOND_US);
    wait_in_vain(&scene, SECOND_US);
    assert_int_equal(scene.finished, 3);
    assert_int_equal(scene.outcomes[1], JOB_LATE);
    assert_int_equal(scene.outcomes[2], JOB_LATE);
    end(&scene);
}

/* Many copies may take a server longer than their time: as long as it goes on answering, it is well. */
static void test_copies_have_time_while_others_are_answered(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    submit(&scene, SECOND_US);
    greet(&scene);
    hear(&scene, "mg k v f t\r\n");
    submit_as(&scene, JOB_REMOVE, SECOND_US / 2);
    say(&scene, "EN\r\n");
    while (scene.finished == 0) handle_events(&scene);
    wait_in_vain(&scene, SECOND_US);
    assert_int_equal(scene.finished, 1);
    wait_in_vain(&scene, LINK_COPY_GRACE_US);
    assert_int_equal(scene.finished, 2);
    assert_int_equal(scene.outcomes[1], JOB_LATE);
    end(&scene);
}

/* A probe has nobody who waits for it. */
static void test_probes_are_given_up(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    for (unsigned i = 0; i < BREAKER_FAILURES; i++) {
        submit(&scene, 1);
        wait_in_vain(&scene, 1);
    }
    assert_int_equal(scene.finished, BREAKER_FAILURES);
    assert_int_equal(atomic_load(&scene.status.state), SERVER_DOWN);
    submit(&scene, SECOND_US); /* comes back at once */
    assert_int_equal(scene.outcomes[BREAKER_FAILURES], JOB_UNREACHABLE);
    wait_in_vain(&scene, BREAKER_PAUSE_US);
    assert_int_equal(scene.link.state, LINK_CONNECTING);
    wait_in_vain(&scene, SECOND_US);
    assert_int_equal(scene.link.state, LINK_CLOSED);
    assert_true(link_next_due(&scene.link) > scene.now_us);
    end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_connection_takes_as_long_as_whoever_waits),
        cmocka_unit_test(test_all_addresses_of_a_name_are_tried),
        cmocka_unit_test(test_a_connection_that_no_address_takes),
        cmocka_unit_test(test_a_connection_that_is_not_made),
        cmocka_unit_test(test_half_of_an_answer),
        cmocka_unit_test(test_a_connection_begins_empty),
        cmocka_unit_test(test_a_server_out_of_its_mind),
        cmocka_unit_test(test_copies_hold_nobody),
        cmocka_unit_test(test_copies_have_time_while_others_are_answered),
        cmocka_unit_test(test_probes_are_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
