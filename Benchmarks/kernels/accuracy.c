/* Largest errors of a backend plugin's elementary functions, in units in the last place, on every fifth float against the double precision libm.
 *
 *   cc -O2 -o accuracy accuracy.c -lpthread -ldl -lm
 *   ./accuracy path/to/libxfer-simd-avx2.so [step]
 *
 * Of the last three, results and references below 2e-36 count as the same: they give 0 for what is or would be made of denormals.
 */
#include "mini_host.h"
#include <float.h>
#include <math.h>
#include <string.h>

enum { BLOCK = 1 << 16 };

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double silu(double x) { return x / (1 + exp(-x)); }
static double softplus(double x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }

static const struct {
  const char *name;
  int is_activation;
  int32_t kind;
  double (*reference)(double);
} functions[] = {
  {"exp", 0, XFER_UNARY_EXP, exp}, {"expm1", 0, XFER_UNARY_EXPM1, expm1}, {"log", 0, XFER_UNARY_LOG, log}, {"log1p", 0, XFER_UNARY_LOG1P, log1p},
  {"tanh", 0, XFER_UNARY_TANH, tanh}, {"erf", 0, XFER_UNARY_ERF, erf}, {"sin", 0, XFER_UNARY_SIN, sin}, {"cos", 0, XFER_UNARY_COS, cos},
  {"sigmoid", 1, XFER_ACTIVATION_SIGMOID, sigmoid}, {"silu", 1, XFER_ACTIVATION_SILU, silu}, {"softplus", 1, XFER_ACTIVATION_SOFTPLUS, softplus}};

static double ulps(float result, double exact, int flushes) {
  float nearest = (float)exact;
  if (isnan(exact) || isinf(nearest) || isnan(result) || isinf(result))
    return (isnan(exact) && isnan(result)) || nearest == result || (isinf(nearest) && result == FLT_MAX) ? 0 : INFINITY;
  if (flushes && fabsf(result) < 2e-36f && fabs(exact) < 2e-36) return 0;
  int exponent;
  frexp(exact, &exponent);
  return fabs(result - exact) / ldexp(1, (exponent < -125 ? -125 : exponent) - 24);
}

int main(int argc, char **argv) {
  if (argc < 2) return fprintf(stderr, "usage: %s plugin.so [step]\n", argv[0]), 2;
  uint64_t step = argc > 2 ? strtoull(argv[2], NULL, 0) : 5;
  if (step < 1) step = 1;
  pool_resize(1);
  const xfer_plugin *plugin = load_backend(argv[1]);
  if (!plugin) return 1;
  const xfer_backend *backend = plugin->table;
  static float x[BLOCK], y[BLOCK];
  xfer_tensor_desc desc = {XFER_F32, 1, {BLOCK, 1, 1, 1, 1, 1, 1, 1}};
  for (size_t f = 0; f < sizeof functions / sizeof *functions; f++) {
    xfer_unary_attributes unary = {.struct_size = sizeof unary, .kind = functions[f].kind};
    xfer_activation_attributes activation = {.struct_size = sizeof activation,
                                             .activation = {.kind = functions[f].kind, .alpha = 1, .max_value = INFINITY}};
    xfer_op_desc op = {.struct_size = sizeof op, .op = functions[f].is_activation ? XFER_OP_ACTIVATION : XFER_OP_UNARY, .n_inputs = 1, .n_outputs = 1,
                       .inputs = &desc, .outputs = &desc, .attributes = functions[f].is_activation ? (void *)&activation : (void *)&unary};
    xfer_kernel *kernel;
    size_t need = 0;
    if (!backend->supports(&op) || backend->prepare(&op, &kernel, &need)) {
      printf("%-10s not supported\n", functions[f].name);
      continue;
    }
    double most = 0;
    float where = 0;
    for (uint64_t bits = 0; bits < 1ull << 32; bits += step * BLOCK) {
      for (int i = 0; i < BLOCK; i++) {
        uint32_t b = (uint32_t)(bits + step * (uint64_t)i);
        memcpy(x + i, &b, 4);
      }
      if (backend->execute(kernel, (const void *[]){x}, (void *[]){y}, NULL)) return fprintf(stderr, "%s failed\n", functions[f].name), 1;
      for (int i = 0; i < BLOCK; i++) {
        double e = ulps(y[i], functions[f].reference(x[i]), functions[f].is_activation);
        if (e > most) most = e, where = x[i];
      }
    }
    printf("%-10s %8.3f ulp at %.9g\n", functions[f].name, most, where);
    fflush(stdout);
    backend->release(kernel);
  }
}
