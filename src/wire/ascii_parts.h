/* What the parts of the text decoder share; nobody else includes this.
 *
 * A line is found and its command looked up in ascii.c; the command's decoder, in one of the other files, makes the
 * request of it. A decoder is handed `decoded` with the whole line consumed and everything else zero. */
#ifndef DIGLOT_WIRE_ASCII_PARTS_H
#define DIGLOT_WIRE_ASCII_PARTS_H

#include "wire/ascii.h"

/* memcached looks at 23 words of a line and drops the rest; only the keys of a get are without number. */
#define ASCII_WORDS_MAX 23

struct ascii_line {
    struct span whole;     /* all but the line's end: what stands before the command's name, and NULs, too */
    struct span arguments; /* behind the command's name, up to the line's end or its first NUL */
    struct span behind;    /* the input behind the line */
    size_t count;          /* words, the command among them; commands that walk keys get no words */
    struct span words[ASCII_WORDS_MAX];
    bool is_short;         /* ends within 64 bytes and has no NUL, so that these tell its words: */
    uint64_t starts, ends; /* bit i: a word that is not in `words` yet starts at byte i, or has ended before it */
};

struct ascii_command;

typedef enum decode_status ascii_decoder(const struct ascii_command *command, const struct ascii_line *line,
                                        const struct decode_limits *limits, struct decoded *decoded);

struct ascii_command {
    struct span name;
    ascii_decoder *decode;
    enum request_op op;
    uint8_t least, most; /* words that the line must have, or the answer is ERROR; most 0: no bound */
    bool walks_keys;     /* the decoder reads `arguments`, not `words` */
    bool want_cas;
    struct span text; /* the answer of a command that has but one */
};

/* Commands on keys: ascii_keyed.c */
ascii_decoder ascii_decode_get, ascii_decode_gat, ascii_decode_storage, ascii_decode_arithmetic, ascii_decode_delete,
    ascii_decode_touch;
/* Commands on the server: ascii_server.c */
ascii_decoder ascii_decode_fixed, ascii_decode_plain, ascii_decode_quit, ascii_decode_flush_all, ascii_decode_stats, ascii_decode_verbosity,
    ascii_decode_memlimit, ascii_decode_watch, ascii_decode_shutdown;
/* Commands that tune a memory that is not ours: ascii_tuning.c */
ascii_decoder ascii_decode_slabs, ascii_decode_lru, ascii_decode_lru_crawler;

/* The meta commands: meta.c */
ascii_decoder meta_decode_get, meta_decode_set, meta_decode_delete, meta_decode_arithmetic, meta_decode_debug,
    meta_decode_noop;

/* Makes the request one that is answered with `text`; of what was read before only `quiet` stays. */
enum decode_status ascii_reply(struct decoded *decoded, struct span text);

/* The word behind the command's name, where it is easily seen that there is but one; false where it is not. */
bool ascii_take_only_word(const struct ascii_line *line, struct span *word);

/* Whether the last word is "noreply": from here on nothing is answered, errors included. */
bool ascii_says_noreply(const struct ascii_line *line);

#define ASCII_ERROR SPAN("ERROR")
#define ASCII_OK SPAN("OK")
#define ASCII_BAD_FORMAT SPAN("CLIENT_ERROR bad command line format")
#define ASCII_BAD_EXPTIME SPAN("CLIENT_ERROR invalid exptime argument")

#endif
