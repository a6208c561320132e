/* Functions of the program's own: registered, called, trained through, refused. */
#include "check.h"

static int destroyed;
static void destroy(void *user) { destroyed += *(int *)user; }

static void scaled_square(const float *x, int64_t n, float alpha, float *y) {
  for (int64_t i = 0; i < n; i++) y[i] = alpha * x[i] * x[i];
}

static int32_t scaled_square_backward(const float *x, const float *dy, int64_t n, float alpha, float *dx) {
  for (int64_t i = 0; i < n; i++) dx[i] = 2 * alpha * x[i] * dy[i];
  return 0;
}

static int32_t refusing(const float *x, float *y) {
  y[0] = x[0];
  return -3;
}

/* Saxpy's way of calling: y = alpha x + y, where y is zeroed before. */
static void saxpy(int32_t n, float alpha, const float *x, int32_t incx, float *y, int32_t incy) {
  for (int32_t i = 0; i < n; i++) y[i * incy] += alpha * x[i * incx];
}

static int32_t frame(const xfer_call *call) {
  if (call->struct_size < sizeof *call || call->is_backward || call->n_inputs != 1 || call->n_outputs != 1) return 1;
  if (call->n_attributes != 1 || strcmp(call->attribute_names[0], "shift") != 0) return 2;
  if (call->inputs[0].rank != 2 || call->inputs[0].dtype != XFER_F32 || call->inputs[0].dims[1] != 3) return 3;
  const float *x = call->inputs[0].data;
  float *y = call->outputs[0].data;
  for (int64_t i = 0; i < call->outputs[0].count; i++) y[i] = x[i] + (float)call->attribute_values[0] + *(int *)call->user;
  return 0;
}

static xfer_tensor *row(float a, float b, float c) {
  int64_t dims[2] = {1, 3};
  float values[3] = {a, b, c};
  xfer_tensor *made = NULL;
  OK(xfer_tensor_create(XFER_F32, 2, dims, values, &made));
  return made;
}

static void expect(const char *config, float a, float b, float c) {
  xfer_layer *of = layer("CustomKernel", config);
  xfer_tensor *x = row(1, 2, -3), *y = NULL;
  OK(xfer_layer_call(of, &x, 1, XFER_TRAINING_DEFAULT, NULL, &y));
  const float *values = data_of(y);
  CHECK(count_of(y) == 3 && values[0] == a && values[1] == b && values[2] == c);
  xfer_tensor_release(x);
  xfer_tensor_release(y);
  xfer_layer_release(of);
}

static void calls(void) {
  static int one = 1, hundred = 100;
  OK(xfer_kernel_register("square", "void(const f32* x, i64 n, f32 alpha, f32* y)", (xfer_kernel_fn)scaled_square, &one, destroy));
  OK(xfer_kernel_register("square", "void(const f32* x, i64 n, f32 alpha, f32* y)", (xfer_kernel_fn)scaled_square, &one, destroy));
  OK(xfer_kernel_set_backward("square", "i32(const f32* x, const f32* dy, i64 n, f32 alpha, f32* dx)",
                              (xfer_kernel_fn)scaled_square_backward, NULL, NULL));
  OK(xfer_kernel_register("abs", "f64(f64)", (xfer_kernel_fn)(double (*)(double))fabs, NULL, NULL));
  OK(xfer_kernel_register("saxpy", "void(i32 n, f32 alpha, f32* x, i32 incx, f32* y, i32 incy)", (xfer_kernel_fn)saxpy, NULL, NULL));
  OK(xfer_kernel_register_frame("frame", frame, &hundred, NULL));
  expect("{\"kernel\":\"square\",\"attributes\":{\"alpha\":0.5}}", 0.5f, 2, 4.5f);
  expect("{\"kernel\":\"abs\"}", 1, 2, 3);
  expect("{\"kernel\":\"saxpy\",\"attributes\":{\"alpha\":3,\"incx\":1,\"incy\":1}}", 3, 6, -9);
  expect("{\"kernel\":\"frame\",\"attributes\":{\"shift\":0.5}}", 101.5f, 102.5f, 97.5f);

  char report[2048];
  OK(xfer_kernels_json(report, sizeof report, NULL));
  CHECK(strstr(report, "\"name\":\"square\"") && strstr(report, "f32* dx") && strstr(report, "\"name\":\"frame\",\"signature\":null"));
  OK(xfer_kernel_signature_json("f32(f32)", 0, report, sizeof report, NULL));
  CHECK(strstr(report, "\"inputs\":1") != NULL);

  /* The layer keeps the kernel after its name is gone; then destroy runs once. */
  xfer_layer *keeper = layer("CustomKernel", "{\"kernel\":\"square\",\"attributes\":{\"alpha\":1}}");
  OK(xfer_kernel_unregister("square"));
  CHECK(destroyed == 0);
  xfer_layer_release(keeper);
  CHECK(destroyed == 1);
  FAILS(xfer_kernel_unregister("square"), XFER_E_NOT_FOUND, "'square'");
  OK(xfer_kernel_unregister("frame"));
}

static void refusals(void) {
  xfer_kernel_fn fn = (xfer_kernel_fn)refusing;
  xfer_layer *none = NULL;
  FAILS(xfer_kernel_register(NULL, "f32(f32)", fn, NULL, NULL), XFER_E_INVALID_ARGUMENT, "name is NULL");
  FAILS(xfer_kernel_register("", "f32(f32)", fn, NULL, NULL), XFER_E_INVALID_ARGUMENT, "1 to 255");
  FAILS(xfer_kernel_register("k", NULL, fn, NULL, NULL), XFER_E_INVALID_ARGUMENT, "signature is NULL");
  FAILS(xfer_kernel_register("k", "f32(f32)", NULL, NULL, NULL), XFER_E_INVALID_ARGUMENT, "fn is NULL");
  FAILS(xfer_kernel_register("k", "void(f32* x, image y)", fn, NULL, NULL), XFER_E_FORMAT, "character 14, at \"image y)\": unknown type 'image'");
  FAILS(xfer_kernel_register("k", "void(struct s x, f32* y)", fn, NULL, NULL), XFER_E_FORMAT, "a struct cannot be passed");
  FAILS(xfer_kernel_register("k", "i32(f32* x, ...)", fn, NULL, NULL), XFER_E_FORMAT, "variable number");
  FAILS(xfer_kernel_set_backward("k", "f32(f32 x, f32 dy)", fn, NULL, NULL), XFER_E_NOT_FOUND, "'k'");
  OK(xfer_kernel_register("refusing", "i32(f32* x, f32* y)", fn, NULL, NULL));
  FAILS(xfer_kernel_register("refusing", "i32(f32* x, i64 n, f32* y)", fn, NULL, NULL), XFER_E_STATE, "registered already");
  FAILS(xfer_kernel_register_frame("refusing", frame, NULL, NULL), XFER_E_STATE, "registered already");
  FAILS(xfer_kernel_set_backward("refusing", "void(f32* x1, f32* dx)", fn, NULL, NULL), XFER_E_FORMAT, "input 1");
  FAILS(xfer_kernel_set_backward("refusing", "void(f32* x, f32* y)", fn, NULL, NULL), XFER_E_FORMAT, "f32* dx is missing");
  FAILS(xfer_layer_create("CustomKernel", NULL, &none), XFER_E_INVALID_ARGUMENT, "'kernel' is required");
  FAILS(xfer_layer_create("CustomKernel", "{\"kernel\":\"refusin\"}", &none), XFER_E_NOT_FOUND, "did you mean 'refusing'");
  FAILS(xfer_layer_create("CustomKernel", "{\"kernel\":\"refusing\",\"attributes\":[1]}", &none), XFER_E_INVALID_ARGUMENT, "attributes");
  FAILS(xfer_layer_create("CustomKernel", "{\"kernel\":\"refusing\",\"output_shape\":[-1]}", &none), XFER_E_INVALID_ARGUMENT, "[-1]");
  FAILS(xfer_layer_create("CustomKernel", "{\"kernel\":\"saxpy\",\"attributes\":{\"alpha\":3,\"incx\":1.5,\"incy\":1}}", &none),
        XFER_E_INVALID_ARGUMENT, "whole number");
  xfer_loss *no_loss = NULL;
  FAILS(xfer_loss_create("CustomLoss", "{\"kernel\":\"refusing\"}", &no_loss), XFER_E_INVALID_ARGUMENT, "y_true and y_pred");
  CHECK(none == NULL && no_loss == NULL);

  xfer_layer *bad = layer("CustomKernel", "{\"kernel\":\"refusing\"}");
  xfer_tensor *x = row(1, 2, 3), *y = NULL;
  FAILS(xfer_layer_call(bad, &x, 1, 0, NULL, &y), XFER_E_DATA, "'refusing' failed: it returned the status -3");
  CHECK(y == NULL);
  xfer_tensor_release(x);
  xfer_layer_release(bad);
}

/* A model with a kernel: saved, loaded, trained; refused where the name means nothing. */
static void models(void) {
  OK(xfer_kernel_register("square", "void(const f32* x, i64 n, f32 alpha, f32* y)", (xfer_kernel_fn)scaled_square, NULL, NULL));
  OK(xfer_kernel_set_backward("square", "i32(const f32* x, const f32* dy, i64 n, f32 alpha, f32* dx)",
                              (xfer_kernel_fn)scaled_square_backward, NULL, NULL));
  xfer_symbol *in = input("{\"shape\":[3]}");
  xfer_layer *dense = layer("Dense", "{\"units\":4}"), *act = layer("CustomKernel", "{\"kernel\":\"square\",\"attributes\":{\"alpha\":0.5}}");
  xfer_layer *head = layer("Dense", "{\"units\":1,\"activation\":\"sigmoid\"}");
  xfer_symbol *a = apply(dense, in), *b = apply(act, a), *out = apply(head, b);
  xfer_model *model = NULL, *again = NULL;
  OK(xfer_model_create(SYMBOLS(&in), 1, SYMBOLS(&out), 1, NULL, &model));
  xfer_optimizer *adam = NULL;
  xfer_loss *bce = NULL;
  xfer_trainer *trainer = NULL;
  OK(xfer_optimizer_create("Adam", "{\"learning_rate\":0.05}", &adam));
  OK(xfer_loss_create("BinaryCrossentropy", NULL, &bce));
  OK(xfer_model_compile(model, adam, bce, NULL, 0, &trainer));
  /* Inside or outside a sphere: what squares tell apart. */
  xfer_tensor *x = tensor(XFER_F32, 2, 64, 3, 1, 1), *y = tensor(XFER_F32, 2, 64, 1, 1, 1);
  float *points = data_of(x), *labels = data_of(y);
  uint32_t state = 5;
  for (int i = 0; i < 64; i++) {
    float sum = 0;
    for (int k = 0; k < 3; k++) {
      points[i * 3 + k] = noise(&state);
      sum += points[i * 3 + k] * points[i * 3 + k];
    }
    labels[i] = sum > 1;
  }
  char logs[256];
  double first = 0, last = 0;
  for (int i = 0; i < 100; i++) {
    OK(xfer_trainer_train_on_batch(trainer, x, y, NULL, logs, sizeof logs, NULL));
    last = strtod(strstr(logs, "\"loss\":") + 7, NULL);
    if (i == 0) first = last;
  }
  CHECK(last < 0.7 * first);

  char json[16384];
  OK(xfer_model_to_json(model, json, sizeof json, NULL));
  CHECK(strstr(json, "\"kernel\":\"square\"") != NULL);
  OK(xfer_model_from_json(json, &again));
  OK(xfer_kernel_unregister("square"));
  xfer_model *none = NULL;
  FAILS(xfer_model_from_json(json, &none), XFER_E_NOT_FOUND, "no kernel 'square' is registered");
  CHECK(none == NULL);

  xfer_symbol *symbols[] = {in, a, b, out};
  for (int i = 0; i < 4; i++) xfer_symbol_release(symbols[i]);
  xfer_layer *layers[] = {dense, act, head};
  for (int i = 0; i < 3; i++) xfer_layer_release(layers[i]);
  xfer_tensor_release(x);
  xfer_tensor_release(y);
  xfer_trainer_release(trainer);
  xfer_optimizer_release(adam);
  xfer_loss_release(bce);
  xfer_model_release(again);
  xfer_model_release(model);
}

/* Signatures cut, spliced and bent: each is read or refused with a place, none does harm. Those that are read are never called. */
static void hostile(void) {
  static const char *const seeds[] = {
    "void(const f32* x, i64 n, f32 alpha, f32* y)", "i32(i32* y_true, f32* y_pred, const i64* dims1, void* user, f64* y)", "f32(f32 x, f32 beta)",
    "f64(f64)", "void(f32* x0, f32* x1, u8* x2, i32 rows, i64 cols, i32 rank, f32* y)", "void(f32* x, f32* dy, f32* dx, i64 n)",
  };
  static const char *const pieces[] = {"*", ",", "(", ")", "...", "const", "struct s", "f32", "[4]", " ", "x9", "dx0", "\xff\xfe", "void", "99", ";", "y"};
  uint32_t state = 11;
  int read = 0, refused = 0, strange = 0;
  for (int round = 0; round < 600; round++) {
    char text[512];
    snprintf(text, sizeof text, "%s", seeds[round % 6]);
    for (int change = 0; change <= round % 4; change++) {
      size_t length = strlen(text), at;
      noise(&state);
      at = length ? (state >> 8) % length : 0;
      noise(&state);
      const char *piece = pieces[(state >> 8) % 17];
      noise(&state);
      switch ((state >> 8) % 4) {
        case 0: memmove(text + at, text + at + (length > 0), length - at); break;
        case 1: text[at] = (char)(state >> 16); break;
        case 2: text[at] = 0; break;
        default:
          if (length + strlen(piece) + 1 < sizeof text) {
            memmove(text + at + strlen(piece), text + at, length - at + 1);
            memcpy(text + at, piece, strlen(piece));
          }
      }
    }
    char report[8192];
    xfer_status status = xfer_kernel_signature_json(text, round % 2, report, sizeof report, NULL);
    if (status == XFER_OK) read++;
    else if (status == XFER_E_FORMAT && strstr(xfer_last_error(), "character ")) refused++;
    else if (status == XFER_E_INVALID_ARGUMENT && strstr(xfer_last_error(), "UTF-8")) refused++;
    else strange++;
    status = xfer_kernel_register("mutant", text, (xfer_kernel_fn)refusing, NULL, NULL);
    if (status == XFER_OK) OK(xfer_kernel_unregister("mutant"));
    else if (status != XFER_E_FORMAT && status != XFER_E_INVALID_ARGUMENT) strange++;
  }
  CHECK(strange == 0);
  CHECK(refused > 300);
  CHECK(read + refused == 600);
  static char long_text[20000];
  memset(long_text, 'a', sizeof long_text - 1);
  FAILS(xfer_kernel_register("long", long_text, (xfer_kernel_fn)refusing, NULL, NULL), XFER_E_FORMAT, "at most 4096");
}

int main(void) {
  calls();
  refusals();
  models();
  hostile();
  return finish();
}
