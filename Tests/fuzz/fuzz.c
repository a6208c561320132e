/* fuzz COUNT SEED FOLDER...: loads COUNT mutated files made from SEED, in processes of their own, and prints what became of them.
 * Exit code 1 when one crashed, took longer than 10 seconds, used more than 2 GiB or ended with XFER_E_INTERNAL. */
#include "fuzz.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { SECONDS = 10, MEGABYTES = 2048 };

typedef struct {
  size_t next;              /* the file being loaded */
  int kind;
  size_t outcomes[KINDS][STATUSES];
} shared_state;

static shared_state *shared;
static size_t crashes, hangs, fat;

static void child(const char *folder, size_t total, uint64_t seed, char **folders, int folder_count) {
  make_samples(folder);
  for (int i = 0; i < folder_count; i++) add_folder(folders[i]);
  while (shared->next < total) {
    int kind = 0;
    shared->kind = sample_of(shared->next)->kind;
    alarm(SECONDS);
    xfer_status status = fuzz_one(folder, seed, shared->next, &kind);
    alarm(0);
    if (status == XFER_E_INTERNAL) printf("file %zu (%s): XFER_E_INTERNAL: %s\n", shared->next, kind_names[kind], xfer_last_error());
    shared->outcomes[kind][status < STATUSES ? status : STATUSES - 1]++;
    shared->next++;
  }
  fflush(stdout);
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  _exit(usage.ru_maxrss / 1024 > MEGABYTES ? 3 : 0);
}

int main(int argc, char **argv) {
  if (argc < 3) {
    fprintf(stderr, "fuzz COUNT SEED FOLDER...\n");
    return 2;
  }
  size_t total = strtoull(argv[1], NULL, 10);
  uint64_t seed = strtoull(argv[2], NULL, 10);
  char folder[] = "/tmp/xfer-fuzz-XXXXXX";
  if (!mkdtemp(folder)) return 2;
  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return 2;
  /* This process calls nothing of Xfer: a child starts with a library of its own, and a new one goes on behind the file that killed the last. */
  while (shared->next < total) {
    fflush(stdout);
    pid_t process = fork();
    if (process < 0) return 2;
    if (process == 0) child(folder, total, seed, argv + 3, argc - 3);
    int status = 0;
    waitpid(process, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 2) return 2;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 3) fat++;
    if (shared->next >= total) break;
    int hung = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
    printf("file %zu (%s): %s\n", shared->next, kind_names[shared->kind], hung ? "took longer than 10 seconds" : "crashed");
    *(hung ? &hangs : &crashes) += 1;
    shared->next++;
  }

  static const xfer_status columns[] = {XFER_OK, XFER_E_FORMAT, XFER_E_SHAPE, XFER_E_NOT_FOUND, XFER_E_UNSUPPORTED, XFER_E_INVALID_ARGUMENT};
  enum { COLUMNS = sizeof columns / sizeof *columns };
  printf("%-14s %8s %8s %8s %10s %12s %9s %8s %9s\n", "", "loaded", "format", "shape", "not found", "unsupported", "argument", "others", "internal");
  size_t internal = 0;
  for (int kind = 0; kind < KINDS; kind++) {
    size_t listed = 0, all = 0;
    static const int widths[COLUMNS] = {8, 8, 8, 10, 12, 9};
    printf("%-14s", kind_names[kind]);
    for (int status = 0; status < STATUSES; status++) all += shared->outcomes[kind][status];
    for (int i = 0; i < COLUMNS; i++) {
      printf(" %*zu", widths[i], shared->outcomes[kind][columns[i]]);
      listed += shared->outcomes[kind][columns[i]];
    }
    size_t bugs = shared->outcomes[kind][XFER_E_INTERNAL];
    internal += bugs;
    printf(" %8zu %9zu\n", all - listed - bugs, bugs);
  }
  printf("%zu files, seed %llu: %zu crashed, %zu hung, %zu internal errors%s\n", total, (unsigned long long)seed, crashes, hangs, internal,
         fat ? ", more than 2 GiB of memory used" : "");
  char command[128];
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  if (system(command)) return 2;
  return crashes || hangs || internal || fat ? 1 : 0;
}
