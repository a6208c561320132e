"""A case by number: network, data, freezing, loss, optimizer and how it is trained, all drawn from that number."""

from dataclasses import dataclass, field

from draw import Draw, Ill, K, randomize
from networks import Network
from support import keras, np, refusal, serialized, several_ends

L, M, O = keras.losses, keras.metrics, keras.optimizers

# What a loss wants: "probability" in (0, 1), "classes" that sum to 1, "logits", "positive", "real".
LOSSES = {
    "BinaryCrossentropy": 5, "SparseCategoricalCrossentropy": 5, "CategoricalCrossentropy": 3, "MeanSquaredError": 2, "MeanAbsoluteError": 1,
    "Huber": 1, "LogCosh": 1, "Hinge": 0.7, "SquaredHinge": 0.7, "CategoricalHinge": 0.7, "KLDivergence": 0.7, "Poisson": 0.7,
    "CosineSimilarity": 0.7, "MeanSquaredLogarithmicError": 0.5, "MeanAbsolutePercentageError": 0.5, "BinaryFocalCrossentropy": 1,
    "CategoricalFocalCrossentropy": 1, "Dice": 0.5, "Tversky": 0.5, "CategoricalGeneralizedCrossEntropy": 0.5,
}
METRICS = {
    "binary": ["BinaryAccuracy", "accuracy", "AUC", "Precision", "Recall", "BinaryCrossentropy", "MeanSquaredError", "FalsePositives",
               "TrueNegatives", "BinaryIoU", "F1Score", "MeanAbsoluteError", "FBetaScore", "TruePositives", "FalseNegatives", "SensitivityAtSpecificity",
               "SpecificityAtSensitivity", "PrecisionAtRecall", "RecallAtPrecision"],
    "multilabel": ["BinaryAccuracy", "MeanSquaredError", "AUC", "BinaryCrossentropy"],
    "sparse": ["SparseCategoricalAccuracy", "accuracy", "SparseCategoricalCrossentropy", "SparseTopKCategoricalAccuracy"],
    "onehot": ["CategoricalAccuracy", "accuracy", "CategoricalCrossentropy", "TopKCategoricalAccuracy", "F1Score", "KLDivergence", "AUC", "FBetaScore",
               "OneHotMeanIoU", "CategoricalHinge"],
    "real": ["MeanSquaredError", "MeanAbsoluteError", "RootMeanSquaredError", "CosineSimilarity", "LogCoshError", "R2Score", "PearsonCorrelation",
             "ConcordanceCorrelation"],
    "positive": ["MeanSquaredError", "MeanAbsoluteError", "MeanSquaredLogarithmicError", "Poisson", "MeanAbsolutePercentageError"],
    "signs": ["MeanSquaredError", "Hinge", "SquaredHinge"],
}


@dataclass
class Case:
    number: int
    draw: Draw
    config: str = ""  # the model's JSON
    weights: list = None
    freezes: list = field(default_factory=list)  # (path of layer names, flag), in order
    x: object = None
    y: object = None  # x, y, loss, metrics: lists where there are several inputs or outputs
    loss: object = None
    metrics: list = None
    weighted_metrics: list = None
    loss_weights: list = None
    optimizer: object = None
    fit: dict = None  # keywords of fit that both take
    validation: object = None
    by_hand: bool = False  # a gradient step with training=False instead of Keras' own
    through_files: bool = False
    nesting: str = ""
    describe: str = ""


def find(model, path):
    for name in path:
        model = model.get_layer(name)
    return model


def make(number):
    """The case, drawn again while what was drawn is no test."""
    for attempt in range(40):
        draw = Draw(number, attempt)
        try:
            return _make(number, draw)
        except Ill:
            continue
    raise RuntimeError(f"case {number}: nothing sound in 40 draws")


def _make(number, draw):
    keras.utils.set_random_seed(number)
    case = Case(number, draw)
    kind = draw.order({"image": 8, "row": 1.2, "sequence": 0.8, "tokens": 0.3})[0]
    nesting = draw.order({"flat": 2, "open": 3, "closed, by hand": 3, "closed, frozen": 2})[0]
    case.nesting = nesting
    case.by_hand = nesting == "closed, by hand"
    count = draw.pick(10, 12, 16, 20, 24, 32, 40)
    network = Network(draw, settled=case.by_hand)

    two_inputs, two_outputs, weighs = draw.maybe(0.12), draw.maybe(0.12), draw.maybe(0.15)
    if (two_inputs or two_outputs or weighs) and not several_ends():
        draw.missing["model", "several inputs, outputs or weighted metrics"] += 1
        two_inputs = two_outputs = weighs = False

    # The network.
    if kind == "image":
        height = draw.number(6, 16)
        shape = (height, height if draw.maybe(0.6) else draw.number(6, 16), draw.number(1, 4))
        grow = network.images
    elif kind == "row":
        shape, grow = (draw.number(3, 9),), network.rows
    elif kind == "sequence":
        shape, grow = (draw.number(4, 8), draw.number(2, 5)), network.sequences
    else:
        shape, grow, words = (draw.number(4, 8),), network.sequences, draw.number(5, 12)
    inputs = keras.Input(shape, name="pixels", dtype="int32" if kind == "tokens" else "float32")
    x = inputs
    if kind == "tokens":
        x = draw.layer(K.Embedding, {"input_dim": words, "output_dim": draw.number(2, 5)})(x)
    if nesting == "flat":
        x = grow(x, draw.number(2, 7))
    else:
        if draw.maybe(0.3):
            x = grow(x, 1)
        training = None if nesting == "open" else False
        x = network.inner_model(x, draw.number(2, 6), training, "base", settled=False)
        if draw.maybe(0.4):
            x = grow(x, 1)
        if draw.maybe(0.15) and nesting != "closed, frozen":
            x = network.inner_model(x, 1, training, "second", settled=False)
    if kind == "image":
        x = network.image_features(x)
    elif kind in ("sequence", "tokens"):
        x = network.sequence_features(x)
    elif draw.maybe(0.3):
        # Turned, for steps that are all alike leave an attention's queries without a gradient.
        x = draw.layer(K.Permute, {"dims": (2, 1)})(draw.layer(K.RepeatVector, {"n": draw.number(2, 4)})(x))
        x = network.sequence_features(network.sequences(x, 1))
    if draw.maybe(0.4):
        x = network.rows(x, draw.number(1, 2))

    if two_inputs:
        other = keras.Input((3,), name="facts")
        inputs = [inputs, other] if draw.maybe(0.7) else [other, inputs]
        x = draw.layer(K.Concatenate)([x, network.rows(other, 1)])
        draw.used.add(("model", "two inputs"))

    # The loss with the head that it wants, targets, metrics.
    outputs, losses, metrics, targets = [], [], [], []
    for _ in range(2 if two_outputs else 1):
        head, target, loss, figures = _task(draw, count)
        outputs.append(draw.layer(K.Dense, {"units": head["units"], **({"activation": head["activation"]} if head["activation"] else {})},
                                  **({"kernel_regularizer": network.regularizer()} if draw.maybe(0.1) else {}))(x))
        losses.append(loss)
        metrics.append(figures)
        targets.append(target)
    case.weighted_metrics = [[m for m in figures if weighs] for figures in metrics]
    if two_outputs:
        draw.used.add(("model", "two outputs"))
        case.loss, case.metrics, case.y = losses, [[] if weighs else figures for figures in metrics], targets
        case.loss_weights = [draw.between(0.3, 2.0), draw.between(0.3, 2.0)] if draw.maybe(0.6) else None
    else:
        case.loss, case.metrics, case.y = losses[0], [] if weighs else metrics[0], targets[0]
        case.weighted_metrics, outputs = case.weighted_metrics[0], outputs[0]
        if weighs:
            draw.used.add(("model", "weighted metrics"))
    if not weighs:
        case.weighted_metrics = None
    model = keras.Model(inputs, outputs, name="model")
    if len(model.weights) > 150 or model.count_params() > 30000:
        raise Ill("too large")
    randomize(model, draw.rng)
    case.weights = model.get_weights()
    normal = draw.maybe(0.5)

    def values(shape):
        return (draw.rng.normal(0, 1, (count, *shape)) if normal else draw.rng.uniform(-1, 1, (count, *shape))).astype(np.float32)

    def tokens(shape):
        return draw.rng.integers(0, words, (count, *shape)).astype(np.int32)

    case.x = [(tokens if i.dtype == "int32" else values)(i.shape[1:]) for i in (inputs if two_inputs else [inputs])]
    if not two_inputs:
        case.x = case.x[0]

    # Freezing: some of it before the config is written, some on the finished models.
    flags = _freezes(draw, model, network, nesting)
    early = draw.number(0, len(flags)) if flags and draw.maybe(0.4) else 0
    # The weights of an attention read frozen from a config are built later and count as trained in Keras 3.15.1.
    if any(type(layer).__name__ == "MultiHeadAttention" for layer in model._flatten_layers()):
        early = 0
    for path, flag in flags[:early]:
        find(model, path).trainable = flag
    case.config = model.to_json()
    case.freezes = flags[early:]

    # Training.
    case.optimizer = _optimizer(draw)
    batch = draw.pick(3, 4, 5, 8, 10, 16, 32)
    if 0 < count % batch < 3:
        batch = 4 if count % 4 == 0 else 5
    case.fit = {"batch_size": batch, "epochs": 3, "shuffle": False}
    if draw.maybe(0.25):
        weights = [draw.rng.uniform(0.2, 2.0, count).astype(np.float32).round(3) for _ in targets]
        case.fit["sample_weight"] = weights if two_outputs else weights[0]
    elif head["classes"] and not two_outputs and draw.maybe(0.3):
        case.fit["class_weight"] = {c: draw.between(0.3, 3.0) for c in range(head["classes"]) if draw.maybe(0.8)} or {0: 2.0}
    if draw.maybe(0.2):
        held = max(4, count // 4)
        other = [v[-held:] if v.dtype.kind == "i" else v[:held] * 0.5 + 0.1 for v in (case.x if two_inputs else [case.x])]
        case.validation = other if two_inputs else other[0], [t[:held] for t in targets] if two_outputs else targets[0][:held]
    elif draw.maybe(0.1):
        case.fit["validation_split"] = 0.25
    case.through_files = draw.maybe(0.2)
    case.describe = f"{kind} {shape}, {count} samples, {nesting}, {' and '.join(type(loss).__name__ for loss in losses)}, {type(case.optimizer).__name__}, batch {batch}"
    return case


def _freezes(draw, model, network, nesting):
    names = [layer.name for layer in network.nested]
    top = [layer.name for layer in model.layers]
    flags = []
    if nesting == "closed, frozen":
        flags.append((("base",), False))
    elif "base" in names and draw.maybe(0.6):
        base = model.get_layer("base")
        inner = [layer.name for layer in base.layers[1:]]
        how = draw.order({"all": 2, "first": 2, "norms": 1, "thawed": 1})[0]
        # A layer set to True again under a frozen base is left out: there Keras 3.15.1's outer model trains it although the base hides it.
        if how == "all":
            flags.append((("base",), False))
        if how == "first":
            flags += [(("base", name), False) for name in inner[:draw.number(1, len(inner))]]
        if how == "norms":
            flags += [(("base", layer.name), False) for layer in base.layers if type(layer).__name__ == "BatchNormalization"]
        if how == "thawed":
            flags += [(("base",), False), (("base",), True)]
            flags += [(("base", name), False) for name in inner[:draw.number(0, len(inner) - 1)]]
    if draw.maybe(0.25):
        flags.append(((draw.pick(*top[1:-1]),), False) if len(top) > 2 else ((top[-1],), False))
        if flags[-1][0] == ("base",) and nesting == "closed, by hand" and draw.maybe(0.5):
            flags.pop()
    return flags


def _task(draw, count):
    """({"units", "activation", "classes"}, targets, loss, metrics)."""
    rng = draw.rng
    name = draw.first("loss", LOSSES)
    cls = getattr(L, name)
    options, activation, classes = {}, None, 0
    if name in ("BinaryCrossentropy", "BinaryFocalCrossentropy"):
        logits = draw.maybe(0.6)
        units = draw.pick(1, 1, 1, 3)
        activation = None if logits else "sigmoid"
        if logits:
            options["from_logits"] = True
        if draw.maybe(0.25):
            options["label_smoothing"] = draw.pick(0.1, 0.25)
        if name == "BinaryFocalCrossentropy" and draw.maybe(0.5):
            options["gamma"] = draw.pick(1.0, 3.0)
            options["apply_class_balancing"] = draw.maybe(0.5)
        if units == 1:
            targets = rng.integers(0, 2, count if draw.maybe(0.5) else (count, 1)).astype(np.float32)
            if draw.maybe(0.4):
                targets = targets.astype(np.int32)
            classes, family = 2, "binary"
        else:
            targets, family = rng.integers(0, 2, (count, units)).astype(np.float32), "multilabel"
    elif name == "SparseCategoricalCrossentropy":
        units = classes = draw.number(2, 5)
        logits = draw.maybe(0.6)
        activation = None if logits else "softmax"
        if logits:
            options["from_logits"] = True
        targets = rng.integers(0, units, count if draw.maybe(0.6) else (count, 1)).astype(np.int32)
        family = "sparse"
        if draw.maybe(0.1):
            options["ignore_class"] = 0
    elif name in ("CategoricalCrossentropy", "CategoricalFocalCrossentropy", "KLDivergence", "CategoricalHinge", "Dice", "Tversky",
                  "CategoricalGeneralizedCrossEntropy"):
        units = classes = draw.number(2, 5)
        logits = name in ("CategoricalCrossentropy", "CategoricalFocalCrossentropy") and draw.maybe(0.5)
        activation = None if logits else "softmax"
        if logits:
            options["from_logits"] = True
        if name in ("CategoricalCrossentropy", "CategoricalFocalCrossentropy") and draw.maybe(0.25):
            options["label_smoothing"] = 0.1
        targets = np.eye(units, dtype=np.float32)[rng.integers(0, units, count)]
        family = "onehot"
        if name == "CategoricalGeneralizedCrossEntropy":
            targets, family = targets.argmax(1).astype(np.int32), "sparse"
    elif name in ("Hinge", "SquaredHinge"):
        units, activation, family = draw.number(1, 3), draw.pick(None, "tanh"), "signs"
        targets = rng.choice([-1.0, 1.0], (count, units)).astype(np.float32)
    elif name in ("Poisson", "MeanSquaredLogarithmicError"):
        units, activation, family = draw.number(1, 3), "softplus", "positive"
        targets = rng.uniform(0.2, 2.0, (count, units)).astype(np.float32)
    else:
        units, family = draw.number(1, 4), "real"
        targets = rng.normal(0, 1, (count, units)).astype(np.float32)
        if name == "CosineSimilarity":
            units, targets = 3, rng.normal(0, 1, (count, 3)).astype(np.float32)
        if name == "MeanAbsolutePercentageError":
            targets = np.sign(targets) * (np.abs(targets) + 0.5)
        if name == "Huber" and draw.maybe(0.5):
            options["delta"] = 0.4
    if draw.maybe(0.1):
        options["reduction"] = draw.pick("sum", "mean_with_sample_weight")
    loss = draw.build("loss", cls, {k: v for k, v in options.items() if k == "from_logits"},
                      {k: v for k, v in options.items() if k != "from_logits"})
    metrics = _metrics(draw, family, options.get("from_logits", False), units)
    return {"units": units, "activation": activation, "classes": classes}, targets, loss, metrics


def _metrics(draw, family, logits, units):
    metrics = []
    for name in METRICS[family]:
        if not draw.maybe(0.4):
            continue
        if name == "accuracy":
            metrics.append("accuracy")
        elif draw.has("metric", name):
            options = {}
            if name == "BinaryAccuracy" and draw.maybe(0.4):
                options["threshold"] = 0.0 if logits else 0.3
            if logits and name in ("BinaryCrossentropy", "CategoricalCrossentropy", "SparseCategoricalCrossentropy", "AUC"):
                options["from_logits"] = True
            if name == "SparseTopKCategoricalAccuracy" or name == "TopKCategoricalAccuracy":
                options["k"] = 2
            if name in ("SensitivityAtSpecificity", "SpecificityAtSensitivity", "PrecisionAtRecall", "RecallAtPrecision"):
                options[{"Sens": "specificity", "Spec": "sensitivity", "Prec": "recall", "Reca": "precision"}[name[:4]]] = 0.6
            if name == "OneHotMeanIoU":
                options["num_classes"] = units
            if name == "FBetaScore":
                options["beta"] = 0.5
            if name in ("F1Score", "FBetaScore"):
                # One number, as logs in Xfer have them.
                options["average"] = "macro"
                if family == "binary":
                    options["threshold"] = 0.5
            metrics.append(draw.build("metric", getattr(M, name), options, {}))
    return metrics


def _optimizer(draw):
    name = draw.first("optimizer", {
        "SGD": 5, "Adam": 5, "AdamW": 1.5, "RMSprop": 2, "Adagrad": 1, "Adadelta": 1, "Adamax": 1, "Nadam": 1, "Ftrl": 1, "Lion": 1,
        "Lamb": 0.7, "Adafactor": 0.7, "Muon": 0.5})
    rate = {"SGD": (0.01, 0.05), "Adagrad": (0.005, 0.02), "Adadelta": (0.1, 0.5), "Ftrl": (0.005, 0.02), "Lion": (1e-4, 5e-4)}
    needed = {"learning_rate": float(np.round(draw.rng.uniform(*rate.get(name, (5e-4, 3e-3))), 5))}
    options = {}
    if draw.maybe(0.15):
        options[draw.pick("clipnorm", "clipvalue", "global_clipnorm")] = draw.pick(0.05, 0.3)
    if draw.maybe(0.15) and name not in ("AdamW", "Lion"):
        options["weight_decay"] = draw.pick(0.01, 0.1)
    if draw.maybe(0.08):
        options["use_ema"] = True
        options["ema_momentum"] = 0.9
        if draw.maybe(0.5):
            options["ema_overwrite_frequency"] = 2
    if draw.maybe(0.07):
        options["gradient_accumulation_steps"] = draw.pick(2, 3)
    if draw.maybe(0.12):
        needed["learning_rate"] = _schedule(draw, needed["learning_rate"])
    if name == "SGD" and draw.maybe(0.5):
        options["momentum"] = draw.pick(0.9, 0.5)
        if draw.maybe(0.4):
            options["nesterov"] = True
    if name == "Adam" and draw.maybe(0.2):
        options["amsgrad"] = True
    if name in ("Adam", "AdamW", "Nadam") and draw.maybe(0.3):
        options["beta_1"] = 0.8
        options["beta_2"] = 0.99
    if name == "RMSprop" and draw.maybe(0.4):
        options["momentum"] = 0.5
        options["centered"] = draw.maybe(0.5)
    return draw.build("optimizer", getattr(O, name), needed, options)


def _schedule(draw, rate):
    s = O.schedules
    schedule = draw.pick(
        s.ExponentialDecay(rate, 3, 0.8), s.ExponentialDecay(rate, 4, 0.7, staircase=True), s.CosineDecay(rate, 8, 0.1),
        s.PiecewiseConstantDecay([2, 5], [rate, rate * 0.5, rate * 0.1]), s.PolynomialDecay(rate, 6, rate * 0.2, 2.0),
        s.InverseTimeDecay(rate, 3, 0.5), s.CosineDecayRestarts(rate, 4))
    words = refusal("optimizer", *serialized(O.SGD(schedule)))
    if words is None:
        draw.used.add(("schedule", type(schedule).__name__))
        return schedule
    draw.missing["schedule", type(schedule).__name__] += 1
    return rate
