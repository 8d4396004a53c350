#include "cli/report.h"

#include <stdio.h>

void report_print(json_t *report)
{
    (void)json_dumpf(report, stdout, JSON_INDENT(2));
    (void)printf("\n");
    json_decref(report);
}
