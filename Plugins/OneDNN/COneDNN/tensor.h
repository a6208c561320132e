/* Tensors in a plain layout, and how they become memory descriptors of either version. */
#ifndef XFER_ONEDNN_TENSOR_H
#define XFER_ONEDNN_TENSOR_H

#include "api.h"
#include <string.h>

enum { XFER_DNNL_RANK = 5 };

/* Rank 0: there is none. any: the library chooses the layout. */
typedef struct {
  int     rank, any;
  int64_t dims[XFER_DNNL_RANK], strides[XFER_DNNL_RANK];
} xfer_dnnl_tensor;

/* A descriptor while it is needed: in place for version 2, whose structure has 696 bytes, or made by the library. */
typedef struct {
  uint64_t place[128];
  void    *made;
} xfer_dnnl_made;

static inline int xfer_dnnl_make(const xfer_dnnl *d, const xfer_dnnl_tensor *t, xfer_dnnl_made *made) {
  memset(made, 0, sizeof *made);
  if (t->rank == 0) return 0;
  int64_t dims[XFER_DNNL_MAX_DIMS] = { 0 }, strides[XFER_DNNL_MAX_DIMS] = { 0 };
  memcpy(dims, t->dims, sizeof t->dims);
  memcpy(strides, t->strides, sizeof t->strides);
  if (d->major == 2)
    return t->any ? d->memory_desc_init_by_tag(made->place, t->rank, dims, XFER_DNNL_F32, XFER_DNNL_ANY)
                  : d->memory_desc_init_by_strides(made->place, t->rank, dims, XFER_DNNL_F32, strides);
  return t->any ? d->memory_desc_create_with_tag(&made->made, t->rank, dims, XFER_DNNL_F32, XFER_DNNL_ANY)
                : d->memory_desc_create_with_strides(&made->made, t->rank, dims, XFER_DNNL_F32, strides);
}

static inline xfer_dnnl_md xfer_dnnl_use(const xfer_dnnl *d, const xfer_dnnl_tensor *t, const xfer_dnnl_made *made) {
  return t->rank == 0 ? NULL : d->major == 2 ? (xfer_dnnl_md)made->place : made->made;
}

static inline void xfer_dnnl_unmake(const xfer_dnnl *d, xfer_dnnl_made *made) {
  if (made->made) d->memory_desc_destroy(made->made);
}

static inline int xfer_dnnl_plain_memory(const xfer_dnnl *d, const xfer_dnnl_tensor *t, void **memory) {
  xfer_dnnl_made made;
  int status = xfer_dnnl_make(d, t, &made);
  if (!status) status = d->memory_create(memory, xfer_dnnl_use(d, t, &made), d->engine, NULL);
  xfer_dnnl_unmake(d, &made);
  return status;
}

static inline int xfer_dnnl_is_plain(const xfer_dnnl *d, const xfer_dnnl_tensor *t, xfer_dnnl_md md, int *plain) {
  xfer_dnnl_made made;
  int status = xfer_dnnl_make(d, t, &made);
  if (!status) *plain = d->memory_desc_equal(xfer_dnnl_use(d, t, &made), md);
  xfer_dnnl_unmake(d, &made);
  return status;
}

static inline uint64_t xfer_dnnl_mix(uint64_t key, int64_t value) {
  key = (key ^ (uint64_t)value) * 0x100000001b3u;
  return key ^ key >> 29;
}

/* A number for what comes of a plain tensor in a blocked layout; 0 for a layout that no field tells. The plain tensor counts as well:
 * a matrix and its transpose may fill the same blocks, with other numbers. */
static inline uint64_t xfer_dnnl_layout(const xfer_dnnl *d, const xfer_dnnl_tensor *plain, xfer_dnnl_md md) {
  int kind = 0, blocks = 0;
  const int64_t *padded = NULL, *strides = NULL, *sizes = NULL, *places = NULL;
  if (d->major == 2) {
    const xfer_dnnl_md_v2 *v = (const xfer_dnnl_md_v2 *)md;
    kind = v->format_kind, blocks = v->inner_nblks;
    padded = v->padded_dims, strides = v->strides, sizes = v->inner_blks, places = v->inner_idxs;
  } else if (d->memory_desc_query(md, XFER_DNNL_FORMAT_KIND, &kind) || kind != XFER_DNNL_BLOCKED ||
             d->memory_desc_query(md, XFER_DNNL_BLOCK_COUNT, &blocks) || d->memory_desc_query(md, XFER_DNNL_PADDED_DIMS, &padded) ||
             d->memory_desc_query(md, XFER_DNNL_STRIDES, &strides) ||
             (blocks && (d->memory_desc_query(md, XFER_DNNL_BLOCK_SIZES, &sizes) || d->memory_desc_query(md, XFER_DNNL_BLOCK_DIMS, &places)))) {
    return 0;
  }
  if (kind != XFER_DNNL_BLOCKED) return 0;
  uint64_t key = xfer_dnnl_mix(0xcbf29ce484222325u, d->major);
  for (int i = 0; i < plain->rank; i++) {
    key = xfer_dnnl_mix(xfer_dnnl_mix(key, plain->dims[i]), plain->strides[i]);
    key = xfer_dnnl_mix(xfer_dnnl_mix(key, padded[i]), strides[i]);
  }
  for (int i = 0; i < blocks; i++) key = xfer_dnnl_mix(xfer_dnnl_mix(key, sizes[i]), places[i]);
  return key ? key : 1;
}

#endif
