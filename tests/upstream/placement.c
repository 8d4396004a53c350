/* Prints where keys live. Arguments: the list of servers, the distribution and the hash by their place in the options' words; keys
 * come as lines. One line per key: the server's index. For test_distributions.py, which compares with the libraries. */
#include "upstream/fleet.h"

#include <stdio.h>
#include <stdlib.h>

int main(int count, char **words)
{
    char error[FLEET_ERROR_SIZE], key[512];
    if (count != 4) return 2;
    struct fleet *fleet = fleet_new(span_of(words[1], strlen(words[1])), (enum distribution)atoi(words[2]),
                                    (enum key_hash)atoi(words[3]), error);
    if (!fleet) return fprintf(stderr, "%s\n", error), 1;
    while (fgets(key, sizeof key, stdin)) printf("%zu\n", fleet_server_of(fleet, span_of(key, strcspn(key, "\n"))));
    fleet_free(&fleet);
    return 0;
}
