/* The training loop: two inputs and outputs, callbacks by name and by function, a trainer that keeps its model. */
#include "check.h"

typedef struct {
  xfer_callback *self;
  xfer_trainer *trainer;
  int events[14], destroyed, stop_at;
  double seen;
} listener;

static int32_t hear(void *user, int32_t event, int64_t epoch, int64_t batch, const char *logs) {
  listener *to = user;
  (void)batch;
  to->events[event]++;
  if (event == XFER_EVENT_EPOCH_END) {
    to->seen = number_in(logs, "val_loss");
    OK(xfer_callback_set_log(to->self, "mine", 2.0 - (double)epoch));
    if (epoch == to->stop_at) OK(xfer_trainer_set_stop_training(to->trainer, 1));
  }
  return 0;
}

static void forget(void *user) { ((listener *)user)->destroyed = 1; }

static xfer_tensor *filled(int64_t columns, uint32_t seed) {
  xfer_tensor *made = tensor(XFER_F32, 2, 12, columns, 1, 1);
  for (int64_t i = 0; i < 12 * columns; i++) ((float *)data_of(made))[i] = noise(&seed);
  return made;
}

int main(void) {
  xfer_symbol *ends[2] = {input("{\"shape\":[3],\"name\":\"a\"}"), input("{\"shape\":[2],\"name\":\"b\"}")}, *joined = NULL, *outs[2];
  xfer_layer *join = layer("Concatenate", NULL), *left = layer("Dense", "{\"units\":1,\"name\":\"left\"}"), *right = layer("Dense", "{\"units\":3,\"name\":\"right\"}");
  OK(xfer_layer_apply(join, SYMBOLS(ends), 2, XFER_TRAINING_DEFAULT, &joined));
  outs[0] = apply(left, joined);
  outs[1] = apply(right, joined);
  xfer_model *model = NULL;
  OK(xfer_model_create(SYMBOLS(ends), 2, SYMBOLS(outs), 2, NULL, &model));

  xfer_optimizer *sgd = NULL;
  xfer_loss *losses[2] = {NULL, NULL};
  xfer_metric *accuracy = NULL;
  OK(xfer_optimizer_create("SGD", "{\"learning_rate\":0.1}", &sgd));
  OK(xfer_loss_create("BinaryCrossentropy", "{\"from_logits\":true}", &losses[0]));
  OK(xfer_loss_create("SparseCategoricalCrossentropy", "{\"from_logits\":true}", &losses[1]));
  OK(xfer_metric_create("SparseCategoricalAccuracy", "{\"name\":\"acc\"}", &accuracy));
  double factors[2] = {1, 0.5};
  int32_t place = 1;
  xfer_compile_options compile = {.struct_size = sizeof compile};
  compile.optimizer = sgd;
  compile.losses = losses;
  compile.loss_count = 2;
  compile.loss_weights = factors;
  compile.loss_weight_count = 2;
  compile.metrics = &accuracy;
  compile.metric_outputs = &place;
  compile.metric_count = 1;
  xfer_trainer *trainer = NULL;
  OK(xfer_model_compile_all(model, &compile, &trainer));
  char text[2048];
  OK(xfer_trainer_log_names(trainer, text, sizeof text, NULL));
  CHECK(strcmp(text, "[\"loss\",\"left_loss\",\"right_loss\",\"right_acc\"]") == 0);
  xfer_trainer *none = NULL;
  place = 2;
  FAILS(xfer_model_compile_all(model, &compile, &none), XFER_E_INVALID_ARGUMENT, "metric_outputs[0] is 2");
  place = 1;
  compile.loss_weight_count = 1;
  FAILS(xfer_model_compile_all(model, &compile, &none), XFER_E_INVALID_ARGUMENT, "loss_weights has 1");
  compile.loss_weight_count = 2;
  losses[0] = losses[1] = NULL;
  FAILS(xfer_model_compile_all(model, &compile, &none), XFER_E_INVALID_ARGUMENT, "at least one");
  CHECK(none == NULL);

  /* The trainer keeps the model usable. */
  xfer_model *held = model;
  xfer_tensor *x[2] = {filled(3, 1), filled(2, 2)}, *y[2] = {filled(1, 3), tensor(XFER_I32, 1, 12, 1, 1, 1)};
  for (int i = 0; i < 12; i++) {
    ((float *)data_of(y[0]))[i] = i % 2;
    ((int32_t *)data_of(y[1]))[i] = i % 3;
  }
  xfer_fit_options options = {.struct_size = sizeof options};
  options.inputs = x;
  options.input_count = 2;
  options.targets = y;
  options.target_count = 2;
  options.validation_inputs = x;
  options.validation_input_count = 2;
  options.validation_targets = y;
  options.validation_target_count = 2;
  options.batch_size = 5;
  options.epochs = 9;
  listener of_mine = {.trainer = trainer, .stop_at = 100};
  xfer_callback *callbacks[3] = {NULL, NULL, NULL};
  OK(xfer_callback_create_function(hear, &of_mine, forget, &callbacks[0]));
  of_mine.self = callbacks[0];
  OK(xfer_callback_create("EarlyStopping", "{\"monitor\":\"mine\",\"mode\":\"max\",\"patience\":2}", &callbacks[1]));
  OK(xfer_callback_create("ReduceLROnPlateau", "{\"monitor\":\"mine\",\"mode\":\"max\",\"patience\":1,\"factor\":0.5}", &callbacks[2]));
  FAILS(xfer_callback_create("EarlyStoping", NULL, &callbacks[0]), XFER_E_NOT_FOUND, "EarlyStopping");
  FAILS(xfer_callback_create("EarlyStopping", "{\"patients\":1}", &callbacks[0]), XFER_E_INVALID_ARGUMENT, "patience");
  FAILS(xfer_callback_set_log(callbacks[0], "mine", 1), XFER_E_STATE, "within an event");
  FAILS(xfer_callback_set_log(callbacks[1], "mine", 1), XFER_E_INVALID_ARGUMENT, "create_function");
  options.callbacks = callbacks;
  options.callback_count = 3;
  xfer_history *history = NULL;
  OK(xfer_trainer_fit(trainer, &options, &history));
  int32_t stopped = 0;
  OK(xfer_trainer_get_stop_training(trainer, &stopped));
  CHECK(stopped == 1);
  OK(xfer_history_json(history, text, sizeof text, NULL));
  CHECK(strstr(text, "\"mine\":[2.0,1.0,0.0]") != NULL && strstr(text, "\"val_right_acc\":[") != NULL);
  const int wanted[14] = {1, 3, 9, 3, 1, 9, 3, 3, 9, 9, 0, 0, 0, 0};
  CHECK(memcmp(of_mine.events, wanted, sizeof wanted) == 0 && isfinite(of_mine.seen));
  OK(xfer_callback_facts(callbacks[1], text, sizeof text, NULL));
  CHECK(number_in(text, "stopped_epoch") == 2 && number_in(text, "best") == 2);
  double rate = 0;
  OK(xfer_optimizer_get_learning_rate(sgd, &rate));
  CHECK(fabs(rate - 0.025) < 1e-6);

  /* The function stops training itself; no epochs; the first version's struct. */
  of_mine.stop_at = 1;
  options.callback_count = 1;
  xfer_history *second = NULL, *third = NULL, *fourth = NULL;
  OK(xfer_trainer_fit(trainer, &options, &second));
  OK(xfer_history_json(second, text, sizeof text, NULL));
  CHECK(strstr(text, "\"mine\":[2.0,1.0]") != NULL);
  options.epochs = XFER_NO_EPOCHS;
  OK(xfer_trainer_fit(trainer, &options, &third));
  OK(xfer_history_json(third, text, sizeof text, NULL));
  CHECK(strcmp(text, "{}") == 0);
  options.epochs = 0;
  options.struct_size = offsetof(xfer_fit_options, inputs);
  FAILS(xfer_trainer_fit(trainer, &options, &fourth), XFER_E_INVALID_HANDLE, "options.dataset is NULL");
  options.struct_size = sizeof options;

  OK(xfer_trainer_run_batch(trainer, &options, 1, text, sizeof text, NULL));
  CHECK(isfinite(number_in(text, "left_loss")));
  xfer_tensor *predictions[2] = {NULL, NULL};
  size_t count = 0;
  FAILS(xfer_model_predict_all(held, &options, predictions, 1, &count), XFER_E_INVALID_ARGUMENT, "room for 1");
  OK(xfer_model_predict_all(held, &options, predictions, 2, &count));
  CHECK(count == 2 && count_of(predictions[1]) == 36 && of_mine.events[XFER_EVENT_PREDICT_BATCH_END] == 3);

  xfer_model_release(model);
  OK(xfer_trainer_run_batch(trainer, &options, 0, text, sizeof text, NULL));
  CHECK(!of_mine.destroyed);
  for (int i = 0; i < 3; i++) xfer_callback_release(callbacks[i]);
  CHECK(of_mine.destroyed);
  for (int i = 0; i < 2; i++) {
    xfer_symbol_release(ends[i]);
    xfer_symbol_release(outs[i]);
    xfer_tensor_release(x[i]);
    xfer_tensor_release(y[i]);
    xfer_tensor_release(predictions[i]);
  }
  xfer_symbol_release(joined);
  xfer_layer_release(join);
  xfer_layer_release(left);
  xfer_layer_release(right);
  xfer_optimizer_release(sgd);
  xfer_metric_release(accuracy);
  xfer_history_release(history);
  xfer_history_release(second);
  xfer_history_release(third);
  xfer_trainer_release(trainer);
  return finish();
}
