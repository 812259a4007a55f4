#!/usr/bin/env python3
"""How far off forecasts are beside the PyPI package `prophet`, and how much of what came the bands held.

    python3 benches/peers/forecast_accuracy.py [FOLDER ...] [--keep FILE]

`cargo bench --bench forecast_accuracy -- --json` forecasts the series of the folders (`sample_data` when none is named) from
origins one after the other; Prophet, as the package is but for the band's level, gets the same rows at the same origins. A folder
holds `NAME/series.csv.gz` or `NAME.csv.gz`, first column `timestamp`. Prophet runs in the environment that `environments.py` sets up
(`PULSEWATCH_PEERS_VENV`). --keep is a file in which Prophet's forecasts are kept: the next run asks only for new ones.

The table: correlation of a day with the next, mean absolute errors and their ratio (below 1: ours is nearer), the part of
what came that the bands held (nominally 0.90), and the mean width of ours relative to Prophet's. A ratio over several series is the
geometric mean.
"""

import argparse
import hashlib
import json
import logging
import math
import os
import subprocess
import sys
from pathlib import Path

import environments

ROOT = Path(__file__).resolve().parent.parent.parent
SEASONAL = 0.4


def ours(folders, options):
    """A line for each series and origin."""
    command = ["cargo", "bench", "--quiet", "--bench", "forecast_accuracy", "--", "--json", *options]
    command += [str(Path(folder).resolve()) for folder in folders]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def key(one):
    """What Prophet's answer depends on."""
    asked = [one["start"], one["step"], one["known"], len(one["yhat"]), one["level"]]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def forecast_lines():
    """The other side: questions in, Prophet's forecasts out, a line each."""
    import numpy
    import pandas

    logging.disable(logging.CRITICAL)
    import prophet

    for line in sys.stdin:
        one = json.loads(line)
        rows, ahead = len(one["known"]), len(one["yhat"])
        times = pandas.to_datetime(one["start"] + one["step"] * numpy.arange(rows + ahead), unit="s")
        values = [math.nan if value is None else value for value in one["known"]]
        numpy.random.seed(0)
        model = prophet.Prophet(interval_width=one["level"])
        model.fit(pandas.DataFrame({"ds": times[:rows], "y": values}))
        found = model.predict(pandas.DataFrame({"ds": times[rows:]}))
        parts = {"yhat": found.yhat, "lower": found.yhat_lower, "upper": found.yhat_upper}
        print(json.dumps({"key": key(one), **{name: list(part) for name, part in parts.items()}}), flush=True)


def theirs(origins, kept):
    """Prophet's forecasts by key, from the file or made now and put into it."""
    known = {}
    if kept and kept.exists():
        known = {line["key"]: line for line in map(json.loads, kept.read_text().splitlines())}
    open_questions = {key(one): one for one in origins if key(one) not in known}
    if open_questions:
        questions = "\n".join(map(json.dumps, open_questions.values()))
        command = [environments.python("prophet"), __file__, "--answer"]
        done = subprocess.run(command, input=questions, stdout=subprocess.PIPE, check=True, text=True)
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        known |= {line["key"]: line for line in map(json.loads, lines)}
        if kept:
            kept.write_text("".join(json.dumps(line) + "\n" for line in known.values()))
    return known


class Tally:
    """Errors, hits and widths of one series' forecasts."""

    def __init__(self):
        self.error = self.held = self.width = self.count = 0

    def add(self, forecast, truth):
        for y, low, high, came in zip(forecast["yhat"], forecast["lower"], forecast["upper"], truth):
            if came is not None:
                self.error += abs(came - y)
                self.held += low <= came <= high
                self.width += high - low
                self.count += 1


def table(origins, known):
    series = {}
    for one in origins:
        own, peer, _ = series.setdefault(one["series"], (Tally(), Tally(), one["daily"]))
        own.add(one, one["truth"])
        peer.add(known[key(one)], one["truth"])
    print(f"{'series':<50}{'day':>6}{'MAE':>13}{'Prophet':>13}{'ratio':>7}{'held':>7}{'Prophet':>8}{'width':>7}")
    rows = []
    for name, (own, peer, daily) in series.items():
        if not own.count:
            continue
        ratio = own.error / peer.error
        held = (own.held / own.count, peer.held / peer.count)
        width = own.width / peer.width
        rows.append((daily, ratio, *held, width))
        mae = f"{own.error / own.count:>13.5g}{peer.error / peer.count:>13.5g}"
        print(f"{name:<50}{daily:>6.2f}{mae}{ratio:>7.3f}{held[0]:>7.3f}{held[1]:>8.3f}{width:>7.2f}")
    summary("all", rows)
    summary(f"seasonal (day over {SEASONAL})", [row for row in rows if row[0] > SEASONAL])


def summary(name, rows):
    if not rows:
        return
    mean = lambda values: sum(values) / len(values)
    geometric = lambda at: math.exp(mean([math.log(row[at]) for row in rows]))
    held = [mean([row[at] for row in rows]) for at in (2, 3)]
    off = [mean([abs(row[at] - 0.9) for row in rows]) for at in (2, 3)]
    near = sum(abs(row[2] - 0.9) <= 0.03 for row in rows)
    better = sum(row[1] <= 1 for row in rows)
    print(
        f"{name}: {len(rows)} series, ratio {geometric(1):.3f} ({better} at most 1), held {held[0]:.3f} (Prophet {held[1]:.3f}), "
        f"off by {off[0]:.3f} ({off[1]:.3f}), {near} within 0.03, width {geometric(4):.2f}"
    )


def main():
    if sys.argv[1:] == ["--answer"]:
        return forecast_lines()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", default=[ROOT / "sample_data"])
    parser.add_argument("--keep", type=Path, help="file of Prophet's forecasts")
    parser.add_argument("--origins", default="12", help="origins of a series, at most")
    parser.add_argument("--columns", default="3", help="columns of a recording, at most")
    parser.add_argument("--model", default="auto", help="forecast.model")
    args = parser.parse_args()
    options = ["--origins", args.origins, "--columns", args.columns, "--model", args.model]
    origins = ours(args.folders, options)
    table(origins, theirs(origins, args.keep))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
