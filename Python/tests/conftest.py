"""What the tests need beside the package: the library, and the shared reference data; absent ones skip with a clear line."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from xfer import _c

# A shell's background jobs are started deaf to Ctrl-C, and so would be the programs that are interrupted here.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def shared_folder():
    """The reference data: XFER_SHARED, or `shared` beside the checkout."""
    named = os.environ.get("XFER_SHARED")
    folder = Path(named) if named else Path(__file__).resolve().parents[3] / "shared"
    return folder if folder.is_dir() else None


@pytest.fixture(scope="session")
def library():
    if not _c.available():
        pytest.skip("libxfer.so.1 is not built: set XFER_LIBRARY or make build")
    return _c.lib


@pytest.fixture
def keras(library):
    """The package, seeded."""
    import xfer

    xfer.set_random_seed(0)
    return xfer


@pytest.fixture(scope="session")
def shared():
    folder = shared_folder()
    if folder is None:
        pytest.skip("the reference data is absent: set XFER_SHARED")
    return folder


@pytest.fixture(scope="session")
def xception_weights(shared):
    path = shared / "reference" / "xception" / "xception_notop_legacy.h5"
    if not path.exists():
        pytest.skip(f"{path} is absent")
    return path


@pytest.fixture
def blobs():
    """64 points of two classes around (±1, ±1, ±1, ±1), float32, and their class numbers."""
    generator = np.random.default_rng(3)
    labels = (np.arange(64) % 2).astype(np.int32)
    points = (labels[:, None] * 2 - 1 + 0.5 * generator.standard_normal((64, 4))).astype(np.float32)
    return points, labels
