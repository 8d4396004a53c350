#!/usr/bin/python3
"""The tables of a run, from its JSON file: as text, and as Markdown between the marks of a page.

    report.py build/bench.json
    report.py build/bench.json --markdown docs/performance.md     also writes the page's chart, performance.svg beside it
"""
import argparse
import json
import textwrap
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import chart
from workloads import FLAGGED_EXTRA_MOST, RESP_P99_MOST, TARGETS, UNFLAGGED_EXTRA_MOST

BEGIN, END = "<!-- figures: filled in by bench/compare/report.py -->\n", "<!-- end of figures -->"
FIGURES = {"ops_s": "requests/s", "p99": "p99"}
BESIDE = "RESP beside memcached clients"


@dataclass
class Table:
    title: str
    header: list
    rows: list  # of cells; a row of one cell opens a section


def ratio(value, base):
    return value / base if base else float("nan")


def labels(result):
    return {door["id"]: door["label"] for door in result["doors"]}


def diglots(result):
    return [door for door in result["doors"] if door["kind"] == "diglot"]


def rows_of(result, cell, is_chosen=lambda section: True):
    """A row for each workload, cut into sections; cell(row, door) is the text of one."""
    section = None
    for workload in result["workloads"]:
        row = result["table"].get(workload["name"])
        if row and is_chosen(workload["section"]):
            if workload["section"] != section:
                section = workload["section"]
                yield [section]
            yield [workload["name"], *(cell(row, door["id"]) if door["id"] in row else "" for door in result["doors"])]


def is_at_half_load(section):
    return "half" in section


def compared(figure, form):
    def cell(row, door):
        first = row["newest"][figure]
        value = form(row[door][figure])
        return value if door == "newest" else f"{value} ({ratio(row[door][figure], first):.2f})"
    return cell


def percentiles(row, door):
    return " / ".join(f"{row[door][name]:.0f}" for name in ("p50", "p99", "p999"))


def doors_table(result, title, cell, is_chosen):
    rows = list(rows_of(result, cell, is_chosen))
    sections = [row for row in rows if len(row) == 1]
    return Table(title, ["", *labels(result).values()], rows if len(sections) > 1 else [row for row in rows if row not in sections])


def resp_table(result):
    names = [name for name in result["table"] if name.startswith("RESP ")]
    doors = [door for door in diglots(result) if names]
    return Table("RESP clients on the engine with the module, µs, medians of p50 / p99 / p99.9: alone at a twentieth of memcached's load, and while "
                 "others do half of it", ["", *(door["engine"] for door in doors)],
                 [[name.removeprefix("RESP "), *(percentiles(result["table"][name], door["id"]) for door in doors)] for name in names])


def memory_table(result):
    def cells(kinds):
        return [f"{kinds[kind][how]:.0f}" if kind in kinds else "" for kind in ("unflagged", "flagged") for how in ("accounted", "resident")]
    return Table("Memory, bytes per item (16-byte key, 100-byte value, a million of them)",
                 ["", "by its own account", "resident", "with flags, by its own account", "with flags, resident"],
                 [[labels(result)[door], *cells(kinds)] for door, kinds in result["memory"].items()])


# --- targets ---

def verdict(measured, is_met, form="{:.2f}"):
    return f"{form.format(measured)} {'met' if is_met else 'not met'}"


def target_rows(result):
    names, table = labels(result), result["table"]
    for target in TARGETS:
        row = table.get(target.workload, {})
        if target.against in row:
            bound = f"≥ {target.least}" if target.least else f"≤ {target.most}"
            ratios = [ratio(row[door["id"]][target.figure], row[target.against][target.figure]) for door in diglots(result)]
            yield [f"{target.workload}: {FIGURES[target.figure]}, of {names[target.against]}'s", bound,
                   *(verdict(ratio, target.is_met(ratio)) for ratio in ratios)]
    if BESIDE in table:
        ratios = [ratio(table[BESIDE][door["id"]]["p99"], table["RESP alone"][door["id"]]["p99"]) for door in diglots(result)]
        yield ["RESP clients' p99 beside memcached clients, of what it is alone", f"≤ {RESP_P99_MOST}",
               *(verdict(ratio, ratio <= RESP_P99_MOST) for ratio in ratios)]


def memory_target_rows(result):
    def accounted(door, kind):
        return result["memory"][door][kind]["accounted"]
    pairs = [(door["id"], door["id"].replace("diglot", "resp")) for door in diglots(result)]
    if any(name not in result["memory"] for pair in pairs for name in pair):
        return
    plain = [accounted(own, "unflagged") - accounted(resp, "unflagged") for own, resp in pairs]
    flagged = [accounted(own, "flagged") - accounted(own, "unflagged") for own, _ in pairs]
    for name, most, extras in (("bytes of an item beyond the engine's string", UNFLAGGED_EXTRA_MOST, plain),
                               ("bytes more with flags", FLAGGED_EXTRA_MOST, flagged)):
        yield [name, f"≤ {most}", *(verdict(extra, extra <= most, "{:.1f}") for extra in extras)]


def targets_table(result):
    """They are set against the newest memcached, which --quick does not measure."""
    rows = [] if result["options"]["quick"] == "True" else [*target_rows(result), *memory_target_rows(result)]
    return Table("Targets", ["", "target", *(door["label"] for door in diglots(result))], rows)


# --- rendering ---

def tables(result):
    newest = labels(result)["newest"]
    found = [
        doors_table(result, f"Requests per second (keys, where many are asked for at once), and as multiples of {newest}'s",
                    compared("ops_s", "{:,.0f}".format), lambda section: not is_at_half_load(section)),
        doors_table(result, f"CPU of the server, µs for each of them, and as multiples of {newest}'s", compared("us_op", "{:.2f}".format),
                    lambda section: not is_at_half_load(section)),
        doors_table(result, f"At half of {newest}'s load, µs from when a request was to be sent, medians of p50 / p99 / p99.9", percentiles,
                    is_at_half_load),
        resp_table(result), memory_table(result), targets_table(result),
    ]
    return [table for table in found if table.rows]


def heading(result):
    options = result["options"]
    versions = ", ".join(dict.fromkeys(door["version"] for door in result["doors"] if door["version"]))
    distrust = " — too much for figures to be trusted" if result["foreign_cores"] > 0.1 else ""
    return (f"{versions}; {result['machine']}. {options['rounds']} rounds of {float(options['seconds']):g} s, medians; "
            f"{options['connections']} connections; servers on core {options['server_core']}, load on core {options['load_core']}; "
            f"other processes used {result['foreign_cores']:.2f} cores{distrust}.")


def wrapped(header):
    """The lines of a header whose cells are cut into short ones."""
    return zip_longest(*(textwrap.wrap(cell, 18) or [""] for cell in header), fillvalue="")


def text_table(table):
    header = [list(cells) for cells in wrapped(table.header)]
    rows = [row for row in [*header, *table.rows] if len(row) > 1]
    widths = [max(len(row[column]) for row in rows) for column in range(len(table.header))]

    def line(row):
        return "  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]).rstrip()
    return "\n".join([table.title, *map(line, header), *(line(row) if len(row) > 1 else f"- {row[0]}" for row in table.rows)])


def as_text(result):
    return "\n\n".join([heading(result), *(text_table(table) for table in tables(result))])


def markdown_table(table):
    def line(cells):
        return f"| {' | '.join(cells)} |"
    rows = [row if len(row) > 1 else [f"**{row[0]}**"] + [""] * (len(table.header) - 1) for row in table.rows]
    return "\n".join([f"### {table.title}", "", line(table.header), "|---" * len(table.header) + "|", *map(line, rows)]) + "\n"


def as_markdown(result, picture):
    return "\n".join([heading(result), "", f"![ratios]({picture})", "", *map(markdown_table, tables(result))])


def fill_page(page, result):
    picture = page.with_suffix(".svg")
    before, rest = page.read_text().split(BEGIN)
    page.write_text(before + BEGIN + "\n" + as_markdown(result, picture.name) + "\n" + END + rest.split(END)[1])
    picture.write_text(chart.draw(result))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("json", type=Path)
    parser.add_argument("--markdown", type=Path, metavar="PAGE")
    options = parser.parse_args()
    result = json.loads(options.json.read_text())
    print(as_text(result))
    if options.markdown:
        fill_page(options.markdown, result)


if __name__ == "__main__":
    main()
