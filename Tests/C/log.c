/* Warnings go where the program wants them. */
#include "check.h"

static int lines, destroyed;
static char last[1024];

static void take(void *user, int32_t level, const char *message) {
  CHECK(user == &lines && level == 2);
  lines++;
  snprintf(last, sizeof last, "%s", message);
}

static void gone(void *user) {
  CHECK(user == &lines);
  destroyed++;
}

static void labels_above_one(void) {
  network net = small_network(8, XFER_TRAINING_FALSE);
  xfer_tensor *x = random_images(4, 8, 5), *y = labels_for(x);
  ((int32_t *)data_of(y))[2] = 3;
  xfer_trainer *trainer = compiled(net.model, "Adam", 1e-3);
  xfer_fit_options options = {.struct_size = sizeof options};
  options.x = x;
  options.y = y;
  options.no_shuffle = 1;
  xfer_history *history = NULL;
  for (int i = 0; i < 2; i++) {
    OK(xfer_trainer_fit(trainer, &options, &history));
    xfer_history_release(history);
  }
  xfer_trainer_release(trainer);
  xfer_tensor_release(x);
  xfer_tensor_release(y);
  release_network(&net);
}

int main(void) {
  OK(xfer_set_log(take, &lines, gone));
  labels_above_one();
  CHECK(lines == 1 && strstr(last, "label 3.0 in sample 2") != NULL);
  OK(xfer_set_log(take, &lines, NULL));
  CHECK(destroyed == 1);
  labels_above_one();
  CHECK(lines == 2);
  OK(xfer_set_log(NULL, NULL, NULL));
  CHECK(destroyed == 1 && lines == 2);
  return finish();
}
