/* A register of floats seen as bits, and its halves as doubles and as 64-bit integers, for what floats are too short for. Static
 * inline only. Written once for all variants: the compiler picks the instructions. */
#ifndef XFER_WIDE_OPS_H
#define XFER_WIDE_OPS_H
#include "VectorOps.h"

typedef int32_t xfer_ints __attribute__((vector_size(XFER_LANES * 4)));
typedef double xfer_half __attribute__((vector_size(XFER_LANES * 4)));
typedef int64_t xfer_half_bits __attribute__((vector_size(XFER_LANES * 4)));
typedef uint64_t xfer_words __attribute__((vector_size(XFER_LANES * 4)));

#if XFER_LANES == 16
#define XFER_LOW 0, 1, 2, 3, 4, 5, 6, 7
#define XFER_HIGH 8, 9, 10, 11, 12, 13, 14, 15
#elif XFER_LANES == 8
#define XFER_LOW 0, 1, 2, 3
#define XFER_HIGH 4, 5, 6, 7
#else
#define XFER_LOW 0, 1
#define XFER_HIGH 2, 3
#endif

XFER_INLINE xfer_half xfer_vec_low(xfer_vec a) {
  return __builtin_convertvector(__builtin_shufflevector(a, a, XFER_LOW), xfer_half);
}
XFER_INLINE xfer_half xfer_vec_high(xfer_vec a) {
  return __builtin_convertvector(__builtin_shufflevector(a, a, XFER_HIGH), xfer_half);
}
/* Both halves, rounded to floats. */
XFER_INLINE xfer_vec xfer_vec_joined(xfer_half low, xfer_half high) {
  typedef float xfer_few __attribute__((vector_size(XFER_LANES * 2)));
  return __builtin_shufflevector(__builtin_convertvector(low, xfer_few), __builtin_convertvector(high, xfer_few), XFER_LOW, XFER_HIGH);
}

/* c + a*b in one instruction, where there is one: Swift's addingProduct goes lane by lane, which the compiler does not always undo. */
#if defined(__FMA__)
XFER_INLINE xfer_vec xfer_vec_multiply_add(xfer_vec c, xfer_vec a, xfer_vec b) { return __builtin_elementwise_fma(a, b, c); }
XFER_INLINE xfer_half xfer_half_multiply_add(xfer_half c, xfer_half a, xfer_half b) { return __builtin_elementwise_fma(a, b, c); }
#else
XFER_INLINE xfer_vec xfer_vec_multiply_add(xfer_vec c, xfer_vec a, xfer_vec b) { return c + a * b; }
XFER_INLINE xfer_half xfer_half_multiply_add(xfer_half c, xfer_half a, xfer_half b) { return c + a * b; }
#endif

/* a < b ? x : y */
XFER_INLINE xfer_half xfer_half_if_less(xfer_half a, xfer_half b, xfer_half x, xfer_half y) {
  xfer_half_bits mask = a < b;
  return (xfer_half)((mask & (xfer_half_bits)x) | (~mask & (xfer_half_bits)y));
}
XFER_INLINE xfer_half xfer_half_sqrt(xfer_half a) { return __builtin_elementwise_sqrt(a); }

/* The whole number next to a, |a| below 2^51; and bits whose low ones are those of that number. */
XFER_INLINE xfer_half xfer_half_round(xfer_half a) { return (a + 0x1.8p52) - 0x1.8p52; }
XFER_INLINE xfer_half_bits xfer_half_round_bits(xfer_half a) { return (xfer_half_bits)(a + 0x1.8p52); }
/* a * 2^n for the number whose low bits are given; a and the result are normal numbers. */
XFER_INLINE xfer_half xfer_half_scale2(xfer_half a, xfer_half_bits n) { return (xfer_half)((xfer_half_bits)a + (n << 52)); }
/* x where the number whose low bits are given is even, y where it is odd; the other sign where its second bit is set. */
XFER_INLINE xfer_half xfer_half_quarter(xfer_half_bits n, xfer_half x, xfer_half y) {
  xfer_half_bits odd = -(n & 1);
  return (xfer_half)(((odd & (xfer_half_bits)y) | (~odd & (xfer_half_bits)x)) ^ ((n & 2) << 62));
}
/* a = m * 2^n for a normal number above 0, m within sqrt(1/2)...sqrt(2). */
XFER_INLINE xfer_half_bits xfer_half_places(xfer_half a) { return ((xfer_half_bits)a - 0x3fe6a09e667f3bcd) >> 52; }
XFER_INLINE xfer_half xfer_half_m(xfer_half a) { return (xfer_half)((xfer_half_bits)a - (xfer_half_places(a) << 52)); }
XFER_INLINE xfer_half xfer_half_n(xfer_half a) {
  /* The integer in the low bits of 1.5*2^52, which taken off leaves it as a number. */
  return (xfer_half)(xfer_half_places(a) + 0x4338000000000000) - 0x1.8p52;
}

/* For a normal number a above 0: what is taken off its exponent to bring it to 2/3...4/3. */
XFER_INLINE xfer_ints xfer_vec_shift(xfer_vec a) { return ((xfer_ints)a - 0x3f2aaaab) & (int32_t)0xff800000; }
/* The powers of two that a shift is, as a number. */
XFER_INLINE xfer_vec xfer_ints_number(xfer_ints shift) { return __builtin_convertvector(shift >> 23, xfer_vec); }
/* The number whose exponent is a's less `shift`. */
XFER_INLINE xfer_vec xfer_vec_shifted(xfer_vec a, xfer_ints shift) { return (xfer_vec)((xfer_ints)a - shift); }

/* The low bits of two halves' numbers, in lanes of floats. */
XFER_INLINE xfer_ints xfer_ints_joined(xfer_half_bits low, xfer_half_bits high) {
  typedef int32_t xfer_few_ints __attribute__((vector_size(XFER_LANES * 2)));
  return __builtin_shufflevector(
      __builtin_convertvector(low, xfer_few_ints), __builtin_convertvector(high, xfer_few_ints), XFER_LOW, XFER_HIGH);
}
/* x where n is even, y where it is odd; the other sign where n's second bit is set. */
XFER_INLINE xfer_vec xfer_vec_quarter(xfer_ints n, xfer_vec x, xfer_vec y) {
  xfer_ints odd = -(n & 1);
  return (xfer_vec)(((odd & (xfer_ints)y) | (~odd & (xfer_ints)x)) ^ ((n & 2) << 30));
}
/* a, its sign turned where that of `sign` is set. */
XFER_INLINE xfer_vec xfer_vec_times_sign(xfer_vec a, xfer_vec sign) {
  return (xfer_vec)((xfer_ints)a ^ ((xfer_ints)sign & (int32_t)0x80000000));
}

XFER_INLINE xfer_ints xfer_ints_places(void) {
#if XFER_LANES == 16
  return (xfer_ints){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#elif XFER_LANES == 8
  return (xfer_ints){0, 1, 2, 3, 4, 5, 6, 7};
#else
  return (xfer_ints){0, 1, 2, 3};
#endif
}
/* The first n lanes of a, the others those of b. */
XFER_INLINE xfer_vec xfer_vec_first(xfer_vec a, int64_t n, xfer_vec b) {
  xfer_ints mask = xfer_ints_places() < (int32_t)n;
  return (xfer_vec)((mask & (xfer_ints)a) | (~mask & (xfer_ints)b));
}
/* a with 0 in one lane, or as it is where there is no such lane. */
XFER_INLINE xfer_vec xfer_vec_without(xfer_vec a, int64_t lane) {
  xfer_ints mask = xfer_ints_places() != (int32_t)lane;
  return (xfer_vec)(mask & (xfer_ints)a);
}
/* The largest lane, NaN passed over. */
XFER_INLINE float xfer_vec_peak(xfer_vec a) { return __builtin_reduce_max(a); }

/* The finaliser of SplitMix64 in each lane; its upper 24 bits as a number in [0, 1). */
XFER_INLINE xfer_words xfer_words_mix(xfer_words z) {
  z += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}
XFER_INLINE xfer_half xfer_words_uniform(xfer_words z) {
  /* An integer below 2^52 in the low bits of 2^52 is its sum with 2^52. */
  xfer_half sum = (xfer_half)((z >> 40) | 0x4330000000000000u);
  return (sum - 0x1p52) * 0x1p-24;
}
/* first, first + step, first + 2*step ... */
XFER_INLINE xfer_words xfer_words_from(uint64_t first, uint64_t step) {
#if XFER_LANES == 16
  const xfer_words places = {0, 1, 2, 3, 4, 5, 6, 7};
#elif XFER_LANES == 8
  const xfer_words places = {0, 1, 2, 3};
#else
  const xfer_words places = {0, 1};
#endif
  return first + places * step;
}
#endif
