/* diglot: moves a live memcached fleet to Redis or Valkey, and looks after the move. docs/diglot.1 is its manual. */
#include "base/version.h"
#include "cli/command.h"

#include <argp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

struct command {
    const char *name;
    const char *summary;
    enum cli_status (*run)(int argc, char **argv);
};

static const struct command commands[] = {
    {"plan", "turn a memcached command line into lines of redis.conf", plan_main},
    {"import", "copy all items of memcached servers, never over newer data", import_main},
    {"verify", "compare memcached servers with the new one while traffic runs", verify_main},
    {"status", "tell the state of the migration, once", status_main},
    {"top", "the same, refreshed until you press q", top_main},
    {"convert", "turn what other bridges stored into plain strings", convert_main},
    {"detach", "look whether the module can go, and remove what it leaves", detach_main},
};

#define COMMANDS (sizeof commands / sizeof *commands)

static void print_help(FILE *stream)
{
    (void)fprintf(stream, "Usage: diglot COMMAND [OPTION...]\n"
                          "Moves a live memcached fleet to Redis or Valkey with the module Diglot.\n\n");
    for (size_t i = 0; i < COMMANDS; i++) {
        (void)fprintf(stream, "  %-9s %s\n", commands[i].name, commands[i].summary);
    }
    (void)fprintf(stream, "\n`diglot COMMAND --help` tells the options of one; `diglot --version` the version.\n"
                          "Exit status: 0 done, 1 done in part or differences, 2 could not, 3 an old server cannot\n"
                          "list its keys. docs/migrating.md walks through a whole migration.\n");
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

static enum cli_status run_command(const struct command *command, int argc, char **argv)
{
    char name[32];
    (void)snprintf(name, sizeof name, "diglot %s", command->name);
    argv[0] = name;
    return command->run(argc, argv);
}

int main(int argc, char **argv)
{
    argp_err_exit_status = CLI_FAILED;
    (void)signal(SIGPIPE, SIG_IGN); /* a peer that closes is told by its errno */
    const char *word = argc > 1 ? argv[1] : "";
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
        (void)puts("diglot " DIGLOT_VERSION);
        return CLI_DONE;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        print_help(stdout);
        return CLI_DONE;
    }
    const struct command *command = find_command(word);
    if (command == NULL) {
        if (argc > 1) {
            (void)fprintf(stderr, "diglot: there is no command %s\n\n", word);
        }
        print_help(stderr);
        return CLI_FAILED;
    }
    return (int)run_command(command, argc - 1, argv + 1);
}
