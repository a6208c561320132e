"""Examples/python/transfer.py: both loops print the same digits, and the frozen base stays."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "Examples" / "python" / "transfer.py"
LINE = re.compile(r"epoch \d+ loss \d+\.\d{6} accuracy \d\.\d{4} val_loss \d+\.\d{6} val_accuracy \d\.\d{4}")


def run(*arguments):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, str(EXAMPLE), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=550)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def setting(library, shared, tmp_path_factory):
    if not EXAMPLE.exists():
        pytest.skip(f"{EXAMPLE} is absent")
    weights = shared / "weights" / "squeezenet_v1.1_notop_legacy.h5"
    photos = shared / "data" / "trashnet"
    if not weights.exists() or not photos.exists():
        pytest.skip("the shared photos or the SqueezeNet weights are absent")
    folder = tmp_path_factory.mktemp("photos")
    for part, count in (("train", 6), ("val", 3)):
        for name in ("glass", "paper"):
            (folder / part / name).mkdir(parents=True)
            for path in sorted((photos / part / name).iterdir())[:count]:
                shutil.copy(path, folder / part / name)
    return [
        "--data", folder / "train", "--val", folder / "val", "--base", f"squeezenet:{weights}", "--image-size", "64",
        "--epochs", 2, "--fine-tune-epochs", 1, "--batch-size", 4]


def test_both_loops_print_the_same(setting, tmp_path):
    outputs = []
    for loop in ("fit", "custom"):
        code, out, err = run(*setting, "--loop", loop, "--out", tmp_path / "model.keras")
        assert code == 0, err
        lines = out.splitlines()
        assert sum(bool(LINE.fullmatch(line)) for line in lines) == 3 and sum("bit-equal" in line for line in lines) == 2
        assert (tmp_path / "model.keras").exists()
        outputs.append(lines)
    assert outputs[0] == outputs[1]
    assert run(*setting, "--loop", "fit")[1].splitlines() == outputs[0][:-1]


def test_wrong_arguments(setting, tmp_path):
    code, out, err = run(*setting, "--base", "vgg")
    assert code == 1 and "xception" in err and out == ""
    code, out, err = run(*setting, "--data", tmp_path / "absent")
    assert code == 1 and "absent" in err and "Traceback" not in err
    assert run()[0] == 2
