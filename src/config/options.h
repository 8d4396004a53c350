/* The module's options, each declared once: everything else (engine configs, `stats settings`, the README's table) renders
 * this list. Values are written by the main thread and read by any. */
#ifndef DIGLOT_CONFIG_OPTIONS_H
#define DIGLOT_CONFIG_OPTIONS_H

#include "base/span.h"

#include <stdatomic.h>
#include <stdint.h>

/* NUMBER(field, "name", default, least, most, is_live, is_memory, "description") */
#define OPTIONS_NUMBER(NUMBER)                                                                                            \
    NUMBER(port, "port", 11211, 0, 65535, false, false, "TCP port of the memcached door; 0 closes it")                    \
    NUMBER(io_threads, "io-threads", 0, 0, 64, false, false,                                                              \
           "threads that read, parse and write; 0 lets the engine's own event loop do it")                                \
    NUMBER(maxconns, "maxconns", 1024, 1, 1000000, true, false, "memcached connections served at once; more are told so and closed") \
    NUMBER(max_item_size, "max-item-size", 1024 * 1024, 1024, 512 * 1024 * 1024, true, true,                              \
           "largest item in bytes, counted as memcached does: value, key and about 60 bytes")                             \
    NUMBER(cache_size, "cache-size", 32 * 1024 * 1024, 0, 34359738368, true, true,                          \
           "bytes of the near cache, shared out between the threads, beside maxmemory; 0 switches it off")                \
    NUMBER(db, "db", 0, 0, 1000000, false, false, "the engine's database that holds the items")                           \
    NUMBER(idle_timeout, "idle-timeout", 0, 0, 86400, true, false, "seconds after which a silent connection is closed; 0 never") \
    NUMBER(write_timeout, "write-timeout", 60, 1, 86400, true, false,                                                     \
           "seconds after which a client that does not read its replies is dropped")                                      \
    NUMBER(maxmemory_clients, "maxmemory-clients", 512 * 1024 * 1024, 0, 1099511627776, true, true,                   \
           "bytes that memcached connections may hold together; beyond, the longest waiting are dropped; 0 no bound")    \
    NUMBER(tls_port, "tls-port", 0, 0, 65535, false, false,                                                               \
           "TCP port of the memcached door with TLS, on the addresses of diglot.bind; 0 closes it")                       \
    NUMBER(upstream_share, "upstream-share", 100, 0, 100, true, false,                                                    \
           "percent of the keys that live here; requests on the others are passed through to the old servers")            \
    NUMBER(upstream_timeout, "upstream-timeout", 500, 1, 60000, true, false,                                              \
           "milliseconds that a request waits for an old server")                                                         \
    NUMBER(upstream_ttl, "upstream-ttl", 3600, 0, 31536000, true, false,                                                  \
           "seconds to live of an item whose old server, older than memcached 1.6, cannot tell; 0 forever")               \
    NUMBER(upstream_queue, "upstream-queue", 1000000, 1, 100000000, true, false,                                          \
           "keys that wait to be copied to the old servers; what changes beyond is not copied, and counted")              \
    NUMBER(upstream_memory, "upstream-memory", 16 * 1024 * 1024, 1024 * 1024, 1024 * 1024 * 1024, false, true,            \
           "bytes that remember which keys were changed here; two for each keep it exact")

/* BOOLEAN(field, "name", default, is_live, "description") */
#define OPTIONS_BOOLEAN(BOOLEAN)                                                                                          \
    BOOLEAN(flush_all, "flush-all", true, true, "whether flush_all may empty the database")                               \
    BOOLEAN(shutdown, "shutdown", false, true, "whether memcached clients may shut the server down")                      \
    BOOLEAN(upstream_read, "upstream-read", true, true, "whether keys that are missing here are looked for at the old servers")    \
    BOOLEAN(upstream_mirror, "upstream-mirror", false, true, "whether what changes here is copied to the old servers")    \
    BOOLEAN(upstream_tls, "upstream-tls", false, true, "whether the old servers are spoken to with TLS")                      \
    BOOLEAN(usage, "usage", false, true, "whether a report is kept of who speaks memcached, and what for (DIGLOT.STATS usage)")

/* CHOICE(field, "name", "one|of|these", index of the default, is_live, "description"); the value is an index into the list */
#define OPTIONS_CHOICE(CHOICE)                                                                                            \
    CHOICE(protocol, "protocol", "auto|ascii|binary", 0, true,                                                            \
           "what new connections may speak; auto: their first byte tells, ascii is classic and meta text")                \
    CHOICE(tls_auth_clients, "tls-auth-clients", "engine|no|optional|yes", 0, true,                                       \
           "whether TLS clients must show a certificate; engine: what the engine's tls-auth-clients says")                \
    CHOICE(tls_min_version, "tls-min-version", "1.2|1.3", 0, true, "oldest TLS version that is spoken")                   \
    CHOICE(upstream_distribution, "upstream-distribution", "ketama|ketama-weighted|modula|rendezvous", 0, true,           \
           "how clients spread keys over the old servers: as libmemcached, or rendezvous as pymemcache")                  \
    CHOICE(upstream_hash, "upstream-hash", "default|md5|crc|fnv1_64|fnv1a_64|fnv1_32|fnv1a_32|murmur|jenkins|murmur3", 0, true,                           \
           "the hash that they use for that, by libmemcached's name")

/* TEXT(field, "name", "default", is_live, "description"); only the main thread reads those that are live */
#define OPTIONS_TEXT(TEXT)                                                                                                \
    TEXT(bind, "bind", "127.0.0.1 -::1", false,                                                                           \
         "addresses to listen on, separated by spaces; one behind a '-' may be missing")                                  \
    TEXT(key_prefix, "key-prefix", "", false, "put before every memcached key to make the engine's key")                  \
    TEXT(unixsocket, "unixsocket", "", false, "path of a unix socket to serve memcached clients on as well; empty: none") \
    TEXT(unixsocketperm, "unixsocketperm", "700", false, "permissions of that socket, octal: 0 to 777")                   \
    TEXT(tls_cert_file, "tls-cert-file", "", true,                                                                        \
         "PEM file of the certificate and those that it rests on; empty: the engine's tls-cert-file")                     \
    TEXT(tls_key_file, "tls-key-file", "", true, "PEM file of the certificate's key; empty: the engine's tls-key-file")   \
    TEXT(tls_ca_cert_file, "tls-ca-cert-file", "", true,                                                                  \
         "PEM file of those who may sign clients' certificates; empty: the engine's tls-ca-cert-file and tls-ca-cert-dir")                \
    TEXT(upstream, "upstream", "", true,                                                                                  \
         "the old memcached servers, HOST:PORT[:WEIGHT], in the order that clients have them in; empty: none")            \
    TEXT(upstream_tls_ca_cert_file, "upstream-tls-ca-cert-file", "", true,                                                \
         "PEM file of those who may sign the old servers' certificates; empty: whom the machine trusts")                  \
    TEXT(user, "user", "default", false,                                                                                  \
         "the ACL user that a connection acts as before it logs in; if he needs a password, so does the door")

#define OPTION_TEXT_MAX 4096
#define OPTION_KEY_PREFIX_MAX 128

/* The choices above, in their order. */
enum protocol_choice { PROTOCOL_AUTO, PROTOCOL_ASCII, PROTOCOL_BINARY };
enum tls_auth_clients { TLS_AUTH_ENGINE, TLS_AUTH_NO, TLS_AUTH_OPTIONAL, TLS_AUTH_YES };
enum tls_min_version { TLS_MIN_1_2, TLS_MIN_1_3 };

struct options {
#define NUMBER(field, name, value, least, most, is_live, is_memory, description) _Atomic int64_t field;
#define BOOLEAN(field, name, value, is_live, description) atomic_bool field;
#define CHOICE(field, name, choices, value, is_live, description) atomic_int field;
#define TEXT(field, name, value, is_live, description) char field[OPTION_TEXT_MAX];
    OPTIONS_NUMBER(NUMBER)
    OPTIONS_BOOLEAN(BOOLEAN)
    OPTIONS_CHOICE(CHOICE)
    OPTIONS_TEXT(TEXT)
#undef NUMBER
#undef BOOLEAN
#undef CHOICE
#undef TEXT
};

/* Sets every option to its default. */
void options_init(struct options *options);

/* Reads an option that other threads may be reading too. */
#define option_get(options, field) atomic_load_explicit(&(options)->field, memory_order_relaxed)

/* NULL when the whole set makes sense, else one sentence that says what does not and how to mend it. */
const char *options_refusal(const struct options *options);

/* The permissions that diglot.unixsocketperm tells; options_refusal must have passed. */
unsigned options_socket_mode(const struct options *options);

#endif
