/* Vector instructions that Swift's SIMD types have no spelling for, or spell as a loop. Static inline only.
 * xfer_vec is the register of the variant being compiled: 16, 8 or 4 floats. */
#ifndef XFER_VECTOR_OPS_H
#define XFER_VECTOR_OPS_H
#include <stdint.h>
#define XFER_INLINE static inline __attribute__((always_inline))

XFER_INLINE void xfer_prefetch(const void *p) { __builtin_prefetch(p, 0, 3); }
/* Into the second level of the cache. */
XFER_INLINE void xfer_prefetch_later(const void *p) { __builtin_prefetch(p, 0, 2); }
XFER_INLINE void xfer_prefetch_write(const void *p) { __builtin_prefetch(p, 1, 3); }

/* The instruction: Swift's squareRoot() is a call into libm here. */
XFER_INLINE double xfer_sqrt(double a) { return __builtin_elementwise_sqrt(a); }

/* max and min give their second operand when either is NaN; largest and smallest give NaN. if_less is a < b ? x : y, if_same is
 * x where a == b or both are NaN, else y.
 * xfer_vec_load_first, xfer_vec_store_first touch the first n floats only; 0 <= n <= lanes. xfer_vec_permute's lane i is a's lane
 * index[i]. */
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#include <immintrin.h>
#define XFER_LANES 16
typedef __m512 xfer_vec;
XFER_INLINE xfer_vec xfer_vec_max(xfer_vec a, xfer_vec b) { return _mm512_max_ps(a, b); }
XFER_INLINE xfer_vec xfer_vec_min(xfer_vec a, xfer_vec b) { return _mm512_min_ps(a, b); }
XFER_INLINE xfer_vec xfer_vec_sqrt(xfer_vec a) { return _mm512_sqrt_ps(a); }
XFER_INLINE xfer_vec xfer_vec_round(xfer_vec a) { return _mm512_roundscale_ps(a, 8); }
XFER_INLINE xfer_vec xfer_vec_if_less(xfer_vec a, xfer_vec b, xfer_vec x, xfer_vec y) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
}
XFER_INLINE xfer_vec xfer_vec_largest(xfer_vec a, xfer_vec b) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), _mm512_max_ps(a, b), a);
}
XFER_INLINE xfer_vec xfer_vec_smallest(xfer_vec a, xfer_vec b) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), _mm512_min_ps(a, b), a);
}
XFER_INLINE xfer_vec xfer_vec_if_same(xfer_vec a, xfer_vec b, xfer_vec x, xfer_vec y) {
  __mmask16 nan = _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q) & _mm512_cmp_ps_mask(b, b, _CMP_UNORD_Q);
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ) | nan, y, x);
}
XFER_INLINE xfer_vec xfer_vec_abs(xfer_vec a) { return _mm512_abs_ps(a); }
/* magnitude of a, sign of b */
XFER_INLINE xfer_vec xfer_vec_copysign(xfer_vec a, xfer_vec b) {
  const __m512 s = _mm512_set1_ps(-0.0f);
  return _mm512_or_ps(_mm512_andnot_ps(s, a), _mm512_and_ps(s, b));
}
/* a * 2^n for an integral n in -126...127 */
XFER_INLINE xfer_vec xfer_vec_scale2(xfer_vec a, xfer_vec n) {
  __m512i e = _mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127)), 23);
  return _mm512_mul_ps(a, _mm512_castsi512_ps(e));
}
XFER_INLINE xfer_vec xfer_vec_from_u8(const uint8_t *p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)));
}
XFER_INLINE xfer_vec xfer_vec_permute(xfer_vec a, const int32_t *index) {
  return _mm512_permutexvar_ps(_mm512_loadu_si512(index), a);
}
XFER_INLINE xfer_vec xfer_vec_load_first(const float *p, int64_t n) {
  return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}
XFER_INLINE void xfer_vec_store_first(float *p, xfer_vec a, int64_t n) {
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), a);
}
#elif defined(__AVX2__)
#include <immintrin.h>
#define XFER_LANES 8
typedef __m256 xfer_vec;
XFER_INLINE xfer_vec xfer_vec_max(xfer_vec a, xfer_vec b) { return _mm256_max_ps(a, b); }
XFER_INLINE xfer_vec xfer_vec_min(xfer_vec a, xfer_vec b) { return _mm256_min_ps(a, b); }
XFER_INLINE xfer_vec xfer_vec_sqrt(xfer_vec a) { return _mm256_sqrt_ps(a); }
XFER_INLINE xfer_vec xfer_vec_round(xfer_vec a) { return _mm256_round_ps(a, 8); }
XFER_INLINE xfer_vec xfer_vec_if_less(xfer_vec a, xfer_vec b, xfer_vec x, xfer_vec y) {
  return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
XFER_INLINE xfer_vec xfer_vec_largest(xfer_vec a, xfer_vec b) {
  return _mm256_blendv_ps(_mm256_max_ps(a, b), a, _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
}
XFER_INLINE xfer_vec xfer_vec_smallest(xfer_vec a, xfer_vec b) {
  return _mm256_blendv_ps(_mm256_min_ps(a, b), a, _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
}
XFER_INLINE xfer_vec xfer_vec_if_same(xfer_vec a, xfer_vec b, xfer_vec x, xfer_vec y) {
  __m256 nan = _mm256_and_ps(_mm256_cmp_ps(a, a, _CMP_UNORD_Q), _mm256_cmp_ps(b, b, _CMP_UNORD_Q));
  return _mm256_blendv_ps(y, x, _mm256_or_ps(_mm256_cmp_ps(a, b, _CMP_EQ_OQ), nan));
}
XFER_INLINE xfer_vec xfer_vec_abs(xfer_vec a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
XFER_INLINE xfer_vec xfer_vec_copysign(xfer_vec a, xfer_vec b) {
  const __m256 s = _mm256_set1_ps(-0.0f);
  return _mm256_or_ps(_mm256_andnot_ps(s, a), _mm256_and_ps(s, b));
}
XFER_INLINE xfer_vec xfer_vec_scale2(xfer_vec a, xfer_vec n) {
  __m256i e = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
  return _mm256_mul_ps(a, _mm256_castsi256_ps(e));
}
XFER_INLINE xfer_vec xfer_vec_from_u8(const uint8_t *p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}
XFER_INLINE __m256i xfer_vec_first_mask(int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
XFER_INLINE xfer_vec xfer_vec_permute(xfer_vec a, const int32_t *index) {
  return _mm256_permutevar8x32_ps(a, _mm256_loadu_si256((const __m256i *)index));
}
XFER_INLINE xfer_vec xfer_vec_load_first(const float *p, int64_t n) { return _mm256_maskload_ps(p, xfer_vec_first_mask(n)); }
XFER_INLINE void xfer_vec_store_first(float *p, xfer_vec a, int64_t n) { _mm256_maskstore_ps(p, xfer_vec_first_mask(n), a); }
#else
#define XFER_LANES 4
typedef float xfer_vec __attribute__((vector_size(16)));
typedef int32_t xfer_vec_bits __attribute__((vector_size(16)));
XFER_INLINE xfer_vec xfer_vec_pick(xfer_vec_bits mask, xfer_vec x, xfer_vec y) {
  return (xfer_vec)((mask & (xfer_vec_bits)x) | (~mask & (xfer_vec_bits)y));
}
XFER_INLINE xfer_vec xfer_vec_max(xfer_vec a, xfer_vec b) { return xfer_vec_pick(a > b, a, b); }
XFER_INLINE xfer_vec xfer_vec_min(xfer_vec a, xfer_vec b) { return xfer_vec_pick(a < b, a, b); }
XFER_INLINE xfer_vec xfer_vec_sqrt(xfer_vec a) { return __builtin_elementwise_sqrt(a); }
/* |a| below 2^22, which is all that is asked of it: the sum with 1.5*2^23 has no fraction bits. */
XFER_INLINE xfer_vec xfer_vec_round(xfer_vec a) {
  const xfer_vec m = {12582912.0f, 12582912.0f, 12582912.0f, 12582912.0f};
  return (a + m) - m;
}
XFER_INLINE xfer_vec xfer_vec_if_less(xfer_vec a, xfer_vec b, xfer_vec x, xfer_vec y) { return xfer_vec_pick(a < b, x, y); }
XFER_INLINE xfer_vec xfer_vec_largest(xfer_vec a, xfer_vec b) { return xfer_vec_pick(a != a, a, xfer_vec_max(a, b)); }
XFER_INLINE xfer_vec xfer_vec_smallest(xfer_vec a, xfer_vec b) { return xfer_vec_pick(a != a, a, xfer_vec_min(a, b)); }
XFER_INLINE xfer_vec xfer_vec_if_same(xfer_vec a, xfer_vec b, xfer_vec x, xfer_vec y) {
  return xfer_vec_pick((a == b) | ((a != a) & (b != b)), x, y);
}
XFER_INLINE xfer_vec xfer_vec_abs(xfer_vec a) {
  const xfer_vec_bits m = {0x7fffffff, 0x7fffffff, 0x7fffffff, 0x7fffffff};
  return (xfer_vec)((xfer_vec_bits)a & m);
}
XFER_INLINE xfer_vec xfer_vec_copysign(xfer_vec a, xfer_vec b) {
  const xfer_vec_bits m = {0x7fffffff, 0x7fffffff, 0x7fffffff, 0x7fffffff};
  return (xfer_vec)(((xfer_vec_bits)a & m) | ((xfer_vec_bits)b & ~m));
}
XFER_INLINE xfer_vec xfer_vec_scale2(xfer_vec a, xfer_vec n) {
  return a * (xfer_vec)((__builtin_convertvector(n, xfer_vec_bits) + 127) << 23);
}
XFER_INLINE xfer_vec xfer_vec_from_u8(const uint8_t *p) {
  return (xfer_vec){(float)p[0], (float)p[1], (float)p[2], (float)p[3]};
}
XFER_INLINE xfer_vec xfer_vec_permute(xfer_vec a, const int32_t *index) {
  return (xfer_vec){a[index[0]], a[index[1]], a[index[2]], a[index[3]]};
}
XFER_INLINE xfer_vec xfer_vec_load_first(const float *p, int64_t n) {
  xfer_vec v = {0, 0, 0, 0};
  if (n > 0) v[0] = p[0];
  if (n > 1) v[1] = p[1];
  if (n > 2) v[2] = p[2];
  if (n > 3) v[3] = p[3];
  return v;
}
XFER_INLINE void xfer_vec_store_first(float *p, xfer_vec a, int64_t n) {
  if (n > 0) p[0] = a[0];
  if (n > 1) p[1] = a[1];
  if (n > 2) p[2] = a[2];
  if (n > 3) p[3] = a[3];
}
#endif
#endif
