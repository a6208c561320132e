/* Saved models and weight files, whole and damaged; folders of images, good and bad; places that cannot be written. */
#include "check.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[512];
static const char *at(const char *name) {
  static char paths[4][800];
  static int turn;
  char *path = paths[turn = (turn + 1) % 4];
  snprintf(path, sizeof paths[0], "%s/%s", folder, name);
  return path;
}

static long size_of(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 ? (long)info.st_size : -1;
}

static void write_bytes(const char *path, const void *bytes, size_t count) {
  FILE *file = fopen(path, "wb");
  CHECK(file != NULL && fwrite(bytes, 1, count, file) == count);
  if (file) fclose(file);
}

static unsigned char *read_bytes(const char *path, size_t *count) {
  FILE *file = fopen(path, "rb");
  *count = (size_t)size_of(path);
  unsigned char *bytes = malloc(*count + 1);
  CHECK(file != NULL && bytes != NULL && fread(bytes, 1, *count, file) == *count);
  if (file) fclose(file);
  return bytes;
}

static int entries(void) {
  int count = 0;
  DIR *listing = opendir(folder);
  while (listing && readdir(listing)) count++;
  if (listing) closedir(listing);
  return count;
}

/* A load of any part of a file is refused, and leaves the weights alone. */
static void damaged(const char *path, const char *copy, xfer_model *model, xfer_layer *whole) {
  size_t size = 0, count = 0;
  unsigned char *bytes = read_bytes(path, &size);
  float *before = snapshot(whole, XFER_WEIGHTS_ALL, &count);
  const double parts[] = {0, 0.001, 0.1, 0.5, 0.9, 0.999};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    write_bytes(copy, bytes, (size_t)((double)size * parts[i]));
    xfer_status status = model ? xfer_model_load_weights(model, copy, NULL, NULL, 0, NULL) : XFER_OK;
    if (!model) {
      xfer_model *none = NULL;
      status = xfer_model_load(copy, &none);
      CHECK(none == NULL);
    }
    CHECK(status == XFER_E_FORMAT || status == XFER_E_IO);
    CHECK(strstr(xfer_last_error(), strrchr(copy, '/') + 1) != NULL);
    float *after = snapshot(whole, XFER_WEIGHTS_ALL, &count);
    CHECK(memcmp(before, after, count * sizeof *before) == 0);
    free(after);
  }
  /* Single bytes turned over: any answer but a crash, or a changed model after an error. */
  for (size_t i = 0; i < 64; i++) {
    size_t place = i * (size / 64);
    bytes[place] ^= 0xFF;
    write_bytes(copy, bytes, size);
    bytes[place] ^= 0xFF;
    if (model) {
      if (xfer_model_load_weights(model, copy, NULL, NULL, 0, NULL) == XFER_OK) {
        OK(xfer_model_load_weights(model, path, NULL, NULL, 0, NULL));
      }
      float *after = snapshot(whole, XFER_WEIGHTS_ALL, &count);
      CHECK(memcmp(before, after, count * sizeof *before) == 0);
      free(after);
    } else {
      xfer_model *some = NULL;
      if (xfer_model_load(copy, &some) == XFER_OK) xfer_model_release(some);
      else CHECK(some == NULL);
    }
  }
  free(bytes);
  free(before);
  unlink(copy);
}

static void models(void) {
  network net = small_network(8, XFER_TRAINING_FALSE);
  xfer_layer *whole = NULL;
  OK(xfer_model_as_layer(net.model, &whole));
  xfer_tensor *x = random_images(3, 8, 4), *wanted = NULL, *got = NULL;
  OK(xfer_model_predict(net.model, x, 0, &wanted));
  OK(xfer_model_set_metadata(net.model, "{\"class_names\":[\"cat\",\"dog\"]}"));
  FAILS(xfer_model_set_metadata(net.model, "[1]"), XFER_E_INVALID_ARGUMENT, "JSON object");
  FAILS(xfer_model_set_metadata(net.model, "{"), XFER_E_FORMAT, "JSON");

  OK(xfer_model_save(net.model, at("model.keras")));
  OK(xfer_model_save_weights(net.model, at("model.safetensors")));
  xfer_model *loaded = NULL;
  OK(xfer_model_load(at("model.keras"), &loaded));
  OK(xfer_model_predict(loaded, x, 0, &got));
  CHECK(count_of(got) == count_of(wanted) && memcmp(data_of(got), data_of(wanted), (size_t)count_of(got) * sizeof(float)) == 0);
  char text[8192];
  OK(xfer_model_metadata(loaded, text, sizeof text, NULL));
  CHECK(strstr(text, "\"class_names\":[\"cat\",\"dog\"]") != NULL);
  OK(xfer_model_summary(loaded, 0, 1, text, sizeof text, NULL));
  CHECK(strstr(text, "trunk") != NULL && strstr(text, "Total params") != NULL);

  /* The safetensors file brings other weights to these. */
  network other = small_network(8, XFER_TRAINING_FALSE);
  xfer_layer_release(other.head);
  OK(xfer_model_get_layer(loaded, "trunk", &other.head));
  size_t count = 0;
  xfer_weight *weight = NULL;
  xfer_tensor *zeros = tensor(XFER_F32, 4, 3, 3, 3, 6);
  OK(xfer_layer_weight(other.head, XFER_WEIGHTS_ALL, 0, &weight));
  OK(xfer_weight_assign(weight, zeros));
  OK(xfer_model_load_weights(loaded, at("model.safetensors"), "{\"by_name\":false}", text, sizeof text, &count));
  CHECK(count == strlen(text) && strstr(text, "\"loaded\":[\"") != NULL && strstr(text, "\"missing\":[]") != NULL);
  xfer_tensor_release(got);
  OK(xfer_model_predict(loaded, x, 0, &got));
  CHECK(memcmp(data_of(got), data_of(wanted), (size_t)count_of(got) * sizeof(float)) == 0);

  FAILS(xfer_model_load_weights(net.model, at("model.safetensors"), "{\"byname\":true}", NULL, 0, NULL), XFER_E_INVALID_ARGUMENT, "by_name");
  OK(xfer_model_save_weights(net.trunk, at("trunk.safetensors")));
  FAILS(xfer_model_load_weights(net.model, at("trunk.safetensors"), NULL, NULL, 0, NULL), XFER_E_NOT_FOUND, "trunk.safetensors");
  FAILS(xfer_model_load_weights(net.model, at("none.safetensors"), NULL, NULL, 0, NULL), XFER_E_NOT_FOUND, "none.safetensors");
  xfer_model *none = NULL;
  FAILS(xfer_model_load(at("none.keras"), &none), XFER_E_NOT_FOUND, "none.keras");
  FAILS(xfer_model_load(folder, &none), XFER_E_FORMAT, folder);
  FAILS(xfer_model_load(NULL, &none), XFER_E_INVALID_ARGUMENT, "path is NULL");
  CHECK(none == NULL);

  damaged(at("model.keras"), at("broken.keras"), NULL, whole);
  damaged(at("model.safetensors"), at("broken.safetensors"), net.model, whole);

  /* Where nothing can be written nothing is left behind, and what was there stays. */
  int before = entries();
  FAILS(xfer_model_save(net.model, at("no such folder/model.keras")), XFER_E_NOT_FOUND, "no such folder");
  FAILS(xfer_model_save_weights(net.model, at("no such folder/model.safetensors")), XFER_E_NOT_FOUND, "no such folder");
  FAILS(xfer_model_save(net.model, at("model.docx")), XFER_E_UNSUPPORTED, ".keras");
  CHECK(xfer_model_save(net.model, "/sys/model.keras") != XFER_OK && strstr(xfer_last_error(), "/sys/model.keras"));
  /* A disk that is full in the middle of the file. */
  struct rlimit limit, small;
  signal(SIGXFSZ, SIG_IGN);
  getrlimit(RLIMIT_FSIZE, &limit);
  small = limit;
  small.rlim_cur = 500;
  size_t old_size = 0, new_size = 0;
  unsigned char *old = read_bytes(at("model.safetensors"), &old_size);
  setrlimit(RLIMIT_FSIZE, &small);
  FAILS(xfer_model_save_weights(net.model, at("model.safetensors")), XFER_E_IO, "model.safetensors");
  FAILS(xfer_model_save(net.model, at("model.keras")), XFER_E_IO, "model.keras");
  setrlimit(RLIMIT_FSIZE, &limit);
  unsigned char *kept = read_bytes(at("model.safetensors"), &new_size);
  CHECK(old_size > 500 && old_size == new_size && memcmp(old, kept, old_size) == 0);
  free(old);
  free(kept);
  CHECK(entries() == before);
  OK(xfer_model_load(at("model.keras"), &none));

  xfer_model_release(none);
  xfer_model_release(loaded);
  xfer_weight_release(weight);
  xfer_layer_release(whole);
  xfer_tensor *tensors[] = {x, wanted, got, zeros};
  for (int i = 0; i < 4; i++) xfer_tensor_release(tensors[i]);
  release_network(&net);
  release_network(&other);
}

/* Legacy .h5 and hostile configs. */
static void hostile(void) {
  network net = small_network(8, XFER_TRAINING_FALSE);
  static const unsigned char signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1A, '\n'};
  write_bytes(at("cut.h5"), signature, sizeof signature);
  FAILS(xfer_model_load_weights(net.model, at("cut.h5"), NULL, NULL, 0, NULL), XFER_E_FORMAT, "cut.h5");
  write_bytes(at("text.h5"), "hello", 5);
  FAILS(xfer_model_load_weights(net.model, at("text.h5"), NULL, NULL, 0, NULL), XFER_E_FORMAT, "text.h5");
  /* A header longer than the file, and one that claims more than there is memory. */
  const unsigned char huge[16] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, '{', '}'};
  write_bytes(at("huge.safetensors"), huge, sizeof huge);
  FAILS(xfer_model_load_weights(net.model, at("huge.safetensors"), NULL, NULL, 0, NULL), XFER_E_FORMAT, "huge.safetensors");
  const char *claims = "{\"dense/kernel\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,8],\"data_offsets\":[0,8]}}";
  unsigned char file[256] = {(unsigned char)strlen(claims)};
  memcpy(file + 8, claims, strlen(claims));
  write_bytes(at("claims.safetensors"), file, strlen(claims) + 16);
  FAILS(xfer_model_load_weights(net.model, at("claims.safetensors"), NULL, NULL, 0, NULL), XFER_E_FORMAT, "claims.safetensors");

  xfer_model *none = NULL;
  FAILS(xfer_model_from_json("", &none), XFER_E_FORMAT, "JSON");
  FAILS(xfer_model_from_json("{}", &none), XFER_E_FORMAT, "class_name");
  FAILS(xfer_model_from_json("{\"class_name\":\"Functional\",\"config\":{\"layers\":[]}}", &none), XFER_E_FORMAT, "without layers");
  FAILS(xfer_model_from_json("{\"class_name\":\"Sequential\",\"config\":{\"layers\":[{\"class_name\":\"InputLayer\",\"config\":"
                             "{\"batch_shape\":[null,4611686018427387904,4611686018427387904]}}]}}", &none),
        XFER_E_SHAPE, "");
  char *deep = malloc(400000);
  if (!deep) abort();
  memset(deep, '[', 200000);
  memset(deep + 200000, ']', 199999);
  deep[399999] = 0;
  FAILS(xfer_model_from_json(deep, &none), XFER_E_FORMAT, "JSON");
  free(deep);
  CHECK(none == NULL);
  release_network(&net);
}

/* ---- Images ---- */

static void make_folder(const char *name) { CHECK(mkdir(at(name), 0755) == 0); }

/* The smallest PNG there is: one grey pixel. */
static const unsigned char png[] = {
  0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n', 0, 0, 0, 13, 'I', 'H', 'D', 'R', 0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0, 0x3A, 0x7E, 0x9B, 0x55,
  0, 0, 0, 10, 'I', 'D', 'A', 'T', 0x78, 0x9C, 0x63, 0x68, 0, 0, 0, 0x82, 0, 0x81, 0x77, 0xCD, 0x72, 0xB6, 0, 0, 0, 0, 'I', 'E', 'N', 'D',
  0xAE, 0x42, 0x60, 0x82};

static void images(void) {
  make_folder("photos");
  xfer_dataset *set = NULL;
  FAILS(xfer_image_folder_open(at("nowhere"), NULL, &set), XFER_E_NOT_FOUND, "nowhere");
  FAILS(xfer_image_folder_open(at("photos"), NULL, &set), XFER_E_DATA, "photos");
  make_folder("photos/cat");
  make_folder("photos/dog");
  write_bytes(at("photos/cat/1.png"), png, sizeof png);
  write_bytes(at("photos/cat/2.png"), png, sizeof png);
  FAILS(xfer_image_folder_open(at("photos"), NULL, &set), XFER_E_DATA, "dog");
  write_bytes(at("photos/dog/1.png"), png, sizeof png);
  /* Cut short, of no format, empty. */
  write_bytes(at("photos/dog/cut.png"), png, sizeof png / 2);
  write_bytes(at("photos/dog/cut.jpg"), "\xFF\xD8\xFF\xE0\0\x10JFIF", 11);
  write_bytes(at("photos/dog/text.jpg"), "hello", 5);
  write_bytes(at("photos/dog/empty.png"), "", 0);

  FAILS(xfer_image_folder_open(at("photos"), "{\"image_size\":[0,5]}", &set), XFER_E_INVALID_ARGUMENT, "image_size");
  FAILS(xfer_image_folder_open(at("photos"), "{\"batchsize\":1}", &set), XFER_E_INVALID_ARGUMENT, "batch_size");
  CHECK(set == NULL);
  OK(xfer_image_folder_open(at("photos"), "{\"image_size\":[4,5],\"batch_size\":4,\"shuffle\":false}", &set));
  int images = 0;
  for (;;) {
    xfer_tensor *x = NULL, *y = NULL;
    OK(xfer_dataset_next(set, &x, &y));
    if (!x) break;
    int32_t rank = 0;
    int64_t dims[8];
    OK(xfer_tensor_describe(x, NULL, &rank, dims, NULL));
    CHECK(rank == 4 && dims[1] == 4 && dims[2] == 5 && dims[3] == 3 && count_of(y) == dims[0]);
    for (int64_t i = 0; i < dims[0]; i++) CHECK(((int32_t *)data_of(y))[i] == (images + i < 2 ? 0 : 1));
    images += (int)dims[0];
    xfer_tensor_release(x);
    xfer_tensor_release(y);
  }
  CHECK(images == 3);
  char text[8192];
  OK(xfer_dataset_info(set, text, sizeof text, NULL));
  CHECK(strstr(text, "\"class_names\":[\"cat\",\"dog\"]") && strstr(text, "\"count\":7"));
  const char *const broken[] = {"cut.png", "cut.jpg", "text.jpg", "empty.png"};
  for (int i = 0; i < 4; i++) CHECK(strstr(text, broken[i]) != NULL);
  xfer_dataset_release(set);

  xfer_tensor *image = NULL;
  FAILS(xfer_image_load(at("photos/dog/cut.jpg"), NULL, &image), XFER_E_FORMAT, "cut.jpg");
  FAILS(xfer_image_load(at("photos/dog/text.jpg"), NULL, &image), XFER_E_FORMAT, "text.jpg");
  FAILS(xfer_image_load(at("photos/dog/none.jpg"), NULL, &image), XFER_E_NOT_FOUND, "none.jpg");
  FAILS(xfer_image_load(at("photos/dog/1.png"), "{\"image_size\":[1000000000,3]}", &image), XFER_E_INVALID_ARGUMENT, "image_size");
  FAILS(xfer_image_load(at("photos/dog/1.png"), "{\"size\":[1,3]}", &image), XFER_E_INVALID_ARGUMENT, "'size'");
  CHECK(image == NULL);
  OK(xfer_image_load(at("photos/dog/1.png"), NULL, &image));
  CHECK(count_of(image) == 3);
  float grey = ((float *)data_of(image))[0];
  CHECK(grey == ((float *)data_of(image))[1] && grey >= 0 && grey <= 255);
  xfer_tensor_release(image);
  OK(xfer_image_load(at("photos/dog/1.png"), "{\"image_size\":[2,3]}", &image));
  CHECK(count_of(image) == 18 && ((float *)data_of(image))[17] == grey);
  xfer_tensor_release(image);
}

static void applications(void) {
  xfer_model *none = NULL;
  FAILS(xfer_application_create("Xceptoin", NULL, &none), XFER_E_NOT_FOUND, "Xception");
  FAILS(xfer_application_create("SqueezeNet", "{\"input_shape\":[8,8]}", &none), XFER_E_INVALID_ARGUMENT, "input_shape");
  FAILS(xfer_application_create("SqueezeNet", "{\"weights\":\"nowhere.h5\"}", &none), XFER_E_NOT_FOUND, "nowhere.h5");
  FAILS(xfer_application_create("SqueezeNet", "{\"pooling\":\"min\"}", &none), XFER_E_INVALID_ARGUMENT, "min");
  CHECK(none == NULL);
  OK(xfer_application_create("SqueezeNet", "{\"input_shape\":[64,64,3],\"pooling\":\"avg\"}", &none));
  xfer_tensor *pixels = tensor(XFER_U8, 4, 1, 64, 64, 3), *ready = NULL, *features = NULL;
  OK(xfer_application_preprocess("SqueezeNet", pixels, &ready));
  CHECK(fabsf(((float *)data_of(ready))[0] + 103.939f) < 1e-4f);
  OK(xfer_model_predict(none, ready, 0, &features));
  CHECK(count_of(features) == 512);
  FAILS(xfer_application_preprocess("SqueezeNet", features, &ready), XFER_E_SHAPE, "[1, 512]");
  xfer_tensor *tensors[] = {pixels, ready, features};
  for (int i = 0; i < 3; i++) xfer_tensor_release(tensors[i]);
  xfer_model_release(none);
}

int main(void) {
  const char *temporary = getenv("TMPDIR");
  snprintf(folder, sizeof folder, "%s/xfer-files-XXXXXX", temporary ? temporary : "/tmp");
  CHECK(mkdtemp(folder) != NULL);
  models();
  hostile();
  images();
  applications();
  char command[600];
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  CHECK(system(command) == 0);
  return finish();
}
