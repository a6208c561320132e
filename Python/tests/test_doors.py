"""One job through every door: the C, Swift and Python examples print the same lines, and the command finds the same numbers."""

import functools
import json
import os
import re
import shlex
import shutil
import subprocess

import pytest
from doors import EXAMPLE, LINE, ROOT, run, run_python, small_photos, squeezenet

TREE = ROOT / os.environ.get("XFER_TREE", "dist")
BUILD = ROOT / os.environ.get("XFER_BUILD", ".build")
BACKENDS = ("simd", "naive")
# SqueezeNet brings pretrained weights; the random EfficientNet-Lite0 brings the seed's draws, and statistics to keep frozen.
BASES = ("squeezenet", "efficientnet-lite0")


def absent(door, what):
    pytest.skip(f"the {door} door is left out: {what}")


@pytest.fixture(scope="module")
def c_door(library, tmp_path_factory):
    """The C example built as its users build it, run from a folder where nothing is found by chance."""
    for tool in ("cc", "pkg-config"):
        if shutil.which(tool) is None:
            absent("C", f"there is no {tool}")
    if not (TREE / "lib" / "pkgconfig" / "xfer.pc").exists():
        absent("C", f"there is no install tree {TREE}: make build")
    folder = tmp_path_factory.mktemp("elsewhere")
    settings = {**os.environ, "PKG_CONFIG_PATH": str(TREE / "lib" / "pkgconfig")}
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "xfer"], env=settings, capture_output=True, text=True, check=True)
    standard = ["-std=c11", "-D_POSIX_C_SOURCE=200809L", "-pedantic", "-Wall", "-Wextra", "-Werror"]
    code, out, err = run("cc", *standard, ROOT / "Examples" / "c" / "transfer.c", "-o", folder / "transfer", *shlex.split(flags.stdout))
    assert code == 0, err
    return functools.partial(run, folder / "transfer", cwd=folder, LD_LIBRARY_PATH=str(TREE / "lib"))


@pytest.fixture(scope="module")
def swift_door(library):
    program = BUILD / "release" / "transfer-example"
    if not program.exists():
        absent("Swift", f"there is no {program}: make build")
    return functools.partial(run, program)


@pytest.fixture(scope="module")
def python_door(library):
    if not EXAMPLE.exists():
        absent("Python", f"there is no {EXAMPLE}")
    return run_python


@pytest.fixture(scope="module", params=["c_door", "swift_door", "python_door"])
def door(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def photos(shared, tmp_path_factory):
    # Three classes: for two the command trains a single logit, another network than the examples' one.
    return small_photos(shared, tmp_path_factory.mktemp("photos"), ("glass", "metal", "paper"))


@pytest.fixture(scope="module", params=BASES)
def base(request, shared):
    return squeezenet(shared) if request.param == "squeezenet" else request.param


@pytest.fixture(scope="module", params=BACKENDS)
def setting(request, photos, base):
    return [*photos, "--base", base, "--seed", 3, "--backend", request.param]


@functools.cache
def printed_by_python(*setting):
    code, out, err = run_python(*setting)
    assert code == 0, err
    return out.splitlines()


@pytest.fixture
def wanted(python_door, setting):
    """The lines every door is to print: Python's, with fit."""
    return printed_by_python(*setting)


def test_lines_are_whole(wanted, base):
    kinds = [line.split()[0] for line in wanted]
    assert kinds == ["head:", "epoch", "epoch", "frozen:", "fine-tune:", "epoch", "frozen:"]
    assert all(LINE.fullmatch(line) for line in wanted if line.startswith("epoch"))
    # SqueezeNet has no BatchNormalization, Lite0 has 49 of them.
    weights, statistics = (50, 0) if base.startswith("squeezenet") else (245, 98)
    frozen = [line for line in wanted if line.startswith("frozen:")]
    assert frozen == [f"frozen: {weights} weights are bit-equal to before", f"frozen: {statistics} statistics are bit-equal to before"]


@pytest.mark.parametrize("loop", ["fit", "custom"])
def test_doors_print_the_same(door, loop, setting, wanted, tmp_path):
    model = tmp_path / "model.keras"
    code, out, err = door(*setting, "--loop", loop, "--out", model)
    assert code == 0, err
    assert out.splitlines() == [*wanted, f"saved: {model}"]
    assert model.exists()


def test_command_finds_the_same(setting, base, wanted, tmp_path):
    program = TREE / "bin" / "xfer"
    if not program.exists():
        absent("command's", f"there is no {program}: make build")
    # What the examples draw where no weights are named has a name here.
    arguments = [f"{base}:random" if argument == base and ":" not in base else argument for argument in setting]
    code, out, err = run(program, "train", *arguments, "--history", tmp_path / "history.json")
    assert code == 0, err
    history = json.loads((tmp_path / "history.json").read_text())
    lines = [
        f"epoch {number} loss {epoch['loss']:.6f} accuracy {epoch['accuracy']:.4f} "
        f"val_loss {epoch['val_loss']:.6f} val_accuracy {epoch['val_accuracy']:.4f}"
        for phase in history["phases"] for number, epoch in enumerate(phase["epochs"], 1)]
    assert lines == [line for line in wanted if line.startswith("epoch")]


def test_two_parts_of_one_folder(door, python_door, photos, shared):
    setting = [*photos[:2], *photos[4:], "--base", squeezenet(shared), "--image-size", "64x56"]
    code, out, err = door(*setting, "--loop", "custom")
    assert code == 0, err
    assert out == python_door(*setting)[1] and sum(bool(LINE.fullmatch(line)) for line in out.splitlines()) == 3


def test_missing_folder_is_named(door, photos, tmp_path):
    missing = tmp_path / "no such photos"
    code, out, err = door(*photos, "--data", missing, "--base", "squeezenet")
    assert code == 1 and out == ""
    assert str(missing) in err and "Traceback" not in err


def test_doors_have_the_same_flags(door, python_door):
    def flags(program):
        code, out, err = program("--help")
        assert code == 0, err
        return set(re.findall(r"^ *(--[a-z-]+)", out, re.MULTILINE))

    assert flags(door) == flags(python_door) - {"--help"} != set()
