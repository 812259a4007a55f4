"""Keras's side on TensorFlow: `python keras_peer.py GROUP` prints a line per figure; `save` writes the model that `cold` starts from."""

import sys
import time
from functools import partial

import keras
import tensorflow as tf
from keras import layers

from measure import BATCH, DATA, THREADS, emit, median_seconds, peak_rss_mb, since_start, windows
from workloads import BATCHED, FEATURES, MODELS, WINDOW

IMPL = "keras"
# What XLA does to it is not told by the work: both are measured.
WAYS = ((IMPL, False), (f"{IMPL}-jit", True))


def seed(activation):
    """The first seed's network: 64 → 32 → repeat → 32 → 64 → dense with a sigmoid."""

    def lstm(units, **more):
        return layers.LSTM(units, activation=activation, **more)

    return keras.Sequential(
        [
            keras.Input((WINDOW, FEATURES)),
            lstm(64, return_sequences=True),
            lstm(32),
            layers.RepeatVector(WINDOW),
            lstm(32, return_sequences=True),
            lstm(64, return_sequences=True),
            layers.TimeDistributed(layers.Dense(FEATURES, activation="sigmoid")),
        ]
    )


def train(workload, activation):
    """As the first seed does it, then compiled by XLA. An epoch to warm up, then one that counts."""
    inputs = windows("train", WINDOW)
    for impl, jit in WAYS:
        model = seed(activation)
        model.compile(optimizer=keras.optimizers.Adam(1e-3), loss="mse", jit_compile=jit)
        fit = lambda: model.fit(inputs, inputs, epochs=1, batch_size=BATCH, verbose=0)
        fit()
        start = time.perf_counter()
        history = fit()
        taken = time.perf_counter() - start
        # A second training in one process tells nothing about its own memory.
        memory = {"peak_rss_mb": peak_rss_mb()} if impl == IMPL else {}
        emit(workload, impl, taken, loss=history.history["loss"][-1], **memory)


def score():
    held_out = windows("held_out", WINDOW)[:BATCHED]
    model = seed("tanh")
    emit("score-one", f"{IMPL}-predict", median_seconds(lambda: model.predict(held_out[:1], verbose=0)))
    emit("score-batch", f"{IMPL}-predict", median_seconds(lambda: model.predict(held_out, verbose=0)))
    for impl, jit in WAYS:
        score_called(impl, jit, model, tf.constant(held_out))


def score_called(impl, jit, model, held_out):
    """Through a traced function, which costs a call much less than `predict`."""
    errors = tf.function(lambda inputs: error(model(inputs, training=False), inputs), jit_compile=jit)
    one, shared = held_out[:1], held_out[:MODELS]
    emit("score-one", impl, median_seconds(lambda: errors(one).numpy()))
    emit("score-batch", impl, median_seconds(lambda: errors(held_out).numpy()))
    emit("score-1000-shared", impl, median_seconds(lambda: errors(shared).numpy()))

    # One trace for every model: the weights are arguments. To build a thousand models takes minutes.
    @partial(tf.function, jit_compile=jit)
    def errors_with(weights, inputs):
        outputs, _ = model.stateless_call(weights, model.non_trainable_variables, inputs, training=False)
        return error(outputs, inputs)

    weights = lambda: [tf.random.normal(weight.shape, stddev=0.1) for weight in model.trainable_variables]
    models = [weights() for _ in range(MODELS)]
    emit("score-1000-models", impl, median_seconds(lambda: [errors_with(each, one).numpy() for each in models]))


def error(outputs, inputs):
    """What a score is: the mean squared error of each window."""
    return tf.reduce_mean(tf.square(outputs - inputs), (1, 2))


def save():
    seed("tanh").save(DATA / "seed.keras")


def cold():
    model = keras.models.load_model(DATA / "seed.keras")
    inputs = tf.fill((1, WINDOW, FEATURES), 0.5)
    error(model(inputs, training=False), inputs).numpy()
    emit("cold", IMPL, since_start(), peak_rss_mb=peak_rss_mb())


GROUPS = {
    "w3": lambda: train("W3", "tanh"),
    "w1": lambda: train("W1", "relu"),
    "score": score,
    "cold": cold,
    "save": save,
}

if __name__ == "__main__":
    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(THREADS)
    keras.utils.set_random_seed(0)
    GROUPS[sys.argv[1]]()
    emit("version", IMPL, version=f"Keras {keras.__version__} on TensorFlow {tf.__version__}")
