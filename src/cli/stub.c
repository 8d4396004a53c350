#include "cli/command.h"
enum cli_status convert_main(int argc, char **argv){(void)argc;(void)argv;return 2;}
enum cli_status detach_main(int argc, char **argv){(void)argc;(void)argv;return 2;}
