"""A pickle reader that cannot run anything.

``pickle.Unpickler`` with an allowlist still lets a file size memos and buffers, and it keeps the whole
instruction set within reach. A state dict needs two dozen instructions; this reader knows those, builds
plain dicts, lists, tuples, strings and numbers, and answers "refused" to everything else. Names of
classes become inert markers; only two of them can be "called", and both calls only fill a record.
"""

import pickletools
import reprlib
from dataclasses import dataclass
from typing import Any, Tuple

from ._errors import ConversionError

# Element types of the storages a checkpoint may hold: numpy's little-endian spelling of each.
STORAGE_DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "|i1",
    "ByteStorage": "|u1",
    "BoolStorage": "|b1",
}

_MARK = object()
_DICT = ("collections", "OrderedDict")
_TENSOR = ("torch._utils", "_rebuild_tensor_v2")
_PARAMETER = ("torch._utils", "_rebuild_parameter")


@dataclass(frozen=True)
class Name:
    """The name of a class or function in the file; never imported, never called."""

    module: str
    name: str

    def __str__(self):
        return f"{self.module}.{self.name}"


@dataclass(frozen=True)
class StorageRef:
    """A storage by its key: `count` elements of type `dtype` that follow elsewhere in the file.

    `view` is (first element, count) inside the storage, or None for all of it.
    """

    key: str
    dtype: str
    count: int
    view: Any = None


@dataclass(frozen=True)
class TensorRecord:
    """A strided window on a storage, all in elements."""

    storage: StorageRef
    offset: int
    shape: Tuple[int, ...]
    strides: Tuple[int, ...]


def _allowed(module, name):
    if (module, name) in (_DICT, _TENSOR, _PARAMETER):
        return True
    return module == "torch" and name in STORAGE_DTYPES


def _whole(value):
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63


# A few bytes of pickle can share one tuple a billion times over: printing has to stop early.
show = reprlib.repr


def _storage(reference):
    """The ("storage", type, key, device, count[, view]) tuple of a persistent id, checked."""
    if not isinstance(reference, tuple) or len(reference) not in (5, 6) or reference[0] != "storage":
        raise ConversionError(f"an unknown persistent id in the pickle: {show(reference)}")
    kind, key, count = reference[1], reference[2], reference[4]
    view = reference[5] if len(reference) == 6 else None
    if not isinstance(kind, Name) or kind.module != "torch" or kind.name not in STORAGE_DTYPES:
        raise ConversionError(f"a storage of unknown type {show(kind)}")
    if not isinstance(key, str) or not _whole(count):
        raise ConversionError(f"a storage with key {show(key)} and count {show(count)}")
    if view is not None:
        if not isinstance(view, tuple) or len(view) != 3 or not _whole(view[1]) or not _whole(view[2]):
            raise ConversionError(f"storage {show(key)} has a malformed view {show(view)}")
        view = (view[1], view[2])
    return StorageRef(key, STORAGE_DTYPES[kind.name], count, view)


def _call(function, arguments):
    """The result of REDUCE for the three names that have one."""
    if not isinstance(function, Name) or not isinstance(arguments, tuple):
        raise ConversionError(f"the pickle calls {show(function)}, which is not a name: refused")
    target = (function.module, function.name)
    if target == _DICT and arguments == ():
        return {}
    if target == _PARAMETER and arguments and isinstance(arguments[0], TensorRecord):
        return arguments[0]
    if target == _TENSOR and len(arguments) >= 4:
        storage, offset, shape, strides = arguments[:4]
        sound = isinstance(storage, StorageRef) and _whole(offset)
        sound = sound and isinstance(shape, tuple) and isinstance(strides, tuple)
        if sound and len(shape) == len(strides) <= 8 and all(map(_whole, shape + strides)):
            return TensorRecord(storage, offset, shape, strides)
        raise ConversionError(f"a malformed tensor record: {show(arguments)}")
    raise ConversionError(f"the pickle calls {function} with {len(arguments)} arguments: refused")


class _Machine:
    """The stack and memo; one method an instruction, named as pickletools names it."""

    def __init__(self):
        self.stack = []
        self.memo = {}

    def run(self, source):
        try:
            for instruction, argument, position in pickletools.genops(source):
                if instruction.name == "STOP":
                    return self.pop()
                action = getattr(self, "op_" + instruction.name, None)
                if action is None:
                    raise ConversionError(f"the pickle instruction {instruction.name} at byte {position} is refused")
                action(argument)
        except ConversionError:
            raise
        except (ValueError, IndexError, KeyError, TypeError, OverflowError, AttributeError) as error:
            raise ConversionError(f"the pickle is truncated or damaged: {error}") from None
        raise ConversionError("the pickle is truncated: it has no end")

    def pop(self):
        value = self.stack.pop()
        if value is _MARK:
            raise ValueError("a mark where a value belongs")
        return value

    def top(self, kind):
        value = self.stack[-1]
        if type(value) is not kind:
            raise ValueError(f"expected a {kind.__name__} on the stack")
        return value

    def to_mark(self):
        items = []
        while (value := self.stack.pop()) is not _MARK:
            items.append(value)
        items.reverse()
        return items

    def op_PROTO(self, version):
        if version > 5:
            raise ConversionError(f"pickle protocol {version} is unknown")

    def op_FRAME(self, _):
        pass

    def op_MARK(self, _):
        self.stack.append(_MARK)

    def push(self, value):
        self.stack.append(value)

    op_BININT = op_BININT1 = op_BININT2 = op_LONG1 = push
    op_BINUNICODE = op_SHORT_BINUNICODE = op_BINFLOAT = push

    def op_NONE(self, _):
        self.push(None)

    def op_NEWTRUE(self, _):
        self.push(True)

    def op_NEWFALSE(self, _):
        self.push(False)

    def op_EMPTY_DICT(self, _):
        self.push({})

    def op_EMPTY_LIST(self, _):
        self.push([])

    def op_EMPTY_TUPLE(self, _):
        self.push(())

    def op_TUPLE(self, _):
        self.push(tuple(self.to_mark()))

    def take(self, count):
        values = [self.pop() for _ in range(count)]
        self.push(tuple(reversed(values)))

    def op_TUPLE1(self, _):
        self.take(1)

    def op_TUPLE2(self, _):
        self.take(2)

    def op_TUPLE3(self, _):
        self.take(3)

    def op_APPEND(self, _):
        value = self.pop()
        self.top(list).append(value)

    def op_APPENDS(self, _):
        values = self.to_mark()
        self.top(list).extend(values)

    def set(self, items):
        # Hashing a shared tuple takes as long as printing it: keys are plain.
        if len(items) % 2 or not all(isinstance(key, (str, int)) for key in items[::2]):
            raise ValueError("a dict with a missing value or a key that is neither text nor a number")
        self.top(dict).update(zip(items[::2], items[1::2]))

    def op_SETITEM(self, _):
        value, key = self.pop(), self.pop()
        self.set([key, value])

    def op_SETITEMS(self, _):
        self.set(self.to_mark())

    def op_MEMOIZE(self, _):
        self.memo[len(self.memo)] = self.stack[-1]

    def remember(self, index):
        self.memo[index] = self.stack[-1]

    op_BINPUT = op_LONG_BINPUT = remember

    def recall(self, index):
        self.push(self.memo[index])

    op_BINGET = op_LONG_BINGET = recall

    def name(self, module, name):
        if not _allowed(module, name):
            raise ConversionError(
                f"the pickle names {module}.{name}, which is not part of a plain state dict: refused")
        self.push(Name(module, name))

    def op_GLOBAL(self, argument):
        module, _, name = argument.partition(" ")
        self.name(module, name)

    def op_STACK_GLOBAL(self, _):
        name, module = self.pop(), self.pop()
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("a class whose name is no text")
        self.name(module, name)

    def op_REDUCE(self, _):
        arguments, function = self.pop(), self.pop()
        self.push(_call(function, arguments))

    def op_BINPERSID(self, _):
        self.push(_storage(self.pop()))

    def op_BUILD(self, _):
        # State dicts carry their modules' versions as an attribute: nothing here needs it.
        state = self.pop()
        self.top(dict)
        if type(state) is not dict:
            raise ConversionError("the pickle sets the state of an object with something else than a dict: refused")


def read_pickle(source):
    """The value of the pickle that starts at `source`'s position; `source` then stands behind it.

    `source` has read, readline and tell, as a file or an mmap has. Raises ConversionError for
    anything that is not a plain state dict.
    """
    return _Machine().run(source)
