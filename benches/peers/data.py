"""The input that every side may use: the same bytes for the same version of this file, from the standard library alone.

    python3 data.py FOLDER

rows.f32, rows.npy    10,080 rows × 19 features in 0…1, one row every 2 minutes, row after row, little-endian f32
train.u32, .npy       first rows of the windows of 20 that are trained on, shuffled; 80 %
held_out.u32, .npy    first rows of the other 20 %
series.f64, .npy      10,080 points: a rising line with a bend, daily and weekly seasons, noise
"""

import math
import random
import struct
import sys
from array import array
from pathlib import Path

ROWS = 10_080
FEATURES = 19
WINDOW = 20
TRAIN_SHARE = 0.8
STEP_SECONDS = 120
DAY = 86_400 / STEP_SECONDS
WEEK = 7 * DAY


def main(folder):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(20)
    columns = [scaled(column(rng)) for _ in range(FEATURES)]
    rows = array("f", (value for row in zip(*columns) for value in row))
    save(folder / "rows", ".f32", "<f4", (ROWS, FEATURES), rows)

    # Sorting by random keys: what `shuffle` draws may differ between versions of Python, `random` does not.
    starts = sorted(range(ROWS - WINDOW + 1), key=lambda _: rng.random())
    cut = int(TRAIN_SHARE * len(starts))
    for name, part in (("train", starts[:cut]), ("held_out", starts[cut:])):
        save(folder / name, ".u32", "<u4", (len(part),), array("I", part))

    save(folder / "series", ".f64", "<f8", (ROWS,), array("d", series(random.Random(21))))


def normal(rng):
    """Close to a standard normal: the sum of twelve uniform numbers."""
    return sum(rng.random() for _ in range(12)) - 6


def noise(rng, memory, size):
    last = 0.0
    for _ in range(ROWS):
        last = memory * last + size * normal(rng)
        yield last


def column(rng):
    """Daily, half-daily and weekly waves of random size and phase, correlated noise, a spike in 500 rows."""
    waves = [
        (low + (high - low) * rng.random(), period, math.tau * rng.random())
        for low, high, period in ((0.5, 1.5, DAY), (0.2, 0.7, WEEK), (0.1, 0.3, DAY / 2))
    ]
    values = []
    for row, extra in enumerate(noise(rng, 0.8, 0.1)):
        value = extra + sum(size * math.sin(math.tau * row / period + phase) for size, period, phase in waves)
        if rng.random() < 0.002:
            value -= math.log(1 - rng.random())
        values.append(value)
    return values


def scaled(values):
    low, high = min(values), max(values)
    return [(value - low) / (high - low) for value in values]


def series(rng):
    """A rising line with a bend, seasons in proportion to it, noise."""
    for row in range(ROWS):
        days = row / DAY
        line = 50 + 0.4 * days + 1.5 * max(days - 6, 0)
        shape = (
            0.2 * math.sin(math.tau * days) + 0.05 * math.cos(2 * math.tau * days) + 0.1 * math.sin(math.tau * days / 7)
        )
        yield line * (1 + shape) + 1.5 * normal(rng)


def save(path, suffix, kind, shape, values):
    """The bare numbers, and the same with the header that `numpy.load` reads."""
    if sys.byteorder == "big":
        values.byteswap()
    path.with_suffix(suffix).write_bytes(values.tobytes())
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    header = header.ljust(-(len(header) + 11) % 64 + len(header)) + "\n"
    start = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
    path.with_suffix(".npy").write_bytes(start + values.tobytes())


if __name__ == "__main__":
    main(sys.argv[1])
