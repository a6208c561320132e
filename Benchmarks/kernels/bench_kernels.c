/* Speed of a backend plugin's kernels on the shapes of Xception, beside the peak of this core's products measured in the same run.
 *
 *   cc -O3 -march=native -o bench_kernels bench_kernels.c -lpthread -ldl -lm
 *   ./bench_kernels path/to/libxfer-simd-avx512bf16.so [threads] [filter] [bf16]
 *
 * Every line is the best of several repeats. The peak is that of the widest registers this program was compiled for; of tile registers where
 * the plugin uses them.
 */
#include "mini_host.h"
#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif
#include <math.h>
#include <string.h>
#include <time.h>

static int threads = 1;
static int32_t precision = XFER_PRECISION_FLOAT32;

/* With one thread the time of this thread on the CPU, which other programs disturb less; else time that passes. */
static double now(void) {
  struct timespec t;
  clock_gettime(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

#if defined(__AVX512F__)
typedef float vec __attribute__((vector_size(64)));
#elif defined(__AVX__)
typedef float vec __attribute__((vector_size(32)));
#else
typedef float vec __attribute__((vector_size(16)));
#endif
enum { LANES = sizeof(vec) / 4, STEPS = 200000 };

#if defined(__AMX_BF16__)
#include <sys/syscall.h>
#include <unistd.h>
/* Whether the system lets this process use tile registers: ARCH_REQ_XCOMP_PERM of XTILEDATA. */
static int has_tiles(void) { return syscall(SYS_arch_prctl, 0x1023, 18) == 0; }

static void tile_task(void *context, int64_t begin, int64_t end, int32_t worker) {
  (void)context, (void)begin, (void)end, (void)worker;
  static const struct { uint8_t palette, start, reserved[14]; uint16_t bytes[16]; uint8_t rows[16]; } config = {
    1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
  _tile_loadconfig(&config);
  _tile_zero(0); _tile_zero(1); _tile_zero(2); _tile_zero(3); _tile_zero(4); _tile_zero(5); _tile_zero(6); _tile_zero(7);
  for (int k = 0; k < STEPS / 16; k++) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_release();
}
static const double tile_flops = 4.0 * 2 * 16 * 16 * 32 * (STEPS / 16);
#else
static int has_tiles(void) { return 0; }
static void tile_task(void *context, int64_t begin, int64_t end, int32_t worker) { (void)context, (void)begin, (void)end, (void)worker; }
static const double tile_flops = 0;
#endif

static void peak_task(void *context, int64_t begin, int64_t end, int32_t worker) {
  (void)context, (void)begin, (void)end, (void)worker;
  vec m, s, a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11;
  for (int i = 0; i < LANES; i++) m[i] = 0.999f, s[i] = 1e-3f;
  a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = a8 = a9 = a10 = a11 = s;
  for (int k = 0; k < STEPS; k++) {
#define STEP(a) a = a * m + s; __asm__ volatile("" : "+x"(a));
#if defined(__AVX512BF16__)
    if (precision == XFER_PRECISION_BFLOAT16) {
#define PAIRS(a) a = (vec)_mm512_dpbf16_ps((__m512)a, (__m512bh)m, (__m512bh)s); __asm__ volatile("" : "+x"(a));
      PAIRS(a0) PAIRS(a1) PAIRS(a2) PAIRS(a3) PAIRS(a4) PAIRS(a5) PAIRS(a6) PAIRS(a7) PAIRS(a8) PAIRS(a9) PAIRS(a10) PAIRS(a11)
      continue;
    }
#endif
    STEP(a0) STEP(a1) STEP(a2) STEP(a3) STEP(a4) STEP(a5) STEP(a6) STEP(a7) STEP(a8) STEP(a9) STEP(a10) STEP(a11)
  }
}

/* GFLOP/s of `threads` cores doing nothing but products in registers, in the precision asked for; `tiles`: in tile registers. */
static double peak(int tiles) {
  double best = 0;
  for (int r = 0; r < 12; r++) {
    double t = now();
    host_parallel(&mini_host, pool.threads, 1, tiles ? tile_task : peak_task, NULL);
    t = now() - t;
#if defined(__AVX512BF16__)
    double width = precision == XFER_PRECISION_BFLOAT16 ? 2 * LANES : LANES;
#else
    double width = LANES;
#endif
    double g = (tiles ? tile_flops : 12.0 * 2 * width * STEPS) * pool.threads / t * 1e-9;
    if (g > best) best = g;
  }
  return best;
}

static const xfer_backend *backend;
static double peak_now;
static const char *filter = "";

static size_t floats_of(const xfer_tensor_desc *d) {
  size_t n = 1;
  for (int i = 0; i < d->rank; i++) n *= (size_t)d->dims[i];
  return n;
}

static xfer_tensor_desc tensor(int rank, int64_t a, int64_t b, int64_t c, int64_t d) {
  return (xfer_tensor_desc){XFER_F32, rank, {a, b, c, d, 1, 1, 1, 1}};
}

static float *filled(const xfer_tensor_desc *d) {
  size_t n = floats_of(d);
  float *p = host_alloc(NULL, n * 4 + 64, 64);
  unsigned s = 1;
  for (size_t i = 0; i < n; i++) p[i] = (float)((s = s * 1664525u + 1013904223u) >> 8) / 8388608.0f - 1.0f;
  return p;
}

/* Runs one op and prints its line. flops 0: bandwidth instead. Seconds of the best run; 0 where there was none. */
static double bench(const char *name, xfer_op_desc *op, double flops) {
  if (!strstr(name, filter)) return 0;
  const void *in[8];
  void *out[4], *packed = NULL;
  double bytes = 0;
  op->struct_size = sizeof *op;
  op->precision = precision;
  if (!backend->supports(op)) {
    printf("%-44s declined\n", name);
    return 0;
  }
  for (uint32_t i = 0; i < op->n_inputs; i++) in[i] = filled(&op->inputs[i]), bytes += floats_of(&op->inputs[i]) * 4;
  for (uint32_t i = 0; i < op->n_outputs; i++) out[i] = filled(&op->outputs[i]), bytes += floats_of(&op->outputs[i]) * 4;
  const uint32_t matrix = op->op == XFER_OP_SEPARABLE_CONV2D ? 2 : 1;
  const void *given = op->n_inputs > matrix ? in[matrix] : NULL;
  if ((op->constant_inputs >> matrix & 1) && backend->pack_size) {
    uint64_t layout;
    size_t n = backend->pack_size(op, matrix, &layout);
    if (n) {
      packed = host_alloc(NULL, n, 64);
      backend->pack(op, matrix, given, packed);
      in[matrix] = packed;
      op->packed_inputs |= 1u << matrix;
    }
  }
  xfer_kernel *kernel;
  size_t need = 0;
  if (backend->prepare(op, &kernel, &need)) exit(1);
  void *workspace = host_alloc(NULL, need + 64, 64);
  double best = 1e9, spent = 0;
  for (int r = 0; r < 200 && (spent < 0.6 || r < 4); r++) {
    double t = now();
    if (backend->execute(kernel, in, out, workspace)) exit(1);
    t = now() - t;
    spent += t;
    if (t < best) best = t;
  }
  if (flops > 0)
    printf("%-44s %8.3f ms %8.1f GFLOP/s %5.1f%% of peak %7.1f GB/s\n", name, best * 1e3, flops / best * 1e-9,
           100 * flops / best * 1e-9 / peak_now, bytes / best * 1e-9);
  else
    printf("%-44s %8.3f ms %31s %7.1f GB/s\n", name, best * 1e3, "", bytes / best * 1e-9);
  fflush(stdout);
  backend->release(kernel);
  for (uint32_t i = 0; i < op->n_inputs; i++) free((void *)(i == matrix ? given : in[i]));
  for (uint32_t i = 0; i < op->n_outputs; i++) free(out[i]);
  free(packed), free(workspace);
  return best;
}

static void matmul(int64_t m, int64_t n, int64_t k, int ta, int tb, int constant) {
  xfer_matmul_attributes a = {.struct_size = sizeof a, .transpose_a = ta, .transpose_b = tb};
  xfer_tensor_desc in[2] = {ta ? tensor(2, k, m, 1, 1) : tensor(2, m, k, 1, 1), tb ? tensor(2, n, k, 1, 1) : tensor(2, k, n, 1, 1)};
  xfer_tensor_desc out = tensor(2, m, n, 1, 1);
  xfer_op_desc op = {.op = XFER_OP_MATMUL, .n_inputs = 2, .n_outputs = 1, .inputs = in, .outputs = &out, .attributes = &a,
                     .constant_inputs = constant ? 2 : 0};
  char name[96];
  snprintf(name, sizeof name, "matmul %ldx%ldx%ld%s%s%s", (long)m, (long)n, (long)k, ta ? " ta" : "", tb ? " tb" : "", constant ? " packed" : "");
  bench(name, &op, 2.0 * m * n * k);
}

enum { FORWARD, BACKWARD_INPUT, BACKWARD_KERNEL };
static const char *directions[] = {"", " dx", " dk"};

/* groups 0: depthwise, o/c outputs a channel. */
static double conv_in_groups(int groups, int direction, int64_t n, int64_t size, int64_t c, int64_t o, int k, int stride, int same, int relu) {
  int depthwise = groups == 0;
  int64_t os = same ? (size + stride - 1) / stride : (size - k) / stride + 1;
  int pad = same ? (int)((os - 1) * stride + k - size) : 0;
  if (pad < 0) pad = 0;
  xfer_conv_attributes a = {.struct_size = sizeof a, .stride_h = stride, .stride_w = stride, .dilation_h = 1, .dilation_w = 1,
                            .pad_top = pad / 2, .pad_bottom = pad - pad / 2, .pad_left = pad / 2, .pad_right = pad - pad / 2, .groups = depthwise ? 1 : groups};
  xfer_tensor_desc x = tensor(4, n, size, size, c), y = tensor(4, n, os, os, o);
  xfer_tensor_desc w = depthwise ? tensor(4, k, k, c, o / c) : tensor(4, k, k, c / groups, o), bias = tensor(1, o, 1, 1, 1);
  xfer_tensor_desc in[3] = {x, w, bias}, out = y;
  if (direction == BACKWARD_INPUT) in[0] = y, out = x;
  if (direction == BACKWARD_KERNEL) in[1] = y, out = w;
  if (direction == FORWARD) {
    a.has_bias = 1;
    a.activation = (xfer_activation){.kind = relu ? XFER_ACTIVATION_RELU : 0, .max_value = INFINITY};
  }
  int32_t op_number = (depthwise ? XFER_OP_DEPTHWISE_CONV2D : XFER_OP_CONV2D) + direction;
  xfer_op_desc op = {.op = op_number, .n_inputs = direction == FORWARD ? 3 : 2, .n_outputs = 1, .inputs = in, .outputs = &out,
                     .attributes = &a, .constant_inputs = direction == BACKWARD_KERNEL ? 0 : 2};
  char name[96], in_groups[32] = "";
  if (groups > 1) snprintf(in_groups, sizeof in_groups, " in %d groups", groups);
  snprintf(name, sizeof name, "%s%dx%d%s%s n%ld %ldx%ld %ld->%ld%s", depthwise ? "dw" : "conv", k, k, stride > 1 ? "/2" : "",
           directions[direction], (long)n, (long)size, (long)size, (long)c, (long)o, in_groups);
  return bench(name, &op, 2.0 * n * os * os * k * k * o * (depthwise ? 1 : c / groups));
}

static double conv(int depthwise, int direction, int64_t n, int64_t size, int64_t c, int64_t o, int k, int stride, int same, int relu) {
  return conv_in_groups(depthwise ? 0 : 1, direction, n, size, c, o, k, stride, same, relu);
}

/* A depthwise 3x3 and the 1x1 convolution behind it as one op, and as two. */
static void separable(int64_t n, int64_t size, int64_t c, int64_t o) {
  xfer_separable_conv_attributes a = {.struct_size = sizeof a, .stride_h = 1, .stride_w = 1, .dilation_h = 1, .dilation_w = 1, .pad_top = 1,
                                      .pad_bottom = 1, .pad_left = 1, .pad_right = 1, .has_depthwise_bias = 1, .has_bias = 1,
                                      .activation = {.kind = XFER_ACTIVATION_RELU, .max_value = INFINITY}};
  xfer_tensor_desc out = tensor(4, n, size, size, o);
  xfer_tensor_desc in[5] = {tensor(4, n, size, size, c), tensor(4, 3, 3, c, 1), tensor(4, 1, 1, c, o), tensor(1, c, 1, 1, 1), tensor(1, o, 1, 1, 1)};
  xfer_op_desc op = {.op = XFER_OP_SEPARABLE_CONV2D, .n_inputs = 5, .n_outputs = 1, .inputs = in, .outputs = &out, .attributes = &a, .constant_inputs = 6};
  char name[96];
  snprintf(name, sizeof name, "separable 3x3 n%ld %ldx%ld %ld->%ld", (long)n, (long)size, (long)size, (long)c, (long)o);
  double merged = bench(name, &op, 2.0 * n * size * size * c * (9 + o));
  if (merged == 0) return;
  const char *all = filter;
  filter = "";
  double halves = conv(1, FORWARD, n, size, c, c, 3, 1, 1, 0) + conv(0, FORWARD, n, size, c, o, 1, 1, 1, 1);
  filter = all;
  printf("%-44s %8.2f of its halves' time\n", name, merged / halves);
}

static void elementwise(const char *name, int32_t number, int inputs, xfer_tensor_desc *in, int outputs, xfer_tensor_desc *out, const void *a) {
  xfer_op_desc op = {.op = number, .n_inputs = (uint32_t)inputs, .n_outputs = (uint32_t)outputs, .inputs = in, .outputs = out, .attributes = a};
  bench(name, &op, 0);
}

static void elementwise_all(void) {
  xfer_tensor_desc x = tensor(4, 32, 18, 18, 728), c = tensor(1, 728, 1, 1, 1), one = tensor(1, 1, 1, 1, 1);
  static const struct { const char *name; int kind; } kinds[] = {
    {"relu", XFER_ACTIVATION_RELU}, {"sigmoid", XFER_ACTIVATION_SIGMOID}, {"tanh", XFER_ACTIVATION_TANH}, {"silu", XFER_ACTIVATION_SILU},
    {"gelu", XFER_ACTIVATION_GELU}, {"exponential", XFER_ACTIVATION_EXPONENTIAL}};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    xfer_activation_attributes a = {.struct_size = sizeof a, .activation = {.kind = kinds[i].kind, .alpha = 1, .max_value = INFINITY}};
    if (kinds[i].kind == XFER_ACTIVATION_RELU) a.activation.alpha = 0;
    elementwise(kinds[i].name, XFER_OP_ACTIVATION, 1, &x, 1, &x, &a);
  }
  xfer_activation_attributes linear = {.struct_size = sizeof linear};
  elementwise("scale_shift", XFER_OP_SCALE_SHIFT, 3, (xfer_tensor_desc[]){x, c, c}, 1, &x, &linear);
  xfer_tensor_desc image = tensor(4, 8, 224, 224, 3), colours = tensor(1, 3, 1, 1, 1);
  elementwise("scale_shift of images", XFER_OP_SCALE_SHIFT, 3, (xfer_tensor_desc[]){image, colours, colours}, 1, &image, &linear);
  xfer_binary_attributes add = {.struct_size = sizeof add};
  elementwise("add", XFER_OP_BINARY, 2, (xfer_tensor_desc[]){x, x}, 1, &x, &add);
  elementwise("moments", XFER_OP_MOMENTS, 1, &x, 2, (xfer_tensor_desc[]){c, c}, NULL);
  xfer_normalize_attributes epsilon = {.struct_size = sizeof epsilon, .epsilon = 1e-3f};
  elementwise("batchnorm backward reduce", XFER_OP_BATCHNORM_BACKWARD_REDUCE, 4, (xfer_tensor_desc[]){x, x, c, c}, 2,
              (xfer_tensor_desc[]){c, c}, &epsilon);
  elementwise("batchnorm backward input", XFER_OP_BATCHNORM_BACKWARD_INPUT, 7, (xfer_tensor_desc[]){x, x, c, c, c, c, c}, 1, &x, &epsilon);
  xfer_pool_attributes pool_a = {.struct_size = sizeof pool_a, .kind = XFER_POOL_MAX, .window_h = 3, .window_w = 3, .stride_h = 2,
                                 .stride_w = 2, .pad_bottom = 1, .pad_right = 1};
  xfer_tensor_desc half = tensor(4, 32, 9, 9, 728);
  elementwise("max_pool 3x3/2", XFER_OP_POOL2D, 1, &x, 1, &half, &pool_a);
  elementwise("max_pool 3x3/2 backward", XFER_OP_POOL2D_BACKWARD, 3, (xfer_tensor_desc[]){x, half, half}, 1, &x, &pool_a);
  xfer_reduce_attributes mean = {.struct_size = sizeof mean, .kind = XFER_REDUCE_MEAN};
  xfer_tensor_desc in3 = tensor(3, 32, 324, 728, 1), out2 = tensor(2, 32, 728, 1, 1);
  elementwise("global average", XFER_OP_REDUCE, 1, &in3, 1, &out2, &mean);
  xfer_tensor_desc w = tensor(1, 1 << 22, 1, 1, 1);
  xfer_adam_attributes adam = {.struct_size = sizeof adam, .beta_1 = 0.9f, .beta_2 = 0.999f, .epsilon = 1e-7f};
  elementwise("adam", XFER_OP_ADAM, 5, (xfer_tensor_desc[]){w, w, w, w, one}, 3, (xfer_tensor_desc[]){w, w, w}, &adam);
}

int main(int argc, char **argv) {
  if (argc < 2) return fprintf(stderr, "usage: %s plugin.so [threads] [filter] [bf16]\n", argv[0]), 2;
  if (argc > 2) threads = atoi(argv[2]);
  if (argc > 3) filter = argv[3];
  if (argc > 4 && !strcmp(argv[4], "bf16")) precision = XFER_PRECISION_BFLOAT16;
  if (threads < 1 || threads > POOL_MAX) threads = 1;
  pool_resize(threads);
  const xfer_plugin *plugin = load_backend(argv[1]);
  if (!plugin) return 1;
  backend = plugin->table;
  peak_now = peak(precision == XFER_PRECISION_BFLOAT16 && strstr(plugin->version, "amx") && has_tiles());
  printf("%s %s, %d thread(s), %s peak %.1f GFLOP/s\n", plugin->name, plugin->version, threads,
         precision == XFER_PRECISION_BFLOAT16 ? "bfloat16" : "FMA", peak_now);
  static const int64_t gemms[][3] = {{2592, 728, 728}, {81, 728, 728}, {165888, 128, 128}, {41472, 256, 256}, {10368, 728, 728},
                                     {800, 1536, 1024}, {800, 2048, 1536}, {256, 256, 256}, {512, 512, 512}, {1024, 1024, 1024},
                                     {2048, 2048, 2048}, {32, 1000, 2048}, {1, 1000, 2048}};
  for (size_t i = 0; i < sizeof gemms / sizeof *gemms; i++) matmul(gemms[i][0], gemms[i][1], gemms[i][2], 0, 0, 1);
  for (size_t i = 0; i < sizeof gemms / sizeof *gemms; i++) matmul(gemms[i][0], gemms[i][1], gemms[i][2], 0, 0, 0);
  matmul(2592, 728, 728, 0, 1, 0);
  matmul(728, 728, 2592, 1, 0, 0);
  matmul(128, 128, 165888, 1, 0, 0);
  matmul(2048, 1000, 32, 1, 0, 0);
  for (int d = FORWARD; d <= BACKWARD_KERNEL; d++) {
    conv(0, d, 32, 9, 728, 728, 1, 1, 1, 1);
    conv(0, d, 1, 9, 728, 728, 1, 1, 1, 1);
    conv(0, d, 32, 72, 128, 128, 1, 1, 1, 1);
    conv(0, d, 32, 18, 728, 728, 1, 1, 1, 1);
    conv(0, d, 32, 36, 256, 728, 1, 2, 1, 0);
    if (d != BACKWARD_INPUT) conv(0, d, 32, 150, 3, 32, 3, 2, 0, 1);
    if (d != BACKWARD_INPUT) conv(0, d, 8, 224, 3, 64, 7, 2, 1, 1);
    conv(0, d, 32, 74, 32, 64, 3, 1, 0, 1);
    conv(0, d, 8, 28, 128, 128, 3, 1, 1, 1);
    conv(0, d, 8, 56, 64, 128, 3, 2, 1, 1);
    conv(0, d, 8, 56, 64, 64, 3, 1, 1, 1);
    conv(0, d, 8, 14, 256, 256, 3, 1, 1, 1);
    conv(0, d, 8, 7, 512, 512, 3, 1, 1, 1);
  }
  /* MobileNetV2 and EfficientNet: few channels to sum over, or few to make. */
  conv(0, FORWARD, 1, 112, 32, 16, 1, 1, 1, 0);
  conv(0, FORWARD, 1, 112, 16, 96, 1, 1, 1, 1);
  conv(0, FORWARD, 1, 56, 24, 144, 1, 1, 1, 1);
  conv(0, FORWARD, 1, 56, 144, 24, 1, 1, 1, 0);
  conv(0, FORWARD, 1, 28, 32, 192, 1, 1, 1, 1);
  conv(0, FORWARD, 1, 14, 64, 384, 1, 1, 1, 1);
  conv(0, FORWARD, 1, 14, 384, 64, 1, 1, 1, 0);
  conv(0, FORWARD, 1, 7, 160, 960, 1, 1, 1, 1);
  conv(0, FORWARD, 1, 7, 960, 160, 1, 1, 1, 0);
  for (int d = FORWARD; d <= BACKWARD_KERNEL; d++) {
    conv(1, d, 32, 9, 728, 728, 3, 1, 1, 0);
    conv(1, d, 32, 18, 728, 728, 3, 1, 1, 0);
    conv(1, d, 32, 36, 256, 256, 3, 1, 1, 0);
    conv(1, d, 32, 72, 128, 128, 3, 1, 1, 0);
    conv(1, d, 1, 9, 728, 728, 3, 1, 1, 0);
    conv(1, d, 32, 56, 144, 144, 3, 2, 1, 1);
    conv(1, d, 32, 56, 64, 128, 3, 1, 1, 1);
  }
  separable(32, 9, 728, 728);
  separable(1, 9, 728, 728);
  separable(32, 18, 728, 728);
  separable(32, 36, 256, 256);
  separable(32, 72, 128, 128);
  separable(8, 112, 32, 16);
  separable(8, 14, 96, 96);
  /* ResNeXt-50 32x4d and RegNetX-1.6, -8. */
  for (int d = FORWARD; d <= BACKWARD_KERNEL; d++) {
    conv_in_groups(32, d, 8, 56, 128, 128, 3, 1, 1, 1);
    conv_in_groups(32, d, 8, 56, 256, 256, 3, 2, 1, 1);
    conv_in_groups(32, d, 8, 14, 512, 512, 3, 1, 1, 1);
    conv_in_groups(32, d, 8, 7, 1024, 1024, 3, 1, 1, 1);
    conv_in_groups(17, d, 8, 14, 408, 408, 3, 1, 1, 1);
    conv_in_groups(6, d, 8, 14, 720, 720, 3, 1, 1, 1);
  }
  elementwise_all();
  return 0;
}
