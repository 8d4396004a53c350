/* A self-signed certificate in files of its own, and the client's side of TLS, for tests. */
#ifndef DIGLOT_TESTS_FAKE_CERTIFICATE_H
#define DIGLOT_TESTS_FAKE_CERTIFICATE_H

#include "config/tls_settings.h"

#include <openssl/ssl.h>

struct certificate {
    char folder[32];
    char cert_file[64];
    char key_file[64];
};

/* Makes the files; the key is encrypted when there is a password. */
void certificate_make(struct certificate *certificate, const char *password);
/* Removes them. */
void certificate_remove(struct certificate *certificate);

/* Settings of a door that shows the certificate and asks for none. */
struct tls_settings certificate_settings(const struct certificate *certificate);

/* A context from the settings, which must be good. */
SSL_CTX *certificate_server(const struct tls_settings *settings);

/* The client's end on this socket, which stays the caller's; `version` is the only one it speaks. */
SSL *certificate_client(int descriptor, int version);

#endif
