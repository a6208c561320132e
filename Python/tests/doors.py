"""The transfer example by its doors: where the programs are, how they run, and the photos they run on."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "Examples" / "python" / "transfer.py"
LINE = re.compile(r"epoch \d+ loss \d+\.\d{6} accuracy \d\.\d{4} val_loss \d+\.\d{6} val_accuracy \d\.\d{4}")


def run(program, *arguments, cwd=None, **environment):
    """(exit code, standard output, standard error) of a program with these arguments and additional variables."""
    done = subprocess.run(
        [str(program), *map(str, arguments)], env={**os.environ, **environment}, cwd=cwd, capture_output=True, text=True, timeout=550)
    return done.returncode, done.stdout, done.stderr


def run_python(*arguments):
    return run(sys.executable, EXAMPLE, *arguments, PYTHONPATH=os.pathsep.join(p for p in sys.path if p))


def squeezenet(shared):
    """The pretrained base, as --base takes it."""
    weights = shared / "weights" / "squeezenet_v1.1_notop_legacy.h5"
    if not weights.exists():
        pytest.skip(f"{weights} is absent")
    return f"squeezenet:{weights}"


def small_photos(shared, folder, classes):
    """Arguments for a few of the shared photos of these classes, copied to the folder: they bound every program's run to seconds."""
    photos = shared / "data" / "trashnet"
    if not photos.exists():
        pytest.skip(f"{photos} is absent")
    for part, count in (("train", 6), ("val", 3)):
        for name in classes:
            (folder / part / name).mkdir(parents=True)
            for path in sorted((photos / part / name).iterdir())[:count]:
                shutil.copy(path, folder / part / name)
    return [
        "--data", folder / "train", "--val", folder / "val", "--image-size", "64", "--epochs", 2, "--fine-tune-epochs", 1, "--batch-size", 4]
