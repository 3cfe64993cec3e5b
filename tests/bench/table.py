"""The results as Markdown."""

import os
import platform
from statistics import median

import rows

ORDER = ["sluice", "haproxy", "floor", "nginx", "hitch", "websockify"]


def machine():
    model = ""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return f"{model}, {os.cpu_count()} processors, Linux {platform.release()}"


def cost(cells):
    """The median of the rounds; None where there is none."""
    return median(cell["cost"] for cell in cells) if cells else None


def ratios(results, row, scheme, peer="haproxy"):
    """Sluice's cost to a peer's, in each round in which both were measured."""
    ours, theirs = (
        {cell["round"]: cell["cost"] for cell in results.get(row.key, {}).get(scheme, {}).get(name, [])}
        for name in ("sluice", peer)
    )
    return [ours[r] / theirs[r] for r in ours if theirs.get(r)]


def ratio(results, row, scheme):
    """Their median; None where there is none."""
    found = ratios(results, row, scheme)
    return median(found) if found else None


def spread(results, row, scheme):
    found = ratios(results, row, scheme)
    return f"{min(found):.2f}–{max(found):.2f}" if found else "–"


def judged(results, row, scheme):
    """What the goal is about: a ratio to HAProxy, or what the row itself measures."""
    if row.unit in ("KiB", "x"):
        return cost(results.get(row.key, {}).get(scheme, {}).get("sluice", []))
    return ratio(results, row, scheme)


def number(value):
    if value is None:
        return "–"
    if value == 0:
        return "0"
    return f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"


def line(cells):
    return "| " + " | ".join(cells) + " |"


def measured(whole):
    """Rows and schemes that have a result."""
    for row in rows.ROWS:
        for scheme in row.schemes:
            by_peer = whole["results"].get(row.key, {}).get(scheme, {})
            if any(by_peer.values()):
                yield row, scheme, by_peer


def cost_table(whole):
    names = [name for name in ORDER if name in whole["versions"]]
    out = [
        line(["", "workload", "for", *names, "Sluice : HAProxy", "rounds", "goal", ""]),
        line(["---", "---", "---", *["---:"] * len(names), "---:", "---:", "---:", "---"]),
    ]
    for row, scheme, by_peer in measured(whole):
        goal = row.goals.get(scheme)
        value = judged(whole["results"], row, scheme)
        verdict = "" if goal is None or value is None else "met" if value <= goal else "**missed**"
        unit = {"KiB": "KiB of PSS", "x": "times its cost alone"}.get(row.unit, f"CPU s / {row.unit}")
        beside = ["–", "–"]
        if row.unit != "x":
            beside = [number(ratio(whole["results"], row, scheme)), spread(whole["results"], row, scheme)]
        goal_unit = " KiB" if row.unit == "KiB" else " ×" if row.unit == "x" else ""
        out.append(
            line(
                [
                    scheme,
                    row.title,
                    unit,
                    *[number(cost(by_peer.get(name, []))) for name in names],
                    *beside,
                    "" if goal is None else f"≤ {goal:.2f}{goal_unit}",
                    verdict,
                ]
            )
        )
    return out


def rate_words(row, cells):
    rate = median(cell["rate"] for cell in cells)
    if row.unit == "GB":
        return f"{rate / 1e6:.0f} MB/s"
    return f"{rate / 1e3:.1f} k/s" if rate >= 1000 else f"{rate:.0f} /s"


def generator_is_the_limit(cells):
    return (
        median(cell["generator_busy"] for cell in cells) > 0.95 and median(cell["busy"] for cell in cells) < 0.90
    )


def speed_table(whole):
    out = [
        line(["", "workload", "relay", "throughput", "p50 µs", "p99 µs", "p99.9 µs", "relay busy", "generator busy",
              ""]),
        line(["---", "---", "---", "---:", "---:", "---:", "---:", "---:", "---:", "---"]),
    ]
    for row, scheme, by_peer in measured(whole):
        for name in ORDER:
            cells = [cell for cell in by_peer.get(name, []) if "rate" in cell]
            if not cells:
                continue
            times = [
                f"{median(cell[t] for cell in cells):.0f}" if t in cells[0] else ""
                for t in ("p50_us", "p99_us", "p999_us")
            ]
            shares = [f"{100 * median(cell[t] for cell in cells):.0f} %" for t in ("busy", "generator_busy")]
            note = "generator is the limit" if generator_is_the_limit(cells) else ""
            out.append(line([scheme, row.title, name, rate_words(row, cells), *times, *shares, note]))
    return out


def ciphers(whole):
    """What was agreed on; a peer that prefers another cipher than the rest is not to go unnoticed."""
    found = {}
    for schemes in whole["results"].values():
        for name, cells in schemes.get("wss", {}).items():
            for cell in cells:
                found.setdefault(cell["cipher"], set()).add(name)
    return "; ".join(f"{cipher}: {', '.join(sorted(names))}" for cipher, names in sorted(found.items()))


def noise(whole):
    cells = [c for s in whole["results"].values() for p in s.values() for cs in p.values() for c in cs]
    shares = [c["others"] for c in cells if "others" in c]
    return f"{100 * median(shares):.0f} % of one processor at the median" if shares else "not measured"


def markdown(whole):
    versions = ", ".join(v for v in whole["versions"].values() if v)
    text = [
        f"Processor time of the relay. {versions}. {whole['machine']}; {whole['rounds']} rounds, interleaved, of"
        f" {whole['seconds']} s a measurement; medians; the ratio is the median of those of"
        " single rounds, which stand beside it from least to most (websockify: one round)."
        f" Took {whole['took_s']} s; other programs used {noise(whole)} meanwhile.",
        "",
        *cost_table(whole),
        "",
        "Raw peers (haproxy, nginx, hitch, floor) relay the same payload without WebSocket framing, to the same back"
        f" end; in the wss rows they end TLS 1.3 with the same ECDSA certificate ({ciphers(whole)}). All run as they"
        " come: HAProxy `mode"
        " tcp`, `nbthread 1`, tune.bufsize at its default of 16 KiB; nginx `stream`, one worker, proxy_buffer_size"
        " at its default of 16 KiB; hitch with one worker. GB: 10⁹ bytes of payload, both directions counted."
        " The relay has one processor, the load generator and the back end share another; reno, loopback.",
        "",
        *speed_table(whole),
    ]
    if whole["notes"]:
        text += ["", *[f"- {note}" for note in whole["notes"]]]
    return "\n".join(text) + "\n"
