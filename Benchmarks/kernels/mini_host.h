/* A minimal host for one plugin: aligned memory and a small pool of threads that wait on a condition after a short spin. */
#ifndef MINI_HOST_H
#define MINI_HOST_H
#include "../../include/xfer_plugin.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static struct {
  int threads;
  pthread_mutex_t lock;
  pthread_cond_t wake;
  atomic_long generation, next, running;
  long count, grain;
  xfer_task_fn fn;
  void *context;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static void pool_work(int worker) {
  for (;;) {
    long begin = atomic_fetch_add(&pool.next, pool.grain);
    if (begin >= pool.count) return;
    long end = begin + pool.grain < pool.count ? begin + pool.grain : pool.count;
    pool.fn(pool.context, begin, end, worker);
  }
}

static void *pool_thread(void *argument) {
  int worker = (int)(intptr_t)argument;
  long seen = 0;
  for (;;) {
    for (int i = 0; i < 20000 && atomic_load(&pool.generation) == seen; i++) __builtin_ia32_pause();
    if (atomic_load(&pool.generation) == seen) {
      pthread_mutex_lock(&pool.lock);
      while (atomic_load(&pool.generation) == seen) pthread_cond_wait(&pool.wake, &pool.lock);
      pthread_mutex_unlock(&pool.lock);
    }
    seen = atomic_load(&pool.generation);
    if (worker < pool.threads) pool_work(worker);
    atomic_fetch_sub(&pool.running, 1);
  }
  return NULL;
}

static int32_t host_threads(const xfer_host *host) { (void)host; return pool.threads; }

enum { POOL_MAX = 64 };
static int pool_started = 1;

static void host_parallel(const xfer_host *host, int64_t count, int64_t grain, xfer_task_fn fn, void *context) {
  (void)host;
  if (pool.threads == 1 || count <= grain) {
    for (int64_t b = 0; b < count; b += grain) fn(context, b, b + grain < count ? b + grain : count, 0);
    return;
  }
  pool.count = count, pool.grain = grain, pool.fn = fn, pool.context = context;
  atomic_store(&pool.next, 0);
  atomic_store(&pool.running, pool_started - 1);
  pthread_mutex_lock(&pool.lock);
  atomic_fetch_add(&pool.generation, 1);
  pthread_cond_broadcast(&pool.wake);
  pthread_mutex_unlock(&pool.lock);
  pool_work(0);
  while (atomic_load(&pool.running) > 0) __builtin_ia32_pause();
}

static void pool_resize(int threads) {
  while (pool_started < threads && pool_started < POOL_MAX) {
    pthread_t t;
    pthread_create(&t, NULL, pool_thread, (void *)(intptr_t)pool_started);
    pool_started++;
  }
  pool.threads = threads;
}

static void *host_alloc(const xfer_host *host, size_t bytes, size_t alignment) {
  (void)host;
  if (alignment < 64) alignment = 64;
  return aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}
static void host_free(const xfer_host *host, void *pointer) { (void)host; free(pointer); }
static void host_log(const xfer_host *host, int32_t level, const char *message) { (void)host, (void)level; fprintf(stderr, "%s\n", message); }
static void host_error(const xfer_host *host, const char *message) { (void)host; fprintf(stderr, "error: %s\n", message); }

static xfer_host mini_host = {
  .struct_size = sizeof(xfer_host), .abi_major = XFER_PLUGIN_ABI_MAJOR, .abi_minor = XFER_PLUGIN_ABI_MINOR,
  .max_isa = XFER_ISA_AMX_BF16, .thread_count = host_threads, .parallel_for = host_parallel,
  .alloc = host_alloc, .free = host_free, .log = host_log, .set_error = host_error,
};

/* The backend plugin at a path; NULL, with a line on stderr, where there is none or it cannot run here. */
static const xfer_plugin *load_backend(const char *path) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) return fprintf(stderr, "%s\n", dlerror()), NULL;
  xfer_plugin_entry_fn entry = (xfer_plugin_entry_fn)dlsym(library, "xfer_plugin_entry");
  const xfer_plugin *plugin = entry ? entry(&mini_host) : NULL;
  if (!plugin || plugin->kind != XFER_PLUGIN_BACKEND || !plugin->score(&mini_host))
    return fprintf(stderr, "no backend for this machine\n"), NULL;
  return plugin;
}
#endif
