"""Chance, bound to what Xfer has: every choice is drawn, and repeated by the number of its case."""

from collections import Counter

from support import exists, keras, np, refusal, serialized


class Ill(Exception):
    """What was drawn is no test (it overflows, or a shape came out empty); the case draws anew."""


class Draw:
    """A case's source of chance. Classes that Xfer does not know are passed over and counted."""

    def __init__(self, *seed):
        self.rng = np.random.default_rng([20260, *seed])
        self.used = set()  # (kind, class)
        self.missing = Counter()
        self.refused = Counter()

    # ---- Plain chance

    def maybe(self, probability):
        return bool(self.rng.random() < probability)

    def pick(self, *values):
        return values[int(self.rng.integers(len(values)))]

    def number(self, low, high):
        """A whole number, both ends included."""
        return int(self.rng.integers(low, high + 1))

    def between(self, low, high):
        """A number of few digits, so that every door writes it the same."""
        return round(float(self.rng.uniform(low, high)), 3)

    def order(self, weighted):
        """Keys of {key: weight} in random order, heavier ones earlier."""
        keys = sorted(weighted, key=lambda key: getattr(key, "__name__", key))
        rank = self.rng.exponential(size=len(keys)) / np.array([weighted[k] for k in keys])
        return [keys[i] for i in np.argsort(rank)]

    # ---- Objects with a config

    def first(self, kind, weighted):
        """The first class, in a random order, that Xfer has; those before it count as missing."""
        for name in self.order(weighted):
            if exists(kind, name):
                return name
            self.missing[kind, name] += 1
        raise Ill(f"none of {sorted(weighted)} is there")

    def has(self, kind, *names):
        """Whether all are there; absent ones count as missing."""
        absent = [name for name in names if not exists(kind, name)]
        for name in absent:
            self.missing[kind, name] += 1
        return not absent

    def build(self, kind, cls, needed, optional):
        """cls(**needed, **optional) without the optional arguments that Xfer refuses."""
        name = cls.__name__
        kept = dict(needed)
        for key, value in optional.items():
            words = refusal(kind, *serialized(cls(**kept, **{key: value})))
            if words is None:
                kept[key] = value
            else:
                self.refused[kind, name, words] += 1
        made = cls(**kept)
        self.used.add((kind, name))
        return made

    def layer(self, cls, /, *arguments, **optional):
        """A Keras layer. Positional dict: arguments it needs."""
        needed = arguments[0] if arguments else {}
        # Auto-numbered names differ from run to run; names are drawn so that a case is the same in any process.
        self.count = getattr(self, "count", 0) + 1
        needed = {**needed, "name": f"{cls.__name__.lower()}_{self.count}"}
        return self.build("layer", cls, needed, optional)


def weights_like(rng, path, value):
    """Random values for a weight, sane for its role: no zeros anywhere, since zeros hide mistakes."""
    name, shape = path.rpartition("/")[2], value.shape
    if value.dtype.kind != "f":
        return value
    if name in ("gamma", "scale"):
        return rng.uniform(0.7, 1.3, shape)
    if "variance" in name:
        return rng.uniform(0.5, 1.5, shape)
    if name == "alpha":
        return rng.uniform(0.1, 0.4, shape)
    if len(shape) < 2:
        return rng.uniform(-0.3, 0.3, shape)
    if "embedding" in name:
        return rng.uniform(-1, 1, shape)
    fan_in = np.prod(shape[:2]) if "depthwise" in path else np.prod(shape[:-1])
    return rng.normal(0, np.sqrt(1.3 / fan_in), shape)


def randomize(model, rng):
    """New values for all weights of a Keras model."""
    model.set_weights([weights_like(rng, w.path, w.numpy()).astype(w.dtype) for w in model.weights])


K = keras.layers
