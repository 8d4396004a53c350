#include "config/options.h"

#include <stdio.h>

static void set_text(char field[OPTION_TEXT_MAX], const char *value)
{
    memset(field, 0, OPTION_TEXT_MAX);
    (void)snprintf(field, OPTION_TEXT_MAX, "%s", value);
}

void options_init(struct options *options)
{
#define NUMBER(field, name, value, least, most, is_live, is_memory, description) atomic_init(&options->field, value);
#define BOOLEAN(field, name, value, is_live, description) atomic_init(&options->field, value);
#define CHOICE(field, name, choices, value, is_live, description) atomic_init(&options->field, value);
#define TEXT(field, name, value, is_live, description) set_text(options->field, value);
    OPTIONS_NUMBER(NUMBER)
    OPTIONS_BOOLEAN(BOOLEAN)
    OPTIONS_CHOICE(CHOICE)
    OPTIONS_TEXT(TEXT)
#undef NUMBER
#undef BOOLEAN
#undef CHOICE
#undef TEXT
}

static const char *number_refusal(const struct options *options)
{
#define NUMBER(field, name, value, least, most, is_live, is_memory, description)                                          \
    if (option_get(options, field) < (least) || option_get(options, field) > (most)) {                                    \
        return "diglot." name " is out of range: use " #least " to " #most;                                               \
    }
    OPTIONS_NUMBER(NUMBER)
#undef NUMBER
    return NULL;
}

unsigned options_socket_mode(const struct options *options)
{
    unsigned mode = 0;
    for (const char *digit = options->unixsocketperm; *digit; digit++) {
        mode = mode * 8 + (unsigned)(*digit - '0');
    }
    return mode;
}

/* One to four octal digits, and nothing above the nine bits of owner, group and others. */
static bool is_socket_mode(const char *text)
{
    size_t size = strlen(text);
    return size > 0 && size <= 4 && strspn(text, "01234567") == size && (size < 4 || text[0] == '0');
}

static bool is_blank(const char *text)
{
    return text[strspn(text, " ")] == '\0';
}

static const char *text_refusal(const struct options *options)
{
    /* The flag ledgers live beside the items; an item must never have a ledger's name. */
    static const char ledger_prefix[] = "diglot:";

    if (strlen(options->key_prefix) > OPTION_KEY_PREFIX_MAX) {
        return "diglot.key-prefix is too long: use at most 128 bytes";
    }
    if (strncmp(options->key_prefix, ledger_prefix, sizeof(ledger_prefix) - 1) == 0) {
        return "diglot.key-prefix must not begin with \"diglot:\", the module's own keys do: choose another one";
    }
    if ((option_get(options, port) != 0 || option_get(options, tls_port) != 0) && is_blank(options->bind)) {
        return "diglot.bind is empty: name at least one address, or close the door with diglot.port 0 and diglot.tls-port 0";
    }
    if (option_get(options, port) != 0 && option_get(options, port) == option_get(options, tls_port)) {
        return "diglot.port and diglot.tls-port are the same: choose two ports, or close one of the doors with 0";
    }
    if (!is_socket_mode(options->unixsocketperm)) {
        return "diglot.unixsocketperm is no permission: use octal digits like 700 or 770";
    }
    return NULL;
}

const char *options_refusal(const struct options *options)
{
    const char *refusal = number_refusal(options);
    return refusal != NULL ? refusal : text_refusal(options);
}
