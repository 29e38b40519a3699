"""What was measured, as text: tables in Markdown, demanded numbers beside measured ones, pictures in SVG, of bars and of lines over time; and results/, where they go."""
import platform
import sys
from html import escape
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows])


class Demands:
    """Numbers to reach, under a name; `miss` is the word for one that is not. Each is printed as soon as it is known."""

    def __init__(self, name="demanded", miss="MISSED"):
        self.name, self.miss, self.rows = name, miss, []

    def at_most(self, what, measured, limit):
        self._note(what, measured, f"at most {limit:.2f}", measured <= limit)

    def at_least(self, what, measured, limit):
        self._note(what, measured, f"at least {limit:.3f}", measured >= limit)

    def above(self, what, measured, limit):
        self._note(what, measured, f"above {limit:.4f}", measured > limit)

    def _note(self, what, measured, to_reach, reached):
        word = "reached" if reached else self.miss
        self.rows.append((what, f"{measured:.4g}" if abs(measured) >= 1 else f"{measured:.4f}", to_reach, word))
        print(f"  {word:7} {self.name}: {what}: {self.rows[-1][1]}, {to_reach}", flush=True)

    def missed(self):
        return [row for row in self.rows if row[3] == self.miss]

    def summary(self):
        return f"{len(self.rows) - len(self.missed())} of {len(self.rows)} numbers of '{self.name}' reached"

    def text(self):
        return table([self.name, "measured", "to reach", ""], self.rows)


def write_results(name, title, about, *parts, picture):
    """results/NAME.md and .svg: how it was measured, and the parts, which are Markdown."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text("\n\n".join([f"# {title}", f"{about} {platform.platform()}.", *parts, f"![{name}]({name}.svg)"]) + "\n")
    (RESULTS / f"{name}.svg").write_text(picture)


def finish(name, demands, *others):
    """Says how it went, and ends the program: with 1 when one of `demands` is missed."""
    print(f"bench: {', '.join(of.summary() for of in (demands, *others))}; results in {RESULTS}/{name}.md")
    sys.exit(1 if demands.missed() else 0)


def colour(name):
    """Of a way or a server; also of "larder adaptive", which is Larder's."""
    return next((COLOURS[known] for known in sorted(COLOURS, key=len, reverse=True) if name.startswith(known)), "#555555")


COLOURS = {"larder": "#1b7f5c", "redis-server": "#b23a32", "memcached": "#3a6ea8", "null": "#9a9a9a",
           "PostgreSQL alone": "#3a6ea8", "redis-server, cache-aside": "#b23a32", "Larder, rule": "#1b7f5c"}


def bars(title, unit, groups):
    """groups: [(label, {peer: value})]; each group has its own scale, since a pipeline of 64 costs a fiftieth of a single request."""
    width, bar, gap, left = 760, 18, 26, 150
    parts, y = [], 44
    for label, values in groups:
        largest = max(values.values())
        parts.append(f'<text x="10" y="{y + 14}" font-weight="bold">{escape(label)}</text>')
        for peer, value in values.items():
            length = value / largest * (width - left - 170)
            parts.append(f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{bar - 4}" fill="{colour(peer)}"/>'
                         f'<text x="{left + length + 6:.1f}" y="{y + 12}">{escape(peer)} {value:.3g} {unit}</text>')
            y += bar
        y += gap - bar + 4
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y}" font-family="sans-serif" font-size="12">'
            f'<rect width="100%" height="100%" fill="white"/><text x="10" y="24" font-size="16">{escape(title)}</text>' + "".join(parts) + "</svg>\n")


def lines(title, panels, mark, mark_text):
    """panels: [(label, {name: [a value for each second]})], one below the other with the same seconds; `mark` is the second at which something happened."""
    width, height, gap, left, top = 760, 150, 44, 70, 56
    parts, names = [], list(panels[0][1])
    for at, name in enumerate(names):
        parts.append(f'<rect x="{left + at * 200}" y="34" width="12" height="12" fill="{colour(name)}"/><text x="{left + 18 + at * 200}" y="44">{escape(name)}</text>')
    for label, series in panels:
        seconds = len(series[names[0]])
        largest = max(map(max, series.values())) or 1
        step = (width - left - 30) / seconds
        base = top + 20 + height
        parts.append(f'<text x="10" y="{top + 12}" font-weight="bold">{escape(label)}</text>')
        for part in (0, .5, 1):
            y = base - part * height
            number = f"{largest * part:,.0f}" if largest >= 100 else f"{largest * part:.2g}"
            parts.append(f'<path d="M{left} {y}H{width - 30}" stroke="#dddddd"/><text x="{left - 6}" y="{y + 4}" text-anchor="end">{number}</text>')
        x = left + mark * step
        parts.append(f'<path d="M{x:.1f} {base - height}V{base}" stroke="#555555" stroke-dasharray="4 3"/><text x="{x + 4:.1f}" y="{base - height - 4}">{escape(mark_text)}</text>')
        for name, values in series.items():
            points = " ".join(f"{left + (second + .5) * step:.1f},{base - value / largest * height:.1f}" for second, value in enumerate(values))
            parts.append(f'<polyline points="{points}" fill="none" stroke="{colour(name)}" stroke-width="2"/>')
        for second in range(seconds):
            parts.append(f'<text x="{left + (second + .5) * step:.1f}" y="{base + 14}" text-anchor="middle">{second + 1}</text>')
        top = base + gap - 20
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{top}" font-family="sans-serif" font-size="12">'
            f'<rect width="100%" height="100%" fill="white"/><text x="10" y="24" font-size="16">{escape(title)}</text>' + "".join(parts) + "</svg>\n")
