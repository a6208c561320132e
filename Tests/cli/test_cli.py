"""Help, exit codes, files and numbers of the command `xfer`."""

import json
import math
import signal
import subprocess
import time
import xml.etree.ElementTree as xml

import pytest

BASE = ["--base", "efficientnet-lite0:random", "--image-size", "64x64", "--batch-size", "8", "--seed", "3"]
COMMANDS = ["train", "lr-find", "evaluate", "predict", "summary", "plan", "convert", "bench", "plugins", "plugin-check"]


@pytest.fixture(scope="module")
def trained(xfer, photos, tmp_path_factory):
    """A short run with every output: (folder, its JSON)."""
    out = tmp_path_factory.mktemp("trained")
    code, text, err = xfer(
        "train", *BASE, "--data", photos, "--validation-split", ".25", "--epochs", 3, "--fine-tune-epochs", 1, "--learning-rate", "1e-2",
        "--out", out / "model.keras", "--history", out / "history.json", "--curves", out / "curves.svg", "--json")
    assert code == 0, err
    return out, json.loads(text)


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help(xfer, command):
    code, out, err = xfer(*([command] if command else []), "--help")
    assert code == 0 and err == "" and "USAGE: xfer" in out and "--help" in out
    wanted = COMMANDS if command is None else ["--json"]
    assert all(word in out for word in wanted)


def test_version(xfer):
    code, out, _ = xfer("--version")
    assert code == 0 and out.startswith("xfer 0.")


@pytest.mark.parametrize("arguments", [
    ["frobnicate"], ["train"], ["train", "--no-such-flag"], ["train", *BASE, "--data", ".", "--unfreeze", "some"],
    ["train", *BASE, "--data", ".", "--val", ".", "--validation-split", ".5"], ["train", *BASE, "--data", ".", "--validation-split", "1.5"],
    ["train", *BASE, "--data", ".", "--out", "model.h5"], ["train", *BASE, "--data", ".", "--batch-size", "0"],
    ["train", *BASE[2:], "--base", "squeeznet", "--data", "."], ["train", *BASE, "--data", ".", "--augment", "rotate"],
    ["train", *BASE, "--data", ".", "--augment", "flip,mirror"], ["train", *BASE, "--data", ".", "--plan", "gradual"],
    ["train", *BASE, "--data", ".", "--resume"], ["train", *BASE, "--data", ".", "--checkpoint-batches", "0"],
    ["train", *BASE, "--data", ".", "--unfreeze", "last:0"], ["lr-find", "--data", "."], ["lr-find", "m.keras", *BASE, "--data", "."],
    ["lr-find", *BASE, "--data", ".", "--min-rate", "0"], ["lr-find", *BASE, "--data", ".", "--steps", "1"], ["predict", "model.keras"], ["plan", "squeezenet", "--image-size", "0x10"],
])
def test_wrong_usage(xfer, arguments):
    code, out, err = xfer(*arguments)
    assert code == 2 and out == "" and err.strip()


def test_plugins(xfer):
    code, out, _ = xfer("plugins", "--json")
    assert code == 0
    plugins = json.loads(out)["plugins"]
    assert {"naive"} <= {plugin["name"] for plugin in plugins if plugin["kind"] == "backend"}
    code, out, _ = xfer("plugins")
    assert code == 0 and "naive" in out


def test_plugin_check_refuses_other_files(xfer, tmp_path):
    (tmp_path / "no.so").write_text("no library")
    code, _, err = xfer("plugin-check", tmp_path / "no.so")
    assert code == 1 and err.startswith("xfer: ") and "no.so" in err


def test_history(trained):
    out, report = trained
    history = json.loads((out / "history.json").read_text())
    assert [phase["name"] for phase in history["phases"]] == ["head", "fine-tune"]
    assert [len(phase["epochs"]) for phase in history["phases"]] == [3, 1]
    for phase in history["phases"]:
        for epoch in phase["epochs"]:
            assert set(epoch) == {"loss", "accuracy", "val_loss", "val_accuracy", "seconds"}
            assert all(math.isfinite(value) for value in epoch.values())
            assert 0 <= epoch["accuracy"] <= 1 and 0 <= epoch["val_accuracy"] <= 1 and epoch["seconds"] > 0
    assert history["classes"] == ["blue", "green", "red"]
    assert history["peak_rss_bytes"] > 1_000_000
    ops = {node["op"] for node in history["plan"]["nodes"]}
    assert any("conv" in op for op in ops) and any("adam" in op for op in ops)
    assert report["phases"] == history["phases"] and report["classes"] == history["classes"]


def test_report(trained):
    _, report = trained
    assert set(report["val_accuracy"]) == {"before", "head", "fine-tune"}
    assert report["val_accuracy"]["head"] == report["phases"][0]["epochs"][-1]["val_accuracy"]
    assert report["val_accuracy"]["fine-tune"] == report["phases"][1]["epochs"][-1]["val_accuracy"]
    assert report["images"] == {"train": 18, "validation": 6}
    head, tuned = report["frozen"]
    assert head["bit_equal"] is True and tuned["bit_equal"] is True
    # With the base frozen only the head's kernel and bias move; afterwards its statistics alone stay.
    assert head["weights"] > tuned["weights"] > 0
    assert head["trained_parameters"] == 1280 * 3 + 3 < tuned["trained_parameters"]
    assert report["skipped"] == [] and report["seconds"] > 0


def test_curves(trained):
    root = xml.parse(trained[0] / "curves.svg").getroot()
    assert root.tag.endswith("svg")
    text = " ".join(root.itertext()).lower()
    assert all(word in text for word in ("loss", "accuracy", "validation", "epoch"))
    assert len([element for element in root.iter() if element.tag.split("}")[-1] in ("polyline", "path")]) >= 4


def test_same_seed_same_run(xfer, photos, trained, tmp_path):
    code, text, err = xfer(
        "train", *BASE, "--data", photos, "--validation-split", ".25", "--epochs", 3, "--fine-tune-epochs", 0, "--learning-rate", "1e-2", "--json")
    assert code == 0, err
    again, first = json.loads(text)["phases"], trained[1]["phases"]
    assert len(again) == 1
    plain = [[{key: epoch[key] for key in epoch if key != "seconds"} for epoch in phases[0]["epochs"]] for phases in (again, first)]
    assert plain[0] == plain[1]


def test_evaluate_gives_the_numbers_of_training(xfer, photos, trained, tmp_path):
    """The model file holds what was trained: on the same validation images it gives the last epoch's numbers."""
    out, _ = trained
    code, text, err = xfer("evaluate", out / "model.keras", photos, "--json")
    assert code == 0, err
    whole = json.loads(text)
    assert whole["images"] == 24 and whole["classes"] == ["blue", "green", "red"]
    code, text, err = xfer(
        "train", *BASE, "--data", photos, "--val", photos, "--epochs", 1, "--fine-tune-epochs", 0, "--out", tmp_path / "one.keras", "--json")
    assert code == 0, err
    last = json.loads(text)["phases"][0]["epochs"][-1]
    code, text, err = xfer("evaluate", tmp_path / "one.keras", photos, "--json", "--batch-size", 8)
    assert code == 0, err
    found = json.loads(text)
    assert found["loss"] == pytest.approx(last["val_loss"], rel=1e-5) and found["accuracy"] == last["val_accuracy"]
    code, text, _ = xfer("evaluate", tmp_path / "one.keras", photos)
    assert code == 0 and "accuracy" in text and "loss" in text


def test_predict(xfer, photos, trained):
    out, _ = trained
    files = sorted(photos.glob("*/*.png"))
    code, text, err = xfer("predict", out / "model.keras", photos, "--json", "--top", 3)
    assert code == 0, err
    predictions = json.loads(text)["predictions"]
    assert [entry["path"] for entry in predictions] == [str(path) for path in files]
    for entry in predictions:
        assert {choice["class"] for choice in entry["classes"]} == {"blue", "green", "red"}
        shares = [choice["probability"] for choice in entry["classes"]]
        assert shares == sorted(shares, reverse=True) and sum(shares) == pytest.approx(1, abs=1e-6)
    code, text, err = xfer("predict", out / "model.keras", files[0], "--json")
    assert code == 0, err
    alone = json.loads(text)["predictions"][0]["classes"][0]
    assert alone["class"] == predictions[0]["classes"][0]["class"]
    assert alone["probability"] == pytest.approx(predictions[0]["classes"][0]["probability"], abs=1e-5)
    code, text, _ = xfer("evaluate", out / "model.keras", photos, "--json")
    right = sum(entry["path"].split("/")[-2] == entry["classes"][0]["class"] for entry in predictions)
    assert code == 0 and json.loads(text)["accuracy"] == pytest.approx(right / len(files))


def test_predict_skips_broken_files(xfer, photos, trained, tmp_path):
    out, _ = trained
    (tmp_path / "broken.png").write_bytes(b"no picture")
    good = photos / "red" / "0.png"
    code, text, err = xfer("predict", out / "model.keras", tmp_path / "broken.png", good, "--json")
    report = json.loads(text)
    assert code == 0 and "broken.png" in err
    assert [entry["path"] for entry in report["predictions"]] == [str(good)] and len(report["skipped"]) == 1
    code, _, err = xfer("predict", out / "model.keras", tmp_path / "broken.png")
    assert code == 1 and "xfer: " in err


def test_two_classes_are_one_logit(xfer, two_classes, tmp_path):
    model = tmp_path / "model.keras"
    code, text, err = xfer("train", *BASE, "--data", two_classes, "--epochs", 1, "--fine-tune-epochs", 0, "--out", model)
    assert code == 0, err
    assert "accuracy" in text and "peak memory" in text and "backend" in text
    code, text, _ = xfer("summary", model, "--json")
    assert code == 0 and json.loads(text)["layers"]
    code, text, err = xfer("predict", model, two_classes / "red", "--json", "--top", 2)
    assert code == 0, err
    for entry in json.loads(text)["predictions"]:
        assert {choice["class"] for choice in entry["classes"]} == {"blue", "red"}
        assert sum(choice["probability"] for choice in entry["classes"]) == pytest.approx(1)


def test_unfreeze_last_layers(xfer, photos):
    arguments = ["train", *BASE, "--data", photos, "--epochs", 0, "--fine-tune-epochs", 1, "--json"]
    counts = {}
    for layers in ("last:5", "all", "none"):
        code, text, err = xfer(*arguments, "--unfreeze", layers)
        assert code == 0, err
        phases = {entry["phase"]: entry["trained_parameters"] for entry in json.loads(text)["frozen"]}
        counts[layers] = phases.get("fine-tune", 0)
    assert counts["none"] == 0 < counts["last:5"] < counts["all"]
    code, _, err = xfer(*arguments, "--unfreeze", "from:no_such_layer")
    assert code == 1 and "no_such_layer" in err


def test_augmentation_trains_and_stays_out_of_the_model(xfer, photos, tmp_path):
    model = tmp_path / "model.keras"
    arguments = ["train", *BASE, "--data", photos, "--epochs", 1, "--fine-tune-epochs", 0, "--history", tmp_path / "history.json", "--out", model]
    code, _, err = xfer(*arguments, "--augment", "flip,rotate:0.1,zoom:0.2,translate:0.1,brightness:0.2,contrast:0.2")
    assert code == 0, err
    ops = {node["op"] for node in json.loads((tmp_path / "history.json").read_text())["plan"]["nodes"]}
    assert {"random", "imageTransform"} <= ops
    code, text, err = xfer("summary", model, "--json")
    assert code == 0, err
    assert "random_flip" not in text and "random_zoom" not in text
    code, _, err = xfer("predict", model, photos / "red", "--json")
    assert code == 0, err


def test_summary_and_plan(xfer):
    code, out, _ = xfer("summary", "efficientnet-lite0:random", "--image-size", "64")
    assert code == 0 and "Total params" in out and "Layer (type)" in out
    code, out, _ = xfer("plan", "efficientnet-lite0:random", "--image-size", "64", "--json")
    plan = json.loads(out)
    assert code == 0 and plan["peak_bytes"] > 0 and {"op", "backend", "layer", "shape"} <= set(plan["nodes"][0])
    code, out, _ = xfer("plan", "efficientnet-lite0:random", "--image-size", "64", "--backend", "naive")
    assert code == 0 and "naive" in out and "simd" not in out
    code, out, _ = xfer("plan", "efficientnet-lite0:random", "--image-size", "64", "--precision", "bf16", "--json")
    assert code == 0 and json.loads(out)["precision"] == "bfloat16" and plan["precision"] == "float32"
    code, _, err = xfer("plan", "efficientnet-lite0:random", "--precision", "f16")
    assert code == 2 and "bf16" in err


@pytest.mark.parametrize("arguments, word", [
    (["train", *BASE, "--data", "/no/such/folder"], "/no/such/folder"),
    (["train", *BASE, "--data", "{photos}", "--out", "/no/such/folder/model.keras"], "/no/such/folder"),
    (["train", *BASE, "--data", "{photos}", "--backend", "abacus"], "abacus"),
    (["train", *BASE, "--data", "{photos}", "--plan", "/no/such/plan.json"], "/no/such/plan.json"),
    (["train", *BASE, "--data", "{photos}", "--unfreeze", "from:nowhere"], "nowhere"),
    (["evaluate", "/no/such/model.keras", "{photos}"], "/no/such/model.keras"),
    (["predict", "{model}", "/no/such/picture.png"], "/no/such/picture.png"),
    (["predict", "{photos}/red/0.png", "{photos}"], "0.png"),
])
def test_failures_name_what_is_wrong(xfer, photos, trained, arguments, word):
    started = time.monotonic()
    filled = [text.format(photos=photos, model=trained[0] / "model.keras") for text in arguments]
    code, out, err = xfer(*filled)
    assert code == 1 and out == "" and "xfer: " in err and word in err
    assert "Epoch" not in err, f"it should fail before training, not after {time.monotonic() - started:.0f} s of it"


def test_interrupt_keeps_the_model(binary, xfer, photos, tmp_path):
    model, history = tmp_path / "model.keras", tmp_path / "history.json"
    process = subprocess.Popen(
        [binary, "train", *BASE, "--data", photos, "--epochs", "100000", "--out", model, "--history", history],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        for line in process.stderr:
            if "Epoch 3/" in line:
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130 and out == "" and "xfer: " in err and "--resume" in err
    assert (tmp_path / "model.keras.checkpoint").exists()
    assert len(json.loads(history.read_text())["phases"][0]["epochs"]) >= 2
    code, text, err = xfer("predict", model, photos / "red", "--json")
    assert code == 0 and len(json.loads(text)["predictions"]) == 8, err


def test_lr_find(xfer, photos, trained, tmp_path):
    figure = tmp_path / "rates.svg"
    code, text, err = xfer("lr-find", *BASE, "--data", photos, "--steps", 30, "--min-rate", "1e-5", "--svg", figure, "--json")
    assert code == 0, err
    found = json.loads(text)
    assert len(found["rates"]) == len(found["losses"]) == len(found["raw_losses"]) <= 30
    assert found["rates"][0] == 1e-5 and found["rates"] == sorted(found["rates"]) and found["rates"][0] < found["suggestion"] < 1
    root = xml.parse(figure).getroot()
    assert root.tag.endswith("svg") and "learning rate" in " ".join(root.itertext())
    model = trained[0] / "model.keras"
    before = model.read_bytes()
    code, text, err = xfer("lr-find", model, "--data", photos, "--steps", 5, "--batch-size", 8)
    assert code == 0 and "suggested rate" in text and "batches" in text, err
    assert model.read_bytes() == before


def numbers(history):
    """Every figure of a history.json, seconds aside."""
    return {phase["name"]: [{k: v for k, v in epoch.items() if k != "seconds"} for epoch in phase["epochs"]] for phase in history["phases"]}


def test_plans(xfer, photos, tmp_path):
    code, text, err = xfer(
        "train", *BASE, "--data", photos, "--plan", "gradual-unfreeze", "--epochs", 1, "--fine-tune-epochs", 2, "--json")
    assert code == 0, err
    report = json.loads(text)
    assert [phase["name"] for phase in report["phases"]] == ["head", "unfreeze-2", "unfreeze-3"]
    parts = [phase["trained_parameters"] for phase in report["frozen"]]
    assert parts == sorted(set(parts)) and all(phase["bit_equal"] for phase in report["frozen"])
    assert set(report["val_accuracy"]) == {"before", "head", "fine-tune", "unfreeze-2", "unfreeze-3"}
    plan = {"phases": [{"name": "probe", "epochs": 2, "optimizer": "sgd", "learning_rate": 0.01}]}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    code, text, err = xfer("train", *BASE, "--data", photos, "--plan", tmp_path / "plan.json")
    assert code == 0 and "validation accuracy after probe" in text, err
    plan["phases"][0]["epoch"] = 1
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    code, _, err = xfer("train", *BASE, "--data", photos, "--plan", tmp_path / "plan.json")
    assert code == 1 and "'epoch'" in err


def test_a_killed_run_goes_on_bit_equal(binary, xfer, photos, tmp_path):
    """Killed twice, in the head's training and in fine-tuning; its files are then those of a run that was left in peace."""
    def arguments(name, *more):
        return [
            "train", *BASE, "--data", photos, "--epochs", "3", "--fine-tune-epochs", "2", "--augment", "flip", "--out", tmp_path / f"{name}.keras",
            "--history", tmp_path / f"{name}.json", "--checkpoint-batches", "1", *more]

    code, _, err = xfer(*arguments("whole"))
    assert code == 0, err
    for line in ("Epoch 2/3", "Epoch 1/2"):
        process = subprocess.Popen([binary, *map(str, arguments("killed", "--resume"))], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            assert any(line in text for text in process.stderr), f"it ended before {line}"
        finally:
            process.kill()
            process.wait()
            process.stderr.close()
        assert (tmp_path / "killed.keras.checkpoint").exists() and not (tmp_path / "killed.keras").exists()
    code, _, err = xfer(*arguments("killed", "--resume"))
    assert code == 0 and "head: " not in err, err
    assert not (tmp_path / "killed.keras.checkpoint").exists()
    histories = [json.loads((tmp_path / f"{name}.json").read_text()) for name in ("whole", "killed")]
    assert numbers(histories[0]) == numbers(histories[1])
    predictions = [xfer("predict", tmp_path / f"{name}.keras", photos, "--json") for name in ("whole", "killed")]
    assert predictions[0] == predictions[1] and predictions[0][0] == 0
    # The same model, but another plan: the checkpoint of the one does not serve the other.
    process = subprocess.Popen([binary, *map(str, arguments("killed"))], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert any("Epoch 2/3" in text for text in process.stderr)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
    code, _, err = xfer(*arguments("killed", "--resume", "--learning-rate", "1e-2"))
    assert code == 1 and "another plan" in err
    code, _, err = xfer(*arguments("killed", "--resume", "--seed", "4"))
    assert code == 1 and "checkpoint" in err


def test_warnings_go_to_stderr_once(xfer, photos, trained, tmp_path):
    base = tmp_path / "base.keras"
    base.write_bytes((trained[0] / "model.keras").read_bytes())
    arguments = [
        "train", "--base", base, "--batch-size", "8", "--data", photos, "--epochs", "1", "--fine-tune-epochs", "2", "--json", "--fine-tune-rate"]
    code, text, err = xfer(*arguments, "1e-3")
    assert code == 0 and err.count("xfer: ") == 1 and "learning rate of 1.0e-03" in err, err
    json.loads(text)
    code, _, err = xfer(*arguments, "1e-5")
    assert code == 0 and "xfer: " not in err, err


def test_lora_delta_and_report(xfer, photos, tmp_path):
    """Fine-tuning by LoRA; what it changed as a file; the model made of that file and the base again; the page about it."""
    base = tmp_path / "base.keras"
    code, _, err = xfer("train", *BASE, "--data", photos, "--epochs", 0, "--fine-tune-epochs", 1, "--out", base)
    assert code == 0, err
    arguments = ["train", "--base", base, "--batch-size", "8", "--data", photos, "--epochs", 1, "--fine-tune-epochs", 2, "--fine-tune-rate", "1e-3"]
    code, text, err = xfer(
        *arguments, "--lora", 2, "--out", tmp_path / "m.keras", "--delta", tmp_path / "d.safetensors", "--report", tmp_path / "report.html", "--json")
    assert code == 0, err
    report = json.loads(text)
    head, tuned = report["frozen"]
    assert head["bit_equal"] and tuned["bit_equal"]
    assert head["trained_parameters"] < tuned["trained_parameters"] < 400_000
    assert (tmp_path / "d.safetensors").stat().st_size < (tmp_path / "m.keras").stat().st_size / 4
    code, text, err = xfer("convert", tmp_path / "d.safetensors", tmp_path / "again.keras", "--base", base, "--json")
    assert code == 0 and json.loads(text)["out"].endswith("again.keras"), err
    found = [json.loads(xfer("predict", tmp_path / name, photos, "--json", "--top", 3)[1])["predictions"] for name in ("m.keras", "again.keras")]
    for one, other in zip(*found):
        assert one["path"] == other["path"] and one["classes"][0]["class"] == other["classes"][0]["class"]
        assert one["classes"][0]["probability"] == pytest.approx(other["classes"][0]["probability"], abs=1e-5)
    page = (tmp_path / "report.html").read_text()
    assert page.startswith("<!DOCTYPE html>") and page.count("<svg") == 2 and "blue, green, red" in page and "fine-tune" in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    code, _, err = xfer("convert", tmp_path / "d.safetensors", tmp_path / "no.keras", "--base", "efficientnet-lite0:random", "--image-size", "64")
    assert code == 1 and "another base" in err and not (tmp_path / "no.keras").exists()


@pytest.mark.parametrize("arguments", [
    ["train", *BASE, "--data", ".", "--lora", "0"], ["train", *BASE, "--data", ".", "--lora", "4", "--unfreeze", "none"],
    ["train", *BASE, "--data", ".", "--lora", "4", "--plan", "phases.json"], ["train", *BASE, "--data", ".", "--delta", "d.keras"],
    ["convert", "a.keras"], ["convert", "a.keras", "b.onnx"], ["convert", "a.pth", "b.keras"],
    ["convert", "squeezenet", "b.keras", "--base", "squeezenet"], ["bench", "squeezenet", "--batches", "0"], ["bench"],
])
def test_wrong_usage_of_lora_convert_and_bench(xfer, arguments):
    test_wrong_usage(xfer, arguments)


def test_convert(xfer, photos, trained, tmp_path):
    model = trained[0] / "model.keras"
    for name in ("w.safetensors", "w.weights.h5", "copy.keras"):
        code, text, err = xfer("convert", model, tmp_path / name)
        assert code == 0 and name in text and "parameters" in text, err
    first, second = (json.loads(xfer("predict", path, photos, "--json")[1]) for path in (model, tmp_path / "copy.keras"))
    assert first == second
    # Weights alone, through the architecture that they are of.
    code, _, err = xfer("convert", "efficientnet-lite0:random", tmp_path / "random.safetensors", "--image-size", "64")
    assert code == 0, err
    code, text, err = xfer("convert", f"efficientnet-lite0:{tmp_path / 'random.safetensors'}", tmp_path / "lite.keras", "--image-size", "64", "--json")
    assert code == 0 and json.loads(text)["params"] > 3_000_000, err
    code, _, err = xfer("convert", tmp_path / "nothing.keras", tmp_path / "b.keras")
    assert code == 1 and "nothing.keras" in err


def test_bench(xfer):
    code, text, err = xfer("bench", "efficientnet-lite0", "--image-size", "64", "--batches", 3, "--batch-size", 2, "--json")
    assert code == 0, err
    found = json.loads(text)
    assert found["batches"] == 3 and found["batch_size"] == 2 and not found["training"]
    assert 0 < found["fastest_seconds"] <= found["median_seconds"]
    assert found["images_per_second"] == pytest.approx(2 / found["median_seconds"])
    assert found["flops_per_second"] == pytest.approx(found["flops"] / found["median_seconds"]) and found["peak_rss_bytes"] > 1_000_000
    code, text, err = xfer("bench", "efficientnet-lite0", "--image-size", "64", "--batches", 1, "--training", "--json")
    assert code == 0 and json.loads(text)["flops"] > 2 * found["flops"] / 2, err
    code, text, err = xfer("bench", "efficientnet-lite0", "--image-size", "64", "--batches", 1)
    assert code == 0 and "images per second" in text, err


def test_plan_of_a_transfer(xfer):
    base = ["plan", "efficientnet-lite0:random", "--image-size", "64", "--batch-size", "4"]

    def weights(*arguments):
        code, out, err = xfer(*base, *arguments, "--json")
        assert code == 0, err
        nodes = json.loads(out)["nodes"]
        return nodes, {node["weights"] for node in nodes if node["phase"] == "forward"}

    nodes, states = weights("--freeze", "all")
    assert states <= {"cached", "none", "trained"} and {node["layer"] for node in nodes if node["weights"] == "trained"} == {"dense", "adam dense/kernel", "adam dense/bias"}
    few, states = weights("--unfreeze", "last:10%")
    assert {"cached", "trained"} <= states and len(few) > len(nodes)
    assert len(weights("--unfreeze", "all")[0]) == len(weights("--freeze", "none")[0]) > len(few)
    layer = next(node["layer"] for node in few if node["weights"] == "trained" and "dense" not in node["layer"])
    until, _ = weights("--freeze", f"until:{layer}")
    assert layer in {node["layer"] for node in until if node["weights"] == "trained"} and len(until) < len(few) + 30
    code, _, err = xfer(*base, "--freeze", "until:nowhere")
    assert code == 1 and "nowhere" in err
    code, _, err = xfer("plan", "efficientnet-lite0:random", "--batch-size", str(2**63 - 1))
    assert code == 1 and "batch_size is to be from 1" in err
    code, _, err = xfer("bench", "efficientnet-lite0", "--batch-size", "100000000")
    assert code == 1 and err.strip()
    for wrong in (["--freeze", "some"], ["--freeze", "all", "--unfreeze", "all"], ["--classes", "1"], ["--forecast", "--svg", "a.svg"]):
        assert xfer(*base, *wrong)[0] == 2, wrong


def test_forecast(xfer):
    base = ["plan", "efficientnet-lite0:random", "--image-size", "64", "--batch-size", "8", "--forecast", "--images", "100"]
    code, out, err = xfer(*base)
    assert code == 0 and "last:33%" in out and "An epoch of 100 images" in out, err
    code, out, err = xfer(*base, "--json")
    depths = json.loads(out)["forecast"]
    assert [depth["unfreeze"] for depth in depths] == ["none", "last:10%", "last:33%", "last:67%", "all"]
    flops = [depth["uncached"]["flops"] for depth in depths]
    assert flops == sorted(flops) and depths[-1]["cached"] is None and depths[0]["cached"]["later"]["flops"] < flops[0] / 100
    code, out, err = xfer(*base[:-1], str(2**63 - 1), "--freeze", "all", "--json")
    assert code == 0 and [depth["unfreeze"] for depth in json.loads(out)["forecast"]] == ["none"], err


def test_plan_svg(xfer, trained, tmp_path):
    for name, arguments in (("a.svg", []), ("b.svg", ["--training", "--batch-size", "4"])):
        code, _, err = xfer("plan", trained[0] / "model.keras", "--svg", tmp_path / name, *arguments)
        assert code == 0, err
        root = xml.parse(tmp_path / name).getroot()
        text = " ".join(root.itertext())
        assert root.tag.endswith("svg") and "FLOP" in text and "conv2D" in text and ("backward" in text) == (name == "b.svg")
    code, _, err = xfer("plan", trained[0] / "model.keras", "--svg", "/no/such/folder/a.svg")
    assert code == 1 and "/no/such/folder" in err
