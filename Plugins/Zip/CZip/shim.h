#include <stdint.h>
#include <sys/stat.h>
#include <zip.h>

/* Bytes of a file, 0 where there is none. `stat` names a structure and a function, which Swift cannot tell apart here. */
static inline uint64_t xfer_file_bytes(const char *path) {
  struct stat status;
  return stat(path, &status) == 0 ? (uint64_t)status.st_size : 0;
}
