#include "base/pages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define LARGE_PAGE ((size_t)2 * 1024 * 1024)

static const size_t sizes[] = {1, 4096, 65536, LARGE_PAGE - 1, LARGE_PAGE, LARGE_PAGE + 1, 5 * LARGE_PAGE + 4097};

static void test_pages_are_zeroed_and_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *pages = pages_new(sizes[i]);
        assert_non_null(pages);
        assert_int_equal((uintptr_t)pages % 4096, 0);
        for (size_t at = 0; at < sizes[i]; at += 512) assert_int_equal(pages[at], 0);
        memset(pages, 1, sizes[i]);
        pages_free(pages, sizes[i]);
    }
    pages_free(NULL, 1);
}

static void test_large_ones_begin_where_large_pages_do(void **state)
{
    (void)state;
    char *first = pages_new(3 * LARGE_PAGE), *second = pages_new(LARGE_PAGE + 1);
    assert_int_equal((uintptr_t)first % LARGE_PAGE, 0);
    assert_int_equal((uintptr_t)second % LARGE_PAGE, 0);
    pages_free(first, 3 * LARGE_PAGE);
    pages_free(second, LARGE_PAGE + 1);
}

/* msync fails for what is not mapped. */
static int is_mapped(char *page)
{
    return msync(page, 1, MS_ASYNC) == 0;
}

static void test_what_is_freed_is_gone_whole(void **state)
{
    (void)state;
    char *pages = pages_new(LARGE_PAGE + 1);
    assert_true(is_mapped(pages + 2 * LARGE_PAGE - 4096));
    pages_free(pages, LARGE_PAGE + 1);
    assert_false(is_mapped(pages));
    assert_false(is_mapped(pages + 2 * LARGE_PAGE - 4096));
}

static void test_children_do_without(void **state)
{
    (void)state;
    char *shared = pages_new(65536), *kept = pages_new(65536);
    pages_keep_from_children(kept, 65536);
    pid_t child = fork();
    if (child == 0) _exit(is_mapped(shared) && !is_mapped(kept) ? 0 : 1);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    pages_free(shared, 65536);
    pages_free(kept, 65536);
}

static void test_more_than_there_is_is_refused(void **state)
{
    (void)state;
    assert_null(pages_new(SIZE_MAX));
    assert_null(pages_new(SIZE_MAX / 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages_are_zeroed_and_whole),
        cmocka_unit_test(test_large_ones_begin_where_large_pages_do),
        cmocka_unit_test(test_what_is_freed_is_gone_whole),
        cmocka_unit_test(test_children_do_without),
        cmocka_unit_test(test_more_than_there_is_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
