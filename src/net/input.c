#include "net/input.h"

/* An input grows to this without giving it back at once. */
#define COMMON_MOST (2 * POOL_BUFFER_SIZE)
/* What requests that need more get at least, for several of them come together. */
#define LARGE_LEAST ((size_t)64 * 1024)

static void replace(struct buffer *input, struct buffer *other, struct pool *pool)
{
    buffer_append(other, buffer_content(input));
    pool_reclaim_buffer(pool, input);
    *input = *other;
}

/* The input is full of the beginning of a large request: there is memory for it that has been used before, or it gets four
 * times of what has come. */
static void enlarge(struct buffer *input, size_t needed, struct pool *pool)
{
    struct buffer larger;
    size_t affordable = 4 * buffer_size(input);
    buffer_init(&larger);
    if (!pool_lend_large(pool, &larger, needed)) {
        size_t wanted = needed > LARGE_LEAST ? needed : LARGE_LEAST;
        buffer_reserve(&larger, wanted < affordable ? wanted : affordable);
    }
    replace(input, &larger, pool);
}

/* Nobody knows how much more comes: it gets twice of what has come, of memory that has been used before where there is some. */
static void extend(struct buffer *input, struct pool *pool)
{
    struct buffer larger;
    buffer_init(&larger);
    if (input->begin == 0 && pool_lend_large(pool, &larger, 2 * input->capacity)) {
        replace(input, &larger, pool);
    } else {
        buffer_reserve(input, 1);
    }
}

/* Whether the content is to be moved to the front: where that costs little, and where the request then fits into large memory
 * that would have to grow. */
static bool is_worth_moving(const struct buffer *input, size_t needed)
{
    size_t size = buffer_size(input);
    bool is_cheap = input->begin > 0 && input->begin >= size;
    if (needed > size + buffer_room(input) && needed <= input->capacity) {
        return is_cheap || input->capacity > COMMON_MOST;
    }
    return is_cheap && buffer_room(input) < input->capacity / 2;
}

static void begin(struct buffer *input, size_t expected, struct pool *pool)
{
    bool is_large = expected > COMMON_MOST && pool_lend_large(pool, input, expected);
    if (!is_large) {
        pool_lend_buffer(pool, input);
    }
}

void input_make_room(struct buffer *input, size_t needed, size_t expected, struct pool *pool)
{
    if (input->data == NULL) {
        begin(input, expected, pool);
    }
    if (is_worth_moving(input, needed)) {
        buffer_compact(input);
    }
    if (buffer_room(input) > 0) {
        return;
    }
    if (needed > input->capacity) {
        enlarge(input, needed, pool);
    } else {
        extend(input, pool);
    }
}

void input_give_back(struct buffer *input, size_t needed, struct pool *pool)
{
    bool is_small = buffer_size(input) < POOL_BUFFER_SIZE / 2 && needed <= POOL_BUFFER_SIZE;
    if (is_small && input->capacity > COMMON_MOST) {
        struct buffer smaller;
        pool_lend_buffer(pool, &smaller);
        replace(input, &smaller, pool);
    }
}
