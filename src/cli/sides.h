/* The two sides of a migration, the old memcached servers and the new one, and how to reach them: options that several
 * commands have in common. */
#ifndef DIGLOT_CLI_SIDES_H
#define DIGLOT_CLI_SIDES_H

#include "cli/channel.h"

#include <argp.h>

struct login {
    const char *user; /* NULL: nobody logs in */
    const char *password;
};

struct sides {
    struct endpoint to;    /* the memcached door of the new one */
    struct endpoint redis; /* its RESP port */
    struct login redis_login; /* for both of its doors */
    struct login from_login;  /* for the old servers (memcached -Y) */
    bool is_to_named, is_redis_named; /* by --to, by --redis; else they are the defaults */
    bool from_uses_tls, to_uses_tls, redis_uses_tls;
    bool accepts_any_certificate;
    const char *ca_file, *certificate_file, *key_file, *certificate_name;
    int timeout_ms;
    bool wants_json;
    SSL_CTX *tls; /* made by sides_prepare where a side needs it */
};

/* Children for a command's argp; each one's input is the command's struct sides. */
extern const struct argp sides_from_argp;   /* --from-… */
extern const struct argp sides_to_argp;     /* --to… */
extern const struct argp sides_redis_argp;  /* --redis… */
extern const struct argp sides_common_argp; /* --tls-…, --timeout, --json */
/* For commands without --to, or without --redis: who names it is told which one they need. */
extern const struct argp sides_no_to_argp;
extern const struct argp sides_no_redis_argp;

/* The defaults, and what the environment tells. */
void sides_init(struct sides *sides);
void sides_deinit(struct sides *sides);

/* To be called when the options have been read. False, with a sentence on stderr. */
MUST_USE bool sides_prepare(struct sides *sides);

/* Connections, logged in. NULL, with a sentence in `error`. */
MUST_USE struct channel *sides_open_from(const struct sides *sides, const struct endpoint *server, char error[CHANNEL_ERROR_SIZE]);
MUST_USE struct channel *sides_open_to(const struct sides *sides, char error[CHANNEL_ERROR_SIZE]);
/* Not logged in. */
MUST_USE struct channel *sides_open_redis(const struct sides *sides, char error[CHANNEL_ERROR_SIZE]);

/* An option that takes a whole number from `least` to `most`; anything else ends the program with a sentence. */
uint64_t sides_parse_number(struct argp_state *state, const char *option, const char *text, uint64_t least, uint64_t most);

/* The endpoints that the remaining words are, to be freed; ends the program with a sentence where one is none. */
struct endpoint *sides_take_servers(struct argp_state *state, size_t *count);

#endif
