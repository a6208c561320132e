/* Losses and metrics beyond the plain ones: reductions, several figures, state, metrics of one's own. */
#include "check.h"

static xfer_tensor *floats(int32_t rank, int64_t a, int64_t b, const float *values) {
  xfer_tensor *made = tensor(XFER_F32, rank, a, b, 1, 1);
  memcpy(data_of(made), values, sizeof(float) * (size_t)count_of(made));
  return made;
}

static float element(xfer_tensor *of, int index, int32_t *rank) {
  OK(xfer_tensor_describe(of, NULL, rank, NULL, NULL));
  return ((const float *)data_of(of))[index];
}

struct counter {
  int updates, destroyed, fail;
  double largest;
};

static int32_t update(void *user, xfer_tensor *y_true, xfer_tensor *y_pred, xfer_tensor *sample_weight) {
  struct counter *counter = user;
  int32_t rank = 0;
  float value = element(y_pred, 0, &rank);
  CHECK(y_true != NULL && sample_weight == NULL);
  counter->updates++;
  if (value > counter->largest) counter->largest = value;
  return counter->fail;
}
static double result(void *user) { return ((struct counter *)user)->largest; }
static void reset(void *user) { ((struct counter *)user)->largest = 0; }
static void destroy(void *user) { ((struct counter *)user)->destroyed++; }

int main(void) {
  const float truth[] = {1, 0, 1, 0}, guesses[] = {0.9f, 0.3f, 0.4f, 0.6f};
  xfer_tensor *y = floats(1, 4, 1, truth), *p = floats(2, 4, 1, guesses), *value = NULL;
  int32_t rank = -1;
  double number = 0, state[16];
  size_t count = 0;

  xfer_loss *loss = NULL;
  OK(xfer_loss_create("mse", "{\"reduction\":\"none\"}", &loss));
  OK(xfer_loss_call(loss, y, p, NULL, NULL, &value));
  CHECK(fabsf(element(value, 3, &rank) - 0.36f) < 1e-6f && rank == 1);
  xfer_tensor_release(value);
  xfer_loss_release(loss);
  FAILS(xfer_loss_create("mse", "{\"reduction\":\"averaged\"}", &loss), XFER_E_INVALID_ARGUMENT, "reduction");
  FAILS(xfer_loss_create("mean_square_error", NULL, &loss), XFER_E_NOT_FOUND, "did you mean 'mean_squared_error'?");

  xfer_metric *metric = NULL;
  OK(xfer_metric_create("Precision", "{\"thresholds\":[0.2,0.5]}", &metric));
  OK(xfer_metric_update(metric, y, p, NULL));
  OK(xfer_metric_result_tensor(metric, &value));
  CHECK(element(value, 0, &rank) == 0.5f && rank == 1 && element(value, 1, &rank) == 0.5f);
  xfer_tensor_release(value);
  OK(xfer_metric_state(metric, NULL, 0, &count));
  CHECK(count == 8);
  OK(xfer_metric_state(metric, state, 16, &count));
  OK(xfer_metric_reset(metric));
  OK(xfer_metric_result(metric, &number));
  CHECK(number == 0);
  OK(xfer_metric_set_state(metric, state, count));
  OK(xfer_metric_result(metric, &number));
  CHECK(number == 0.5);
  FAILS(xfer_metric_set_state(metric, state, 3), XFER_E_INVALID_ARGUMENT, "8");
  FAILS(xfer_metric_set_state(metric, NULL, 3), XFER_E_INVALID_ARGUMENT, "values");
  FAILS(xfer_metric_update(metric, NULL, p, NULL), XFER_E_INVALID_HANDLE, "y_true");
  xfer_metric_release(metric);

  OK(xfer_metric_create("Mean", NULL, &metric));
  OK(xfer_metric_update(metric, NULL, y, NULL));
  OK(xfer_metric_result(metric, &number));
  CHECK(number == 0.5);
  OK(xfer_metric_result_tensor(metric, &value));
  CHECK(element(value, 0, &rank) == 0.5f && rank == 0);
  xfer_tensor_release(value);
  xfer_metric_release(metric);

  struct counter counter = {0};
  FAILS(xfer_metric_create_custom("mine", update, NULL, reset, &counter, destroy, &metric), XFER_E_INVALID_ARGUMENT, "result");
  CHECK(counter.destroyed == 0);
  OK(xfer_metric_create_custom("mine", update, result, reset, &counter, destroy, &metric));
  OK(xfer_metric_update(metric, y, p, NULL));
  OK(xfer_metric_result(metric, &number));
  CHECK(counter.updates == 1 && fabs(number - 0.9) < 1e-6);
  counter.fail = 7;
  FAILS(xfer_metric_update(metric, y, p, NULL), XFER_E_DATA, "'mine' failed with 7");
  OK(xfer_metric_reset(metric));
  OK(xfer_metric_result(metric, &number));
  CHECK(number == 0);
  xfer_metric_release(metric);
  CHECK(counter.destroyed == 1);

  xfer_tensor_release(y);
  xfer_tensor_release(p);
  return finish();
}
