/* NULL, released, foreign and wrong handles are errors that name the function, in every function that takes one; nothing is
 * written to out-parameters then. */
#include "check.h"

static int somewhere;
static void *bad[6];
enum { BAD_COUNT = 6 };
static const char *const why[BAD_COUNT] = {"is NULL", "was released before", "is not a handle", "is not a handle", "is not a handle", "is a "};

static void expect_refusal(xfer_status status, int which, const char *call, int line) {
  char function[80];
  snprintf(function, sizeof function, "%.*s:", (int)strcspn(call, "("), call);
  check_failure(status, XFER_E_INVALID_HANDLE, why[which], __FILE__, line, call);
  check_failure(status, XFER_E_INVALID_HANDLE, function, __FILE__, line, call);
}

/* `call` with h as each bad handle; `other` is a good handle of another kind. */
#define REFUSES(type, other, call)                       \
  do {                                                   \
    bad[5] = (void *)(other);                            \
    for (int k = 0; k < BAD_COUNT; k++) {                \
      type *h = (type *)bad[k];                          \
      expect_refusal((call), k, #call, __LINE__);        \
    }                                                    \
  } while (0)

int main(void) {
  xfer_tensor *x = random_images(4, 8, 1), *y = labels_for(x);
  network net = small_network(8, XFER_TRAINING_FALSE);
  xfer_trainer *trainer = compiled(net.model, "Adam", 1e-3);
  xfer_tape *tape = NULL;
  OK(xfer_tape_create(&tape));
  xfer_optimizer *optimizer = NULL;
  xfer_loss *loss = NULL;
  xfer_metric *metric = NULL;
  xfer_weight *weight = NULL;
  OK(xfer_optimizer_create("SGD", NULL, &optimizer));
  OK(xfer_loss_create("BinaryCrossentropy", NULL, &loss));
  OK(xfer_metric_create("BinaryAccuracy", NULL, &metric));
  OK(xfer_layer_weight(net.head, XFER_WEIGHTS_ALL, 0, &weight));
  xfer_symbol *symbol = input("{\"shape\":[8,8,3]}");

  xfer_tensor *gone = tensor(XFER_F32, 1, 1, 1, 1, 1);
  bad[0] = NULL;
  bad[1] = gone;
  bad[2] = &somewhere;
  bad[3] = (void *)1;
  bad[4] = (void *)(UINTPTR_MAX - 2);
  xfer_tensor_release(gone);

  /* Out-parameters: these values have to be there still at the end. */
  char text[64] = "as it was";
  size_t length = 77;
  int32_t rank = 77, flag = 77;
  int64_t dims[8] = {77};
  double number = 77;
  uint64_t wide = 77;
  size_t count = 77;
  void *mark = &somewhere;
  xfer_tensor *out_tensor = mark, *out_tensors[1] = {mark};
  xfer_symbol *out_symbol = mark;
  xfer_layer *out_layer = mark;
  xfer_weight *out_weight = mark;
  xfer_model *out_model = mark;
  xfer_trainer *out_trainer = mark;
  xfer_history *out_history = mark;
  const size_t room = sizeof text;

  REFUSES(xfer_tensor, weight, xfer_tensor_describe(h, &flag, &rank, dims, NULL));

  REFUSES(xfer_symbol, x, xfer_symbol_shape(h, &rank, dims));
  REFUSES(xfer_layer, x, xfer_layer_apply(h, SYMBOLS(&symbol), 1, 0, &out_symbol));
  REFUSES(xfer_symbol, x, xfer_layer_apply(net.trunk_layer, SYMBOLS(&h), 1, 0, &out_symbol));
  REFUSES(xfer_layer, x, xfer_layer_call(h, &x, 1, 0, NULL, &out_tensor));
  REFUSES(xfer_tensor, weight, xfer_layer_call(net.trunk_layer, &h, 1, 0, NULL, &out_tensor));
  REFUSES(xfer_layer, x, xfer_layer_build(h, 1, dims));
  REFUSES(xfer_layer, x, xfer_layer_config(h, text, room, &length));
  REFUSES(xfer_layer, x, xfer_layer_name(h, text, room, &length));
  REFUSES(xfer_layer, x, xfer_layer_set_trainable(h, 1));
  REFUSES(xfer_layer, x, xfer_layer_get_trainable(h, &flag));
  REFUSES(xfer_layer, x, xfer_layer_weight_count(h, 0, &count));
  REFUSES(xfer_layer, x, xfer_layer_weight(h, 0, 0, &out_weight));
  REFUSES(xfer_layer, x, xfer_layer_sublayer_count(h, &count));
  REFUSES(xfer_layer, x, xfer_layer_sublayer(h, 0, &out_layer));
  REFUSES(xfer_layer, x, xfer_layer_set(h, "{}"));
  REFUSES(xfer_layer, x, xfer_layer_enable_lora(h, "{\"rank\":1}"));
  REFUSES(xfer_layer, x, xfer_layer_id(h, &wide));
  REFUSES(xfer_layer, x, xfer_layer_as_model(h, &out_model));

  REFUSES(xfer_weight, x, xfer_weight_path(h, text, room, &length));
  REFUSES(xfer_weight, x, xfer_weight_shape(h, &rank, dims));
  REFUSES(xfer_weight, x, xfer_weight_trainable(h, &flag));
  REFUSES(xfer_weight, x, xfer_weight_read(h, &out_tensor));
  REFUSES(xfer_weight, x, xfer_weight_assign(h, x));
  REFUSES(xfer_tensor, weight, xfer_weight_assign(weight, h));
  REFUSES(xfer_weight, x, xfer_weight_id(h, &wide));

  REFUSES(xfer_symbol, x, xfer_model_create(SYMBOLS(&h), 1, SYMBOLS(&symbol), 1, NULL, &out_model));
  REFUSES(xfer_symbol, x, xfer_model_create(SYMBOLS(&symbol), 1, SYMBOLS(&h), 1, NULL, &out_model));
  REFUSES(xfer_layer, x, xfer_sequential_create(&h, 1, NULL, &out_model));
  REFUSES(xfer_tensor, weight, xfer_application_preprocess("Xception", h, &out_tensor));
  REFUSES(xfer_model, net.head, xfer_model_save(h, "nowhere.keras"));
  REFUSES(xfer_model, net.head, xfer_model_load_weights(h, "nowhere.h5", NULL, text, room, &length));
  REFUSES(xfer_model, net.head, xfer_model_save_weights(h, "nowhere.safetensors"));
  REFUSES(xfer_model, net.head, xfer_model_save_delta(h, "nowhere.safetensors"));
  REFUSES(xfer_model, net.head, xfer_model_load_delta(h, "nowhere.safetensors"));
  REFUSES(xfer_model, net.head, xfer_model_to_json(h, text, room, &length));
  REFUSES(xfer_model, net.head, xfer_model_as_layer(h, &out_layer));
  REFUSES(xfer_model, net.head, xfer_model_get_layer(h, "dense", &out_layer));
  REFUSES(xfer_model, net.head, xfer_model_symbols(h, NULL, 0, NULL, 0, &length));
  REFUSES(xfer_model, net.head, xfer_model_set_metadata(h, "{}"));
  REFUSES(xfer_model, net.head, xfer_model_metadata(h, text, room, &length));
  REFUSES(xfer_model, net.head, xfer_model_summary(h, 0, 0, text, room, &length));
  REFUSES(xfer_model, net.head, xfer_model_summary_with(h, NULL, text, room, &length));
  REFUSES(xfer_model, net.head, xfer_model_predict(h, x, 0, &out_tensor));
  REFUSES(xfer_tensor, weight, xfer_model_predict(net.model, h, 0, &out_tensor));
  REFUSES(xfer_model, net.head, xfer_plan_report(h, 1, 0, text, room, &length));
  REFUSES(xfer_model, net.head, xfer_model_forecast(h, 8, 4, NULL, text, room, &length));
  REFUSES(xfer_model, net.head, xfer_plan_svg(h, NULL, text, room, &length));

  REFUSES(xfer_optimizer, x, xfer_optimizer_config(h, text, room, &length));
  REFUSES(xfer_optimizer, x, xfer_optimizer_get_learning_rate(h, &number));
  REFUSES(xfer_optimizer, x, xfer_optimizer_set_learning_rate(h, 0.5));
  REFUSES(xfer_optimizer, x, xfer_optimizer_iterations(h, &wide));
  REFUSES(xfer_optimizer, x, xfer_optimizer_apply(h, &x, &weight, 1));
  REFUSES(xfer_weight, x, xfer_optimizer_apply(optimizer, &x, &h, 1));
  REFUSES(xfer_loss, x, xfer_loss_config(h, text, room, &length));
  REFUSES(xfer_loss, x, xfer_loss_call(h, y, x, NULL, NULL, &out_tensor));
  REFUSES(xfer_tensor, weight, xfer_loss_call(loss, h, x, NULL, NULL, &out_tensor));
  REFUSES(xfer_tensor, weight, xfer_loss_call(loss, y, h, NULL, NULL, &out_tensor));
  REFUSES(xfer_metric, x, xfer_metric_config(h, text, room, &length));
  REFUSES(xfer_metric, x, xfer_metric_update(h, y, x, NULL));
  REFUSES(xfer_tensor, weight, xfer_metric_update(metric, h, x, NULL));
  REFUSES(xfer_tensor, weight, xfer_metric_update(metric, y, h, NULL));
  REFUSES(xfer_metric, x, xfer_metric_result(h, &number));
  REFUSES(xfer_metric, x, xfer_metric_reset(h));
  REFUSES(xfer_metric, x, xfer_metric_result_tensor(h, &out_tensor));
  REFUSES(xfer_metric, x, xfer_metric_state(h, &number, 1, &length));
  REFUSES(xfer_metric, x, xfer_metric_set_state(h, &number, 1));

  REFUSES(xfer_tape, x, xfer_tape_gradient(h, x, &weight, 1, out_tensors));
  REFUSES(xfer_tensor, weight, xfer_tape_gradient(tape, h, &weight, 1, out_tensors));
  REFUSES(xfer_weight, x, xfer_tape_gradient(tape, x, &h, 1, out_tensors));

  REFUSES(xfer_dataset, x, xfer_dataset_info(h, text, room, &length));
  REFUSES(xfer_dataset, x, xfer_dataset_next(h, &out_tensor, &out_tensors[0]));
  REFUSES(xfer_dataset, x, xfer_dataset_restart(h, 0));

  REFUSES(xfer_model, net.head, xfer_model_compile(h, optimizer, loss, NULL, 0, &out_trainer));
  REFUSES(xfer_optimizer, x, xfer_model_compile(net.model, h, loss, NULL, 0, &out_trainer));
  REFUSES(xfer_loss, x, xfer_model_compile(net.model, optimizer, h, NULL, 0, &out_trainer));
  REFUSES(xfer_metric, x, xfer_model_compile(net.model, optimizer, loss, &h, 1, &out_trainer));
  xfer_fit_options options = {.struct_size = sizeof options};
  options.x = x;
  options.y = y;
  REFUSES(xfer_trainer, x, xfer_trainer_fit(h, &options, &out_history));
  REFUSES(xfer_tensor, weight, (options.y = h, xfer_trainer_fit)(trainer, &options, &out_history));
  options.y = y;
  REFUSES(xfer_trainer, x, xfer_trainer_fit_phases(h, "linear-probe", NULL, &options, &out_history));
  REFUSES(xfer_trainer, x, xfer_trainer_lr_find(h, NULL, &options, &out_history));
  REFUSES(xfer_history, x, xfer_history_json(h, text, room, &length));
  REFUSES(xfer_trainer, x, xfer_trainer_evaluate(h, &options, text, room, &length));
  REFUSES(xfer_trainer, x, xfer_trainer_train_on_batch(h, x, y, NULL, text, room, &length));
  REFUSES(xfer_tensor, weight, xfer_trainer_train_on_batch(trainer, h, y, NULL, text, room, &length));
  REFUSES(xfer_tensor, weight, xfer_trainer_train_on_batch(trainer, x, h, NULL, text, room, &length));
  REFUSES(xfer_trainer, x, xfer_trainer_test_on_batch(h, x, y, NULL, text, room, &length));
  REFUSES(xfer_trainer, x, xfer_trainer_cancel(h));

  CHECK(strcmp(text, "as it was") == 0 && length == 77 && rank == 77 && flag == 77 && dims[0] == 77);
  CHECK(number == 77 && wide == 77 && count == 77);
  CHECK(out_tensor == mark && out_tensors[0] == mark && out_symbol == mark && out_layer == mark && out_weight == mark);
  CHECK(out_model == mark && out_trainer == mark && out_history == mark);

  /* Optional handles may be NULL, but not wrong. */
  FAILS(xfer_layer_call(net.trunk_layer, &x, 1, 0, (xfer_tape *)x, &out_tensor), XFER_E_INVALID_HANDLE, "tape is a tensor handle");
  FAILS(xfer_loss_call(loss, y, x, (xfer_tensor *)weight, NULL, &out_tensor), XFER_E_INVALID_HANDLE, "sample_weight is a weight handle");
  xfer_tensor *const wrong = (xfer_tensor *)tape;
  FAILS(xfer_optimizer_apply(optimizer, &wrong, &weight, 1), XFER_E_INVALID_HANDLE, "gradients[0] is a tape handle");

  /* Releasing takes anything, and what is wrong changes nothing. */
  xfer_tensor_release(NULL);
  xfer_tensor_release((xfer_tensor *)&somewhere);
  xfer_tensor_release((xfer_tensor *)weight);
  xfer_layer_release((xfer_layer *)net.model);
  uint64_t id = 0;
  OK(xfer_weight_id(weight, &id));
  OK(xfer_model_as_layer(net.model, &out_layer));

  /* An object lives while anything uses it, in whatever order the handles go. */
  xfer_weight *last = NULL;
  OK(xfer_layer_weight(out_layer, XFER_WEIGHTS_ALL, 0, &last));
  xfer_layer_release(out_layer);
  release_network(&net);
  OK(xfer_trainer_test_on_batch(trainer, x, y, NULL, NULL, 0, &length));
  xfer_trainer_release(trainer);
  OK(xfer_weight_read(last, &out_tensor));
  CHECK(count_of(out_tensor) == 3 * 3 * 3 * 6);
  xfer_weight_release(last);
  xfer_weight_release(last);
  CHECK(count_of(out_tensor) == 3 * 3 * 3 * 6);

  /* Two handles of one weight have one id; handles are never used again. */
  uint64_t again = 0;
  OK(xfer_weight_id(weight, &again));
  CHECK(id == again);
  for (int i = 0; i < 1000; i++) {
    xfer_tensor *fresh = tensor(XFER_F32, 1, 1, 1, 1, 1);
    if (fresh == gone) CHECK(fresh != gone);
    xfer_tensor_release(fresh);
  }
  FAILS(xfer_tensor_describe(gone, NULL, NULL, NULL, NULL), XFER_E_INVALID_HANDLE, "was released before");
  return finish();
}
