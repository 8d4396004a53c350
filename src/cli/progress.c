#include "cli/progress.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PLAIN_EVERY_US 10000000
#define BAR_WIDTH 24

void progress_init(struct progress *progress)
{
    *progress = (struct progress){.is_terminal = isatty(STDERR_FILENO) == 1};
    progress->begun_us = progress->last_us = clock_monotonic_us();
}

void progress_group(uint64_t number, char text[32])
{
    char digits[24];
    int count = snprintf(digits, sizeof digits, "%" PRIu64, number);
    size_t at = 0;
    for (int i = 0; i < count; i++) {
        if (i > 0 && (count - i) % 3 == 0) {
            text[at++] = ',';
        }
        text[at++] = digits[i];
    }
    text[at] = '\0';
}

void progress_time(uint64_t seconds, char text[32])
{
    if (seconds >= 3600) {
        (void)snprintf(text, 32, "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64, seconds / 3600, seconds / 60 % 60, seconds % 60);
    } else {
        (void)snprintf(text, 32, "%" PRIu64 ":%02" PRIu64, seconds / 60, seconds % 60);
    }
}

void progress_bar(double share, int width, char *text)
{
    share = share < 0 ? 0 : share > 1 ? 1 : share;
    int filled = (int)(share * width);
    memset(text, '#', (size_t)filled);
    memset(text + filled, '.', (size_t)(width - filled));
    text[width] = '\0';
}

static void measure(struct progress *progress, uint64_t now, uint64_t done)
{
    double seconds = (double)(now - progress->last_us) / 1e6;
    if (seconds <= 0) {
        return;
    }
    double rate = done >= progress->last_done ? (double)(done - progress->last_done) / seconds : 0;
    double weight = progress->rate <= 0 ? 1 : seconds > 2 ? 1 : 0.2;
    progress->rate += weight * (rate - progress->rate);
    progress->last_us = now;
    progress->last_done = done;
}

static int columns(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

static void render_counts(const struct progress *progress, uint64_t done, uint64_t total, char text[PROGRESS_TEXT])
{
    char done_text[32], total_text[32], rate_text[32], left_text[32] = "", head[64] = "";
    progress_group(done, done_text);
    progress_group((uint64_t)progress->rate, rate_text);
    if (total > 0) {
        char bar[BAR_WIDTH + 1];
        progress_group(total, total_text);
        progress_bar((double)done / (double)total, BAR_WIDTH, bar);
        (void)snprintf(head, sizeof head, "[%s] %3.0f%% ", bar, 100.0 * (double)(done < total ? done : total) / (double)total);
        if (progress->rate >= 1 && done < total) {
            progress_time((uint64_t)((double)(total - done) / progress->rate), left_text);
        }
    }
    (void)snprintf(text, PROGRESS_TEXT, "%s%s%s%s, %s/s%s%s%s", head, done_text, total ? " of " : "", total ? total_text : "",
                   rate_text, left_text[0] ? ", " : "", left_text, left_text[0] ? " left" : "");
}

void progress_show(struct progress *progress, const char *what, uint64_t done, uint64_t total, const char *detail)
{
    uint64_t now = clock_monotonic_us();
    if (!progress->is_terminal && now - progress->last_us < PLAIN_EVERY_US) {
        return;
    }
    measure(progress, now, done);
    char counts[PROGRESS_TEXT], line[512];
    render_counts(progress, done, total, counts);
    (void)snprintf(line, sizeof line, "%s %s%s%s", what, counts, detail[0] ? "; " : "", detail);
    if (progress->is_terminal) {
        (void)fprintf(stderr, "\r\033[K%.*s", columns() - 1, line);
        progress->is_shown = true;
    } else {
        (void)fprintf(stderr, "%s\n", line);
    }
    (void)fflush(stderr);
}

void progress_end(struct progress *progress)
{
    if (progress->is_shown) {
        (void)fprintf(stderr, "\r\033[K");
        (void)fflush(stderr);
        progress->is_shown = false;
    }
}
