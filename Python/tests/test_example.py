"""Examples/python/transfer.py: both loops print the same digits, and the frozen base stays."""

import pytest
from doors import EXAMPLE, LINE, run_python, small_photos, squeezenet


@pytest.fixture(scope="module")
def setting(library, shared, tmp_path_factory):
    if not EXAMPLE.exists():
        pytest.skip(f"{EXAMPLE} is absent")
    return [*small_photos(shared, tmp_path_factory.mktemp("photos"), ("glass", "paper")), "--base", squeezenet(shared)]


def test_both_loops_print_the_same(setting, tmp_path):
    outputs = []
    for loop in ("fit", "custom"):
        code, out, err = run_python(*setting, "--loop", loop, "--out", tmp_path / "model.keras")
        assert code == 0, err
        lines = out.splitlines()
        assert sum(bool(LINE.fullmatch(line)) for line in lines) == 3 and sum("bit-equal" in line for line in lines) == 2
        assert (tmp_path / "model.keras").exists()
        outputs.append(lines)
    assert outputs[0] == outputs[1]
    assert run_python(*setting, "--loop", "fit")[1].splitlines() == outputs[0][:-1]


def test_wrong_arguments(setting, tmp_path):
    code, out, err = run_python(*setting, "--base", "vgg")
    assert code == 1 and "xception" in err and out == ""
    code, out, err = run_python(*setting, "--data", tmp_path / "absent")
    assert code == 1 and "absent" in err and "Traceback" not in err
    assert run_python()[0] == 2
