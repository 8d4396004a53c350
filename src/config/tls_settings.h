/* What the TLS door works with: the options, completed by the engine's own tls-* settings. Main thread. */
#ifndef DIGLOT_CONFIG_TLS_SETTINGS_H
#define DIGLOT_CONFIG_TLS_SETTINGS_H

#include "config/options.h"

/* Room for the sentence that says why settings cannot be used. */
#define TLS_ERROR_SIZE 512

/* An empty text: not set. */
struct tls_settings {
    char cert_file[OPTION_TEXT_MAX];
    char key_file[OPTION_TEXT_MAX]; /* when not set, the certificate's file holds the key, too */
    char key_password[OPTION_TEXT_MAX];
    char ca_cert_file[OPTION_TEXT_MAX];
    char ca_cert_dir[OPTION_TEXT_MAX];
    char ciphers[OPTION_TEXT_MAX];      /* OpenSSL's list, TLS 1.2 */
    char ciphersuites[OPTION_TEXT_MAX]; /* OpenSSL's list, TLS 1.3 */
    enum tls_auth_clients auth_clients; /* never TLS_AUTH_ENGINE */
    enum tls_min_version min_version;
    bool prefers_own_ciphers; /* the server's order of ciphers counts, not the client's */
};

#endif
