/* What a memcached command line says: every option of memcached 1.6 (1.6.18 to 1.6.45). Pure, but for getopt's own state:
 * one thread. */
#ifndef DIGLOT_CLI_MEMCACHED_OPTIONS_H
#define DIGLOT_CLI_MEMCACHED_OPTIONS_H

#include "base/span.h"

#include <stdint.h>

#define MEMCACHED_TEXT_MAX 512
#define MEMCACHED_REMARKS_MAX 96

/* Something that the command line says and that has no equivalent, or that nobody knows. */
struct memcached_remark {
    char option[64];   /* as it is told: "-L, --enable-largepages" */
    char text[320];
    bool is_unknown;   /* no option of memcached, or its value makes no sense */
    bool is_harmless;  /* what takes its place needs nobody's attention */
};

struct memcached_options {
    uint64_t memory_mb;
    uint64_t item_size_max; /* bytes */
    uint64_t connections, threads, port, udp_port, idle_timeout, backlog, slab_min_size;
    double slab_factor;
    bool evicts, may_flush, may_shut_down, may_dump, may_watch;
    bool uses_tls, has_sasl, is_daemon;
    unsigned verbosity;
    char listen[MEMCACHED_TEXT_MAX], socket[MEMCACHED_TEXT_MAX], socket_mode[8], protocol[16], pid_file[MEMCACHED_TEXT_MAX];
    char auth_file[MEMCACHED_TEXT_MAX], certificate[MEMCACHED_TEXT_MAX], key[MEMCACHED_TEXT_MAX], authority[MEMCACHED_TEXT_MAX];
    char ciphers[MEMCACHED_TEXT_MAX];
    uint64_t tls_verify, tls_version; /* memcached's numbers */
    struct memcached_remark remarks[MEMCACHED_REMARKS_MAX];
    size_t remark_count;
};

/* Reads the words behind "memcached". What cannot be understood is a remark. */
void memcached_options_read(int argc, char **argv, struct memcached_options *options);

/* A remark; those behind the last that there is room for are dropped. */
struct memcached_remark *memcached_options_remark(struct memcached_options *options, const char *option, const char *text);

#endif
