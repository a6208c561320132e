/* Transfer learning from a folder of images: freeze a pretrained base, train a new head, unfreeze, fine-tune.
 *
 *     cc -std=c11 transfer.c -o transfer $(pkg-config --cflags --libs xfer)
 *     ./transfer --data train/ --val val/ --base efficientnet-lite0:lite0.safetensors --epochs 8
 *
 * Each epoch prints one line with fixed digits; the same seed and backend give the same lines with --loop fit and --loop custom. */
#include <xfer.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Errors and ownership: one struct owns every handle of the program, so that a failing call can return at once. main then says
 * why and releases what there is: NULL is fine to release. */

#define TRY(call) do { xfer_status status_ = (call); if (status_ != XFER_OK) return status_; } while (0)

/* Why the program itself gave up; empty where xfer_last_error() knows. */
static char complaint[1000];
#define FAIL(status, ...) (snprintf(complaint, sizeof complaint, __VA_ARGS__), (status))

/* Long enough for a path or the names of a thousand classes. */
typedef char text[1 << 16];
#define FORMAT(buffer, ...) \
  (snprintf(buffer, sizeof buffer, __VA_ARGS__) < (int)sizeof buffer ? XFER_OK : FAIL(XFER_E_INVALID_ARGUMENT, "names are too long"))

typedef struct {
  const char *data, *val, *base, *backend, *loop, *out;
  long long size[2], epochs, fine_tune_epochs, batch_size, seed, threads;
  double learning_rate, fine_tune_rate;
} options;

/* Weights, and a tensor for each or NULL: its gradient, or what it held. */
typedef struct {
  size_t count;
  xfer_weight **weights;
  xfer_tensor **tensors;
} weight_list;

typedef struct {
  options options;
  text classes; /* a JSON list */
  int class_count;
  xfer_dataset *train, *validation;
  xfer_symbol *pixels, *features, *means, *logits;
  xfer_model *base_model, *model;
  xfer_layer *base, *pool, *dense, *whole; /* base and whole: the two models as layers */
  xfer_loss *loss_function;
  xfer_metric *accuracy;
  weight_list before;
  /* Of one phase of training: */
  xfer_optimizer *optimizer;
  xfer_trainer *trainer;
  xfer_history *history;
  weight_list trained;
  /* Of one batch: */
  xfer_tape *tape;
  xfer_tensor *x, *y, *predictions, *loss, *now;
} job;

static void release_tensors(weight_list *list) {
  for (size_t i = 0; list->tensors && i < list->count; i++) xfer_tensor_release(list->tensors[i]), list->tensors[i] = NULL;
}

static void release_weights(weight_list *list) {
  release_tensors(list);
  for (size_t i = 0; list->weights && i < list->count; i++) xfer_weight_release(list->weights[i]);
  free(list->weights), free(list->tensors);
  *list = (weight_list){0};
}

static void release_batch(job *j) {
  release_tensors(&j->trained);
  xfer_tensor_release(j->x), xfer_tensor_release(j->y), xfer_tensor_release(j->predictions), xfer_tensor_release(j->loss);
  xfer_tensor_release(j->now), xfer_tape_release(j->tape);
  j->x = j->y = j->predictions = j->loss = j->now = NULL, j->tape = NULL;
}

static void release_phase(job *j) {
  release_batch(j), release_weights(&j->trained);
  xfer_history_release(j->history), xfer_trainer_release(j->trainer), xfer_optimizer_release(j->optimizer);
  j->history = NULL, j->trainer = NULL, j->optimizer = NULL;
}

static void release_all(job *j) {
  release_phase(j), release_weights(&j->before);
  xfer_metric_release(j->accuracy), xfer_loss_release(j->loss_function);
  xfer_layer_release(j->base), xfer_layer_release(j->pool), xfer_layer_release(j->dense), xfer_layer_release(j->whole);
  xfer_model_release(j->base_model), xfer_model_release(j->model);
  xfer_symbol_release(j->pixels), xfer_symbol_release(j->features), xfer_symbol_release(j->means), xfer_symbol_release(j->logits);
  xfer_dataset_release(j->train), xfer_dataset_release(j->validation);
}

/* ---- JSON: configs go to Xfer as JSON, facts come back as JSON without spaces. */

/* Where the value of "name" begins, or NULL. Quotes within strings are escaped, so that no string passes for a name. */
static const char *json_value(const char *json, const char *name) {
  char key[32];
  snprintf(key, sizeof key, "\"%s\":", name);
  const char *found = strstr(json, key);
  return found ? found + strlen(key) : NULL;
}

static double json_number(const char *json, const char *name) {
  const char *value = json_value(json, name);
  return value && strncmp(value, "null", 4) ? strtod(value, NULL) : NAN;
}

/* The length of a list of strings, and how many there are. */
static int json_list(const char *value, int *count) {
  int length = 0, inside = 0;
  for (*count = 0; value[length] && (inside || value[length] != ']'); length++) {
    if (inside && value[length] == '\\' && value[length + 1]) length++;
    else if (value[length] == '"') *count += inside = !inside;
  }
  return length + 1;
}

static xfer_status json_string(const char *string, text json) {
  size_t used = 0;
  for (json[used++] = '"'; *string; string++) {
    if (used + 8 > sizeof(text)) return FAIL(XFER_E_INVALID_ARGUMENT, "a path is too long");
    int plain = *string != '"' && *string != '\\' && (unsigned char)*string >= 0x20;
    used += (size_t)sprintf(json + used, plain ? "%c" : "\\u%04x", (unsigned char)*string);
  }
  memcpy(json + used, "\"", 2);
  return XFER_OK;
}

/* ---- The command line: the flags of the Swift and Python examples. */

static xfer_status parse(options *o, char **arguments) {
  enum kind { TEXT, WHOLE, SIZE, RATE };
  const struct { const char *name, *value, *help; enum kind kind; void *place; } flags[] = {
      {"--data", "DIR", "training images, one folder a class", TEXT, &o->data},
      {"--val", "DIR", "validation images; without it a fifth of --data is set aside", TEXT, &o->val},
      {"--base", "NAME:WEIGHTS", "xception, efficientnet-lite0 or squeezenet, a colon and a weights file", TEXT, &o->base},
      {"--image-size", "HxW", "one number or two; 224", SIZE, o->size},
      {"--epochs", "N", "of the head; 8", WHOLE, &o->epochs},
      {"--fine-tune-epochs", "N", "of everything; 2", WHOLE, &o->fine_tune_epochs},
      {"--learning-rate", "RATE", "1e-3", RATE, &o->learning_rate},
      {"--fine-tune-rate", "RATE", "1e-5", RATE, &o->fine_tune_rate},
      {"--batch-size", "N", "32", WHOLE, &o->batch_size},
      {"--seed", "N", "0", WHOLE, &o->seed},
      {"--backend", "NAME", "auto, naive, simd, blas or a plugin's name", TEXT, &o->backend},
      {"--threads", "N", "0: all cores", WHOLE, &o->threads},
      {"--loop", "fit|custom", "compile and fit, or a tape", TEXT, &o->loop},
      {"--out", "FILE", "where to save the model (.keras)", TEXT, &o->out},
  };
  const size_t count = sizeof flags / sizeof *flags;
  for (; *arguments; arguments += 2) {
    const char *name = arguments[0], *value = arguments[1];
    if (!strcmp(name, "--help") || !strcmp(name, "-h")) {
      puts("Transfer learning from a folder of images: freeze a pretrained base, train a new head, unfreeze, fine-tune.\n");
      for (size_t i = 0; i < count; i++) printf("  %s %-*s%s\n", flags[i].name, 23 - (int)strlen(flags[i].name), flags[i].value, flags[i].help);
      exit(0);
    }
    size_t i = 0;
    while (i < count && strcmp(name, flags[i].name)) i++;
    if (i == count || !value) return FAIL(XFER_E_INVALID_ARGUMENT, "%s: unknown or without a value: see --help", name);
    char *rest = "";
    long long *whole = flags[i].place;
    if (flags[i].kind == TEXT) *(const char **)flags[i].place = value;
    else if (flags[i].kind == RATE) *(double *)flags[i].place = strtod(value, &rest);
    else whole[0] = strtoll(value, &rest, 10);
    if (flags[i].kind == SIZE) whole[1] = *rest == 'x' ? strtoll(rest + 1, &rest, 10) : whole[0];
    int outside = flags[i].kind == WHOLE && (*whole < 0 || *whole > (whole == &o->seed ? UINT32_MAX : INT32_MAX));
    if (*rest || rest == value || outside) return FAIL(XFER_E_INVALID_ARGUMENT, "%s %s: see --help", name, value);
  }
  if (strcmp(o->loop, "fit") && strcmp(o->loop, "custom")) return FAIL(XFER_E_INVALID_ARGUMENT, "--loop %s: see --help", o->loop);
  return *o->data && *o->base ? XFER_OK : FAIL(XFER_E_INVALID_ARGUMENT, "--data and --base are wanted: see --help");
}

/* ---- Data: training batches are shuffled anew every epoch, by the seed. */

static xfer_status open_data(job *j) {
  const options *o = &j->options;
  text common, config, info;
  TRY(FORMAT(common, "\"image_size\":[%lld,%lld],\"batch_size\":%lld,\"seed\":%lld", o->size[0], o->size[1], o->batch_size, o->seed));
  TRY(FORMAT(config, "{%s%s}", common, o->val ? "" : ",\"validation_split\":0.2,\"subset\":\"training\""));
  TRY(xfer_image_folder_open(o->data, config, &j->train));

  TRY(xfer_dataset_info(j->train, info, sizeof info, NULL));
  const char *names = json_value(info, "class_names");
  TRY(FORMAT(j->classes, "%.*s", json_list(names, &j->class_count), names));
  TRY(FORMAT(config, "{%s,\"class_names\":%s%s}", common, j->classes,
             o->val ? ",\"shuffle\":false" : ",\"validation_split\":0.2,\"subset\":\"validation\""));
  return xfer_image_folder_open(o->val ? o->val : o->data, config, &j->validation);
}

/* ---- The network: pixels, preprocessing, the base in inference mode for good, the mean over the image, one logit a class. */

#define SYMBOL(symbol) ((const xfer_symbol *const *)&(symbol))

static xfer_status build(job *j) {
  const options *o = &j->options;
  const char *colon = strchr(o->base, ':');
  text name, weights = "null", config;
  TRY(FORMAT(name, "%.*s", (int)strcspn(o->base, ":"), o->base));
  if (colon && colon[1]) TRY(json_string(colon + 1, weights));
  TRY(FORMAT(config, "{\"weights\":%s,\"include_top\":false,\"preprocessing\":true,\"input_shape\":[%lld,%lld,3]}", weights, o->size[0], o->size[1]));
  TRY(xfer_application_create(name, config, &j->base_model));
  TRY(xfer_model_as_layer(j->base_model, &j->base));
  TRY(xfer_layer_set_trainable(j->base, 0));

  TRY(FORMAT(config, "{\"shape\":[%lld,%lld,3]}", o->size[0], o->size[1]));
  TRY(xfer_input_create(config, &j->pixels));
  TRY(xfer_layer_apply(j->base, SYMBOL(j->pixels), 1, XFER_TRAINING_FALSE, &j->features));
  TRY(xfer_layer_create("GlobalAveragePooling2D", NULL, &j->pool));
  TRY(xfer_layer_apply(j->pool, SYMBOL(j->features), 1, XFER_TRAINING_DEFAULT, &j->means));
  TRY(FORMAT(config, "{\"units\":%d}", j->class_count));
  TRY(xfer_layer_create("Dense", config, &j->dense));
  TRY(xfer_layer_apply(j->dense, SYMBOL(j->means), 1, XFER_TRAINING_DEFAULT, &j->logits));
  TRY(xfer_model_create(SYMBOL(j->pixels), 1, SYMBOL(j->logits), 1, NULL, &j->model));
  TRY(xfer_model_as_layer(j->model, &j->whole));
  TRY(FORMAT(config, "{\"class_names\":%s}", j->classes));
  TRY(xfer_model_set_metadata(j->model, config));
  TRY(xfer_loss_create("SparseCategoricalCrossentropy", "{\"from_logits\":true}", &j->loss_function));
  return xfer_metric_create("SparseCategoricalAccuracy", "{\"name\":\"accuracy\"}", &j->accuracy);
}

/* ---- Frozen means not one bit. */

static xfer_status list_weights(const xfer_layer *layer, int32_t which, weight_list *list) {
  TRY(xfer_layer_weight_count(layer, which, &list->count));
  list->weights = calloc(list->count + 1, sizeof *list->weights);
  list->tensors = calloc(list->count + 1, sizeof *list->tensors);
  if (!list->weights || !list->tensors) return FAIL(XFER_E_OUT_OF_MEMORY, "out of memory");
  for (size_t i = 0; i < list->count; i++) TRY(xfer_layer_weight(layer, which, i, &list->weights[i]));
  return XFER_OK;
}

/* Fails where a weight that is not trained now holds other numbers than before; counts those that are not trained. */
static xfer_status check_frozen(job *j, const char *trouble, size_t *count) {
  for (size_t i = *count = 0; i < j->before.count; i++) {
    int32_t trained, rank;
    int64_t dims[8];
    void *now, *before;
    char path[200];
    TRY(xfer_weight_trainable(j->before.weights[i], &trained));
    if (trained) continue;
    TRY(xfer_weight_path(j->before.weights[i], path, sizeof path, NULL));
    TRY(xfer_weight_read(j->before.weights[i], &j->now));
    TRY(xfer_tensor_describe(j->now, NULL, &rank, dims, &now));
    TRY(xfer_tensor_describe(j->before.tensors[i], NULL, NULL, NULL, &before));
    size_t bytes = sizeof(float);
    while (rank > 0) bytes *= (size_t)dims[--rank];
    if (memcmp(now, before, bytes)) return FAIL(XFER_E_STATE, "%s: %s", trouble, path);
    release_batch(j);
    ++*count;
  }
  return XFER_OK;
}

/* ---- Training: Keras' own loop, or the same with a loop of one's own. */

static void report(int64_t epoch, double loss, double accuracy, double val_loss, double val_accuracy) {
  printf("epoch %d loss %.6f accuracy %.4f val_loss %.6f val_accuracy %.4f\n", (int)epoch + 1, loss, accuracy, val_loss, val_accuracy);
  fflush(stdout); /* the line is to appear now, also in a pipe */
}

static int32_t on_event(void *user, int32_t event, int64_t epoch, int64_t batch, const char *logs) {
  (void)user, (void)batch;
  if (event == XFER_EVENT_EPOCH_END)
    report(epoch, json_number(logs, "loss"), json_number(logs, "accuracy"), json_number(logs, "val_loss"), json_number(logs, "val_accuracy"));
  return 0;
}

/* All batches of an epoch: mean loss and accuracy. In training each is a step. */
static xfer_status pass(job *j, xfer_dataset *data, int64_t epoch, int training, double *loss, double *accuracy) {
  double sum = 0, count = 0;
  TRY(xfer_metric_reset(j->accuracy));
  TRY(xfer_dataset_restart(data, epoch));
  for (;; release_batch(j)) {
    int64_t dims[8];
    void *value;
    TRY(xfer_dataset_next(data, &j->x, &j->y));
    if (!j->x) break;
    if (training) TRY(xfer_tape_create(&j->tape));
    TRY(xfer_layer_call(j->whole, &j->x, 1, training ? XFER_TRAINING_TRUE : XFER_TRAINING_DEFAULT, j->tape, &j->predictions));
    TRY(xfer_loss_call(j->loss_function, j->y, j->predictions, NULL, j->tape, &j->loss));
    if (training) {
      TRY(xfer_tape_gradient(j->tape, j->loss, j->trained.weights, j->trained.count, j->trained.tensors));
      TRY(xfer_optimizer_apply(j->optimizer, j->trained.tensors, j->trained.weights, j->trained.count));
    }
    TRY(xfer_metric_update(j->accuracy, j->y, j->predictions, NULL));
    TRY(xfer_tensor_describe(j->x, NULL, NULL, dims, NULL));
    TRY(xfer_tensor_describe(j->loss, NULL, NULL, NULL, &value));
    sum += (double)*(float *)value * (double)dims[0];
    count += (double)dims[0];
  }
  *loss = sum / count;
  return xfer_metric_result(j->accuracy, accuracy);
}

static xfer_status train_by_hand(job *j, long long epochs) {
  for (int64_t epoch = 0; epoch < epochs; epoch++) {
    double loss, accuracy, val_loss, val_accuracy;
    TRY(pass(j, j->train, epoch, 1, &loss, &accuracy));
    TRY(pass(j, j->validation, 0, 0, &val_loss, &val_accuracy));
    report(epoch, loss, accuracy, val_loss, val_accuracy);
  }
  return XFER_OK;
}

static xfer_status train(job *j, const char *phase, long long epochs, double rate) {
  char config[64];
  size_t count;
  release_phase(j);
  TRY(list_weights(j->whole, XFER_WEIGHTS_TRAINABLE, &j->trained));
  TRY(xfer_layer_weight_count(j->whole, XFER_WEIGHTS_ALL, &count));
  printf("%s: %zu of %zu weights are trained\n", phase, j->trained.count, count);
  TRY(FORMAT(config, "{\"learning_rate\":%.17g}", rate));
  TRY(xfer_optimizer_create("Adam", config, &j->optimizer));
  if (!strcmp(j->options.loop, "custom")) return train_by_hand(j, epochs);

  xfer_fit_options fit = {.struct_size = sizeof fit, .dataset = j->train, .validation_dataset = j->validation, .on_event = on_event};
  fit.epochs = (int32_t)epochs;
  TRY(xfer_model_compile(j->model, j->optimizer, j->loss_function, &j->accuracy, 1, &j->trainer));
  return epochs == 0 ? XFER_OK : xfer_trainer_fit(j->trainer, &fit, &j->history); /* to fit, 0 stands for 1 */
}

/* ---- The whole workflow. */

static xfer_status run(job *j) {
  const options *o = &j->options;
  size_t frozen;
  TRY(xfer_set_threads((int32_t)o->threads));
  TRY(xfer_set_backend(o->backend));
  TRY(xfer_set_random_seed((uint64_t)o->seed));
  TRY(open_data(j));
  TRY(build(j));
  TRY(list_weights(j->base, XFER_WEIGHTS_ALL, &j->before));
  for (size_t i = 0; i < j->before.count; i++) TRY(xfer_weight_read(j->before.weights[i], &j->before.tensors[i]));

  TRY(train(j, "head", o->epochs, o->learning_rate));
  TRY(check_frozen(j, "frozen weights moved", &frozen));
  printf("frozen: %zu weights are bit-equal to before\n", frozen);
  if (o->fine_tune_epochs > 0) {
    TRY(xfer_layer_set_trainable(j->base, 1));
    TRY(train(j, "fine-tune", o->fine_tune_epochs, o->fine_tune_rate));
    TRY(check_frozen(j, "statistics moved though the base runs in inference mode", &frozen));
    printf("frozen: %zu statistics are bit-equal to before\n", frozen);
  }
  if (o->out) {
    TRY(xfer_model_save(j->model, o->out));
    printf("saved: %s\n", o->out);
  }
  return XFER_OK;
}

int main(int count, char **arguments) {
  static job j = {.options = {.data = "", .base = "", .backend = "auto", .loop = "fit", .size = {224, 224}, .epochs = 8,
                              .fine_tune_epochs = 2, .batch_size = 32, .learning_rate = 1e-3, .fine_tune_rate = 1e-5}};
  xfer_status status = parse(&j.options, arguments + (count > 0));
  if (status == XFER_OK) status = run(&j);
  if (status != XFER_OK) fprintf(stderr, "transfer: %s (%s)\n", *complaint ? complaint : xfer_last_error(), xfer_status_name(status));
  release_all(&j);
  return status == XFER_OK ? 0 : 1;
}
