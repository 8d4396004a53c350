/* What handshakes are made from: certificate, key, whom to trust, which versions and ciphers. Made anew for every change of
 * the settings or their files; a connection keeps the context that it was made from. */
#ifndef DIGLOT_NET_TLS_CONTEXT_H
#define DIGLOT_NET_TLS_CONTEXT_H

#include "base/check.h"
#include "config/tls_settings.h"

struct ssl_ctx_st;

/* The caller's, to be freed with SSL_CTX_free. NULL with one sentence in `error` that says what cannot be used and how to
 * mend it. Reads files. Any thread. */
MUST_USE struct ssl_ctx_st *tls_context_new(const struct tls_settings *settings, char error[TLS_ERROR_SIZE]);

#endif
