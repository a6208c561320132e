/* Every layer class with sizes no layer has, on shapes no layer wants: an answer or an error, and never the end of the process. */
#include "check.h"

static const char *const layers[][2] = {
  {"Activation", "{\"activation\":\"softmax\"}"},
  {"Add", ""},
  {"AveragePooling2D", ""},
  {"AveragePooling2D", "{\"pool_size\":HUGE}"},
  {"AveragePooling2D", "{\"pool_size\":3,\"padding\":\"same\",\"strides\":HUGE}"},
  {"BatchNormalization", ""},
  {"BatchNormalization", "{\"axis\":1}"},
  {"ChannelReorder", "{\"order\":[2,1,0]}"},
  {"ChannelReorder", "{\"order\":[HUGE,-1,0]}"},
  {"Concatenate", ""},
  {"Concatenate", "{\"axis\":HUGE}"},
  {"Concatenate", "{\"axis\":-HUGE}"},
  {"Conv2D", "{\"filters\":2,\"kernel_size\":3}"},
  {"Conv2D", "{\"filters\":HUGE,\"kernel_size\":1}"},
  {"Conv2D", "{\"filters\":2,\"kernel_size\":HUGE}"},
  {"Conv2D", "{\"filters\":2,\"kernel_size\":1,\"strides\":HUGE}"},
  {"Conv2D", "{\"filters\":2,\"kernel_size\":3,\"padding\":\"same\",\"dilation_rate\":HUGE}"},
  {"Conv2D", "{\"filters\":3,\"kernel_size\":1,\"groups\":HUGE}"},
  {"Dense", "{\"units\":2}"},
  {"Dense", "{\"units\":HUGE}"},
  {"DepthwiseConv2D", "{\"kernel_size\":3}"},
  {"DepthwiseConv2D", "{\"kernel_size\":1,\"depth_multiplier\":HUGE}"},
  {"Dropout", "{\"rate\":0.5}"},
  {"Dropout", "{\"rate\":1}"},
  {"Dropout", "{\"rate\":0.5,\"seed\":-HUGE}"},
  {"Flatten", ""},
  {"GlobalAveragePooling2D", "{\"keepdims\":true}"},
  {"MaxPooling2D", "{\"pool_size\":100,\"padding\":\"same\"}"},
  {"ReLU", "{\"max_value\":6}"},
  {"Rescaling", "{\"scale\":1e300}"},
  {"Rescaling", "{\"scale\":[1,2,3]}"},
  {"SeparableConv2D", "{\"filters\":2,\"kernel_size\":1,\"depth_multiplier\":HUGE}"},
  {"Softmax", "{\"axis\":HUGE}"},
  {"Softmax", "{\"axis\":-HUGE}"},
  {"ZeroPadding2D", "{\"padding\":HUGE}"},
  {"ZeroPadding2D", "{\"padding\":[[0,HUGE],[1,1]]}"},
};

static const char *const sizes[] = {"4611686018427387904", "9223372036854775807", "1099511627776", "1024"};

static const char *const symbols[] = {
  "[8,8,3]", "[1,1,3]", "[3]", "[]", "[8,8]", "[2,8,8,3]", "[1,1,1,1,1,1,1]", "[1,1,1,1,1,1,1,1]", "[1099511627776,1024,3]", "[2147483648,1]"};

static const struct {
  int32_t rank;
  int64_t dims[8];
} shapes[] = {{4, {2, 8, 8, 3}}, {4, {0, 8, 8, 3}}, {4, {2, 0, 8, 3}}, {4, {2, 8, 8, 0}}, {2, {2, 3}},
              {2, {0, 3}},       {1, {3}},          {0, {0}},          {1, {0}},          {5, {2, 2, 8, 8, 3}},
              {8, {1, 1, 1, 1, 1, 1, 1, 1}}};

/* The config with a size in place of each HUGE. */
static void fill(char *to, size_t room, const char *config, const char *size) {
  *to = 0;
  for (const char *found; (found = strstr(config, "HUGE")); config = found + 4) {
    snprintf(to + strlen(to), room - strlen(to), "%.*s%s", (int)(found - config), config, size);
  }
  snprintf(to + strlen(to), room - strlen(to), "%s", config);
}

static int answered(xfer_status status, const void *out) {
  return status == XFER_OK ? out != NULL : status != XFER_E_INTERNAL && out == NULL && *xfer_last_error();
}

int main(void) {
  for (size_t l = 0; l < sizeof layers / sizeof *layers; l++) {
    size_t variants = strstr(layers[l][1], "HUGE") ? sizeof sizes / sizeof *sizes : 1;
    for (size_t v = 0; v < variants; v++) {
      char config[256];
      fill(config, sizeof config, layers[l][1], sizes[v]);
      for (size_t s = 0; s < sizeof symbols / sizeof *symbols; s++) {
        char shape[128];
        snprintf(shape, sizeof shape, "{\"shape\":%s}", symbols[s]);
        xfer_symbol *in = NULL, *out = NULL;
        xfer_layer *made = NULL;
        xfer_status status = xfer_input_create(shape, &in);
        CHECK(answered(status, in));
        status = xfer_layer_create(layers[l][0], config, &made);
        CHECK(answered(status, made));
        for (size_t count = 1; in && made && count <= 2; count++) {
          const xfer_symbol *both[2] = {in, in};
          status = xfer_layer_apply(made, both, count, XFER_TRAINING_DEFAULT, &out);
          CHECK(answered(status, out));
          xfer_symbol_release(out);
          out = NULL;
        }
        xfer_symbol_release(in);
        xfer_layer_release(made);
      }
      for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        for (int mode = 0; mode < 8; mode++) {
          xfer_layer *made = NULL;
          xfer_tensor *in = NULL, *out = NULL;
          xfer_tape *tape = NULL;
          if (mode & 1) OK(xfer_tape_create(&tape));
          OK(xfer_tensor_create(XFER_F32, shapes[s].rank, shapes[s].dims, NULL, &in));
          if (xfer_layer_create(layers[l][0], config, &made) == XFER_OK) {
            xfer_tensor *both[2] = {in, in};
            xfer_status status = xfer_layer_call(made, both, mode & 2 ? 2 : 1, mode & 4 ? 1 : 0, tape, &out);
            CHECK(answered(status, out));
          }
          xfer_tape_release(tape);
          xfer_tensor_release(in);
          xfer_tensor_release(out);
          xfer_layer_release(made);
        }
      }
    }
  }

  /* Losses and metrics on shapes that do not go together. */
  for (size_t t = 0; t < sizeof shapes / sizeof *shapes; t++) {
    for (size_t p = 0; p < sizeof shapes / sizeof *shapes; p++) {
      xfer_tensor *truth = NULL, *prediction = NULL;
      OK(xfer_tensor_create(t % 2 ? XFER_I32 : XFER_F32, shapes[t].rank, shapes[t].dims, NULL, &truth));
      OK(xfer_tensor_create(XFER_F32, shapes[p].rank, shapes[p].dims, NULL, &prediction));
      static const char *const losses[] = {"BinaryCrossentropy", "SparseCategoricalCrossentropy", "MeanSquaredError", "Hinge"};
      static const char *const metrics[] = {
        "BinaryAccuracy", "SparseCategoricalAccuracy", "accuracy", "CategoricalAccuracy", "TopKCategoricalAccuracy", "AUC", "Precision",
        "F1Score", "R2Score", "BinaryIoU", "PearsonCorrelation", "MeanSquaredError", "CategoricalCrossentropy"};
      for (int i = 0; i < 6; i++) {
        xfer_loss *loss = NULL;
        xfer_tensor *value = NULL;
        OK(xfer_loss_create(losses[i % 4], i / 4 ? "{\"from_logits\":true}" : NULL, &loss));
        xfer_status status = xfer_loss_call(loss, truth, prediction, NULL, NULL, &value);
        CHECK(answered(status, value));
        xfer_tensor_release(value);
        value = NULL;
        status = xfer_loss_call(loss, truth, prediction, truth, NULL, &value);
        CHECK(answered(status, value));
        xfer_tensor_release(value);
        xfer_loss_release(loss);
      }
      for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++) {
        xfer_metric *metric = NULL;
        double value = 0;
        OK(xfer_metric_create(metrics[i], NULL, &metric));
        xfer_status status = xfer_metric_update(metric, truth, prediction, NULL);
        CHECK(status == XFER_OK || *xfer_last_error());
        status = xfer_metric_update(metric, truth, prediction, prediction);
        CHECK(status == XFER_OK || *xfer_last_error());
        OK(xfer_metric_result(metric, &value));
        xfer_metric_release(metric);
      }
      xfer_tensor_release(truth);
      xfer_tensor_release(prediction);
    }
  }
  return finish();
}
