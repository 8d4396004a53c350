#include "observe/clients.h"

#include "observe/stats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static struct client_entry entry_of(int descriptor, const char *address, int64_t last_request_ms)
{
    struct client_entry entry = {.descriptor = descriptor, .listening = "tcp:127.0.0.1:11211"};
    (void)snprintf(entry.address, sizeof(entry.address), "%s", address);
    atomic_init(&entry.last_request_ms, last_request_ms);
    return entry;
}

static void assert_pair(struct span *pairs, const char *name, const char *value)
{
    struct span found_name;
    struct span found_value;
    assert_true(stats_next_pair(pairs, &found_name, &found_value));
    assert_int_equal(found_name.size, strlen(name));
    assert_memory_equal(found_name.data, name, found_name.size);
    assert_int_equal(found_value.size, strlen(value));
    assert_memory_equal(found_value.data, value, found_value.size);
}

static void test_clients_are_rendered_in_order(void **state)
{
    (void)state;
    struct client_list list;
    struct buffer output;
    buffer_init(&output);
    client_list_init(&list);
    struct client_entry one = entry_of(7, "tcp:127.0.0.1:1", 10000);
    struct client_entry two = entry_of(9, "tcp6:[::1]:2", 99000); /* its clock is ahead of the reader's */
    atomic_init(&two.state, CLIENT_WRITES);
    client_list_add(&list, &one);
    client_list_add(&list, &two);
    client_list_render(&list, 12500, 10, &output);

    struct span pairs = buffer_content(&output);
    assert_pair(&pairs, "7:addr", "tcp:127.0.0.1:1");
    assert_pair(&pairs, "7:listen_addr", "tcp:127.0.0.1:11211");
    assert_pair(&pairs, "7:state", "conn_read");
    assert_pair(&pairs, "7:secs_since_last_cmd", "2");
    assert_pair(&pairs, "9:addr", "tcp6:[::1]:2");
    assert_pair(&pairs, "9:listen_addr", "tcp:127.0.0.1:11211");
    assert_pair(&pairs, "9:state", "conn_mwrite");
    assert_pair(&pairs, "9:secs_since_last_cmd", "0");
    assert_int_equal(pairs.size, 0);

    client_list_remove(&list, &one);
    client_list_remove(&list, &two);
    client_list_deinit(&list);
    buffer_deinit(&output);
}

static void test_a_door_has_nothing_that_it_came_through(void **state)
{
    (void)state;
    struct client_list list;
    struct buffer output;
    buffer_init(&output);
    client_list_init(&list);
    struct client_entry door = entry_of(5, "tcp:127.0.0.1:11211", 1000);
    door.listening[0] = '\0';
    atomic_init(&door.state, CLIENT_LISTENS);
    client_list_add(&list, &door);
    client_list_render(&list, 9000, 10, &output);

    struct span pairs = buffer_content(&output);
    assert_pair(&pairs, "5:addr", "tcp:127.0.0.1:11211");
    assert_pair(&pairs, "5:state", "conn_listening");
    assert_pair(&pairs, "5:secs_since_last_cmd", "8");
    assert_int_equal(pairs.size, 0);

    client_list_remove(&list, &door);
    client_list_deinit(&list);
    buffer_deinit(&output);
}

static void test_rendering_is_bounded(void **state)
{
    (void)state;
    struct client_list list;
    struct buffer output;
    struct client_entry entries[5];
    buffer_init(&output);
    client_list_init(&list);
    for (int i = 0; i < 5; i++) {
        entries[i] = entry_of(i, "tcp:127.0.0.1:1", 0);
        client_list_add(&list, &entries[i]);
    }
    assert_int_equal(list.count, 5);
    client_list_remove(&list, &entries[1]); /* from the middle */
    client_list_render(&list, 0, 2, &output);

    struct span pairs = buffer_content(&output);
    struct span name;
    struct span value;
    size_t count = 0;
    while (stats_next_pair(&pairs, &name, &value)) {
        assert_true(name.data[0] == '0' || name.data[0] == '2');
        count++;
    }
    assert_int_equal(count, 8);
    for (int i = 0; i < 5; i++) {
        if (i != 1) {
            client_list_remove(&list, &entries[i]);
        }
    }
    assert_int_equal(list.count, 0);
    client_list_deinit(&list);
    buffer_deinit(&output);
}

static void *come_and_go(void *argument)
{
    struct client_list *list = argument;
    for (int i = 0; i < 2000; i++) {
        struct client_entry entry = entry_of(i, "tcp:127.0.0.1:1", 0);
        client_list_add(list, &entry);
        atomic_store_explicit(&entry.last_request_ms, i, memory_order_relaxed);
        client_list_remove(list, &entry);
    }
    return NULL;
}

static void test_clients_come_and_go_while_rendered(void **state)
{
    (void)state;
    struct client_list list;
    pthread_t threads[2];
    client_list_init(&list);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, &list), 0);
    }
    for (int i = 0; i < 200; i++) {
        struct buffer output;
        buffer_init(&output);
        client_list_render(&list, 0, 100, &output);
        buffer_deinit(&output);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(list.count, 0);
    client_list_deinit(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clients_are_rendered_in_order),
        cmocka_unit_test(test_a_door_has_nothing_that_it_came_through),
        cmocka_unit_test(test_rendering_is_bounded),
        cmocka_unit_test(test_clients_come_and_go_while_rendered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
