#include "cli/spool.h"

#include <stdlib.h>
#include <unistd.h>

struct record {
    int64_t expiry;
    uint64_t item_size;
    uint64_t size;
};

bool spool_open(struct spool *spool)
{
    const char *folder = getenv("TMPDIR");
    char path[4096];
    *spool = (struct spool){.file = NULL};
    if (snprintf(path, sizeof path, "%s/diglot-keys-XXXXXX", folder && folder[0] ? folder : "/tmp") >= (int)sizeof path) {
        return false;
    }
    int descriptor = mkstemp(path);
    if (descriptor < 0) {
        return false;
    }
    (void)unlink(path);
    spool->file = fdopen(descriptor, "w+");
    return spool->file != NULL;
}

void spool_close(struct spool *spool)
{
    if (spool->file) {
        (void)fclose(spool->file);
        spool->file = NULL;
    }
}

bool spool_put(struct spool *spool, const struct listed_key *key)
{
    struct record record = {key->expiry, key->item_size, key->size};
    spool->count++;
    return fwrite(&record, sizeof record, 1, spool->file) == 1 && fwrite(key->name, key->size, 1, spool->file) == 1;
}

bool spool_rewind(struct spool *spool)
{
    return fflush(spool->file) == 0 && fseek(spool->file, 0, SEEK_SET) == 0;
}

bool spool_take(struct spool *spool, struct listed_key *key)
{
    struct record record;
    if (fread(&record, sizeof record, 1, spool->file) != 1 || record.size == 0 || record.size > sizeof key->name) {
        return false;
    }
    key->expiry = record.expiry;
    key->item_size = record.item_size;
    key->size = record.size;
    return fread(key->name, key->size, 1, spool->file) == 1;
}
