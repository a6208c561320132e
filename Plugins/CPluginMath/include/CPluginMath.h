/* The few functions of libm the kernels need, spelt so that Embedded Swift can call them. Static inline only. */
#ifndef CPLUGIN_MATH_H
#define CPLUGIN_MATH_H

static inline double xfer_exp(double x)   { return __builtin_exp(x); }
static inline double xfer_expm1(double x) { return __builtin_expm1(x); }
static inline double xfer_log(double x)   { return __builtin_log(x); }
static inline double xfer_log1p(double x) { return __builtin_log1p(x); }
static inline double xfer_tanh(double x)  { return __builtin_tanh(x); }
static inline double xfer_erf(double x)   { return __builtin_erf(x); }
static inline double xfer_fabs(double x)  { return __builtin_fabs(x); }
static inline double xfer_sin(double x)   { return __builtin_sin(x); }
static inline double xfer_cos(double x)   { return __builtin_cos(x); }
static inline double xfer_pow(double x, double y) { return __builtin_pow(x, y); }
static inline double xfer_floor(double x) { return __builtin_floor(x); }
/* To the nearest integer, halves to even; relies on the default rounding mode, which no plugin may change. */
static inline double xfer_rint(double x)  { return __builtin_rint(x); }

#endif
