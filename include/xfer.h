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
 *              prints to stdout; progress bars and warnings go to stderr.
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
/* Seeds initializers, shuffling and dropout of what is made from now on (default 0). */
xfer_status xfer_set_random_seed(uint64_t seed);
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
typedef void (*xfer_destroy_fn)(void *user);

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
/* How many outputs a call has: 1 but for models with more and layers that say so. */
xfer_status xfer_layer_output_count(const xfer_layer *layer, size_t *count);
/* Makes the weights for inputs of this shape (with the batch dimension; -1 where open). */
xfer_status xfer_layer_build(xfer_layer *layer, int32_t rank, const int64_t *dims);
/* Normalization learns mean and variance from a batch; `more` 1 adds it to the batches of the calls before, 0 begins
 * anew. Builds the layer if need be. XFER_E_UNSUPPORTED for layers of other classes. */
xfer_status xfer_layer_adapt(xfer_layer *layer, const xfer_tensor *data, int32_t more);
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
xfer_status xfer_model_to_json(const xfer_model *model, char *buffer, size_t capacity, size_t *length);
xfer_status xfer_model_from_json(const char *json, xfer_model **model);

/* The same object as a layer: to nest it, freeze it, list its weights or call it on data. */
xfer_status xfer_model_as_layer(xfer_model *model, xfer_layer **layer);
xfer_status xfer_model_get_layer(xfer_model *model, const char *name, xfer_layer **layer);
/* Extra facts saved with the model, a JSON object: {"class_names":[...]}. */
xfer_status xfer_model_set_metadata(xfer_model *model, const char *json);
xfer_status xfer_model_metadata(const xfer_model *model, char *buffer, size_t capacity, size_t *length);
/* The table Keras prints. width 0: 80 columns. */
xfer_status xfer_model_summary(xfer_model *model, int32_t width, int32_t show_trainable, char *buffer, size_t capacity, size_t *length);
/* Outputs for all rows of x, in batches (0: 32). */
xfer_status xfer_model_predict(xfer_model *model, xfer_tensor *x, int32_t batch_size, xfer_tensor **output);
/* How the model would run with this batch size: {"nodes":[{"layer","op","backend","shape","phase","fused_from","flops","bytes"}],"peak_bytes":n}.
 * training 1: a training step of the compiled model; 0: inference. */
xfer_status xfer_plan_report(xfer_model *model, int32_t batch_size, int32_t training, char *buffer, size_t capacity, size_t *length);
void        xfer_model_release(xfer_model *model);

/* ---- Optimizers, losses, metrics ---------------------------------------------------------------- */

typedef struct xfer_optimizer xfer_optimizer;
typedef struct xfer_loss xfer_loss;
typedef struct xfer_metric xfer_metric;

xfer_status xfer_optimizer_create(const char *class_name, const char *config, xfer_optimizer **optimizer); /* "Adam", "SGD" */
xfer_status xfer_optimizer_config(const xfer_optimizer *optimizer, char *buffer, size_t capacity, size_t *length);
xfer_status xfer_optimizer_get_learning_rate(const xfer_optimizer *optimizer, double *rate);
xfer_status xfer_optimizer_set_learning_rate(xfer_optimizer *optimizer, double rate);
xfer_status xfer_optimizer_iterations(const xfer_optimizer *optimizer, uint64_t *iterations);
/* One step: gradients[i] belongs to weights[i]; a NULL gradient leaves its weight alone. */
xfer_status xfer_optimizer_apply(xfer_optimizer *optimizer, xfer_tensor *const *gradients, xfer_weight *const *weights, size_t count);
void        xfer_optimizer_release(xfer_optimizer *optimizer);

xfer_status xfer_loss_create(const char *class_name, const char *config, xfer_loss **loss); /* "BinaryCrossentropy" ... */
xfer_status xfer_loss_config(const xfer_loss *loss, char *buffer, size_t capacity, size_t *length);
/* A scalar tensor: sum(weight * loss) / N. y_pred from xfer_layer_call with the same tape is differentiated. */
xfer_status xfer_loss_call(xfer_loss *loss, xfer_tensor *y_true, xfer_tensor *y_pred, xfer_tensor *sample_weight, xfer_tape *tape, xfer_tensor **value);
void        xfer_loss_release(xfer_loss *loss);

xfer_status xfer_metric_create(const char *class_name, const char *config, xfer_metric **metric); /* "BinaryAccuracy" ... */
xfer_status xfer_metric_config(const xfer_metric *metric, char *buffer, size_t capacity, size_t *length);
xfer_status xfer_metric_update(xfer_metric *metric, xfer_tensor *y_true, xfer_tensor *y_pred, xfer_tensor *sample_weight);
xfer_status xfer_metric_result(const xfer_metric *metric, double *value);
xfer_status xfer_metric_reset(xfer_metric *metric);
void        xfer_metric_release(xfer_metric *metric);

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
/* The next batch for a loop of one's own; *x is NULL at the end. */
xfer_status xfer_dataset_next(xfer_dataset *dataset, xfer_tensor **x, xfer_tensor **y);
xfer_status xfer_dataset_restart(xfer_dataset *dataset, int64_t epoch);
void        xfer_dataset_release(xfer_dataset *dataset);
/* One image as float32 [h,w,3] of 0...255; config {"image_size":[h,w]} resizes, NULL keeps the size. */
xfer_status xfer_image_load(const char *path, const char *config, xfer_tensor **image);

/* ---- Training ------------------------------------------------------------------------------------ */

typedef struct xfer_trainer xfer_trainer;
typedef struct xfer_history xfer_history;

/* Fixes the set of trainable weights, and binds optimizer, loss and metrics to the model. The model
 * keeps the trainer too. metrics NULL with count 0 keeps those of the previous compile. */
xfer_status xfer_model_compile(xfer_model *model, xfer_optimizer *optimizer, xfer_loss *loss, xfer_metric *const *metrics,
                               size_t metric_count, xfer_trainer **trainer);

enum { XFER_EVENT_TRAIN_BEGIN = 0, XFER_EVENT_EPOCH_BEGIN = 1, XFER_EVENT_BATCH_END = 2, XFER_EVENT_EPOCH_END = 3, XFER_EVENT_TRAIN_END = 4 };
/* logs: {"loss":...,...}, "{}" where there is nothing yet. A nonzero result stops training cleanly after this
 * event: the call returns XFER_E_CANCELLED, weights stay as they are. */
typedef int32_t (*xfer_event_fn)(void *user, int32_t event, int64_t epoch, int64_t batch, const char *logs);

typedef struct xfer_fit_options {
  size_t struct_size;
  xfer_tensor  *x, *y, *sample_weight;           /* arrays ...                                       */
  xfer_dataset *dataset;                         /* ... or a data set                                */
  xfer_tensor  *validation_x, *validation_y;     /* (optional)                                       */
  xfer_dataset *validation_dataset;
  double        validation_split;                /* of the arrays, the last part                     */
  int32_t       batch_size;                      /* 0: 32                                            */
  int32_t       epochs;                          /* 0: 1                                             */
  int32_t       initial_epoch;
  int32_t       no_shuffle;                      /* 1: arrays in order                               */
  int32_t       verbose;                         /* 0 silent, 1 progress bar, 2 a line an epoch      */
  int32_t       recompile_stale;                 /* 1: a changed trainable compiles again by itself  */
  xfer_event_fn on_event;                        /* (optional)                                       */
  void         *user;
} xfer_fit_options;

xfer_status xfer_trainer_fit(xfer_trainer *trainer, const xfer_fit_options *options, xfer_history **history);
/* {"loss":[...],"accuracy":[...],"val_loss":[...],...}: one number an epoch, all digits. */
xfer_status xfer_history_json(const xfer_history *history, char *buffer, size_t capacity, size_t *length);
void        xfer_history_release(xfer_history *history);
/* x, y, sample_weight or dataset, batch_size and verbose of the options count. {"loss":...,...} */
xfer_status xfer_trainer_evaluate(xfer_trainer *trainer, const xfer_fit_options *options, char *buffer, size_t capacity, size_t *length);
/* One step on one batch; logs as evaluate gives them, of this batch alone. sample_weight may be NULL. */
xfer_status xfer_trainer_train_on_batch(xfer_trainer *trainer, xfer_tensor *x, xfer_tensor *y, xfer_tensor *sample_weight,
                                        char *buffer, size_t capacity, size_t *length);
xfer_status xfer_trainer_test_on_batch(xfer_trainer *trainer, xfer_tensor *x, xfer_tensor *y, xfer_tensor *sample_weight,
                                       char *buffer, size_t capacity, size_t *length);
/* What the last xfer_model_compile bound, or a file that was loaded: handles of your own. Any out-parameter may be NULL;
 * metrics has room for `capacity` handles, *metric_count is set to how many there are. XFER_E_NOT_COMPILED when there is nothing. */
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
