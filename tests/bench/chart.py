"""The results as a chart for the README: what a row costs the gateway, where HAProxy's cost is 1."""

from xml.sax.saxutils import escape

import rows
import table

WIDTH, LEFT, RIGHT, BAR, STEP, TOP = 900, 380, 90, 14, 24, 64
STYLE = """
  .paper { fill: #ffffff } .ink { fill: #1f2328 } .dim { fill: #59636e }
  .bar { fill: #0b7285 } .more { fill: #b35900 } .grid { stroke: #d1d9e0 } .one { stroke: #59636e }
  text { font: 13px system-ui, sans-serif }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117 } .ink { fill: #e6edf3 } .dim { fill: #9198a1 }
    .bar { fill: #3bc9db } .more { fill: #f0a050 } .grid { stroke: #30363d } .one { stroke: #9198a1 }
  }
"""


def bars(whole):
    """(label, ratio) of every row that has both."""
    out = []
    for scheme in ("ws", "wss"):
        for row in rows.ROWS:
            value = table.ratio(whole["results"], row, scheme) if row.unit != "x" else None
            if value is not None:
                out.append((f"{scheme}  {row.title}", value))
    return out


def svg(whole):
    shown = bars(whole)
    most = max([1.25] + [min(value, 2.0) for _, value in shown])
    height = TOP + STEP * len(shown) + 34
    scale = (WIDTH - LEFT - RIGHT) / most
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"'
        ' aria-label="Processor time of Sluice beside that of HAProxy">',
        f"<style>{STYLE}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{height}" rx="6"/>',
        '<text class="ink" x="16" y="26" font-weight="600">Processor time (idle rows: memory) of Sluice,'
        " where HAProxy's is 1</text>",
        '<text class="dim" x="16" y="46">HAProxy relays the same payload as raw TCP (ws rows) or ends TLS (wss'
        " rows); less is better</text>",
    ]
    for tick in range(0, int(most * 4) + 1):
        x = LEFT + tick / 4 * scale
        kind = "one" if tick == 4 else "grid"
        out.append(f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{height - 26}"/>')
        out.append(f'<text class="dim" x="{x:.1f}" y="{height - 10}" text-anchor="middle">{tick / 4:g}</text>')
    for i, (label, value) in enumerate(shown):
        y = TOP + i * STEP
        kind = "bar" if value <= 1 else "more"
        out.append(f'<text class="ink" x="{LEFT - 10}" y="{y + 11}" text-anchor="end">{escape(label)}</text>')
        out.append(
            f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{min(value, most) * scale:.1f}" height="{BAR}" rx="2"/>'
        )
        out.append(f'<text class="ink" x="{LEFT + min(value, most) * scale + 6:.1f}" y="{y + 11}">{value:.2f}</text>')
    out.append("</svg>")
    return "\n".join(out) + "\n"
