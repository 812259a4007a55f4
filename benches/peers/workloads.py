"""What is measured, how much arithmetic it is, and what it has to reach. The only place for the three."""

from dataclasses import dataclass

from data import FEATURES, ROWS, TRAIN_SHARE, WINDOW

# Windows in one "batched" figure, and models or entities in a fleet figure.
BATCHED = 2_000
MODELS = 1_000
# The second seed's network is trained on fewer rows, on longer windows and on its three metrics.
W2_ROWS, W2_WINDOW, W2_FEATURES = 640, 30, 3
TRAINED = int(TRAIN_SHARE * (ROWS - WINDOW + 1))
W2_TRAINED = W2_ROWS - W2_WINDOW + 1

# The parts of a run, in order. Ours is the bench of that name; a peer's program is called with the name.
GROUPS = ("peak", "w3", "w1", "w2", "score", "cold", "forecast", "fleet")
# A name with a dash is another way to run what stands before it: "pytorch-spin" waits for the other thread in a loop,
# which is quicker on an idle machine and very slow on a busy one.
PEERS = {
    "pytorch": ("peak", "w3", "w1", "w2", "score", "cold"),
    "pytorch-spin": ("w3", "w1", "w2", "score"),
    "keras": ("w3", "w1", "score", "cold"),
    "prophet": ("forecast",),
}
OURS = "pulsewatch"


def lstm(inputs, units):
    """Floating point operations of one step of one window, forward: four gates, a multiplication and an addition each."""
    return 2 * 4 * units * (inputs + units)


def trained(windows, forward, first_input_gradient):
    """Backwards takes twice what forward takes, less the gradient of the data, which nobody wants."""
    return windows * (3 * forward - first_input_gradient)


def seed_network():
    """64 → 32 → repeat → 32 → 64 → dense, forward, one window."""
    step = lstm(FEATURES, 64) + lstm(64, 32) + lstm(32, 32) + lstm(32, 64) + 2 * 64 * FEATURES
    return WINDOW * step


def w3_flops():
    return trained(TRAINED, seed_network(), WINDOW * 2 * 4 * 64 * FEATURES)


def w2_flops():
    """Three layers of 256 each way, a code of 128 between them, the error of the last step only."""
    step = lstm(W2_FEATURES, 256) + 5 * lstm(256, 256)
    once = 2 * 2 * 256 * 128 + 2 * 256 * W2_FEATURES
    return trained(W2_TRAINED, W2_WINDOW * step + once, W2_WINDOW * 2 * 4 * 256 * W2_FEATURES)


@dataclass(frozen=True)
class Workload:
    """`flops` is 0 where arithmetic is not what takes the time; `windows` is how many a figure is about."""

    title: str
    flops: float = 0
    windows: int = 0


WORKLOADS = {
    "W3": Workload("W3: training epoch, tanh", w3_flops(), TRAINED),
    "W1": Workload("W1: training epoch, relu", w3_flops(), TRAINED),
    "W2": Workload("W2: training epoch, 3 + 3 layers of 256", w2_flops(), W2_TRAINED),
    "score-one": Workload("score one window", seed_network(), 1),
    "score-batch": Workload(f"score {BATCHED:,} windows, batched", BATCHED * seed_network(), BATCHED),
    "score-1000-models": Workload(f"score {MODELS:,} models × 1 window", MODELS * seed_network(), MODELS),
    "score-1000-shared": Workload(f"score {MODELS:,} windows, one model", MODELS * seed_network(), MODELS),
    "cold": Workload("start, load, first score"),
    "forecast-additive": Workload("forecast 10,080 points, additive"),
    "forecast-multiplicative": Workload("forecast 10,080 points, multiplicative"),
    "fleet": Workload("fleet tick, 8,000 series in 1,000 entities"),
}


@dataclass(frozen=True)
class Target:
    """`than` names an implementation (we are to be so many times faster), "floor", "seconds" or "peak_rss_mb"."""

    workload: str
    than: str
    least: float
    stretch: float | None = None
    impl: str = OURS


TARGETS = (
    Target("W3", "pytorch", 3, 4),
    Target("W3", "keras", 7, 10),
    Target("W3", "floor", 2.0, 1.5),
    Target("W3", "peak_rss_mb", 60, 35),
    Target("W3", "pytorch", 1, impl="pulsewatch-avx2"),
    Target("W3", "keras", 1, impl="pulsewatch-portable"),
    Target("W1", "keras", 5, 8),
    Target("W2", "pytorch", 1.2, 1.5),
    Target("score-one", "seconds", 60e-6, 30e-6),
    Target("score-1000-models", "seconds", 0.060, 0.030),
    Target("score-1000-shared", "seconds", 0.045, 0.025),
    Target("cold", "seconds", 0.015, 0.005),
    Target("forecast-additive", "seconds", 0.035, 0.015),
    Target("forecast-additive", "prophet", 50),
    Target("forecast-multiplicative", "prophet", 10, 30),
    Target("fleet", "seconds", 0.250, 0.120),
    Target("fleet", "peak_rss_mb", 250),
)
