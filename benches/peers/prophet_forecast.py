#!/usr/bin/env python3
"""Prophet's side of `cargo bench --bench forecast -- --json`: the same work, one line of JSON per figure.

    venv/bin/python benches/peers/prophet_forecast.py [--runs N]

10,080 points at two minutes, daily and weekly seasons, horizon 60; seconds are the median of fit and predict together.
Prophet has no way to take new rows in: its refit is a fit with the old parameters as the start.
"""

import argparse
import json
import logging
import statistics
import time

import numpy as np
import pandas as pd

logging.disable(logging.CRITICAL)
from prophet import Prophet  # noqa: E402

ROWS, STEP, HORIZON = 10080, 120, 60
START = 1_704_067_200


def series(rows, seed=1):
    """A day, a week, a slow rise with a bend, noise."""
    rng = np.random.default_rng(seed)
    days = np.arange(rows) * STEP / 86400
    trend = 50 + 0.4 * days + 1.5 * np.maximum(days - 6, 0)
    turn = 2 * np.pi * days
    shape = 0.2 * np.sin(turn) + 0.05 * np.cos(2 * turn) + 0.1 * np.sin(turn / 7)
    return trend * (1 + shape) + 1.5 * rng.standard_normal(rows)


def work(mode, rows, init=None):
    stamps = pd.to_datetime(START + STEP * np.arange(rows + HORIZON), unit="s")
    frame = pd.DataFrame(dict(ds=stamps[:rows], y=series(rows)))
    began = time.perf_counter()
    model = Prophet(seasonality_mode=mode, daily_seasonality=True, weekly_seasonality=True, yearly_seasonality=False, interval_width=0.9)
    model.fit(frame, **({"init": init} if init else {}))
    model.predict(pd.DataFrame(dict(ds=stamps[rows:])))
    return time.perf_counter() - began, model


def start(model):
    """A fit's parameters as the start of the next one."""
    first = {name: model.params[name][0][0] for name in ("k", "m", "sigma_obs")}
    return first | {name: model.params[name][0] for name in ("delta", "beta")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    for mode in ("additive", "multiplicative"):
        work(mode, ROWS)
        seconds = statistics.median(work(mode, ROWS)[0] for _ in range(runs))
        print(json.dumps(dict(workload=f"forecast-{mode}", impl="prophet", rows=ROWS, seconds=seconds)), flush=True)
    known = start(work("additive", ROWS)[1])
    seconds = statistics.median(work("additive", ROWS + 1, known)[0] for _ in range(runs))
    print(json.dumps(dict(workload="forecast-refit", impl="prophet", rows=ROWS, seconds=seconds)), flush=True)


if __name__ == "__main__":
    main()
