"""Writes Tests/goldens/models/*.json: small models trained by Keras, for Python/tests/test_goldens.py.

    KERAS' python Tests/goldens/make_models.py     (keras 3.15.1, tensorflow 2.21; XFER_LIBRARY names libxfer)

The models are those cases of Tests/parity that are small, some of each kind of nesting, until every layer, loss and optimizer that Xfer had when this ran
occurs. Arrays are base64 of little-endian float32 or int32. Xfer is asked what it knows, never for a number.
"""

import base64
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "parity"))

import cases
import run
from support import Difference, XferError, np, serialized

FOLDER = Path(__file__).parent / "models"
LIMIT, SEARCHED = 18, 80


def packed(array):
    array = np.asarray(array)
    array = array.astype("<i4" if array.dtype.kind in "iu" else "<f4")
    return {"shape": list(array.shape), "dtype": array.dtype.name, "data": base64.b64encode(array.tobytes()).decode()}


def document(case, expected):
    def named(thing):
        if isinstance(thing, str):
            return thing
        class_name, config = serialized(thing)
        return {"class_name": class_name, "config": config}

    fit = dict(case.fit)
    if "sample_weight" in fit:
        fit["sample_weight"] = packed(fit["sample_weight"])
    return {
        "case": case.number, "what": case.describe, "point": 6 if case.by_hand else None, "config": json.loads(case.config),
        "freezes": case.freezes, "x": packed(case.x), "y": packed(case.y), "weights": [packed(w) for w in case.weights],
        "optimizer": named(case.optimizer), "loss": named(case.loss), "metrics": [named(m) for m in case.metrics], "fit": fit,
        "validation": None if case.validation is None else [packed(v) for v in case.validation],
        "expected": {
            "counts": expected["counts"], "predict": packed(expected["predict"]),
            "evaluate": {k: float(v) for k, v in expected["evaluate"].items()},
            "history": {k: [float(n) for n in v] for k, v in expected["history"].items()},
            "weights": [packed(w) for w in expected["weights"]],
        },
    }


def main():
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.json"):
        old.unlink()
    covered, kept, kinds = set(), 0, {}
    for number in range(SEARCHED):
        case = cases.make(number)
        if isinstance(case.x, list) or isinstance(case.y, list) or case.weighted_metrics is not None:
            continue
        size = sum(w.size for w in case.weights) * 2 + case.x.size
        new = case.draw.used - covered
        # Each file brings something: a class not seen yet, or one more of a rare nesting.
        if size > 4500 or not (len(new) >= 1 and kept < LIMIT or kinds.get(case.nesting, 0) < 2):
            continue
        expected = run.run_keras(case)
        if not run.sane(expected) or run.conditioned(case, expected) > 0.02:
            continue
        try:
            run.Movement(case, expected).check("naive", False)
        except (Difference, XferError) as error:
            print(f"case {number} is left out: {error}")
            continue
        covered |= case.draw.used
        kept += 1
        kinds[case.nesting] = kinds.get(case.nesting, 0) + 1
        name = f"{case.nesting.replace(', ', '_').replace(' ', '_')}_{number}.json"
        (FOLDER / name).write_text(json.dumps(document(case, expected), separators=(",", ":")) + "\n")
        print(name, case.describe, sorted(n for _, n in new))
    print(f"{kept} models, {sum(p.stat().st_size for p in FOLDER.glob('*.json')) // 1024} KB")


if __name__ == "__main__":
    main()
