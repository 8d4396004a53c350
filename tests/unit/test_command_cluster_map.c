#include "command/cluster_map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C "cccccccccccccccccccccccccccccccccccccccc"

static void expect_words(const struct cluster_map *map, uint16_t slot, struct span expected)
{
    char words[CLUSTER_WORDS_SIZE];
    size_t size = cluster_map_tell(map, slot, words);
    assert_int_equal(size, expected.size);
    assert_memory_equal(words, expected.data, size);
}

/* The open slots of this node stand in a line ahead of the node that they go to. */
static const struct span three_nodes =
    SPAN(A " 10.0.0.1:6379@16379,host-a myself,master - 0 1 1 connected 0-99 101 [7->-" C "] [200-<-" B "] [201-<-" B "]\n"
         B " 10.0.0.2:6379@16379 master - 1 1 2 connected 100 102-16000 [300->-" C "]\n"
         C " 2001:db8::1:6380@16380,,tls-port=0,shard-id=x slave,fail? " B " 1 1 2 connected\n");

static void test_three_nodes(void **state)
{
    (void)state;
    struct cluster_map map = {0};
    cluster_map_read(&map, three_nodes);
    assert_int_equal(map.node_count, 3);
    const struct {
        uint16_t slot;
        enum slot_tenure tenure;
    } expected[] = {{0, TENURE_OURS}, {7, TENURE_LEAVING}, {99, TENURE_OURS}, {100, TENURE_ELSEWHERE}, {101, TENURE_OURS},
                    {102, TENURE_ELSEWHERE}, {200, TENURE_COMING}, {201, TENURE_COMING}, {300, TENURE_ELSEWHERE},
                    {16000, TENURE_ELSEWHERE}, {16001, TENURE_ELSEWHERE}, {16383, TENURE_ELSEWHERE}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_int_equal(map.tenure[expected[i].slot], expected[i].tenure);
    expect_words(&map, 7, SPAN("ASK 7 2001:db8::1:6380"));
    expect_words(&map, 100, SPAN("MOVED 100 10.0.0.2:6379"));
    expect_words(&map, 200, SPAN("MOVED 200 10.0.0.2:6379"));
    expect_words(&map, 16383, SPAN("CLUSTERDOWN Hash slot 16383 is served by no node that is known here"));
    cluster_map_deinit(&map);
}

/* A later map leaves nothing of the one before. */
static void test_read_anew(void **state)
{
    (void)state;
    struct cluster_map map = {0};
    cluster_map_read(&map, three_nodes);
    cluster_map_read(&map, SPAN(B " :6379@16379 myself,slave " A " 1 1 2 connected\n" A " :0@0 master,noaddr - 1 1 2 disconnected 5"));
    assert_int_equal(map.node_count, 2);
    assert_int_equal(map.tenure[0], TENURE_ELSEWHERE);
    assert_int_equal(map.tenure[7], TENURE_ELSEWHERE);
    expect_words(&map, 5, SPAN("CLUSTERDOWN Hash slot 5 is served by no node that is known here"));
    cluster_map_deinit(&map);
}

/* Every beginning of the text, and what no engine says, is read without harm. */
static void test_what_is_not_understood(void **state)
{
    (void)state;
    struct cluster_map map = {0};
    for (size_t size = 0; size < three_nodes.size; size++) {
        char *text = check_malloc(size + 1);
        memcpy(text, three_nodes.data, size);
        cluster_map_read(&map, span_of(text, size));
        free(text);
    }
    cluster_map_read(&map, SPAN(A " 1.2.3.4:1@2 myself,master - 0 0 1 connected 16384 1-16384 x 5-3 [ [9 [9-> [99999->-" B "] 8 -\n\n \n"));
    for (uint32_t slot = 0; slot < HASH_SLOTS; slot++)
        assert_int_equal(map.tenure[slot], slot == 8 ? TENURE_OURS : TENURE_ELSEWHERE);
    cluster_map_deinit(&map);
}

static void test_longest_words(void **state)
{
    (void)state;
    struct cluster_map map = {0};
    cluster_map_read(&map, SPAN(A " ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255:65535@1 master - 0 0 1 connected 16383"));
    expect_words(&map, 16383, SPAN("MOVED 16383 ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255:65535"));
    cluster_map_read(&map, SPAN(A " a-name-that-is-longer-than-any-address-of-the-internet-protocol:65535@1 master - 0 0 1 connected 16383"));
    expect_words(&map, 16383, SPAN("CLUSTERDOWN Hash slot 16383 is served by no node that is known here"));
    cluster_map_deinit(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_three_nodes),
        cmocka_unit_test(test_read_anew),
        cmocka_unit_test(test_what_is_not_understood),
        cmocka_unit_test(test_longest_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
