"""Metrics: numbers of Keras, vectors, state, metrics of one's own."""

import json
from pathlib import Path

import numpy as np
import pytest

import xfer

CASES = json.loads((Path(__file__).parents[2] / "Tests" / "goldens" / "metrics.json").read_text())


def unpack(packed):
    return np.array(packed["values"], np.int32 if packed["int"] else np.float32).reshape(packed["shape"])


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['class']}-{c['config']}")
def test_results_are_keras(case):
    metric = getattr(xfer.metrics, case["class"])(name="m", **case["config"])
    assert metric.name == "m"
    for update in case["updates"]:
        arguments = [unpack(update["prediction"])]
        if update["truth"] is not None:
            arguments.insert(0, unpack(update["truth"]))
        metric.update_state(*arguments, sample_weight=None if update["weights"] is None else unpack(update["weights"]))
        wanted = unpack(update["result"])
        found = np.asarray(metric.result())
        assert found.shape == wanted.shape
        np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-5)
    kept, figure = metric.state, np.asarray(metric.result()).copy()
    metric.reset_state()
    metric.state = kept
    np.testing.assert_array_equal(np.asarray(metric.result()), figure)
    again = type(metric).from_config(metric.get_config())
    assert again.get_config() == metric.get_config()


def test_signatures_are_keras():
    assert xfer.metrics.Precision(0.3).get_config()["thresholds"] == 0.3
    assert xfer.metrics.TopKCategoricalAccuracy(3, "top3").name == "top3"
    with pytest.raises(TypeError, match="treshold"):
        xfer.metrics.BinaryAccuracy(treshold=0.2)
    with pytest.raises(TypeError, match="recall"):
        xfer.metrics.PrecisionAtRecall()
    with pytest.raises(ValueError, match="Precision"):
        xfer.metrics.get("precison")
    assert isinstance(xfer.metrics.get("mse"), xfer.metrics.MeanSquaredError) and xfer.metrics.get("mse").name == "mean_squared_error"
    assert isinstance(xfer.metrics.get("AUC"), xfer.metrics.AUC)
    metric = xfer.metrics.AUC(curve="PR")
    assert xfer.metrics.deserialize(xfer.metrics.serialize(metric)).get_config() == metric.get_config()


def test_confusion_matrix():
    metric = xfer.metrics.ConfusionMatrix(2)
    metric.update_state([0, 1, 1], [[0.2], [0.9], [0.1]])
    np.testing.assert_array_equal(np.asarray(metric.result()), [[1, 0], [1, 1]])


class LargestError(xfer.metrics.Metric):
    def __init__(self, name="largest_error", **kwargs):
        super().__init__(name=name, **kwargs)
        self.value = self.add_variable(shape=(), initializer="zeros", name="value")
        self.batches = self.add_weight(name="batches")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.value.assign(np.maximum(self.value, np.abs(y_true.reshape(y_pred.shape) - y_pred).max()))
        self.batches.assign_add(1)

    def result(self):
        return self.value


class DoubledMean(xfer.metrics.MeanSquaredError):
    def result(self):
        return 2 * np.asarray(super().result())


def model_and_data():
    inputs = xfer.Input((3,))
    model = xfer.Model(inputs, xfer.layers.Dense(1, kernel_initializer="zeros")(inputs))
    x = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    return model, x, np.arange(20, dtype=np.float32)


def test_metrics_in_python_are_compiled():
    model, x, y = model_and_data()
    largest = LargestError()

    def error(y_true, y_pred):
        return np.abs(y_true.reshape(y_pred.shape) - y_pred)

    model.compile("sgd", "mse", metrics=[largest, error, DoubledMean(name="doubled"), "mse"])
    figures = model.evaluate(x, y, batch_size=8, verbose=0, return_dict=True)
    assert figures["largest_error"] == 19 and float(largest.batches) == 3
    np.testing.assert_allclose(figures["error"], 9.5, rtol=1e-6)
    np.testing.assert_allclose(figures["doubled"], 2 * figures["mse"], rtol=1e-6)
    history = model.fit(x, y, epochs=2, verbose=0).history
    assert len(history["largest_error"]) == 2


def test_errors_in_a_metric_reach_the_caller():
    class Broken(LargestError):
        def update_state(self, y_true, y_pred, sample_weight=None):
            raise ZeroDivisionError("mine")

    model, x, y = model_and_data()
    model.compile("sgd", "mse", metrics=[Broken()])
    with pytest.raises(ZeroDivisionError, match="mine"):
        model.fit(x, y, verbose=0)
    with pytest.raises(NotImplementedError):
        xfer.metrics.Metric(name="empty").result()


class Extremes(xfer.metrics.Metric):
    """Both ends of the predictions."""

    def __init__(self, name="extremes"):
        super().__init__(name=name)
        self.ends = self.add_variable((2,), name="ends")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.ends.assign([y_pred.min(), y_pred.max()])

    def result(self):
        return self.ends.value


def test_metrics_with_several_figures_are_logged_as_arrays():
    metrics, seen = xfer.metrics, []
    inputs = xfer.Input((2,))
    model = xfer.Model(inputs, xfer.layers.Dense(2, activation="sigmoid", kernel_initializer=xfer.initializers.Constant(0.1))(inputs))
    x = np.arange(24, dtype=np.float32).reshape(12, 2) / 10
    y = np.stack([np.arange(12) % 2, 1 - np.arange(12) % 2], 1).astype(np.float32)
    model.compile(xfer.optimizers.SGD(0.0), "mse", metrics=[
        metrics.F1Score(threshold=0.5), metrics.Precision(thresholds=[0.2, 0.54], name="precision"),
        metrics.TruePositives(thresholds=[0.2, 0.4], name="true_positives"), Extremes(), metrics.Precision(name="one")])
    watch = xfer.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(logs["f1_score"].shape), on_test_end=lambda logs: seen.append(logs["precision"].shape),
        on_epoch_end=lambda epoch, logs: seen.append(logs["val_true_positives"].tolist()))
    history = model.fit(x, y, batch_size=6, epochs=2, shuffle=False, verbose=0, validation_data=(x[:4], y[:4]), callbacks=[watch]).history
    assert seen == [(2,), (2,), (2,), [4, 4]] * 2
    for epoch in range(2):
        np.testing.assert_allclose(history["f1_score"][epoch], [2 / 3, 2 / 3], rtol=1e-6)
        np.testing.assert_allclose(history["precision"][epoch], [0.5, 0.5], rtol=1e-6)
        assert history["true_positives"][epoch].tolist() == [12, 12] and history["val_true_positives"][epoch].tolist() == [4, 4]
        assert history["val_f1_score"][epoch].dtype == np.float32 and isinstance(history["one"][epoch], float)
    assert history["extremes"][0][1] == history["extremes"][1][1] > history["val_extremes"][0][1]
    figures = model.evaluate(x, y, verbose=0, return_dict=True)
    np.testing.assert_allclose(figures["precision"], [0.5, 0.5], rtol=1e-6)
    assert [np.shape(value) for value in model.evaluate(x, y, verbose=0)] == [(), (2,), (2,), (2,), (2,), ()]
    assert model.train_on_batch(x, y, return_dict=True)["true_positives"].tolist() == [12, 12]
    model.compile("sgd", "mse", metrics=[metrics.ConfusionMatrix(2)])
    assert model.evaluate(x, y, verbose=0, return_dict=True)["confusion_matrix"].shape == (2, 2)


@pytest.mark.parametrize("given, names", [
    (["AUC", "Precision", "BinaryAccuracy", "mse", "MSE", "MeanSquaredError"], ["AUC", "Precision", "BinaryAccuracy", "mse", "MSE", "MeanSquaredError"]),
    (["f1_score", "F1Score", "r2_score", "auc", "binary_accuracy"], ["f1_score", "F1Score", "r2_score", "auc", "binary_accuracy"]),
    (["AUC", "AUC"], ["AUC", "AUC_1"]), (["acc", "accuracy", "Accuracy"], ["acc", "accuracy", "Accuracy"]), (["KLDivergence"], ["KLDivergence"]),
    ([lambda y_true, y_pred: np.abs(y_true - y_pred)], ["lambda"]),
    ([xfer.metrics.binary_accuracy, xfer.metrics.mean_squared_error, xfer.metrics.BinaryAccuracy], ["binary_accuracy", "mean_squared_error", "binary_accuracy_1"]),
])
def test_logs_have_metrics_under_keras_names(given, names):
    model, x, y = model_and_data()
    model.compile("sgd", "mse", metrics=given)
    history = model.fit(x, (y[:, None] > 9).astype(np.float32), epochs=1, verbose=0, validation_split=0.5).history
    assert list(history) == ["loss", *names, "val_loss", *("val_" + name for name in names)]
    if "Accuracy" in names:
        assert history["Accuracy"] == history["accuracy"] == history["acc"] and history["acc"][0] > 0


def test_functions_have_keras_names():
    def MyMetric(y_true, y_pred):
        return np.abs(y_true - y_pred)

    assert xfer.metrics.get(MyMetric).name == "my_metric"
    with pytest.raises(TypeError, match="num_classes"):
        xfer.metrics.get("MeanIoU")


def wave(shape, phase):
    return np.sin(0.7 * np.arange(int(np.prod(shape))) + phase).astype(np.float32).reshape(shape)


P = np.abs(wave((4, 3), 0.3)) / np.abs(wave((4, 3), 0.3)).sum(-1, keepdims=True)
CLASSES, B, Q = np.array([0, 2, 1, 2]), (wave((4, 1), 1) > 0).astype(np.float32), np.abs(wave((4, 1), 2))
ONE_HOT = np.eye(3, dtype=np.float32)[CLASSES]


@pytest.mark.parametrize("name, arguments, options, wanted", [
    ("binary_accuracy", (B, Q), {}, [[1], [0], [0], [1]]), ("binary_accuracy", (B[:, 0], Q, 0.3), {}, [[1], [1], [0], [1]]),
    ("binary_accuracy", (B.astype(np.int32), Q), {"threshold": 0.9}, [[1], [0], [0], [0]]),
    ("categorical_accuracy", (ONE_HOT, P), {}, [0, 0, 0, 1]), ("sparse_categorical_accuracy", (CLASSES, P), {}, [0, 0, 0, 1]),
    ("sparse_categorical_accuracy", (CLASSES[:, None], P), {}, [0, 0, 0, 1]), ("top_k_categorical_accuracy", (ONE_HOT, P), {"k": 2}, [0, 1, 1, 1]),
    ("sparse_top_k_categorical_accuracy", (CLASSES, P, 2), {}, [0, 1, 1, 1]),
    ("sparse_top_k_categorical_accuracy", (CLASSES[:, None], P, 1), {}, [[0], [0], [0], [1]]),
    ("sparse_top_k_categorical_accuracy", (CLASSES, np.argsort(-P, -1)), {"k": 2, "from_sorted_ids": True}, [0, 1, 1, 1]),
    ("pearson_correlation", (ONE_HOT, P), {}, [-0.97876, 0.41902, 0.3693, 0.65851]),
    ("concordance_correlation", (ONE_HOT, P), {}, [-0.53589, 0.31589, 0.17484, 0.35052]),
    ("mean_squared_error", (ONE_HOT, P), {}, [0.37164, 0.18349, 0.19499, 0.15632]), ("hinge", (ONE_HOT, P), {}, [1.24078, 1.02638, 1.0698, 1.02675]),
    ("sparse_categorical_crossentropy", (CLASSES, P), {}, [1.97451, 0.77561, 0.92809, 0.77679]),
])
def test_functions_give_keras_numbers(name, arguments, options, wanted):
    found = np.asarray(getattr(xfer.metrics, name)(*arguments, **options))
    assert found.dtype == np.float32 and found.shape == np.shape(wanted)
    np.testing.assert_allclose(found, wanted, atol=2e-5)


def test_functions_are_compiled_as_their_metrics():
    model = xfer.Sequential([xfer.Input((2,)), xfer.layers.Dense(3, "softmax", kernel_initializer="zeros")])
    x, functions = wave((4, 2), 0.5), xfer.metrics
    model.compile(xfer.optimizers.SGD(0.1), "mse", metrics=[
        functions.categorical_accuracy, functions.mean_squared_error, functions.huber, xfer.losses.MeanSquaredError(), xfer.metrics.pearson_correlation])
    assert [type(metric).__name__ for metric in model.metrics] == [
        "CategoricalAccuracy", "MeanSquaredError", "MeanMetricWrapper", "MeanMetricWrapper", "PearsonCorrelation"]
    figures = model.evaluate(x, ONE_HOT, verbose=0, return_dict=True)
    assert list(figures)[1:5] == ["categorical_accuracy", "mean_squared_error", "huber", "mean_squared_error_1"]
    assert figures["mean_squared_error"] == pytest.approx(figures["loss"]) == figures["mean_squared_error_1"] == pytest.approx(2 * figures["huber"])
