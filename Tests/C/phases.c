/* Training by phases, and the range test of the rate, from C. */
#include "check.h"

#include <unistd.h>

static const char *const plan =
    "{\"phases\":[{\"name\":\"head\",\"epochs\":2,\"learning_rate\":0.05},"
    "{\"name\":\"fine\",\"unfreeze\":\"last:2\",\"epochs\":2,\"learning_rate\":0.01,\"optimizer\":\"SGD\"}]}";

static int32_t stop_in_fine(void *user, int32_t event, int64_t epoch, int64_t batch, const char *logs) {
  (void)batch;
  (void)logs;
  if (event == XFER_EVENT_TRAIN_BEGIN) ++*(int *)user;
  return *(int *)user == 2 && event == XFER_EVENT_BATCH_END && epoch == 1;
}

/* The weights after the plan; with a file, stopped in its last epoch and gone on with in a model made anew. */
static float *run(const char *checkpoint, size_t *count) {
  float *values = NULL;
  for (int part = 0; part < (checkpoint ? 2 : 1); part++) {
    OK(xfer_set_random_seed(4));
    network net = small_network(10, XFER_TRAINING_FALSE);
    xfer_tensor *x = random_images(24, 10, 5), *y = labels_for(x);
    xfer_trainer *trainer = compiled(net.model, "Adam", 1e-3);
    xfer_fit_options options = {.struct_size = sizeof options};
    options.x = x;
    options.y = y;
    options.batch_size = 8;
    int phases = 0;
    if (checkpoint && part == 0) {
      options.on_event = stop_in_fine;
      options.user = &phases;
    }
    char config[700] = "";
    if (checkpoint) snprintf(config, sizeof config, "{\"checkpoint\":\"%s\",\"resume\":true,\"identity\":{\"set\":5}}", checkpoint);
    xfer_history *history = NULL;
    if (options.on_event) {
      FAILS(xfer_trainer_fit_phases(trainer, plan, config, &options, &history), XFER_E_CANCELLED, "stopped by a callback");
      CHECK(access(checkpoint, F_OK) == 0 && history == NULL);
      /* It is that of this run. */
      snprintf(config, sizeof config, "{\"checkpoint\":\"%s\",\"resume\":true}", checkpoint);
      FAILS(xfer_trainer_fit_phases(trainer, plan, config, &options, &history), XFER_E_STATE, "another run");
    } else {
      OK(xfer_trainer_fit_phases(trainer, plan, config, &options, &history));
      char text[4096];
      OK(xfer_history_json(history, text, sizeof text, NULL));
      CHECK(strncmp(text, "{\"phases\":[{\"epochs\":[{\"", 24) == 0 && strstr(text, "\"name\":\"fine\"") && strstr(text, "\"seconds\":"));
      int losses = 0;
      for (const char *c = text; (c = strstr(c, "\"loss\":")); c++) losses++;
      CHECK(losses == 4);
      xfer_layer *whole = NULL;
      OK(xfer_model_as_layer(net.model, &whole));
      values = snapshot(whole, XFER_WEIGHTS_ALL, count);
      xfer_layer_release(whole);
      /* The last phase's trainer is the model's. */
      xfer_optimizer *optimizer = NULL;
      OK(xfer_model_compiled(net.model, NULL, &optimizer, NULL, NULL, 0, NULL));
      double rate = 0;
      OK(xfer_optimizer_get_learning_rate(optimizer, &rate));
      CHECK(rate == 0.01);
      xfer_optimizer_release(optimizer);
    }
    xfer_history_release(history);
    xfer_trainer_release(trainer);
    xfer_tensor_release(x);
    xfer_tensor_release(y);
    release_network(&net);
  }
  return values;
}

static void phases(void) {
  const char *temporary = getenv("TMPDIR");
  char file[600];
  snprintf(file, sizeof file, "%s/xfer-phases-%d", temporary ? temporary : "/tmp", (int)getpid());
  size_t count = 0, again = 0;
  float *whole = run(NULL, &count), *parts = run(file, &again);
  CHECK(count == again && memcmp(whole, parts, count * sizeof *whole) == 0);
  CHECK(access(file, F_OK) != 0);
  free(whole);
  free(parts);

  char text[4096];
  OK(xfer_phases_json("gradual-unfreeze", text, sizeof text, NULL));
  CHECK(strstr(text, "\"name\":\"unfreeze-3\"") && strstr(text, "\"unfreeze\":\"all\""));
  OK(xfer_phases_json("{\"preset\":\"head-then-all\",\"epochs\":3}", text, sizeof text, NULL));
  CHECK(strstr(text, "\"epochs\":3") && strstr(text, "\"epochs\":10"));
  FAILS(xfer_phases_json("head-then-al", text, sizeof text, NULL), XFER_E_NOT_FOUND, "head-then-all");
  FAILS(xfer_phases_json("[{\"name\":\"a\",\"epoch\":1}]", text, sizeof text, NULL), XFER_E_INVALID_ARGUMENT, "'epoch'");
  FAILS(xfer_phases_json(NULL, text, sizeof text, NULL), XFER_E_INVALID_ARGUMENT, "plan is NULL");
}

static void mistakes(void) {
  network net = small_network(10, XFER_TRAINING_FALSE);
  xfer_tensor *x = random_images(8, 10, 5), *y = labels_for(x);
  xfer_trainer *trainer = compiled(net.model, "Adam", 1e-3);
  xfer_fit_options options = {.struct_size = sizeof options};
  options.x = x;
  options.y = y;
  xfer_history *none = NULL;
  FAILS(xfer_trainer_fit_phases((xfer_trainer *)x, plan, NULL, &options, &none), XFER_E_INVALID_HANDLE, "trainer");
  FAILS(xfer_trainer_fit_phases(trainer, NULL, NULL, &options, &none), XFER_E_INVALID_ARGUMENT, "plan is NULL");
  FAILS(xfer_trainer_fit_phases(trainer, plan, NULL, NULL, &none), XFER_E_INVALID_ARGUMENT, "options is NULL");
  FAILS(xfer_trainer_fit_phases(trainer, plan, NULL, &options, NULL), XFER_E_INVALID_ARGUMENT, "history is NULL");
  FAILS(xfer_trainer_fit_phases(trainer, plan, "{\"resum\":true}", &options, &none), XFER_E_INVALID_ARGUMENT, "'resume'");
  FAILS(xfer_trainer_fit_phases(trainer, plan, "{\"resume\":true}", &options, &none), XFER_E_INVALID_ARGUMENT, "checkpoint");
  FAILS(xfer_trainer_fit_phases(trainer, plan, "{\"save_freq\":0}", &options, &none), XFER_E_INVALID_ARGUMENT, "save_freq");
  CHECK(none == NULL);
  xfer_trainer_release(trainer);
  xfer_tensor_release(x);
  xfer_tensor_release(y);
  release_network(&net);
}

static void range_test(void) {
  OK(xfer_set_random_seed(4));
  network net = small_network(10, XFER_TRAINING_DEFAULT);
  xfer_tensor *x = random_images(24, 10, 5), *y = labels_for(x);
  xfer_trainer *trainer = compiled(net.model, "Adam", 1e-3);
  xfer_fit_options options = {.struct_size = sizeof options};
  options.x = x;
  options.y = y;
  options.batch_size = 8;
  OK(xfer_trainer_train_on_batch(trainer, x, y, NULL, NULL, 0, NULL));
  xfer_layer *whole = NULL;
  OK(xfer_model_as_layer(net.model, &whole));
  size_t count = 0;
  float *before = snapshot(whole, XFER_WEIGHTS_ALL, &count);
  xfer_history *range = NULL, *none = NULL;
  OK(xfer_trainer_lr_find(trainer, "{\"min_rate\":1e-5,\"max_rate\":0.3,\"steps\":40}", &options, &range));
  float *after = snapshot(whole, XFER_WEIGHTS_ALL, &count);
  CHECK(memcmp(before, after, count * sizeof *before) == 0);
  size_t length = 0;
  OK(xfer_history_json(range, NULL, 0, &length));
  char *text = malloc(length + 1);
  OK(xfer_history_json(range, text, length + 1, NULL));
  CHECK(strstr(text, "\"rates\":[1e-05,") && strstr(text, "\"raw_losses\":[") && strstr(text, "<svg "));
  double suggestion = number_in(text, "suggestion");
  CHECK(suggestion > 1e-5 && suggestion < 0.3);
  xfer_optimizer *optimizer = NULL;
  uint64_t iterations = 0;
  double rate = 0;
  OK(xfer_model_compiled(net.model, NULL, &optimizer, NULL, NULL, 0, NULL));
  OK(xfer_optimizer_iterations(optimizer, &iterations));
  OK(xfer_optimizer_get_learning_rate(optimizer, &rate));
  CHECK(iterations == 1 && rate == 1e-3);
  FAILS(xfer_trainer_lr_find(trainer, "{\"step\":40}", &options, &none), XFER_E_INVALID_ARGUMENT, "'steps'");
  FAILS(xfer_trainer_lr_find(trainer, "{\"min_rate\":0}", &options, &none), XFER_E_INVALID_ARGUMENT, "min_rate");
  FAILS(xfer_trainer_lr_find(trainer, "", NULL, &none), XFER_E_INVALID_ARGUMENT, "options is NULL");
  FAILS(xfer_trainer_lr_find((xfer_trainer *)x, "", &options, &none), XFER_E_INVALID_HANDLE, "trainer");
  CHECK(none == NULL);
  free(before);
  free(after);
  free(text);
  xfer_optimizer_release(optimizer);
  xfer_history_release(range);
  xfer_layer_release(whole);
  xfer_trainer_release(trainer);
  xfer_tensor_release(x);
  xfer_tensor_release(y);
  release_network(&net);
}

int main(void) {
  phases();
  range_test();
  mistakes();
  return finish();
}
