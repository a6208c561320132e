/* bfloat16, the upper half of a float, two in a 32-bit lane: the even one in the low half. Static inline only. */
#ifndef XFER_HALF_OPS_H
#define XFER_HALF_OPS_H
#include "WideOps.h"

/* Whether products of pairs are one instruction (vdpbf16ps); otherwise pairs are taken apart and multiplied as floats. */
#if defined(__AVX512BF16__) && XFER_LANES == 16
#define XFER_PAIR_PRODUCTS 1
#else
#define XFER_PAIR_PRODUCTS 0
#endif

/* The upper 16 bits are those of the nearest bfloat16, of two as near the even one; the lower ones are garbage. NaN stays NaN. */
XFER_INLINE xfer_ints xfer_vec_to_half(xfer_vec a) {
  xfer_ints bits = (xfer_ints)a;
  xfer_ints rounded = bits + 0x7fff + ((bits >> 16) & 1);
  xfer_ints nan = a != a;
  return (nan & (bits | 0x400000)) | (~nan & rounded);
}

/* Lane i holds a[i] in its low half, b[i] in its high one. */
XFER_INLINE xfer_vec xfer_vec_pair(xfer_vec a, xfer_vec b) {
#if XFER_PAIR_PRODUCTS
  __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(a));
  __m512i high = _mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(b)), 16);
  return _mm512_castsi512_ps(_mm512_or_si512(low, high));
#else
  typedef uint32_t xfer_unsigned __attribute__((vector_size(XFER_LANES * 4)));
  return (xfer_vec)(((xfer_unsigned)xfer_vec_to_half(a) >> 16) | ((xfer_unsigned)xfer_vec_to_half(b) & 0xffff0000u));
#endif
}

/* The halves of each lane as floats. */
XFER_INLINE xfer_vec xfer_vec_even(xfer_vec pairs) { return (xfer_vec)((xfer_ints)pairs << 16); }
XFER_INLINE xfer_vec xfer_vec_odd(xfer_vec pairs) { return (xfer_vec)((xfer_ints)pairs & (int32_t)0xffff0000); }

#if XFER_PAIR_PRODUCTS
/* c + a.even*b.even + a.odd*b.odd; denormals count as 0. */
XFER_INLINE xfer_vec xfer_vec_pair_product(xfer_vec c, xfer_vec a, xfer_vec b) {
  return _mm512_dpbf16_ps(c, (__m512bh)a, (__m512bh)b);
}
/* 16 floats next to each other as 8 pairs. */
XFER_INLINE void xfer_store_pairs(float *p, xfer_vec a) {
  _mm256_storeu_si256((__m256i *)p, (__m256i)_mm512_cvtneps_pbh(a));
}
#endif
#endif
