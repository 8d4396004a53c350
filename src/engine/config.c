#include "engine/config.h"

#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum text_index {
#define TEXT(field, name, value, description) TEXT_##field,
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

static unsigned flags_of(bool is_live, bool is_memory)
{
    return (is_live ? API_CONFIG_DEFAULT : API_CONFIG_IMMUTABLE) | (is_memory ? API_CONFIG_MEMORY : API_CONFIG_DEFAULT);
}

static bool register_numbers(RedisModuleCtx *ctx, struct options *options)
{
    bool is_ok = true;
#define NUMBER(field, name, value, least, most, is_live, is_memory, description)                                  \
    is_ok &= api.RegisterNumericConfig(ctx, name, value, flags_of(is_live, is_memory), least, most, get_number,   \
                                       set_number, NULL, (void *)&options->field) == API_OK;
#define BOOLEAN(field, name, value, is_live, description)                                                         \
    is_ok &= api.RegisterBoolConfig(ctx, name, value, flags_of(is_live, false), get_boolean, set_boolean, NULL,   \
                                    (void *)&options->field) == API_OK;
    OPTIONS_NUMBER(NUMBER)
    OPTIONS_BOOLEAN(BOOLEAN)
#undef NUMBER
#undef BOOLEAN
    return is_ok;
}

static bool register_texts(RedisModuleCtx *ctx, struct options *options, struct config_texts *texts)
{
    bool is_ok = true;
#define TEXT(name_of_field, name, value, description)                                                             \
    texts->options[TEXT_##name_of_field] = (struct text_option){options->name_of_field, OPTION_TEXT_MAX - 1, NULL}; \
    is_ok &= api.RegisterStringConfig(ctx, name, value, flags_of(false, false), get_text, set_text, NULL,         \
                                      &texts->options[TEXT_##name_of_field]) == API_OK;
    OPTIONS_TEXT(TEXT)
#undef TEXT
    texts->options[TEXT_key_prefix].longest = OPTION_KEY_PREFIX_MAX;
    return is_ok;
}

struct config_texts *config_load(RedisModuleCtx *ctx, struct options *options)
{
    struct config_texts *texts = check_calloc(1, sizeof *texts);
    if (register_numbers(ctx, options) && register_texts(ctx, options, texts) && api.LoadConfigs(ctx) == API_OK)
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
