/* GNU extensions of libc that Swift's Glibc module does not show. Static inline only. */
#ifndef CPLATFORM_H
#define CPLATFORM_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>

/* The file an address was loaded from, or NULL. Lives as long as that file stays loaded. */
static inline const char *xfer_image_of(const void *address) {
  Dl_info info;
  return dladdr(address, &info) ? info.dli_fname : 0;
}

/* Cores this process may run on, or 0 when the system does not say. */
static inline int32_t xfer_available_cores(void) {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? (int32_t)CPU_COUNT(&set) : 0;
}

/* Makes stdout hand on each line at once, also into a pipe. */
static inline void xfer_line_buffer_stdout(void) { setvbuf(stdout, 0, _IOLBF, 0); }

static inline void xfer_cpu_relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}
#endif
