/* What Swift cannot spell for a plugin: CPU feature probes. Static inline only. */
#ifndef CPLUGIN_SUPPORT_H
#define CPLUGIN_SUPPORT_H
#include <stdint.h>
#if defined(__x86_64__)
#include <cpuid.h>

/* Bits of XCR0: what the operating system saves on a context switch. 0 without OSXSAVE. */
static inline uint64_t xfer_xcr0(void) {
  unsigned a, b, c, d, low, high;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & (1u << 27))) return 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return ((uint64_t)high << 32) | low;
}

/* The level of x86-64 this CPU and system can run: 0 baseline, 1 AVX2+FMA, 2 AVX-512 F/BW/DQ/VL/CD,
 * 3 that and AVX-512 BF16, 4 that and tile registers for bfloat16 (AMX). */
static inline int32_t xfer_cpu_isa(void) {
  unsigned a, b, c, d, b7;
  uint64_t xcr0 = xfer_xcr0();
  if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
  if (!(c & (1u << 12)) || !(c & (1u << 28)) || (xcr0 & 6) != 6) return 0;
  if (!__get_cpuid_count(7, 0, &a, &b7, &c, &d) || !(b7 & (1u << 5))) return 0;
  unsigned avx512 = (1u << 16) | (1u << 17) | (1u << 28) | (1u << 30) | (1u << 31);
  if ((b7 & avx512) != avx512 || (xcr0 & 0xe6) != 0xe6) return 1;
  int hasTiles = (d & (1u << 22)) && (d & (1u << 24)) && (xcr0 & 0x60000) == 0x60000;
  if (!__get_cpuid_count(7, 1, &a, &b, &c, &d) || !(a & (1u << 5))) return 2;
  return hasTiles ? 4 : 3;
}

/* Intel's processors with AVX-512 FP16 (Sapphire Rapids and later): they have tile registers for bfloat16, and their vdpbf16ps takes four times
 * as long as a product of floats, so that floats win where a virtual machine hides the tiles. */
static inline int32_t xfer_has_slow_pairs(void) {
  unsigned a, b, c, d;
  if (!__get_cpuid(0, &a, &b, &c, &d) || b != 0x756e6547 || d != 0x49656e69 || c != 0x6c65746e) return 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & (1u << 23));
}
#else
static inline int32_t xfer_cpu_isa(void) { return 0; }
static inline int32_t xfer_has_slow_pairs(void) { return 0; }
#endif
#endif
