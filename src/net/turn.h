/* What a turn of a worker may do before those who come next have theirs. All is counted in bytes: what is moved as what it is, and
 * what else takes time as a number of bytes, so that neither many nor large ones make a turn long. The numbers are chosen for the
 * length of a turn, not measured one by one. One thread at a time. */
#ifndef DIGLOT_NET_TURN_H
#define DIGLOT_NET_TURN_H

#include <stdbool.h>
#include <stddef.h>

/* Where the engine's loop turns the worker, Redis clients have their turn behind so many. */
#define TURN_COST_MOST ((size_t)256 * 1024)
/* Each call that receives. What a turn sends are answers to what it has received, or the executor has bounded it. */
#define COST_OF_CALL ((size_t)4 * 1024)
/* To accept a connection, and to close one. */
#define COST_OF_CONNECTION ((size_t)32 * 1024)
/* To answer a message here, without the executor, which bounds its turns itself. */
#define COST_OF_ANSWER ((size_t)128)

struct turn {
    size_t cost;
    size_t moved; /* bytes read and written */
};

static inline void turn_begin(struct turn *turn)
{
    *turn = (struct turn){0};
}

static inline void turn_charge(struct turn *turn, size_t cost)
{
    turn->cost += cost;
}

static inline void turn_move(struct turn *turn, size_t bytes)
{
    turn->moved += bytes;
    turn->cost += bytes;
}

/* Whoever comes now waits for the next. */
static inline bool turn_is_over(const struct turn *turn)
{
    return turn->cost >= TURN_COST_MOST;
}

#endif
