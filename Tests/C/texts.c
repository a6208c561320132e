/* Texts by size-query-then-fill, strings in, status names, the last error of each thread. */
#include "check.h"

#include <pthread.h>

static void *other_thread(void *argument) {
  (void)argument;
  CHECK(strcmp(xfer_last_error(), "") == 0);
  xfer_layer *none = NULL;
  FAILS(xfer_layer_create("Densse", NULL, &none), XFER_E_NOT_FOUND, "Dense");
  return NULL;
}

int main(void) {
  CHECK(strcmp(xfer_last_error(), "") == 0);
  char version[32];
  snprintf(version, sizeof version, "%d.%d.%d", XFER_VERSION_MAJOR, XFER_VERSION_MINOR, XFER_VERSION_PATCH);
  CHECK(strcmp(xfer_version_string(), version) == 0);
  CHECK(xfer_abi_version() == ((uint32_t)XFER_VERSION_MAJOR << 16 | XFER_VERSION_MINOR));

  CHECK(strcmp(xfer_status_name(XFER_OK), "XFER_OK") == 0);
  CHECK(strcmp(xfer_status_name(XFER_E_SHAPE), "XFER_E_SHAPE") == 0);
  CHECK(strcmp(xfer_status_name(XFER_E_INTERNAL), "XFER_E_INTERNAL") == 0);
  CHECK(strcmp(xfer_status_name(99), "XFER_E_UNKNOWN") == 0);
  for (xfer_status a = 0; a <= XFER_E_INTERNAL; a++) {
    CHECK(strcmp(xfer_status_name(a), "XFER_E_UNKNOWN") != 0);
    for (xfer_status b = 0; b < a; b++) CHECK(strcmp(xfer_status_name(a), xfer_status_name(b)) != 0);
  }

  /* Each size of buffer. The name has characters of one to four bytes, which are never cut in two. */
  const char *name = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80z";
  xfer_layer *dense = layer("Dense", "{\"units\":1,\"name\":\"a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80z\"}");
  size_t length = 0;
  OK(xfer_layer_name(dense, NULL, 0, &length));
  CHECK(length == strlen(name));
  const size_t whole[] = {0, 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11, 11};
  for (size_t capacity = 1; capacity < sizeof whole / sizeof *whole; capacity++) {
    char buffer[16];
    memset(buffer, '#', sizeof buffer);
    length = 0;
    OK(xfer_layer_name(dense, buffer, capacity, &length));
    CHECK(length == strlen(name));
    CHECK(strlen(buffer) == whole[capacity]);
    CHECK(strncmp(buffer, name, strlen(buffer)) == 0);
    for (size_t i = capacity; i < sizeof buffer; i++) CHECK(buffer[i] == '#');
  }
  char buffer[64];
  OK(xfer_layer_name(dense, buffer, sizeof buffer, NULL));
  CHECK(strcmp(buffer, name) == 0);
  OK(xfer_layer_name(dense, buffer, SIZE_MAX, &length));
  CHECK(strcmp(buffer, name) == 0);
  FAILS(xfer_layer_name(dense, NULL, 5, &length), XFER_E_INVALID_ARGUMENT, "buffer is NULL");

  /* Strings that are not there, or not text. */
  xfer_layer *none = NULL;
  FAILS(xfer_layer_create(NULL, NULL, &none), XFER_E_INVALID_ARGUMENT, "xfer_layer_create: class_name is NULL");
  FAILS(xfer_layer_create("\xFF\xFE", NULL, &none), XFER_E_INVALID_ARGUMENT, "not valid UTF-8");
  FAILS(xfer_layer_create("Dense", "{\"units\":", &none), XFER_E_FORMAT, "not valid JSON");
  FAILS(xfer_layer_create("Dense", "[1]", &none), XFER_E_INVALID_ARGUMENT, "JSON object");
  FAILS(xfer_layer_create("Dense", "\xFF", &none), XFER_E_INVALID_ARGUMENT, "not valid UTF-8");
  FAILS(xfer_layer_create("Dense", "{\"units\":1}", NULL), XFER_E_INVALID_ARGUMENT, "layer is NULL");
  CHECK(none == NULL);

  /* The message stays until this thread fails again, whatever succeeds here or fails elsewhere. */
  FAILS(xfer_layer_create("Conv2d", NULL, &none), XFER_E_NOT_FOUND, "did you mean 'Conv2D'?");
  const char *message = xfer_last_error();
  OK(xfer_layer_name(dense, buffer, sizeof buffer, NULL));
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, other_thread, NULL) == 0);
  pthread_join(thread, NULL);
  CHECK(xfer_last_error() == message && strstr(message, "Conv2D") != NULL);

  /* Threads, backends, plugins. */
  int32_t threads = xfer_get_threads();
  CHECK(threads >= 1);
  OK(xfer_set_threads(3));
  CHECK(xfer_get_threads() == 3);
  FAILS(xfer_set_threads(-1), XFER_E_INVALID_ARGUMENT, "-1 was given");
  FAILS(xfer_set_threads(1000000), XFER_E_INVALID_ARGUMENT, "1000000 was given");
  CHECK(xfer_get_threads() == 3);
  OK(xfer_set_threads(0));
  CHECK(xfer_get_threads() >= 1);
  FAILS(xfer_set_backend("nonesuch"), XFER_E_PLUGIN, "nonesuch");
  FAILS(xfer_set_backend(NULL), XFER_E_INVALID_ARGUMENT, "name is NULL");
  OK(xfer_set_backend("naive"));
  OK(xfer_set_backend("auto"));
  FAILS(xfer_set_precision("half"), XFER_E_INVALID_ARGUMENT, "'half' was given");
  FAILS(xfer_set_precision(NULL), XFER_E_INVALID_ARGUMENT, "name is NULL");
  OK(xfer_set_precision("bf16"));
  OK(xfer_set_precision("float32"));
  FAILS(xfer_plugin_load("/nonexistent/libxfer-none.so"), XFER_E_PLUGIN, "/nonexistent/libxfer-none.so");
  char *json = NULL;
  OK(xfer_plugins_json(NULL, 0, &length));
  json = malloc(length + 1);
  OK(xfer_plugins_json(json, length + 1, &length));
  CHECK(strlen(json) == length);
  CHECK(strstr(json, "\"name\":\"naive\"") && strstr(json, "\"search_path\":[") && strstr(json, "\"rejected\":["));
  CHECK(strstr(json, "\"kind\":\"hdf5\"") && strstr(json, "\"kind\":\"zip\"") && strstr(json, "\"kind\":\"image codec\""));
  free(json);
  xfer_layer_release(dense);
  return finish();
}
