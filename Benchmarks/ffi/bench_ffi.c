/* bench_ffi.c - what a call of a kernel costs, in nanoseconds.
 *
 *     cc -O2 bench_ffi.c $(pkg-config --cflags --libs xfer libffi) -o bench_ffi && ./bench_ffi
 *
 * A model of 512 kernels in a row on one number is run against a model of none: the difference is the cost of a kernel as a step of a plan, by
 * signature (a prepared ffi_cif) and by frame. Beside it, for comparison: ffi_call alone with the same signature, and the
 * function through a pointer. Each is the least of several rounds, since other work of the machine only adds. */
#define _POSIX_C_SOURCE 200809L
#include <ffi.h>
#include <xfer.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define TRY(call)                                                 \
  do {                                                            \
    if ((call) != XFER_OK) {                                      \
      fprintf(stderr, "bench_ffi: %s\n", xfer_last_error());      \
      exit(1);                                                    \
    }                                                             \
  } while (0)

enum { chain = 512, rounds = 60, direct_calls = 100000 };

static void scale(const float *x, int64_t n, float alpha, float *y) {
  for (int64_t i = 0; i < n; i++) y[i] = alpha * x[i];
}

static int32_t scale_frame(const xfer_call *call) {
  const float *x = call->inputs[0].data;
  float *y = call->outputs[0].data;
  for (int64_t i = 0; i < call->outputs[0].count; i++) y[i] = (float)call->attribute_values[0] * x[i];
  return 0;
}

static double now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return (double)at.tv_sec * 1e9 + (double)at.tv_nsec;
}

static xfer_layer *chained(const char *kernel, int count) {
  xfer_symbol *end = NULL, *in = NULL;
  TRY(xfer_input_create("{\"shape\":[1]}", &in));
  xfer_layer *first = NULL;
  TRY(xfer_layer_create("Rescaling", "{\"scale\":1.5}", &first));
  TRY(xfer_layer_apply(first, (const xfer_symbol *const *)&in, 1, 0, &end));
  for (int i = 0; i < count; i++) {
    char config[128];
    snprintf(config, sizeof config, "{\"kernel\":\"%s\",\"attributes\":{\"alpha\":1.0}}", kernel);
    xfer_layer *layer = NULL;
    xfer_symbol *next = NULL;
    TRY(xfer_layer_create("CustomKernel", config, &layer));
    TRY(xfer_layer_apply(layer, (const xfer_symbol *const *)&end, 1, 0, &next));
    xfer_symbol_release(end);
    xfer_layer_release(layer);
    end = next;
  }
  xfer_model *model = NULL;
  xfer_layer *as_layer = NULL;
  TRY(xfer_model_create((const xfer_symbol *const *)&in, 1, (const xfer_symbol *const *)&end, 1, NULL, &model));
  TRY(xfer_model_as_layer(model, &as_layer));
  return as_layer;
}

static double run(xfer_layer *model) {
  int64_t dims[2] = {1, 1};
  float value = 2;
  xfer_tensor *x = NULL;
  TRY(xfer_tensor_create(XFER_F32, 2, dims, &value, &x));
  double least = 1e18;
  for (int round = 0; round < rounds; round++) {
    xfer_tensor *y = NULL;
    double begin = now();
    TRY(xfer_layer_call(model, &x, 1, 0, NULL, &y));
    double spent = now() - begin;
    if (spent < least) least = spent;
    xfer_tensor_release(y);
  }
  xfer_tensor_release(x);
  return least;
}

static double ffi_alone(void) {
  ffi_cif cif;
  ffi_type *types[] = {&ffi_type_pointer, &ffi_type_sint64, &ffi_type_float, &ffi_type_pointer};
  ffi_prep_cif(&cif, FFI_DEFAULT_ABI, 4, &ffi_type_void, types);
  float x = 2, y = 0, alpha = 1, *from = &x, *to = &y;
  int64_t n = 1;
  void *values[] = {&from, &n, &alpha, &to};
  double least = 1e18;
  for (int round = 0; round < rounds; round++) {
    double begin = now();
    for (int i = 0; i < direct_calls; i++) ffi_call(&cif, FFI_FN(scale), NULL, values);
    double spent = (now() - begin) / direct_calls;
    if (spent < least) least = spent;
  }
  return least;
}

static double pointer_alone(void) {
  void (*volatile function)(const float *, int64_t, float, float *) = scale;
  float x = 2, y = 0;
  double least = 1e18;
  for (int round = 0; round < rounds; round++) {
    double begin = now();
    for (int i = 0; i < direct_calls; i++) function(&x, 1, 1, &y);
    double spent = (now() - begin) / direct_calls;
    if (spent < least) least = spent;
  }
  return least;
}

int main(void) {
  TRY(xfer_kernel_register("by_signature", "void(const f32* x, i64 n, f32 alpha, f32* y)", (xfer_kernel_fn)scale, NULL, NULL));
  TRY(xfer_kernel_register_frame("by_frame", scale_frame, NULL, NULL));
  double empty = run(chained("by_signature", 0));
  printf("a kernel by signature, as a step of a plan   %7.1f ns a call\n", (run(chained("by_signature", chain)) - empty) / chain);
  printf("a kernel by frame, as a step of a plan       %7.1f ns a call\n", (run(chained("by_frame", chain)) - empty) / chain);
  printf("ffi_call alone                               %7.1f ns a call\n", ffi_alone());
  printf("a function pointer alone                     %7.1f ns a call\n", pointer_alone());
  return 0;
}
