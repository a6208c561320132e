/* What Xfer uses of oneDNN's C interface, by the numbers of versions 2 and 3. */
#ifndef XFER_ONEDNN_API_H
#define XFER_ONEDNN_API_H

#include <stddef.h>
#include <stdint.h>

/* Handles are pointers in both versions. A memory descriptor is an open structure in version 2 and a handle in version 3, so that
 * both take its address as an argument and only making one differs. */
typedef const void *xfer_dnnl_md;

typedef struct { int arg; void *memory; } xfer_dnnl_arg;

typedef struct {
  int major, minor, patch;
  const char *hash;
  unsigned cpu_runtime, gpu_runtime;
} xfer_dnnl_version;

enum { XFER_DNNL_RUNTIME_SEQUENTIAL = 1, XFER_DNNL_RUNTIME_OMP = 2 };
enum { XFER_DNNL_MAX_DIMS = 12, XFER_DNNL_F32 = 3, XFER_DNNL_CPU = 1, XFER_DNNL_IN_ORDER = 1, XFER_DNNL_ANY = 1, XFER_DNNL_BLOCKED = 2 };
enum { XFER_DNNL_SCRATCHPAD_USER = 1, XFER_DNNL_FPMATH_STRICT = 0 };
enum { XFER_DNNL_TRAINING = 64, XFER_DNNL_INFERENCE = 96 };
enum { XFER_DNNL_DIRECT = 1, XFER_DNNL_POOL_MAX = 511, XFER_DNNL_POOL_AVERAGE = 1023 };
enum { XFER_DNNL_RELU_V2 = 31, XFER_DNNL_RELU_V3 = 32, XFER_DNNL_CLIP_V2 = 255, XFER_DNNL_CLIP_V3 = 46 };
enum { XFER_DNNL_ISA_SSE41 = 0x1, XFER_DNNL_ISA_AVX2 = 0x7 };
enum { /* queries */
  XFER_DNNL_IMPLEMENTATION = 8, XFER_DNNL_STRIDES = 14, XFER_DNNL_SRC = 129, XFER_DNNL_DIFF_SRC = 130, XFER_DNNL_WEIGHTS = 131,
  XFER_DNNL_DIFF_WEIGHTS = 132, XFER_DNNL_DST = 133, XFER_DNNL_DIFF_DST = 134, XFER_DNNL_WORKSPACE = 135, XFER_DNNL_SCRATCHPAD = 136,
  XFER_DNNL_ARGUMENT = 255, XFER_DNNL_PADDED_DIMS = 260, XFER_DNNL_FORMAT_KIND = 262, XFER_DNNL_BLOCK_COUNT = 263,
  XFER_DNNL_BLOCK_SIZES = 264, XFER_DNNL_BLOCK_DIMS = 265 };
enum { /* arguments of an execution */
  XFER_DNNL_ARG_SRC = 1, XFER_DNNL_ARG_DST = 17, XFER_DNNL_ARG_WEIGHTS = 33, XFER_DNNL_ARG_BIAS = 41,
  XFER_DNNL_ARG_WORKSPACE = 64, XFER_DNNL_ARG_SCRATCHPAD = 80, XFER_DNNL_ARG_DIFF_SRC = 129, XFER_DNNL_ARG_DIFF_DST = 145,
  XFER_DNNL_ARG_DIFF_WEIGHTS = 161 };

typedef const int64_t *xfer_dnnl_dims;

/* The memory descriptor of version 2, up to where blocked layouts end. */
typedef struct {
  int     ndims;
  int64_t dims[XFER_DNNL_MAX_DIMS];
  int     data_type;
  int64_t padded_dims[XFER_DNNL_MAX_DIMS], padded_offsets[XFER_DNNL_MAX_DIMS], offset0;
  int     format_kind;
  int64_t strides[XFER_DNNL_MAX_DIMS];
  int     inner_nblks;
  int64_t inner_blks[XFER_DNNL_MAX_DIMS], inner_idxs[XFER_DNNL_MAX_DIMS];
} xfer_dnnl_md_v2;

/* Each line: result, name without "dnnl_", parameters. Everything but the first list returns a dnnl_status_t. */
#define XFER_DNNL_BOTH(F) \
  F(int, engine_create, (void **engine, int kind, size_t index)) \
  F(int, engine_destroy, (void *engine)) \
  F(int, stream_create, (void **stream, void *engine, unsigned flags)) \
  F(int, stream_wait, (void *stream)) \
  F(int, stream_destroy, (void *stream)) \
  F(int, memory_create, (void **memory, xfer_dnnl_md md, void *engine, void *handle)) \
  F(int, memory_set_data_handle, (void *memory, void *handle)) \
  F(int, memory_destroy, (void *memory)) \
  F(int, memory_desc_equal, (xfer_dnnl_md a, xfer_dnnl_md b)) \
  F(size_t, memory_desc_get_size, (xfer_dnnl_md md)) \
  F(int, primitive_desc_query, (const void *pd, int what, int index, void *result)) \
  F(xfer_dnnl_md, primitive_desc_query_md, (const void *pd, int what, int index)) \
  F(int, primitive_desc_destroy, (void *pd)) \
  F(int, primitive_create, (void **primitive, const void *pd)) \
  F(int, primitive_execute, (const void *primitive, void *stream, int count, const xfer_dnnl_arg *arguments)) \
  F(int, primitive_destroy, (void *primitive)) \
  F(int, primitive_attr_create, (void **attr)) \
  F(int, primitive_attr_destroy, (void *attr)) \
  F(int, primitive_attr_set_scratchpad_mode, (void *attr, int mode)) \
  F(int, primitive_attr_set_fpmath_mode, (void *attr, int mode)) \
  F(int, primitive_attr_set_post_ops, (void *attr, const void *post_ops)) \
  F(int, post_ops_create, (void **post_ops)) \
  F(int, post_ops_destroy, (void *post_ops)) \
  F(int, reorder_primitive_desc_create, (void **pd, xfer_dnnl_md from, void *engine, xfer_dnnl_md to, void *other, const void *attr)) \
  F(int, set_max_cpu_isa, (int isa)) \
  F(int, get_effective_cpu_isa, (void))

#define XFER_DNNL_V2(F) \
  F(int, memory_desc_init_by_strides, (void *md, int rank, xfer_dnnl_dims dims, int type, xfer_dnnl_dims strides)) \
  F(int, memory_desc_init_by_tag, (void *md, int rank, xfer_dnnl_dims dims, int type, int tag)) \
  F(int, primitive_desc_create, (void **pd, const void *op, const void *attr, void *engine, const void *forward)) \
  F(int, dilated_convolution_forward_desc_init, (void *op, int kind, int algorithm, xfer_dnnl_md src, xfer_dnnl_md weights, \
    xfer_dnnl_md bias, xfer_dnnl_md dst, xfer_dnnl_dims strides, xfer_dnnl_dims dilates, xfer_dnnl_dims before, xfer_dnnl_dims after)) \
  F(int, dilated_convolution_backward_data_desc_init, (void *op, int algorithm, xfer_dnnl_md src, xfer_dnnl_md weights, \
    xfer_dnnl_md dst, xfer_dnnl_dims strides, xfer_dnnl_dims dilates, xfer_dnnl_dims before, xfer_dnnl_dims after)) \
  F(int, dilated_convolution_backward_weights_desc_init, (void *op, int algorithm, xfer_dnnl_md src, xfer_dnnl_md weights, \
    xfer_dnnl_md bias, xfer_dnnl_md dst, xfer_dnnl_dims strides, xfer_dnnl_dims dilates, xfer_dnnl_dims before, xfer_dnnl_dims after)) \
  F(int, matmul_desc_init, (void *op, xfer_dnnl_md src, xfer_dnnl_md weights, xfer_dnnl_md bias, xfer_dnnl_md dst)) \
  F(int, pooling_forward_desc_init, (void *op, int kind, int algorithm, xfer_dnnl_md src, xfer_dnnl_md dst, xfer_dnnl_dims strides, \
    xfer_dnnl_dims window, xfer_dnnl_dims before, xfer_dnnl_dims after)) \
  F(int, pooling_backward_desc_init, (void *op, int algorithm, xfer_dnnl_md src, xfer_dnnl_md dst, xfer_dnnl_dims strides, \
    xfer_dnnl_dims window, xfer_dnnl_dims before, xfer_dnnl_dims after))

#define XFER_DNNL_V3(F) \
  F(int, memory_desc_create_with_strides, (void **md, int rank, xfer_dnnl_dims dims, int type, xfer_dnnl_dims strides)) \
  F(int, memory_desc_create_with_tag, (void **md, int rank, xfer_dnnl_dims dims, int type, int tag)) \
  F(int, memory_desc_destroy, (void *md)) \
  F(int, memory_desc_query, (xfer_dnnl_md md, int what, void *result)) \
  F(int, convolution_forward_primitive_desc_create, (void **pd, void *engine, int kind, int algorithm, xfer_dnnl_md src, \
    xfer_dnnl_md weights, xfer_dnnl_md bias, xfer_dnnl_md dst, xfer_dnnl_dims strides, xfer_dnnl_dims dilates, xfer_dnnl_dims before, \
    xfer_dnnl_dims after, const void *attr)) \
  F(int, convolution_backward_data_primitive_desc_create, (void **pd, void *engine, int algorithm, xfer_dnnl_md src, \
    xfer_dnnl_md weights, xfer_dnnl_md dst, xfer_dnnl_dims strides, xfer_dnnl_dims dilates, xfer_dnnl_dims before, \
    xfer_dnnl_dims after, const void *forward, const void *attr)) \
  F(int, convolution_backward_weights_primitive_desc_create, (void **pd, void *engine, int algorithm, xfer_dnnl_md src, \
    xfer_dnnl_md weights, xfer_dnnl_md bias, xfer_dnnl_md dst, xfer_dnnl_dims strides, xfer_dnnl_dims dilates, xfer_dnnl_dims before, \
    xfer_dnnl_dims after, const void *forward, const void *attr)) \
  F(int, matmul_primitive_desc_create, (void **pd, void *engine, xfer_dnnl_md src, xfer_dnnl_md weights, xfer_dnnl_md bias, \
    xfer_dnnl_md dst, const void *attr)) \
  F(int, pooling_forward_primitive_desc_create, (void **pd, void *engine, int kind, int algorithm, xfer_dnnl_md src, xfer_dnnl_md dst, \
    xfer_dnnl_dims strides, xfer_dnnl_dims window, xfer_dnnl_dims dilates, xfer_dnnl_dims before, xfer_dnnl_dims after, const void *attr)) \
  F(int, pooling_backward_primitive_desc_create, (void **pd, void *engine, int algorithm, xfer_dnnl_md src, xfer_dnnl_md dst, \
    xfer_dnnl_dims strides, xfer_dnnl_dims window, xfer_dnnl_dims dilates, xfer_dnnl_dims before, xfer_dnnl_dims after, \
    const void *forward, const void *attr))

/* The library's functions. The two without a type have other parameters in version 2 than in version 3. */
typedef struct xfer_dnnl {
  int   major;
  void *engine;
#define FIELD(result, name, parameters) result (*name) parameters;
  XFER_DNNL_BOTH(FIELD)
  XFER_DNNL_V2(FIELD)
  XFER_DNNL_V3(FIELD)
#undef FIELD
  void *post_ops_append_eltwise, *post_ops_append_sum;
  void (*omp_set_num_threads)(int); /* both NULL where the library runs on the caller's thread alone */
  int  (*omp_get_max_threads)(void);
  char version[32];
  char tried[1024];                 /* why no library was taken */
} xfer_dnnl;

static inline const char *xfer_dnnl_version_text(const xfer_dnnl *d) { return d->version; }

static inline const char *xfer_dnnl_status(int status) {
  static const char *const names[] = {
    "dnnl_success", "dnnl_out_of_memory", "dnnl_invalid_arguments", "dnnl_unimplemented", "dnnl_last_impl_reached",
    "dnnl_runtime_error", "dnnl_not_required" };
  return status >= 0 && status < (int)(sizeof names / sizeof *names) ? names[status] : "an unknown status";
}

#endif
