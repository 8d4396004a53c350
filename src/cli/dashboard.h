/* The state of a migration as text: what matters most comes first. Pure. */
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
    const char *clock; /* stands first; NULL: this is told once */
    size_t columns; /* of a terminal, above 20; 0: lines are as long as they come */
};

/* Lines of text, each ended by a newline. */
void dashboard_render(const struct dashboard_view *view, struct buffer *output);

/* The same, to be freed. */
json_t *dashboard_json(const struct dashboard_view *view);

#endif
