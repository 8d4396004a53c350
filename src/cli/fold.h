/* Lines that are as wide as a terminal at most. Pure. */
#ifndef DIGLOT_CLI_FOLD_H
#define DIGLOT_CLI_FOLD_H

#include "base/buffer.h"

#include <stdbool.h>

/* Appends the text with every line that has more than `width` columns broken: where two spaces stand, which part what does not belong
 * together, else at a space. What comes behind a break is indented by so many columns, and no line is broken within its first
 * ones. A word that is too long stays whole. `width` is above `indent`; 0: nothing is broken. Colours take no room. */
void fold_text(struct span text, size_t width, size_t indent, struct buffer *output);

/* The lines and columns of the terminal that stdout is. False: it is none, and nothing is set. */
bool fold_terminal(size_t *rows, size_t *columns);

/* Appends the text's first lines, `rows` at most; where there are more, the last one tells so. */
void fold_cut(struct span text, size_t rows, struct buffer *output);

#endif
