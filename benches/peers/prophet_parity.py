#!/usr/bin/env python3
"""Fits the same series with the PyPI package `prophet` and with PulseWatch and shows the two side by side.

    python3 -m venv venv && venv/bin/pip install prophet
    venv/bin/python benches/peers/prophet_parity.py [--public FOLDER] [--fixtures FOLDER]

The objective is the log posterior of Prophet's Stan model without constants (its `lp__`), evaluated for both sets of parameters
by the same function. `excess` is how much lower ours is, relative to Prophet's (negative: ours is better). Differences of
forecasts are relative to the largest absolute value of the series. Exits 1 when an excess is over 1e-4.

Stan's L-BFGS, which is made for smooth functions, stops where the changes of slope have no derivative, short of the optimum: that
is where forecasts differ most. --confirm starts it from our parameters: how much it gains (relative), and how far its forecast
then is from ours at most, are two more columns.

--public takes a folder that holds `NAME/series.csv.gz` (first column `timestamp`): up to eight files are read.
--fixtures writes short series with Prophet's results, as the Rust tests read them, and ends.
"""

import argparse
import gzip
import itertools
import json
import logging
import math
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import pandas as pd

logging.disable(logging.CRITICAL)
import prophet  # noqa: E402
from prophet import Prophet  # noqa: E402

DAY, WEEK = 86400, 7 * 86400
START = 1_704_067_200  # 2024-01-01, a Monday
LEVEL = 0.8
REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def case(name, step, values, **settings):
    """One series with its settings, as the Rust side reads it."""
    settings.setdefault("start_ms", START * 1000)
    settings.setdefault("seasons", [(WEEK, 3), (DAY, 4)])
    settings.setdefault("mode", "additive")
    settings.setdefault("changepoint_prior_scale", 0.05)
    settings.setdefault("holidays", [])
    settings.setdefault("horizon", max(1, DAY // step))
    cells = [None if not math.isfinite(v) else float(v) for v in values]
    return dict(name=name, step_ms=step * 1000, values=cells, level=LEVEL, **settings)


def wave(rows, step, seed, noise, multiply=False, slope=0.4, base=50.0, bend=1.5):
    rng = np.random.default_rng(seed)
    days = np.arange(rows) * step / DAY
    trend = base + slope * days + bend * np.maximum(days - days[-1] * 0.45, 0)
    shape = 0.2 * np.sin(2 * np.pi * days) + 0.06 * np.cos(4 * np.pi * days) + 0.1 * np.sin(2 * np.pi * days / 7)
    return (trend * (1 + shape) if multiply else trend + base * shape) + noise * rng.standard_normal(rows)


def synthetic():
    rows, step = 10080, 120
    cases = [
        case("additive 10,080", step, wave(rows, step, 1, 3.0), horizon=60),
        case("multiplicative 10,080", step, wave(rows, step, 2, 3.0, multiply=True), mode="multiplicative", horizon=60),
        case("little noise", 600, wave(2016, 600, 3, 0.02)),
        case("free trend", 600, wave(2016, 600, 4, 2.0), changepoint_prior_scale=0.5),
    ]
    gaps = wave(2016, 600, 5, 2.0)
    gaps[np.random.default_rng(6).random(2016) < 0.1] = np.nan
    gaps[400:700] = np.nan
    cases.append(case("gaps", 600, gaps))
    rng = np.random.default_rng(7)
    cases.append(case("random walk", 600, 20 + np.cumsum(rng.standard_normal(2016))))
    cases.append(case("negative values", 1800, wave(1344, 1800, 8, 4.0, base=-30.0, slope=-0.5)))
    sale = wave(1344, 1800, 9, 1.0)
    days = np.arange(1344) * 1800 // DAY
    sale += 15.0 * np.isin(days, [5, 17]) - 8.0 * np.isin(days, [6, 18])
    holidays = [dict(name="sale", dates=["2024-01-06", "2024-01-18"], before=1, after=1, prior_scale=10.0)]
    cases.append(case("holidays", 1800, sale, holidays=holidays))
    cases.append(case("holidays, multiplicative", 1800, sale, holidays=holidays, mode="multiplicative"))
    hours = case("custom season", 300, wave(2016, 300, 10, 2.0) + 5 * np.sin(np.arange(2016) / 12 * 2 * np.pi))
    hours["seasons"] = [(3600, 5), (DAY, 4)]
    cases.append(hours)
    years = np.arange(3 * 365)
    yearly = 100 + 0.05 * years + 20 * np.sin(2 * np.pi * years / 365.25) + 4 * (years % 7 >= 5)
    yearly = yearly + 3 * np.random.default_rng(11).standard_normal(len(years))
    cases.append(case("three years of days", DAY, yearly, seasons=[(31_557_600, 10), (WEEK, 3)], horizon=60))
    return cases


def public(folder):
    """First columns of public series, of each family in turn, on the regular grid of their most frequent step."""
    families = {}
    for path in sorted(pathlib.Path(folder).glob("*/series.csv.gz")):
        families.setdefault(path.parent.name.split("_")[0], []).append(path)
    turns = itertools.zip_longest(*families.values())
    cases = []
    for path in filter(None, itertools.chain.from_iterable(turns)):
        frame = pd.read_csv(gzip.open(path))
        stamps = frame.iloc[:, 0]
        if stamps.dtype == object or str(stamps.dtype).startswith("str"):
            stamps = pd.to_datetime(stamps, utc=True).astype("int64") // 10**9
        stamps = stamps.to_numpy("int64")
        stamps = stamps // 1000 if stamps[0] > 10**11 else stamps
        steps, counts = np.unique(np.diff(stamps), return_counts=True)
        step = int(steps[counts.argmax()])
        if step <= 0 or DAY % step:
            continue
        rows = min(int((stamps[-1] - stamps[0]) // step) + 1, 10080)
        values = np.full(rows, np.nan)
        at = (stamps - stamps[0] + step // 2) // step
        column = frame.iloc[:, 1].to_numpy(float)
        keep = (at >= 0) & (at < rows)
        values[at[keep]] = column[keep]
        if np.isfinite(values).sum() < 500 or np.nanstd(values) == 0:
            continue
        mode = "multiplicative" if len(cases) % 3 == 2 else "additive"
        seasons = [(WEEK, 3), (DAY, 4)] if rows * step >= 2 * WEEK else [(DAY, 4)]
        name = path.parent.name.removeprefix("nab_")[:28]
        cases.append(case(name, step, values, start_ms=int(stamps[0]) * 1000, seasons=seasons, mode=mode))
        if len(cases) == 8:
            break
    return cases


def column_order(one, model, frame=None):
    """Where our columns stand among Prophet's: seasons as listed, then each holiday's days from first to last."""
    if frame is not None:
        model.preprocess(frame)
    names = list(model.make_all_seasonality_features(model.history)[0].columns)
    order = [names.index(f"s{period}_delim_{i + 1}") for period, waves in one["seasons"] for i in range(2 * waves)]
    for h in one["holidays"]:
        for away in range(-h["before"], h["after"] + 1):
            order.append(names.index(f"{h['name']}_delim_{'+' if away >= 0 else '-'}{abs(away)}"))
    return order


def fit(one, begin=None):
    """Prophet's parameters, forecast and time; from parameters in our order if given."""
    seconds = one["step_ms"] / 1000
    rows = len(one["values"])
    stamps = pd.to_datetime(one["start_ms"] / 1000 + seconds * np.arange(rows + one["horizon"]), unit="s")
    values = np.array([math.nan if v is None else v for v in one["values"]])
    frame = pd.DataFrame(dict(ds=stamps[:rows], y=values))
    holidays = [
        dict(holiday=h["name"], ds=pd.Timestamp(d), lower_window=-h["before"], upper_window=h["after"], prior_scale=h["prior_scale"])
        for h in one["holidays"]
        for d in h["dates"]
    ]
    np.random.seed(0)
    began = time.perf_counter()

    def build():
        model = Prophet(
            changepoint_prior_scale=one["changepoint_prior_scale"],
            seasonality_mode=one["mode"],
            daily_seasonality=False,
            weekly_seasonality=False,
            yearly_seasonality=False,
            holidays=pd.DataFrame(holidays) if holidays else None,
            interval_width=one["level"],
        )
        for period, order in one["seasons"]:
            model.add_seasonality(name=f"s{period}", period=period / DAY, fourier_order=order)
        return model

    model = build()
    if begin:
        beta = np.zeros(len(begin["beta"]))
        beta[column_order(one, model, frame)] = begin["beta"]
        model = build()
        start = dict(k=begin["k"], m=begin["m"], sigma_obs=begin["sigma"], delta=np.array(begin["delta"]), beta=beta)
        model.fit(frame, init=start)
    else:
        model.fit(frame)
    forecast = model.predict(pd.DataFrame(dict(ds=stamps[rows:])))
    elapsed = time.perf_counter() - began
    order = column_order(one, model)
    at = model.params
    reference = dict(
        k=float(at["k"].item()),
        m=float(at["m"].item()),
        delta=[float(v) for v in at["delta"].ravel()],
        beta=[float(v) for v in at["beta"].ravel()[order]],
        sigma=float(at["sigma_obs"].item()),
    )
    lp = float(model.stan_backend.stan_fit.optimized_params_dict["lp__"])
    return dict(
        reference=reference,
        lp=lp,
        seconds=elapsed,
        yhat=forecast.yhat.to_numpy(),
        lower=forecast.yhat_lower.to_numpy(),
        upper=forecast.yhat_upper.to_numpy(),
    )


def ours(cases):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(cases, file)
        file.flush()
        command = ["cargo", "bench", "--quiet", "--bench", "forecast", "--", "--parity", file.name]
        done = subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {line["name"]: line for line in lines}


def fixtures(folder):
    """Three short series with what Prophet made of them."""
    sale = wave(480, 3600, 23, 1.0)
    days = np.arange(480) * 3600 // DAY
    sale += 15.0 * np.isin(days, [5, 12]) - 8.0 * np.isin(days, [6, 13])
    sale[200:230] = np.nan
    holidays = [dict(name="sale", dates=["2024-01-06", "2024-01-13"], before=0, after=1, prior_scale=10.0)]
    cases = [
        case("additive", 3600, np.round(wave(504, 3600, 21, 2.0), 3)),
        case("multiplicative", 3600, np.round(wave(504, 3600, 22, 2.0, multiply=True), 3), mode="multiplicative"),
        case("holidays and a gap", 3600, np.round(sale, 3), holidays=holidays),
    ]
    for one in cases:
        found = fit(one)
        one["reference"] = found["reference"]
        one["objective"] = found["lp"]
        one["yhat"] = [round(float(v), 6) for v in found["yhat"]]
        one["half_width"] = [round(float(v), 6) for v in (found["upper"] - found["lower"]) / 2]
    text = dict(made_with=f"prophet {prophet.__version__}", cases=cases)
    path = pathlib.Path(folder) / "prophet.json"
    path.write_text(json.dumps(text) + "\n")
    print(f"{path}: {len(cases)} series, prophet {prophet.__version__}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--public", help="folder of public series")
    parser.add_argument("--fixtures", help="folder to write fixtures to")
    parser.add_argument("--confirm", action="store_true", help="also start Prophet's optimiser where ours ended")
    args = parser.parse_args()
    if args.fixtures:
        return fixtures(args.fixtures)
    cases = synthetic() + (public(args.public) if args.public else [])
    peers = {}
    for one in cases:
        peers[one["name"]] = fit(one)
        one["reference"] = peers[one["name"]]["reference"]
    results = ours(cases)
    print(f"prophet {prophet.__version__}, {len(cases)} series; differences in parts of the largest absolute value\n")
    print(f"{'series':<29}{'rows':>6}  {'objective':>13}{'Prophet':>13}{'excess':>10}{'max diff':>10}{'mean diff':>10}{'band':>7}{'ms':>9}{'Prophet ms':>11}{'ratio':>7}" + (f"{'gain':>10}{'apart':>10}" if args.confirm else ""))
    worst = -math.inf
    for one in cases:
        peer, own = peers[one["name"]], results[one["name"]]
        scale = max(abs(v) for v in one["values"] if v is not None)
        both = np.abs(np.array(own["yhat"]) - peer["yhat"]) / scale
        excess = (own["reference_objective"] - own["objective"]) / abs(own["reference_objective"])
        worst = max(worst, excess)
        check = abs(own["reference_objective"] - peer["lp"]) / abs(peer["lp"])
        assert check < 1e-4, f"{one['name']}: the two objectives are not the same function: {check}"
        widths = np.mean(np.array(own["upper"]) - own["lower"]) / np.mean(peer["upper"] - peer["lower"])
        print(
            f"{one['name']:<29}{len(one['values']):>6}  {own['objective']:>13.3f}{own['reference_objective']:>13.3f}{excess:>10.1e}"
            f"{both.max():>10.1e}{both.mean():>10.1e}{widths:>7.2f}{own['seconds'] * 1e3:>9.2f}{peer['seconds'] * 1e3:>11.0f}{peer['seconds'] / own['seconds']:>7.0f}",
            end="",
        )
        if args.confirm:
            again = fit(one, own["parameters"])
            gain = (again["lp"] - own["objective"]) / abs(own["objective"])
            print(f"{gain:>10.1e}{np.abs(np.array(own['yhat']) - again['yhat']).max() / scale:>10.1e}", end="")
        print()
    print(f"\nworst excess {worst:.1e} (at most 1e-4)")
    return 0 if worst <= 1e-4 else 1


if __name__ == "__main__":
    sys.exit(main())
