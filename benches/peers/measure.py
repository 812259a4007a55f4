"""What the peers' programs share: reading the input, taking time, printing a line. Needs nothing that costs start-up."""

import json
import os
import statistics
import sys
import time
from pathlib import Path

THREADS = int(os.environ.get("PEERS_THREADS", "2"))
DATA = Path(os.environ.get("PEERS_DATA", "."))
BATCH = 64


def emit(workload, impl, seconds=None, **more):
    """One figure: a line that `run.py` reads."""
    line = {"workload": workload, "impl": impl}
    if seconds is not None:
        line["seconds"] = seconds
    print(json.dumps(line | more), flush=True)


def median_seconds(call, budget=1.0, least=3):
    """Of as many calls as fit the budget in seconds, after warm-up calls."""
    for _ in range(3):
        start = time.perf_counter()
        call()
        once = time.perf_counter() - start
    taken = []
    for _ in range(max(least, min(1_000, int(budget / once)))):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def since_start():
    """Seconds since `run.py` started this process; both read the machine's monotonic clock."""
    return time.monotonic() - float(os.environ["PEERS_STARTED"])


def peak_rss_mb():
    """The most memory that was resident, in 10⁶ bytes. Linux counts it per program; elsewhere what started us may be in it."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) * 1024 / 1e6, 1)
    except OSError:
        pass
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)


def windows(part, window, features=None):
    """The windows whose first rows `part` names, as one array [windows, window, features] of f32."""
    import numpy

    rows = numpy.load(DATA / "rows.npy")[:, :features]
    view = numpy.lib.stride_tricks.sliding_window_view(rows, (window, rows.shape[1]))[:, 0]
    return numpy.ascontiguousarray(view[numpy.load(DATA / f"{part}.npy") if isinstance(part, str) else part])
