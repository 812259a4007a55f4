"""PyTorch's side: `python torch_peer.py GROUP` prints a line per figure; `save` writes the model that `cold` starts from."""

import os
import sys
import time
from functools import partial

import torch
from torch import nn

from measure import BATCH, DATA, THREADS, emit, median_seconds, peak_rss_mb, since_start, windows
from workloads import BATCHED, FEATURES, MODELS, W2_FEATURES, W2_TRAINED, W2_WINDOW, WINDOW

# Said by who starts it: "pytorch-spin" is the same with other settings around it.
IMPL = os.environ.get("PEERS_IMPL", "pytorch")


class Fused(nn.Module):
    """PyTorch's own layer, which runs in oneDNN. It has tanh only."""

    def __init__(self, inputs, units):
        super().__init__()
        self.lstm = nn.LSTM(inputs, units, batch_first=True)

    def forward(self, x):
        return self.lstm(x)[0]


class Steps(nn.Module):
    """A layer step by step: for Keras's `LSTM(activation="relu")`, and for `vmap`, which cannot enter PyTorch's own layer."""

    def __init__(self, inputs, units, activation):
        super().__init__()
        self.units, self.activation = units, activation
        self.from_input = nn.Linear(inputs, 4 * units)
        self.from_state = nn.Linear(units, 4 * units, bias=False)

    def forward(self, x):
        hidden = cell = x.new_zeros(x.shape[0], self.units)
        states = []
        for step in self.from_input(x.transpose(0, 1)).unbind(0):
            gates = torch.addmm(step, hidden, self.from_state.weight.t())
            into, forget, out = torch.sigmoid(gates[:, : 3 * self.units]).chunk(3, 1)
            cell = forget * cell + into * self.activation(gates[:, 3 * self.units :])
            hidden = out * self.activation(cell)
            states.append(hidden)
        return torch.stack(states, 1)


RELU = partial(Steps, activation=torch.relu)


class Seed(nn.Module):
    """The first seed's network: 64 → 32 → repeat → 32 → 64 → dense with a sigmoid."""

    def __init__(self, layer):
        super().__init__()
        self.down = nn.Sequential(layer(FEATURES, 64), layer(64, 32))
        self.up = nn.Sequential(layer(32, 32), layer(32, 64), nn.Linear(64, FEATURES), nn.Sigmoid())

    def forward(self, x):
        code = self.down(x)[:, -1]
        return self.up(code.unsqueeze(1).expand(-1, x.shape[1], -1))


class SecondSeed(nn.Module):
    """Three layers of 256 each way around a code of 128; only the last step is compared."""

    def __init__(self, units=256, code=128, dropout=0.3):
        super().__init__()
        self.encoder = nn.LSTM(W2_FEATURES, units, 3, batch_first=True, dropout=dropout)
        self.narrow, self.widen = nn.Linear(units, code), nn.Linear(code, units)
        self.decoder = nn.LSTM(units, units, 3, batch_first=True, dropout=dropout)
        self.out = nn.Linear(units, W2_FEATURES)

    def forward(self, x):
        code = self.narrow(self.encoder(x)[0][:, -1])
        repeated = self.widen(code).unsqueeze(1).expand(-1, x.shape[1], -1)
        return self.out(self.decoder(repeated)[0][:, -1])


def seed_training(workload, layer, compiled=False):
    model = Seed(layer)
    call = torch.compile(model) if compiled else model
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    error = nn.MSELoss()

    def step(batch):
        optimizer.zero_grad()
        loss = error(call(batch), batch)
        loss.backward()
        optimizer.step()
        return loss.detach()

    impl = f"{IMPL}-compile" if compiled else IMPL
    train(workload, impl, step, torch.from_numpy(windows("train", WINDOW)))


def relu_training():
    """As it is, then through `torch.compile`, which needs a C++ compiler and takes a minute the first time."""
    seed_training("W1", RELU)
    if IMPL == "pytorch":
        seed_training("W1", RELU, compiled=True)


def second_seed_training():
    model = SecondSeed()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-4, fused=True)
    error = nn.SmoothL1Loss()

    def step(batch):
        optimizer.zero_grad()
        loss = error(model(batch), batch[:, -1])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.detach()

    train("W2", IMPL, step, torch.from_numpy(windows(range(W2_TRAINED), W2_WINDOW, W2_FEATURES)))


def train(workload, impl, step, inputs):
    """An epoch to warm up, then one that counts. The loss is read once an epoch, not once a batch."""

    def epoch():
        total = torch.zeros(())
        for chosen in torch.randperm(len(inputs)).split(BATCH):
            total += step(inputs[chosen]) * len(chosen)
        return total.item() / len(inputs)

    epoch()
    start = time.perf_counter()
    loss = epoch()
    taken = time.perf_counter() - start
    # A second training in one process tells nothing about its own memory.
    emit(workload, impl, taken, loss=loss, **({"peak_rss_mb": peak_rss_mb()} if impl == IMPL else {}))


@torch.inference_mode()
def score():
    held_out = torch.from_numpy(windows("held_out", WINDOW))[:BATCHED]
    one = held_out[:1]
    model = Seed(Fused).eval()
    in_batches = lambda inputs, size: [errors(model, batch) for batch in inputs.split(size)]
    emit("score-one", IMPL, min(map(partial(with_threads, lambda: errors(model, one)), {1, THREADS})))
    sizes = (64, 256, 1_000)
    emit("score-batch", IMPL, min(median_seconds(lambda: in_batches(held_out, size)) for size in sizes))
    emit("score-1000-shared", IMPL, min(median_seconds(lambda: in_batches(held_out[:MODELS], size)) for size in sizes))
    models = [Seed(Fused).eval() for _ in range(MODELS)]
    each_in_turn = lambda: [errors(each, one) for each in models]
    emit("score-1000-models", IMPL, min(map(partial(with_threads, each_in_turn), {1, THREADS})))
    score_stacked(one)


def score_stacked(one):
    """Many models as one with stacked weights, in pieces that stay in the cache."""
    models = [Seed(partial(Steps, activation=torch.tanh)).eval() for _ in range(MODELS)]
    stacked = torch.func.stack_module_state(models)
    run = lambda weights, buffers: torch.func.functional_call(models[0], (weights, buffers), (one,))
    all_models = torch.func.vmap(run, chunk_size=50)
    emit("score-1000-models", f"{IMPL}-vmap", median_seconds(lambda: (all_models(*stacked) - one).square().mean((2, 3))))


def with_threads(call, threads):
    """A small call may be faster without the second thread."""
    torch.set_num_threads(threads)
    taken = median_seconds(call)
    torch.set_num_threads(THREADS)
    return taken


def errors(model, inputs):
    """What a score is: the mean squared error of each window."""
    return (model(inputs) - inputs).square().mean((1, 2))


def save():
    torch.save(Seed(Fused).state_dict(), DATA / "seed.pt")


def cold():
    model = Seed(Fused)
    model.load_state_dict(torch.load(DATA / "seed.pt"))
    with torch.inference_mode():
        errors(model.eval(), torch.full((1, WINDOW, FEATURES), 0.5)).item()
    emit("cold", IMPL, since_start(), peak_rss_mb=peak_rss_mb())


def peak():
    """The best rate of some square products, by PyTorch's default library and by oneDNN, which its LSTM runs in."""
    sizes = (512, 1_024, 2_048)
    emit("peak", "torch.mm", gflops=max(rate(size, torch.mm) for size in sizes), threads=THREADS)
    if torch.backends.mkldnn.is_available():
        emit("peak", "torch-oneDNN", gflops=max(rate(size, linear, torch.Tensor.to_mkldnn) for size in sizes), threads=THREADS)


def linear(a, b):
    return nn.functional.linear(a, b, torch.zeros(b.shape[0]))


def rate(size, product, packed=lambda matrix: matrix):
    a, b = packed(torch.rand(size, size)), packed(torch.rand(size, size))
    taken = []
    for _ in range(20):
        start = time.perf_counter()
        product(a, b)
        taken.append(time.perf_counter() - start)
    return 2 * size**3 / min(taken) / 1e9


GROUPS = {
    "peak": peak,
    "w3": lambda: seed_training("W3", Fused),
    "w1": relu_training,
    "w2": second_seed_training,
    "score": score,
    "cold": cold,
    "save": save,
}

if __name__ == "__main__":
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    GROUPS[sys.argv[1]]()
    emit("version", IMPL, version=f"PyTorch {torch.__version__}")
