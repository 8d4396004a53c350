/* diglot status: once. diglot top: the same, drawn anew until q. */
#include "base/clock.h"
#include "cli/command.h"
#include "cli/dashboard.h"
#include "cli/door_facts.h"
#include "cli/facts.h"
#include "cli/fold.h"
#include "cli/report.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum option_key { OPTION_SECONDS = 1 };

/* The other screen, without cursor; lines are cut at its edge. */
#define SCREEN_ENTER "\033[?1049h\033[?25l\033[?7l"
#define SCREEN_LEAVE "\033[?7h\033[?25h\033[?1049l"

/* On a narrower terminal lines are cut at its edge. */
#define COLUMNS_LEAST 40

struct command {
    struct sides sides;
    uint64_t seconds; /* between two looks */
};

static const struct argp_option options[] = {
    {.name = "seconds", .key = OPTION_SECONDS, .arg = "N", .doc = "Seconds between two looks, which the rates come from (1); status with 0: one look, no rates"},
    {0}};

static const struct argp_child children[] = {
    {&sides_redis_argp, 0, "The new one:", 2},
    {&sides_to_argp, 0, "In place of --redis, where its RESP port cannot be reached; the memcached door tells less:", 3},
    {&sides_common_argp, 0, "Connection and report:", 4}, {0}};

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct command *command = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = state->child_inputs[1] = state->child_inputs[2] = &command->sides;
        return 0;
    case OPTION_SECONDS: command->seconds = sides_parse_number(state, "seconds", text, 0, 3600); return 0;
    case ARGP_KEY_ARG: argp_error(state, "%s: it takes options alone", text); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp status_argp = {
    .options = options, .parser = parse, .children = children,
    .doc = "Tells the state of the migration: its phase, who still speaks memcached, hits and misses, the old servers, memory, what "
           "deserves a look, and the next step.\vExit status: 0, or 2 if the server cannot be asked."};

static const struct argp top_argp = {
    .options = options, .parser = parse, .children = children,
    .doc = "Shows what `diglot status` tells, drawn anew each second. q ends it.\vExit status: 0, or 2 if the server cannot be asked."};

/* ---- Whom it asks ---- */

/* One of the two is open, or none. */
struct source {
    struct resp *resp;
    struct channel *door;
};

static bool asks_door(const struct sides *sides)
{
    return sides->is_to_named && !sides->is_redis_named;
}

static const char *server_name(const struct sides *sides)
{
    return asks_door(sides) ? sides->to.name : sides->redis.name;
}

static void close_source(struct source *source)
{
    resp_close(&source->resp);
    channel_close(&source->door);
}

static bool open_source(const struct sides *sides, struct source *source, char error[CHANNEL_ERROR_SIZE])
{
    if (source->resp || source->door) {
        return true;
    }
    if (asks_door(sides)) {
        source->door = sides_open_to(sides, error);
    } else {
        source->resp = resp_open(sides, error);
    }
    return source->resp || source->door;
}

/* Connects where that is to be done, and looks. */
static bool look(const struct command *command, struct source *source, struct facts *facts, char error[CHANNEL_ERROR_SIZE])
{
    facts_init(facts);
    if (!open_source(&command->sides, source, error)) {
        return false;
    }
    if (source->door ? door_facts_gather(facts, source->door) : facts_gather(facts, source->resp)) {
        return true;
    }
    memcpy(error, source->door ? source->door->error : source->resp->error, CHANNEL_ERROR_SIZE);
    close_source(source);
    facts_deinit(facts);
    return false;
}

static bool parse_command(const struct argp *argp, int argc, char **argv, struct command *command)
{
    command->seconds = 1;
    sides_init(&command->sides);
    (void)argp_parse(argp, argc, argv, 0, NULL, command);
    return sides_prepare(&command->sides);
}

static size_t wide_enough(size_t columns)
{
    return columns < COLUMNS_LEAST ? COLUMNS_LEAST : columns;
}

/* ---- Once ---- */

static void print_status(const struct command *command, const struct facts *facts, const struct facts *before)
{
    size_t rows, columns;
    bool is_terminal = fold_terminal(&rows, &columns);
    const struct dashboard_view view = {server_name(&command->sides), facts, before, is_terminal, NULL, is_terminal ? wide_enough(columns) : 0};
    if (command->sides.wants_json) {
        report_print(dashboard_json(&view));
        return;
    }
    struct buffer text;
    buffer_init(&text);
    dashboard_render(&view, &text);
    struct span content = buffer_content(&text);
    (void)fwrite(content.data, content.size, 1, stdout);
    buffer_deinit(&text);
}

static bool look_twice(const struct command *command, struct facts *before, struct facts *facts, char error[CHANNEL_ERROR_SIZE])
{
    struct source source = {NULL, NULL};
    bool is_told = look(command, &source, facts, error);
    if (is_told && command->seconds > 0) {
        *before = *facts;
        clock_sleep_us(command->seconds * 1000000);
        is_told = look(command, &source, facts, error);
    }
    close_source(&source);
    return is_told;
}

enum cli_status status_main(int argc, char **argv)
{
    struct command command;
    struct facts facts, before;
    char error[CHANNEL_ERROR_SIZE] = "";
    facts_init(&before);
    facts_init(&facts);
    bool is_told = parse_command(&status_argp, argc, argv, &command) && look_twice(&command, &before, &facts, error);
    if (is_told) {
        print_status(&command, &facts, command.seconds > 0 ? &before : NULL);
    } else if (error[0] != '\0') {
        (void)fprintf(stderr, "diglot: %s\n", error);
    }
    facts_deinit(&facts);
    facts_deinit(&before);
    sides_deinit(&command.sides);
    return is_told ? CLI_DONE : CLI_FAILED;
}

/* ---- Again and again ---- */

/* Each line is cleared behind its text, and what is below the last, so nothing flickers. */
static void draw(struct span text)
{
    (void)printf("\033[H");
    while (text.size > 0) {
        const char *end = memchr(text.data, '\n', text.size);
        size_t size = end ? (size_t)(end - text.data) : text.size;
        (void)printf("%.*s\033[K", (int)size, text.data);
        text = span_skip(text, end ? size + 1 : size);
        if (text.size > 0) {
            (void)printf("\r\n");
        }
    }
    (void)printf("\033[J");
    (void)fflush(stdout);
}

static void draw_status(const struct command *command, const struct facts *facts, const struct facts *before, const char *error)
{
    struct buffer text, shown;
    size_t rows = 24, columns = 80;
    char clock[64];
    time_t now = time(NULL);
    struct tm local;
    (void)fold_terminal(&rows, &columns);
    buffer_init(&text);
    buffer_init(&shown);
    (void)strftime(clock, sizeof clock, "%H:%M:%S", localtime_r(&now, &local));
    if (error) {
        buffer_append(&text, span_of(clock, strlen(clock)));
        buffer_append(&text, SPAN(" (q ends)\n\nCANNOT ASK: "));
        buffer_append(&text, span_of(error, strlen(error)));
        buffer_append(&text, SPAN("\n(tried again)\n"));
    } else {
        const struct dashboard_view view = {server_name(&command->sides), facts, before, true, clock, wide_enough(columns - 1)}; /* the last column is cleared */
        dashboard_render(&view, &text);
    }
    fold_cut(buffer_content(&text), rows, &shown);
    draw(buffer_content(&shown));
    buffer_deinit(&shown);
    buffer_deinit(&text);
}

/* Waits for the next look; false when q was pressed or a signal came. */
static bool wait_for_next(int signals, uint64_t seconds)
{
    struct pollfd pollers[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    char pressed = ' ';
    if (poll(pollers, 2, (int)(seconds ? seconds : 1) * 1000) <= 0) {
        return true;
    }
    if (pollers[1].revents) {
        return false;
    }
    return read(STDIN_FILENO, &pressed, 1) == 1 && pressed != 'q' && pressed != 'Q';
}

static void watch(const struct command *command, int signals)
{
    struct source source = {NULL, NULL};
    struct facts facts, before;
    char error[CHANNEL_ERROR_SIZE] = "";
    facts_init(&before);
    do {
        bool is_told = look(command, &source, &facts, error);
        draw_status(command, &facts, before.count ? &before : NULL, is_told ? NULL : error);
        facts_deinit(&before);
        before = facts;
    } while (wait_for_next(signals, command->seconds));
    facts_deinit(&before);
    close_source(&source);
}

static int take_signals(void)
{
    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL);
    return signalfd(-1, &signals, SFD_CLOEXEC);
}

enum cli_status top_main(int argc, char **argv)
{
    struct command command;
    struct termios before, raw;
    if (!parse_command(&top_argp, argc, argv, &command)) {
        return CLI_FAILED;
    }
    if (command.sides.wants_json || !isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &before) != 0) {
        (void)fprintf(stderr, "diglot: top draws on a terminal; `diglot status` tells the same once, also as JSON\n");
        sides_deinit(&command.sides);
        return CLI_FAILED;
    }
    int signals = take_signals();
    raw = before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    (void)printf(SCREEN_ENTER);
    watch(&command, signals);
    (void)printf(SCREEN_LEAVE);
    (void)fflush(stdout);
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &before);
    (void)close(signals);
    sides_deinit(&command.sides);
    return CLI_DONE;
}
