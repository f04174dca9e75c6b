// Makes one call to the file system or one allocation fail, or kills the process there. Loaded with LD_PRELOAD.
//
// faults_arm(folder, kinds, at, error, half) begins: calls of the kinds, a set of bits below, on paths in the folder are counted from 1.
// Call number `at` fails with errno `error`, or the process is killed there if `error` is 0; `at` 0: they are only counted. A write may
// write the first half of its bytes before (`half`). A full disk (ENOSPC) stays full: later writes and new files fail, too. If `error` is
// VANISH, the folder gets another name, `folder.gone`, before the call, which is then made.
//
// Allocations know no paths: MEMORY is each malloc and kin, and each anonymous mmap, of the whole process; OWN is those among them that
// the engine's C++ makes, itself or with operator new.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPEN = 1, WRITE = 2, SYNC = 4, RENAME = 8, MMAP = 16, MAKE = 32, REMOVE = 64, MEMORY = 128, OWN = 256 };
enum { VANISH = -1 };

static char folder[PATH_MAX];
static int kinds, failing, half_first, full;
static long at, calls;
static char hit[1 << 18]; // the path of the call that failed; if calls are only counted, all their paths, a line each
static size_t hit_size;
static struct {
  uintptr_t begin, end;
} own[8]; // where the code of engine's module and of operator new is loaded
static int owns;

static int find_own(struct dl_phdr_info* module, size_t size, void* data) {
  (void)size, (void)data;
  if (!strstr(module->dlpi_name, "/engine/_core.") && !strstr(module->dlpi_name, "/libstdc++.")) return 0;
  for (int i = 0; i < module->dlpi_phnum; i++) {
    const ElfW(Phdr)* part = &module->dlpi_phdr[i];
    if (part->p_type != PT_LOAD || !(part->p_flags & PF_X) || owns == sizeof own / sizeof *own) continue;
    own[owns].begin = module->dlpi_addr + part->p_vaddr;
    own[owns].end = own[owns].begin + part->p_memsz;
    owns++;
  }
  return 0;
}

void faults_arm(const char* where, int which, long number, int error, int half) {
  owns = 0;
  dl_iterate_phdr(find_own, NULL);
  snprintf(folder, sizeof folder, "%s", where);
  kinds = which, at = number, failing = error, half_first = half, calls = 0, full = 0, hit[0] = 0, hit_size = 0;
}

long faults_calls(void) { return calls; }
const char* faults_hit(void) { return hit; }

static void absolute(int base, const char* path, char* out) {
  char link[64], place[PATH_MAX];
  if (path && path[0] == '/') {
    snprintf(out, PATH_MAX, "%s", path);
    return;
  }
  if (base == AT_FDCWD)
    snprintf(link, sizeof link, "/proc/self/cwd");
  else
    snprintf(link, sizeof link, "/proc/self/fd/%d", base);
  const ssize_t n = readlink(link, place, sizeof place - 1);
  place[n < 0 ? 0 : n] = 0;
  if (path && path[0])
    snprintf(out, PATH_MAX, "%.2000s/%.2000s", place, path);
  else
    snprintf(out, PATH_MAX, "%s", place);
}

// 0: the call goes on; otherwise the errno that it fails with. *torn: whether this is the call that was chosen, and a write is to do half.
static int fault(int kind, int base, const char* path, int* torn) {
  if (!folder[0] || !(kinds & kind)) return 0;
  char where[PATH_MAX];
  const int before = errno;
  absolute(base, path, where);
  errno = before;
  if (strncmp(where, folder, strlen(folder)) != 0) return 0;
  calls++;
  if (full && (kind == WRITE || kind == MAKE)) return ENOSPC;
  if (!at && hit_size + strlen(where) + 2 < sizeof hit) hit_size += sprintf(hit + hit_size, "%s\n", where);
  if (calls != at) return 0;
  snprintf(hit, sizeof hit, "%s", where);
  if (failing == VANISH) {
    char gone[PATH_MAX + 8];
    snprintf(gone, sizeof gone, "%s.gone", folder);
    syscall(SYS_renameat2, AT_FDCWD, folder, AT_FDCWD, gone, 0); // not the rename below, which would count
    return 0;
  }
  if (torn && half_first) *torn = 1;
  else if (!failing) kill(getpid(), SIGKILL);
  if (failing == ENOSPC) full = 1;
  return failing ? failing : EINTR;
}

static int no_memory(const void* caller) {
  if (!(kinds & (MEMORY | OWN))) return 0;
  if (kinds & OWN) {
    int found = 0;
    for (int i = 0; i < owns; i++) found |= (uintptr_t)caller >= own[i].begin && (uintptr_t)caller < own[i].end;
    if (!found) return 0;
  }
  if (__atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED) != at) return 0;
  Dl_info module;
  snprintf(hit, sizeof hit, "%s", dladdr(caller, &module) && module.dli_fname ? module.dli_fname : "?");
  errno = failing;
  return 1;
}

#define REAL(result, name, ...)                                  \
  static result (*real)(__VA_ARGS__);                            \
  if (!real) real = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

#define FAIL(error, value) \
  do {                     \
    errno = (error);       \
    return (value);        \
  } while (0)

static int open_at(int base, const char* path, int flags, mode_t mode, int (*real)(int, const char*, int, ...)) {
  const int error = fault(OPEN, base, path, NULL);
  if (error) FAIL(error, -1);
  if (flags & O_CREAT) {
    struct stat there;
    const int made = fstatat(base, path, &there, 0) ? fault(MAKE, base, path, NULL) : 0;
    if (made) FAIL(made, -1);
  }
  return real(base, path, flags, mode);
}

#define OPENS(name)                                                          \
  int name(const char* path, int flags, ...) {                               \
    REAL(int, "openat", int, const char*, int, ...);                         \
    va_list rest;                                                            \
    va_start(rest, flags);                                                   \
    const mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, int) : 0; \
    va_end(rest);                                                            \
    return open_at(AT_FDCWD, path, flags, mode, real);                       \
  }
#define OPENS_AT(name)                                                       \
  int name(int base, const char* path, int flags, ...) {                     \
    REAL(int, "openat", int, const char*, int, ...);                         \
    va_list rest;                                                            \
    va_start(rest, flags);                                                   \
    const mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, int) : 0; \
    va_end(rest);                                                            \
    return open_at(base, path, flags, mode, real);                           \
  }
OPENS(open)
OPENS(open64)
OPENS_AT(openat)
OPENS_AT(openat64)

// Does half of a write, then is killed, or says so: the next write fails.
#define WRITES(name, type)                                       \
  ssize_t name(int fd, const void* data, size_t size, type at_byte) { \
    REAL(ssize_t, #name, int, const void*, size_t, type);        \
    int torn = 0;                                                \
    const int error = fault(WRITE, fd, NULL, &torn);             \
    if (torn && size > 1) {                                      \
      const ssize_t n = real(fd, data, size / 2, at_byte);       \
      if (!failing) kill(getpid(), SIGKILL);                     \
      if (failing == ENOSPC) return n;                           \
    }                                                            \
    if (torn && !failing) kill(getpid(), SIGKILL);               \
    if (error) FAIL(error, -1);                                  \
    return real(fd, data, size, at_byte);                        \
  }
WRITES(pwrite, off_t)
WRITES(pwrite64, off64_t)

ssize_t write(int fd, const void* data, size_t size) {
  REAL(ssize_t, "write", int, const void*, size_t);
  int torn = 0;
  const int error = fault(WRITE, fd, NULL, &torn);
  if (torn && size > 1) {
    const ssize_t n = real(fd, data, size / 2);
    if (!failing) kill(getpid(), SIGKILL);
    if (failing == ENOSPC) return n;
  }
  if (torn && !failing) kill(getpid(), SIGKILL);
  if (error) FAIL(error, -1);
  return real(fd, data, size);
}

ssize_t writev(int fd, const struct iovec* parts, int count) {
  REAL(ssize_t, "writev", int, const struct iovec*, int);
  const int error = fault(WRITE, fd, NULL, NULL);
  if (error) FAIL(error, -1);
  return real(fd, parts, count);
}

int ftruncate64(int fd, off64_t size) {
  REAL(int, "ftruncate64", int, off64_t);
  const int error = fault(WRITE, fd, NULL, NULL);
  if (error) FAIL(error, -1);
  return real(fd, size);
}

int fsync(int fd) {
  REAL(int, "fsync", int);
  const int error = fault(SYNC, fd, NULL, NULL);
  if (error) FAIL(error, -1);
  return real(fd);
}

int fdatasync(int fd) {
  REAL(int, "fdatasync", int);
  const int error = fault(SYNC, fd, NULL, NULL);
  if (error) FAIL(error, -1);
  return real(fd);
}

int rename(const char* from, const char* to) {
  REAL(int, "rename", const char*, const char*);
  const int error = fault(RENAME, AT_FDCWD, to, NULL);
  if (error) FAIL(error, -1);
  return real(from, to);
}

int renameat(int base, const char* from, int other, const char* to) {
  REAL(int, "renameat", int, const char*, int, const char*);
  const int error = fault(RENAME, other, to, NULL);
  if (error) FAIL(error, -1);
  return real(base, from, other, to);
}

int mkdir(const char* path, mode_t mode) {
  REAL(int, "mkdir", const char*, mode_t);
  const int error = fault(MAKE, AT_FDCWD, path, NULL);
  if (error) FAIL(error, -1);
  return real(path, mode);
}

int unlink(const char* path) {
  REAL(int, "unlink", const char*);
  const int error = fault(REMOVE, AT_FDCWD, path, NULL);
  if (error) FAIL(error, -1);
  return real(path);
}

int unlinkat(int base, const char* path, int flags) {
  REAL(int, "unlinkat", int, const char*, int);
  const int error = fault(REMOVE, base, path, NULL);
  if (error) FAIL(error, -1);
  return real(base, path, flags);
}

int rmdir(const char* path) {
  REAL(int, "rmdir", const char*);
  const int error = fault(REMOVE, AT_FDCWD, path, NULL);
  if (error) FAIL(error, -1);
  return real(path);
}

int chmod(const char* path, mode_t mode) {
  REAL(int, "chmod", const char*, mode_t);
  const int error = fault(MAKE, AT_FDCWD, path, NULL);
  if (error) FAIL(error, -1);
  return real(path, mode);
}

int renameat2(int base, const char* from, int other, const char* to, unsigned flags) {
  REAL(int, "renameat2", int, const char*, int, const char*, unsigned);
  const int error = fault(RENAME, other, to, NULL);
  if (error) FAIL(error, -1);
  return real(base, from, other, to, flags);
}

static void* map(void* place, size_t size, int protection, int flags, int fd, off64_t from, const void* caller) {
  REAL(void*, "mmap64", void*, size_t, int, int, int, off64_t);
  if (fd < 0 && no_memory(caller)) return MAP_FAILED;
  const int error = fd < 0 ? 0 : fault(MMAP, fd, NULL, NULL);
  if (error) FAIL(error, MAP_FAILED);
  return real(place, size, protection, flags, fd, from);
}

void* mmap64(void* place, size_t size, int protection, int flags, int fd, off64_t from) {
  return map(place, size, protection, flags, fd, from, __builtin_return_address(0));
}

void* mmap(void* place, size_t size, int protection, int flags, int fd, off_t from) {
  return map(place, size, protection, flags, fd, from, __builtin_return_address(0));
}

// glibc's own names: dlsym allocates, so it cannot be asked for these.
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);

void* malloc(size_t size) { return no_memory(__builtin_return_address(0)) ? NULL : __libc_malloc(size); }

void* calloc(size_t n, size_t size) { return no_memory(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size); }

void* realloc(void* old, size_t size) {
  return no_memory(__builtin_return_address(0)) ? NULL : __libc_realloc(old, size);
}

void* aligned_alloc(size_t alignment, size_t size) {
  return no_memory(__builtin_return_address(0)) ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void** out, size_t alignment, size_t size) {
  if (no_memory(__builtin_return_address(0))) return ENOMEM;
  *out = __libc_memalign(alignment, size);
  return *out ? 0 : ENOMEM;
}
