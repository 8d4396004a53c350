#include "net/tls_context.h"

#include "fake/certificate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

struct fixture {
    struct certificate certificate;
    struct certificate other;
    struct certificate locked; /* its key has the password "secret" */
    struct tls_settings settings;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    certificate_make(&fixture->certificate, NULL);
    certificate_make(&fixture->other, NULL);
    certificate_make(&fixture->locked, "secret");
    fixture->settings = certificate_settings(&fixture->certificate);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    certificate_remove(&fixture->certificate);
    certificate_remove(&fixture->other);
    certificate_remove(&fixture->locked);
    free(fixture);
    return 0;
}

static void set(char text[OPTION_TEXT_MAX], const char *value)
{
    (void)snprintf(text, OPTION_TEXT_MAX, "%s", value);
}

static SSL_CTX *assert_made(const struct tls_settings *settings)
{
    char error[TLS_ERROR_SIZE] = "?";
    SSL_CTX *context = tls_context_new(settings, error);
    assert_non_null(context);
    assert_string_equal(error, "");
    return context;
}

static void assert_refused(const struct tls_settings *settings, const char *what, const char *remedy)
{
    char error[TLS_ERROR_SIZE] = "?";
    assert_null(tls_context_new(settings, error));
    if (strstr(error, what) == NULL || strstr(error, remedy) == NULL) {
        fail_msg("\"%s\" does not say \"%s\" and \"%s\"", error, what, remedy);
    }
}

static void test_a_pair_is_enough(void **state)
{
    struct fixture *fixture = *state;
    SSL_CTX *context = assert_made(&fixture->settings);
    assert_int_equal(SSL_CTX_get_verify_mode(context), SSL_VERIFY_NONE);
    assert_int_equal(SSL_CTX_get_min_proto_version(context), TLS1_2_VERSION);
    assert_int_equal(SSL_CTX_get_max_early_data(context), 0);
    assert_true(SSL_CTX_get_options(context) & SSL_OP_NO_RENEGOTIATION);
    assert_true(SSL_CTX_get_options(context) & SSL_OP_NO_COMPRESSION);
    SSL_CTX_free(context);
    fixture->settings.min_version = TLS_MIN_1_3;
    context = assert_made(&fixture->settings);
    assert_int_equal(SSL_CTX_get_min_proto_version(context), TLS1_3_VERSION);
    SSL_CTX_free(context);
}

static void test_certificate_and_key_may_be_one_file(void **state)
{
    struct fixture *fixture = *state;
    char text[8192];
    FILE *key = fopen(fixture->certificate.key_file, "r");
    FILE *both = fopen(fixture->certificate.cert_file, "a");
    assert_true(key != NULL && both != NULL);
    size_t size = fread(text, 1, sizeof(text), key);
    assert_int_equal(fwrite(text, 1, size, both), size);
    fclose(key);
    fclose(both);
    set(fixture->settings.key_file, "");
    SSL_CTX_free(assert_made(&fixture->settings));
}

static void test_without_certificate_or_key_is_refused(void **state)
{
    struct fixture *fixture = *state;
    set(fixture->settings.key_file, "");
    assert_refused(&fixture->settings, fixture->certificate.cert_file, "diglot.tls-key-file");
    set(fixture->settings.key_file, "/no/such/key");
    assert_refused(&fixture->settings, "/no/such/key (No such file", "diglot.tls-key-file");
    set(fixture->settings.cert_file, "/no/such/cert");
    assert_refused(&fixture->settings, "/no/such/cert (No such file", "diglot.tls-cert-file");
    set(fixture->settings.cert_file, "");
    assert_refused(&fixture->settings, "needs a certificate", "diglot.tls-cert-file");
    set(fixture->settings.cert_file, fixture->certificate.key_file);
    assert_refused(&fixture->settings, fixture->certificate.key_file, "diglot.tls-cert-file");
}

static void test_a_key_of_another_certificate_is_refused(void **state)
{
    struct fixture *fixture = *state;
    set(fixture->settings.key_file, fixture->other.key_file);
    assert_refused(&fixture->settings, "does not belong to", "diglot.tls-key-file");
}

static void test_a_locked_key_needs_its_password(void **state)
{
    struct fixture *fixture = *state;
    fixture->settings = certificate_settings(&fixture->locked);
    assert_refused(&fixture->settings, fixture->locked.key_file, "tls-key-file-pass");
    set(fixture->settings.key_password, "wrong");
    assert_refused(&fixture->settings, fixture->locked.key_file, "tls-key-file-pass");
    set(fixture->settings.key_password, "secret");
    SSL_CTX_free(assert_made(&fixture->settings));
}

static void test_who_asks_clients_says_whom_to_trust(void **state)
{
    struct fixture *fixture = *state;
    fixture->settings.auth_clients = TLS_AUTH_YES;
    assert_refused(&fixture->settings, "nobody is named", "diglot.tls-ca-cert-file");
    set(fixture->settings.ca_cert_file, "/no/such/ca");
    assert_refused(&fixture->settings, "/no/such/ca", "diglot.tls-ca-cert-file");
    set(fixture->settings.ca_cert_file, fixture->other.cert_file);
    SSL_CTX *context = assert_made(&fixture->settings);
    assert_int_equal(SSL_CTX_get_verify_mode(context), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT);
    assert_int_equal(sk_X509_NAME_num(SSL_CTX_get_client_CA_list(context)), 1);
    SSL_CTX_free(context);
    fixture->settings.auth_clients = TLS_AUTH_OPTIONAL;
    set(fixture->settings.ca_cert_file, "");
    set(fixture->settings.ca_cert_dir, fixture->other.folder);
    context = assert_made(&fixture->settings);
    assert_int_equal(SSL_CTX_get_verify_mode(context), SSL_VERIFY_PEER);
    SSL_CTX_free(context);
}

static void test_ciphers_are_chosen(void **state)
{
    struct fixture *fixture = *state;
    set(fixture->settings.ciphers, "NO-SUCH-CIPHER");
    assert_refused(&fixture->settings, "NO-SUCH-CIPHER", "tls-ciphers");
    set(fixture->settings.ciphers, "ECDHE-ECDSA-AES256-GCM-SHA384");
    set(fixture->settings.ciphersuites, "NO_SUCH_SUITE");
    assert_refused(&fixture->settings, "NO_SUCH_SUITE", "tls-ciphersuites");
    set(fixture->settings.ciphersuites, "TLS_CHACHA20_POLY1305_SHA256");
    fixture->settings.prefers_own_ciphers = true;
    SSL_CTX *context = assert_made(&fixture->settings);
    assert_true(SSL_CTX_get_options(context) & SSL_OP_CIPHER_SERVER_PREFERENCE);
    assert_int_equal(sk_SSL_CIPHER_num(SSL_CTX_get_ciphers(context)), 2);
    SSL_CTX_free(context);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_pair_is_enough),
        TEST(test_certificate_and_key_may_be_one_file),
        TEST(test_without_certificate_or_key_is_refused),
        TEST(test_a_key_of_another_certificate_is_refused),
        TEST(test_a_locked_key_needs_its_password),
        TEST(test_who_asks_clients_says_whom_to_trust),
        TEST(test_ciphers_are_chosen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
