#include "cli/fold.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define ESCAPE '\033'

/* Takes the line that the text begins with, without its end. */
static struct span take_line(struct span *text)
{
    const char *end = memchr(text->data, '\n', text->size);
    struct span line = span_of(text->data, end ? (size_t)(end - text->data) : text->size);
    *text = span_skip(*text, end ? line.size + 1 : line.size);
    return line;
}

/* Bytes of what is no text: ESC up to its letter; 0: this is text. */
static size_t escape_size(struct span text)
{
    size_t size = 0;
    if (text.data[0] != ESCAPE) return 0;
    while (size < text.size && text.data[size] != 'm') size++;
    return size < text.size ? size + 1 : size;
}

static bool is_space(struct span line, size_t at)
{
    return at < line.size && line.data[at] == ' ';
}

/* How many bytes of the line fit, or are its first word that does not; those up to the column `least` are not parted. */
static size_t fitting(struct span line, size_t width, size_t least)
{
    size_t column = 0, wide = 0, narrow = 0, at = 0;
    while (at < line.size && (column <= width || wide + narrow == 0)) {
        size_t escape = escape_size(span_skip(line, at));
        at += escape;
        if (escape > 0) continue;
        bool may_break = is_space(line, at) && column > least && line.data[at - 1] != ' ';
        if (may_break) narrow = at;
        if (may_break && is_space(line, at + 1)) wide = at;
        at++;
        column++;
    }
    if (at == line.size && column <= width) return line.size;
    if (wide > 0) return wide;
    return narrow > 0 ? narrow : line.size;
}

static void fold_line(struct span line, size_t width, size_t indent, struct buffer *output)
{
    size_t taken = fitting(line, width, indent);
    buffer_append(output, span_of(line.data, taken));
    for (line = span_skip(line, taken); line.size > 0; line = span_skip(line, taken)) {
        while (is_space(line, 0)) line = span_skip(line, 1);
        buffer_append(output, SPAN("\n"));
        for (size_t i = 0; i < indent; i++) buffer_append(output, SPAN(" "));
        taken = fitting(line, width - indent, 0);
        buffer_append(output, span_of(line.data, taken));
    }
    buffer_append(output, SPAN("\n"));
}

void fold_text(struct span text, size_t width, size_t indent, struct buffer *output)
{
    if (width == 0) {
        buffer_append(output, text);
        return;
    }
    while (text.size > 0) fold_line(take_line(&text), width, indent, output);
}

bool fold_terminal(size_t *rows, size_t *columns)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return false;
    *rows = size.ws_row;
    *columns = size.ws_col;
    return true;
}

static size_t count_lines(struct span text)
{
    size_t count = 0;
    for (; text.size > 0; count++) (void)take_line(&text);
    return count;
}

void fold_cut(struct span text, size_t rows, struct buffer *output)
{
    size_t count = count_lines(text);
    size_t shown = count <= rows ? count : rows > 0 ? rows - 1 : 0;
    for (size_t i = 0; i < shown; i++) {
        buffer_append(output, take_line(&text));
        buffer_append(output, SPAN("\n"));
    }
    if (count <= rows) return;
    char more[80];
    int size = snprintf(more, sizeof more, "%zu lines more: they need a taller terminal\n", count - shown);
    buffer_append(output, span_of(more, (size_t)size));
}
