/* Low-rank adaptation, files of what training changed, drawings of plans. */
#include "check.h"

#include <sys/stat.h>
#include <unistd.h>

static const char *path_of(xfer_layer *of, int32_t which, size_t index) {
  static char text[256];
  xfer_weight *weight = NULL;
  OK(xfer_layer_weight(of, which, index, &weight));
  OK(xfer_weight_path(weight, text, sizeof text, NULL));
  xfer_weight_release(weight);
  return text;
}

static size_t count_weights(xfer_layer *of, int32_t which) {
  size_t count = 0;
  OK(xfer_layer_weight_count(of, which, &count));
  return count;
}

/* The outputs for some images. */
static float *answers(xfer_model *model, xfer_tensor *images, size_t *count) {
  xfer_tensor *y = NULL;
  OK(xfer_model_predict(model, images, 0, &y));
  *count = (size_t)count_of(y);
  float *values = malloc(*count * sizeof *values);
  if (!values) abort();
  memcpy(values, data_of(y), *count * sizeof *values);
  xfer_tensor_release(y);
  return values;
}

static void adapts_a_layer(void) {
  xfer_layer *dense = layer("Dense", "{\"units\":3,\"name\":\"d\"}");
  FAILS(xfer_layer_enable_lora(dense, "{\"rank\":2}"), XFER_E_STATE, "not built yet");
  int64_t dims[2] = {-1, 4};
  OK(xfer_layer_build(dense, 2, dims));
  FAILS(xfer_layer_enable_lora(dense, NULL), XFER_E_INVALID_ARGUMENT, "'rank' is required");
  FAILS(xfer_layer_enable_lora(dense, "{\"rank\":0}"), XFER_E_INVALID_ARGUMENT, "0 was given");
  FAILS(xfer_layer_enable_lora(dense, "{\"rank\":1.5}"), XFER_E_INVALID_ARGUMENT, "1.5 was given");
  FAILS(xfer_layer_enable_lora(dense, "{\"rank\":2,\"alpha\":3}"), XFER_E_INVALID_ARGUMENT, "'alpha'");
  FAILS(xfer_layer_enable_lora(dense, "{\"rank\":2,\"layers\":[\"d\"]}"), XFER_E_INVALID_ARGUMENT, "'layers' is for models");
  CHECK(count_weights(dense, XFER_WEIGHTS_ALL) == 2);
  OK(xfer_layer_enable_lora(dense, "{\"rank\":2,\"lora_alpha\":4,\"a_initializer\":\"ones\"}"));
  CHECK(count_weights(dense, XFER_WEIGHTS_ALL) == 4 && count_weights(dense, XFER_WEIGHTS_TRAINABLE) == 3);
  CHECK(!strcmp(path_of(dense, XFER_WEIGHTS_ALL, 2), "d/lora_kernel_a") && !strcmp(path_of(dense, XFER_WEIGHTS_ALL, 3), "d/lora_kernel_b"));
  CHECK(!strcmp(path_of(dense, XFER_WEIGHTS_NON_TRAINABLE, 0), "d/kernel"));
  char text[2048];
  OK(xfer_layer_config(dense, text, sizeof text, NULL));
  CHECK(number_in(text, "lora_rank") == 2 && number_in(text, "lora_alpha") == 4);
  FAILS(xfer_layer_enable_lora(dense, "{\"rank\":2}"), XFER_E_STATE, "enabled already");
  xfer_layer_release(dense);

  xfer_layer *norm = layer("BatchNormalization", NULL);
  int64_t image[4] = {-1, 8, 8, 3};
  OK(xfer_layer_build(norm, 4, image));
  FAILS(xfer_layer_enable_lora(norm, "{\"rank\":2}"), XFER_E_UNSUPPORTED, "BatchNormalization");
  xfer_layer_release(norm);
}

/* The trunk adapted, trained, saved as a delta, and put onto the same trunk again. */
static void trains_and_goes_with_a_delta(const char *folder) {
  char base[600], delta[600], other[600];
  snprintf(base, sizeof base, "%s/base.safetensors", folder);
  snprintf(delta, sizeof delta, "%s/delta.safetensors", folder);
  snprintf(other, sizeof other, "%s/other.safetensors", folder);
  network net = small_network(8, 0), twin = small_network(8, 0);
  xfer_tensor *x = random_images(8, 8, 3), *y = labels_for(x);
  size_t count = 0, again = 0;
  OK(xfer_model_save_weights(net.trunk, base));
  OK(xfer_model_load_weights(net.trunk, base, NULL, NULL, 0, NULL));
  OK(xfer_model_load_weights(twin.trunk, base, NULL, NULL, 0, NULL));

  float *before = answers(net.model, x, &count);
  FAILS(xfer_layer_enable_lora(net.trunk_layer, "{\"rank\":2,\"layers\":[\"nothing\"]}"), XFER_E_NOT_FOUND, "'nothing'");
  FAILS(xfer_layer_enable_lora(net.trunk_layer, "{\"rank\":2,\"layers\":3}"), XFER_E_INVALID_ARGUMENT, "'layers'");
  OK(xfer_layer_enable_lora(net.trunk_layer, "{\"rank\":2}"));
  float *after = answers(net.model, x, &again);
  CHECK(count == again && !memcmp(before, after, count * sizeof *before));
  CHECK(count_weights(net.trunk_layer, XFER_WEIGHTS_TRAINABLE) == 2);

  size_t frozen = 0, still = 0;
  float *kept = snapshot(net.trunk_layer, XFER_WEIGHTS_NON_TRAINABLE, &frozen);
  xfer_trainer *trainer = compiled(net.model, "Adam", 0.05);
  xfer_fit_options options = {.struct_size = sizeof options};
  options.x = x;
  options.y = y;
  options.epochs = 3;
  xfer_history *history = NULL;
  OK(xfer_trainer_fit(trainer, &options, &history));
  xfer_history_release(history);
  float *later = snapshot(net.trunk_layer, XFER_WEIGHTS_NON_TRAINABLE, &still);
  CHECK(frozen == still && !memcmp(kept, later, frozen * sizeof *kept));
  free(after);
  after = answers(net.model, x, &again);
  CHECK(memcmp(before, after, count * sizeof *before) != 0);

  FAILS(xfer_model_save_delta(net.model, "/no/such/folder/d"), XFER_E_NOT_FOUND, "/no/such/folder");
  OK(xfer_model_save_delta(net.model, delta));
  FAILS(xfer_model_load_weights(twin.model, delta, NULL, NULL, 0, NULL), XFER_E_UNSUPPORTED, "load_delta");
  FAILS(xfer_model_load_delta(twin.model, base), XFER_E_FORMAT, "is no delta");
  FAILS(xfer_model_load_delta(twin.trunk, delta), XFER_E_SHAPE, "weights");
  OK(xfer_model_load_delta(twin.model, delta));
  float *loaded = answers(twin.model, x, &again);
  CHECK(count == again && !memcmp(after, loaded, count * sizeof *after));
  /* Another base. */
  network third = small_network(8, 0);
  xfer_tensor *noise_images = random_images(8, 8, 77);
  FAILS(xfer_model_load_delta(third.model, delta), XFER_E_STATE, "another base");
  CHECK(count_weights(third.trunk_layer, XFER_WEIGHTS_ALL) == 5);

  /* Weights of layers that are adapted have the sum in the file. */
  OK(xfer_model_save_weights(net.model, other));
  OK(xfer_model_load_weights(third.model, other, NULL, NULL, 0, NULL));
  float *summed = answers(third.model, x, &again);
  for (size_t i = 0; i < count; i++) CHECK(fabsf(summed[i] - after[i]) < 1e-4f * (1 + fabsf(after[i])));

  xfer_tensor_release(noise_images);
  release_network(&third);
  xfer_trainer_release(trainer);
  xfer_tensor_release(x);
  xfer_tensor_release(y);
  release_network(&net);
  release_network(&twin);
  free(before);
  free(after);
  free(kept);
  free(later);
  free(loaded);
  free(summed);
  unlink(base);
  unlink(delta);
  unlink(other);
}

static void draws_plans(void) {
  network net = small_network(8, 0);
  size_t length = 0;
  OK(xfer_plan_svg(net.model, NULL, NULL, 0, &length));
  CHECK(length > 500);
  char *text = malloc(length + 1);
  if (!text) abort();
  OK(xfer_plan_svg(net.model, NULL, text, length + 1, &length));
  CHECK(!strncmp(text, "<svg", 4) && strstr(text, "</svg>") && strstr(text, "conv2D") && strstr(text, "FLOP"));
  free(text);
  FAILS(xfer_plan_svg(net.model, "{\"batch_size\":0}", NULL, 0, &length), XFER_E_INVALID_ARGUMENT, "0 was given");
  FAILS(xfer_plan_svg(net.model, "{\"batchsize\":1}", NULL, 0, &length), XFER_E_INVALID_ARGUMENT, "did you mean 'batch_size'?");
  FAILS(xfer_plan_svg(net.model, "{\"training\":true}", NULL, 0, &length), XFER_E_NOT_COMPILED, "compile");
  OK(xfer_layer_set_trainable(net.trunk_layer, 0));
  xfer_trainer *trainer = compiled(net.model, "SGD", 0.1);
  OK(xfer_plan_svg(net.model, "{\"training\":true,\"batch_size\":4,\"show_shapes\":true}", NULL, 0, &length));
  text = malloc(length + 1);
  if (!text) abort();
  OK(xfer_plan_svg(net.model, "{\"training\":true,\"batch_size\":4,\"show_shapes\":true}", text, length + 1, &length));
  CHECK(strstr(text, "run once a sample") && strstr(text, "trained") && strstr(text, "4\303\2276\303\2276\303\2276"));
  free(text);
  xfer_trainer_release(trainer);
  release_network(&net);
}

int main(void) {
  char folder[] = "/tmp/xfer-lora-XXXXXX";
  CHECK(mkdtemp(folder) != NULL);
  adapts_a_layer();
  trains_and_goes_with_a_delta(folder);
  draws_plans();
  CHECK(rmdir(folder) == 0);
  return finish();
}
