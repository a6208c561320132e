/* A library alone in a folder, with no plugin anywhere: what needs none works, what needs one says which and where it looked. */
#include "check.h"

#include <unistd.h>

static void alone(const char *folder) {
  char text[4096], file[700];
  OK(xfer_plugins_json(text, sizeof text, NULL));
  CHECK(strstr(text, "\"name\":\"naive\"") != NULL && strstr(text, "(built in)") != NULL);
  CHECK(strstr(text, "hdf5") == NULL && strstr(text, "\"name\":\"simd\"") == NULL);
  CHECK(strstr(text, "plugin-trap") == NULL);

  network net = small_network(8, XFER_TRAINING_FALSE);
  xfer_tensor *x = random_images(4, 8, 1), *y = labels_for(x);
  xfer_trainer *trainer = compiled(net.model, "Adam", 1e-3);
  OK(xfer_trainer_train_on_batch(trainer, x, y, NULL, NULL, 0, NULL));
  snprintf(file, sizeof file, "%s/model.safetensors", folder);
  OK(xfer_model_save_weights(net.model, file));
  OK(xfer_model_load_weights(net.model, file, NULL, NULL, 0, NULL));

  FAILS(xfer_set_backend("simd"), XFER_E_PLUGIN, "libxfer-simd");
  FAILS(xfer_set_backend("blas"), XFER_E_PLUGIN, folder);
  snprintf(file, sizeof file, "%s/model.keras", folder);
  FAILS(xfer_model_save(net.model, file), XFER_E_PLUGIN, "plugin");
  CHECK(access(file, F_OK) != 0);

  FILE *made = fopen(file, "wb");
  CHECK(made != NULL && fputs("PK\x03\x04 and no more", made) >= 0);
  if (made) fclose(made);
  xfer_model *none = NULL;
  FAILS(xfer_model_load(file, &none), XFER_E_PLUGIN, "libxfer-zip.so");
  snprintf(file, sizeof file, "%s/w.h5", folder);
  made = fopen(file, "wb");
  CHECK(made != NULL && fputs("\x89HDF\r\n\x1A\n and no more", made) >= 0);
  if (made) fclose(made);
  FAILS(xfer_model_load_weights(net.model, file, NULL, NULL, 0, NULL), XFER_E_PLUGIN, "libxfer-hdf5.so");
  xfer_tensor *image = NULL;
  FAILS(xfer_image_load(file, NULL, &image), XFER_E_PLUGIN, "libxfer-images.so");
  CHECK(!none && !image);

  xfer_trainer_release(trainer);
  xfer_tensor_release(x);
  xfer_tensor_release(y);
  release_network(&net);
}

int main(int argc, char **argv) {
  if (argc > 1) {
    alone(argv[1]);
    return finish();
  }
  const char *temporary = getenv("TMPDIR"), *tree = getenv("XFER_TREE");
  char folder[512], command[16384];
  snprintf(folder, sizeof folder, "%s/xfer-alone-XXXXXX", temporary ? temporary : "/tmp");
  if (!tree || !mkdtemp(folder)) return 1;
  /* A plugin in the current folder, which is never searched. */
  snprintf(command, sizeof command,
           "cp '%s/lib/libxfer.so.1' '%s' && mkdir '%s/empty' '%s/here' && cp '%s/lib/xfer/plugins/libxfer-zip.so' '%s/here/libxfer-plugin-trap.so'"
           " && program=$(readlink -f '%s') && cd '%s/here' && LD_LIBRARY_PATH='%s' XFER_PLUGIN_PATH='%s/empty' \"$program\" '%s'",
           tree, folder, folder, folder, tree, folder, argv[0], folder, folder, folder, folder);
  int status = system(command);
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  return system(command) || status ? 1 : 0;
}
