"""Bars as SVG: one group a row, the time of each system relative to Xfer's."""

from html import escape

COLORS = {"xfer": "#1971c2", "openvino": "#868e96", "onnxruntime": "#adb5bd", "torch": "#e8590c", "keras": "#f08c00"}
WIDTH, LABEL, BAR, GAP = 900, 330, 11, 12


def svg(rows, systems, titles):
    rows = [row for row in rows if "xfer" in row["systems"]]
    longest = max([s["ms"] / row["systems"]["xfer"]["ms"] for row in rows for s in row["systems"].values()] or [1])
    longest = min(longest, 12)
    scale = (WIDTH - LABEL - 70) / longest
    parts, top = [], 46
    for x, system in zip(range(20, 900, 150), systems):
        parts.append(f'<rect x="{x}" y="12" width="12" height="12" fill="{COLORS[system]}"/><text x="{x + 18}" y="22">{titles[system]}</text>')
    for row in rows:
        present = [s for s in systems if s in row["systems"]]
        middle = top + len(present) * BAR / 2 + 4
        parts.append(f'<text x="{LABEL - 8}" y="{middle:.1f}" text-anchor="end">{escape(row["title"])}</text>')
        for system in present:
            ratio = row["systems"][system]["ms"] / row["systems"]["xfer"]["ms"]
            width = min(ratio, longest) * scale
            parts.append(f'<rect x="{LABEL}" y="{top}" width="{width:.1f}" height="{BAR - 2}" fill="{COLORS[system]}"/>'
                         f'<text x="{LABEL + width + 4:.1f}" y="{top + BAR - 3}" font-size="9">{ratio:.2f}×</text>')
            top += BAR
        top += GAP
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top + 10}" font-family="sans-serif" font-size="10" fill="#212529">'
            f'<rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n')
