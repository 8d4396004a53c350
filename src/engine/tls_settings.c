/* The settings of the TLS door. Where an option is not set, the engine's own one of that name holds, so that a server with
 * TLS needs nothing but diglot.tls-port. */
#include "engine/engine.h"

#include <stdio.h>
#include <string.h>

/* The engine's settings by name, and where their texts go. */
struct engine_texts {
    const char *name;
    char *text;
};

static bool is_word(const char *text, size_t size, const char *word)
{
    return size == strlen(word) && memcmp(text, word, size) == 0;
}

static void take_text(const struct engine_texts *texts, const char *name, size_t name_size, const char *value, size_t size)
{
    for (; texts->name; texts++)
        if (is_word(name, name_size, texts->name)) (void)snprintf(texts->text, OPTION_TEXT_MAX, "%.*s", (int)size, value);
}

/* Engines built without TLS have none of these. */
static void ask_engine(RedisModuleCtx *ctx, const struct engine_texts *texts)
{
    RedisModuleCallReply *reply = api.Call(ctx, "CONFIG", "cc", "GET", "tls-*");
    if (!reply) return;
    for (size_t i = 0; i + 1 < api.CallReplyLength(reply); i += 2) {
        size_t name_size, size;
        const char *name = api.CallReplyStringPtr(api.CallReplyArrayElement(reply, i), &name_size);
        const char *value = api.CallReplyStringPtr(api.CallReplyArrayElement(reply, i + 1), &size);
        if (name && value) take_text(texts, name, name_size, value, size);
    }
    api.FreeCallReply(reply);
}

static void override(char text[OPTION_TEXT_MAX], const char *option)
{
    if (*option) (void)snprintf(text, OPTION_TEXT_MAX, "%s", option);
}

/* Where the engine does not say, clients must show a certificate, as is every engine's own default. */
static enum tls_auth_clients auth_clients(const struct options *options, const char *engine_says)
{
    enum tls_auth_clients own = (enum tls_auth_clients)option_get(options, tls_auth_clients);
    if (own != TLS_AUTH_ENGINE) return own;
    if (strcmp(engine_says, "no") == 0) return TLS_AUTH_NO;
    return strcmp(engine_says, "optional") == 0 ? TLS_AUTH_OPTIONAL : TLS_AUTH_YES;
}

void engine_read_tls_settings(RedisModuleCtx *ctx, const struct options *options, struct tls_settings *settings)
{
    char auth[OPTION_TEXT_MAX] = "";
    char prefers_own[OPTION_TEXT_MAX] = "";
    memset(settings, 0, sizeof *settings);
    const struct engine_texts texts[] = {
        {"tls-cert-file", settings->cert_file},       {"tls-key-file", settings->key_file},
        {"tls-key-file-pass", settings->key_password}, {"tls-ca-cert-file", settings->ca_cert_file},
        {"tls-ca-cert-dir", settings->ca_cert_dir},   {"tls-ciphers", settings->ciphers},
        {"tls-ciphersuites", settings->ciphersuites}, {"tls-auth-clients", auth},
        {"tls-prefer-server-ciphers", prefers_own},   {NULL, NULL},
    };
    ask_engine(ctx, texts);
    override(settings->cert_file, options->tls_cert_file);
    override(settings->key_file, options->tls_key_file);
    override(settings->ca_cert_file, options->tls_ca_cert_file);
    if (*options->tls_ca_cert_file) *settings->ca_cert_dir = '\0';
    settings->auth_clients = auth_clients(options, auth);
    settings->min_version = (enum tls_min_version)option_get(options, tls_min_version);
    settings->prefers_own_ciphers = strcmp(prefers_own, "yes") == 0;
}
