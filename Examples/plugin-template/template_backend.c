/* A backend in plain C: the smallest plugin that does something. It runs the rectifier y = max(x, 0) and leaves
 * everything else to the other backends.
 *
 *     cc -std=c99 -O2 -fPIC -shared -I../../include template_backend.c -o libxfer-template.so
 *     XFER_PLUGIN_PATH=. XFER_BACKEND=template xfer plugins
 */
#include "xfer_plugin.h"

static const xfer_host *host;

struct xfer_kernel {
  int64_t count;
};

static int64_t elements(const xfer_tensor_desc *desc) {
  int64_t count = 1;
  for (int32_t i = 0; i < desc->rank; i++) count *= desc->dims[i];
  return count;
}

/* Only float32 rectifiers without slope, threshold or maximum. */
static int32_t supports(const xfer_op_desc *desc) {
  if (desc->op != XFER_OP_ACTIVATION || desc->n_inputs != 1) return XFER_SUPPORT_NO;
  if (desc->inputs[0].dtype != XFER_F32 || desc->outputs[0].dtype != XFER_F32) return XFER_SUPPORT_NO;
  const xfer_activation *a = &((const xfer_activation_attributes *)desc->attributes)->activation;
  int plain = a->kind == XFER_ACTIVATION_RELU && a->alpha == 0 && a->threshold == 0 && a->max_value > 1e38f;
  return plain ? XFER_SUPPORT_YES : XFER_SUPPORT_NO;
}

static xfer_status prepare(const xfer_op_desc *desc, xfer_kernel **kernel, size_t *workspace_bytes) {
  if (supports(desc) == XFER_SUPPORT_NO) {
    host->set_error(host, "template: only float32 rectifiers are supported");
    return XFER_E_UNSUPPORTED;
  }
  xfer_kernel *made = host->alloc(host, sizeof *made, 16);
  if (!made) {
    host->set_error(host, "template: no memory for a kernel");
    return XFER_E_OUT_OF_MEMORY;
  }
  made->count = elements(&desc->inputs[0]);
  *kernel = made;
  *workspace_bytes = 0;
  return XFER_OK;
}

struct job {
  const float *x;
  float *y;
};

static void rectify(void *context, int64_t begin, int64_t end, int32_t worker) {
  const struct job *job = context;
  (void)worker;
  for (int64_t i = begin; i < end; i++) job->y[i] = job->x[i] > 0 ? job->x[i] : 0;
}

static xfer_status execute(xfer_kernel *kernel, const void *const *inputs, void *const *outputs, void *workspace) {
  struct job job = {inputs[0], outputs[0]};
  (void)workspace;
  host->parallel_for(host, kernel->count, 1 << 16, rectify, &job);
  return XFER_OK;
}

static void release(xfer_kernel *kernel) { host->free(host, kernel); }

static int32_t score(const xfer_host *given) {
  (void)given;
  return 1; /* runs on every CPU */
}

static const xfer_backend backend = {sizeof backend, supports, NULL, NULL, prepare, execute, release};

static const xfer_plugin plugin = {
    sizeof plugin, XFER_PLUGIN_ABI_MAJOR, XFER_PLUGIN_ABI_MINOR, XFER_PLUGIN_BACKEND, "template", "1.0", score, &backend, NULL,
};

const xfer_plugin *xfer_plugin_entry(const xfer_host *given) {
  host = given;
  return &plugin;
}
