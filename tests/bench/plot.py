"""The picture of a result: one bar per server, its processor time per query, as SVG without scripts or fonts."""

from collections.abc import Sequence
from html import escape

from tests.bench.arithmetic import Figures
from tests.bench.peers import PEERS, REFERENCE

_WIDTH = 720
_LEFT = 210  # of the bars; titles stand before it
_RIGHT = 90  # kept for the figure behind the longest bar
_ROW = 28
_TOP = 46

_STYLE = """\
text { font: 14px system-ui, sans-serif; fill: #1f2328 }
.note { font-size: 12px; fill: #59636e }
.bar { fill: #afb8c1 } .ours { fill: #0969da } .limit { fill: #d8dee4 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc } .note { fill: #9198a1 }
  .bar { fill: #656c76 } .ours { fill: #4493f8 } .limit { fill: #3d444d }
}"""


def svg(title: str, note: str, rows: Sequence[tuple[str, Figures]]) -> str:
    """Bars of `rows`, pairs of a peer's name and its figures, the cheapest on top."""
    ordered = sorted(rows, key=lambda row: row[1].cost)
    longest = max((figures.cost for _, figures in ordered), default=1.0) or 1.0
    height = _TOP + _ROW * len(ordered) + 12
    described = ", ".join(f"{PEERS[name].title} {figures.cost:.1f}" for name, figures in ordered)
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
            f"<title>{escape(f'{title}: {described}')}</title>",
            f"<style>{_STYLE}</style>",
            f'<text x="8" y="18">{escape(title)}</text><text class="note" x="8" y="36">{escape(note)}</text>',
            *(_bar(name, figures.cost, longest, _TOP + _ROW * i) for i, (name, figures) in enumerate(ordered)),
            "</svg>\n",
        )
    )


def _bar(name: str, cost: float, longest: float, y: int) -> str:
    peer = PEERS[name]
    look = "ours" if name == REFERENCE else "bar" if peer.answers else "limit"
    width = (_WIDTH - _LEFT - _RIGHT) * cost / longest
    return (
        f'<text x="{_LEFT - 8}" y="{y + 16}" text-anchor="end">{escape(peer.title)}</text>'
        f'<rect class="{look}" x="{_LEFT}" y="{y + 3}" width="{width:.1f}" height="{_ROW - 9}" rx="2"/>'
        f'<text x="{_LEFT + width + 6:.1f}" y="{y + 16}">{cost:.1f} µs</text>'
    )
