/* How far a command is, on stderr: a line that is drawn anew with a bar on a terminal, a plain line every ten seconds
 * elsewhere. Main thread. */
#ifndef DIGLOT_CLI_PROGRESS_H
#define DIGLOT_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#define PROGRESS_TEXT 160

struct progress {
    bool is_terminal, is_shown; /* a line stands there */
    uint64_t begun_us, last_us, last_done;
    double rate; /* items per second, smoothed */
};

void progress_init(struct progress *progress);

/* `total` 0: not known. `detail` stands behind the rate. */
void progress_show(struct progress *progress, const char *what, uint64_t done, uint64_t total, const char *detail);

/* Takes the line away. */
void progress_end(struct progress *progress);

/* 1234567 as "1,234,567". */
void progress_group(uint64_t number, char text[32]);

/* Seconds as "2:05" or "1:02:05". */
void progress_time(uint64_t seconds, char text[32]);

/* The bar without its brackets: `width` cells, `share` of 0 to 1 of them filled; `width` + 1 bytes. */
void progress_bar(double share, int width, char *text);

#endif
