/* Opens libdnnl and looks its functions up. */
#ifndef XFER_ONEDNN_LOAD_H
#define XFER_ONEDNN_LOAD_H

#include "api.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline int xfer_dnnl_refuse(xfer_dnnl *d, void *library, const char *path, const char *reason) {
  size_t used = strlen(d->tried);
  snprintf(d->tried + used, sizeof d->tried - used, "%s%s%s%s", used ? "; " : "", path ? path : "", path ? " " : "", reason);
  if (library) dlclose(library);
  return 0;
}

static inline int xfer_dnnl_lacks(xfer_dnnl *d, void *library, const char *path, const char *name) {
  char reason[96];
  snprintf(reason, sizeof reason, "has no %s", name);
  return xfer_dnnl_refuse(d, library, path, reason);
}

/* `isa`: the widest instructions the host allows, 0 for all. */
static inline int xfer_dnnl_open_one(xfer_dnnl *d, const char *path, int isa) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char *reason = dlerror();
    return xfer_dnnl_refuse(d, NULL, NULL, reason ? reason : path);
  }
  const xfer_dnnl_version *(*version)(void) = (const xfer_dnnl_version *(*)(void))dlsym(library, "dnnl_version");
  if (!version) return xfer_dnnl_lacks(d, library, path, "dnnl_version");
  const xfer_dnnl_version *v = version();
  d->major = v->major;
  snprintf(d->version, sizeof d->version, "1.0 oneDNN %d.%d.%d", v->major, v->minor, v->patch);
  if (v->major != 2 && v->major != 3) return xfer_dnnl_refuse(d, library, path, "is neither version 2 nor version 3");
  /* Other runtimes have threads of their own that no call holds to a number. */
  if (v->cpu_runtime != XFER_DNNL_RUNTIME_SEQUENTIAL && v->cpu_runtime != XFER_DNNL_RUNTIME_OMP)
    return xfer_dnnl_refuse(d, library, path, "is not built for OpenMP, its threads cannot be held to Xfer's number");
#define FIND(result, name, parameters) \
  d->name = (result (*) parameters)dlsym(library, "dnnl_" #name); \
  if (!d->name) return xfer_dnnl_lacks(d, library, path, "dnnl_" #name);
  XFER_DNNL_BOTH(FIND)
  if (v->major == 2) {
    XFER_DNNL_V2(FIND)
  } else {
    XFER_DNNL_V3(FIND)
  }
#undef FIND
  d->post_ops_append_eltwise = dlsym(library, "dnnl_post_ops_append_eltwise");
  d->post_ops_append_sum = dlsym(library, "dnnl_post_ops_append_sum");
  if (!d->post_ops_append_eltwise || !d->post_ops_append_sum) return xfer_dnnl_lacks(d, library, path, "dnnl_post_ops_append_sum");
  if (v->cpu_runtime == XFER_DNNL_RUNTIME_OMP) {
    /* Of the OpenMP the library itself is linked to: a process may have several. */
    d->omp_set_num_threads = (void (*)(int))dlsym(library, "omp_set_num_threads");
    d->omp_get_max_threads = (int (*)(void))dlsym(library, "omp_get_max_threads");
    if (!d->omp_set_num_threads || !d->omp_get_max_threads) return xfer_dnnl_lacks(d, library, path, "omp_set_num_threads");
  }
  /* It can be set once and before the library's first use, so what counts is what came of it. */
  if (isa) d->set_max_cpu_isa(isa);
  int effective = d->get_effective_cpu_isa();
  if (isa && (effective & ~isa)) return xfer_dnnl_refuse(d, library, path, "is in use already, with instructions above XFER_MAX_ISA");
  /* Its code for older processors wants aligned buffers. */
  if ((effective & XFER_DNNL_ISA_AVX2) != XFER_DNNL_ISA_AVX2)
    return xfer_dnnl_refuse(d, library, path, "serves from AVX2 on, which this processor or XFER_MAX_ISA does not allow");
  int status = d->engine_create(&d->engine, XFER_DNNL_CPU, 0);
  if (status) return xfer_dnnl_refuse(d, library, path, xfer_dnnl_status(status));
  return 1;
}

/* XFER_DNNL_LIBRARY alone when it is set, else the usual names, newest first. 1 when one can serve. */
static inline int xfer_dnnl_open(xfer_dnnl *d, int isa) {
  static const char *const usual[] = { "libdnnl.so.3", "libdnnl.so.2", "libdnnl.so", NULL };
  memset(d, 0, sizeof *d);
  const char *given = getenv("XFER_DNNL_LIBRARY");
  if (given && *given) return xfer_dnnl_open_one(d, given, isa);
  for (int i = 0; usual[i]; i++) if (xfer_dnnl_open_one(d, usual[i], isa)) return 1;
  return 0;
}

#endif
