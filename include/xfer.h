/* xfer.h - transfer learning as a C library: load a pretrained network, freeze it, put a new head on
 * it, train the head, unfreeze, fine-tune, save.
 *
 *     xfer_model *base, *model;
 *     xfer_application_create("Xception", "{\"weights\":\"xception.h5\",\"input_shape\":[150,150,3]}", &base);
 *     xfer_layer *trunk, *pool, *dense;
 *     xfer_model_as_layer(base, &trunk);
 *     xfer_layer_set_trainable(trunk, 0);
 *     xfer_symbol *x, *in;
 *     xfer_input_create("{\"shape\":[150,150,3]}", &in);
 *     xfer_layer_apply(trunk, (const xfer_symbol *const *)&in, 1, 0, &x);  // training=False, for good
 *     ...
 *
 * Rules that hold throughout
 *   Status     Functions return XFER_OK or an XFER_E_ code. Results go to out-parameters, which stay
 *              untouched on failure. xfer_last_error() then says, for the calling thread, which
 *              argument was wrong, what was given and what was wanted. Nothing aborts the process or
 *              prints to stdout; progress bars go to stderr, and so do warnings (xfer_set_log).
 *   Handles    Opaque and reference-counted. What a call gives out is yours: hand it back by
 *              xfer_X_release (NULL is fine), in any order; an object lives while anything uses it.
 *              Every call checks its handles: a released or foreign one is XFER_E_INVALID_HANDLE.
 *   Threads    Distinct handles are independent; one handle is used by one thread at a time, except
 *              xfer_trainer_cancel, which may come from any thread or a signal handler's thread.
 *   Strings    UTF-8. Texts come by size-query-then-fill: *length is set to the bytes needed without the
 *              final 0, and at most capacity bytes, always 0-terminated, are written to buffer (NULL with
 *              capacity 0 asks for the length only). A buffer too small is not an error.
 *   Structs    Those a caller fills begin with size_t struct_size = sizeof(the struct) and are
 *              appended to only; fill the rest with 0 for the defaults.
 *   Callbacks  fn + void *user + destroy: destroy(user), if given, runs once when fn is needed no more.
 *   Tensors    Dense and row-major, images NHWC. Dimensions are int64_t; -1 stands for "any" where a
 *              shape of layers, not of data, is meant. Counts are size_t, truth values int32_t.
 *   Names      Layers, optimizers, losses and metrics are made by Keras class name and the JSON of
 *              Keras' get_config(); keys left out take Keras' defaults; an unknown class or key is an error
 *              that names the nearest known one.
 */
#ifndef XFER_H
#define XFER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define XFER_VERSION_MAJOR 0
#define XFER_VERSION_MINOR 1
#define XFER_VERSION_PATCH 0

/* ---- Status -------------------------------------------------------------------------------- */

#ifndef XFER_STATUS_DEFINED
#define XFER_STATUS_DEFINED
typedef int32_t xfer_status;
#endif
#define XFER_OK                   ((xfer_status)0)
#define XFER_E_INVALID_ARGUMENT   ((xfer_status)1)  /* a value outside its documented range       */
#define XFER_E_INVALID_HANDLE     ((xfer_status)2)  /* released, foreign or NULL handle           */
#define XFER_E_SHAPE              ((xfer_status)3)  /* shapes do not fit each other               */
#define XFER_E_DTYPE              ((xfer_status)4)  /* an element type that cannot serve here     */
#define XFER_E_NOT_FOUND          ((xfer_status)5)  /* no such file, class, layer, weight, option */
#define XFER_E_IO                 ((xfer_status)6)  /* the system refused a read or a write       */
#define XFER_E_FORMAT             ((xfer_status)7)  /* a file is truncated, damaged or hostile    */
#define XFER_E_UNSUPPORTED        ((xfer_status)8)  /* understood, but nothing here can do it     */
#define XFER_E_PLUGIN             ((xfer_status)9)  /* a plugin is missing or was refused         */
#define XFER_E_OUT_OF_MEMORY      ((xfer_status)10)
#define XFER_E_CANCELLED          ((xfer_status)11) /* a callback or xfer_trainer_cancel said so  */
#define XFER_E_STALE_TRAINABLE    ((xfer_status)12) /* trainable changed since compile            */
#define XFER_E_NOT_COMPILED       ((xfer_status)13)
#define XFER_E_NON_FINITE         ((xfer_status)14) /* NaN or infinity where numbers are needed   */
#define XFER_E_DATA               ((xfer_status)15) /* an empty data set, labels out of range ... */
#define XFER_E_STATE              ((xfer_status)16) /* called in an order that makes no sense     */
#define XFER_E_INTERNAL           ((xfer_status)17) /* a bug in Xfer: please report it            */

/* The last failure's text on this thread, "" when there was none. Lives until this thread's next
 * failing call. */
const char *xfer_last_error(void);
/* "XFER_E_SHAPE" ...; "XFER_E_UNKNOWN" for other numbers. Static. */
const char *xfer_status_name(xfer_status status);

/* ---- The library ----------------------------------------------------------------------------- */

const char *xfer_version_string(void);            /* "0.1.0"; static                               */
uint32_t    xfer_abi_version(void);               /* major << 16 | minor of this header's library  */

xfer_status xfer_set_threads(int32_t threads);    /* 0: all cores (the default; XFER_THREADS)      */
int32_t     xfer_get_threads(void);
/* "auto", "naive", "simd", "blas" or a plugin's name: asked first for each op by plans made from now
 * on (the default: XFER_BACKEND, else auto). XFER_E_PLUGIN with the reason when it is not there. */
xfer_status xfer_set_backend(const char *name);
/* "float32" (or "f32"; the default: XFER_PRECISION, else this) or "bfloat16" ("bf16"): how exact the products
 * of convolutions, dense layers and their gradients are in models compiled, or run without compile, from now on. With bfloat16
 * their factors are rounded to 8 bits of fraction and sums are float32, up to 3.5 times as fast on CPUs with AMX and 1.8 times
 * with AMD's AVX-512 BF16; images that layers hand to each other are kept so too, in half the memory, where a backend takes them.
 * Weights, optimizers, what normalization computes, losses and a model's inputs and outputs stay float32, and no loss scaling is
 * needed.
 * XFER_E_INVALID_ARGUMENT for another name. */
xfer_status xfer_set_precision(const char *name);
/* Seeds initializers, shuffling and dropout of what is made from now on (default 0). */
xfer_status xfer_set_random_seed(uint64_t seed);
typedef void (*xfer_destroy_fn)(void *user);
/* Takes warnings and what XFER_LOG asks for in place of stderr, from any thread; level 0 debug, 1 info, 2 warning, 3 error. The message
 * lives during the call, which must not call the library. NULL: stderr again. Mistakes that would train without an error and end badly
 * are warned of once a model: see docs/warnings.md. */
typedef void (*xfer_log_fn)(void *user, int32_t level, const char *message);
xfer_status xfer_set_log(xfer_log_fn function, void *user, xfer_destroy_fn destroy);
/* Loads one plugin file now. */
xfer_status xfer_plugin_load(const char *path);
/* {"plugins":[{"kind","name","version","score","path"}],"rejected":[{"path","reason"}],"search_path":[...]} */
xfer_status xfer_plugins_json(char *buffer, size_t capacity, size_t *length);

/* ---- Tensors --------------------------------------------------------------------------------- */

#ifndef XFER_DTYPE_DEFINED
#define XFER_DTYPE_DEFINED
typedef int32_t xfer_dtype;
#endif
#define XFER_F32   ((xfer_dtype)1)
#define XFER_F64   ((xfer_dtype)2)
#define XFER_BF16  ((xfer_dtype)3)
#define XFER_F16   ((xfer_dtype)4)
#define XFER_U8    ((xfer_dtype)5)
#define XFER_I32   ((xfer_dtype)6)
#define XFER_I64   ((xfer_dtype)7)
#define XFER_BOOL  ((xfer_dtype)8)

typedef struct xfer_tensor xfer_tensor;

/* A copy of `data`, or zeros when it is NULL. rank 0...8. */
xfer_status xfer_tensor_create(xfer_dtype dtype, int32_t rank, const int64_t *dims, const void *data, xfer_tensor **tensor);
/* A caller's memory, not copied: it must stay valid and unchanged until destroy(user) is called. */
xfer_status xfer_tensor_wrap(xfer_dtype dtype, int32_t rank, const int64_t *dims, void *data,
                             xfer_destroy_fn destroy, void *user, xfer_tensor **tensor);
/* Any out-parameter may be NULL. dims takes 8 numbers. *data lives as long as the tensor. */
xfer_status xfer_tensor_describe(const xfer_tensor *tensor, xfer_dtype *dtype, int32_t *rank, int64_t dims[8], void **data);
void        xfer_tensor_release(xfer_tensor *tensor);

/* ---- Layers and symbols ------------------------------------------------------------------------
 * A symbol is the output of a layer, shape without data: calling layers on symbols builds a model. */

typedef struct xfer_layer  xfer_layer;
typedef struct xfer_symbol xfer_symbol;
typedef struct xfer_weight xfer_weight;
typedef struct xfer_tape   xfer_tape;

enum { XFER_TRAINING_DEFAULT = -1, XFER_TRAINING_FALSE = 0, XFER_TRAINING_TRUE = 1 };
enum { XFER_WEIGHTS_ALL = 0, XFER_WEIGHTS_TRAINABLE = 1, XFER_WEIGHTS_NON_TRAINABLE = 2 };

/* {"shape":[150,150,3],"dtype":"float32","name":"image"}: the shape without the batch dimension. */
xfer_status xfer_input_create(const char *config, xfer_symbol **symbol);
/* The shape with the batch dimension, -1 where it is open. dims takes 8 numbers. */
xfer_status xfer_symbol_shape(const xfer_symbol *symbol, int32_t *rank, int64_t dims[8]);
void        xfer_symbol_release(xfer_symbol *symbol);

/* ("Conv2D", "{\"filters\":32,\"kernel_size\":3}"); config NULL or "" for all defaults. */
xfer_status xfer_layer_create(const char *class_name, const char *config, xfer_layer **layer);
/* Calls the layer on symbols. `training` is Keras' call argument: an explicit value wins over that
 * of the enclosing call for good, also inside nested models. */
xfer_status xfer_layer_apply(xfer_layer *layer, const xfer_symbol *const *inputs, size_t count, int32_t training, xfer_symbol **output);
/* Calls the layer on data. With a tape (NULL: none) the call is recorded for xfer_tape_gradient. */
xfer_status xfer_layer_call(xfer_layer *layer, xfer_tensor *const *inputs, size_t count, int32_t training, xfer_tape *tape, xfer_tensor **output);
/* The same of layers with several outputs, models among them: outputs has room for `capacity` handles, *output_count
 * is set to how many there are. XFER_E_INVALID_ARGUMENT when there are more. */
xfer_status xfer_layer_apply_all(xfer_layer *layer, const xfer_symbol *const *inputs, size_t count, int32_t training,
                                 xfer_symbol **outputs, size_t capacity, size_t *output_count);
xfer_status xfer_layer_call_all(xfer_layer *layer, xfer_tensor *const *inputs, size_t count, int32_t training, xfer_tape *tape,
                                xfer_tensor **outputs, size_t capacity, size_t *output_count);
/* Keras' call arguments besides the inputs and `training`, for the calls that follow: {"use_causal_mask":true,
 * "return_attention_scores":true} of MultiHeadAttention. "inputs":["query","value","attention_mask"] names the inputs
 * where they are not the first ones in Keras' order. NULL or "" for none; unknown ones are XFER_E_INVALID_ARGUMENT. A
 * call on symbols keeps the arguments it was made with. */
xfer_status xfer_layer_set_call_arguments(xfer_layer *layer, const char *arguments);
/* What the layer adds to the loss: the penalties on its outputs at its last call on data, then one scalar for each trainable weight
 * with a regularizer. With a tape the penalties on weights can be differentiated. values NULL asks for the count alone. */
xfer_status xfer_layer_losses(xfer_layer *layer, xfer_tape *tape, xfer_tensor **values, size_t capacity, size_t *count);
/* How many outputs a call has: 1 but for models with more and layers that say so. */
xfer_status xfer_layer_output_count(const xfer_layer *layer, size_t *count);
/* Makes the weights for inputs of this shape (with the batch dimension; -1 where open). */
xfer_status xfer_layer_build(xfer_layer *layer, int32_t rank, const int64_t *dims);
/* Normalization learns mean and variance from a batch; `more` 1 adds it to the batches of the calls before, 0 begins
 * anew. Builds the layer if need be. XFER_E_UNSUPPORTED for layers of other classes. */
xfer_status xfer_layer_adapt(xfer_layer *layer, const xfer_tensor *data, int32_t more);
/* Changes values of the config of a layer that stands: {"rate":0.25} of Dropout, {"momentum":0.9,"epsilon":1e-5} of
 * BatchNormalization, {"activation":"relu"} of Dense, convolutions and Activation. Takes effect at once. All other values are fixed: XFER_E_UNSUPPORTED. */
xfer_status xfer_layer_set(xfer_layer *layer, const char *settings);
/* Low-rank adaptation (Hu et al. 2021) as Keras' enable_lora: config {"rank":8,"lora_alpha":8,"a_initializer":"he_uniform","b_initializer":"zeros"},
 * of which rank is required. The kernel of a Dense or Conv2D (the table of an Embedding) is trained no more; lora_kernel_a [..., rank] and
 * lora_kernel_b [rank, last dimension] are, from the next compile on, and lora_alpha / rank times their product is added to it. Outputs are at
 * first what they were. Files hold the sum as the kernel, and no matrices. XFER_E_STATE before the layer is built and the second time,
 * XFER_E_INVALID_ARGUMENT for a kernel with a constraint, XFER_E_UNSUPPORTED for other classes. A model adapts the layers within, all that can
 * be or those named by "layers":[...], and freezes everything else of it. */
xfer_status xfer_layer_enable_lora(xfer_layer *layer, const char *config);
/* A number: the same for all handles on one layer, and never another layer's. */
xfer_status xfer_layer_id(const xfer_layer *layer, uint64_t *id);
/* {"class_name":..., "config":{...}} as Keras writes it. */
xfer_status xfer_layer_config(const xfer_layer *layer, char *buffer, size_t capacity, size_t *length);
xfer_status xfer_layer_name(const xfer_layer *layer, char *buffer, size_t capacity, size_t *length);
/* Setting recurses to all layers within. Takes effect at the next xfer_model_compile. */
xfer_status xfer_layer_set_trainable(xfer_layer *layer, int32_t trainable);
xfer_status xfer_layer_get_trainable(const xfer_layer *layer, int32_t *trainable);
/* `which`: XFER_WEIGHTS_*; in the order in which they were made. */
xfer_status xfer_layer_weight_count(const xfer_layer *layer, int32_t which, size_t *count);
xfer_status xfer_layer_weight(const xfer_layer *layer, int32_t which, size_t index, xfer_weight **weight);
/* The layers of a model, inputs included; 0 for other layers. */
xfer_status xfer_layer_sublayer_count(const xfer_layer *layer, size_t *count);
xfer_status xfer_layer_sublayer(const xfer_layer *layer, size_t index, xfer_layer **sublayer);
void        xfer_layer_release(xfer_layer *layer);

/* ---- Functions of the program's own ---------------------------------------------------------------
 * A kernel is a C function under a name. Layers of class "CustomKernel" and losses of class "CustomLoss" call it:
 *
 *     xfer_kernel_register("erf", "f64(f64)", (xfer_kernel_fn)erf, NULL, NULL);
 *     xfer_layer_create("CustomKernel", "{\"kernel\":\"erf\"}", &layer);
 *
 * and a model with it is saved and loaded by the kernel's name. The signature says how the function is called:
 *
 *     signature  = result "(" [ parameter { "," parameter } ] ")"
 *     result     = "void" | "i32" | "f32" | "f64"
 *     parameter  = [ "const" ] type [ "*" ] [ name ]
 *     type       = "f32" | "f64" | "i32" | "i64" | "u8" | "void"     void only in "void* user"
 *
 * i32 is a status: nonzero fails the call with XFER_E_DATA. A result of f32 or f64 makes a function of elements, called for
 * each: its parameters are numbers, names may be left out, the result is the output's element. The parameters' names say
 * what is passed:
 *
 *     x, x0 ... x7      an input, dense and row-major; y_true and y_pred are x0 and x1 of a loss
 *     y                 the output, zeroed before the call (in a backward function: the output as it was)
 *     dy                backward only: the gradient that comes in, of y's shape
 *     dx, dx0 ... dx7   backward only: the gradient of an input, written, zeroed before the call; dy_pred is dx1
 *     n, rows, cols, rank, const i64* dims     of the first input (of a loss: of y_pred): elements, samples,
 *                       elements a sample, number of dimensions, dimensions; n0 ..., rank0 ..., dims0 ... of input 0 ...,
 *                       ny, ranky, dimsy of the output
 *     void* user        the pointer given here
 *     any other name    a number from the layer's config: {"kernel":"k","attributes":{"alpha":0.5}}
 *
 * Tensors are float32 inside; elements of pointers to other types are converted before and after the call. At most 32
 * parameters. Structures by value, variable numbers of arguments, unknown types and names without meaning are
 * XFER_E_FORMAT with the place in the signature.
 *
 * fn must have the type the signature says, calls no function of this library on the handles in use, and runs on the thread that
 * runs the model. user must outlive the kernel: destroy(user) runs once, when the name is unregistered and the last
 * layer or loss that has the kernel is gone; it does not run when registering fails or finds this very function
 * registered (which is no error). Another function under a name in use is XFER_E_STATE. */

typedef void (*xfer_kernel_fn)(void);
xfer_status xfer_kernel_register(const char *name, const char *signature, xfer_kernel_fn fn, void *user, xfer_destroy_fn destroy);
/* The gradient of a registered kernel: "void(const f32* x, const f32* dy, i64 n, f32* dx)"; of a function of elements with one
 * input also "f32(f32 x, f32 y, f32 dy)", each parameter optional, the result being dx. Training through a kernel without one
 * is XFER_E_UNSUPPORTED. */
xfer_status xfer_kernel_set_backward(const char *name, const char *signature, xfer_kernel_fn fn, void *user, xfer_destroy_fn destroy);

/* One structure instead of a signature: the cheapest call. Everything in it is borrowed for the call. */
typedef struct xfer_call xfer_call;
typedef struct xfer_call_tensor {
  void          *data;             /* NULL: a gradient nobody wants                                   */
  const int64_t *dims;             /* rank numbers, the batch first                                   */
  int64_t        count;            /* elements                                                        */
  int32_t        rank;
  xfer_dtype     dtype;            /* XFER_F32; targets of a loss may be XFER_I32                     */
} xfer_call_tensor;
struct xfer_call {
  size_t         struct_size;
  void          *user;
  int32_t        is_backward;
  uint32_t       n_inputs;         /* forward: the inputs; backward: the inputs, the output, dy       */
  uint32_t       n_outputs;        /* forward: 1; backward: a gradient for each input                 */
  uint32_t       n_attributes;
  const xfer_call_tensor *inputs;
  const xfer_call_tensor *outputs; /* zeroed before the call                                          */
  const char *const *attribute_names;   /* sorted; all numbers of the layer's "attributes"            */
  const double  *attribute_values;
};
/* Returns 0, or a status that fails the call with XFER_E_DATA. */
typedef int32_t (*xfer_frame_fn)(const xfer_call *call);
xfer_status xfer_kernel_register_frame(const char *name, xfer_frame_fn fn, void *user, xfer_destroy_fn destroy);
xfer_status xfer_kernel_set_backward_frame(const char *name, xfer_frame_fn fn, void *user, xfer_destroy_fn destroy);

/* Forgets a name. Layers and losses that have the kernel keep it. */
xfer_status xfer_kernel_unregister(const char *name);
/* {"kernels":[{"name","signature" (null: a frame function),"backward": its signature, true (a frame function) or null}]} */
xfer_status xfer_kernels_json(char *buffer, size_t capacity, size_t *length);
/* A signature taken apart, for bindings of other languages: {"result","inputs":n,"parameters":[{"name","type","pointer",
 * "role": "tensor"|"count"|"rank"|"dims"|"rows"|"cols"|"user"|"attribute","of":"x"|"y"|"dx"|"dy"|null,"index":k|null}]}.
 * backward 1: of a backward function. XFER_E_FORMAT names the place where it is wrong. */
xfer_status xfer_kernel_signature_json(const char *signature, int32_t backward, char *buffer, size_t capacity, size_t *length);

/* ---- Weights --------------------------------------------------------------------------------- */

xfer_status xfer_weight_path(const xfer_weight *weight, char *buffer, size_t capacity, size_t *length); /* "dense/kernel" */
xfer_status xfer_weight_shape(const xfer_weight *weight, int32_t *rank, int64_t dims[8]);
xfer_status xfer_weight_trainable(const xfer_weight *weight, int32_t *trainable);
/* A copy of the values, float32. */
xfer_status xfer_weight_read(const xfer_weight *weight, xfer_tensor **values);
xfer_status xfer_weight_assign(xfer_weight *weight, const xfer_tensor *values);
/* A number that is equal for two handles of one weight and for no other pair. */
xfer_status xfer_weight_id(const xfer_weight *weight, uint64_t *id);
void        xfer_weight_release(xfer_weight *weight);

/* ---- Models ---------------------------------------------------------------------------------- */

typedef struct xfer_model xfer_model;

/* A functional model; name NULL for a generated one. */
xfer_status xfer_model_create(const xfer_symbol *const *inputs, size_t input_count, const xfer_symbol *const *outputs,
                              size_t output_count, const char *name, xfer_model **model);
xfer_status xfer_sequential_create(xfer_layer *const *layers, size_t count, const char *name, xfer_model **model);
/* A built-in architecture: "Xception", "SqueezeNet", "EfficientNetLite0". config:
 * {"weights": path or null (random) or "imagenet" (searched in XFER_WEIGHTS, then ~/.keras/models),
 *  "include_top": false, "input_shape": [h,w,3], "classes": 1000, "pooling": null | "avg" | "max",
 *  "preprocessing": false (true: the model takes pixels 0...255 and begins with its own scaling),
 *  "name": ...} */
xfer_status xfer_application_create(const char *architecture, const char *config, xfer_model **model);
/* Pixels 0...255 RGB to what the architecture was trained on; a new float32 tensor. */
xfer_status xfer_application_preprocess(const char *architecture, const xfer_tensor *pixels, xfer_tensor **output);

/* A .keras file of Keras or Xfer, or a legacy .h5 with a whole model: architecture, weights, what it was compiled with, class
 * names if it has them. */
xfer_status xfer_model_load(const char *path, xfer_model **model);
/* The same with options {"compile":true}: false leaves a model that was compiled when it was saved uncompiled. Without
 * them (NULL) it is compiled as the file says; an optimizer, loss or metric that is not there is a warning, no error. */
xfer_status xfer_model_load_with(const char *path, const char *options, xfer_model **model);
/* By the path's ending: .keras (architecture and weights). Written under a temporary name, synced, renamed. */
xfer_status xfer_model_save(xfer_model *model, const char *path);
/* .safetensors, a .weights.h5 or .keras of Keras 3, or a legacy Keras .h5. options: {"by_name":false,"skip_mismatch":false}; NULL for the
 * defaults. report (may be NULL/0): {"loaded":[...],"skipped":[...],"mismatched":[...],"missing":[...]}.
 * Strict by default: then a failed load leaves every weight as it was. */
xfer_status xfer_model_load_weights(xfer_model *model, const char *path, const char *options, char *report, size_t capacity, size_t *length);
xfer_status xfer_model_save_weights(xfer_model *model, const char *path);  /* .safetensors, .weights.h5 */
/* What training changed since the weights came from a file, and nothing else: a .safetensors file of the changed and new weights, of LoRA's
 * matrices, and of a digest of each weight that is still as it was loaded. With a frozen base it is as small as the head. */
xfer_status xfer_model_save_delta(xfer_model *model, const char *path);
/* Loads it onto a model of the same architecture with the same pretrained weights, whose digests are compared: XFER_E_STATE names the first
 * weight that differs, XFER_E_SHAPE is another architecture, XFER_E_FORMAT no delta or a damaged one; nothing has changed then. Layers that had LoRA get it: compile afterwards. */
xfer_status xfer_model_load_delta(xfer_model *model, const char *path);
xfer_status xfer_model_to_json(const xfer_model *model, char *buffer, size_t capacity, size_t *length);
xfer_status xfer_model_from_json(const char *json, xfer_model **model);

/* The same object as a layer: to nest it, freeze it, list its weights or call it on data. */
xfer_status xfer_model_as_layer(xfer_model *model, xfer_layer **layer);
/* The model a layer is: one found inside another. XFER_E_UNSUPPORTED for other layers. */
xfer_status xfer_layer_as_model(xfer_layer *layer, xfer_model **model);
/* The symbols at the ends of the model (layer NULL), or of the first call of one of its layers: its inputs, or with `outputs` 1
 * what came out. A model between such symbols shares layers and weights with this one. symbols NULL asks for the count alone. */
xfer_status xfer_model_symbols(const xfer_model *model, const xfer_layer *layer, int32_t outputs, xfer_symbol **symbols, size_t capacity,
                               size_t *count);
xfer_status xfer_model_get_layer(xfer_model *model, const char *name, xfer_layer **layer);
/* Extra facts saved with the model, a JSON object: {"class_names":[...]}. */
xfer_status xfer_model_set_metadata(xfer_model *model, const char *json);
xfer_status xfer_model_metadata(const xfer_model *model, char *buffer, size_t capacity, size_t *length);
/* The table Keras prints. width 0: 80 columns. */
xfer_status xfer_model_summary(xfer_model *model, int32_t width, int32_t show_trainable, char *buffer, size_t capacity, size_t *length);
/* The same with {"width":100,"show_trainable":true,"expand_nested":true,"layers":[2,5]}, none of them required: nested models with
 * their layers below them, and the layers from number 2 up to, not including, 5. */
xfer_status xfer_model_summary_with(xfer_model *model, const char *options, char *buffer, size_t capacity, size_t *length);
/* Outputs for all rows of x, in batches (0: 32). */
xfer_status xfer_model_predict(xfer_model *model, xfer_tensor *x, int32_t batch_size, xfer_tensor **output);
/* Fingerprints of all weights and statistics as they are now: {"weights":[{"path","trainable","digest"}]}. Equal digests
 * before and after training are equal bits: the proof that what was frozen did not move. */
xfer_status xfer_model_audit(xfer_model *model, char *buffer, size_t capacity, size_t *length);
/* How the model would run with this batch size:
 * {"nodes":[{"layer","op","backend","shape","dtype","phase","weights","fused_from","flops","bytes","inputs"}],"peak_bytes":n, "precision":"float32"}.
 * weights: what becomes of those it reads, "none", "frozen", "cached" (frozen, and run once a sample by fit) or "trained". flops counts
 * multiplications and additions, bytes what is read and written once, inputs are places in the list. training 1: a training step of the compiled
 * model; 0: inference. */
xfer_status xfer_plan_report(xfer_model *model, int32_t batch_size, int32_t training, char *buffer, size_t capacity, size_t *length);
/* What an epoch of `images` samples will cost the compiled model, for each depth ("none,last:33%,all"; NULL for a choice of five) to which its
 * nested base may be unfrozen: [{"unfreeze","trained_parameters","uncached":{"flops","seconds","bytes"},"cached":{"first":{"flops",
 * "seconds"},"later":{...},"bytes"}}], "cached" null where nothing is worth keeping. flops: multiplications and additions; bytes: the most that
 * training takes, the program itself left out. What the memory cache has no room for by default is computed in "later" again. batch_size 0: 32.
 * XFER_E_NOT_COMPILED; XFER_E_INVALID_ARGUMENT for images below 1, an unknown depth, a model without a nested one.
 * Each op is measured once a process, for some seconds in all; decoding images, callbacks and validation are not in the times. */
xfer_status xfer_model_forecast(xfer_model *model, int64_t images, int32_t batch_size, const char *depths,
                                char *buffer, size_t capacity, size_t *length);
/* The same drawn, as SVG: a box a layer, from the input down, coloured by frozen, trained, or frozen and run once a sample by fit. options
 * (NULL: {}): {"batch_size":1,"training":false,"show_shapes":false}; XFER_E_INVALID_ARGUMENT for others, XFER_E_NOT_COMPILED for a training step of a
 * model that is not. */
xfer_status xfer_plan_svg(xfer_model *model, const char *options, char *buffer, size_t capacity, size_t *length);
void        xfer_model_release(xfer_model *model);

/* ---- Optimizers, losses, metrics ---------------------------------------------------------------- */

typedef struct xfer_optimizer xfer_optimizer;
typedef struct xfer_loss xfer_loss;
typedef struct xfer_metric xfer_metric;

/* "SGD", "RMSprop", "Adagrad", "Adadelta", "Adam", "AdamW", "Adamax", "Nadam", "Ftrl", "Lion", "Lamb". "learning_rate" is a number or
 * a schedule as Keras serializes it: {"class_name":"CosineDecay","config":{...}}. One key is Xfer's own: "learning_rate_multipliers",
 * a list of [pattern, factor]; the first pattern ('*' any text, '?' any character) that fits a weight's path scales its rate. */
xfer_status xfer_optimizer_create(const char *class_name, const char *config, xfer_optimizer **optimizer);
xfer_status xfer_optimizer_config(const xfer_optimizer *optimizer, char *buffer, size_t capacity, size_t *length);
xfer_status xfer_optimizer_get_learning_rate(const xfer_optimizer *optimizer, double *rate);
xfer_status xfer_optimizer_set_learning_rate(xfer_optimizer *optimizer, double rate);
xfer_status xfer_optimizer_iterations(const xfer_optimizer *optimizer, uint64_t *iterations);
/* One step: gradients[i] belongs to weights[i]; a NULL gradient leaves its weight alone. */
xfer_status xfer_optimizer_apply(xfer_optimizer *optimizer, xfer_tensor *const *gradients, xfer_weight *const *weights, size_t count);
void        xfer_optimizer_release(xfer_optimizer *optimizer);

/* Ties the optimizer to weights, as the first step does by itself. Once tied, weights it does not know are XFER_E_STATE. */
xfer_status xfer_optimizer_build(xfer_optimizer *optimizer, xfer_weight *const *weights, size_t count);
/* Ties it to another set of weights. keep_slots 1: the slots of weights that stay are kept and the steps go on, new ones start
 * at zero; 0: everything starts anew. */
xfer_status xfer_optimizer_rebind(xfer_optimizer *optimizer, xfer_weight *const *weights, size_t count, int32_t keep_slots);
/* Keeps weights out of weight decay: these, and those whose name has one of names (a JSON list of strings; optional) in it.
 * XFER_E_STATE once the optimizer is built. */
xfer_status xfer_optimizer_exclude_from_weight_decay(xfer_optimizer *optimizer, xfer_weight *const *weights, size_t count, const char *names);
/* With use_ema: writes the moving averages over the weights, as xfer_trainer_fit does when it ends. */
xfer_status xfer_optimizer_finalize(xfer_optimizer *optimizer);

/* A function that gives the learning rate before each step; NaN is an error of that step. Called on the thread that trains. The
 * optimizer owns user through destroy (optional). */
typedef double (*xfer_schedule_fn)(void *user, uint64_t step);
xfer_status xfer_optimizer_set_schedule(xfer_optimizer *optimizer, xfer_schedule_fn schedule, void *user, xfer_destroy_fn destroy);
/* What a schedule of Keras' gives for a step (0, 1, ...). */
xfer_status xfer_schedule_value(const char *class_name, const char *config, double step, double *rate);

/* Everything a step changes, in Keras' order: iteration (int64), learning_rate (unless a schedule gives it), moving averages, gathered
 * gradients, slots. Before the first step or build there are only the first two. Names: "adam/dense_kernel_momentum". */
xfer_status xfer_optimizer_state_count(xfer_optimizer *optimizer, size_t *count);
xfer_status xfer_optimizer_state_name(xfer_optimizer *optimizer, size_t index, char *buffer, size_t capacity, size_t *length);
xfer_status xfer_optimizer_state_read(xfer_optimizer *optimizer, size_t index, xfer_tensor **values); /* a copy */
xfer_status xfer_optimizer_state_assign(xfer_optimizer *optimizer, size_t index, xfer_tensor *values);

/* The first values of a weight of this shape: "GlorotUniform", "Orthogonal" ... A "seed" in the config gives the same values again. */
xfer_status xfer_initializer_call(const char *class_name, const char *config, int32_t rank, const int64_t *dims, xfer_tensor **values);
/* A regularizer ("L2" ...: a scalar) or a constraint ("MaxNorm" ...: a tensor of the same shape) of values. */
xfer_status xfer_rule_call(const char *class_name, const char *config, xfer_tensor *values, xfer_tensor **result);

/* By class name ("MeanSquaredError"), function name ("mean_squared_error"), short form ("mse"), or "crossentropy", which chooses by
 * the shapes of targets and predictions. "reduction" of the config: sum_over_batch_size (the default), sum, mean,
 * mean_with_sample_weight, none. */
xfer_status xfer_loss_create(const char *class_name, const char *config, xfer_loss **loss);
xfer_status xfer_loss_config(const xfer_loss *loss, char *buffer, size_t capacity, size_t *length);
/* A scalar tensor, sum(weight * loss) / N by default; with reduction none one value a sample. sample_weight may be NULL; it
 * multiplies the losses of single samples, a last dimension of 1 more or less being no difference. y_pred from xfer_layer_call with the same tape is differentiated. */
xfer_status xfer_loss_call(xfer_loss *loss, xfer_tensor *y_true, xfer_tensor *y_pred, xfer_tensor *sample_weight, xfer_tape *tape, xfer_tensor **value);
void        xfer_loss_release(xfer_loss *loss);

/* By class name ("BinaryAccuracy"), identifier ("binary_accuracy"), short form ("mse"), or "accuracy", which chooses by the shapes of
 * targets and predictions. */
xfer_status xfer_metric_create(const char *class_name, const char *config, xfer_metric **metric);
xfer_status xfer_metric_config(const xfer_metric *metric, char *buffer, size_t capacity, size_t *length);
/* Takes a batch in. sample_weight may be NULL; y_true too for "Mean" and "Sum", which read the numbers of y_pred. */
xfer_status xfer_metric_update(xfer_metric *metric, xfer_tensor *y_true, xfer_tensor *y_pred, xfer_tensor *sample_weight);
/* The figure since the last reset; of a metric with several figures their mean (of a ConfusionMatrix the share on its diagonal). */
xfer_status xfer_metric_result(const xfer_metric *metric, double *value);
xfer_status xfer_metric_reset(xfer_metric *metric);
void        xfer_metric_release(xfer_metric *metric);
/* All figures as float32: [thresholds], [classes], [classes,classes] of a ConfusionMatrix with targets as rows; a scalar's rank is 0. */
xfer_status xfer_metric_result_tensor(const xfer_metric *metric, xfer_tensor **value);
/* What was gathered, for a backup: copies up to capacity numbers and stores how many there are. Numbers mean something only to a
 * metric of the same class and config. */
xfer_status xfer_metric_state(const xfer_metric *metric, double *values, size_t capacity, size_t *count);
xfer_status xfer_metric_set_state(xfer_metric *metric, const double *values, size_t count);
/* A metric of the program's own. update gets a batch's tensors, borrowed for the call (sample_weight may be NULL), and returns 0, or
 * anything else to end the call or training that asked with XFER_E_DATA. destroy, unless NULL, gets user when the metric is gone. The
 * functions are called on the thread that trains or updates. */
typedef int32_t (*xfer_metric_update_fn)(void *user, xfer_tensor *y_true, xfer_tensor *y_pred, xfer_tensor *sample_weight);
typedef double (*xfer_metric_result_fn)(void *user);
typedef void (*xfer_metric_reset_fn)(void *user);
xfer_status xfer_metric_create_custom(const char *name, xfer_metric_update_fn update, xfer_metric_result_fn result, xfer_metric_reset_fn reset,
                                      void *user, xfer_destroy_fn destroy, xfer_metric **metric);

/* ---- The tape: a training loop of one's own ---------------------------------------------------- */

xfer_status xfer_tape_create(xfer_tape **tape);
/* d target / d weights[i] into gradients[i]: new tensors, or NULL where the target does not depend on the
 * weight. target is a scalar recorded on this tape. */
xfer_status xfer_tape_gradient(xfer_tape *tape, xfer_tensor *target, xfer_weight *const *weights, size_t count, xfer_tensor **gradients);
void        xfer_tape_release(xfer_tape *tape);

/* ---- Data sets --------------------------------------------------------------------------------- */

typedef struct xfer_dataset xfer_dataset;

/* Class folders of images: config {"image_size":[224,224],"batch_size":32,"shuffle":true,"seed":0,
 * "validation_split":0.2,"subset":"training"|"validation","class_names":[...]}. Labels are int32
 * [n], images float32 [n,h,w,3] of 0...255, resized as Keras does. Broken images are skipped and counted. */
xfer_status xfer_image_folder_open(const char *directory, const char *config, xfer_dataset **dataset);
/* {"count":n,"class_names":[...],"skipped":[{"path","reason"}]} as far as known by now. */
xfer_status xfer_dataset_info(const xfer_dataset *dataset, char *buffer, size_t capacity, size_t *length);
/* Batches from a callback. next sets *x, *y (and *sample_weight or NULL), whose handles pass to
 * Xfer, and returns 1; 0 at the end; -1 on failure, which ends the call with XFER_E_DATA. restart begins an epoch. */
typedef int32_t (*xfer_next_batch_fn)(void *user, xfer_tensor **x, xfer_tensor **y, xfer_tensor **sample_weight);
typedef int32_t (*xfer_restart_fn)(void *user, int64_t epoch);
xfer_status xfer_dataset_create(xfer_next_batch_fn next, xfer_restart_fn restart, void *user, xfer_destroy_fn destroy, xfer_dataset **dataset);
/* The same for models with several inputs or outputs. The counts come in as the room of the arrays (XFER_MAX_ENDS each)
 * and are set to how many there are. No targets: for predicting. A NULL target: an output without a loss; no sample
 * weights: none; one: for all outputs; else one an output, NULL for none. */
enum { XFER_MAX_ENDS = 64 };
typedef int32_t (*xfer_next_all_fn)(void *user, xfer_tensor **inputs, size_t *input_count, xfer_tensor **targets, size_t *target_count,
                                    xfer_tensor **sample_weights, size_t *sample_weight_count);
xfer_status xfer_dataset_create_all(xfer_next_all_fn next, xfer_restart_fn restart, void *user, xfer_destroy_fn destroy, xfer_dataset **dataset);
/* What the samples of the next batch are called, asked before next whenever fit keeps features (XFER_CACHE_*): one text a sample, the same in every
 * epoch and program, of no other sample of any data set (a path, the key of a record). Features are found by it then in place of the inputs' bytes;
 * where all of a batch are kept, a xfer_next_all_fn is called with *input_count 0 and may leave the inputs out. Returns 1, with *count 0 where
 * nothing is known or the epoch is at its end; -1 on failure. The texts stay the callback's, until it is called again.
 * Of a name whose inputs have changed the old features are found: names are to change with them. Before training; XFER_E_STATE for image folders, whose
 * images are told apart by path, size and time. user is that of the data set.
 *     xfer_dataset_identify(dataset, next_paths); */
typedef int32_t (*xfer_next_names_fn)(void *user, const char *const **names, size_t *count);
xfer_status xfer_dataset_identify(xfer_dataset *dataset, xfer_next_names_fn names);
/* The next batch for a loop of one's own; *x is NULL at the end. */
xfer_status xfer_dataset_next(xfer_dataset *dataset, xfer_tensor **x, xfer_tensor **y);
xfer_status xfer_dataset_restart(xfer_dataset *dataset, int64_t epoch);
void        xfer_dataset_release(xfer_dataset *dataset);
/* One image as float32 [h,w,3] of 0...255; config {"image_size":[h,w]} resizes, NULL keeps the size. */
xfer_status xfer_image_load(const char *path, const char *config, xfer_tensor **image);

/* ---- Training ------------------------------------------------------------------------------------ */

typedef struct xfer_trainer xfer_trainer;
typedef struct xfer_history xfer_history;
typedef struct xfer_callback xfer_callback;

/* Fixes the set of trainable weights, and binds optimizer, loss and metrics to the model. The model
 * keeps the trainer, and a trainer's handle keeps the model usable. metrics NULL with count 0 keeps those of the
 * previous compile. Of several outputs each has the loss, the first the metrics. */
xfer_status xfer_model_compile(xfer_model *model, xfer_optimizer *optimizer, xfer_loss *loss, xfer_metric *const *metrics,
                               size_t metric_count, xfer_trainer **trainer);

typedef struct xfer_compile_options {
  size_t struct_size;
  xfer_optimizer     *optimizer;
  xfer_loss   *const *losses;                    /* one an output, NULL for an output that is not trained;     */
  size_t              loss_count;                /* or one for all outputs                                     */
  const double       *loss_weights;              /* (optional) one an output: what its loss counts in the total */
  size_t              loss_weight_count;
  xfer_metric *const *metrics;                   /* without sample and class weights                           */
  const int32_t      *metric_outputs;            /* the output of each; NULL: the first                        */
  size_t              metric_count;
  xfer_metric *const *weighted_metrics;          /* with sample and class weights                              */
  const int32_t      *weighted_metric_outputs;
  size_t              weighted_metric_count;
  const char  *const *output_names;              /* (optional) for the logs; else those of the output layers   */
  size_t              output_name_count;
  int32_t             keep_metrics;              /* 1: all metrics are those of the previous compile           */
} xfer_compile_options;
xfer_status xfer_model_compile_all(xfer_model *model, const xfer_compile_options *options, xfer_trainer **trainer);
/* The names of the logs in Keras' order: ["loss","<output>_loss",...,"<output>_<metric>",...]; without the output where there is one. */
xfer_status xfer_trainer_log_names(const xfer_trainer *trainer, char *buffer, size_t capacity, size_t *length);

/* BATCH_ and EPOCH_ are those of training. TEST_ is evaluation, the validation of an epoch among it. */
enum {
  XFER_EVENT_TRAIN_BEGIN = 0, XFER_EVENT_EPOCH_BEGIN = 1, XFER_EVENT_BATCH_END = 2, XFER_EVENT_EPOCH_END = 3, XFER_EVENT_TRAIN_END = 4,
  XFER_EVENT_BATCH_BEGIN = 5, XFER_EVENT_TEST_BEGIN = 6, XFER_EVENT_TEST_END = 7, XFER_EVENT_TEST_BATCH_BEGIN = 8,
  XFER_EVENT_TEST_BATCH_END = 9, XFER_EVENT_PREDICT_BEGIN = 10, XFER_EVENT_PREDICT_END = 11, XFER_EVENT_PREDICT_BATCH_BEGIN = 12,
  XFER_EVENT_PREDICT_BATCH_END = 13
};
/* logs: {"loss":...,...}, "{}" where there is nothing yet. A nonzero result stops training cleanly after this
 * event: the call returns XFER_E_CANCELLED, weights stay as they are. */
typedef int32_t (*xfer_event_fn)(void *user, int32_t event, int64_t epoch, int64_t batch, const char *logs);

/* A callback of Keras' by class name and config: "EarlyStopping", "ModelCheckpoint", "ReduceLROnPlateau",
 * "LearningRateScheduler", "CSVLogger", "TerminateOnNaN", "BackupAndRestore", "TensorBoard". The config's keys are the
 * arguments of Keras' constructors. LearningRateScheduler's schedule is a {"class_name","config"} of a learning rate schedule,
 * asked with the number of the epoch; a function of one's own is a callback that calls xfer_optimizer_set_learning_rate. */
xfer_status xfer_callback_create(const char *class_name, const char *config, xfer_callback **callback);
/* A callback of one's own, called with every event (xfer_trainer_set_stop_training ends training as Keras'
 * model.stop_training does; a nonzero result is a failure: XFER_E_CANCELLED). batch is 0 for events of no batch. */
xfer_status xfer_callback_create_function(xfer_event_fn function, void *user, xfer_destroy_fn destroy, xfer_callback **callback);
/* Within an event: puts a number into its logs, which later callbacks and the history see. */
xfer_status xfer_callback_set_log(xfer_callback *callback, const char *name, double value);
/* What the callback knows by now: {"wait":0,"best":0.31,...}. */
xfer_status xfer_callback_facts(const xfer_callback *callback, char *buffer, size_t capacity, size_t *length);
void        xfer_callback_release(xfer_callback *callback);

/* A struct_size up to `user` is fine: that was the first version. */
typedef struct xfer_fit_options {
  size_t struct_size;
  xfer_tensor  *x, *y, *sample_weight;           /* arrays ...                                       */
  xfer_dataset *dataset;                         /* ... or a data set                                */
  xfer_tensor  *validation_x, *validation_y;     /* (optional)                                       */
  xfer_dataset *validation_dataset;
  double        validation_split;                /* of the arrays, the last part                     */
  int32_t       batch_size;                      /* 0: 32                                            */
  int32_t       epochs;                          /* 0: 1; XFER_NO_EPOCHS: none                       */
  int32_t       initial_epoch;
  int32_t       no_shuffle;                      /* 1: arrays in order                               */
  int32_t       verbose;                         /* 0 silent, 1 progress bar, 2 a line an epoch      */
  int32_t       recompile_stale;                 /* 1: a changed trainable compiles again by itself  */
  xfer_event_fn on_event;                        /* (optional) the first five events                 */
  void         *user;
  /* In place of x, y, sample_weight: one an input; one an output (NULL: not trained); one an output or one for all. */
  xfer_tensor *const *inputs;
  size_t              input_count;
  xfer_tensor *const *targets;
  size_t              target_count;
  xfer_tensor *const *sample_weights;
  size_t              sample_weight_count;
  xfer_tensor *const *validation_inputs;         /* in place of validation_x and validation_y        */
  size_t              validation_input_count;
  xfer_tensor *const *validation_targets;
  size_t              validation_target_count;
  xfer_tensor *const *validation_sample_weights;
  size_t              validation_sample_weight_count;
  const int64_t      *classes;                   /* class_weights[i] is what samples of classes[i] count; */
  const double       *class_weights;             /* others count 1. For models with one output.      */
  size_t              class_weight_count;
  int64_t             steps_per_epoch;           /* batches an epoch (for evaluate and predict: at all); 0: all */
  int64_t             validation_steps;          /* 0: all                                           */
  int32_t             validation_batch_size;     /* 0: batch_size                                    */
  int32_t             validation_freq;           /* after every so many epochs; 0: 1                 */
  const int64_t      *validation_epochs;         /* or after these, counted from 1                   */
  size_t              validation_epoch_count;
  xfer_callback *const *callbacks;               /* in the order in which they are called            */
  size_t              callback_count;
  int32_t             cache;                     /* XFER_CACHE_*: where the frozen part's outputs are kept     */
  const char         *cache_folder;              /* of XFER_CACHE_DISK; NULL: $XFER_CACHE/features, else ~/.cache/xfer/features */
  int64_t             cache_bytes;               /* the most they may take; 0: a quarter of the memory, 8 GiB of the disk */
  int32_t             cache_dtype;               /* how they are kept: 0 or XFER_F32 as they are, XFER_BF16 in half the room */
  int32_t             cache_variants;            /* fixed augmentations of each sample; 0: augmentation is drawn anew       */
  /* Bytes a training step may take with the weights, what is packed of them, the optimizer's state and the intermediate values, but without
   * its samples and what is cached; 0: what is fastest. What does not fit is computed twice in place of being kept, to the same bits. XFER_E_OUT_OF_MEMORY where no way fits. */
  int64_t             memory_budget;
} xfer_fit_options;
enum { XFER_NO_EPOCHS = -1 };
/* What lies below the first trained weight makes the same of a sample in every epoch: it is run once a sample, and its
 * outputs are kept by a digest of the sample and of the frozen weights, in memory or in a file that outlives the process.
 * Losses and weights are bit-equal to XFER_CACHE_OFF with kernels that give a row the same bits in every batch (simd, naive). */
enum { XFER_CACHE_MEMORY = 0, XFER_CACHE_OFF = 1, XFER_CACHE_DISK = 2 };
/* With cache_dtype XFER_BF16 features are rounded to bfloat16, in the first epoch as in all others, kept or not: results do not depend on
 * what there was room for.
 *
 * Random augmentation ahead of the frozen part gives it something new in each epoch, so that nothing can be kept. With cache_variants K each
 * sample has K augmentations, and epoch e (from 0) trains on number e mod K. The random numbers come from the layer's seed, the sample and
 * that number alone: a sample's augmentation is the same whenever, in whatever batch and in whatever run it is computed. Validation is not
 * augmented; its features are kept without. Layers that draw once for a whole batch (RandomCrop) cannot be fixed by sample: with them, and
 * where nothing is frozen, augmentation is drawn anew as with 0. Both are XFER_E_INVALID_ARGUMENT with XFER_CACHE_OFF. */

xfer_status xfer_trainer_fit(xfer_trainer *trainer, const xfer_fit_options *options, xfer_history **history);
/* {"loss":[...],"accuracy":[...],"val_loss":[...],...}: one number an epoch, all digits. */
xfer_status xfer_history_json(const xfer_history *history, char *buffer, size_t capacity, size_t *length);
void        xfer_history_release(xfer_history *history);

/* Training by phases. A plan is the name of a preset ("linear-probe", "head-then-all", "gradual-unfreeze", "layer-decay"), or JSON: a preset
 * with settings, {"preset":"gradual-unfreeze","epochs":10,...}, or
 *
 *   {"phases":[{"name":"head","epochs":20,"learning_rate":1e-3},
 *              {"name":"top","unfreeze":"last:30","epochs":10,"learning_rate":1e-4,"optimizer":{"class_name":"SGD","config":{"momentum":0.9}},
 *               "learning_rate_groups":[{"layers":"block14","multiplier":1.0},{"first":100,"multiplier":0.1}],
 *               "early_stopping":{"monitor":"val_loss","patience":3,"restore_best_weights":true}}]}
 *
 * unfreeze is "none" (the default), "all", "last:N" layers, "last:P%" of those with weights, or "from:LAYER", of the pretrained base: the one
 * model within the model, or that named by "base"; where the base's layers are the model's own, those before the layer named by "head".
 * The first learning-rate group a layer belongs to counts; "layer_decay":0.8 in their place shrinks the rate from layer to layer
 * towards the input. docs/phases.md has every key.
 *
 * xfer_phases_json gives a plan in full, or says what is wrong with it. */
xfer_status xfer_phases_json(const char *plan, char *buffer, size_t capacity, size_t *length);
/* In each phase the base is frozen or unfrozen, the model compiled with the phase's optimizer and the trainer's losses and metrics,
 * and fitted with the options, whose epochs, initial_epoch and recompile_stale count for nothing. Frozen weights and statistics are
 * checked to be bit-equal at the end of each. xfer_trainer_cancel and _set_stop_training of this trainer count; afterwards
 * xfer_model_compiled has the last phase's trainer.
 *
 * config (NULL: {}): {"checkpoint":FILE,"save_freq":"epoch"|BATCHES,"resume":false,"delete_checkpoint":true,"identity":{...}}. The checkpoint
 * is replaced as a whole after each epoch, and after so many batches; with resume, training goes on from it, where it is there, to the
 * bits it would have had, in a process that made the same model and data again. It is refused (XFER_E_STATE) for another plan, another
 * base, or an identity that is not equal. It goes once the last phase has ended.
 *
 * The history's JSON: {"phases":[{"name":"head","epochs":[{"loss":...,"val_loss":...,"seconds":...}]}]}. */
xfer_status xfer_trainer_fit_phases(xfer_trainer *trainer, const char *plan, const char *config, const xfer_fit_options *options,
                                    xfer_history **history);
/* Smith's range test: trains on batch after batch of the options' data with a rate that grows exponentially, until the loss explodes. Weights,
 * statistics, optimizer and random states are afterwards what they were, bit for bit. config (NULL: {}):
 * {"min_rate":1e-7,"max_rate":1.0,"steps":100,"smoothing":0.9,"divergence":4.0}; the test ends when the averaged loss is `divergence` times
 * its lowest. Of the options data, batch_size, no_shuffle, class weights and cache count.
 *
 * The history's JSON: {"rates":[...],"losses":[...],"raw_losses":[...],"suggestion":0.003,"svg":"<svg ..."}: losses are moving averages; the
 * suggestion, where the loss falls most steeply, is null when it never falls. */
xfer_status xfer_trainer_lr_find(xfer_trainer *trainer, const char *config, const xfer_fit_options *options, xfer_history **history);
/* Data, batch_size, steps_per_epoch, callbacks and verbose of the options count. {"loss":...,...} */
xfer_status xfer_trainer_evaluate(xfer_trainer *trainer, const xfer_fit_options *options, char *buffer, size_t capacity, size_t *length);
/* All outputs for all batches of the options' data, whose targets are left alone: outputs has room for `capacity` handles.
 * batch_size, steps_per_epoch, callbacks and verbose count. */
xfer_status xfer_model_predict_all(xfer_model *model, const xfer_fit_options *options, xfer_tensor **outputs, size_t capacity,
                                   size_t *output_count);
/* One step on one batch; logs as evaluate gives them, of this batch alone. sample_weight may be NULL. */
xfer_status xfer_trainer_train_on_batch(xfer_trainer *trainer, xfer_tensor *x, xfer_tensor *y, xfer_tensor *sample_weight,
                                        char *buffer, size_t capacity, size_t *length);
xfer_status xfer_trainer_test_on_batch(xfer_trainer *trainer, xfer_tensor *x, xfer_tensor *y, xfer_tensor *sample_weight,
                                       char *buffer, size_t capacity, size_t *length);
/* The same with the arrays and class weights of the options as one batch. training 1: a step, 0: a test. */
xfer_status xfer_trainer_run_batch(xfer_trainer *trainer, const xfer_fit_options *options, int32_t training,
                                   char *buffer, size_t capacity, size_t *length);
/* Keras' model.stop_training: 1 ends the running fit after its current batch, with the epoch's validation and callbacks. Each fit begins
 * with 0. To be called from callbacks. */
xfer_status xfer_trainer_set_stop_training(xfer_trainer *trainer, int32_t stop);
xfer_status xfer_trainer_get_stop_training(const xfer_trainer *trainer, int32_t *stop);
/* What the last xfer_model_compile bound, or a file that was loaded: handles of your own. Any out-parameter may be NULL;
 * metrics has room for `capacity` handles, *metric_count is set to how many there are; the loss is that of the first
 * output that has one. XFER_E_NOT_COMPILED when there is nothing. */
xfer_status xfer_model_compiled(xfer_model *model, xfer_trainer **trainer, xfer_optimizer **optimizer, xfer_loss **loss,
                                xfer_metric **metrics, size_t capacity, size_t *metric_count);
/* {"optimizer":..., "loss":..., "metrics":[...], ...} as Keras writes it. */
xfer_status xfer_model_compile_config(xfer_model *model, char *buffer, size_t capacity, size_t *length);
/* Ends a running fit after the current batch with XFER_E_CANCELLED. From any thread. */
xfer_status xfer_trainer_cancel(xfer_trainer *trainer);
void        xfer_trainer_release(xfer_trainer *trainer);

#ifdef __cplusplus
}
#endif
#endif
