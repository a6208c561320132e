/* Finds a CBLAS at run time. Static inline only.
 *
 * Symbols differ between builds: a "scipy_" prefix (the OpenBLAS of the scipy wheels) and a "64_" or "_64" suffix (64-bit
 * integers, beside a 32-bit library in one process). Each spelling is tried. */
#ifndef XFER_CBLAS_LOADER_H
#define XFER_CBLAS_LOADER_H

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XFER_SGEMM(name, size) \
  typedef void (*name)(int, int, int, size, size, size, float, const float *, size, const float *, size, float, float *, size)
XFER_SGEMM(xfer_sgemm32, int32_t);
XFER_SGEMM(xfer_sgemm64, int64_t);
#undef XFER_SGEMM

typedef struct xfer_blas {
  void *sgemm;
  int   wide;                         /* sizes are 64 bits */
  void (*set_threads)(int);           /* NULL when the library has no such function */
  void (*set_threads_wide)(int64_t);
  char  library[256];                 /* what was opened      */
  char  version[320];                 /* of the plugin, with the library: results of two are not the same bits */
  char  tried[768];                   /* ... or why nothing was */
} xfer_blas;

static inline void *xfer_blas_symbol(void *library, const char *name, const char *const *suffixes, int *which) {
  static const char *const prefixes[] = { "", "scipy_" };
  for (int p = 0; p < 2; p++)
    for (int s = 0; suffixes[s]; s++) {
      char symbol[96];
      snprintf(symbol, sizeof symbol, "%s%s%s", prefixes[p], name, suffixes[s]);
      void *found = dlsym(library, symbol);
      if (found) { if (which) *which = s; return found; }
    }
  return NULL;
}

static inline int xfer_blas_open_one(xfer_blas *blas, const char *path) {
  static const char *const suffixes[] = { "", "64_", "_64", "_64_", NULL };
  size_t used = strlen(blas->tried);
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char *reason = dlerror();
    snprintf(blas->tried + used, sizeof blas->tried - used, "%s%s", used ? "; " : "", reason ? reason : path);
    return 0;
  }
  int spelling = 0;
  blas->sgemm = xfer_blas_symbol(library, "cblas_sgemm", suffixes, &spelling);
  if (!blas->sgemm) {
    snprintf(blas->tried + used, sizeof blas->tried - used, "%s%s has no cblas_sgemm", used ? "; " : "", path);
    dlclose(library);
    return 0;
  }
  blas->wide = spelling > 0;
  /* An OpenBLAS can have 64-bit integers under the plain names; its configuration tells. */
  char *(*config)(void) = (char *(*)(void))xfer_blas_symbol(library, "openblas_get_config", suffixes, NULL);
  const char *text = config ? config() : NULL;
  if (text && strstr(text, "USE64BITINT")) blas->wide = 1;
  blas->set_threads = (void (*)(int))xfer_blas_symbol(library, "openblas_set_num_threads", suffixes, NULL);
  if (!blas->set_threads) blas->set_threads = (void (*)(int))dlsym(library, "MKL_Set_Num_Threads");
  if (!blas->set_threads) blas->set_threads_wide = (void (*)(int64_t))dlsym(library, "bli_thread_set_num_threads");
  snprintf(blas->library, sizeof blas->library, "%s", path);
  snprintf(blas->version, sizeof blas->version, "1.0 %s", text ? text : blas->library);
  return 1;
}

/* XFER_BLAS_LIBRARY alone when it is set, else the usual names. 1 when cblas_sgemm was found. */
static inline int xfer_blas_open(xfer_blas *blas) {
  static const char *const usual[] = {
    "libopenblas.so.0", "libopenblas.so", "libblis.so.4", "libblis.so", "libmkl_rt.so.2", "libmkl_rt.so", "libcblas.so.3",
    "libblas.so.3", NULL };
  memset(blas, 0, sizeof *blas);
  const char *given = getenv("XFER_BLAS_LIBRARY");
  if (given && *given) return xfer_blas_open_one(blas, given);
  for (int i = 0; usual[i]; i++) if (xfer_blas_open_one(blas, usual[i])) return 1;
  return 0;
}

static inline const char *xfer_blas_version(const xfer_blas *blas) { return blas && blas->version[0] ? blas->version : "1.0"; }

/* Row-major c[m,n] = op(a) op(b) + beta c. */
static inline void xfer_blas_sgemm(
    const xfer_blas *blas, int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k,
    const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc) {
  enum { ROW_MAJOR = 101, PLAIN = 111, TRANSPOSED = 112 };
  int ta = transpose_a ? TRANSPOSED : PLAIN, tb = transpose_b ? TRANSPOSED : PLAIN;
  if (blas->wide)
    ((xfer_sgemm64)blas->sgemm)(ROW_MAJOR, ta, tb, m, n, k, 1, a, lda, b, ldb, beta, c, ldc);
  else
    ((xfer_sgemm32)blas->sgemm)(
        ROW_MAJOR, ta, tb, (int32_t)m, (int32_t)n, (int32_t)k, 1, a, (int32_t)lda, b, (int32_t)ldb, beta, c, (int32_t)ldc);
}

static inline void xfer_blas_threads(const xfer_blas *blas, int count) {
  if (blas->set_threads) blas->set_threads(count);
  else if (blas->set_threads_wide) blas->set_threads_wide(count);
}

#endif
