"""What was measured, as text: tables in Markdown, demanded numbers beside measured ones, and a picture of bars in SVG."""
from html import escape


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows])


class Demands:
    """Numbers to reach, under a name; `miss` is the word for one that is not. Each is printed as soon as it is known."""

    def __init__(self, name, miss):
        self.name, self.miss, self.rows = name, miss, []

    def at_most(self, what, measured, limit):
        word = "reached" if measured <= limit else self.miss
        self.rows.append((what, f"{measured:.3f}", f"at most {limit:.2f}", word))
        print(f"  {word:7} {self.name}: {what}: {measured:.3f}, at most {limit:.2f}", flush=True)

    def missed(self):
        return [row for row in self.rows if row[3] == self.miss]

    def summary(self):
        return f"{len(self.rows) - len(self.missed())} of {len(self.rows)} numbers of '{self.name}' reached"

    def text(self):
        return table([self.name, "measured", "to reach", ""], self.rows)


COLOURS = {"larder": "#1b7f5c", "redis-server": "#b23a32", "memcached": "#3a6ea8", "null": "#9a9a9a"}


def bars(title, unit, groups):
    """groups: [(label, {peer: value})]; each group has its own scale, since a pipeline of 64 costs a fiftieth of a single request."""
    width, bar, gap, left = 760, 18, 26, 150
    parts, y = [], 44
    for label, values in groups:
        largest = max(values.values())
        parts.append(f'<text x="10" y="{y + 14}" font-weight="bold">{escape(label)}</text>')
        for peer, value in values.items():
            length = value / largest * (width - left - 170)
            parts.append(f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{bar - 4}" fill="{COLOURS[peer]}"/>'
                         f'<text x="{left + length + 6:.1f}" y="{y + 12}">{escape(peer)} {value:.3g} {unit}</text>')
            y += bar
        y += gap - bar + 4
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y}" font-family="sans-serif" font-size="12">'
            f'<rect width="100%" height="100%" fill="white"/><text x="10" y="24" font-size="16">{escape(title)}</text>' + "".join(parts) + "</svg>\n")
