#include "engine/config.h"

#include "base/check.h"
#include "engine/descriptors.h"
#include "engine/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHOICES_MAX 16

enum text_index {
#define TEXT(field, name, value, is_live, description) TEXT_##field,
    OPTIONS_TEXT(TEXT)
#undef TEXT
    TEXTS
};

struct text_option {
    char *field;
    size_t longest;
    RedisModuleString *string; /* what the engine is shown */
};

struct config_texts {
    struct text_option options[TEXTS];
};

static long long get_number(const char *name, void *user_data)
{
    (void)name;
    return atomic_load((_Atomic int64_t *)user_data);
}

static int set_number(const char *name, long long value, void *user_data, RedisModuleString **error)
{
    (void)name, (void)error;
    atomic_store((_Atomic int64_t *)user_data, value);
    return API_OK;
}

static int get_boolean(const char *name, void *user_data)
{
    (void)name;
    return atomic_load((atomic_bool *)user_data);
}

static int set_boolean(const char *name, int value, void *user_data, RedisModuleString **error)
{
    (void)name, (void)error;
    atomic_store((atomic_bool *)user_data, value != 0);
    return API_OK;
}

static RedisModuleString *get_text(const char *name, void *user_data)
{
    (void)name;
    return ((struct text_option *)user_data)->string;
}

static int refuse_text(const char *name, const struct text_option *option, RedisModuleString **error)
{
    char sentence[160];
    int size = snprintf(sentence, sizeof sentence, "diglot.%s takes at most %zu bytes and no NUL", name, option->longest);
    *error = api.CreateString(NULL, sentence, (size_t)size);
    return API_ERR;
}

static int set_text(const char *name, RedisModuleString *value, void *user_data, RedisModuleString **error)
{
    struct text_option *option = user_data;
    size_t size;
    const char *text = api.StringPtrLen(value, &size);
    if (size > option->longest || memchr(text, '\0', size)) return refuse_text(name, option, error);
    memcpy(option->field, text, size);
    option->field[size] = '\0';
    if (option->string) api.FreeString(NULL, option->string);
    option->string = api.CreateString(NULL, text, size);
    return API_OK;
}

static int get_choice(const char *name, void *user_data)
{
    (void)name;
    return atomic_load((atomic_int *)user_data);
}

static int set_choice(const char *name, int value, void *user_data, RedisModuleString **error)
{
    (void)name, (void)error;
    atomic_store((atomic_int *)user_data, value);
    return API_OK;
}

/* The engine has set all options of one CONFIG SET; it takes them back when we refuse. Before the program runs there is
 * nothing to be told. */
static int apply_tls(RedisModuleCtx *not_for_calls, void *user_data, RedisModuleString **error)
{
    (void)not_for_calls, (void)user_data;
    const struct engine *engine = engine_instance();
    char sentence[TLS_ERROR_SIZE];
    if (!engine || engine->reload_tls(engine->owner, sentence)) return API_OK;
    *error = api.CreateString(NULL, sentence, strlen(sentence));
    return API_ERR;
}

static int apply_maxconns(RedisModuleCtx *not_for_calls, void *user_data, RedisModuleString **error)
{
    (void)not_for_calls, (void)user_data;
    static const char sentence[] = "the limit of open files is too low for that many connections: raise it (ulimit -n)";
    const struct engine *engine = engine_instance();
    if (!engine || engine->descriptor_floor == 0) return API_OK;
    if (descriptors_raise(engine->descriptor_floor, (size_t)option_get(engine->options, maxconns))) return API_OK;
    *error = api.CreateString(NULL, sentence, sizeof sentence - 1);
    return API_ERR;
}

/* Whether the old servers can be read from the options; the bridge takes them over when CONFIG SET is through. */
static int apply_upstream(RedisModuleCtx *not_for_calls, void *user_data, RedisModuleString **error)
{
    (void)not_for_calls, (void)user_data;
    const struct engine *engine = engine_instance();
    char sentence[BRIDGE_ERROR_SIZE];
    if (!engine) return API_OK;
    const char *refusal = engine_upstream_refusal(engine->options, engine->cluster.is_enabled, sentence);
    if (!refusal) return API_OK;
    *error = api.CreateString(NULL, refusal, strlen(refusal));
    return API_ERR;
}

static api_apply *apply_of(const char *name)
{
    if (strcmp(name, "maxconns") == 0) return apply_maxconns;
    if (strncmp(name, "upstream", 8) == 0) return apply_upstream;
    return strncmp(name, "tls-", 4) == 0 ? apply_tls : NULL;
}

static unsigned flags_of(bool is_live, bool is_memory)
{
    return (is_live ? API_CONFIG_DEFAULT : API_CONFIG_IMMUTABLE) | (is_memory ? API_CONFIG_MEMORY : API_CONFIG_DEFAULT);
}

static bool register_numbers(RedisModuleCtx *ctx, struct options *options)
{
    bool is_ok = true;
#define NUMBER(field, name, value, least, most, is_live, is_memory, description)                                  \
    is_ok &= api.RegisterNumericConfig(ctx, name, value, flags_of(is_live, is_memory), least, most, get_number,   \
                                       set_number, apply_of(name), (void *)&options->field) == API_OK;
#define BOOLEAN(field, name, value, is_live, description)                                                         \
    is_ok &= api.RegisterBoolConfig(ctx, name, value, flags_of(is_live, false), get_boolean, set_boolean, apply_of(name), \
                                    (void *)&options->field) == API_OK;
    OPTIONS_NUMBER(NUMBER)
    OPTIONS_BOOLEAN(BOOLEAN)
#undef NUMBER
#undef BOOLEAN
    return is_ok;
}

/* `choices` are the names, separated by '|'; each one's value is its place. The engine copies them. */
static bool register_choice(RedisModuleCtx *ctx, const char *name, const char *choices, int value, bool is_live,
                            atomic_int *field)
{
    char words[128];
    const char *names[CHOICES_MAX];
    int values[CHOICES_MAX];
    int count = 0;
    (void)snprintf(words, sizeof words, "%s", choices);
    for (char *next = words; next;) {
        CHECK(count < CHOICES_MAX);
        names[count] = strsep(&next, "|");
        values[count] = count;
        count++;
    }
    return api.RegisterEnumConfig(ctx, name, value, flags_of(is_live, false), names, values, count, get_choice, set_choice,
                                  apply_of(name), field) == API_OK;
}

static bool register_choices(RedisModuleCtx *ctx, struct options *options)
{
    bool is_ok = true;
#define CHOICE(field, name, choices, value, is_live, description) \
    is_ok &= register_choice(ctx, name, choices, value, is_live, &options->field);
    OPTIONS_CHOICE(CHOICE)
#undef CHOICE
    return is_ok;
}

static bool register_texts(RedisModuleCtx *ctx, struct options *options, struct config_texts *texts)
{
    bool is_ok = true;
#define TEXT(name_of_field, name, value, is_live, description)                                                    \
    texts->options[TEXT_##name_of_field] = (struct text_option){options->name_of_field, OPTION_TEXT_MAX - 1, NULL}; \
    is_ok &= api.RegisterStringConfig(ctx, name, value, flags_of(is_live, false), get_text, set_text,             \
                                      apply_of(name), &texts->options[TEXT_##name_of_field]) == API_OK;
    OPTIONS_TEXT(TEXT)
#undef TEXT
    texts->options[TEXT_key_prefix].longest = OPTION_KEY_PREFIX_MAX;
    return is_ok;
}

struct config_texts *config_load(RedisModuleCtx *ctx, struct options *options)
{
    struct config_texts *texts = check_calloc(1, sizeof *texts);
    if (register_numbers(ctx, options) && register_choices(ctx, options) && register_texts(ctx, options, texts) &&
        api.LoadConfigs(ctx) == API_OK)
        return texts;
    api.Log(ctx, "warning", "a diglot option has a value that it does not take: see the line above and correct it");
    config_free(&texts);
    return NULL;
}

void config_free(struct config_texts **texts)
{
    if (!*texts) return;
    for (size_t i = 0; i < TEXTS; i++)
        if ((*texts)->options[i].string) api.FreeString(NULL, (*texts)->options[i].string);
    free(*texts);
    *texts = NULL;
}
