/* The state of a migration as text, in lines that fit a terminal. Pure. */
#ifndef DIGLOT_CLI_DASHBOARD_H
#define DIGLOT_CLI_DASHBOARD_H

#include "base/buffer.h"
#include "cli/facts.h"

#include <jansson.h>

struct dashboard_view {
    const char *server; /* HOST:PORT */
    const struct facts *facts;
    const struct facts *before; /* NULL: no rates */
    bool has_colours;
};

/* Lines of text, each ended by a newline. */
void dashboard_render(const struct dashboard_view *view, struct buffer *output);

/* The same, to be freed. */
json_t *dashboard_json(const struct dashboard_view *view);

#endif
