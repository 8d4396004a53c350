/* `stats settings`: what memcached calls its settings, as far as they mean something here or an agent asks for them. Every
 * value is one word, because agents count the words of a line. */
#include "observe/stats_parts.h"

/* The addresses as memcached lists them: with commas between, and without the marks of those that may be missing. Never
 * longer than the option's text. */
static void add_addresses(struct buffer *output, const char *name, const char *addresses)
{
    char text[OPTION_TEXT_MAX];
    size_t size = 0;
    bool is_next = false;
    for (const char *at = addresses; *at; at++) {
        bool begins = at == addresses || at[-1] == ' ';
        is_next |= begins;
        if (*at == ' ' || (*at == '-' && begins)) continue;
        if (is_next && size > 0) text[size++] = ',';
        is_next = false;
        text[size++] = *at;
    }
    text[size] = '\0';
    stats_add_text(output, name, size > 0 ? text : "NULL");
}

static void render_limits(const struct stats_view *view, struct buffer *output)
{
    const struct options *options = view->sources->options;
    stats_add_u64(output, "maxbytes", view->facts->maxmemory);
    stats_add_u64(output, "maxconns", (uint64_t)option_get(options, maxconns));
    stats_add_u64(output, "tcpport", (uint64_t)option_get(options, port));
    stats_add_u64(output, "udpport", 0);
    add_addresses(output, "inter", options->bind);
    stats_add_u64(output, "verbosity", 0);
    stats_add_u64(output, "oldest", 0);
    stats_add_text(output, "evictions", view->facts->evicts ? "on" : "off");
    stats_add_text(output, "domain_socket", *options->unixsocket ? options->unixsocket : "NULL");
    stats_add_text(output, "umask", options->unixsocketperm);
    stats_add_bool(output, "shutdown_command", option_get(options, shutdown));
    stats_add_u64(output, "num_threads", stats_threads(view));
    stats_add_text(output, "stat_key_prefix", ":");
    stats_add_bool(output, "detail_enabled", view->sources->detail != NULL && view->sources->detail->is_on);
    stats_add_text(output, "cas_enabled", "yes");
}

static void render_features(const struct stats_view *view, struct buffer *output)
{
    static const char *const protocols[] = {"auto-negotiate", "ascii", "binary"};
    const struct options *options = view->sources->options;
    stats_add_text(output, "binding_protocol", protocols[option_get(options, protocol)]);
    stats_add_bool(output, "auth_enabled_sasl", view->facts->asks_login);
    stats_add_bool(output, "auth_enabled_ascii", view->facts->asks_login);
    stats_add_u64(output, "item_size_max", (uint64_t)option_get(options, max_item_size));
    stats_add_text(output, "maxconns_fast", "yes");
    stats_add_text(output, "slab_reassign", "no");
    stats_add_u64(output, "slab_automove", 0);
    stats_add_text(output, "lru_crawler", "no");
    stats_add_bool(output, "flush_enabled", option_get(options, flush_all));
    stats_add_text(output, "dump_enabled", "yes");
    stats_add_text(output, "lru_maintainer_thread", "no");
    stats_add_text(output, "lru_segmented", "no");
    stats_add_u64(output, "idle_timeout", (uint64_t)option_get(options, idle_timeout));
    stats_add_u64(output, "watcher_logbuf_size", WATCHER_BUFFER_SIZE);
    stats_add_text(output, "track_sizes", "no");
}

/* OpenSSL's numbers, as memcached shows them. */
static uint64_t verify_mode(const struct tls_settings *tls)
{
    return tls->auth_clients == TLS_AUTH_YES ? 3 : tls->auth_clients == TLS_AUTH_OPTIONAL ? 1 : 0;
}

static const char *text_or(const char *text, const char *otherwise)
{
    return *text ? text : otherwise;
}

/* Without TLS memcached shows its defaults. */
static void render_tls(const struct stats_view *view, struct buffer *output)
{
    static const struct tls_settings none = {.auth_clients = TLS_AUTH_NO};
    const struct tls_settings *tls = view->sources->tls ? view->sources->tls : &none;
    stats_add_bool(output, "ssl_enabled", tls != &none);
    stats_add_text(output, "ssl_chain_cert", text_or(tls->cert_file, "(null)"));
    stats_add_text(output, "ssl_key", text_or(tls->key_file, "(null)"));
    stats_add_u64(output, "ssl_verify_mode", verify_mode(tls));
    stats_add_u64(output, "ssl_keyformat", 1); /* PEM */
    stats_add_text(output, "ssl_ciphers", text_or(tls->ciphers, "NULL"));
    stats_add_text(output, "ssl_ca_cert", text_or(tls->ca_cert_file, "NULL"));
    stats_add_u64(output, "ssl_wbuf_size", 16384);
    stats_add_text(output, "ssl_session_cache", "no");
    stats_add_text(output, "ssl_kernel_tls", "no");
    stats_add_text(output, "ssl_min_version", tls->min_version == TLS_MIN_1_3 ? "tlsv1.3" : "tlsv1.2");
}

void stats_render_settings(const struct stats_view *view, struct buffer *output)
{
    render_limits(view, output);
    render_features(view, output);
    render_tls(view, output);
}
