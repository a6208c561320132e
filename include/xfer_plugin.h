/* xfer_plugin.h - how a plugin gives Xfer kernels, image decoders or file containers.
 *
 * A plugin is one shared library that exports one symbol:
 *
 *     const xfer_plugin *xfer_plugin_entry(const xfer_host *host);
 *
 * Xfer opens it with RTLD_NOW | RTLD_LOCAL, calls the entry once, checks the version and the
 * table, asks score(), and keeps it open for the life of the process. A plugin needs nothing of
 * Xfer but this header. A plugin linked statically exports xfer_plugin_NAME_entry instead.
 *
 * Rules that hold throughout
 *   - C99, plain data, UTF-8 strings. Every table and every structure that may grow starts with
 *     struct_size; a reader tests `struct_size >= offsetof(...) + sizeof(...)` before it touches a
 *     field. Fields are only appended. Op numbers, kinds and flags are never reused.
 *   - A function returning xfer_status returns XFER_OK or an XFER_E_ code, and before an
 *     error calls host->set_error with a sentence that names what was given and what was wanted.
 *   - Nothing aborts, exits, prints, starts threads or changes the floating point environment.
 *   - Memory: the host hands out every buffer. What a plugin needs of its own it takes from
 *     host->alloc and returns by host->free. No pointer is freed across the line.
 *   - Threads: parallelism comes from host->parallel_for alone. supports, pack_size and score may be
 *     called from any thread at once; a kernel handle is executed by one thread at a time, distinct
 *     handles from several threads at once.
 *   - Tensors are dense and row-major; images are NHWC. Buffers given by the host are aligned to 64
 *     bytes, except those that are a caller's own memory: assume the alignment of the element type.
 *   - Determinism: for one thread count, the same input gives the same bits. Never let a result
 *     depend on which worker ran which piece.
 */
#ifndef XFER_PLUGIN_H
#define XFER_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define XFER_PLUGIN_ABI_MAJOR 1
#define XFER_PLUGIN_ABI_MINOR 5

/* ---- Status codes: the same words in xfer.h ------------------------------------------------ */

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

/* ---- Element types and tensor descriptions ------------------------------------------------- */

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
#define XFER_BOOL  ((xfer_dtype)8)  /* one byte, 0 or 1 */

enum { XFER_MAX_RANK = 8 };

/* A dense row-major tensor; dims[rank...] are 1. Rank 0 is a scalar. Fixed for the major version. */
typedef struct xfer_tensor_desc {
  xfer_dtype dtype;
  int32_t    rank;
  int64_t    dims[8];
} xfer_tensor_desc;

/* ---- The host: what Xfer hands to a plugin ------------------------------------------------- */

enum { XFER_ISA_BASELINE = 0, XFER_ISA_AVX2 = 1, XFER_ISA_AVX512 = 2, XFER_ISA_AVX512_BF16 = 3, XFER_ISA_AMX_BF16 = 4 };
enum { XFER_LOG_DEBUG = 0, XFER_LOG_INFO = 1, XFER_LOG_WARNING = 2, XFER_LOG_ERROR = 3 };

/* One piece [begin, end) of a parallel loop. worker is below host->thread_count() and names the
 * thread for the sake of scratch memory; it must not influence the result. */
typedef void (*xfer_task_fn)(void *context, int64_t begin, int64_t end, int32_t worker);

typedef struct xfer_host xfer_host;
struct xfer_host {
  size_t   struct_size;
  uint32_t abi_major, abi_minor;
  int32_t  max_isa;   /* XFER_ISA_* or more: the cap set by XFER_MAX_ISA; a variant above it scores 0 */

  /* Threads parallel_for may use at once when the calling thread calls it, at least 1. May change
   * between calls: a kernel prepared for one count may be executed with another. */
  int32_t (*thread_count)(const xfer_host *host);
  /* Runs fn over [0, count) in pieces of at most `grain` items (at least 1), each once, in no stated
   * order, and returns when all are done. Called within a task it runs the loop on that thread. */
  void (*parallel_for)(const xfer_host *host, int64_t count, int64_t grain, xfer_task_fn fn, void *context);
  /* NULL when there is no memory. alignment: a power of two, at most 4096. */
  void *(*alloc)(const xfer_host *host, size_t bytes, size_t alignment);
  void (*free)(const xfer_host *host, void *pointer); /* NULL is fine */
  void (*log)(const xfer_host *host, int32_t level, const char *message);
  /* Keeps a copy of the message for the calling thread. */
  void (*set_error)(const xfer_host *host, const char *message);
};

/* ---- Ops ------------------------------------------------------------------------------------
 * The number, the name, inputs -> outputs, attributes. Float tensors are XFER_F32 unless said, but see XFER_PRECISION_BFLOAT16.
 * "may alias": the host may pass the same pointer for that output and that input.
 * [x] marks an optional input; present when the matching attribute flag says so.
 *
 * C below is the last dimension. R is the product of all other dimensions.                      */
enum {
  /* a[M,K] b[K,N] [bias N] [residual M,N] -> y[M,N]            xfer_matmul_attributes
   * y = activation(op(a) op(b) + bias + residual). op transposes its matrix where the attribute
   * says so: then a is [K,M], b is [N,K]. Rank 3: equal leading batch dimensions.               */
  XFER_OP_MATMUL                     = 1,
  /* x[N,H,W,C] kernel[kh,kw,C/groups,O] [bias O] [residual] -> y[N,OH,OW,O]   xfer_conv_attributes
   * y = activation(conv(x, kernel) + bias + residual); cross-correlation as in every framework.  */
  XFER_OP_CONV2D                     = 2,
  /* dy kernel -> dx                                            xfer_conv_attributes */
  XFER_OP_CONV2D_BACKWARD_INPUT      = 3,
  /* x dy -> dkernel                                            xfer_conv_attributes */
  XFER_OP_CONV2D_BACKWARD_KERNEL     = 4,
  /* x[N,H,W,C] kernel[kh,kw,C,mult] [bias] [residual] -> y[N,OH,OW,C*mult]    xfer_conv_attributes
   * output channel c*mult+m comes from input channel c; groups is ignored.                       */
  XFER_OP_DEPTHWISE_CONV2D           = 5,
  XFER_OP_DEPTHWISE_CONV2D_BACKWARD_INPUT  = 6,  /* dy kernel -> dx      xfer_conv_attributes */
  XFER_OP_DEPTHWISE_CONV2D_BACKWARD_KERNEL = 7,  /* x dy -> dkernel      xfer_conv_attributes */
  /* x[N,H,W,C] -> y[N,OH,OW,C]                                 xfer_pool_attributes
   * Padding never wins a maximum and is not counted by an average.                               */
  XFER_OP_POOL2D                     = 8,
  /* maximum: x y dy -> dx, the gradient goes to the first maximum of a window in row order;
   * average: dy -> dx                                          xfer_pool_attributes              */
  XFER_OP_POOL2D_BACKWARD            = 9,
  /* x[outer,n,inner] -> y[outer,inner]                         xfer_reduce_attributes
   * Sums are pairwise or compensated: the error must not grow linearly in n.                     */
  XFER_OP_REDUCE                     = 10,
  /* x[outer,inner] -> y[outer,n,inner], y = x * scale          xfer_broadcast_attributes */
  XFER_OP_BROADCAST                  = 11,
  /* x -> y (may alias)                                         xfer_activation_attributes */
  XFER_OP_ACTIVATION                 = 12,
  /* saved dy -> dx (may alias either). saved is the activation's input, or, where
   * saved_is_output is 1, its output (RELU with threshold 0 and slope 0, SIGMOID, TANH,
   * EXPONENTIAL only).                                         xfer_activation_attributes */
  XFER_OP_ACTIVATION_BACKWARD        = 13,
  XFER_OP_SOFTMAX                    = 14,  /* x[outer,n,inner] -> y, over n (may alias); no attributes */
  XFER_OP_SOFTMAX_BACKWARD           = 15,  /* y dy -> dx (may alias either); no attributes             */
  /* a b -> y: equal ranks, dimensions of 1 broadcast (y may alias an input of y's shape)
   *                                                            xfer_binary_attributes */
  XFER_OP_BINARY                     = 16,
  /* x[...,C] scale[C] [shift C] -> y = activation(x*scale + shift) (may alias x). A third input is
   * present when n_inputs is 3.                                xfer_activation_attributes */
  XFER_OP_SCALE_SHIFT                = 17,
  /* x[...,C] -> mean[C] variance[C] (biased: divided by R); no attributes                       */
  XFER_OP_MOMENTS                    = 18,
  /* gamma beta mean variance -> scale shift; scale = gamma/sqrt(variance+epsilon),
   * shift = beta - mean*scale. Without gamma or beta the host passes ones or zeros.
   *                                                            xfer_normalize_attributes */
  XFER_OP_NORMALIZE_PARAMETERS       = 19,
  /* x dy mean variance -> dgamma[C] dbeta[C]; dgamma = sum dy*(x-mean)/sqrt(variance+epsilon),
   * dbeta = sum dy                                             xfer_normalize_attributes */
  XFER_OP_BATCHNORM_BACKWARD_REDUCE  = 20,
  /* x dy mean variance gamma dgamma dbeta -> dx, through the batch statistics:
   * dx = gamma*r*(dy - dbeta/R - (x-mean)*r*dgamma/R), r = 1/sqrt(variance+epsilon)
   *                                                            xfer_normalize_attributes */
  XFER_OP_BATCHNORM_BACKWARD_INPUT   = 21,
  XFER_OP_CONCAT                     = 22,  /* any number of inputs -> y        xfer_axis_attributes  */
  XFER_OP_SLICE                      = 23,  /* x -> y = x[begin ... begin+dims(y)]  xfer_box_attributes */
  XFER_OP_PAD                        = 24,  /* x -> y, x placed at begin, value elsewhere xfer_box_attributes */
  /* x state(i64[2]) -> y (may alias). Element i is kept, and divided by 1-rate, when
   * u(i) >= rate; else 0. u(i) = (h >> 40) * 2^-24, h = mix(mix(state[0] ^ mix(state[1])) + i),
   * mix = the 64-bit finaliser of SplitMix64 (z += 0x9E3779B97F4A7C15; z = (z^(z>>30)) *
   * 0xBF58476D1CE4E5B9; z = (z^(z>>27)) * 0x94D049BB133111EB; z ^= z>>31). The gradient is the same op
   * on dy with the same state.                                 xfer_dropout_attributes */
  XFER_OP_DROPOUT                    = 25,
  XFER_OP_PERMUTE_CHANNELS           = 26,  /* x[...,C] index(i32[D]) -> y[...,D], y[d] = x[index[d]]; no attributes */
  XFER_OP_CAST                       = 27,  /* x -> y of another dtype, rounding to nearest even and
                                               saturating towards integers; no attributes            */
  /* x[N,H,W,C] (f32 or u8) -> y[N,OH,OW,C] f32: bilinear, half-pixel centres, edges clamped, no
   * antialiasing; no attributes                                                                  */
  XFER_OP_RESIZE_BILINEAR            = 28,
  /* y_true[N,K] y_pred[N,K] -> loss[N], the mean over K of binary crossentropy. Probabilities are
   * clipped to [1e-7, 1-1e-7]; from logits: max(z,0) - z*y + log1p(exp(-|z|)).
   * label_smoothing s: y*(1-s) + s/2.                          xfer_crossentropy_attributes */
  XFER_OP_BINARY_CROSSENTROPY          = 29,
  XFER_OP_BINARY_CROSSENTROPY_BACKWARD = 30, /* y_true y_pred dloss[N] -> dy_pred               */
  /* y_true(i32[N]) y_pred[N,K] -> loss[N]. Logits: log-sum-exp(z) - z[label]. Probabilities are
   * divided by their sum, clipped to [1e-7, 1-1e-7], -log p[label]. A label outside 0...K-1
   * gives NaN.                                                 xfer_crossentropy_attributes */
  XFER_OP_SPARSE_CATEGORICAL_CROSSENTROPY          = 31,
  XFER_OP_SPARSE_CATEGORICAL_CROSSENTROPY_BACKWARD = 32, /* y_true y_pred dloss[N] -> dy_pred */
  /* w velocity g lr(f32[1]) -> w velocity (both alias). v = momentum*v - lr*g; w += v, or with
   * nesterov w += momentum*v - lr*g. Without momentum (n_inputs 3: w g lr -> w): w -= lr*g.
   *                                                            xfer_sgd_attributes */
  XFER_OP_SGD                        = 33,
  /* w m v g alpha(f32[1]) -> w m v (all alias). m += (g-m)*(1-beta_1); v += (g*g-v)*(1-beta_2);
   * w -= alpha*m/(sqrt(v)+epsilon); alpha = lr*sqrt(1-beta_2^t)/(1-beta_1^t) is made by the host.
   *                                                            xfer_adam_attributes */
  XFER_OP_ADAM                       = 34,
  XFER_OP_LERP                       = 35,  /* a b -> y = a*t + b*(1-t) (may alias a)  xfer_lerp_attributes */
  XFER_OP_UNARY                      = 36,  /* x -> y = f(x) (may alias)               xfer_unary_attributes */
  /* x -> y of the same rank: y's dimension i is x's dimension order[i]; any element type
   *                                                            xfer_transpose_attributes */
  XFER_OP_TRANSPOSE                  = 37,
  /* x[outer,n,inner] index(i32[m]) -> y[outer,m,inner], y[o,i] = x[o,index[i]]; an index outside
   * 0...n-1 gives NaN; no attributes                                                             */
  XFER_OP_GATHER                     = 38,
  /* dy[outer,m,inner] index(i32[m]) -> dx[outer,n,inner]: rows of equal indices are summed in the order of
   * the index, indices outside 0...n-1 are passed over; no attributes                            */
  XFER_OP_GATHER_BACKWARD            = 39,
  /* state(i64[2]) -> y: random numbers of the state. With key = mix(state[0] ^ mix(state[1])) and
   * u(j) = (mix(key + j) >> 40) * 2^-24 as for DROPOUT: UNIFORM gives u(i); NORMAL (Box and Muller 1958)
   * sqrt(-2 log(u(2i) + 2^-24)) * cos(2 pi u(2i+1)).           xfer_random_attributes */
  XFER_OP_RANDOM                     = 40,
  /* condition a b -> y, four tensors of one shape: y = condition != 0 ? a : b (may alias any);
   * no attributes                                                                                */
  XFER_OP_SELECT                     = 41,
  /* x[N,H,W,C] m[N,8] -> y[N,OH,OW,C]: the pixel of row r and column c is x at column
   * (m0*c + m1*r + m2)/k, row (m3*c + m4*r + m5)/k, k = m6*c + m7*r + 1, as TensorFlow's
   * ImageProjectiveTransformV3 has it.                         xfer_image_transform_attributes */
  XFER_OP_IMAGE_TRANSFORM            = 42,
  /* x[N,H,W,C] depthwise[kh,kw,C,1] kernel[1,1,C,O] [depthwise_bias C] [bias O] [residual] -> y[N,OH,OW,O]
   * d = depthwise_activation(depthwise convolution(input_activation(x)) + depthwise_bias),
   * y = activation(d kernel + bias + residual): both halves of a separable convolution, without the
   * tensor between them. The host merges the halves only for a backend that prefers this op; an
   * input_activation gives 0 for 0.                            xfer_separable_conv_attributes  */
  XFER_OP_SEPARABLE_CONV2D           = 43
};

enum {  /* xfer_activation.kind */
  XFER_ACTIVATION_LINEAR       = 0,
  XFER_ACTIVATION_RELU         = 1,  /* x >= max_value: max_value; x >= threshold: x; else alpha*(x-threshold) */
  XFER_ACTIVATION_SIGMOID      = 2,
  XFER_ACTIVATION_TANH         = 3,
  XFER_ACTIVATION_ELU          = 4,  /* alpha*(exp(x)-1) below 0 */
  XFER_ACTIVATION_SELU         = 5,
  XFER_ACTIVATION_SILU         = 6,  /* x*sigmoid(x) */
  XFER_ACTIVATION_GELU         = 7,  /* 0.5x(1+erf(x/sqrt 2)) */
  XFER_ACTIVATION_GELU_TANH    = 8,
  XFER_ACTIVATION_SOFTPLUS     = 9,  /* log(1+exp(x)) */
  XFER_ACTIVATION_SOFTSIGN     = 10,
  XFER_ACTIVATION_EXPONENTIAL  = 11,
  XFER_ACTIVATION_HARD_SIGMOID = 12, /* relu6(x+3)/6, Keras 3 */
  XFER_ACTIVATION_HARD_SILU    = 13  /* x*hard_sigmoid(x)     */
};

/* For RELU: max_value is +infinity when there is none. Fixed for the major version. */
typedef struct xfer_activation {
  int32_t kind;
  float   alpha, max_value, threshold;
} xfer_activation;

typedef struct xfer_matmul_attributes {
  size_t  struct_size;
  int32_t transpose_a, transpose_b, has_bias, has_residual;
  xfer_activation activation;
} xfer_matmul_attributes;

typedef struct xfer_conv_attributes {
  size_t  struct_size;
  int32_t stride_h, stride_w, dilation_h, dilation_w;
  int32_t pad_top, pad_bottom, pad_left, pad_right;
  int32_t groups, has_bias, has_residual;
  xfer_activation activation;   /* of the forward ops; LINEAR in the backward ones */
} xfer_conv_attributes;

typedef struct xfer_separable_conv_attributes {
  size_t  struct_size;
  int32_t stride_h, stride_w, dilation_h, dilation_w;   /* of the depthwise half */
  int32_t pad_top, pad_bottom, pad_left, pad_right;
  int32_t has_depthwise_bias, has_bias, has_residual;
  xfer_activation input_activation, depthwise_activation, activation;
} xfer_separable_conv_attributes;

enum { XFER_POOL_MAX = 0, XFER_POOL_AVERAGE = 1 };
typedef struct xfer_pool_attributes {
  size_t  struct_size;
  int32_t kind, window_h, window_w, stride_h, stride_w;
  int32_t pad_top, pad_bottom, pad_left, pad_right;
} xfer_pool_attributes;

enum { XFER_REDUCE_SUM = 0, XFER_REDUCE_MEAN = 1, XFER_REDUCE_MAX = 2 };
typedef struct xfer_reduce_attributes { size_t struct_size; int32_t kind; } xfer_reduce_attributes;

typedef struct xfer_broadcast_attributes { size_t struct_size; float scale; } xfer_broadcast_attributes;

typedef struct xfer_activation_attributes {
  size_t  struct_size;
  xfer_activation activation;
  int32_t saved_is_output;      /* ACTIVATION_BACKWARD only */
} xfer_activation_attributes;

enum { XFER_BINARY_ADD = 0, XFER_BINARY_SUBTRACT = 1, XFER_BINARY_MULTIPLY = 2, XFER_BINARY_DIVIDE = 3,
       XFER_BINARY_MAXIMUM = 4, XFER_BINARY_MINIMUM = 5,
       XFER_BINARY_POWER = 6,                                   /* a to the b                     */
       XFER_BINARY_EQUAL = 7, XFER_BINARY_GREATER = 8, XFER_BINARY_GREATER_EQUAL = 9 /* 1 where true, else 0 */ };
typedef struct xfer_binary_attributes { size_t struct_size; int32_t kind; } xfer_binary_attributes;

typedef struct xfer_normalize_attributes { size_t struct_size; float epsilon; } xfer_normalize_attributes;
typedef struct xfer_axis_attributes { size_t struct_size; int32_t axis; } xfer_axis_attributes;
typedef struct xfer_box_attributes { size_t struct_size; int64_t begin[8]; float value; } xfer_box_attributes;
typedef struct xfer_dropout_attributes { size_t struct_size; float rate; } xfer_dropout_attributes;
typedef struct xfer_crossentropy_attributes { size_t struct_size; int32_t from_logits; float label_smoothing; } xfer_crossentropy_attributes;
typedef struct xfer_sgd_attributes { size_t struct_size; float momentum; int32_t nesterov; } xfer_sgd_attributes;
typedef struct xfer_adam_attributes { size_t struct_size; float beta_1, beta_2, epsilon; } xfer_adam_attributes;

enum { XFER_UNARY_IDENTITY = 0, XFER_UNARY_NEGATE = 1, XFER_UNARY_ABS = 2, XFER_UNARY_SIGN = 3, XFER_UNARY_SQUARE = 4,
       XFER_UNARY_SQRT = 5, XFER_UNARY_RSQRT = 6, XFER_UNARY_RECIPROCAL = 7, XFER_UNARY_EXP = 8, XFER_UNARY_EXPM1 = 9,
       XFER_UNARY_LOG = 10, XFER_UNARY_LOG1P = 11, XFER_UNARY_SIN = 12, XFER_UNARY_COS = 13, XFER_UNARY_TANH = 14,
       XFER_UNARY_ERF = 15, XFER_UNARY_FLOOR = 16, XFER_UNARY_ROUND = 17 /* halves to even */ };
typedef struct xfer_unary_attributes { size_t struct_size; int32_t kind; } xfer_unary_attributes;
typedef struct xfer_transpose_attributes { size_t struct_size; int32_t order[8]; } xfer_transpose_attributes;
enum { XFER_RANDOM_UNIFORM = 0, XFER_RANDOM_NORMAL = 1 };
typedef struct xfer_random_attributes { size_t struct_size; int32_t kind; } xfer_random_attributes;
enum { XFER_INTERPOLATION_NEAREST = 0, XFER_INTERPOLATION_BILINEAR = 1 };
/* Outside the image: the value; abcd as dcba|abcd|dcba; as abcd|abcd|abcd; as aaaa|abcd|dddd. */
enum { XFER_FILL_CONSTANT = 0, XFER_FILL_REFLECT = 1, XFER_FILL_WRAP = 2, XFER_FILL_NEAREST = 3 };
typedef struct xfer_image_transform_attributes {
  size_t  struct_size;
  int32_t interpolation, fill_mode;
  float   fill_value;
} xfer_image_transform_attributes;
typedef struct xfer_lerp_attributes { size_t struct_size; float t; } xfer_lerp_attributes;

/* How exact products of two tensors (MATMUL, CONV2D, SEPARABLE_CONV2D's second half and their gradients) are to be. BFLOAT16: the
 * factors may be rounded to bfloat16 (8 bits of fraction, to nearest even), sums stay float32; a backend that has nothing to
 * gain by that computes in float32.
 *
 * Since ABI 1.4 a plan of BFLOAT16 may ask supports() about images of XFER_BF16: x, dy, y, dx and a residual of CONV2D,
 * DEPTHWISE_CONV2D, SEPARABLE_CONV2D and their gradients, of POOL2D, ACTIVATION and their gradients, of SCALE_SHIFT, MOMENTS, REDUCE,
 * the BATCHNORM_BACKWARD ops, BINARY, CONCAT, and of whatever else reads or makes a tensor of four dimensions. Kernels, vectors and
 * sums over images stay XFER_F32. Arithmetic is that of float32, results are rounded to nearest even as they are stored. A backend may
 * decline any combination, or all: the host then keeps these tensors in float32. An output of another type than an input does not
 * alias it. */
enum { XFER_PRECISION_FLOAT32 = 0, XFER_PRECISION_BFLOAT16 = 1 };

/* An op with everything known but the data. All pointers live as long as the call; prepare copies
 * what it keeps. */
typedef struct xfer_op_desc {
  size_t   struct_size;
  int32_t  op;                         /* XFER_OP_*                                          */
  uint32_t n_inputs, n_outputs;
  const xfer_tensor_desc *inputs;      /* the plain shapes, also of packed inputs             */
  const xfer_tensor_desc *outputs;
  const void *attributes;              /* the op's structure, or NULL where it has none       */
  uint64_t constant_inputs;            /* bit i: input i keeps its value for many executions  */
  uint64_t packed_inputs;              /* bit i: execute gets input i as pack() made it       */
  int32_t  precision;                  /* XFER_PRECISION_*; since ABI 1.2                     */
  uint64_t variant;                    /* prepare: which of variants(desc) ways; since ABI 1.3 */
} xfer_op_desc;

/* ---- Backends ------------------------------------------------------------------------------ */

enum { XFER_SUPPORT_NO = 0, XFER_SUPPORT_YES = 1, XFER_SUPPORT_PREFERRED = 2 };

typedef struct xfer_kernel xfer_kernel;  /* the plugin's own, opaque to the host */

typedef struct xfer_backend {
  size_t struct_size;
  /* Whether this backend can run the op, and whether it is better at it than a general backend:
   * the host takes PREFERRED before YES, then its own order of backends. Pure: a function of desc. */
  int32_t (*supports)(const xfer_op_desc *desc);
  /* (optional) How many bytes input `input`, a constant, takes in this backend's own layout; 0 when
   * it is used as it is. *layout names the layout: two ops with equal layouts share one copy, so
   * it must depend on the weight's shape and what the packing reads of the attributes, not on the
   * batch. The packed buffer is aligned to 64 bytes. */
  size_t (*pack_size)(const xfer_op_desc *desc, uint32_t input, uint64_t *layout);
  xfer_status (*pack)(const xfer_op_desc *desc, uint32_t input, const void *source, void *packed);
  /* Makes a kernel and says how much workspace one execution needs (aligned to 64 bytes, contents
   * undefined before and after). */
  xfer_status (*prepare)(const xfer_op_desc *desc, xfer_kernel **kernel, size_t *workspace_bytes);
  xfer_status (*execute)(xfer_kernel *kernel, const void *const *inputs, void *const *outputs, void *workspace);
  void (*release)(xfer_kernel *kernel);
  /* (optional, since ABI 1.3) In how many ways prepare can do the op: other tiles, another division among threads.
   * desc->variant names one, 0 the backend's own choice. All give the same bits for finite values and read the same packed
   * inputs: the host tries them in the middle of real work and keeps the fastest. Pure: a function of desc. */
  uint32_t (*variants)(const xfer_op_desc *desc);
  /* (since ABI 1.5) 1: the host may run kernels on several of its threads at once for one batch. Their threads are
   * the host's, or a library's that is held to thread_count() for the calling thread alone. 0: it never does so. */
  int32_t concurrent;
} xfer_backend;

/* ---- Image codecs -------------------------------------------------------------------------- */

typedef struct xfer_image_request {
  size_t  struct_size;
  int32_t channels;                /* 1 grey, 3 RGB, 4 RGBA: the pixels are converted            */
  int32_t min_height, min_width;   /* nonzero: the decoder may shrink the image while decoding as
                                      long as it stays at least this large; 0: full size         */
} xfer_image_request;

typedef struct xfer_image_info { size_t struct_size; int32_t height, width; } xfer_image_info;

typedef struct xfer_image_codec {
  size_t struct_size;
  int32_t (*recognizes)(const uint8_t *data, size_t bytes);  /* 1: this plugin reads such a file */
  /* The size decode will give for this request. Refuses images above 2^28 pixels. */
  xfer_status (*info)(const uint8_t *data, size_t bytes, const xfer_image_request *request, xfer_image_info *info);
  /* Fills height*width*channels bytes, row-major. A truncated image is XFER_E_FORMAT. Safe from
   * several threads at once. */
  xfer_status (*decode)(const uint8_t *data, size_t bytes, const xfer_image_request *request, uint8_t *pixels, size_t capacity);
} xfer_image_codec;

/* ---- HDF5 containers ------------------------------------------------------------------------- */

typedef struct xfer_h5_file xfer_h5_file;
enum { XFER_H5_READ = 0, XFER_H5_CREATE = 1 };
enum { XFER_H5_GROUP = 0, XFER_H5_DATASET = 1 };
/* Return nonzero to stop the walk. `name` lives for the call. */
typedef int32_t (*xfer_h5_visit_fn)(void *user, const char *name, int32_t kind);
typedef void (*xfer_h5_string_fn)(void *user, const char *text, size_t bytes);

typedef struct xfer_h5_codec {
  size_t struct_size;
  xfer_status (*open)(const char *path, int32_t mode, xfer_h5_file **file);
  xfer_status (*open_memory)(const void *data, size_t bytes, xfer_h5_file **file); /* read; data outlives file */
  xfer_status (*close)(xfer_h5_file *file);   /* reports what could not be flushed; NULL is fine */
  int32_t (*exists)(xfer_h5_file *file, const char *path);
  /* The direct members of a group, in the order they were created where the file tracks it, else
   * by name. */
  xfer_status (*visit)(xfer_h5_file *file, const char *group, xfer_h5_visit_fn fn, void *user);
  xfer_status (*dataset_info)(xfer_h5_file *file, const char *path, xfer_tensor_desc *desc);
  /* Reads as the dtype of dataset_info (f16/f32/f64, u8, i32, i64; other integers widen). bytes must be
   * the full size. */
  xfer_status (*dataset_read)(xfer_h5_file *file, const char *path, void *data, size_t bytes);
  xfer_status (*dataset_write)(xfer_h5_file *file, const char *path, const xfer_tensor_desc *desc, const void *data); /* makes missing groups */
  xfer_status (*group_create)(xfer_h5_file *file, const char *path);   /* with its parents; an existing one is fine */
  /* A string attribute, scalar or array, of fixed or variable length: fn once a string, padding
   * removed. XFER_E_NOT_FOUND when there is none. Chunked as Keras does (name0, name1 ...): call each. */
  xfer_status (*attribute_strings)(xfer_h5_file *file, const char *path, const char *name, xfer_h5_string_fn fn, void *user);
  /* scalar: one string attribute; else an array of fixed-length strings. */
  xfer_status (*attribute_write)(xfer_h5_file *file, const char *path, const char *name, const char *const *values, size_t count, int32_t scalar);
} xfer_h5_codec;

/* ---- Zip archives (.keras) ------------------------------------------------------------------ */

typedef struct xfer_zip_file xfer_zip_file;
typedef int32_t (*xfer_zip_visit_fn)(void *user, const char *name, uint64_t bytes);

typedef struct xfer_zip_codec {
  size_t struct_size;
  xfer_status (*open)(const char *path, int32_t mode /* XFER_H5_READ, XFER_H5_CREATE */, xfer_zip_file **file);
  xfer_status (*close)(xfer_zip_file *file);     /* writes the archive when it was created */
  void (*discard)(xfer_zip_file *file);          /* closes without writing; NULL is fine   */
  xfer_status (*visit)(xfer_zip_file *file, xfer_zip_visit_fn fn, void *user);
  xfer_status (*entry_read)(xfer_zip_file *file, const char *name, void *data, size_t bytes); /* bytes: the full size */
  xfer_status (*entry_write)(xfer_zip_file *file, const char *name, const void *data, size_t bytes); /* copied; stored uncompressed, as Keras does */
} xfer_zip_codec;

/* ---- The plugin ------------------------------------------------------------------------------ */

enum { XFER_PLUGIN_BACKEND = 1, XFER_PLUGIN_IMAGE_CODEC = 2, XFER_PLUGIN_HDF5 = 3, XFER_PLUGIN_ZIP = 4 };

typedef struct xfer_plugin {
  size_t   struct_size;
  uint32_t abi_major, abi_minor;   /* the XFER_PLUGIN_ABI_* it was compiled with */
  int32_t  kind;                   /* XFER_PLUGIN_*                              */
  const char *name;                /* "naive", "simd", "blas", "hdf5" ...: variants of one thing share a name */
  const char *version;             /* free text for people, e.g. "1.0 avx512"    */
  /* How well this plugin runs here: 0 not at all (a missing CPU feature or library: say which by
   * set_error); of several with one name the highest score wins. */
  int32_t (*score)(const xfer_host *host);
  const void *table;               /* xfer_backend, xfer_image_codec, xfer_h5_codec or xfer_zip_codec */
  void (*shutdown)(void);          /* (optional) at the end of the process       */
} xfer_plugin;

typedef const xfer_plugin *(*xfer_plugin_entry_fn)(const xfer_host *host);

#if defined(_WIN32)
#define XFER_PLUGIN_EXPORT __declspec(dllexport)
#else
#define XFER_PLUGIN_EXPORT __attribute__((visibility("default")))
#endif

XFER_PLUGIN_EXPORT const xfer_plugin *xfer_plugin_entry(const xfer_host *host);

#ifdef __cplusplus
}
#endif
#endif
