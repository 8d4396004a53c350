/* The commands of the tool `diglot`. Each is handed its own words: argv[0] is "diglot COMMAND". */
#ifndef DIGLOT_CLI_COMMAND_H
#define DIGLOT_CLI_COMMAND_H

/* What the tool exits with; the manual tells the same. */
enum cli_status {
    CLI_DONE = 0,        /* done; verify: go */
    CLI_INCOMPLETE = 1,  /* done in part: items failed, the sides differ, not ready, unknown options */
    CLI_FAILED = 2,      /* could not: wrong usage, no connection, refused, interrupted */
    CLI_UNSUPPORTED = 3, /* an old server cannot list its keys */
};

enum cli_status import_main(int argc, char **argv);
enum cli_status verify_main(int argc, char **argv);
enum cli_status plan_main(int argc, char **argv);
enum cli_status status_main(int argc, char **argv);
enum cli_status top_main(int argc, char **argv);
enum cli_status convert_main(int argc, char **argv);
enum cli_status detach_main(int argc, char **argv);

#endif
