"""Prophet's side: `python forecast_peer.py forecast` prints the seconds that fit and predict take. Whether the forecasts agree
is not asked here."""

import logging
import sys
import time

import numpy
import pandas
import prophet

from data import STEP_SECONDS
from measure import DATA, emit

IMPL = "prophet"
START = 1_704_067_200
HORIZON = 60


def forecast():
    values = numpy.load(DATA / "series.npy")
    seconds = START + STEP_SECONDS * numpy.arange(len(values) + HORIZON)
    times = pandas.to_datetime(seconds, unit="s")
    past = pandas.DataFrame({"ds": times[: len(values)], "y": values})
    future = pandas.DataFrame({"ds": times[len(values) :]})
    # A short fit first: what is loaded once is not counted.
    fit_and_predict("additive", past[:1_440], future)
    for mode in ("additive", "multiplicative"):
        start = time.perf_counter()
        fit_and_predict(mode, past, future)
        emit(f"forecast-{mode}", IMPL, time.perf_counter() - start)


def fit_and_predict(mode, past, future):
    model = prophet.Prophet(
        seasonality_mode=mode, daily_seasonality=True, weekly_seasonality=True, yearly_seasonality=False
    )
    return model.fit(past).predict(future)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    {"forecast": forecast}[sys.argv[1]]()
    emit("version", IMPL, version=f"Prophet {prophet.__version__}")
