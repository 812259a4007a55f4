"""From lines to tables: medians side by side, every figure, the targets."""

import statistics
from collections import defaultdict
from operator import ge, le

from workloads import BATCHED, OURS, PEERS, TARGETS, WORKLOADS

# The rates that floors may be made of, the first of which was measured.
PEAKS = ("gemm", "torch.mm", "torch-oneDNN")


class Figures:
    """The lines of a run, by workload and implementation."""

    def __init__(self, lines, threads):
        self.values = defaultdict(list)
        for line in lines:
            rate = line["workload"] == "peak" and line.get("threads", threads) == threads
            for measure in ("seconds", "peak_rss_mb", *(["gflops"] if rate else [])):
                if isinstance(line.get(measure), int | float):
                    self.values[work_of(line), line["impl"], measure].append(line[measure])

    def median(self, workload, impl, measure="seconds"):
        values = self.values.get((workload, impl, measure))
        return statistics.median(values) if values else None

    def peaks(self):
        """Every measured rate of a large matrix product, the one that floors are made of first: ours if it was measured."""
        rates = {impl: self.median("peak", impl, "gflops") for work, impl, _ in self.values if work == "peak"}
        return dict(sorted(rates.items(), key=lambda item: PEAKS.index(item[0]) if item[0] in PEAKS else len(PEAKS)))

    def floor(self, workload):
        """Seconds that the arithmetic alone takes at the measured peak."""
        flops = WORKLOADS[workload].flops if workload in WORKLOADS else 0
        rate = next(iter(self.peaks().values()), None)
        return flops / rate / 1e9 if flops and rate else None

    def least(self, workload, program, measure="seconds"):
        """Of a peer the best of its ways ("keras", "keras-jit"); of ours just what is named, our slower paths are no ways."""
        ways = {impl for work, impl, _ in self.values if work == workload and impl.split("-")[0] == program}
        if program.startswith(OURS):
            ways = {program}
        medians = [self.median(workload, impl, measure) for impl in ways]
        return min((median for median in medians if median is not None), default=None)


def work_of(line):
    """A work of the table, or whatever else was measured; figures for different sizes are not about the same."""
    name = line["workload"]
    sizes = () if name in WORKLOADS else ("rows", "series", "entities")
    return " ".join([name, *(f"{line[size]:,} {size}" for size in sizes if size in line)])


def side_by_side(figures):
    """One row for each work, one column for each program; ratios are to ours, `f` is times the floor."""
    programs = (OURS, *dict.fromkeys(who.split("-")[0] for who in PEERS))
    rows = [["work", "floor", *programs]]
    for key, work in WORKLOADS.items():
        floor = figures.floor(key)
        medians = [figures.least(key, program) for program in programs]
        rows.append([work.title, seconds(floor) if floor else "", *cells(medians, seconds, floor)])
        if key == "score-batch":
            rows.append(["… windows a second", "", *(f"{BATCHED / each:,.0f}" if each else "–" for each in medians)])
        memory = [figures.least(key, program, "peak_rss_mb") for program in programs]
        if any(memory):
            rows.append(["… resident memory at most", "", *cells(memory, megabytes)])
    return markdown(rows)


def cells(medians, show, floor=None):
    """Ours comes first."""
    ours = medians[0]
    for column, median in enumerate(medians):
        if median is None:
            yield "–"
            continue
        parts = [show(median)]
        if column and ours:
            parts.append(times(median / ours))
        if floor:
            parts.append(f"{short(median / floor)} f")
        yield " · ".join(parts)


def every_figure(figures):
    """Also what has no column of its own: slower paths of ours, other ways to call a peer, works without a target."""
    rows = [["work", "implementation", "median", "least", "most", "figures", "× ours", "× floor"]]
    order = list(WORKLOADS)
    keys = sorted(
        ((work, impl) for work, impl, measure in figures.values if measure == "seconds"),
        key=lambda key: (order.index(key[0]) if key[0] in order else len(order), key[0]),
    )
    for work, impl in keys:
        values = figures.values[work, impl, "seconds"]
        median, floor, ours = statistics.median(values), figures.floor(work), figures.median(work, OURS)
        rows.append(
            [
                work,
                impl,
                seconds(median),
                seconds(min(values)),
                seconds(max(values)),
                str(len(values)),
                short(median / ours) if ours else "–",
                short(median / floor) if floor else "–",
            ]
        )
    return markdown(rows)


def targets(figures):
    rows = [["work", "target", "at least", "stretch", "measured", ""]]
    for target in TARGETS:
        wording, show, value, reached = judged(figures, target)
        mark = "no figure"
        if value is not None:
            mark = "pass" if reached(value, target.least) else "MISSED"
            if target.stretch and reached(value, target.stretch):
                mark = "stretch"
        rows.append(
            [
                target.workload,
                wording,
                show(target.least),
                show(target.stretch) if target.stretch else "–",
                show(value) if value is not None else "–",
                mark,
            ]
        )
    return markdown(rows)


def judged(figures, target):
    """What the target says, how its numbers are shown, what was measured, and which side of a bound is good."""
    work, impl, than = target.workload, target.impl, target.than
    ours = figures.median(work, impl)
    if than == "seconds":
        return f"{impl} at most", seconds, ours, le
    if than == "peak_rss_mb":
        return f"{impl} at most", megabytes, figures.median(work, impl, than), le
    if than == "floor":
        floor = figures.floor(work)
        return f"{impl}, times the floor at most", times, ours / floor if ours and floor else None, le
    theirs = figures.least(work, than)
    return f"{impl} faster than {than}", times, theirs / ours if ours and theirs else None, ge


def seconds(value):
    for unit, size in (("s", 1), ("ms", 1e-3)):
        if value >= size:
            return f"{short(value / size)} {unit}"
    return f"{short(value / 1e-6)} µs"


def megabytes(value):
    return f"{short(value)} MB"


def times(value):
    return f"{short(value)}×"


def short(value):
    """Three digits that count, as many as such figures are good for."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def markdown(rows):
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["| " + " | ".join(text.ljust(width) for text, width in zip(row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
