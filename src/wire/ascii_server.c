/* The text commands on the server as a whole. */
#include "base/number.h"
#include "wire/ascii_parts.h"

/* Megabytes, as memcached bounds them. */
#define MEMLIMIT_LEAST 8
#define MEMLIMIT_MOST 1000000000

enum decode_status ascii_decode_fixed(const struct ascii_command *command, const struct ascii_line *line,
                                     const struct decode_limits *limits, struct decoded *decoded)
{
    (void)line;
    (void)limits;
    return ascii_reply(decoded, command->text);
}

/* The command's name says it all. */
enum decode_status ascii_decode_plain(const struct ascii_command *command, const struct ascii_line *line,
                                      const struct decode_limits *limits, struct decoded *decoded)
{
    (void)line;
    (void)limits;
    decoded->request.op = command->op;
    return DECODE_REQUEST;
}

enum decode_status ascii_decode_quit(const struct ascii_command *command, const struct ascii_line *line,
                                    const struct decode_limits *limits, struct decoded *decoded)
{
    (void)command;
    (void)line;
    (void)limits;
    decoded->request.op = REQUEST_QUIT;
    return DECODE_REQUEST;
}

enum decode_status ascii_decode_flush_all(const struct ascii_command *command, const struct ascii_line *line,
                                         const struct decode_limits *limits, struct decoded *decoded)
{
    (void)command;
    (void)limits;
    struct request *request = &decoded->request;
    int32_t delay = 0;
    request->op = REQUEST_FLUSH_ALL;
    request->quiet = ascii_says_noreply(line);
    size_t words_without_delay = request->quiet ? 2 : 1;
    if (line->count != words_without_delay && !number_parse_i32(line->words[1], &delay)) {
        return ascii_reply(decoded, ASCII_BAD_EXPTIME);
    }
    request->exptime = delay;
    return DECODE_REQUEST;
}

enum decode_status ascii_decode_stats(const struct ascii_command *command, const struct ascii_line *line,
                                     const struct decode_limits *limits, struct decoded *decoded)
{
    (void)command;
    (void)limits;
    decoded->request.op = REQUEST_STATS;
    decoded->request.text = line->arguments;
    return DECODE_REQUEST;
}

/* Which streams there are is not the decoder's business. */
enum decode_status ascii_decode_watch(const struct ascii_command *command, const struct ascii_line *line,
                                      const struct decode_limits *limits, struct decoded *decoded)
{
    (void)command;
    (void)limits;
    decoded->request.op = REQUEST_WATCH;
    decoded->request.text = line->arguments;
    return DECODE_REQUEST;
}

enum decode_status ascii_decode_shutdown(const struct ascii_command *command, const struct ascii_line *line,
                                         const struct decode_limits *limits, struct decoded *decoded)
{
    (void)command;
    (void)limits;
    decoded->request.op = REQUEST_SHUTDOWN;
    decoded->request.text = line->count > 1 ? line->words[1] : SPAN("");
    return DECODE_REQUEST;
}

/* The engine's log has a level of its own, so the number is only checked. */
enum decode_status ascii_decode_verbosity(const struct ascii_command *command, const struct ascii_line *line,
                                         const struct decode_limits *limits, struct decoded *decoded)
{
    (void)command;
    (void)limits;
    uint32_t level;
    decoded->request.quiet = ascii_says_noreply(line);
    return ascii_reply(decoded, number_parse_u32(line->words[1], &level) ? ASCII_OK : ASCII_BAD_FORMAT);
}

/* Memory is the engine's: no limit can be set from here, and memcached has words for that. */
static struct span memlimit_reply(struct span text)
{
    uint32_t megabytes;
    if (!number_parse_u32(text, &megabytes)) {
        return ASCII_ERROR;
    }
    if (megabytes < MEMLIMIT_LEAST) {
        return SPAN("MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m");
    }
    if (megabytes > MEMLIMIT_MOST) {
        return SPAN("MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes");
    }
    return SPAN("MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust");
}

enum decode_status ascii_decode_memlimit(const struct ascii_command *command, const struct ascii_line *line,
                                        const struct decode_limits *limits, struct decoded *decoded)
{
    (void)command;
    (void)limits;
    decoded->request.quiet = ascii_says_noreply(line);
    return ascii_reply(decoded, memlimit_reply(line->words[1]));
}
