"""A chart of a run: what each door does, as multiples of the newest memcached, in SVG."""
from html import escape
from math import ceil, floor, log2

SPEED = [f"{protocol}{operation}" for protocol in ("", "meta ", "binary ")
         for operation in ("get", "get, 16 at once", "get, 64 at once", "set", "set, 16 at once", "multiget of 100")]
LATENCY = [f"{protocol}get at half load" for protocol in ("", "meta ", "binary ")]
COLORS = {"older": "#9aa5b1", "diglot-1": "#c2410c", "diglot-2": "#f59e0b", "resp-1": "#1d4ed8", "resp-2": "#60a5fa",
          "resp-threads": "#a5b4fc", "bare": "#111827"}
WIDTH, LEFT, RIGHT, BAR, GAP, LINE = 960, 190, 40, 7, 9, 20


def text(x, y, words, anchor="start", size=12, color="#1f2937"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{color}">{escape(words)}</text>'


def rectangle(x, y, width, height, color):
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{color}"/>'


class Scale:
    """Powers of two, the same distance apart."""

    def __init__(self, ratios):
        self.low = min(floor(log2(min(ratios))), -1)
        self.high = max(ceil(log2(max(ratios))), 1)

    def x(self, ratio):
        return LEFT + (log2(ratio) - self.low) / (self.high - self.low) * (WIDTH - LEFT - RIGHT)

    def lines(self, top, bottom):
        for power in range(self.low, self.high + 1):
            x = self.x(2 ** power)
            color = "#374151" if power == 0 else "#e5e7eb"
            yield f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}" stroke="{color}"/>'
            yield text(x, bottom + 14, f"{2.0 ** power:g}×", "middle", 11)


def ratios_of(result, names, figure):
    """(workload, [(door, ratio)]) of what was measured on the first memcached and elsewhere."""
    for name in names:
        row = result["table"].get(name, {})
        pairs = [(door["id"], row[door["id"]][figure] / row["newest"][figure]) for door in result["doors"]
                 if door["id"] in COLORS and row.get(door["id"], {}).get(figure) and row["newest"][figure]]
        if pairs:
            yield name, pairs


def panel(title, rows, top):
    """Bars that begin at 1. Returns the elements, and where they end."""
    scale = Scale([ratio for _, pairs in rows for _, ratio in pairs])
    elements, y = [], top + LINE + GAP
    for name, pairs in rows:
        elements.append(text(LEFT - 8, y + len(pairs) * BAR / 2 + 4, name, "end"))
        for door, ratio in pairs:
            left, right = sorted((scale.x(1), scale.x(ratio)))
            elements.append(rectangle(left, y, max(right - left, 1), BAR - 1, COLORS[door]))
            y += BAR
        y += GAP
    return [text(LEFT, top + 12, title, size=14), *scale.lines(top + LINE, y), *elements], y + 2 * LINE


def legend(result, top):
    """Returns the elements, and where they end."""
    elements, x, y = [], LEFT, top
    for door in (door for door in result["doors"] if door["id"] in COLORS):
        width = 34 + 6.6 * len(door["label"])
        if x + width > WIDTH - RIGHT:
            x, y = LEFT, y + LINE
        elements += [rectangle(x, y, 12, 12, COLORS[door["id"]]), text(x + 18, y + 11, door["label"])]
        x += width
    return elements, y + 2 * LINE


def draw(result):
    newest = next(door["label"] for door in result["doors"] if door["id"] == "newest")
    body, y = legend(result, 12)
    for title, names, figure in ((f"Requests per second, as multiples of {newest}'s (right is better)", SPEED, "ops_s"),
                                 (f"p99 at half of {newest}'s load, as multiples of its own (left is better)", LATENCY, "p99")):
        rows = list(ratios_of(result, names, figure))
        if rows:
            elements, y = panel(title, rows, y)
            body += elements
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" font-family="sans-serif">\n'
            + "\n".join([rectangle(0, 0, WIDTH, y, "#ffffff"), *body]) + "\n</svg>\n")
