/* custom_kernel.c - a function of an existing library as a layer: libm's erf as the activation of a small network,
 * with its derivative, trained to tell two rings of points apart.
 *
 *     cc custom_kernel.c $(pkg-config --cflags --libs xfer) -lm
 */
#include <xfer.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define TRY(call)                                                          \
  do {                                                                     \
    if ((call) != XFER_OK) {                                               \
      fprintf(stderr, "custom_kernel: %s\n", xfer_last_error());           \
      exit(1);                                                             \
    }                                                                      \
  } while (0)

/* d erf(x) / dx = 2/sqrt(pi) exp(-x^2), times the gradient that comes in. */
static double erf_backward(double x, double dy) { return 1.1283791670955126 * exp(-x * x) * dy; }

static xfer_symbol *append(xfer_symbol *before, const char *class_name, const char *config) {
  xfer_layer *layer = NULL;
  xfer_symbol *after = NULL;
  TRY(xfer_layer_create(class_name, config, &layer));
  TRY(xfer_layer_apply(layer, (const xfer_symbol *const *)&before, 1, XFER_TRAINING_DEFAULT, &after));
  xfer_layer_release(layer);
  xfer_symbol_release(before);
  return after;
}

int main(void) {
  /* The library's own function, as it is; ours for the way back. */
  TRY(xfer_kernel_register("erf", "f64(f64)", (xfer_kernel_fn)(double (*)(double))erf, NULL, NULL));
  TRY(xfer_kernel_set_backward("erf", "f64(f64 x, f64 dy)", (xfer_kernel_fn)erf_backward, NULL, NULL));

  enum { points = 200 };
  int64_t x_dims[] = {points, 2}, y_dims[] = {points, 1};
  static float x[points][2], y[points];
  for (int i = 0; i < points; i++) {
    double angle = i * 2.399963, radius = i % 2 ? 1.0 : 0.4;
    x[i][0] = (float)(radius * cos(angle));
    x[i][1] = (float)(radius * sin(angle));
    y[i] = (float)(i % 2);
  }
  xfer_tensor *inputs = NULL, *targets = NULL;
  TRY(xfer_tensor_wrap(XFER_F32, 2, x_dims, x, NULL, NULL, &inputs));
  TRY(xfer_tensor_wrap(XFER_F32, 2, y_dims, y, NULL, NULL, &targets));

  xfer_symbol *input = NULL, *end = NULL;
  TRY(xfer_input_create("{\"shape\":[2]}", &input));
  xfer_layer *first = NULL;
  TRY(xfer_layer_create("Dense", "{\"units\":16}", &first));
  TRY(xfer_layer_apply(first, (const xfer_symbol *const *)&input, 1, XFER_TRAINING_DEFAULT, &end));
  end = append(end, "CustomKernel", "{\"kernel\":\"erf\"}");
  end = append(end, "Dense", "{\"units\":1}");
  xfer_model *model = NULL;
  TRY(xfer_model_create((const xfer_symbol *const *)&input, 1, (const xfer_symbol *const *)&end, 1, "rings", &model));

  xfer_optimizer *adam = NULL;
  xfer_loss *loss = NULL;
  xfer_metric *accuracy = NULL;
  xfer_trainer *trainer = NULL;
  TRY(xfer_optimizer_create("Adam", "{\"learning_rate\":0.02}", &adam));
  TRY(xfer_loss_create("BinaryCrossentropy", "{\"from_logits\":true}", &loss));
  TRY(xfer_metric_create("BinaryAccuracy", "{\"threshold\":0.0}", &accuracy));
  TRY(xfer_model_compile(model, adam, loss, &accuracy, 1, &trainer));

  xfer_fit_options options = {.struct_size = sizeof options, .x = inputs, .y = targets, .epochs = 60};
  xfer_history *history = NULL;
  char before[256], after[256];
  TRY(xfer_trainer_evaluate(trainer, &options, before, sizeof before, NULL));
  TRY(xfer_trainer_fit(trainer, &options, &history));
  TRY(xfer_trainer_evaluate(trainer, &options, after, sizeof after, NULL));
  printf("before %s\nafter  %s\n", before, after);

  xfer_history_release(history);
  xfer_trainer_release(trainer);
  xfer_metric_release(accuracy);
  xfer_loss_release(loss);
  xfer_optimizer_release(adam);
  xfer_model_release(model);
  xfer_layer_release(first);
  xfer_symbol_release(end);
  xfer_symbol_release(input);
  xfer_tensor_release(targets);
  xfer_tensor_release(inputs);
  return 0;
}
