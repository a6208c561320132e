/* Tile registers (AMX): products of 16 by 16 sums, 32 bfloat16 deep. Static inline only.
 *
 * The sums of up to 32 rows by 32 columns are tiles 0 to 3, those of rows 16 on being 2 and 3; tiles 4 and 5 hold A, 6 and 7 hold B. Which
 * tile an instruction takes is part of the instruction, so that there is a function for every use. */
#ifndef XFER_TILE_OPS_H
#define XFER_TILE_OPS_H
#include "HalfOps.h"

#if defined(__AMX_BF16__) && XFER_LANES == 16
/* Whether this process may use tile registers, which it has to ask the system for (arch_prctl, ARCH_REQ_XCOMP_PERM, XTILEDATA): they make the
 * frames of signals larger, and a program with signal stacks too small for that is refused. */
XFER_INLINE int32_t xfer_may_use_tiles(void) {
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(158L), "D"(0x1023L), "S"(18L) : "rcx", "r11", "memory");
  return result == 0;
}

/* All tiles 16 rows of 64 bytes: what lies beyond a matrix is computed too, and not looked at. */
XFER_INLINE void xfer_tiles_begin(void) {
  struct { uint8_t palette, start_row, reserved[14]; uint16_t bytes[16]; uint8_t rows[16]; } config = {.palette = 1};
  for (int i = 0; i < 8; i++) {
    config.bytes[i] = 64;
    config.rows[i] = 16;
  }
  _tile_loadconfig(&config);
}
XFER_INLINE void xfer_tiles_end(void) { _tile_release(); }

XFER_INLINE void xfer_tiles_clear(void) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}

/* Adds the product of rows of 16 pairs, one after another from `a` on, with 16 steps of a panel of 32 columns. Denormals count as 0. */
XFER_INLINE void xfer_tiles_add(const float *a, const float *b, int32_t tall, int32_t wide) {
  _tile_loadd(6, b, 128);
  _tile_loadd(4, a, 64);
  _tile_dpbf16ps(0, 4, 6);
  if (wide) {
    _tile_loadd(7, b + 16, 128);
    _tile_dpbf16ps(1, 4, 7);
  }
  if (tall) {
    _tile_loadd(5, a + 256, 64);
    _tile_dpbf16ps(2, 5, 6);
    if (wide) _tile_dpbf16ps(3, 5, 7);
  }
}

/* To rows of 32 floats. */
XFER_INLINE void xfer_tiles_store(float *c, int32_t tall, int32_t wide) {
  _tile_stored(0, c, 128);
  if (wide) _tile_stored(1, c + 16, 128);
  if (!tall) return;
  _tile_stored(2, c + 512, 128);
  if (wide) _tile_stored(3, c + 528, 128);
}

/* Transposes 16 rows of 16 floats, in place. */
XFER_INLINE void xfer_turn_16(float *rows) {
  __m512 t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_ps(_mm512_loadu_ps(rows + 16 * i), _mm512_loadu_ps(rows + 16 * i + 16));
    t[i + 1] = _mm512_unpackhi_ps(_mm512_loadu_ps(rows + 16 * i), _mm512_loadu_ps(rows + 16 * i + 16));
  }
  /* Lane 4q + j of u[4g + k] is column 4q + k of row 4g + j. */
  __m512 u[16];
  for (int g = 0; g < 16; g += 4) {
    u[g] = _mm512_shuffle_ps(t[g], t[g + 2], 0x44);
    u[g + 1] = _mm512_shuffle_ps(t[g], t[g + 2], 0xee);
    u[g + 2] = _mm512_shuffle_ps(t[g + 1], t[g + 3], 0x44);
    u[g + 3] = _mm512_shuffle_ps(t[g + 1], t[g + 3], 0xee);
  }
  for (int k = 0; k < 4; k++) {
    __m512 low = _mm512_shuffle_f32x4(u[k], u[4 + k], 0x88), high = _mm512_shuffle_f32x4(u[k], u[4 + k], 0xdd);
    __m512 low2 = _mm512_shuffle_f32x4(u[8 + k], u[12 + k], 0x88), high2 = _mm512_shuffle_f32x4(u[8 + k], u[12 + k], 0xdd);
    _mm512_storeu_ps(rows + 16 * (k), _mm512_shuffle_f32x4(low, low2, 0x88));
    _mm512_storeu_ps(rows + 16 * (4 + k), _mm512_shuffle_f32x4(high, high2, 0x88));
    _mm512_storeu_ps(rows + 16 * (8 + k), _mm512_shuffle_f32x4(low, low2, 0xdd));
    _mm512_storeu_ps(rows + 16 * (12 + k), _mm512_shuffle_f32x4(high, high2, 0xdd));
  }
}
#endif
#endif
