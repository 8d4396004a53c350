/* What a request is to the old server: of the meta commands the one with the same flags, of the classic ones the one of that name. What
 * a server does not know it refuses, and so do we. */
#include "upstream/pass.h"

#include "base/number.h"

#include <inttypes.h>
#include <stdio.h>

/* Room for all flags of a line. */
#define FLAGS_SIZE 256

struct flags {
    size_t size;
    char text[FLAGS_SIZE];
};

void pass_take(struct job *job, const struct request *request)
{
    job->request = *request;
    job->request.key = job->request.text = SPAN("");
    if (request->extras) job->extras = *request->extras;
    job->request.extras = request->extras ? &job->extras : NULL;
    job->request.value = SPAN("");
    buffer_append(&job->bytes, request->value);
}

static bool asks(const struct job *job, uint32_t what)
{
    return job->request.extras && (job->request.extras->asks & what);
}

/* ---- Meta ---- */

/* Letters and what stands behind them, all of them ours. */
static void add(struct flags *flags, const char *words)
{
    int size = snprintf(flags->text + flags->size, FLAGS_SIZE - flags->size, "%s%s", flags->size > 0 ? " " : "", words);
    CHECK(size > 0 && (size_t)size < FLAGS_SIZE - flags->size);
    flags->size += (size_t)size;
}

static void add_unsigned(struct flags *flags, char letter, uint64_t number)
{
    char word[NUMBER_TEXT_SIZE + 2];
    (void)snprintf(word, sizeof word, "%c%" PRIu64, letter, number);
    add(flags, word);
}

static void add_signed(struct flags *flags, char letter, int64_t number)
{
    char word[NUMBER_TEXT_SIZE + 2];
    (void)snprintf(word, sizeof word, "%c%" PRId64, letter, number);
    add(flags, word);
}

static struct span flags_text(const struct flags *flags)
{
    return span_of(flags->text, flags->size);
}

/* What any of the commands may have. */
static void add_common(struct flags *flags, const struct job *job)
{
    const struct extras *extras = job->request.extras;
    if (job->request.op == REQUEST_CAS) add_unsigned(flags, 'C', job->request.operand);
    if (!extras) return;
    bool compares = asks(job, ASK_COMPARE) && job->request.op != REQUEST_GET && job->request.op != REQUEST_GAT;
    if (compares && job->request.op != REQUEST_CAS) add_unsigned(flags, 'C', extras->compare);
    if (asks(job, ASK_TOKEN)) add_unsigned(flags, 'E', extras->token);
    if (asks(job, ASK_INVALIDATE)) add(flags, "I");
    if (asks(job, ASK_CLEAR)) add(flags, "x");
}

/* get and gat of every protocol. What compares does so with the token that comes. */
static void put_get(struct buffer *output, const struct job *job)
{
    struct flags flags = {0};
    const struct extras *extras = job->request.extras;
    bool touches = job->request.op == REQUEST_GAT && (!asks(job, ASK_META) || asks(job, ASK_TOUCH));
    add(&flags, asks(job, ASK_NO_VALUE) ? "f s c" : "v f s c");
    if (asks(job, ASK_HISTORY)) add(&flags, "h l");
    if (asks(job, ASK_TTL_BEFORE_TOUCH | ASK_TTL_BEFORE_VIVIFY)) add(&flags, "t");
    if (asks(job, ASK_RECACHE_BEFORE_TOUCH)) add_signed(&flags, 'R', extras->recache_seconds);
    if (touches) add_signed(&flags, 'T', job->request.exptime);
    if (asks(job, ASK_VIVIFY)) add_signed(&flags, 'N', extras->vivify_exptime);
    if (asks(job, ASK_RECACHE) && !asks(job, ASK_RECACHE_BEFORE_TOUCH)) add_signed(&flags, 'R', extras->recache_seconds);
    if (!asks(job, ASK_TTL_BEFORE_TOUCH | ASK_TTL_BEFORE_VIVIFY)) add(&flags, "t");
    if (asks(job, ASK_NO_BUMP)) add(&flags, "u");
    add_common(&flags, job);
    client_put_mg(output, job_key(job), flags_text(&flags));
}

static void put_store(struct buffer *output, const struct job *job)
{
    static const char *const modes[REQUEST_OPS] = {
        [REQUEST_SET] = "c MS",    [REQUEST_ADD] = "c ME",     [REQUEST_REPLACE] = "c MR",
        [REQUEST_APPEND] = "c MA", [REQUEST_PREPEND] = "c MP", [REQUEST_CAS] = "c MS",
    };
    struct flags flags = {0};
    add(&flags, modes[job->request.op]);
    if (asks(job, ASK_VIVIFY)) add_signed(&flags, 'N', job->request.extras->vivify_exptime);
    add_common(&flags, job);
    client_put_ms(output, job_key(job), job->request.flags, job->request.exptime, flags_text(&flags),
                  buffer_content(&job->bytes));
}

static void put_count(struct buffer *output, const struct job *job)
{
    struct flags flags = {0};
    const struct extras *extras = job->request.extras;
    add(&flags, job->request.op == REQUEST_INCR ? "v c MI" : "v c MD");
    add_unsigned(&flags, 'D', job->request.operand);
    if (asks(job, ASK_VIVIFY)) {
        add_signed(&flags, 'N', extras->vivify_exptime);
        add_unsigned(&flags, 'J', extras->initial);
    }
    if (asks(job, ASK_TOUCH)) add_signed(&flags, 'T', job->request.exptime);
    add(&flags, "t");
    add_common(&flags, job);
    client_put_ma(output, job_key(job), flags_text(&flags));
}

static void put_delete(struct buffer *output, const struct job *job)
{
    struct flags flags = {0};
    if (asks(job, ASK_TOUCH)) add_signed(&flags, 'T', job->request.exptime);
    add_common(&flags, job);
    client_put_md(output, job_key(job), flags_text(&flags));
}

static void put_touch(struct buffer *output, const struct job *job)
{
    struct flags flags = {0};
    add(&flags, "f s c");
    add_signed(&flags, 'T', job->request.exptime);
    client_put_mg(output, job_key(job), flags_text(&flags));
}

static void put_debug(struct buffer *output, const struct job *job)
{
    client_put_mg(output, job_key(job), SPAN("f s c t h l u"));
}

/* ---- Classic ---- */

/* What only meta commands can ask. */
#define ASKS_OF_META                                                                                                 \
    (ASK_TOKEN | ASK_VIVIFY | ASK_RECACHE | ASK_INVALIDATE | ASK_CLEAR | ASK_HISTORY | ASK_NO_BUMP)

static void put_classic_store(struct buffer *output, const struct job *job)
{
    static const struct span commands[REQUEST_OPS] = {
        [REQUEST_SET] = SPAN("set"),       [REQUEST_ADD] = SPAN("add"),         [REQUEST_REPLACE] = SPAN("replace"),
        [REQUEST_APPEND] = SPAN("append"), [REQUEST_PREPEND] = SPAN("prepend"),
    };
    const struct request *request = &job->request;
    struct span value = buffer_content(&job->bytes);
    if (request->op == REQUEST_CAS)
        client_put_cas(output, job_key(job), request->flags, request->exptime, request->operand, value);
    else if (asks(job, ASK_COMPARE))
        client_put_cas(output, job_key(job), request->flags, request->exptime, request->extras->compare, value);
    else
        client_put_store(output, commands[request->op], job_key(job), request->flags, request->exptime, value);
}

static bool put_classic(struct buffer *output, const struct job *job)
{
    const struct request *request = &job->request;
    bool is_compared = asks(job, ASK_COMPARE) && request->op != REQUEST_SET && request->op != REQUEST_REPLACE;
    if (asks(job, ASKS_OF_META) || is_compared) return false;
    switch (request->op) {
    case REQUEST_GET: client_put_gets(output, job_key(job)); return true;
    case REQUEST_SET:
    case REQUEST_ADD:
    case REQUEST_REPLACE:
    case REQUEST_APPEND:
    case REQUEST_PREPEND:
    case REQUEST_CAS: put_classic_store(output, job); return true;
    case REQUEST_INCR: client_put_count(output, SPAN("incr"), job_key(job), request->operand); return true;
    case REQUEST_DECR: client_put_count(output, SPAN("decr"), job_key(job), request->operand); return true;
    case REQUEST_DELETE:
    case REQUEST_SET_TOO_LARGE: client_put_delete(output, job_key(job)); return true;
    case REQUEST_TOUCH: client_put_touch(output, job_key(job), request->exptime); return true;
    case REQUEST_GAT: client_put_gats(output, job_key(job), request->exptime); return true;
    default: return false;
    }
}

bool pass_put(struct buffer *output, enum client_dialect dialect, const struct job *job)
{
    static void (*const put[REQUEST_OPS])(struct buffer *output, const struct job *job) = {
        [REQUEST_GET] = put_get,        [REQUEST_GAT] = put_get,         [REQUEST_SET] = put_store,
        [REQUEST_ADD] = put_store,      [REQUEST_REPLACE] = put_store,   [REQUEST_APPEND] = put_store,
        [REQUEST_PREPEND] = put_store,  [REQUEST_CAS] = put_store,       [REQUEST_INCR] = put_count,
        [REQUEST_DECR] = put_count,     [REQUEST_DELETE] = put_delete,   [REQUEST_SET_TOO_LARGE] = put_delete,
        [REQUEST_TOUCH] = put_touch,    [REQUEST_DEBUG] = put_debug,
    };
    if (dialect == CLIENT_CLASSIC) return put_classic(output, job);
    if (!put[job->request.op]) return false;
    put[job->request.op](output, job);
    return true;
}
