#include "cli/sides.h"

#include "base/number.h"
#include "wire/client_request.h"

#include <stdio.h>
#include <stdlib.h>

enum option_key {
    OPTION_TO = 0x100,
    OPTION_TO_TLS,
    OPTION_REDIS,
    OPTION_REDIS_TLS,
    OPTION_REDIS_USER,
    OPTION_REDIS_PASSWORD,
    OPTION_FROM_TLS,
    OPTION_FROM_USER,
    OPTION_FROM_PASSWORD,
    OPTION_TLS_CA,
    OPTION_TLS_CERT,
    OPTION_TLS_KEY,
    OPTION_TLS_NAME,
    OPTION_TLS_INSECURE,
    OPTION_TIMEOUT,
    OPTION_JSON,
    OPTION_NO_TO,
    OPTION_NO_REDIS,
};

static const struct argp_option from_options[] = {
    {.name = "from-tls", .key = OPTION_FROM_TLS, .doc = "The old servers speak TLS"},
    {.name = "from-user", .key = OPTION_FROM_USER, .arg = "NAME", .doc = "Log in at the old servers (memcached -Y)"},
    {.name = "from-password", .key = OPTION_FROM_PASSWORD, .arg = "WORD",
     .doc = "With this password (better: the environment's DIGLOT_FROM_PASSWORD)"},
    {0}};

static const struct argp_option to_options[] = {
    {.name = "to", .key = OPTION_TO, .arg = "HOST:PORT", .doc = "The new one's memcached door (127.0.0.1:11211)"},
    {.name = "to-tls", .key = OPTION_TO_TLS, .doc = "It speaks TLS (diglot.tls-port)"},
    {0}};

static const struct argp_option redis_options[] = {
    {.name = "redis", .key = OPTION_REDIS, .arg = "HOST:PORT", .doc = "The new one's RESP port (127.0.0.1:6379)"},
    {.name = "redis-tls", .key = OPTION_REDIS_TLS, .doc = "It speaks TLS"},
    {0}};

static const struct argp_option no_to_options[] = {
    {.name = "to", .key = OPTION_NO_TO, .arg = "HOST:PORT", .flags = OPTION_HIDDEN}, {0}};

static const struct argp_option no_redis_options[] = {
    {.name = "redis", .key = OPTION_NO_REDIS, .arg = "HOST:PORT", .flags = OPTION_HIDDEN}, {0}};

static const struct argp_option common_options[] = {
    {.name = "redis-user", .key = OPTION_REDIS_USER, .arg = "NAME", .doc = "Log in at the new one as this ACL user"},
    {.name = "redis-password", .key = OPTION_REDIS_PASSWORD, .arg = "WORD",
     .doc = "With this password (better: the environment's DIGLOT_REDIS_PASSWORD or REDISCLI_AUTH)"},
    {.name = "tls-ca", .key = OPTION_TLS_CA, .arg = "FILE", .doc = "Who may sign servers' certificates (the system's authorities)"},
    {.name = "tls-cert", .key = OPTION_TLS_CERT, .arg = "FILE", .doc = "Our own certificate"},
    {.name = "tls-key", .key = OPTION_TLS_KEY, .arg = "FILE", .doc = "Its key"},
    {.name = "tls-name", .key = OPTION_TLS_NAME, .arg = "NAME", .doc = "Whom servers' certificates name (their HOST)"},
    {.name = "tls-insecure", .key = OPTION_TLS_INSECURE, .doc = "Take any certificate"},
    {.name = "timeout", .key = OPTION_TIMEOUT, .arg = "SECONDS", .doc = "Longest silence of a server (30)"},
    {.name = "json", .key = OPTION_JSON, .doc = "Report as JSON on standard output"},
    {0}};

uint64_t sides_parse_number(struct argp_state *state, const char *option, const char *text, uint64_t least, uint64_t most)
{
    uint64_t number = 0;
    if (!number_parse_strict_u64(span_of(text, strlen(text)), &number) || number < least || number > most) {
        argp_error(state, "--%s takes a whole number from %llu to %llu, not %s", option, (unsigned long long)least,
                   (unsigned long long)most, text);
    }
    return number;
}

static void parse_endpoint(struct argp_state *state, const char *text, const char *port, struct endpoint *endpoint)
{
    if (!endpoint_parse(text, port, endpoint)) {
        argp_error(state, "%s is no HOST:PORT", text);
    }
}

struct endpoint *sides_take_servers(struct argp_state *state, size_t *count)
{
    *count = (size_t)(state->argc - state->next);
    struct endpoint *servers = check_calloc(*count, sizeof *servers);
    for (size_t i = 0; i < *count; i++) {
        parse_endpoint(state, state->argv[state->next++], "11211", &servers[i]);
    }
    return servers;
}

static error_t parse_side(int key, char *text, struct argp_state *state)
{
    struct sides *sides = state->input;
    switch (key) {
    case OPTION_TO:
        parse_endpoint(state, text, "11211", &sides->to);
        sides->is_to_named = true;
        return 0;
    case OPTION_REDIS:
        parse_endpoint(state, text, "6379", &sides->redis);
        sides->is_redis_named = true;
        return 0;
    case OPTION_TO_TLS: sides->to_uses_tls = true; return 0;
    case OPTION_REDIS_TLS: sides->redis_uses_tls = true; return 0;
    case OPTION_FROM_TLS: sides->from_uses_tls = true; return 0;
    case OPTION_REDIS_USER: sides->redis_login.user = text; return 0;
    case OPTION_REDIS_PASSWORD: sides->redis_login.password = text; return 0;
    case OPTION_FROM_USER: sides->from_login.user = text; return 0;
    case OPTION_FROM_PASSWORD: sides->from_login.password = text; return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_common(int key, char *text, struct argp_state *state)
{
    struct sides *sides = state->input;
    switch (key) {
    case OPTION_TLS_CA: sides->ca_file = text; return 0;
    case OPTION_TLS_CERT: sides->certificate_file = text; return 0;
    case OPTION_TLS_KEY: sides->key_file = text; return 0;
    case OPTION_TLS_NAME: sides->certificate_name = text; return 0;
    case OPTION_TLS_INSECURE: sides->accepts_any_certificate = true; return 0;
    case OPTION_TIMEOUT: sides->timeout_ms = 1000 * (int)sides_parse_number(state, "timeout", text, 1, 86400); return 0;
    case OPTION_JSON: sides->wants_json = true; return 0;
    default: return parse_side(key, text, state);
    }
}

/* Options that a command does not have, and what it has instead. */
static error_t parse_absent(int key, char *text, struct argp_state *state)
{
    (void)text;
    switch (key) {
    case OPTION_NO_TO: argp_error(state, "the memcached door is not enough for this: name the RESP port, --redis HOST:PORT"); return 0;
    case OPTION_NO_REDIS: argp_error(state, "this works through the memcached door: name it, --to HOST:PORT"); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

const struct argp sides_from_argp = {.options = from_options, .parser = parse_side};
const struct argp sides_to_argp = {.options = to_options, .parser = parse_side};
const struct argp sides_redis_argp = {.options = redis_options, .parser = parse_side};
const struct argp sides_common_argp = {.options = common_options, .parser = parse_common};
const struct argp sides_no_to_argp = {.options = no_to_options, .parser = parse_absent};
const struct argp sides_no_redis_argp = {.options = no_redis_options, .parser = parse_absent};

void sides_init(struct sides *sides)
{
    *sides = (struct sides){.timeout_ms = 30000};
    (void)endpoint_parse("127.0.0.1", "11211", &sides->to);
    (void)endpoint_parse("127.0.0.1", "6379", &sides->redis);
    sides->redis_login.user = getenv("DIGLOT_REDIS_USER");
    sides->redis_login.password = getenv("DIGLOT_REDIS_PASSWORD");
    if (!sides->redis_login.password) {
        sides->redis_login.password = getenv("REDISCLI_AUTH");
    }
    sides->from_login.user = getenv("DIGLOT_FROM_USER");
    sides->from_login.password = getenv("DIGLOT_FROM_PASSWORD");
}

void sides_deinit(struct sides *sides)
{
    SSL_CTX_free(sides->tls);
    sides->tls = NULL;
}

static bool complain(const char *what, const char *which)
{
    (void)fprintf(stderr, "diglot: %s %s\n", what, which);
    return false;
}

static bool load_tls_files(struct sides *sides)
{
    if (sides->ca_file ? SSL_CTX_load_verify_locations(sides->tls, sides->ca_file, NULL) != 1
                       : SSL_CTX_set_default_verify_paths(sides->tls) != 1) {
        return complain("cannot read the authorities in", sides->ca_file ? sides->ca_file : "the system's folder");
    }
    if (!sides->certificate_file) {
        return true;
    }
    const char *key = sides->key_file ? sides->key_file : sides->certificate_file;
    if (SSL_CTX_use_certificate_chain_file(sides->tls, sides->certificate_file) != 1) {
        return complain("cannot read the certificate in", sides->certificate_file);
    }
    return SSL_CTX_use_PrivateKey_file(sides->tls, key, SSL_FILETYPE_PEM) == 1 ||
           complain("cannot read, or it is not the certificate's, the key in", key);
}

bool sides_prepare(struct sides *sides)
{
    if (sides->redis_login.password && !sides->redis_login.user) {
        sides->redis_login.user = "default";
    }
    if (!sides->from_uses_tls && !sides->to_uses_tls && !sides->redis_uses_tls) {
        return true;
    }
    sides->tls = SSL_CTX_new(TLS_client_method());
    if (!sides->tls) {
        return complain("TLS could not be", "set up");
    }
    (void)SSL_CTX_set_min_proto_version(sides->tls, TLS1_2_VERSION);
    SSL_CTX_set_mode(sides->tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_verify(sides->tls, sides->accepts_any_certificate ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    return load_tls_files(sides);
}

static struct channel *open_side(const struct sides *sides, const struct endpoint *endpoint, bool uses_tls,
                              char error[CHANNEL_ERROR_SIZE])
{
    const char *name = sides->certificate_name ? sides->certificate_name : endpoint->host;
    return channel_open(endpoint, uses_tls ? sides->tls : NULL, sides->accepts_any_certificate ? NULL : name,
                     sides->timeout_ms, error);
}

static bool log_in(struct channel *channel, const struct login *login)
{
    const char *password = login->password ? login->password : "";
    client_put_login(&channel->output, span_of(login->user, strlen(login->user)), span_of(password, strlen(password)));
    struct span line;
    if (!channel_read_line(channel, 2048, &line)) {
        return false;
    }
    if (!span_equal(line, SPAN("STORED"))) {
        (void)snprintf(channel->error, sizeof channel->error, "%s: refuses the login of %.40s", channel->peer, login->user);
        return false;
    }
    return true;
}

/* A door that does not ask for a login would store its words: it is asked first. */
static bool asks_login(struct channel *channel, bool *asks)
{
    struct span line;
    client_put_version(&channel->output);
    if (!channel_read_line(channel, 2048, &line)) {
        return false;
    }
    *asks = span_starts_with(line, SPAN("CLIENT_ERROR "));
    if (!*asks && !span_starts_with(line, SPAN("VERSION "))) {
        bool is_resp = span_starts_with(line, SPAN("-"));
        (void)snprintf(channel->error, sizeof channel->error, "%s: %s", channel->peer,
                       is_resp ? "speaks RESP: name its memcached door" : "does not speak memcached's text protocol");
        return false;
    }
    return true;
}

static struct channel *introduce(struct channel *channel, const struct login *login, char error[CHANNEL_ERROR_SIZE])
{
    bool asks = false;
    if (!channel || (asks_login(channel, &asks) && (!asks || (login->user && log_in(channel, login))))) {
        return channel;
    }
    if (channel->error[0] == '\0') {
        (void)snprintf(channel->error, sizeof channel->error, "%s: asks for a login", channel->peer);
    }
    memcpy(error, channel->error, CHANNEL_ERROR_SIZE);
    channel_close(&channel);
    return NULL;
}

struct channel *sides_open_from(const struct sides *sides, const struct endpoint *server, char error[CHANNEL_ERROR_SIZE])
{
    return introduce(open_side(sides, server, sides->from_uses_tls, error), &sides->from_login, error);
}

struct channel *sides_open_to(const struct sides *sides, char error[CHANNEL_ERROR_SIZE])
{
    return introduce(open_side(sides, &sides->to, sides->to_uses_tls, error), &sides->redis_login, error);
}

struct channel *sides_open_redis(const struct sides *sides, char error[CHANNEL_ERROR_SIZE])
{
    return open_side(sides, &sides->redis, sides->redis_uses_tls, error);
}
