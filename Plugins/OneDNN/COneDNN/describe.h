/* One operation in words of neither version, and the primitive descriptor the library makes of it. */
#ifndef XFER_ONEDNN_DESCRIBE_H
#define XFER_ONEDNN_DESCRIBE_H

#include "tensor.h"

enum { XFER_DNNL_CONVOLUTION = 1, XFER_DNNL_MATMUL = 2, XFER_DNNL_POOLING = 3 };
/* KEPT is the forward direction that fills the workspace a gradient reads. */
enum { XFER_DNNL_FORWARD = 0, XFER_DNNL_FORWARD_KEPT = 1, XFER_DNNL_TO_SRC = 2, XFER_DNNL_TO_WEIGHTS = 3 };

/* Tensors from the point of view of the forward operation: of a gradient, src and dst are the gradients' shapes. */
typedef struct {
  int kind, direction, algorithm;
  xfer_dnnl_tensor src, weights, bias, dst;
  int64_t strides[2], dilates[2], window[2], before[2], after[2];
  int   residual;          /* what dst holds already is added before the activation */
  int   relu, clip;        /* clip: also an upper bound   */
  float slope, top;
} xfer_dnnl_problem;

/* Says which call failed. */
typedef struct { int status; const char *call; } xfer_dnnl_outcome;

static inline xfer_dnnl_outcome xfer_dnnl_said(int status, const char *call) {
  xfer_dnnl_outcome outcome = { status, call };
  return outcome;
}

static inline int xfer_dnnl_eltwise(const xfer_dnnl *d, void *post_ops, int v2, int v3, float alpha, float beta) {
  if (d->major == 2) return ((int (*)(void *, float, int, float, float))d->post_ops_append_eltwise)(post_ops, 1, v2, alpha, beta);
  return ((int (*)(void *, int, float, float))d->post_ops_append_eltwise)(post_ops, v3, alpha, beta);
}

static inline int xfer_dnnl_sum(const xfer_dnnl *d, void *post_ops) {
  if (d->major == 2) return ((int (*)(void *, float))d->post_ops_append_sum)(post_ops, 1);
  return ((int (*)(void *, float, int32_t, int))d->post_ops_append_sum)(post_ops, 1, 0, XFER_DNNL_F32);
}

/* Scratch memory is the caller's, float stays float, and what follows the sums. */
static inline xfer_dnnl_outcome xfer_dnnl_attributes(const xfer_dnnl *d, const xfer_dnnl_problem *p, void **attr) {
  void *post_ops = NULL;
  int status = d->primitive_attr_create(attr);
  if (status) return xfer_dnnl_said(status, "dnnl_primitive_attr_create");
  status = d->primitive_attr_set_scratchpad_mode(*attr, XFER_DNNL_SCRATCHPAD_USER);
  if (!status) status = d->primitive_attr_set_fpmath_mode(*attr, XFER_DNNL_FPMATH_STRICT);
  if (status) return xfer_dnnl_said(status, "dnnl_primitive_attr_set_scratchpad_mode");
  if (!p || p->direction != XFER_DNNL_FORWARD || !(p->residual || p->relu)) return xfer_dnnl_said(0, NULL);
  status = d->post_ops_create(&post_ops);
  if (!status && p->residual) status = xfer_dnnl_sum(d, post_ops);
  if (!status && p->relu && !(p->clip && p->slope == 0)) status = xfer_dnnl_eltwise(d, post_ops, XFER_DNNL_RELU_V2, XFER_DNNL_RELU_V3, p->slope, 0);
  if (!status && p->clip)
    status = xfer_dnnl_eltwise(d, post_ops, XFER_DNNL_CLIP_V2, XFER_DNNL_CLIP_V3, p->slope == 0 ? 0 : -__builtin_inff(), p->top);
  if (!status) status = d->primitive_attr_set_post_ops(*attr, post_ops);
  if (post_ops) d->post_ops_destroy(post_ops);
  return xfer_dnnl_said(status, "dnnl_primitive_attr_set_post_ops");
}

typedef struct { xfer_dnnl_md src, weights, bias, dst; } xfer_dnnl_mds;

/* Version 2: an operation descriptor (at most 5,976 bytes), then the primitive descriptor of it. */
static inline xfer_dnnl_outcome xfer_dnnl_describe_v2(
    const xfer_dnnl *d, const xfer_dnnl_problem *p, xfer_dnnl_mds m, const void *attr, const void *forward, void **pd) {
  uint64_t op[1024];
  int status;
  const char *call;
  memset(op, 0, sizeof op);
  int kind = p->direction == XFER_DNNL_FORWARD ? XFER_DNNL_INFERENCE : XFER_DNNL_TRAINING;
  if (p->kind == XFER_DNNL_MATMUL) {
    call = "dnnl_matmul_desc_init";
    status = d->matmul_desc_init(op, m.src, m.weights, m.bias, m.dst);
  } else if (p->kind == XFER_DNNL_POOLING) {
    call = "dnnl_pooling_desc_init";
    status = p->direction == XFER_DNNL_TO_SRC
                 ? d->pooling_backward_desc_init(op, p->algorithm, m.src, m.dst, p->strides, p->window, p->before, p->after)
                 : d->pooling_forward_desc_init(op, kind, p->algorithm, m.src, m.dst, p->strides, p->window, p->before, p->after);
  } else {
    call = "dnnl_dilated_convolution_desc_init";
    if (p->direction == XFER_DNNL_TO_SRC)
      status = d->dilated_convolution_backward_data_desc_init(
          op, p->algorithm, m.src, m.weights, m.dst, p->strides, p->dilates, p->before, p->after);
    else if (p->direction == XFER_DNNL_TO_WEIGHTS)
      status = d->dilated_convolution_backward_weights_desc_init(
          op, p->algorithm, m.src, m.weights, NULL, m.dst, p->strides, p->dilates, p->before, p->after);
    else
      status = d->dilated_convolution_forward_desc_init(
          op, kind, p->algorithm, m.src, m.weights, m.bias, m.dst, p->strides, p->dilates, p->before, p->after);
  }
  if (status) return xfer_dnnl_said(status, call);
  return xfer_dnnl_said(d->primitive_desc_create(pd, op, attr, d->engine, forward), "dnnl_primitive_desc_create");
}

static inline xfer_dnnl_outcome xfer_dnnl_describe_v3(
    const xfer_dnnl *d, const xfer_dnnl_problem *p, xfer_dnnl_mds m, const void *attr, const void *forward, void **pd) {
  static const int64_t dense[2] = { 0, 0 };
  int kind = p->direction == XFER_DNNL_FORWARD ? XFER_DNNL_INFERENCE : XFER_DNNL_TRAINING;
  if (p->kind == XFER_DNNL_MATMUL)
    return xfer_dnnl_said(
        d->matmul_primitive_desc_create(pd, d->engine, m.src, m.weights, m.bias, m.dst, attr), "dnnl_matmul_primitive_desc_create");
  if (p->kind == XFER_DNNL_POOLING && p->direction == XFER_DNNL_TO_SRC)
    return xfer_dnnl_said(
        d->pooling_backward_primitive_desc_create(
            pd, d->engine, p->algorithm, m.src, m.dst, p->strides, p->window, dense, p->before, p->after, forward, attr),
        "dnnl_pooling_backward_primitive_desc_create");
  if (p->kind == XFER_DNNL_POOLING)
    return xfer_dnnl_said(
        d->pooling_forward_primitive_desc_create(
            pd, d->engine, kind, p->algorithm, m.src, m.dst, p->strides, p->window, dense, p->before, p->after, attr),
        "dnnl_pooling_forward_primitive_desc_create");
  if (p->direction == XFER_DNNL_TO_SRC)
    return xfer_dnnl_said(
        d->convolution_backward_data_primitive_desc_create(
            pd, d->engine, p->algorithm, m.src, m.weights, m.dst, p->strides, p->dilates, p->before, p->after, forward, attr),
        "dnnl_convolution_backward_data_primitive_desc_create");
  if (p->direction == XFER_DNNL_TO_WEIGHTS)
    return xfer_dnnl_said(
        d->convolution_backward_weights_primitive_desc_create(
            pd, d->engine, p->algorithm, m.src, m.weights, NULL, m.dst, p->strides, p->dilates, p->before, p->after, forward, attr),
        "dnnl_convolution_backward_weights_primitive_desc_create");
  return xfer_dnnl_said(
      d->convolution_forward_primitive_desc_create(
          pd, d->engine, kind, p->algorithm, m.src, m.weights, m.bias, m.dst, p->strides, p->dilates, p->before, p->after, attr),
      "dnnl_convolution_forward_primitive_desc_create");
}

/* The primitive descriptor of p. A gradient needs `forward`, that of the forward direction; NULL else. */
static inline xfer_dnnl_outcome xfer_dnnl_describe(const xfer_dnnl *d, const xfer_dnnl_problem *p, const void *forward, void **pd) {
  xfer_dnnl_made src, weights, bias, dst;
  void *attr = NULL;
  int status = xfer_dnnl_make(d, &p->src, &src), other = xfer_dnnl_make(d, &p->weights, &weights);
  if (!status) status = other;
  other = xfer_dnnl_make(d, &p->bias, &bias);
  if (!status) status = other;
  other = xfer_dnnl_make(d, &p->dst, &dst);
  if (!status) status = other;
  xfer_dnnl_outcome outcome = xfer_dnnl_said(status, d->major == 2 ? "dnnl_memory_desc_init" : "dnnl_memory_desc_create");
  xfer_dnnl_mds m = { xfer_dnnl_use(d, &p->src, &src), xfer_dnnl_use(d, &p->weights, &weights), xfer_dnnl_use(d, &p->bias, &bias),
                      xfer_dnnl_use(d, &p->dst, &dst) };
  if (!outcome.status) outcome = xfer_dnnl_attributes(d, p, &attr);
  if (!outcome.status)
    outcome = d->major == 2 ? xfer_dnnl_describe_v2(d, p, m, attr, forward, pd) : xfer_dnnl_describe_v3(d, p, m, attr, forward, pd);
  if (attr) d->primitive_attr_destroy(attr);
  xfer_dnnl_unmake(d, &src);
  xfer_dnnl_unmake(d, &weights);
  xfer_dnnl_unmake(d, &bias);
  xfer_dnnl_unmake(d, &dst);
  return outcome;
}

/* A reorder between layouts; NULL stands for the plain one. The scratch memory is the caller's. */
static inline xfer_dnnl_outcome xfer_dnnl_reorder(const xfer_dnnl *d, const xfer_dnnl_tensor *plain, xfer_dnnl_md from, xfer_dnnl_md to, void **pd) {
  xfer_dnnl_made made;
  void *attr = NULL;
  xfer_dnnl_outcome outcome = xfer_dnnl_said(xfer_dnnl_make(d, plain, &made), "dnnl_memory_desc_create_with_strides");
  if (!outcome.status) outcome = xfer_dnnl_attributes(d, NULL, &attr);
  if (!from) from = xfer_dnnl_use(d, plain, &made);
  if (!to) to = xfer_dnnl_use(d, plain, &made);
  if (!outcome.status)
    outcome = xfer_dnnl_said(d->reorder_primitive_desc_create(pd, from, d->engine, to, d->engine, attr), "dnnl_reorder_primitive_desc_create");
  if (attr) d->primitive_attr_destroy(attr);
  xfer_dnnl_unmake(d, &made);
  return outcome;
}

/* Lays plain weights out once. Scratch memory is the library's own: this is no execution of a kernel. */
static inline xfer_dnnl_outcome xfer_dnnl_lay_out(const xfer_dnnl *d, const xfer_dnnl_tensor *plain, xfer_dnnl_md layout, void *from, void *to) {
  xfer_dnnl_made made;
  void *pd = NULL, *primitive = NULL, *stream = NULL, *source = NULL, *target = NULL;
  const char *call = "dnnl_memory_desc_create_with_strides";
  int status = xfer_dnnl_make(d, plain, &made);
  xfer_dnnl_md md = xfer_dnnl_use(d, plain, &made);
#define NEXT(name, arguments) if (!status) call = "dnnl_" #name, status = d->name arguments
  NEXT(reorder_primitive_desc_create, (&pd, md, d->engine, layout, d->engine, NULL));
  NEXT(primitive_create, (&primitive, pd));
  NEXT(stream_create, (&stream, d->engine, XFER_DNNL_IN_ORDER));
  NEXT(memory_create, (&source, md, d->engine, from));
  NEXT(memory_create, (&target, layout, d->engine, to));
  xfer_dnnl_arg arguments[2] = { { XFER_DNNL_ARG_SRC, source }, { XFER_DNNL_ARG_DST, target } };
  NEXT(primitive_execute, (primitive, stream, 2, arguments));
  NEXT(stream_wait, (stream));
#undef NEXT
  if (target) d->memory_destroy(target);
  if (source) d->memory_destroy(source);
  if (stream) d->stream_destroy(stream);
  if (primitive) d->primitive_destroy(primitive);
  if (pd) d->primitive_desc_destroy(pd);
  xfer_dnnl_unmake(d, &made);
  return xfer_dnnl_said(status, call);
}

#endif
