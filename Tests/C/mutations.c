/* A hundred and twenty of the files `make fuzz` makes thousands of: loaded or refused, never anything else. */
#include "../fuzz/fuzz.h"
#include "check.h"

int main(void) {
  const char *temporary = getenv("TMPDIR");
  char folder[512];
  snprintf(folder, sizeof folder, "%s/mutations-XXXXXX", temporary ? temporary : "/tmp");
  CHECK(mkdtemp(folder) != NULL);
  make_samples(folder);
  if (getenv("XFER_FIXTURES")) add_folder(getenv("XFER_FIXTURES"));
  for (size_t i = 0; i < 120; i++) {
    int kind = 0;
    alarm(10);
    xfer_status status = fuzz_one(folder, 7, i, &kind);
    alarm(0);
    if (status == XFER_E_INTERNAL) fprintf(stderr, "file %zu (%s)\n", i, kind_names[kind]);
    CHECK(status >= 0 && status < XFER_E_INTERNAL);
  }
  xfer_model_release(model);
  return finish();
}
