/* What the C tests share: checks that count and say what they saw, and short ways to make things. */
#ifndef CHECK_H
#define CHECK_H

#include <xfer.h>

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int checks, failures;

#define CHECK(condition) \
  check_that((condition) ? 1 : 0, __FILE__, __LINE__, #condition, "")

/* The call succeeds; later steps need it. */
#define OK(call)                                                                     \
  do {                                                                               \
    xfer_status status_ = (call);                                                    \
    check_that(status_ == XFER_OK, __FILE__, __LINE__, #call, xfer_last_error());    \
    if (status_ != XFER_OK) exit(1);                                                 \
  } while (0)

/* The call fails with this status, and its message has this text in it. */
#define FAILS(call, wanted, text)                                                    \
  do {                                                                               \
    xfer_status status_ = (call);                                                    \
    check_failure(status_, wanted, text, __FILE__, __LINE__, #call);                 \
  } while (0)

static inline void check_that(int holds, const char *file, int line, const char *what, const char *why) {
  checks++;
  if (holds) return;
  failures++;
  fprintf(stderr, "%s:%d: %s%s%s\n", file, line, what, *why ? ": " : "", why);
}

static inline void check_failure(xfer_status status, xfer_status wanted, const char *text, const char *file, int line, const char *what) {
  char why[1200];
  const char *message = xfer_last_error();
  snprintf(why, sizeof why, "gave %s \"%s\", wanted %s \"...%s...\"", xfer_status_name(status), status ? message : "",
           xfer_status_name(wanted), text);
  check_that(status == wanted && strstr(message, text) != NULL, file, line, what, why);
}

/* The last line of every program: the runner adds the numbers up. */
static inline int finish(void) {
  printf("%d checks, %d failed\n", checks, failures);
  return failures ? 1 : 0;
}

/* ---- Short ways ---- */

#define SYMBOLS(pointer) ((const xfer_symbol *const *)(pointer))

static inline xfer_layer *layer(const char *class_name, const char *config) {
  xfer_layer *made = NULL;
  OK(xfer_layer_create(class_name, config, &made));
  return made;
}

static inline xfer_symbol *input(const char *config) {
  xfer_symbol *made = NULL;
  OK(xfer_input_create(config, &made));
  return made;
}

static inline xfer_symbol *apply(xfer_layer *to, xfer_symbol *symbol) {
  xfer_symbol *made = NULL;
  OK(xfer_layer_apply(to, SYMBOLS(&symbol), 1, XFER_TRAINING_DEFAULT, &made));
  return made;
}

static inline xfer_tensor *tensor(xfer_dtype dtype, int32_t rank, int64_t a, int64_t b, int64_t c, int64_t d) {
  int64_t dims[4] = {a, b, c, d};
  xfer_tensor *made = NULL;
  OK(xfer_tensor_create(dtype, rank, dims, NULL, &made));
  return made;
}

static inline void *data_of(const xfer_tensor *of) {
  void *data = NULL;
  OK(xfer_tensor_describe(of, NULL, NULL, NULL, &data));
  return data;
}

static inline int64_t count_of(const xfer_tensor *of) {
  int32_t rank = 0;
  int64_t dims[8], count = 1;
  OK(xfer_tensor_describe(of, NULL, &rank, dims, NULL));
  for (int32_t i = 0; i < rank; i++) count *= dims[i];
  return count;
}

/* The same numbers on every machine, in (-1, 1). */
static inline float noise(uint32_t *state) {
  *state = *state * 1664525u + 1013904223u;
  return (float)(*state >> 8) / 8388608.0f - 1.0f;
}

static inline xfer_tensor *random_images(int64_t n, int64_t size, uint32_t seed) {
  xfer_tensor *made = tensor(XFER_F32, 4, n, size, size, 3);
  float *values = data_of(made);
  for (int64_t i = 0; i < count_of(made); i++) values[i] = noise(&seed);
  return made;
}

/* Labels 0, 1, 0, 1 ...; where it is 1 the images get brighter, so that there is something to learn. */
static inline xfer_tensor *labels_for(xfer_tensor *images) {
  int64_t dims[8];
  OK(xfer_tensor_describe(images, NULL, NULL, dims, NULL));
  xfer_tensor *made = tensor(XFER_I32, 1, dims[0], 1, 1, 1);
  int32_t *labels = data_of(made);
  float *pixels = data_of(images);
  int64_t row = dims[1] * dims[2] * dims[3];
  for (int64_t i = 0; i < dims[0]; i++) {
    labels[i] = (int32_t)(i % 2);
    for (int64_t k = 0; labels[i] && k < row; k++) pixels[i * row + k] += 1.0f;
  }
  return made;
}

/* A trunk (convolution, normalization, pooling) as a model of its own, and a classifier on it. */
typedef struct {
  xfer_model *trunk, *model;
  xfer_layer *trunk_layer, *head;
} network;

static inline network small_network(int64_t size, int32_t trunk_training) {
  network made = {0};
  char shape[64];
  snprintf(shape, sizeof shape, "{\"shape\":[%d,%d,3]}", (int)size, (int)size);
  xfer_symbol *in = input(shape);
  xfer_layer *conv = layer("Conv2D", "{\"filters\":6,\"kernel_size\":3,\"use_bias\":false}");
  xfer_layer *norm = layer("BatchNormalization", NULL);
  xfer_layer *relu = layer("ReLU", NULL);
  xfer_symbol *a = apply(conv, in), *b = apply(norm, a), *c = apply(relu, b);
  OK(xfer_model_create(SYMBOLS(&in), 1, SYMBOLS(&c), 1, "trunk", &made.trunk));
  OK(xfer_model_as_layer(made.trunk, &made.trunk_layer));

  xfer_symbol *in2 = input(shape), *features = NULL;
  OK(xfer_layer_apply(made.trunk_layer, SYMBOLS(&in2), 1, trunk_training, &features));
  xfer_layer *pool = layer("GlobalAveragePooling2D", NULL);
  made.head = layer("Dense", "{\"units\":1}");
  xfer_symbol *pooled = apply(pool, features), *out = apply(made.head, pooled);
  OK(xfer_model_create(SYMBOLS(&in2), 1, SYMBOLS(&out), 1, NULL, &made.model));

  xfer_symbol *symbols[] = {in, a, b, c, in2, features, pooled, out};
  for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) xfer_symbol_release(symbols[i]);
  xfer_layer_release(conv);
  xfer_layer_release(norm);
  xfer_layer_release(relu);
  xfer_layer_release(pool);
  return made;
}

static inline void release_network(network *which) {
  xfer_layer_release(which->head);
  xfer_layer_release(which->trunk_layer);
  xfer_model_release(which->trunk);
  xfer_model_release(which->model);
}

/* A binary classifier's trainer. */
static inline xfer_trainer *compiled(xfer_model *model, const char *optimizer, double rate) {
  char config[64];
  snprintf(config, sizeof config, "{\"learning_rate\":%.17g}", rate);
  xfer_optimizer *moves = NULL;
  xfer_loss *loss = NULL;
  xfer_metric *metric = NULL;
  xfer_trainer *made = NULL;
  OK(xfer_optimizer_create(optimizer, config, &moves));
  OK(xfer_loss_create("BinaryCrossentropy", "{\"from_logits\":true}", &loss));
  OK(xfer_metric_create("BinaryAccuracy", "{\"threshold\":0,\"name\":\"accuracy\"}", &metric));
  OK(xfer_model_compile(model, moves, loss, &metric, 1, &made));
  xfer_optimizer_release(moves);
  xfer_loss_release(loss);
  xfer_metric_release(metric);
  return made;
}

/* All weights of a layer as one copy; free() it. */
static inline float *snapshot(xfer_layer *of, int32_t which, size_t *count) {
  size_t weights = 0, used = 0;
  float *values = NULL;
  OK(xfer_layer_weight_count(of, which, &weights));
  for (size_t i = 0; i < weights; i++) {
    xfer_weight *weight = NULL;
    xfer_tensor *copy = NULL;
    OK(xfer_layer_weight(of, which, i, &weight));
    OK(xfer_weight_read(weight, &copy));
    size_t more = (size_t)count_of(copy);
    values = realloc(values, (used + more) * sizeof *values);
    if (!values) abort();
    memcpy(values + used, data_of(copy), more * sizeof *values);
    used += more;
    xfer_tensor_release(copy);
    xfer_weight_release(weight);
  }
  *count = used;
  return values;
}

/* The number behind "name": in a JSON object of numbers, or NaN. */
static inline double number_in(const char *json, const char *name) {
  char key[64];
  snprintf(key, sizeof key, "\"%s\":", name);
  const char *found = strstr(json, key);
  if (!found) return NAN;
  found += strlen(key);
  return strtod(*found == '[' ? found + 1 : found, NULL);
}

#endif
