/* Training: what is frozen stays bit for bit, a loop of one's own equals train_on_batch, runs repeat, mistakes are named. */
#include "check.h"

/* A data set of 3 batches of 4 images that names its samples. */
typedef struct {
  int next, wanted, ended;
} named_batches;

static int32_t next_named(void *user, xfer_tensor **inputs, size_t *input_count, xfer_tensor **targets, size_t *target_count,
                          xfer_tensor **weights, size_t *weight_count) {
  named_batches *data = user;
  (void)weights;
  *weight_count = 0;
  if (data->next == 3) return 0;
  if (*input_count) {
    data->wanted++;
    *input_count = 1;
    inputs[0] = random_images(4, 12, 3);
  }
  *target_count = 1;
  data->next++;
  return xfer_tensor_create(XFER_F32, 2, (int64_t[]){4, 1}, (float[]){0, 1, 1, 0}, &targets[0]) == XFER_OK ? 1 : -1;
}

static int32_t next_names(void *user, const char *const **names, size_t *count) {
  static const char *const all[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"};
  named_batches *data = user;
  *names = all + 4 * data->next;
  *count = data->next < 3 ? 4 : 0;
  return 1;
}

static int32_t restart_named(void *user, int64_t epoch) {
  (void)epoch;
  ((named_batches *)user)->next = 0;
  return 0;
}

static void end_named(void *user) { ((named_batches *)user)->ended++; }

static void named_samples_are_read_once(void) {
  OK(xfer_set_random_seed(7));
  network net = small_network(12, XFER_TRAINING_FALSE);
  OK(xfer_layer_set_trainable(net.trunk_layer, 0));
  xfer_trainer *trainer = compiled(net.model, "Adam", 0.05);
  named_batches data = {.next = 0};
  xfer_dataset *dataset = NULL;
  OK(xfer_dataset_create_all(next_named, restart_named, &data, end_named, &dataset));
  FAILS(xfer_dataset_identify(dataset, NULL), XFER_E_INVALID_ARGUMENT, "names is NULL");
  OK(xfer_dataset_identify(dataset, next_names));
  xfer_fit_options options = {.struct_size = sizeof options, .dataset = dataset, .epochs = 4};
  xfer_history *history = NULL;
  OK(xfer_trainer_fit(trainer, &options, &history));
  CHECK(data.wanted == 3);
  xfer_history_release(history);
  xfer_dataset_release(dataset);
  CHECK(data.ended == 1);
  xfer_trainer_release(trainer);
  release_network(&net);
}

/* Freeze, train the head, unfreeze, fine-tune. */
static void freeze_and_fine_tune(void) {
  OK(xfer_set_random_seed(7));
  network net = small_network(12, XFER_TRAINING_FALSE);
  xfer_tensor *x = random_images(48, 12, 3), *y = labels_for(x);
  OK(xfer_layer_set_trainable(net.trunk_layer, 0));
  xfer_trainer *trainer = compiled(net.model, "Adam", 0.05);
  size_t count = 0, head_count = 0;
  float *before = snapshot(net.trunk_layer, XFER_WEIGHTS_ALL, &count), *head = snapshot(net.head, XFER_WEIGHTS_ALL, &head_count);
  CHECK(count == 3 * 3 * 3 * 6 + 4 * 6 && head_count == 7);

  xfer_fit_options options = {.struct_size = sizeof options};
  options.x = x;
  options.y = y;
  options.batch_size = 8;
  options.epochs = 12;
  options.validation_split = 0.25;
  xfer_history *history = NULL;
  OK(xfer_trainer_fit(trainer, &options, &history));
  char text[4096];
  OK(xfer_history_json(history, text, sizeof text, NULL));
  const char *const names[] = {"loss", "accuracy", "val_loss", "val_accuracy"};
  for (int i = 0; i < 4; i++) {
    char key[32];
    snprintf(key, sizeof key, "\"%s\":[", names[i]);
    const char *list = strstr(text, key);
    CHECK(list != NULL);
    int commas = 0;
    for (const char *c = list; c && *c != ']'; c++) commas += *c == ',';
    CHECK(commas == 11);
  }
  float *after = snapshot(net.trunk_layer, XFER_WEIGHTS_ALL, &count), *head_after = snapshot(net.head, XFER_WEIGHTS_ALL, &head_count);
  CHECK(memcmp(before, after, count * sizeof *before) == 0);
  CHECK(memcmp(head, head_after, head_count * sizeof *head) != 0);

  /* It learned: the classes differ in brightness. */
  xfer_fit_options evaluation = {.struct_size = sizeof evaluation};
  evaluation.x = x;
  evaluation.y = y;
  OK(xfer_trainer_evaluate(trainer, &evaluation, text, sizeof text, NULL));
  CHECK(number_in(text, "accuracy") > 0.9 && number_in(text, "loss") < 0.6);

  /* Unfreezing takes effect with the next compile, and not without it. */
  OK(xfer_layer_set_trainable(net.trunk_layer, 1));
  xfer_history *none = NULL;
  FAILS(xfer_trainer_fit(trainer, &options, &none), XFER_E_STALE_TRAINABLE, "'trunk'");
  FAILS(xfer_trainer_train_on_batch(trainer, x, y, NULL, NULL, 0, NULL), XFER_E_STALE_TRAINABLE, "compile()");
  CHECK(none == NULL);
  xfer_trainer *fine = compiled(net.model, "Adam", 1e-3);
  options.epochs = 2;
  OK(xfer_trainer_fit(fine, &options, &none));
  float *tuned = snapshot(net.trunk_layer, XFER_WEIGHTS_TRAINABLE, &count);
  free(after);
  after = snapshot(net.trunk_layer, XFER_WEIGHTS_TRAINABLE, &count);
  CHECK(memcmp(before, after, 3 * 3 * 3 * 6 * sizeof *after) != 0);
  /* training=False of the trunk's call holds: its statistics stand still. */
  size_t fixed = 0;
  float *statistics = snapshot(net.trunk_layer, XFER_WEIGHTS_NON_TRAINABLE, &fixed);
  CHECK(fixed == 12 && memcmp(statistics, before + 3 * 3 * 3 * 6 + 12, fixed * sizeof *before) == 0);

  /* A stale trainer compiles again by itself where that is asked for. */
  OK(xfer_layer_set_trainable(net.trunk_layer, 0));
  options.recompile_stale = 1;
  options.epochs = 1;
  xfer_history *third = NULL;
  OK(xfer_trainer_fit(fine, &options, &third));

  free(before);
  free(after);
  free(head);
  free(head_after);
  free(tuned);
  free(statistics);
  xfer_history_release(history);
  xfer_history_release(none);
  xfer_history_release(third);
  xfer_trainer_release(trainer);
  xfer_trainer_release(fine);
  xfer_tensor_release(x);
  xfer_tensor_release(y);
  release_network(&net);
}

/* One seed, one order, one result; with another seed another. */
static float *trained_weights(uint64_t seed, size_t *count) {
  OK(xfer_set_random_seed(seed));
  network net = small_network(10, XFER_TRAINING_DEFAULT);
  xfer_tensor *x = random_images(20, 10, 5), *y = labels_for(x);
  xfer_trainer *trainer = compiled(net.model, "Adam", 0.01);
  xfer_fit_options options = {.struct_size = sizeof options};
  options.x = x;
  options.y = y;
  options.batch_size = 6;
  options.epochs = 3;
  xfer_history *history = NULL;
  OK(xfer_trainer_fit(trainer, &options, &history));
  xfer_layer *whole = NULL;
  OK(xfer_model_as_layer(net.model, &whole));
  float *values = snapshot(whole, XFER_WEIGHTS_ALL, count);
  xfer_layer_release(whole);
  xfer_history_release(history);
  xfer_trainer_release(trainer);
  xfer_tensor_release(x);
  xfer_tensor_release(y);
  release_network(&net);
  return values;
}

static void repeats(void) {
  size_t count = 0;
  float *first = trained_weights(11, &count), *second = trained_weights(11, &count), *other = trained_weights(12, &count);
  CHECK(memcmp(first, second, count * sizeof *first) == 0);
  CHECK(memcmp(first, other, count * sizeof *first) != 0);
  free(first);
  free(second);
  free(other);
}

/* A hand-written loop under a tape moves the weights exactly as train_on_batch does. */
static void tape_equals_train_on_batch(const char *optimizer_name, double rate) {
  enum { STEPS = 4 };
  float *weights[2];
  double losses[2][STEPS];
  size_t count = 0;
  for (int by_hand = 0; by_hand < 2; by_hand++) {
    OK(xfer_set_random_seed(21));
    network net = small_network(9, XFER_TRAINING_FALSE);
    xfer_layer *whole = NULL;
    OK(xfer_model_as_layer(net.model, &whole));
    char config[64], text[512];
    snprintf(config, sizeof config, "{\"learning_rate\":%.17g}", rate);
    xfer_optimizer *optimizer = NULL;
    xfer_loss *loss = NULL;
    OK(xfer_optimizer_create(optimizer_name, config, &optimizer));
    OK(xfer_loss_create("BinaryCrossentropy", "{\"from_logits\":true}", &loss));
    xfer_trainer *trainer = NULL;
    if (!by_hand) OK(xfer_model_compile(net.model, optimizer, loss, NULL, 0, &trainer));
    for (int step = 0; step < STEPS; step++) {
      xfer_tensor *x = random_images(5, 9, (uint32_t)(100 + step)), *y = labels_for(x);
      if (!by_hand) {
        OK(xfer_trainer_train_on_batch(trainer, x, y, NULL, text, sizeof text, NULL));
        losses[0][step] = number_in(text, "loss");
      } else {
        xfer_tape *tape = NULL;
        xfer_tensor *prediction = NULL, *value = NULL, *gradients[8];
        xfer_weight *moved[8];
        size_t n = 0;
        OK(xfer_tape_create(&tape));
        OK(xfer_layer_call(whole, &x, 1, XFER_TRAINING_TRUE, tape, &prediction));
        OK(xfer_loss_call(loss, y, prediction, NULL, tape, &value));
        OK(xfer_layer_weight_count(whole, XFER_WEIGHTS_TRAINABLE, &n));
        CHECK(n == 5);
        for (size_t i = 0; i < n; i++) OK(xfer_layer_weight(whole, XFER_WEIGHTS_TRAINABLE, i, &moved[i]));
        OK(xfer_tape_gradient(tape, value, moved, n, gradients));
        OK(xfer_optimizer_apply(optimizer, gradients, moved, n));
        losses[1][step] = ((float *)data_of(value))[0];
        for (size_t i = 0; i < n; i++) {
          CHECK(gradients[i] != NULL);
          xfer_tensor_release(gradients[i]);
          xfer_weight_release(moved[i]);
        }
        xfer_tensor_release(prediction);
        xfer_tensor_release(value);
        xfer_tape_release(tape);
      }
      xfer_tensor_release(x);
      xfer_tensor_release(y);
    }
    uint64_t iterations = 0;
    OK(xfer_optimizer_iterations(optimizer, &iterations));
    CHECK(iterations == STEPS);
    weights[by_hand] = snapshot(whole, XFER_WEIGHTS_ALL, &count);
    xfer_trainer_release(trainer);
    xfer_optimizer_release(optimizer);
    xfer_loss_release(loss);
    xfer_layer_release(whole);
    release_network(&net);
  }
  CHECK(memcmp(weights[0], weights[1], count * sizeof **weights) == 0);
  for (int step = 0; step < STEPS; step++) CHECK(losses[0][step] == losses[1][step]);
  free(weights[0]);
  free(weights[1]);
}

static void mistakes(void) {
  network net = small_network(8, XFER_TRAINING_FALSE);
  xfer_tensor *x = random_images(6, 8, 9), *y = labels_for(x), *fewer = tensor(XFER_I32, 1, 5, 1, 1, 1);
  char text[1024];
  size_t length = 0;
  FAILS(xfer_plan_report(net.model, 4, 1, text, sizeof text, &length), XFER_E_NOT_COMPILED, "compile");
  OK(xfer_plan_report(net.model, 4, 0, NULL, 0, &length));
  CHECK(length > 100);
  xfer_trainer *trainer = compiled(net.model, "Adam", 1e-3);
  OK(xfer_plan_report(net.model, 4, 1, NULL, 0, &length));
  FAILS(xfer_plan_report(net.model, -4, 0, NULL, 0, &length), XFER_E_INVALID_ARGUMENT, "-4");
  FAILS(xfer_plan_report(net.model, 4, 5, NULL, 0, &length), XFER_E_INVALID_ARGUMENT, "5 was given");
  FAILS(xfer_model_forecast(net.model, 0, 4, NULL, NULL, 0, &length), XFER_E_INVALID_ARGUMENT, "images is to be above 0, 0 was given");
  FAILS(xfer_model_forecast(net.model, 8, 4, "none,some", NULL, 0, &length), XFER_E_INVALID_ARGUMENT, "'some' was given");

  xfer_history *none = NULL;
  xfer_fit_options options = {.struct_size = sizeof options};
  FAILS(xfer_trainer_fit(trainer, NULL, &none), XFER_E_INVALID_ARGUMENT, "options is NULL");
  FAILS(xfer_trainer_fit(trainer, &options, &none), XFER_E_INVALID_HANDLE, "options.dataset is NULL");
  options.x = x;
  FAILS(xfer_trainer_fit(trainer, &options, &none), XFER_E_INVALID_HANDLE, "options.y is NULL");
  options.y = y;
  options.memory_budget = -1;
  FAILS(xfer_trainer_fit(trainer, &options, &none), XFER_E_INVALID_ARGUMENT, "-1 was given");
  options.memory_budget = 100;
  FAILS(xfer_trainer_fit(trainer, &options, &none), XFER_E_OUT_OF_MEMORY, "memory_budget");
  options.memory_budget = 0;
  options.y = fewer;
  FAILS(xfer_trainer_fit(trainer, &options, &none), XFER_E_SHAPE, "6 samples");
  options.validation_split = 0.5;
  FAILS(xfer_trainer_fit(trainer, &options, &none), XFER_E_SHAPE, "6 samples");
  options.y = y;
  options.validation_split = 1.5;
  FAILS(xfer_trainer_fit(trainer, &options, &none), XFER_E_INVALID_ARGUMENT, "1.5 was given");
  options.validation_split = NAN;
  FAILS(xfer_trainer_fit(trainer, &options, &none), XFER_E_INVALID_ARGUMENT, "nan was given");
  options.validation_split = 1e-17;
  FAILS(xfer_trainer_fit(trainer, &options, &none), XFER_E_DATA, "one part empty");
  options.validation_split = 0;
  options.batch_size = -1;
  FAILS(xfer_trainer_fit(trainer, &options, &none), XFER_E_INVALID_ARGUMENT, "-1 was given");
  options.batch_size = 0;
  options.epochs = -2;
  FAILS(xfer_trainer_fit(trainer, &options, &none), XFER_E_INVALID_ARGUMENT, "-2 was given");
  options.epochs = 0;
  options.verbose = 9;
  FAILS(xfer_trainer_fit(trainer, &options, &none), XFER_E_INVALID_ARGUMENT, "9 was given");
  options.verbose = 0;
  options.struct_size = 8;
  FAILS(xfer_trainer_fit(trainer, &options, &none), XFER_E_INVALID_ARGUMENT, "struct_size is 8");
  /* A caller of a later version has a longer struct. */
  struct {
    xfer_fit_options known;
    double later[4];
  } newer;
  memset(&newer, 0, sizeof newer);
  newer.known.struct_size = sizeof newer;
  newer.known.x = x;
  newer.known.y = y;
  OK(xfer_trainer_evaluate(trainer, &newer.known, text, sizeof text, &length));
  CHECK(length == strlen(text) && isfinite(number_in(text, "loss")));

  /* Numbers that are none, and nothing moves. */
  size_t count = 0;
  float *before = snapshot(net.head, XFER_WEIGHTS_ALL, &count);
  ((float *)data_of(x))[200] = NAN;
  FAILS(xfer_trainer_train_on_batch(trainer, x, y, NULL, text, sizeof text, &length), XFER_E_NON_FINITE, "sample 1");
  ((float *)data_of(x))[200] = INFINITY;
  FAILS(xfer_trainer_train_on_batch(trainer, x, y, NULL, text, sizeof text, &length), XFER_E_NON_FINITE, "inf");
  options.struct_size = sizeof options;
  FAILS(xfer_trainer_fit(trainer, &options, &none), XFER_E_NON_FINITE, "x has inf");
  float *after = snapshot(net.head, XFER_WEIGHTS_ALL, &count);
  CHECK(memcmp(before, after, count * sizeof *before) == 0 && none == NULL);

  /* Other shapes than the model's, empty batches. */
  xfer_tensor *wide = random_images(6, 9, 1), *empty = tensor(XFER_F32, 4, 0, 8, 8, 3), *nobody = tensor(XFER_I32, 1, 0, 1, 1, 1);
  FAILS(xfer_trainer_train_on_batch(trainer, wide, y, NULL, NULL, 0, NULL), XFER_E_SHAPE, "[8, 8, 3]");
  FAILS(xfer_trainer_test_on_batch(trainer, wide, y, NULL, NULL, 0, NULL), XFER_E_SHAPE, "[8, 8, 3]");
  FAILS(xfer_trainer_train_on_batch(trainer, empty, nobody, NULL, NULL, 0, NULL), XFER_E_DATA, "empty");
  options.x = empty;
  options.y = nobody;
  FAILS(xfer_trainer_fit(trainer, &options, &none), XFER_E_DATA, "no samples");

  /* Labels outside the classes. */
  xfer_symbol *in = input("{\"shape\":[4]}");
  xfer_layer *dense = layer("Dense", "{\"units\":3}");
  xfer_symbol *out = apply(dense, in);
  xfer_model *classes = NULL;
  OK(xfer_model_create(SYMBOLS(&in), 1, SYMBOLS(&out), 1, NULL, &classes));
  xfer_optimizer *sgd = NULL;
  xfer_loss *sparse = NULL;
  xfer_trainer *of_classes = NULL;
  OK(xfer_optimizer_create("SGD", NULL, &sgd));
  OK(xfer_loss_create("SparseCategoricalCrossentropy", "{\"from_logits\":true}", &sparse));
  OK(xfer_model_compile(classes, sgd, sparse, NULL, 0, &of_classes));
  xfer_tensor *rows = tensor(XFER_F32, 2, 2, 4, 1, 1), *labels = tensor(XFER_I32, 1, 2, 1, 1, 1);
  OK(xfer_trainer_train_on_batch(of_classes, rows, labels, NULL, NULL, 0, NULL));
  const int32_t bad[] = {3, -1, INT32_MAX, INT32_MIN};
  for (int i = 0; i < 4; i++) {
    ((int32_t *)data_of(labels))[1] = bad[i];
    FAILS(xfer_trainer_train_on_batch(of_classes, rows, labels, NULL, NULL, 0, NULL), XFER_E_DATA, "in sample 1");
  }
  FAILS(xfer_trainer_train_on_batch(of_classes, rows, rows, NULL, NULL, 0, NULL), XFER_E_SHAPE, "");

  /* A tape knows only what it recorded. */
  xfer_tape *tape = NULL;
  xfer_weight *weight = NULL, *stranger = NULL;
  xfer_tensor *value = NULL, *gradients[2];
  OK(xfer_tape_create(&tape));
  OK(xfer_layer_weight(dense, XFER_WEIGHTS_ALL, 0, &weight));
  OK(xfer_layer_weight(net.head, XFER_WEIGHTS_ALL, 0, &stranger));
  FAILS(xfer_tape_gradient(tape, rows, &weight, 1, gradients), XFER_E_STATE, "not computed under this tape");
  xfer_tensor *prediction = NULL;
  OK(xfer_layer_call(dense, &rows, 1, 0, tape, &prediction));
  FAILS(xfer_tape_gradient(tape, prediction, &weight, 1, gradients), XFER_E_SHAPE, "scalar");
  ((int32_t *)data_of(labels))[1] = 1;
  OK(xfer_loss_call(sparse, labels, prediction, NULL, tape, &value));
  xfer_weight *both[2] = {weight, stranger};
  OK(xfer_tape_gradient(tape, value, both, 2, gradients));
  CHECK(gradients[0] != NULL && gradients[1] == NULL);
  FAILS(xfer_optimizer_apply(sgd, &rows, &weight, 1), XFER_E_SHAPE, "[4, 3]");
  FAILS(xfer_optimizer_apply(sgd, gradients, both, SIZE_MAX), XFER_E_INVALID_ARGUMENT, "too large");

  free(before);
  free(after);
}

int main(void) {
  freeze_and_fine_tune();
  named_samples_are_read_once();
  repeats();
  tape_equals_train_on_batch("SGD", 0.1);
  tape_equals_train_on_batch("Adam", 0.01);
  mistakes();
  return finish();
}
