"""Every function of xfer.h is declared in xfer/_c.py, argument by argument, and nothing else is."""

import ctypes
import re
from ctypes import POINTER, c_char_p, c_double, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path

import pytest

from xfer import _c

ROOT = Path(__file__).resolve().parents[2]
PLACES = [ROOT / "include" / "xfer.h", ROOT.parent / "include" / "xfer" / "xfer.h"]
NUMBERS = {
    "int32_t": c_int32, "int64_t": c_int64, "uint32_t": c_uint32, "uint64_t": c_uint64, "size_t": c_size_t, "double": c_double,
    "xfer_status": c_int32, "xfer_dtype": c_int32,
}
FUNCTIONS = {
    "xfer_destroy_fn": _c.DestroyFunction, "xfer_next_batch_fn": _c.NextBatchFunction, "xfer_restart_fn": _c.RestartFunction,
    "xfer_next_all_fn": _c.NextAllFunction, "xfer_next_names_fn": _c.NextNamesFunction, "xfer_schedule_fn": _c.ScheduleFunction, "xfer_log_fn": _c.LogFunction,
    "xfer_metric_update_fn": _c.MetricUpdateFunction,
    "xfer_metric_result_fn": _c.MetricResultFunction, "xfer_metric_reset_fn": _c.MetricResetFunction,
    "xfer_event_fn": _c.EventFunction, "xfer_kernel_fn": _c.KernelFunction, "xfer_frame_fn": _c.FrameFunction,
}

STRUCTURES = {"xfer_fit_options": _c.FitOptions, "xfer_compile_options": _c.CompileOptions}


@pytest.fixture(scope="module")
def header():
    for path in PLACES:
        if path.exists():
            return re.sub(r"/\*.*?\*/|//[^\n]*", " ", path.read_text(), flags=re.S)
    pytest.skip("include/xfer.h is absent")


def ctype(declaration, structs):
    """The ctypes type for one C parameter, member or result."""
    array = re.search(r"\[\d*\]\s*$", declaration) is not None
    text = re.sub(r"\[\d*\]\s*$|\bconst\b|\bstruct\b", " ", declaration)
    stars = text.count("*") + array
    name = re.match(r"\s*(\w+)", text).group(1)
    if name in FUNCTIONS:
        return FUNCTIONS[name]
    if name == "void":
        return [None, c_void_p, POINTER(c_void_p)][stars]
    if name == "char":
        return {1: c_char_p, 2: POINTER(c_char_p), 3: POINTER(POINTER(c_char_p))}[stars]
    if name in NUMBERS:
        return [NUMBERS[name], POINTER(NUMBERS[name])][stars]
    if name in STRUCTURES:
        return {1: POINTER(STRUCTURES[name])}[stars]
    assert name in structs, f"unknown type in the header: {declaration}"
    return {1: c_void_p, 2: POINTER(c_void_p)}[stars]


def test_every_function(header):
    structs = set(re.findall(r"typedef struct (xfer_\w+)\s+xfer_\w+;", header))
    pattern = r"^\s*((?:const\s+)?\w+\s*\*?)\s*\b(xfer_\w+)\s*\(([^()]*)\);"
    found = {}
    for result, name, parameters in re.findall(pattern, header, flags=re.M):
        arguments = [] if parameters.strip() == "void" else [p for p in parameters.split(",")]
        found[name] = (ctype(result, structs), tuple(ctype(p, structs) for p in arguments))
    assert len(found) > 80
    assert set(found) == set(_c.PROTOTYPES)
    for name, (result, arguments) in found.items():
        declared = _c.PROTOTYPES[name]
        assert declared[0] is result, f"{name} returns {result}, _c.py says {declared[0]}"
        assert tuple(declared[1]) == arguments, f"{name} takes {arguments}, _c.py says {declared[1]}"


def test_callbacks(header):
    structs = set(re.findall(r"typedef struct (xfer_\w+)\s+xfer_\w+;", header))
    found = re.findall(r"typedef\s+(\w+)\s+\(\*(xfer_\w+_fn)\)\(([^()]*)\);", header)
    assert {name for _, name, _ in found} == set(FUNCTIONS)
    for result, name, parameters in found:
        function = FUNCTIONS[name]
        assert function._restype_ is ctype(result, structs)
        arguments = [] if parameters.strip() == "void" else parameters.split(",")
        assert function._argtypes_ == tuple(ctype(p, structs) for p in arguments)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_structures(header, structure):
    structs = set(re.findall(r"typedef struct (xfer_\w+)\s+xfer_\w+;", header))
    body = re.search(r"typedef struct %s \{(.*?)\}" % structure, header, flags=re.S).group(1)
    members = []
    for declaration in filter(str.strip, body.split(";")):
        base, declarators = re.match(r"\s*(?:const\s+)?(\w+)\s*(.*)", declaration, flags=re.S).groups()
        for declarator in declarators.split(","):
            name = re.findall(r"\w+", declarator.replace("const", " "))[-1]
            members.append((name, ctype(f"{base} {'*' * declarator.count('*')}", structs)))
    declared = STRUCTURES[structure]
    assert members == [(name, kind) for name, kind in declared._fields_]
    assert declared.new().struct_size == ctypes.sizeof(declared)


def test_constants(header):
    defined = {n: int(v) for n, v in re.findall(r"#define XFER_(\w+)\s+\(\(xfer_(?:status|dtype)\)(\d+)\)", header)}
    from xfer import _errors

    for name, value in defined.items():
        if name.startswith("E_"):
            assert getattr(_errors, name[2:]) == value
        elif name != "OK":
            assert getattr(_c, name) == value
    version = re.search(r"XFER_VERSION_MAJOR (\d+)", header).group(1)
    assert _c.ABI_MAJOR == int(version)


def test_the_library_has_them_all(library):
    for name in _c.PROTOTYPES:
        assert getattr(library, name).argtypes == list(_c.PROTOTYPES[name][1]) or getattr(library, name).argtypes == _c.PROTOTYPES[name][1]
