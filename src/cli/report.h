/* What --json tells. */
#ifndef DIGLOT_CLI_REPORT_H
#define DIGLOT_CLI_REPORT_H

#include <jansson.h>

/* Prints the report on standard output, and takes it over. */
void report_print(json_t *report);

#endif
