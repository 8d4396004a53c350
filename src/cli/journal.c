#include "cli/journal.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define HEAD "diglot import to "
#define LINE_MAX_SIZE 512

static const char *const words[] = {[JOURNAL_BEGUN] = "begun ", [JOURNAL_DONE] = "done "};

static bool complain(const char *path, const char *what)
{
    (void)fprintf(stderr, "diglot: %s: %s\n", path, what);
    return false;
}

static void end_line(char *line)
{
    line[strcspn(line, "\r\n")] = '\0';
}

/* A new file gets its first line; that of an old one must name the same target. */
static bool check_head(struct journal *journal, const char *path, const char *target)
{
    char line[LINE_MAX_SIZE];
    rewind(journal->file);
    if (!fgets(line, sizeof line, journal->file)) {
        (void)fprintf(journal->file, HEAD "%s\n", target);
        return (fflush(journal->file) == 0 && fsync(fileno(journal->file)) == 0) || complain(path, strerror(errno));
    }
    end_line(line);
    if (strncmp(line, HEAD, strlen(HEAD)) != 0) {
        return complain(path, "this is no file of an import's state");
    }
    if (strcmp(line + strlen(HEAD), target) != 0) {
        return complain(path, "tells the state of an import to another target: remove it, or name another file");
    }
    return fseek(journal->file, 0, SEEK_END) == 0;
}

bool journal_open(struct journal *journal, const char *path, const char *target)
{
    (void)pthread_mutex_init(&journal->lock, NULL);
    journal->file = NULL;
    if (!path) {
        return true;
    }
    journal->file = fopen(path, "a+");
    if (!journal->file) {
        return complain(path, strerror(errno));
    }
    return check_head(journal, path, target);
}

void journal_close(struct journal *journal)
{
    if (journal->file) {
        (void)fclose(journal->file);
        journal->file = NULL;
    }
    (void)pthread_mutex_destroy(&journal->lock);
}

enum journal_mark journal_find(const char *path, const char *server)
{
    enum journal_mark mark = JOURNAL_NEW;
    FILE *file = path ? fopen(path, "r") : NULL;
    char line[LINE_MAX_SIZE];
    while (file && fgets(line, sizeof line, file)) {
        end_line(line);
        for (enum journal_mark word = JOURNAL_BEGUN; word <= JOURNAL_DONE; word++) {
            size_t size = strlen(words[word]);
            if (strncmp(line, words[word], size) == 0 && strcmp(line + size, server) == 0) {
                mark = word;
            }
        }
    }
    if (file) {
        (void)fclose(file);
    }
    return mark;
}

void journal_note(struct journal *journal, enum journal_mark mark, const char *server)
{
    if (!journal->file) {
        return;
    }
    (void)pthread_mutex_lock(&journal->lock);
    (void)fprintf(journal->file, "%s%s\n", words[mark], server);
    (void)fflush(journal->file);
    (void)fsync(fileno(journal->file));
    (void)pthread_mutex_unlock(&journal->lock);
}
