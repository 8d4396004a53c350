#include "net/tls_context.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509err.h>
#include <stdio.h>

/* Whom resumed sessions belong to; required where clients show certificates. */
#define SESSION_CONTEXT "diglot"

/* The context under construction, and what its failure says. */
struct making {
    SSL_CTX *context;
    const struct tls_settings *settings;
    char *error; /* TLS_ERROR_SIZE bytes */
};

static bool refuse(const struct making *making, const char *sentence)
{
    (void)snprintf(making->error, TLS_ERROR_SIZE, "%s", sentence);
    return false;
}

/* The first error of OpenSSL's queue is the cause, those behind it are its consequences. */
static const char *reason(void)
{
    unsigned long code = ERR_peek_error();
    const char *text = ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);
    return text != NULL ? text : "unknown error";
}

static bool refuse_value(const struct making *making, const char *what, const char *value, const char *option)
{
    (void)snprintf(making->error, TLS_ERROR_SIZE, "cannot use the %s %.300s (%.60s): correct %s", what, value, reason(), option);
    return false;
}

static int tell_password(char *buffer, int size, int is_writing, void *password)
{
    (void)is_writing;
    if (password == NULL || *(const char *)password == '\0') {
        return -1; /* without this answer OpenSSL would ask the terminal */
    }
    return snprintf(buffer, (size_t)size, "%s", (const char *)password);
}

static bool refuse_key(const struct making *making, const char *file)
{
    if (ERR_GET_REASON(ERR_peek_error()) != X509_R_KEY_VALUES_MISMATCH && ERR_peek_error() != 0) {
        return refuse_value(making, "key file", file, "diglot.tls-key-file or the engine's tls-key-file and tls-key-file-pass");
    }
    (void)snprintf(making->error, TLS_ERROR_SIZE,
                   "the key in %.200s does not belong to the certificate in %.200s: correct diglot.tls-key-file", file,
                   making->settings->cert_file);
    return false;
}

static bool load_key(const struct making *making)
{
    const char *file = making->settings->key_file;
    if (*file == '\0') {
        file = making->settings->cert_file;
    }
    SSL_CTX_set_default_passwd_cb(making->context, tell_password);
    SSL_CTX_set_default_passwd_cb_userdata(making->context, (void *)making->settings->key_password);
    bool is_loaded = SSL_CTX_use_PrivateKey_file(making->context, file, SSL_FILETYPE_PEM) == 1;
    SSL_CTX_set_default_passwd_cb_userdata(making->context, NULL);
    if (!is_loaded) {
        return refuse_key(making, file);
    }
    if (SSL_CTX_check_private_key(making->context) != 1) {
        ERR_clear_error();
        return refuse_key(making, file);
    }
    return true;
}

static bool load_certificate(const struct making *making)
{
    const char *file = making->settings->cert_file;
    if (*file == '\0') {
        return refuse(making, "diglot.tls-port needs a certificate: set diglot.tls-cert-file and diglot.tls-key-file, or the "
                              "engine's tls-cert-file and tls-key-file");
    }
    if (SSL_CTX_use_certificate_chain_file(making->context, file) != 1) {
        return refuse_value(making, "certificate file", file, "diglot.tls-cert-file or the engine's tls-cert-file");
    }
    return load_key(making);
}

static bool trust_file(const struct making *making)
{
    const char *file = making->settings->ca_cert_file;
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(file);
    if (names == NULL || SSL_CTX_load_verify_file(making->context, file) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return refuse_value(making, "CA certificate file", file, "diglot.tls-ca-cert-file or the engine's tls-ca-cert-file");
    }
    SSL_CTX_set_client_CA_list(making->context, names); /* clients are told whose certificates count */
    return true;
}

static bool trust_clients(const struct making *making)
{
    const struct tls_settings *settings = making->settings;
    if (settings->auth_clients == TLS_AUTH_NO) {
        return true;
    }
    if (*settings->ca_cert_file == '\0' && *settings->ca_cert_dir == '\0') {
        return refuse(making, "TLS clients are asked for certificates, but nobody is named who may sign them: set "
                              "diglot.tls-ca-cert-file, or diglot.tls-auth-clients no");
    }
    if (*settings->ca_cert_file != '\0' && !trust_file(making)) {
        return false;
    }
    if (*settings->ca_cert_dir != '\0' && SSL_CTX_load_verify_dir(making->context, settings->ca_cert_dir) != 1) {
        return refuse_value(making, "CA certificate folder", settings->ca_cert_dir, "the engine's tls-ca-cert-dir");
    }
    bool is_required = settings->auth_clients == TLS_AUTH_YES;
    SSL_CTX_set_verify(making->context, SSL_VERIFY_PEER | (is_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
    return true;
}

static bool choose_ciphers(const struct making *making)
{
    const struct tls_settings *settings = making->settings;
    if (*settings->ciphers != '\0' && SSL_CTX_set_cipher_list(making->context, settings->ciphers) != 1) {
        return refuse_value(making, "cipher list", settings->ciphers, "the engine's tls-ciphers");
    }
    if (*settings->ciphersuites != '\0' && SSL_CTX_set_ciphersuites(making->context, settings->ciphersuites) != 1) {
        return refuse_value(making, "list of cipher suites", settings->ciphersuites, "the engine's tls-ciphersuites");
    }
    if (settings->prefers_own_ciphers) {
        SSL_CTX_set_options(making->context, SSL_OP_CIPHER_SERVER_PREFERENCE);
    }
    return true;
}

/* A peer that ends the connection without saying goodbye is nothing special: no request is half executed. */
static bool choose_protocol(const struct making *making)
{
    SSL_CTX *context = making->context;
    int least = making->settings->min_version == TLS_MIN_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); /* clients resume with tickets, which take no memory here */
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_dh_auto(context, 1);
    return SSL_CTX_set_min_proto_version(context, least) == 1 && SSL_CTX_set_max_early_data(context, 0) == 1
           && SSL_CTX_set_session_id_context(context, (const unsigned char *)SESSION_CONTEXT, sizeof(SESSION_CONTEXT) - 1) == 1;
}

struct ssl_ctx_st *tls_context_new(const struct tls_settings *settings, char error[TLS_ERROR_SIZE])
{
    CHECK(settings->auth_clients != TLS_AUTH_ENGINE);
    ERR_clear_error();
    const struct making making = {SSL_CTX_new(TLS_server_method()), settings, error};
    if (making.context == NULL) {
        (void)refuse_value(&making, "library", "OpenSSL", "its installation");
        return NULL;
    }
    bool is_made = choose_protocol(&making) ? load_certificate(&making) && trust_clients(&making) && choose_ciphers(&making)
                                            : refuse(&making, "this OpenSSL does not speak the TLS version of diglot.tls-min-version");
    ERR_clear_error();
    if (is_made) {
        error[0] = '\0';
        return making.context;
    }
    SSL_CTX_free(making.context);
    return NULL;
}
