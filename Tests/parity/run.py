"""Random models in Keras and in Xfer, from the same config and weights: predictions, evaluate, three epochs, every weight afterwards.

    python Tests/parity/run.py                                       300 cases on every backend
    python Tests/parity/run.py --case 17 --backend naive -v          one of them

Tolerances. Predictions 2e-4, evaluate 1e-3, history 3e-3: each difference divided by max(1, largest absolute value of the array).
Weights 5e-3: divided by the largest absolute value of the weight, but at least 0.2, the size of the initial values.

Where history or weights miss these, Keras trains again from weights and samples that differ in their last bits (1e-6 of each): twice, or eight times where two do not tell. What Keras itself moves then
says how much the numbers mean: a gradient may be pure rounding (a bias before batch statistics), and Adam and its kin divide by its size. Up to four
times that movement is allowed; the tensors concerned are counted. Models whose history or predictions need that are listed as ill-conditioned; more than one in twenty fails the run,
and so does more than one in twenty that Xfer refuses by name when it is built or compiled.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter

import cases as cases_module
from cases import find
from support import BACKENDS, Difference, Table, XferError, compare, keras, library_or_exit, listed, np, plain, serialized, tf, unsupported, xfer

PREDICT, EVALUATE, HISTORY, WEIGHTS = 2e-4, 1e-3, 3e-3, 5e-3
FLOOR = 0.2


class HandStep(keras.Model):
    """fit with a gradient step of one's own that calls the model with training=False.

    Keras 3.15 passes fit's training=True over an explicit training=False of an inner call; a model whose only training-dependent layers lie under that
    call is the same as one called with training=False as a whole.
    """

    def train_step(self, data):
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            predictions = self(x, training=False)
            loss = self.compute_loss(x=x, y=y, y_pred=predictions, sample_weight=weight, training=False)
        self._loss_tracker.update_state(loss, sample_weight=tf.shape(listed(predictions)[0])[0])
        if self.trainable_weights:
            self.optimizer.apply_gradients(zip(tape.gradient(loss, self.trainable_weights), self.trainable_weights))
        return self.compute_metrics(x, y, predictions, sample_weight=weight)


def keras_model(case, weights):
    model = keras.models.model_from_json(case.config)
    model.set_weights(weights)
    for layer in model._flatten_layers():
        # Keras' Normalization goes on with the statistics it had until it is told.
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()
    for path, flag in case.freezes:
        find(model, path).trainable = flag
    return model


def renewed(thing):
    """A fresh object of the same config; the same of lists."""
    if isinstance(thing, list):
        return [renewed(element) for element in thing]
    return thing if thing is None or isinstance(thing, str) else type(thing).from_config(thing.get_config())


def outputs_of(model, case):
    """A Keras model's predictions, all outputs in one array."""
    return joined(model(case.x, training=False))


def joined(outputs):
    return np.concatenate([np.asarray(y) for y in listed(outputs)], axis=-1)


def run_keras(case, weights=None, x=None):
    """{"predict", "evaluate", "history", "weights", ...} as Keras has them."""
    x = case.x if x is None else x
    model = keras_model(case, case.weights if weights is None else weights)
    trained = HandStep(model.inputs, model.outputs) if case.by_hand else model
    trained.compile(optimizer=renewed(case.optimizer), loss=renewed(case.loss), metrics=renewed(case.metrics),
                    weighted_metrics=renewed(case.weighted_metrics), loss_weights=case.loss_weights, run_eagerly=True)
    found = {"model": model, "predict": outputs_of(model, case)}
    batch = case.fit["batch_size"]
    found["evaluate"] = trained.evaluate(x, case.y, batch_size=batch, sample_weight=case.fit.get("sample_weight"), verbose=0, return_dict=True)
    found["counts"] = len(model.weights), len(model.trainable_weights)
    found["history"] = trained.fit(x, case.y, verbose=0, validation_data=case.validation, **case.fit).history
    found["weights"] = model.get_weights()
    found["after"] = outputs_of(model, case)
    return found


def sane(found):
    """Whether training stayed where float32 can be compared."""
    numbers = [v for values in found["history"].values() for v in values] + list(found["evaluate"].values())
    big = max(float(np.abs(w).max(initial=0)) for w in found["weights"])
    return bool(np.isfinite(numbers).all() and max(map(abs, numbers)) < 60 and np.abs(found["predict"]).max() < 60 and big < 60
                and np.isfinite(found["after"]).all())


def make_xfer(case):
    model = xfer.models.model_from_json(case.config)
    model.set_weights(case.weights)
    for path, flag in case.freezes:
        find(model, path).trainable = flag
    return model


def compile_xfer(case, model):
    def from_keras(module, thing):
        if isinstance(thing, list):
            return [from_keras(module, element) for element in thing]
        if thing is None or isinstance(thing, str):
            return thing
        class_name, config = serialized(thing)
        return module.get({"class_name": class_name, "config": config})

    model.compile(
        optimizer=from_keras(xfer.optimizers, case.optimizer), loss=from_keras(xfer.losses, case.loss),
        metrics=from_keras(xfer.metrics, case.metrics), weighted_metrics=from_keras(xfer.metrics, case.weighted_metrics),
        loss_weights=case.loss_weights)


def check(case, expected, backend, verbose, movement):
    """{"part": worst difference}; raises Difference or XferError."""
    xfer.set_backend(backend)
    model = make_xfer(case)
    names = [w.path.rpartition("/")[2] for w in expected["model"].weights]
    own = [w.path.rpartition("/")[2] for w in model.weights]
    if names != own:
        raise Difference(f"weights: Keras {names}, Xfer {own}")
    counts = len(model.weights), len(model.trainable_weights)
    if counts != expected["counts"]:
        raise Difference(f"weights, trainable: Keras {expected['counts']}, Xfer {counts}")
    parts = {"predict": compare("predict", expected["predict"], joined(model.predict(case.x, batch_size=case.fit["batch_size"], verbose=0)), PREDICT)}
    if case.through_files:
        through_files(case, expected, model)
    compile_xfer(case, model)
    if case.through_files:
        through_files_compiled(case, expected, model)
    batch = case.fit["batch_size"]
    figures = model.evaluate(case.x, case.y, batch_size=batch, sample_weight=case.fit.get("sample_weight"), verbose=0, return_dict=True)
    if set(figures) != set(expected["evaluate"]):
        raise Difference(f"evaluate: Keras gives {sorted(expected['evaluate'])}, Xfer {sorted(figures)}")
    parts["evaluate"] = max(compare(f"evaluate {k}", v, figures[k], EVALUATE) for k, v in expected["evaluate"].items())
    history = model.fit(case.x, case.y, verbose=0, validation_data=case.validation, **case.fit).history
    if set(history) != set(expected["history"]):
        raise Difference(f"history: Keras has {sorted(expected['history'])}, Xfer {sorted(history)}")
    if verbose:
        for key in history:
            print(f"  {key}: Keras {np.round(expected['history'][key], 6)}, Xfer {np.round(history[key], 6)}")
    parts["history"] = max(
        movement.compare(f"history {k}", lambda found, k=k: found["history"][k], history[k], HISTORY) for k in expected["history"])
    parts["weights"] = 0.0
    for index, (weight, got) in enumerate(zip(expected["model"].weights, model.get_weights())):
        difference = movement.compare(
            f"weight {weight.path} {got.shape}", lambda found, index=index: found["weights"][index], got, WEIGHTS, floor=FLOOR)
        parts["weights"] = max(parts["weights"], difference)
    parts["after"] = movement.compare("predict after training", lambda found: found["after"], joined(model.predict(case.x, verbose=0)), HISTORY)
    return parts


def through_files_compiled(case, expected, model):
    """A compiled model that Xfer saves is one in Keras, which evaluates it to the same figures."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "xfer.keras")
        model.save(path)
        opened = keras.saving.load_model(path)
    if isinstance(case.loss, list) or case.by_hand:
        opened.run_eagerly = True
    figures = opened.evaluate(
        case.x, case.y, batch_size=case.fit["batch_size"], sample_weight=case.fit.get("sample_weight"), verbose=0, return_dict=True)
    if set(figures) != set(expected["evaluate"]):
        raise Difference(f"evaluate in Keras from Xfer's .keras: {sorted(figures)} in place of {sorted(expected['evaluate'])}")
    for key, value in expected["evaluate"].items():
        compare(f"evaluate {key} in Keras from Xfer's .keras", value, figures[key], EVALUATE)


def through_files(case, expected, model):
    """What Xfer saves predicts the same in Keras, and the reverse."""
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = os.path.join(folder, "xfer.keras"), os.path.join(folder, "keras.keras")
        model.save(ours)
        opened = keras.saving.load_model(ours, compile=False)
        compare("predict in Keras from Xfer's .keras", expected["predict"], outputs_of(opened, case), PREDICT)
        # Keras' side has been trained by now: a model with the first weights again.
        keras_model(case, case.weights).save(theirs)
        compare("predict in Xfer from Keras' .keras", expected["predict"], joined(xfer.saving.load_model(theirs).predict(case.x, verbose=0)), PREDICT)


class Movement:
    """How far Keras itself moves when the last bits of the first weights differ: the largest of some tries, asked for when something is missed."""

    def __init__(self, case, expected):
        self.case, self.expected, self.others = case, expected, []

    def of(self, what, floor, tries):
        for seed in range(len(self.others) + 1, tries + 1):
            rng = np.random.default_rng([self.case.number, seed])

            def nudged(a, rng=rng):
                return (a * (1 + 1e-6 * rng.uniform(-1, 1, a.shape))).astype(a.dtype) if a.dtype.kind == "f" else a

            x = self.case.x
            x = [nudged(a) for a in x] if isinstance(x, list) else nudged(x)
            self.others.append(run_keras(self.case, [nudged(w) for w in self.case.weights], x))
        return max(compare("", what(self.expected), what(other), np.inf, floor=floor) for other in self.others)

    def compare(self, part, what, got, tolerance, floor=1.0):
        """The difference; beyond the tolerance it may be four times what Keras moves, which is noted in `loose`."""
        expected = what(self.expected)
        try:
            return compare(part, expected, got, tolerance, floor)
        except Difference:
            own = self.of(what, floor, 2)
            if own * 4 <= tolerance:
                raise
        try:
            compare(part, expected, got, 4 * own, floor)
        except Difference:
            # Where a gradient is rounding, two tries may have been near each other by chance.
            own = self.of(what, floor, 8)
            compare(f"{part} (Keras by itself moves {own:.1e})", expected, got, 4 * own, floor)
        self.loose.append(part)
        return 0.0

    def check(self, backend, verbose):
        self.loose = []
        return check(self.case, self.expected, backend, verbose, self)


def run_case(number, backends, table, verbose):
    """(failures, ill) as lists of lines."""
    failures, ill, refused = [], [], 0
    for attempt in range(8):
        case = cases_module.make(number if attempt == 0 else number + 1000000 * attempt)
        try:
            expected = run_keras(case)
        except ValueError as error:
            # What Keras itself refuses is no case.
            if verbose:
                print(f"drawn again, Keras refuses: {error}")
            continue
        if sane(expected):
            break
    else:
        raise RuntimeError(f"case {number}: nothing that Keras trains within bounds in 8 draws")
    if verbose:
        print(f"case {number}: {case.describe}\n  freezes {case.freezes}, fit { {k: v for k, v in case.fit.items()} }")
        print(f"  optimizer {plain(case.optimizer.get_config())}\n  loss {[plain(loss.get_config()) for loss in listed(case.loss)]}")
        keras.models.model_from_json(case.config).summary(expand_nested=True, line_length=110, show_trainable=True)
    table.missing.update(case.draw.missing)
    table.refused.update(case.draw.refused)
    used = case.draw.used | {("model", case.nesting)}
    movement = Movement(case, expected)
    for backend in backends:
        worst, failed = 0.0, False
        try:
            parts = movement.check(backend, verbose)
            weights = [part for part in movement.loose if part.startswith("weight ")]
            if len(movement.loose) > len(weights):
                ill.append(f"case {number} ({backend}): {', '.join(movement.loose[:3])}")
            table.loose += len(weights)
            worst = max(parts["history"], parts["weights"], parts["predict"])
            if verbose:
                print(f"  {backend}: " + ", ".join(f"{k} {v:.1e}" for k, v in parts.items()))
            for part, difference in parts.items():
                table.add("compared", part, difference)
        except Difference as error:
            failures.append(f"case {number} ({backend}; {case.describe}): {error}")
            failed = True
        except XferError as error:
            if unsupported(error):
                table.refused["case", case.nesting, str(error)] += 1
                refused += 1
                continue
            failures.append(f"case {number} ({backend}; {case.describe}): refused: {error}")
            failed = True
        for kind, name in used:
            table.add(kind, name, worst, failed)
        table.add("backend", backend, worst, failed)
    return failures, ill, refused


def run_numbers(numbers, backends, verbose, say):
    table, failures, ill, refused = Table(), [], [], 0
    for number in numbers:
        more, sick, no = run_case(number, backends, table, verbose)
        failures += more
        ill += sick
        refused += no
        for line in more:
            say(f"FAILED {line}")
        for line in sick:
            say(f"ill-conditioned: {line}")
        keras.backend.clear_session(free_memory=False)
    return table, failures, ill, refused


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", type=int, default=300, help="how many (default 300)")
    parser.add_argument("--first", type=int, default=0, help="the first case's number")
    parser.add_argument("--case", type=int, help="only this one")
    parser.add_argument("--backend", default="all", help="simd, blas, naive; default: all that are there")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes side by side")
    parser.add_argument("-v", "--verbose", action="store_true")
    parser.add_argument("--part", help=argparse.SUPPRESS)  # k/n: every n-th case, results as JSON on stdout
    options = parser.parse_args()
    present = library_or_exit()
    backends = [b for b in BACKENDS if b in present] if options.backend == "all" else options.backend.split(",")
    if absent := [b for b in backends if b not in present]:
        sys.exit(f"no backend {absent[0]}; there are {', '.join(sorted(present))}")

    numbers = [options.case] if options.case is not None else list(range(options.first, options.first + options.cases))
    if options.part:
        index, parts = map(int, options.part.split("/"))
        table, failures, ill, refused = run_numbers(numbers[index::parts], backends, False, lambda line: print(line, file=sys.stderr, flush=True))
        print(json.dumps({"table": table.to_json(), "failures": failures, "ill": ill, "refused": refused}))
        return 0

    start = time.time()
    jobs = min(options.jobs, len(numbers))
    if jobs <= 1:
        table, failures, ill, refused = run_numbers(numbers, backends, options.verbose, lambda line: print(line, flush=True))
    else:
        common = [sys.executable, __file__, "--cases", str(len(numbers)), "--first", str(numbers[0]), "--backend", ",".join(backends)]
        running = [subprocess.Popen([*common, "--part", f"{i}/{jobs}"], stdout=subprocess.PIPE, text=True) for i in range(jobs)]
        table, failures, ill, refused = Table(), [], [], 0
        for process in running:
            out, _ = process.communicate()
            if process.returncode:
                sys.exit(f"parity: a worker ended with {process.returncode}")
            found = json.loads(out.splitlines()[-1])
            table.merge(found["table"])
            failures += found["failures"]
            ill += found["ill"]
            refused += found["refused"]
    table.print()
    runs = len(numbers) * len(backends)
    sick = len(ill)
    print(f"\nparity: {len(numbers)} models on {', '.join(backends)}: {runs - len(failures) - sick - refused} agree, {len(failures)} differ, "
          f"{sick} ill-conditioned, {refused} refused; "
          f"{table.loose} weights with gradients of rounding alone ({time.time() - start:.0f} s)")
    for reason, count in Counter(line.split("): ", 1)[1][:70] for line in failures).most_common(12):
        print(f"  {count} × {reason}")
    return 1 if failures or max(sick, refused) * 20 > runs else 0


if __name__ == "__main__":
    sys.exit(main())
