"""libxfer through ctypes: where it is found, and the prototype of every function of xfer.h.

The library is loaded at the first call, so that parts which need none of it (the converter) work alone.
"""

import atexit
import collections
import ctypes
import os
import sys
import threading
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_double, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p

# The header's version these prototypes belong to.
ABI_MAJOR = 0

Handle = c_void_p
Out = POINTER(c_void_p)
Status = c_int32

DestroyFunction = CFUNCTYPE(None, c_void_p)
NextBatchFunction = CFUNCTYPE(c_int32, c_void_p, Out, Out, Out)
NextAllFunction = CFUNCTYPE(c_int32, c_void_p, Out, POINTER(c_size_t), Out, POINTER(c_size_t), Out, POINTER(c_size_t))
NextNamesFunction = CFUNCTYPE(c_int32, c_void_p, POINTER(POINTER(c_char_p)), POINTER(c_size_t))
MetricUpdateFunction = CFUNCTYPE(c_int32, c_void_p, Handle, Handle, Handle)
MetricResultFunction = CFUNCTYPE(c_double, c_void_p)
MetricResetFunction = CFUNCTYPE(None, c_void_p)
RestartFunction = CFUNCTYPE(c_int32, c_void_p, c_int64)
LogFunction = CFUNCTYPE(None, c_void_p, c_int32, c_char_p)
ScheduleFunction = CFUNCTYPE(c_double, c_void_p, c_uint64)
EventFunction = CFUNCTYPE(c_int32, c_void_p, c_int32, c_int64, c_int64, c_char_p)
KernelFunction = CFUNCTYPE(None)
FrameFunction = CFUNCTYPE(c_int32, c_void_p)

TRAINING = {None: -1, False: 0, True: 1}
ALL, TRAINABLE, NON_TRAINABLE = 0, 1, 2
TRAIN_BEGIN, EPOCH_BEGIN, BATCH_END, EPOCH_END, TRAIN_END = range(5)
BATCH_BEGIN, TEST_BEGIN, TEST_END, TEST_BATCH_BEGIN, TEST_BATCH_END = range(5, 10)
PREDICT_BEGIN, PREDICT_END, PREDICT_BATCH_BEGIN, PREDICT_BATCH_END = range(10, 14)
NO_EPOCHS = -1
F32, F64, BF16, F16, U8, I32, I64, BOOL = range(1, 9)


class FitOptions(Structure):
    """xfer_fit_options; make it with `FitOptions.new()`, which sets struct_size."""

    _fields_ = [
        ("struct_size", c_size_t),
        ("x", Handle), ("y", Handle), ("sample_weight", Handle),
        ("dataset", Handle),
        ("validation_x", Handle), ("validation_y", Handle),
        ("validation_dataset", Handle),
        ("validation_split", c_double),
        ("batch_size", c_int32),
        ("epochs", c_int32),
        ("initial_epoch", c_int32),
        ("no_shuffle", c_int32),
        ("verbose", c_int32),
        ("recompile_stale", c_int32),
        ("on_event", EventFunction),
        ("user", c_void_p),
        ("inputs", POINTER(c_void_p)), ("input_count", c_size_t),
        ("targets", POINTER(c_void_p)), ("target_count", c_size_t),
        ("sample_weights", POINTER(c_void_p)), ("sample_weight_count", c_size_t),
        ("validation_inputs", POINTER(c_void_p)), ("validation_input_count", c_size_t),
        ("validation_targets", POINTER(c_void_p)), ("validation_target_count", c_size_t),
        ("validation_sample_weights", POINTER(c_void_p)), ("validation_sample_weight_count", c_size_t),
        ("classes", POINTER(c_int64)), ("class_weights", POINTER(c_double)), ("class_weight_count", c_size_t),
        ("steps_per_epoch", c_int64),
        ("validation_steps", c_int64),
        ("validation_batch_size", c_int32),
        ("validation_freq", c_int32),
        ("validation_epochs", POINTER(c_int64)), ("validation_epoch_count", c_size_t),
        ("callbacks", POINTER(c_void_p)), ("callback_count", c_size_t),
        ("cache", c_int32), ("cache_folder", c_char_p), ("cache_bytes", c_int64), ("cache_dtype", c_int32), ("cache_variants", c_int32),
        ("memory_budget", c_int64),
    ]

    @classmethod
    def new(cls):
        return cls(struct_size=ctypes.sizeof(cls))


class CallTensor(Structure):
    """xfer_call_tensor."""

    _fields_ = [("data", c_void_p), ("dims", POINTER(c_int64)), ("count", c_int64), ("rank", c_int32), ("dtype", c_int32)]


class Call(Structure):
    """xfer_call."""

    _fields_ = [
        ("struct_size", c_size_t),
        ("user", c_void_p),
        ("is_backward", c_int32),
        ("n_inputs", c_uint32), ("n_outputs", c_uint32), ("n_attributes", c_uint32),
        ("inputs", POINTER(CallTensor)), ("outputs", POINTER(CallTensor)),
        ("attribute_names", POINTER(c_char_p)), ("attribute_values", POINTER(c_double)),
    ]

class CompileOptions(Structure):
    """xfer_compile_options; make it with `CompileOptions.new()`, which sets struct_size."""

    _fields_ = [
        ("struct_size", c_size_t),
        ("optimizer", Handle),
        ("losses", POINTER(c_void_p)), ("loss_count", c_size_t),
        ("loss_weights", POINTER(c_double)), ("loss_weight_count", c_size_t),
        ("metrics", POINTER(c_void_p)), ("metric_outputs", POINTER(c_int32)), ("metric_count", c_size_t),
        ("weighted_metrics", POINTER(c_void_p)), ("weighted_metric_outputs", POINTER(c_int32)), ("weighted_metric_count", c_size_t),
        ("output_names", POINTER(c_char_p)), ("output_name_count", c_size_t),
        ("keep_metrics", c_int32),
    ]

    new = classmethod(lambda cls: cls(struct_size=ctypes.sizeof(cls)))


_TEXT = (c_char_p, c_size_t, POINTER(c_size_t))  # buffer, capacity, *length
_SHAPE_OUT = (POINTER(c_int32), POINTER(c_int64))  # *rank, dims[8]
_HANDLES = POINTER(c_void_p)  # an array of handles

PROTOTYPES = {
    "xfer_last_error": (c_char_p, ()),
    "xfer_status_name": (c_char_p, (Status,)),
    "xfer_version_string": (c_char_p, ()),
    "xfer_abi_version": (c_uint32, ()),
    "xfer_set_threads": (Status, (c_int32,)),
    "xfer_get_threads": (c_int32, ()),
    "xfer_set_backend": (Status, (c_char_p,)),
    "xfer_set_precision": (Status, (c_char_p,)),
    "xfer_set_random_seed": (Status, (c_uint64,)),
    "xfer_set_log": (Status, (LogFunction, c_void_p, DestroyFunction)),
    "xfer_plugin_load": (Status, (c_char_p,)),
    "xfer_plugins_json": (Status, _TEXT),
    "xfer_tensor_create": (Status, (c_int32, c_int32, POINTER(c_int64), c_void_p, Out)),
    "xfer_tensor_wrap": (Status, (c_int32, c_int32, POINTER(c_int64), c_void_p, DestroyFunction, c_void_p, Out)),
    "xfer_tensor_describe": (Status, (Handle, POINTER(c_int32), *_SHAPE_OUT, POINTER(c_void_p))),
    "xfer_tensor_release": (None, (Handle,)),
    "xfer_input_create": (Status, (c_char_p, Out)),
    "xfer_symbol_shape": (Status, (Handle, *_SHAPE_OUT)),
    "xfer_symbol_release": (None, (Handle,)),
    "xfer_layer_create": (Status, (c_char_p, c_char_p, Out)),
    "xfer_layer_apply": (Status, (Handle, _HANDLES, c_size_t, c_int32, Out)),
    "xfer_layer_call": (Status, (Handle, _HANDLES, c_size_t, c_int32, Handle, Out)),
    "xfer_layer_losses": (Status, (Handle, Handle, _HANDLES, c_size_t, POINTER(c_size_t))),
    "xfer_layer_build": (Status, (Handle, c_int32, POINTER(c_int64))),
    "xfer_layer_set_call_arguments": (Status, (Handle, c_char_p)),
    "xfer_layer_apply_all": (Status, (Handle, _HANDLES, c_size_t, c_int32, Out, c_size_t, POINTER(c_size_t))),
    "xfer_layer_call_all": (Status, (Handle, _HANDLES, c_size_t, c_int32, Handle, Out, c_size_t, POINTER(c_size_t))),
    "xfer_layer_output_count": (Status, (Handle, POINTER(c_size_t))),
    "xfer_layer_adapt": (Status, (Handle, Handle, c_int32)),
    "xfer_layer_set": (Status, (Handle, c_char_p)),
    "xfer_layer_enable_lora": (Status, (Handle, c_char_p)),
    "xfer_layer_id": (Status, (Handle, POINTER(c_uint64))),
    "xfer_layer_config": (Status, (Handle, *_TEXT)),
    "xfer_layer_name": (Status, (Handle, *_TEXT)),
    "xfer_layer_set_trainable": (Status, (Handle, c_int32)),
    "xfer_layer_get_trainable": (Status, (Handle, POINTER(c_int32))),
    "xfer_layer_weight_count": (Status, (Handle, c_int32, POINTER(c_size_t))),
    "xfer_layer_weight": (Status, (Handle, c_int32, c_size_t, Out)),
    "xfer_layer_sublayer_count": (Status, (Handle, POINTER(c_size_t))),
    "xfer_layer_sublayer": (Status, (Handle, c_size_t, Out)),
    "xfer_layer_release": (None, (Handle,)),
    "xfer_kernel_register": (Status, (c_char_p, c_char_p, KernelFunction, c_void_p, DestroyFunction)),
    "xfer_kernel_set_backward": (Status, (c_char_p, c_char_p, KernelFunction, c_void_p, DestroyFunction)),
    "xfer_kernel_register_frame": (Status, (c_char_p, FrameFunction, c_void_p, DestroyFunction)),
    "xfer_kernel_set_backward_frame": (Status, (c_char_p, FrameFunction, c_void_p, DestroyFunction)),
    "xfer_kernel_unregister": (Status, (c_char_p,)),
    "xfer_kernels_json": (Status, _TEXT),
    "xfer_kernel_signature_json": (Status, (c_char_p, c_int32, *_TEXT)),
    "xfer_weight_path": (Status, (Handle, *_TEXT)),
    "xfer_weight_shape": (Status, (Handle, *_SHAPE_OUT)),
    "xfer_weight_trainable": (Status, (Handle, POINTER(c_int32))),
    "xfer_weight_read": (Status, (Handle, Out)),
    "xfer_weight_assign": (Status, (Handle, Handle)),
    "xfer_weight_id": (Status, (Handle, POINTER(c_uint64))),
    "xfer_weight_release": (None, (Handle,)),
    "xfer_model_create": (Status, (_HANDLES, c_size_t, _HANDLES, c_size_t, c_char_p, Out)),
    "xfer_sequential_create": (Status, (_HANDLES, c_size_t, c_char_p, Out)),
    "xfer_application_create": (Status, (c_char_p, c_char_p, Out)),
    "xfer_application_preprocess": (Status, (c_char_p, Handle, Out)),
    "xfer_model_load": (Status, (c_char_p, Out)),
    "xfer_model_load_with": (Status, (c_char_p, c_char_p, Out)),
    "xfer_model_save": (Status, (Handle, c_char_p)),
    "xfer_model_load_weights": (Status, (Handle, c_char_p, c_char_p, *_TEXT)),
    "xfer_model_save_weights": (Status, (Handle, c_char_p)),
    "xfer_model_save_delta": (Status, (Handle, c_char_p)),
    "xfer_model_load_delta": (Status, (Handle, c_char_p)),
    "xfer_model_to_json": (Status, (Handle, *_TEXT)),
    "xfer_model_audit": (Status, (Handle, *_TEXT)),
    "xfer_model_from_json": (Status, (c_char_p, Out)),
    "xfer_model_as_layer": (Status, (Handle, Out)),
    "xfer_layer_as_model": (Status, (Handle, Out)),
    "xfer_model_symbols": (Status, (Handle, Handle, c_int32, _HANDLES, c_size_t, POINTER(c_size_t))),
    "xfer_model_get_layer": (Status, (Handle, c_char_p, Out)),
    "xfer_model_set_metadata": (Status, (Handle, c_char_p)),
    "xfer_model_metadata": (Status, (Handle, *_TEXT)),
    "xfer_model_summary": (Status, (Handle, c_int32, c_int32, *_TEXT)),
    "xfer_model_summary_with": (Status, (Handle, c_char_p, *_TEXT)),
    "xfer_model_predict": (Status, (Handle, Handle, c_int32, Out)),
    "xfer_model_forecast": (Status, (Handle, c_int64, c_int32, c_char_p, *_TEXT)),
    "xfer_plan_report": (Status, (Handle, c_int32, c_int32, *_TEXT)),
    "xfer_plan_svg": (Status, (Handle, c_char_p, *_TEXT)),
    "xfer_model_release": (None, (Handle,)),
    "xfer_optimizer_create": (Status, (c_char_p, c_char_p, Out)),
    "xfer_optimizer_config": (Status, (Handle, *_TEXT)),
    "xfer_optimizer_get_learning_rate": (Status, (Handle, POINTER(c_double))),
    "xfer_optimizer_set_learning_rate": (Status, (Handle, c_double)),
    "xfer_optimizer_iterations": (Status, (Handle, POINTER(c_uint64))),
    "xfer_optimizer_apply": (Status, (Handle, _HANDLES, _HANDLES, c_size_t)),
    "xfer_optimizer_release": (None, (Handle,)),
    "xfer_optimizer_build": (Status, (Handle, _HANDLES, c_size_t)),
    "xfer_optimizer_rebind": (Status, (Handle, _HANDLES, c_size_t, c_int32)),
    "xfer_optimizer_exclude_from_weight_decay": (Status, (Handle, _HANDLES, c_size_t, c_char_p)),
    "xfer_optimizer_finalize": (Status, (Handle,)),
    "xfer_optimizer_set_schedule": (Status, (Handle, ScheduleFunction, c_void_p, DestroyFunction)),
    "xfer_optimizer_state_count": (Status, (Handle, POINTER(c_size_t))),
    "xfer_optimizer_state_name": (Status, (Handle, c_size_t, *_TEXT)),
    "xfer_optimizer_state_read": (Status, (Handle, c_size_t, Out)),
    "xfer_optimizer_state_assign": (Status, (Handle, c_size_t, Handle)),
    "xfer_schedule_value": (Status, (c_char_p, c_char_p, c_double, POINTER(c_double))),
    "xfer_initializer_call": (Status, (c_char_p, c_char_p, c_int32, POINTER(c_int64), Out)),
    "xfer_rule_call": (Status, (c_char_p, c_char_p, Handle, Out)),
    "xfer_loss_create": (Status, (c_char_p, c_char_p, Out)),
    "xfer_loss_config": (Status, (Handle, *_TEXT)),
    "xfer_loss_call": (Status, (Handle, Handle, Handle, Handle, Handle, Out)),
    "xfer_loss_release": (None, (Handle,)),
    "xfer_metric_create": (Status, (c_char_p, c_char_p, Out)),
    "xfer_metric_config": (Status, (Handle, *_TEXT)),
    "xfer_metric_update": (Status, (Handle, Handle, Handle, Handle)),
    "xfer_metric_result": (Status, (Handle, POINTER(c_double))),
    "xfer_metric_reset": (Status, (Handle,)),
    "xfer_metric_release": (None, (Handle,)),
    "xfer_metric_result_tensor": (Status, (Handle, Out)),
    "xfer_metric_state": (Status, (Handle, POINTER(c_double), c_size_t, POINTER(c_size_t))),
    "xfer_metric_set_state": (Status, (Handle, POINTER(c_double), c_size_t)),
    "xfer_metric_create_custom": (
        Status, (c_char_p, MetricUpdateFunction, MetricResultFunction, MetricResetFunction, c_void_p, DestroyFunction, Out)),
    "xfer_tape_create": (Status, (Out,)),
    "xfer_tape_gradient": (Status, (Handle, Handle, _HANDLES, c_size_t, _HANDLES)),
    "xfer_tape_release": (None, (Handle,)),
    "xfer_image_folder_open": (Status, (c_char_p, c_char_p, Out)),
    "xfer_dataset_info": (Status, (Handle, *_TEXT)),
    "xfer_dataset_create": (Status, (NextBatchFunction, RestartFunction, c_void_p, DestroyFunction, Out)),
    "xfer_dataset_next": (Status, (Handle, Out, Out)),
    "xfer_dataset_restart": (Status, (Handle, c_int64)),
    "xfer_dataset_release": (None, (Handle,)),
    "xfer_image_load": (Status, (c_char_p, c_char_p, Out)),
    "xfer_model_compile": (Status, (Handle, Handle, Handle, _HANDLES, c_size_t, Out)),
    "xfer_model_compiled": (Status, (Handle, Out, Out, Out, _HANDLES, c_size_t, POINTER(c_size_t))),
    "xfer_model_compile_config": (Status, (Handle, *_TEXT)),
    "xfer_trainer_fit": (Status, (Handle, POINTER(FitOptions), Out)),
    "xfer_phases_json": (Status, (c_char_p, *_TEXT)),
    "xfer_trainer_fit_phases": (Status, (Handle, c_char_p, c_char_p, POINTER(FitOptions), Out)),
    "xfer_trainer_lr_find": (Status, (Handle, c_char_p, POINTER(FitOptions), Out)),
    "xfer_history_json": (Status, (Handle, *_TEXT)),
    "xfer_history_release": (None, (Handle,)),
    "xfer_trainer_evaluate": (Status, (Handle, POINTER(FitOptions), *_TEXT)),
    "xfer_trainer_train_on_batch": (Status, (Handle, Handle, Handle, Handle, *_TEXT)),
    "xfer_trainer_test_on_batch": (Status, (Handle, Handle, Handle, Handle, *_TEXT)),
    "xfer_dataset_create_all": (Status, (NextAllFunction, RestartFunction, c_void_p, DestroyFunction, Out)),
    "xfer_dataset_identify": (Status, (Handle, NextNamesFunction)),
    "xfer_model_compile_all": (Status, (Handle, POINTER(CompileOptions), Out)),
    "xfer_model_predict_all": (Status, (Handle, POINTER(FitOptions), _HANDLES, c_size_t, POINTER(c_size_t))),
    "xfer_trainer_log_names": (Status, (Handle, *_TEXT)),
    "xfer_trainer_run_batch": (Status, (Handle, POINTER(FitOptions), c_int32, *_TEXT)),
    "xfer_trainer_set_stop_training": (Status, (Handle, c_int32)),
    "xfer_trainer_get_stop_training": (Status, (Handle, POINTER(c_int32))),
    "xfer_callback_create": (Status, (c_char_p, c_char_p, Out)),
    "xfer_callback_create_function": (Status, (EventFunction, c_void_p, DestroyFunction, Out)),
    "xfer_callback_set_log": (Status, (Handle, c_char_p, c_double)),
    "xfer_callback_facts": (Status, (Handle, *_TEXT)),
    "xfer_callback_release": (None, (Handle,)),
    "xfer_trainer_cancel": (Status, (Handle,)),
    "xfer_trainer_release": (None, (Handle,)),
}


# Warnings of the library's that Python has not heard yet: they come from any thread, in the middle of a call.
pending_warnings = collections.deque()


@LogFunction
def _take_log(user, level, message):
    text = message.decode(errors="replace")
    if level == 2:
        pending_warnings.append(text)
    else:
        print(f"xfer: {text}", file=sys.stderr)


def candidates():
    """The files to try, in order; the last one is a bare name for the system's loader."""
    if named := os.environ.get("XFER_LIBRARY"):
        return [named]
    package = os.path.dirname(os.path.abspath(__file__))
    parent = os.path.dirname(package)
    folders = [package, os.path.join(package, "lib"), parent]
    folders.append(os.path.join(os.path.dirname(parent), "lib"))          # an install tree: python/xfer, lib
    folders.append(os.path.join(os.path.dirname(parent), "dist", "lib"))  # a checkout: Python/xfer, dist/lib
    return [os.path.join(folder, "libxfer.so.1") for folder in folders] + ["libxfer.so.1"]


def load():
    """Finds, loads and declares the library. ImportError names every place that was tried."""
    tried = []
    for path in candidates():
        bare = os.path.basename(path) == path
        if not bare and not os.path.exists(path):
            tried.append(f"  {path}: no such file")
            continue
        try:
            library = ctypes.CDLL(path)
        except OSError as error:
            tried.append(f"  {path}: {error}")
            continue
        for name, (result, arguments) in PROTOTYPES.items():
            try:
                function = getattr(library, name)
            except AttributeError:
                raise ImportError(f"{path} has no function {name}: another version than this package") from None
            function.restype, function.argtypes = result, arguments
        version = library.xfer_abi_version()
        if version >> 16 != ABI_MAJOR:
            raise ImportError(f"{path} has ABI {version >> 16}.{version & 0xFFFF}, this package needs {ABI_MAJOR}.x")
        library.xfer_set_log(_take_log, None, DestroyFunction())
        # Nothing calls into an interpreter that is being torn down.
        atexit.register(library.xfer_set_log, LogFunction(), None, DestroyFunction())
        return library
    raise ImportError("libxfer.so.1 was not found (XFER_LIBRARY names it). Tried:\n" + "\n".join(tried))


class _Library:
    """The functions of libxfer as attributes; the first use loads it."""

    _lock = threading.Lock()

    def __getattr__(self, name):
        with self._lock:
            if "_loaded" not in self.__dict__:
                library = load()
                self.__dict__.update({n: getattr(library, n) for n in PROTOTYPES}, _loaded=library)
        try:
            return self.__dict__[name]
        except KeyError:
            raise AttributeError(name) from None


lib = _Library()


def library_path():
    """The file the library was loaded from (loads it if need be)."""
    lib.xfer_abi_version()
    return lib._loaded._name


def available():
    """Whether the library can be loaded."""
    try:
        lib.xfer_abi_version()
    except ImportError:
        return False
    return True
