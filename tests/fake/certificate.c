#include "fake/certificate.h"

#include "net/tls_context.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static X509 *sign(EVP_PKEY *key)
{
    X509 *x509 = X509_new();
    CHECK(x509 != NULL && X509_set_version(x509, X509_VERSION_3) == 1 && ASN1_INTEGER_set(X509_get_serialNumber(x509), 1) == 1);
    CHECK(X509_gmtime_adj(X509_getm_notBefore(x509), -3600) != NULL && X509_gmtime_adj(X509_getm_notAfter(x509), 3600) != NULL);
    X509_NAME *name = X509_get_subject_name(x509);
    CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1, 0) == 1);
    CHECK(X509_set_issuer_name(x509, name) == 1 && X509_set_pubkey(x509, key) == 1 && X509_sign(x509, key, EVP_sha256()) > 0);
    return x509;
}

void certificate_make(struct certificate *certificate, const char *password)
{
    (void)snprintf(certificate->folder, sizeof(certificate->folder), "/tmp/diglot-unit-XXXXXX");
    CHECK(mkdtemp(certificate->folder) != NULL);
    (void)snprintf(certificate->cert_file, sizeof(certificate->cert_file), "%s/crt", certificate->folder);
    (void)snprintf(certificate->key_file, sizeof(certificate->key_file), "%s/key", certificate->folder);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    CHECK(key != NULL);
    X509 *x509 = sign(key);
    FILE *file = fopen(certificate->cert_file, "w");
    CHECK(file != NULL && PEM_write_X509(file, x509) == 1 && fclose(file) == 0);
    file = fopen(certificate->key_file, "w");
    const EVP_CIPHER *cipher = password != NULL ? EVP_aes_128_cbc() : NULL;
    CHECK(file != NULL && PEM_write_PrivateKey(file, key, cipher, NULL, 0, NULL, (void *)password) == 1 && fclose(file) == 0);
    X509_free(x509);
    EVP_PKEY_free(key);
}

void certificate_remove(struct certificate *certificate)
{
    (void)unlink(certificate->cert_file);
    (void)unlink(certificate->key_file);
    (void)rmdir(certificate->folder);
}

struct tls_settings certificate_settings(const struct certificate *certificate)
{
    struct tls_settings settings = {.auth_clients = TLS_AUTH_NO};
    (void)snprintf(settings.cert_file, sizeof(settings.cert_file), "%s", certificate->cert_file);
    (void)snprintf(settings.key_file, sizeof(settings.key_file), "%s", certificate->key_file);
    return settings;
}

SSL_CTX *certificate_server(const struct tls_settings *settings)
{
    char error[TLS_ERROR_SIZE];
    SSL_CTX *context = tls_context_new(settings, error);
    CHECK(context != NULL);
    return context;
}

SSL *certificate_client(int descriptor, int version)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    CHECK(context != NULL && SSL_CTX_set_min_proto_version(context, version) == 1
          && SSL_CTX_set_max_proto_version(context, version) == 1);
    SSL *tls = SSL_new(context);
    SSL_CTX_free(context);
    CHECK(tls != NULL && SSL_set_fd(tls, descriptor) == 1);
    SSL_set_connect_state(tls);
    return tls;
}
