/* libhdf5, and what of it and of POSIX Swift cannot spell: macros that call functions, functions that are macros, errno. */
#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#if H5_VERSION_GE(1, 14, 0)
#include <H5FDdevelop.h>
#endif
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- A recursive lock. Its memory is the caller's: a static one would be another in each object file. */

static inline void xfer_h5_make_lock(pthread_mutex_t *mutex) {
  pthread_mutexattr_t recursive;
  pthread_mutexattr_init(&recursive);
  pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
  pthread_mutex_init(mutex, &recursive);
  pthread_mutexattr_destroy(&recursive);
}

/* ---- Identifiers behind macros. None of them is to be closed. */

static inline hid_t xfer_h5_float32(void) { return H5T_NATIVE_FLOAT; }
static inline hid_t xfer_h5_float64(void) { return H5T_NATIVE_DOUBLE; }
static inline hid_t xfer_h5_int8(void) { return H5T_NATIVE_INT8; }
static inline hid_t xfer_h5_uint8(void) { return H5T_NATIVE_UINT8; }
static inline hid_t xfer_h5_int32(void) { return H5T_NATIVE_INT32; }
static inline hid_t xfer_h5_int64(void) { return H5T_NATIVE_INT64; }
static inline hid_t xfer_h5_c_string(void) { return H5T_C_S1; }
static inline hid_t xfer_h5_file_access(void) { return H5P_FILE_ACCESS; }
static inline hid_t xfer_h5_file_create(void) { return H5P_FILE_CREATE; }
static inline hid_t xfer_h5_group_create(void) { return H5P_GROUP_CREATE; }
static inline hid_t xfer_h5_dataset_create(void) { return H5P_DATASET_CREATE; }
static inline hid_t xfer_h5_link_access(void) { return H5P_LINK_ACCESS; }
static inline hid_t xfer_h5_default(void) { return H5P_DEFAULT; }
static inline size_t xfer_h5_variable(void) { return H5T_VARIABLE; }
static inline haddr_t xfer_h5_undefined(void) { return HADDR_UNDEF; }
static inline H5F_libver_t xfer_h5_newest(void) { return H5F_LIBVER_LATEST; }
static inline unsigned xfer_h5_read_only(void) { return H5F_ACC_RDONLY; }
static inline unsigned xfer_h5_truncate(void) { return H5F_ACC_TRUNC; }

/* ---- Functions with several versions behind one name. */

/* The type of an object (H5O_TYPE_GROUP, ...) and the address of its header; negative when it cannot be read. */
static inline int xfer_h5_object(hid_t at, const char *name, hid_t access, uint64_t *address) {
#if H5_VERSION_GE(1, 12, 0)
  H5O_info2_t info;
  haddr_t place;
  if (H5Oget_info_by_name3(at, name, &info, H5O_INFO_BASIC, access) < 0) return -1;
  if (H5VLnative_token_to_addr(at, info.token, &place) < 0) return -1;
  *address = place;
#else
  H5O_info_t info;
  if (H5Oget_info_by_name2(at, name, &info, H5O_INFO_BASIC, access) < 0) return -1;
  *address = info.addr;
#endif
  return (int)info.type;
}

/* ---- errno and the system calls of the file driver. */

static inline int xfer_errno(void) { return errno; }
static inline const char *xfer_error_text(int code) { return strerror(code); }
static inline int xfer_open(const char *path, int create) {
  return open(path, create ? O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC : O_RDONLY | O_CLOEXEC, 0666);
}
/* Bytes of an open file; -1 with errno set for what has none: only a regular file can be read. */
static inline int64_t xfer_size(int file, int create) {
  struct stat status;
  if (fstat(file, &status) != 0) return -1;
  if (S_ISDIR(status.st_mode)) { errno = EISDIR; return -1; }
  if (!S_ISREG(status.st_mode) && !create) { errno = EINVAL; return -1; }
  return (int64_t)status.st_size;
}

/* ---- The state of one open file as the library's driver sees it. `base` comes first: the library's part. */

typedef struct xfer_h5_io {
  const char *path;       /* NULL for memory */
  const uint8_t *memory;
  uint64_t bytes;         /* the size, once open */
  int file;               /* -1 for memory */
  int failure;            /* errno of the first failed system call */
} xfer_h5_io;

typedef struct xfer_h5_driver {
  H5FD_t base;
  xfer_h5_io *io;
  haddr_t end_of_addresses;
} xfer_h5_driver;

/* What the library's property list carries to the driver. */
typedef struct xfer_h5_driver_info { xfer_h5_io *io; } xfer_h5_driver_info;

/* Fields that only some versions of the library have. */
static inline void xfer_h5_class_version(H5FD_class_t *driver) {
#if H5_VERSION_GE(1, 14, 0)
  driver->version = H5FD_CLASS_VERSION;
  driver->value = (H5FD_class_value_t)600;
#else
  (void)driver;
#endif
}
