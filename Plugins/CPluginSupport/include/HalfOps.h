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

/* The same of floats that are bfloat16 already. */
XFER_INLINE xfer_vec xfer_vec_pair_exact(xfer_vec a, xfer_vec b) {
  typedef uint32_t xfer_unsigned __attribute__((vector_size(XFER_LANES * 4)));
  return (xfer_vec)(((xfer_unsigned)a >> 16) | (xfer_unsigned)b);
}

/* A register from as many bfloat16, and back, rounded to nearest even. */
typedef uint16_t xfer_bf16s __attribute__((vector_size(XFER_LANES * 2)));
XFER_INLINE xfer_vec xfer_vec_load_bf16(const uint16_t *p) {
  typedef uint32_t xfer_unsigned __attribute__((vector_size(XFER_LANES * 4)));
  xfer_bf16s bits;
  __builtin_memcpy(&bits, p, sizeof bits);
  return (xfer_vec)(__builtin_convertvector(bits, xfer_unsigned) << 16);
}
XFER_INLINE void xfer_vec_store_bf16(uint16_t *p, xfer_vec a) {
#if XFER_PAIR_PRODUCTS
  _mm256_storeu_si256((__m256i *)p, (__m256i)_mm512_cvtneps_pbh(a));
#elif XFER_LANES == 8
  __m256i words = _mm256_srli_epi32((__m256i)xfer_vec_to_half(a), 16);
  __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(words, words), 0x08);
  _mm_storeu_si128((__m128i *)p, _mm256_castsi256_si128(packed));
#else
  typedef uint32_t xfer_unsigned __attribute__((vector_size(XFER_LANES * 4)));
  xfer_bf16s bits = __builtin_convertvector((xfer_unsigned)xfer_vec_to_half(a) >> 16, xfer_bf16s);
  __builtin_memcpy(p, &bits, sizeof bits);
#endif
}
/* The first n of them; 0 <= n <= lanes. */
XFER_INLINE xfer_vec xfer_vec_load_bf16_first(const uint16_t *p, int64_t n) {
#if XFER_LANES == 16
  __m256i bits = _mm256_maskz_loadu_epi16((__mmask16)((1u << n) - 1), p);
  return (xfer_vec)_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16);
#else
  uint16_t bits[XFER_LANES] = {0};
  int64_t at = 0;
  for (int64_t part = XFER_LANES; part; part >>= 1)
    if (n & part) {
      for (int64_t i = 0; i < part; i++) bits[at + i] = p[at + i];
      at += part;
    }
  return xfer_vec_load_bf16(bits);
#endif
}
XFER_INLINE void xfer_vec_store_bf16_first(uint16_t *p, xfer_vec a, int64_t n) {
#if XFER_PAIR_PRODUCTS
  _mm256_mask_storeu_epi16(p, (__mmask16)((1u << n) - 1), (__m256i)_mm512_cvtneps_pbh(a));
#elif XFER_LANES == 16
  __m512i words = _mm512_srli_epi32((__m512i)xfer_vec_to_half(a), 16);
  _mm256_mask_storeu_epi16(p, (__mmask16)((1u << n) - 1), _mm512_cvtepi32_epi16(words));
#else
  uint16_t bits[XFER_LANES];
  xfer_vec_store_bf16(bits, a);
  int64_t at = 0;
  for (int64_t part = XFER_LANES; part; part >>= 1)
    if (n & part) {
      for (int64_t i = 0; i < part; i++) p[at + i] = bits[at + i];
      at += part;
    }
#endif
}
/* The nearest bfloat16; NaN stays NaN. */
XFER_INLINE uint16_t xfer_bf16(float a) {
  uint32_t bits;
  __builtin_memcpy(&bits, &a, 4);
  return a != a ? (uint16_t)((bits >> 16) | 0x40) : (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
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
