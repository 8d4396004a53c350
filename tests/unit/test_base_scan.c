/* Finding bytes: every place, every alignment, and with no readable byte behind the text. */
#include "base/scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/mman.h>
#include <unistd.h>

/* Two pages, of which the second cannot be read; returns its start. */
static char *new_edge(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(pages, MAP_FAILED);
    assert_int_equal(mprotect(pages + page, page, PROT_NONE), 0);
    return pages + page;
}

static void free_edge(char *edge)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    assert_int_equal(munmap(edge - page, 2 * page), 0);
}

static void test_find_at_the_edge_of_a_page(void **state)
{
    (void)state;
    char *edge = new_edge();
    for (size_t size = 0; size < 100; size++) {
        char *text = edge - size;
        memset(text, 'x', size);
        assert_int_equal(scan_find(span_of(text, size), ' '), size);
        for (size_t at = size; at-- > 0;) {
            text[at] = ' '; /* the first of several */
            assert_int_equal(scan_find(span_of(text, size), ' '), at);
        }
    }
    free_edge(edge);
}

static void test_find_at_every_alignment(void **state)
{
    (void)state;
    char text[160];
    for (size_t begin = 0; begin < 64; begin++) {
        for (size_t at = 0; at < 80; at++) {
            memset(text, ' ', sizeof text); /* before and behind the text, too */
            memset(text + begin, 'x', 80);
            text[begin + at] = ' ';
            assert_int_equal(scan_find(span_of(text + begin, 80), ' '), at);
        }
    }
}

/* All bytes, beside such as differ from them in one bit. */
static void test_marks(void **state)
{
    (void)state;
    char *edge = new_edge();
    for (int byte = 0; byte < 256; byte++) {
        for (uint32_t pattern = 1; pattern != 0; pattern = pattern << 1 | (pattern >> 7 & 1 & (pattern >> 3))) {
            char *text = edge - 32;
            for (size_t i = 0; i < 32; i++) text[i] = (char)(pattern >> i & 1 ? byte : byte ^ 1 << i % 8);
            assert_int_equal(scan_32(text, (char)byte), pattern);
            assert_int_equal(scan_16(text, (char)byte), pattern & 0xffff);
            assert_int_equal(scan_16(text + 16, (char)byte), pattern >> 16);
        }
    }
    free_edge(edge);
}

/* Every set of places, and words that differ from the wanted one in one bit. */
static void test_words(void **state)
{
    (void)state;
    const uint32_t wanted = 0x80ff017f;
    for (uint32_t places = 0; places < 256; places++) {
        for (unsigned bit = 0; bit < 32; bit++) {
            uint32_t words[9];
            words[8] = wanted; /* not one of them */
            for (unsigned i = 0; i < 8; i++) words[i] = places >> i & 1 ? wanted : wanted ^ UINT32_C(1) << bit;
            assert_int_equal(scan_words_8(words, wanted), places);
        }
    }
}

/* What stands in for the processor's help, wherever the tests run. */
static void test_marks_by_arithmetic(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        for (uint32_t pattern = 0; pattern < 256; pattern++) {
            uint64_t bytes = 0;
            for (unsigned i = 0; i < 8; i++)
                bytes |= (uint64_t)(unsigned char)(pattern >> i & 1 ? byte : byte ^ 1 << (i + pattern) % 8) << 8 * i;
            assert_int_equal(scan_8(bytes, (char)byte), pattern);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find_at_the_edge_of_a_page),
        cmocka_unit_test(test_find_at_every_alignment),
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_marks_by_arithmetic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
