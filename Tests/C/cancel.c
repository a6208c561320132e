/* Training stopped from a callback and from another thread; events in their order; data from a callback. */
#include "check.h"

#include <pthread.h>
#include <time.h>

typedef struct {
  int events[5], stop_at_event, stop_after;
  char last_logs[256];
} witness;

static int32_t on_event(void *user, int32_t event, int64_t epoch, int64_t batch, const char *logs) {
  witness *seen = user;
  CHECK(event >= 0 && event < 5 && epoch >= 0 && batch >= 0 && logs[0] == '{');
  if (event == XFER_EVENT_TRAIN_BEGIN || event == XFER_EVENT_EPOCH_BEGIN) CHECK(strcmp(logs, "{}") == 0);
  if (event == XFER_EVENT_BATCH_END) CHECK(batch == seen->events[event] % 4 && isfinite(number_in(logs, "loss")));
  snprintf(seen->last_logs, sizeof seen->last_logs, "%s", logs);
  seen->events[event]++;
  return event == seen->stop_at_event && seen->events[event] == seen->stop_after;
}

static void *cancel_soon(void *trainer) {
  struct timespec pause = {0, 50 * 1000 * 1000};
  nanosleep(&pause, NULL);
  OK(xfer_trainer_cancel(trainer));
  return NULL;
}

/* ---- A data set of four batches ---- */

typedef struct {
  int64_t epoch;
  int batch, restarts, destroyed, fail_at, without_y;
} source;

static int32_t next_batch(void *user, xfer_tensor **x, xfer_tensor **y, xfer_tensor **sample_weight) {
  source *data = user;
  if (data->batch == 4) return 0;
  *x = random_images(3, 8, (uint32_t)(1 + data->batch));
  if (++data->batch == data->fail_at) return -1;
  if (!data->without_y) *y = labels_for(*x);
  if (data->batch == 2) {
    *sample_weight = tensor(XFER_F32, 1, 3, 1, 1, 1);
    for (int i = 0; i < 3; i++) ((float *)data_of(*sample_weight))[i] = 1;
  }
  return 1;
}

static int32_t restart(void *user, int64_t epoch) {
  source *data = user;
  data->epoch = epoch;
  data->batch = 0;
  data->restarts++;
  return epoch == 7 ? 5 : 0;
}

static void destroy(void *user) { ((source *)user)->destroyed++; }

int main(void) {
  network net = small_network(8, XFER_TRAINING_FALSE);
  xfer_trainer *trainer = compiled(net.model, "SGD", 0.1);
  xfer_tensor *x = random_images(16, 8, 1), *y = labels_for(x);
  xfer_fit_options options = {.struct_size = sizeof options};
  options.x = x;
  options.y = y;
  options.batch_size = 4;
  options.epochs = 2;
  options.on_event = on_event;
  witness seen = {.stop_at_event = -1};
  options.user = &seen;
  xfer_history *history = NULL;
  OK(xfer_trainer_fit(trainer, &options, &history));
  xfer_history_release(history);
  const int whole[5] = {1, 2, 8, 2, 1};
  CHECK(memcmp(seen.events, whole, sizeof whole) == 0);

  /* Each event may stop it, cleanly: training goes on afterwards. */
  for (int event = XFER_EVENT_TRAIN_BEGIN; event <= XFER_EVENT_TRAIN_END; event++) {
    seen = (witness){.stop_at_event = event, .stop_after = 1};
    history = NULL;
    FAILS(xfer_trainer_fit(trainer, &options, &history), XFER_E_CANCELLED, "callback");
    CHECK(history == NULL && seen.events[event] == 1);
    for (int later = event + 1; later <= XFER_EVENT_TRAIN_END; later++)
      if (event != XFER_EVENT_TRAIN_END && later != XFER_EVENT_BATCH_END && later != XFER_EVENT_EPOCH_END) CHECK(seen.events[later] <= 1);
  }
  seen = (witness){.stop_at_event = XFER_EVENT_BATCH_END, .stop_after = 3};
  size_t count = 0;
  FAILS(xfer_trainer_fit(trainer, &options, &history), XFER_E_CANCELLED, "epoch 1");
  CHECK(seen.events[XFER_EVENT_BATCH_END] == 3);
  float *kept = snapshot(net.head, XFER_WEIGHTS_ALL, &count);
  for (size_t i = 0; i < count; i++) CHECK(isfinite(kept[i]));
  free(kept);

  /* From another thread, in a fit that would not end by itself for a long time. */
  options.on_event = NULL;
  options.epochs = 1000000;
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, cancel_soon, trainer) == 0);
  FAILS(xfer_trainer_fit(trainer, &options, &history), XFER_E_CANCELLED, "cancelled");
  pthread_join(thread, NULL);
  options.epochs = 1;
  OK(xfer_trainer_fit(trainer, &options, &history));
  xfer_history_release(history);
  history = NULL;

  /* Batches from a callback. */
  source data = {0};
  xfer_dataset *set = NULL;
  FAILS(xfer_dataset_create(NULL, restart, &data, destroy, &set), XFER_E_INVALID_ARGUMENT, "next is NULL");
  CHECK(data.destroyed == 0 && set == NULL);
  OK(xfer_dataset_create(next_batch, restart, &data, destroy, &set));
  char text[256];
  OK(xfer_dataset_info(set, text, sizeof text, NULL));
  CHECK(strstr(text, "\"class_names\":[]") != NULL);
  options = (xfer_fit_options){.struct_size = sizeof options, .dataset = set, .validation_x = x, .validation_y = y, .epochs = 3};
  OK(xfer_trainer_fit(trainer, &options, &history));
  CHECK(data.restarts == 3 && data.epoch == 2 && data.batch == 4);
  char json[1024];
  OK(xfer_history_json(history, json, sizeof json, NULL));
  CHECK(strstr(json, "\"val_loss\":[") != NULL);
  xfer_history_release(history);
  history = NULL;
  OK(xfer_trainer_evaluate(trainer, &options, text, sizeof text, NULL));

  options.validation_split = 0.5;
  FAILS(xfer_trainer_fit(trainer, &options, &history), XFER_E_INVALID_ARGUMENT, "validation_split wants arrays");
  options.validation_split = 0;
  options.x = x;
  options.y = y;
  FAILS(xfer_trainer_fit(trainer, &options, &history), XFER_E_INVALID_ARGUMENT, "both arrays and a data set");
  options.x = options.y = NULL;
  data.fail_at = 3;
  FAILS(xfer_trainer_fit(trainer, &options, &history), XFER_E_DATA, "next callback failed with -1");
  data.fail_at = 0;
  data.without_y = 1;
  FAILS(xfer_trainer_fit(trainer, &options, &history), XFER_E_INVALID_HANDLE, "y of the next callback is NULL");
  data.without_y = 0;
  options.initial_epoch = 7;
  options.epochs = 8;
  FAILS(xfer_trainer_fit(trainer, &options, &history), XFER_E_DATA, "restart callback failed with 5");
  CHECK(history == NULL);

  /* The same batches for a loop of one's own; the tensors are the caller's then. */
  xfer_tensor *bx = NULL, *by = NULL;
  OK(xfer_dataset_restart(set, 0));
  FAILS(xfer_dataset_restart(set, -1), XFER_E_INVALID_ARGUMENT, "-1");
  for (int i = 0; i < 4; i++) {
    OK(xfer_dataset_next(set, &bx, &by));
    CHECK(count_of(bx) == 3 * 8 * 8 * 3 && count_of(by) == 3);
    xfer_tensor_release(bx);
    xfer_tensor_release(by);
  }
  OK(xfer_dataset_next(set, &bx, &by));
  CHECK(bx == NULL && by == NULL);
  CHECK(data.destroyed == 0);
  xfer_dataset_release(set);
  CHECK(data.destroyed == 1);

  xfer_tensor_release(x);
  xfer_tensor_release(y);
  xfer_trainer_release(trainer);
  release_network(&net);
  return finish();
}
