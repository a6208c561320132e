/* Layers, symbols and weights: configs, shapes, trainable flags, wrong arguments. */
#include "check.h"

static void configs(void) {
  xfer_layer *none = NULL;
  FAILS(xfer_layer_create("Conv2D", NULL, &none), XFER_E_INVALID_ARGUMENT, "'filters' is required");
  FAILS(xfer_layer_create("Conv2D", "{\"filters\":4}", &none), XFER_E_INVALID_ARGUMENT, "'kernel_size' is required");
  FAILS(xfer_layer_create("Conv2D", "{\"filters\":4,\"kernelsize\":3,\"kernel_size\":3}", &none), XFER_E_INVALID_ARGUMENT,
        "unknown argument 'kernelsize', did you mean 'kernel_size'?");
  FAILS(xfer_layer_create("Dense", "{\"units\":-4}", &none), XFER_E_INVALID_ARGUMENT, "-4 was given");
  FAILS(xfer_layer_create("Dense", "{\"units\":\"many\"}", &none), XFER_E_INVALID_ARGUMENT, "\"many\" was given");
  FAILS(xfer_layer_create("Dense", "{\"units\":1,\"activation\":\"rellu\"}", &none), XFER_E_INVALID_ARGUMENT, "did you mean 'relu'?");
  FAILS(xfer_layer_create("BatchNormalisation", NULL, &none), XFER_E_NOT_FOUND, "did you mean 'BatchNormalization'?");
  xfer_optimizer *no_optimizer = NULL;
  xfer_loss *no_loss = NULL;
  xfer_metric *no_metric = NULL;
  FAILS(xfer_optimizer_create("Adem", NULL, &no_optimizer), XFER_E_NOT_FOUND, "did you mean 'Adam'?");
  FAILS(xfer_optimizer_create("Adam", "{\"lr\":1}", &no_optimizer), XFER_E_INVALID_ARGUMENT, "'lr'");
  FAILS(xfer_loss_create("BinaryCrossEntropy", NULL, &no_loss), XFER_E_NOT_FOUND, "did you mean 'BinaryCrossentropy'?");
  FAILS(xfer_metric_create("BinaryAcuracy", NULL, &no_metric), XFER_E_NOT_FOUND, "did you mean 'BinaryAccuracy'?");
  CHECK(!none && !no_optimizer && !no_loss && !no_metric);

  /* What a layer says of itself makes it again. */
  xfer_layer *conv = layer("Conv2D", "{\"filters\":4,\"kernel_size\":[3,5],\"padding\":\"same\",\"name\":\"c\",\"trainable\":false}");
  char text[4096], again[8192];
  OK(xfer_layer_config(conv, text, sizeof text, NULL));
  char *begin = strstr(text, "\"config\":");
  CHECK(begin != NULL && strstr(text, "\"class_name\":\"Conv2D\"") != NULL);
  if (begin) {
    snprintf(again, sizeof again, "{\"class_name\":\"Sequential\",\"config\":{\"name\":\"s\",\"layers\":[{\"class_name\":\"InputLayer\",\"config\":"
             "{\"batch_shape\":[null,9,9,3]}},%s]}}", text);
    xfer_model *model = NULL;
    OK(xfer_model_from_json(again, &model));
    xfer_layer *found = NULL;
    OK(xfer_model_get_layer(model, "c", &found));
    OK(xfer_layer_config(found, again, sizeof again, NULL));
    /* A layer that is built says for which shape as well. */
    char *built = strstr(again, "\"build_config\":{\"input_shape\":[null,9,9,3]}");
    CHECK(built != NULL);
    begin[strcspn(begin, "}")] = 0;
    CHECK(strstr(again, begin) != NULL);
    int32_t trainable = 1;
    OK(xfer_layer_get_trainable(found, &trainable));
    CHECK(trainable == 0);
    FAILS(xfer_model_get_layer(model, "d", &found), XFER_E_NOT_FOUND, "'d'");
    xfer_layer_release(found);
    xfer_model_release(model);
  }
  xfer_layer_release(conv);

  char adam[512];
  xfer_optimizer *optimizer = NULL;
  OK(xfer_optimizer_create("Adam", "{\"learning_rate\":0.25}", &optimizer));
  OK(xfer_optimizer_config(optimizer, adam, sizeof adam, NULL));
  CHECK(strstr(adam, "\"class_name\":\"Adam\"") && number_in(adam, "learning_rate") == 0.25 && number_in(adam, "epsilon") == 1e-7);
  double rate = 0;
  OK(xfer_optimizer_set_learning_rate(optimizer, 0.125));
  OK(xfer_optimizer_get_learning_rate(optimizer, &rate));
  CHECK(rate == 0.125);
  FAILS(xfer_optimizer_set_learning_rate(optimizer, -1), XFER_E_INVALID_ARGUMENT, "-1");
  FAILS(xfer_optimizer_set_learning_rate(optimizer, NAN), XFER_E_INVALID_ARGUMENT, "nan");
  OK(xfer_optimizer_get_learning_rate(optimizer, &rate));
  CHECK(rate == 0.125);
  xfer_optimizer_release(optimizer);
}

static void shapes(void) {
  xfer_symbol *none = NULL;
  FAILS(xfer_input_create(NULL, &none), XFER_E_INVALID_ARGUMENT, "'shape' is required");
  FAILS(xfer_input_create("{\"shape\":[8,-1,3]}", &none), XFER_E_SHAPE, "-1");
  FAILS(xfer_input_create("{\"shape\":[8,8,3],\"dtype\":\"float99\"}", &none), XFER_E_DTYPE, "float99");
  FAILS(xfer_input_create("{\"shape\":[4611686018427387904,4611686018427387904,3]}", &none), XFER_E_SHAPE, "4611686018427387904");
  xfer_symbol *in = input("{\"shape\":[8,9,3],\"name\":\"image\"}");
  int32_t rank = 0;
  int64_t dims[8] = {0};
  OK(xfer_symbol_shape(in, &rank, dims));
  CHECK(rank == 4 && dims[0] == -1 && dims[1] == 8 && dims[2] == 9 && dims[3] == 3);
  xfer_layer *conv = layer("Conv2D", "{\"filters\":5,\"kernel_size\":3,\"strides\":2}");
  xfer_symbol *out = apply(conv, in);
  OK(xfer_symbol_shape(out, &rank, dims));
  CHECK(rank == 4 && dims[0] == -1 && dims[1] == 3 && dims[2] == 4 && dims[3] == 5);

  /* Too small for the window, wrong rank, wrong number of inputs, a training argument that is none. */
  xfer_layer *wide = layer("Conv2D", "{\"filters\":5,\"kernel_size\":11}"), *pool = layer("GlobalAveragePooling2D", NULL);
  FAILS(xfer_layer_apply(wide, SYMBOLS(&in), 1, 0, &none), XFER_E_SHAPE, "");
  xfer_symbol *flat = apply(pool, out);
  FAILS(xfer_layer_apply(pool, SYMBOLS(&flat), 1, 0, &none), XFER_E_SHAPE, "batch, height, width, channels");
  FAILS(xfer_layer_apply(conv, SYMBOLS(&flat), 1, 0, &none), XFER_E_SHAPE, "");
  FAILS(xfer_layer_apply(conv, NULL, 0, 0, &none), XFER_E_INVALID_ARGUMENT, "none was given");
  FAILS(xfer_layer_apply(conv, NULL, 1, 0, &none), XFER_E_INVALID_ARGUMENT, "inputs is NULL");
  FAILS(xfer_layer_apply(conv, SYMBOLS(&in), SIZE_MAX, 0, &none), XFER_E_INVALID_ARGUMENT, "too large");
  FAILS(xfer_layer_apply(conv, SYMBOLS(&in), 1, 2, &none), XFER_E_INVALID_ARGUMENT, "2 was given");
  FAILS(xfer_layer_apply(conv, SYMBOLS(&in), 1, 0, NULL), XFER_E_INVALID_ARGUMENT, "symbol is NULL");
  CHECK(none == NULL);

  /* Data of a wrong shape, in a layer and in a model. */
  xfer_model *model = NULL;
  OK(xfer_model_create(SYMBOLS(&in), 1, SYMBOLS(&flat), 1, "m", &model));
  xfer_tensor *wrong = tensor(XFER_F32, 4, 2, 8, 8, 3), *got = NULL;
  FAILS(xfer_model_predict(model, wrong, 0, &got), XFER_E_SHAPE, "[8, 9, 3]");
  FAILS(xfer_model_predict(model, wrong, -1, &got), XFER_E_INVALID_ARGUMENT, "-1 was given");
  xfer_tensor *empty = tensor(XFER_F32, 4, 0, 8, 9, 3);
  FAILS(xfer_model_predict(model, empty, 0, &got), XFER_E_DATA, "no samples");
  CHECK(got == NULL);
  xfer_tensor *right = tensor(XFER_U8, 4, 3, 8, 9, 3);
  OK(xfer_model_predict(model, right, 2, &got));
  CHECK(count_of(got) == 15);

  /* Outputs that do not come from the inputs. */
  xfer_symbol *stranger = input("{\"shape\":[4]}");
  xfer_model *no_model = NULL;
  FAILS(xfer_model_create(SYMBOLS(&stranger), 1, SYMBOLS(&flat), 1, NULL, &no_model), XFER_E_INVALID_ARGUMENT, "image");
  FAILS(xfer_model_create(SYMBOLS(&in), 1, NULL, 0, NULL, &no_model), XFER_E_INVALID_ARGUMENT, "output");
  FAILS(xfer_sequential_create(NULL, 0, NULL, &no_model), XFER_E_INVALID_ARGUMENT, "at least one layer");
  CHECK(no_model == NULL);

  xfer_symbol *symbols[] = {in, out, flat, stranger};
  for (int i = 0; i < 4; i++) xfer_symbol_release(symbols[i]);
  xfer_tensor *tensors[] = {wrong, empty, right, got};
  for (int i = 0; i < 4; i++) xfer_tensor_release(tensors[i]);
  xfer_layer_release(conv);
  xfer_layer_release(wide);
  xfer_layer_release(pool);
  xfer_model_release(model);
}

static void weights(void) {
  xfer_layer *norm = layer("BatchNormalization", NULL);
  size_t count = 99;
  OK(xfer_layer_weight_count(norm, XFER_WEIGHTS_ALL, &count));
  CHECK(count == 0);
  int64_t dims[8] = {-1, 4, 4, 6};
  OK(xfer_layer_build(norm, 4, dims));
  const int32_t which[] = {XFER_WEIGHTS_ALL, XFER_WEIGHTS_TRAINABLE, XFER_WEIGHTS_NON_TRAINABLE};
  const size_t wanted[] = {4, 2, 2};
  for (int i = 0; i < 3; i++) {
    OK(xfer_layer_weight_count(norm, which[i], &count));
    CHECK(count == wanted[i]);
  }
  OK(xfer_layer_set_trainable(norm, 0));
  OK(xfer_layer_weight_count(norm, XFER_WEIGHTS_TRAINABLE, &count));
  CHECK(count == 0);
  FAILS(xfer_layer_set_trainable(norm, 2), XFER_E_INVALID_ARGUMENT, "2 was given");
  FAILS(xfer_layer_weight_count(norm, 7, &count), XFER_E_INVALID_ARGUMENT, "7 was given");
  OK(xfer_layer_set_trainable(norm, 1));

  xfer_weight *gamma = NULL, *twin = NULL, *mean = NULL, *none = NULL;
  OK(xfer_layer_weight(norm, XFER_WEIGHTS_ALL, 0, &gamma));
  OK(xfer_layer_weight(norm, XFER_WEIGHTS_TRAINABLE, 0, &twin));
  OK(xfer_layer_weight(norm, XFER_WEIGHTS_NON_TRAINABLE, 0, &mean));
  FAILS(xfer_layer_weight(norm, XFER_WEIGHTS_ALL, 4, &none), XFER_E_INVALID_ARGUMENT, "there are 4 weights");
  FAILS(xfer_layer_weight(norm, XFER_WEIGHTS_ALL, SIZE_MAX, &none), XFER_E_INVALID_ARGUMENT, "there are 4 weights");
  uint64_t a = 0, b = 0, c = 0;
  OK(xfer_weight_id(gamma, &a));
  OK(xfer_weight_id(twin, &b));
  OK(xfer_weight_id(mean, &c));
  CHECK(gamma != twin && a == b && a != c);
  char path[64];
  OK(xfer_weight_path(gamma, path, sizeof path, NULL));
  CHECK(strstr(path, "batch_normalization") == path && strstr(path, "/gamma"));
  int32_t rank = 0, trainable = 9;
  OK(xfer_weight_shape(gamma, &rank, dims));
  CHECK(rank == 1 && dims[0] == 6);
  OK(xfer_weight_trainable(mean, &trainable));
  CHECK(trainable == 0);
  OK(xfer_weight_trainable(gamma, &trainable));
  CHECK(trainable == 1);

  /* Reading copies, assigning copies, other shapes are refused. */
  xfer_tensor *read = NULL, *six = tensor(XFER_F64, 1, 6, 1, 1, 1), *five = tensor(XFER_F32, 1, 5, 1, 1, 1);
  ((double *)data_of(six))[5] = 2.5;
  OK(xfer_weight_assign(gamma, six));
  FAILS(xfer_weight_assign(gamma, five), XFER_E_SHAPE, "[6]");
  OK(xfer_weight_read(twin, &read));
  CHECK(((float *)data_of(read))[5] == 2.5f && ((float *)data_of(read))[0] == 0.0f);
  ((float *)data_of(read))[0] = 9;
  xfer_tensor *again = NULL;
  OK(xfer_weight_read(twin, &again));
  CHECK(((float *)data_of(again))[0] == 0.0f);

  /* Setting recurses; a model lists its layers, inputs included, others none. */
  network net = small_network(8, XFER_TRAINING_FALSE);
  xfer_layer *whole = NULL, *sub = NULL;
  OK(xfer_model_as_layer(net.model, &whole));
  OK(xfer_layer_sublayer_count(whole, &count));
  CHECK(count == 4);
  OK(xfer_layer_sublayer(whole, 1, &sub));
  char name[32];
  OK(xfer_layer_name(sub, name, sizeof name, NULL));
  CHECK(strcmp(name, "trunk") == 0);
  FAILS(xfer_layer_sublayer(whole, 4, &sub), XFER_E_INVALID_ARGUMENT, "there are 4");
  OK(xfer_layer_sublayer_count(net.head, &count));
  CHECK(count == 0);
  OK(xfer_layer_weight_count(whole, XFER_WEIGHTS_TRAINABLE, &count));
  CHECK(count == 5);
  OK(xfer_layer_set_trainable(net.trunk_layer, 0));
  OK(xfer_layer_weight_count(whole, XFER_WEIGHTS_TRAINABLE, &count));
  CHECK(count == 2);
  OK(xfer_layer_get_trainable(sub, &trainable));
  CHECK(trainable == 0);

  xfer_layer_release(whole);
  xfer_layer_release(sub);
  release_network(&net);
  xfer_tensor *tensors[] = {read, six, five, again};
  for (int i = 0; i < 4; i++) xfer_tensor_release(tensors[i]);
  xfer_weight *handles[] = {gamma, twin, mean};
  for (int i = 0; i < 3; i++) xfer_weight_release(handles[i]);
  xfer_layer_release(norm);
}

/* A model between the symbols of another one shares its layers; models found inside are models. */
static void symbols_of_models(void) {
  network net = small_network(8, XFER_TRAINING_DEFAULT);
  xfer_layer *whole = NULL, *inner = NULL, *norm = NULL, *twin = NULL;
  OK(xfer_model_as_layer(net.model, &whole));
  OK(xfer_layer_sublayer(whole, 1, &inner));
  uint64_t a = 0, b = 0, c = 0;
  OK(xfer_layer_id(inner, &a));
  OK(xfer_layer_id(net.trunk_layer, &b));
  OK(xfer_layer_id(whole, &c));
  CHECK(a == b && a != c && a != 0);

  xfer_model *found = NULL, *none = NULL, *cut = NULL;
  OK(xfer_layer_as_model(inner, &found));
  FAILS(xfer_layer_as_model(net.head, &none), XFER_E_UNSUPPORTED, "Dense");
  OK(xfer_layer_sublayer(inner, 2, &norm));

  size_t count = 0;
  xfer_symbol *in = NULL, *middle = NULL, *before = NULL, *out = NULL, *stray = NULL;
  OK(xfer_model_symbols(found, NULL, 0, NULL, 0, &count));
  CHECK(count == 1);
  OK(xfer_model_symbols(found, NULL, 0, &in, 1, &count));
  OK(xfer_model_symbols(found, NULL, 1, &out, 1, NULL));
  OK(xfer_model_symbols(found, norm, 1, &middle, 1, NULL));
  OK(xfer_model_symbols(found, norm, 0, &before, 1, NULL));
  FAILS(xfer_model_symbols(found, net.head, 1, &stray, 1, NULL), XFER_E_NOT_FOUND, "does not call");
  FAILS(xfer_model_symbols(found, norm, 2, &stray, 1, NULL), XFER_E_INVALID_ARGUMENT, "2 was given");
  FAILS(xfer_model_symbols(found, norm, 1, &stray, 0, NULL), XFER_E_INVALID_ARGUMENT, "there are 1 outputs");
  CHECK(stray == NULL);
  OK(xfer_model_create(SYMBOLS(&in), 1, SYMBOLS(&middle), 1, NULL, &cut));
  xfer_layer *cut_layer = NULL;
  OK(xfer_model_as_layer(cut, &cut_layer));
  OK(xfer_layer_sublayer_count(cut_layer, &count));
  CHECK(count == 3);
  OK(xfer_layer_sublayer(cut_layer, 2, &twin));
  OK(xfer_layer_id(twin, &a));
  OK(xfer_layer_id(norm, &b));
  CHECK(a == b);

  /* Values that may be changed are, at once; others are refused by name. */
  xfer_layer *dropout = layer("Dropout", "{\"rate\":0.5}");
  xfer_tensor *x = tensor(XFER_F32, 2, 4, 64, 1, 1), *y = NULL;
  for (int i = 0; i < 256; i++) ((float *)data_of(x))[i] = 1;
  OK(xfer_layer_call(dropout, &x, 1, 1, NULL, &y));
  int kept = 0;
  for (int i = 0; i < 256; i++) kept += ((float *)data_of(y))[i] != 0;
  CHECK(kept > 64 && kept < 192);
  xfer_tensor_release(y);
  OK(xfer_layer_set(dropout, "{\"rate\":0}"));
  OK(xfer_layer_call(dropout, &x, 1, 1, NULL, &y));
  for (int i = 0; i < 256; i++) CHECK(((float *)data_of(y))[i] == 1);
  FAILS(xfer_layer_set(dropout, "{\"rate\":1.5}"), XFER_E_INVALID_ARGUMENT, "1.5");
  FAILS(xfer_layer_set(dropout, "{\"seed\":1}"), XFER_E_UNSUPPORTED, "'seed' of a Dropout is fixed");
  FAILS(xfer_layer_set(dropout, "[]"), XFER_E_INVALID_ARGUMENT, "JSON object");
  OK(xfer_layer_set(norm, "{\"momentum\":0.5,\"epsilon\":0.25}"));
  char text[2048];
  OK(xfer_layer_config(norm, text, sizeof text, NULL));
  CHECK(strstr(text, "\"momentum\":0.5") && strstr(text, "\"epsilon\":0.25"));

  OK(xfer_layer_set(net.head, "{\"activation\":\"sigmoid\"}"));
  FAILS(xfer_layer_set(net.head, "{\"activation\":\"sigmoud\"}"), XFER_E_INVALID_ARGUMENT, "'sigmoid'");
  OK(xfer_layer_config(net.head, text, sizeof text, NULL));
  CHECK(strstr(text, "\"activation\":\"sigmoid\""));
  FAILS(xfer_layer_set(net.head, "{\"units\":2}"), XFER_E_UNSUPPORTED, "'units' of a Dense is fixed");

  char table[8192];
  OK(xfer_model_summary_with(net.model, "{\"expand_nested\":true,\"layers\":[1,2]}", table, sizeof table, NULL));
  CHECK(strstr(table, "trunk (Functional)") && strstr(table, "└ batch_normalization") && !strstr(table, "(Dense)"));
  OK(xfer_model_summary_with(net.model, NULL, table, sizeof table, NULL));
  CHECK(strstr(table, "(Dense)") && !strstr(table, "└ batch"));
  FAILS(xfer_model_summary_with(net.model, "{\"layers\":[2,1]}", table, sizeof table, NULL), XFER_E_INVALID_ARGUMENT, "[2, 1]");
  FAILS(xfer_model_summary_with(net.model, "{\"width\":-1}", table, sizeof table, NULL), XFER_E_INVALID_ARGUMENT, "-1");
  FAILS(xfer_model_summary_with(net.model, "{\"nested\":true}", table, sizeof table, NULL), XFER_E_INVALID_ARGUMENT, "'nested'");

  xfer_symbol *symbols[] = {in, middle, before, out};
  for (int i = 0; i < 4; i++) xfer_symbol_release(symbols[i]);
  xfer_layer *layers[] = {whole, inner, norm, twin, cut_layer, dropout};
  for (int i = 0; i < 6; i++) xfer_layer_release(layers[i]);
  xfer_tensor_release(x);
  xfer_tensor_release(y);
  xfer_model_release(found);
  xfer_model_release(cut);
  release_network(&net);
}

int main(void) {
  symbols_of_models();
  configs();
  shapes();
  weights();
  return finish();
}
