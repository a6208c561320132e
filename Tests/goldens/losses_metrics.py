"""Makes losses.json and metrics.json, beside this file, with Keras (3.15.1, TensorFlow backend).

python losses_metrics.py
"""

import json
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

random = np.random.default_rng(7)


def rounded(array):
    """Numbers of few digits, so that JSON carries them exactly enough and none lies on a kink."""
    return np.round(np.asarray(array, np.float32), 3)


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def probabilities(*shape):
    return rounded(random.uniform(0.05, 0.95, shape))


def normal(*shape):
    return rounded(random.normal(size=shape))


def one_hot(rows, classes):
    return np.eye(classes, dtype=np.float32)[random.integers(0, classes, rows)]


def binary(*shape):
    return random.integers(0, 2, shape).astype(np.float32)


def packed(array):
    array = np.asarray(array)
    return {"shape": list(array.shape), "values": [float(f"{v:.7g}") for v in array.ravel()], "int": array.dtype.kind in "iu"}


def serial(config):
    return {k: v for k, v in config.items() if k != "fn"}


n, c = 6, 4
logits, probs, dist = normal(n, c), probabilities(n, c), rounded(softmax(normal(n, c)))
labels = random.integers(0, c, n).astype(np.int32)
LOSSES = [
    ("MeanSquaredError", {}, normal(n, c), normal(n, c)),
    ("MeanSquaredError", {}, normal(n), normal(n, 1)),
    ("MeanSquaredError", {}, normal(n, 1), normal(n)),
    ("MeanAbsoluteError", {}, normal(n, c), normal(n, c)),
    ("MeanAbsolutePercentageError", {}, normal(n, c), normal(n, c)),
    ("MeanSquaredLogarithmicError", {}, probabilities(n, c), normal(n, c)),
    ("CosineSimilarity", {}, normal(n, c), normal(n, c)),
    ("CosineSimilarity", {"axis": 1}, normal(n, 3, c), normal(n, 3, c)),
    ("Huber", {}, normal(n, c), normal(n, c)),
    ("Huber", {"delta": 0.3}, normal(n, c), normal(n, c)),
    ("LogCosh", {}, normal(n, c), normal(n, c)),
    ("Poisson", {}, probabilities(n, c), probabilities(n, c)),
    ("KLDivergence", {}, rounded(softmax(normal(n, c))), dist),
    ("Hinge", {}, binary(n, c), normal(n, c)),
    ("Hinge", {}, 2 * binary(n, c) - 1, normal(n, c)),
    ("SquaredHinge", {}, binary(n, 1), normal(n, 1)),
    ("CategoricalHinge", {}, one_hot(n, c), normal(n, c)),
    ("BinaryCrossentropy", {}, binary(n, c), probs),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.2}, binary(n), normal(n, 1)),
    ("BinaryCrossentropy", {"axis": 1}, binary(n, 3, c), probabilities(n, 3, c)),
    ("BinaryFocalCrossentropy", {}, binary(n, c), probs),
    ("BinaryFocalCrossentropy", {"apply_class_balancing": True, "alpha": 0.7, "gamma": 3.0, "from_logits": True, "label_smoothing": 0.1},
     binary(n, c), logits),
    # So far from 0 that a clipped probability would show.
    ("BinaryFocalCrossentropy", {"from_logits": True, "gamma": 1.0}, (logits < 0.3).astype(np.float32), rounded(20 * logits)),
    ("CategoricalCrossentropy", {}, one_hot(n, c), probs),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, one_hot(n, c), logits),
    ("CategoricalCrossentropy", {"axis": 1}, np.transpose(one_hot(2 * 3, c).reshape(2, 3, c), (0, 2, 1)), probabilities(2, c, 3)),
    ("CategoricalFocalCrossentropy", {}, one_hot(n, c), probs),
    ("CategoricalFocalCrossentropy", {"alpha": 0.4, "gamma": 1.5, "from_logits": True, "label_smoothing": 0.1}, one_hot(n, c), logits),
    ("SparseCategoricalCrossentropy", {}, labels, dist),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, labels[:, None], logits),
    ("SparseCategoricalCrossentropy", {"from_logits": True, "ignore_class": int(labels[0])}, labels, logits),
    ("SparseCategoricalCrossentropy", {"ignore_class": -1, "from_logits": True}, np.where(np.arange(n) < 2, -1, labels).astype(np.int32), logits),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, random.integers(0, c, (2, 3)).astype(np.int32), normal(2, 3, c)),
    ("Dice", {}, binary(n, c), probs),
    ("Dice", {"axis": [1]}, binary(n, c), probs),
    ("Tversky", {"alpha": 0.3, "beta": 0.7, "axis": [1]}, binary(n, c), probs),
    ("CategoricalGeneralizedCrossEntropy", {"q": 0.7}, labels, dist),
]
REDUCTIONS = ["sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none"]


def loss_cases():
    for name, config, truth, prediction in LOSSES:
        cls = getattr(keras.losses, name, None)
        samples = cls(reduction="none", **config)(truth, prediction).numpy()
        weightings = [None]
        if samples.ndim:
            weightings += [rounded(random.uniform(0.2, 2, samples.shape)), rounded(random.uniform(0.2, 2, samples.shape[:1] + (1,)))]
        results = []
        for weights in weightings:
            for reduction in REDUCTIONS:
                loss = cls(reduction=reduction, **config)
                y = tf.constant(prediction)
                with tf.GradientTape() as tape:
                    tape.watch(y)
                    value = loss(truth, y, weights)
                entry = {"reduction": reduction, "weights": None if weights is None else packed(weights), "value": packed(value.numpy())}
                if value.shape == ():
                    entry["gradient"] = packed(tf.convert_to_tensor(tape.gradient(value, y)).numpy())
                results.append(entry)
        yield {"class": name, "config": config, "keras_config": serial(cls(**config).get_config()), "truth": packed(truth),
               "prediction": packed(prediction), "results": results}


def batches(truth, prediction):
    return [(truth(), prediction()) for _ in range(3)]


def metric_cases():
    cases = [
        ("Accuracy", {}, lambda: random.integers(0, 3, (5, 1)), lambda: random.integers(0, 3, (5, 1)).astype(np.float32)),
        ("BinaryAccuracy", {}, lambda: binary(5), lambda: probabilities(5, 1)),
        ("BinaryAccuracy", {"threshold": 0.3}, lambda: binary(5, 3), lambda: probabilities(5, 3)),
        ("CategoricalAccuracy", {}, lambda: one_hot(5, 4), lambda: probabilities(5, 4)),
        ("SparseCategoricalAccuracy", {}, lambda: random.integers(0, 4, 5), lambda: probabilities(5, 4)),
        ("SparseCategoricalAccuracy", {}, lambda: random.integers(0, 4, (5, 1)), lambda: probabilities(5, 4)),
        ("TopKCategoricalAccuracy", {"k": 2}, lambda: one_hot(5, 4), lambda: probabilities(5, 4)),
        ("SparseTopKCategoricalAccuracy", {"k": 2}, lambda: random.integers(0, 4, 5), lambda: np.round(probabilities(5, 4), 1)),
        ("SparseTopKCategoricalAccuracy", {"k": 2, "from_sorted_ids": True}, lambda: random.integers(0, 4, 5),
         lambda: np.argsort(probabilities(5, 4)).astype(np.float32)),
        ("TruePositives", {}, lambda: binary(5), lambda: probabilities(5, 1)),
        ("FalsePositives", {"thresholds": [0.2, 0.7]}, lambda: binary(5), lambda: probabilities(5, 1)),
        ("TrueNegatives", {"thresholds": [0.0, 0.5, 1.0]}, lambda: binary(5, 2), lambda: probabilities(5, 2)),
        ("FalseNegatives", {}, lambda: binary(5, 2), lambda: probabilities(5, 2)),
        ("Precision", {}, lambda: binary(5), lambda: probabilities(5, 1)),
        ("Precision", {"thresholds": [0.2, 0.4, 0.8]}, lambda: binary(5, 3), lambda: probabilities(5, 3)),
        ("Precision", {"top_k": 2}, lambda: one_hot(5, 4), lambda: probabilities(5, 4)),
        ("Precision", {"top_k": 2, "class_id": 1}, lambda: one_hot(5, 4), lambda: probabilities(5, 4)),
        ("Recall", {}, lambda: binary(5), lambda: probabilities(5, 1)),
        ("Recall", {"class_id": 2, "thresholds": 0.4}, lambda: one_hot(5, 4), lambda: probabilities(5, 4)),
        ("SensitivityAtSpecificity", {"specificity": 0.5, "num_thresholds": 20}, lambda: binary(9), lambda: probabilities(9)),
        ("SpecificityAtSensitivity", {"sensitivity": 0.6}, lambda: binary(9), lambda: probabilities(9)),
        ("PrecisionAtRecall", {"recall": 0.6}, lambda: binary(9), lambda: probabilities(9)),
        ("RecallAtPrecision", {"precision": 0.5}, lambda: binary(9), lambda: probabilities(9)),
        ("AUC", {}, lambda: binary(9), lambda: probabilities(9, 1)),
        ("AUC", {"curve": "PR", "num_thresholds": 11}, lambda: binary(9), lambda: probabilities(9, 1)),
        ("AUC", {"curve": "PR", "summation_method": "majoring"}, lambda: binary(9), lambda: probabilities(9, 1)),
        ("AUC", {"curve": "PRGAIN", "summation_method": "minoring"}, lambda: binary(9), lambda: probabilities(9, 1)),
        ("AUC", {"thresholds": [0.8, 0.1, 0.35]}, lambda: binary(9), lambda: probabilities(9, 1)),
        ("AUC", {"multi_label": True, "label_weights": [0.5, 1.0, 2.0]}, lambda: binary(9, 3), lambda: probabilities(9, 3)),
        ("AUC", {"multi_label": True, "num_labels": 3, "curve": "PR"}, lambda: binary(9, 3), lambda: probabilities(9, 3)),
        ("AUC", {"from_logits": True, "label_weights": [0.5, 1.0, 2.0]}, lambda: binary(9, 3), lambda: normal(9, 3)),
        ("F1Score", {}, lambda: one_hot(7, 4), lambda: probabilities(7, 4)),
        ("F1Score", {"average": "macro", "threshold": 0.4}, lambda: binary(7, 4), lambda: probabilities(7, 4)),
        ("F1Score", {"average": "micro"}, lambda: one_hot(7, 4), lambda: probabilities(7, 4)),
        ("FBetaScore", {"average": "weighted", "beta": 2.0}, lambda: one_hot(7, 4), lambda: probabilities(7, 4)),
        ("MeanSquaredError", {}, lambda: normal(5, 3), lambda: normal(5, 3)),
        ("MeanAbsoluteError", {}, lambda: normal(5), lambda: normal(5, 1)),
        ("MeanAbsolutePercentageError", {}, lambda: normal(5, 3), lambda: normal(5, 3)),
        ("MeanSquaredLogarithmicError", {}, lambda: probabilities(5, 3), lambda: probabilities(5, 3)),
        ("RootMeanSquaredError", {}, lambda: normal(5, 3), lambda: normal(5, 3)),
        ("CosineSimilarity", {}, lambda: normal(5, 3), lambda: normal(5, 3)),
        ("LogCoshError", {}, lambda: normal(5, 3), lambda: normal(5, 3)),
        ("R2Score", {}, lambda: normal(5, 3), lambda: normal(5, 3)),
        ("R2Score", {"class_aggregation": None}, lambda: normal(5, 3), lambda: normal(5, 3)),
        ("R2Score", {"class_aggregation": "variance_weighted_average", "num_regressors": 2}, lambda: normal(5, 3), lambda: normal(5, 3)),
        ("PearsonCorrelation", {}, lambda: normal(5, 3), lambda: normal(5, 3)),
        ("ConcordanceCorrelation", {"axis": 0}, lambda: normal(5, 3), lambda: normal(5, 3)),
        ("Hinge", {}, lambda: binary(5, 3), lambda: normal(5, 3)),
        ("SquaredHinge", {}, lambda: 2 * binary(5, 3) - 1, lambda: normal(5, 3)),
        ("CategoricalHinge", {}, lambda: one_hot(5, 4), lambda: normal(5, 4)),
        ("KLDivergence", {}, lambda: rounded(softmax(normal(5, 4))), lambda: rounded(softmax(normal(5, 4)))),
        ("Poisson", {}, lambda: probabilities(5, 3), lambda: probabilities(5, 3)),
        ("BinaryCrossentropy", {"from_logits": True}, lambda: binary(5, 1), lambda: normal(5, 1)),
        ("CategoricalCrossentropy", {"label_smoothing": 0.1}, lambda: one_hot(5, 4), lambda: probabilities(5, 4)),
        ("SparseCategoricalCrossentropy", {"from_logits": True}, lambda: random.integers(0, 4, 5), lambda: normal(5, 4)),
        ("SparseCategoricalCrossentropy", {"from_logits": True, "ignore_class": 0}, lambda: random.integers(0, 4, 5), lambda: normal(5, 4)),
        ("IoU", {"num_classes": 3, "target_class_ids": [0, 2]}, lambda: random.integers(0, 3, 9), lambda: random.integers(0, 3, 9)),
        ("MeanIoU", {"num_classes": 3, "ignore_class": 1}, lambda: random.integers(0, 3, (3, 4)), lambda: random.integers(0, 3, (3, 4))),
        ("BinaryIoU", {"threshold": 0.4}, lambda: binary(9), lambda: probabilities(9)),
        ("OneHotIoU", {"num_classes": 4, "target_class_ids": [1]}, lambda: one_hot(9, 4), lambda: probabilities(9, 4)),
        ("OneHotMeanIoU", {"num_classes": 4}, lambda: one_hot(9, 4), lambda: probabilities(9, 4)),
    ]
    for name, config, truth, prediction in cases:
        data = batches(truth, prediction)
        rank1 = lambda y: rounded(random.uniform(0.2, 2, (len(y),)))
        for weighted in (False, True):
            iou = name.endswith("IoU")
            if weighted and name in ("ConcordanceCorrelation",):
                continue
            metric = getattr(keras.metrics, name)(name="m", **config)
            updates = []
            for y, p in data:
                w = None
                if weighted:
                    w = random.integers(0, 3, y.shape) if iou else rank1(y)
                    if iou and w.ndim > 1 and name.startswith("OneHot"):
                        w = random.integers(0, 3, len(y))
                metric.update_state(y, p, w)
                updates.append({"truth": packed(y), "prediction": packed(p), "weights": None if w is None else packed(w),
                                "result": packed(metric.result())})
            yield {"class": name, "config": config, "keras_config": serial(metric.get_config()), "updates": updates}
    for name in ("Mean", "Sum"):
        metric = getattr(keras.metrics, name)()
        updates = []
        for shape, weights in (((4,), None), ((4, 3), (4,)), ((4, 3), (4, 1)), ((4, 3), (4, 3)), ((), None), ((4, 2, 3), (4, 2))):
            values = normal(*shape)
            w = None if weights is None else rounded(random.uniform(0.2, 2, weights))
            metric.update_state(values, w)
            updates.append({"truth": None, "prediction": packed(values), "weights": None if w is None else packed(w),
                            "result": packed(metric.result())})
        yield {"class": name, "config": {}, "keras_config": serial(metric.get_config()), "updates": updates}


def write(name, cases):
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), name), "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(case, default=str) for case in cases) + "\n]\n")


if __name__ == "__main__":
    write("losses.json", list(loss_cases()))
    write("metrics.json", list(metric_cases()))
