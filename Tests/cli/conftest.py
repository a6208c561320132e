"""The command under test and small image folders for it.

XFER_BIN names the command; without it, that of the staged tree dist/ is taken. Tests are skipped when there is none.
"""

import os
import random
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COLOURS = {"blue": (30, 40, 200), "green": (30, 190, 50), "red": (210, 40, 30)}


def png(path, size, colour, noise):
    """An RGB picture of one colour with noise, written by hand: signature, header, one block of rows, end."""
    rows = bytearray()
    for _ in range(size):
        rows.append(0)
        for _ in range(size):
            rows += bytes(min(255, max(0, channel + noise.randint(-25, 25))) for channel in colour)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(rows))) + chunk(b"IEND", b""))


def folder(root, classes, count, seed):
    noise = random.Random(seed)
    for name in classes:
        (root / name).mkdir(parents=True)
        for index in range(count):
            png(root / name / f"{index}.png", 40, COLOURS[name], noise)
    return root


@pytest.fixture(scope="session")
def binary():
    path = Path(os.environ.get("XFER_BIN") or ROOT / "dist" / "bin" / "xfer")
    if not os.access(path, os.X_OK):
        pytest.skip(f"no command at {path}: set XFER_BIN, or stage one by `make build`")
    return path.resolve()


@pytest.fixture(scope="session")
def xfer(binary):
    """Runs the command; gives exit code, stdout and stderr."""

    def run(*arguments, cwd=None):
        done = subprocess.run([binary, *map(str, arguments)], capture_output=True, text=True, timeout=300, cwd=cwd)
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Three classes, eight pictures each."""
    return folder(tmp_path_factory.mktemp("photos") / "train", COLOURS, 8, seed=1)


@pytest.fixture(scope="session")
def two_classes(tmp_path_factory):
    return folder(tmp_path_factory.mktemp("two") / "train", ["blue", "red"], 8, seed=2)
