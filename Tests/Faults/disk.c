/*
 * A library to preload: it writes down what a program does to the files below a folder, and makes calls fail.
 *
 *   DISK_ROOT    the folder, an absolute path
 *   DISK_TRACE   where to write down each change, in the order in which the changes were made
 *   DISK_FAULTS_ALONE 1 where only calls that were made to fail are written down
 *   DISK_CONTROL a file of 32 bytes that is mapped: which call is to fail; see `struct control`
 *
 * The trace: for each change a head of 40 bytes (`struct entry`), then `path` bytes of its path, then `data`
 * bytes. A write is written down when it is made. A sync covers what was written down before its beginning, and
 * counts from its end on: it has an entry for each.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum kind {
    OPEN = 1, WRITE, TRUNCATE, ALLOCATE, SYNC_BEGIN, SYNC_END, RENAME, UNLINK, MAKE_FOLDER, REMOVE_FOLDER,
    CLOSE, FAULT, READ, LIST, STAT,
};

struct entry {
    uint32_t kind;
    int32_t file;        /* descriptor */
    uint64_t time;       /* CLOCK_MONOTONIC, ns */
    uint64_t offset;     /* of a write; the size of a truncate; flags of an open; the number of a sync */
    uint32_t path;
    uint32_t extra;      /* errno of a fault, and in the upper half its call */
    uint64_t data;
};

/* Armed by a test, disarmed by the fault. */
struct control {
    _Atomic int32_t countdown; /* the call that it comes to 0 at fails; below 0, none does */
    _Atomic int32_t error;     /* errno; 0 for a write that takes less */
    _Atomic uint32_t calls;    /* bit 1 << kind: which calls count */
    _Atomic uint32_t hits;     /* how many have failed */
    _Atomic uint32_t seen;     /* how many calls were made, of all kinds */
    _Atomic uint32_t freeze;   /* set by a test that is about to kill: no change is begun any more */
    _Atomic uint32_t frozen;   /* set when that is so: what was made is written down */
    uint32_t unused;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static const char *root;
static size_t root_length;
static int trace = -1;
static int faults_alone;
static struct control *control;
static _Atomic uint64_t syncs;

enum { MOST_FILES = 65536 };
static char *paths[MOST_FILES];

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static void begin(void) {
    root = getenv("DISK_ROOT");
    if (!root) return;
    root_length = strlen(root);
    const char *path = getenv("DISK_TRACE");
    if (path) {
        __typeof__(open) *real = (__typeof__(open) *)dlsym(RTLD_NEXT, "open");
        trace = real(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    }
    const char *alone = getenv("DISK_FAULTS_ALONE");
    faults_alone = alone && *alone == '1';
    path = getenv("DISK_CONTROL");
    if (path) {
        __typeof__(open) *real = (__typeof__(open) *)dlsym(RTLD_NEXT, "open");
        int file = real(path, O_RDWR | O_CLOEXEC);
        if (file >= 0) {
            void *memory = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
            if (memory != MAP_FAILED) control = memory;
            __typeof__(close) *real_close = (__typeof__(close) *)dlsym(RTLD_NEXT, "close");
            real_close(file);
        }
    }
    /* Transforms are not of interest. */
    unsetenv("LD_PRELOAD");
}

static int is_below(const char *path) {
    pthread_once(&once, begin);
    return root && path && !strncmp(path, root, root_length)
        && (path[root_length] == '/' || path[root_length] == 0);
}

static const char *path_of(int file) {
    pthread_once(&once, begin);
    return root && file >= 0 && file < MOST_FILES ? paths[file] : NULL;
}

static void lock(void) {
    pthread_mutex_lock(&mutex);
    if (control && atomic_load(&control->freeze)) {
        atomic_store(&control->frozen, 1);
        for (;;) pause();
    }
}

static void unlock(void) { pthread_mutex_unlock(&mutex); }

static void put_all(struct iovec *parts, int count) {
    REAL(writev);
    while (count > 0) {
        ssize_t done = real(trace, parts, count);
        if (done < 0) {
            if (errno == EINTR) continue;
            abort();
        }
        while (count > 0 && (size_t)done >= parts->iov_len) {
            done -= parts->iov_len;
            parts++;
            count--;
        }
        if (count > 0) {
            parts->iov_base = (char *)parts->iov_base + done;
            parts->iov_len -= done;
        }
    }
}

/* Call with the mutex, so that entries stand in the order of the calls. */
static void note(enum kind kind, int file, uint64_t offset, const char *path, uint32_t extra,
                 const void *data, size_t bytes) {
    if (trace < 0 || (faults_alone && kind != FAULT)) return;
    int saved = errno;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    struct entry entry = {
        .kind = kind, .file = file, .offset = offset, .extra = extra, .data = bytes,
        .time = (uint64_t)now.tv_sec * 1000000000u + now.tv_nsec,
        .path = path ? strlen(path) : 0,
    };
    struct iovec parts[] = {
        {&entry, sizeof entry}, {(void *)(path ? path : ""), entry.path}, {(void *)data, bytes},
    };
    put_all(parts, 3);
    errno = saved;
}

/* The errno to fail with, 0 for a short write, -1 for nothing. */
static int fault(enum kind kind, const char *path) {
    if (!control) return -1;
    atomic_fetch_add(&control->seen, 1);
    if (!(atomic_load(&control->calls) & (1u << kind)) || atomic_load(&control->countdown) < 0) return -1;
    if (atomic_fetch_sub(&control->countdown, 1) != 0) return -1;
    int error = atomic_load(&control->error);
    lock();
    note(FAULT, -1, 0, path, ((uint32_t)kind << 16) | (uint32_t)error, NULL, 0);
    unlock();
    /* Behind that: who sees it finds it written down. */
    atomic_fetch_add(&control->hits, 1);
    return error;
}

#define FAIL(kind, path) \
    do { \
        int error = fault(kind, path); \
        if (error > 0) { \
            errno = error; \
            return -1; \
        } \
    } while (0)

static void remember(int file, const char *path) {
    if (file >= 0 && file < MOST_FILES) {
        free(paths[file]);
        paths[file] = strdup(path);
    }
}

static int opened(int (*real)(const char *, int, ...), const char *path, int flags, mode_t mode) {
    if (!is_below(path)) return real(path, flags, mode);
    FAIL(OPEN, path);
    lock();
    int file = real(path, flags, mode);
    if (file >= 0) {
        remember(file, path);
        note(OPEN, file, (uint64_t)flags, path, 0, NULL, 0);
    }
    unlock();
    return file;
}

#define OPENER(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        mode_t mode = 0; \
        if (flags & (O_CREAT | O_TMPFILE)) { \
            va_list list; \
            va_start(list, flags); \
            mode = va_arg(list, mode_t); \
            va_end(list); \
        } \
        return opened((int (*)(const char *, int, ...))real, path, flags, mode); \
    }
OPENER(open)
OPENER(open64)

int close(int file) {
    REAL(close);
    if (path_of(file)) {
        lock();
        if (paths[file]) note(CLOSE, file, 0, NULL, 0, NULL, 0);
        free(paths[file]);
        paths[file] = NULL;
        int result = real(file);
        unlock();
        return result;
    }
    return real(file);
}

static ssize_t wrote(int file, const struct iovec *parts, int count, off_t offset) {
    REAL(pwritev);
    const char *path = path_of(file);
    if (!path) return real(file, parts, count, offset);
    int error = fault(WRITE, path);
    if (error > 0) {
        errno = error;
        return -1;
    }
    struct iovec first = parts[0];
    if (error == 0) {
        /* Less than asked for, and not nothing. */
        int at = 0;
        while (at < count - 1 && !parts[at].iov_len) at++;
        first = parts[at];
        if (first.iov_len > 1) first.iov_len = first.iov_len / 2;
        parts = &first;
        count = 1;
    }
    lock();
    ssize_t done = real(file, parts, count, offset);
    if (done > 0 && trace >= 0 && !faults_alone) {
        char *copy = malloc(done);
        size_t at = 0;
        for (int i = 0; i < count && at < (size_t)done; i++) {
            size_t some = parts[i].iov_len;
            if (some > done - at) some = done - at;
            memcpy(copy + at, parts[i].iov_base, some);
            at += some;
        }
        note(WRITE, file, offset, NULL, 0, copy, done);
        free(copy);
    }
    unlock();
    return done;
}

ssize_t pwritev(int file, const struct iovec *parts, int count, off_t offset) {
    return wrote(file, parts, count, offset);
}
ssize_t pwritev64(int file, const struct iovec *parts, int count, off64_t offset) {
    return wrote(file, parts, count, offset);
}
ssize_t pwrite(int file, const void *bytes, size_t count, off_t offset) {
    struct iovec part = {(void *)bytes, count};
    if (path_of(file)) return wrote(file, &part, 1, offset);
    REAL(pwrite);
    return real(file, bytes, count, offset);
}
ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t offset) {
    return pwrite(file, bytes, count, offset);
}
ssize_t write(int file, const void *bytes, size_t count) {
    REAL(write);
    if (path_of(file)) {
        struct iovec part = {(void *)bytes, count};
        off_t offset = lseek(file, 0, SEEK_CUR);
        ssize_t done = wrote(file, &part, 1, offset);
        if (done > 0) lseek(file, offset + done, SEEK_SET);
        return done;
    }
    return real(file, bytes, count);
}

static ssize_t reads(int file, void *bytes, size_t count, off_t offset) {
    REAL(pread);
    const char *path = path_of(file);
    if (path) FAIL(READ, path);
    return real(file, bytes, count, offset);
}
ssize_t pread(int file, void *bytes, size_t count, off_t offset) {
    return reads(file, bytes, count, offset);
}
ssize_t pread64(int file, void *bytes, size_t count, off64_t offset) {
    return reads(file, bytes, count, offset);
}

static int cut(int file, off_t size) {
    REAL(ftruncate);
    const char *path = path_of(file);
    if (!path) return real(file, size);
    FAIL(TRUNCATE, path);
    lock();
    int result = real(file, size);
    if (!result) note(TRUNCATE, file, size, NULL, 0, NULL, 0);
    unlock();
    return result;
}
int ftruncate(int file, off_t size) { return cut(file, size); }
int ftruncate64(int file, off64_t size) { return cut(file, size); }

static int allocated(int file, off_t offset, off_t bytes, int is_posix, int mode) {
    const char *path = path_of(file);
    int error = path ? fault(ALLOCATE, path) : -1;
    if (error > 0) {
        if (is_posix) return error;
        errno = error;
        return -1;
    }
    if (path) lock();
    int result;
    if (is_posix) {
        REAL(posix_fallocate);
        result = real(file, offset, bytes);
    } else {
        REAL(fallocate);
        result = real(file, mode, offset, bytes);
    }
    if (path) {
        if (!result) note(ALLOCATE, file, offset + bytes, NULL, mode, NULL, 0);
        unlock();
    }
    return result;
}
int posix_fallocate(int file, off_t offset, off_t bytes) { return allocated(file, offset, bytes, 1, 0); }
int posix_fallocate64(int file, off64_t offset, off64_t bytes) {
    return allocated(file, offset, bytes, 1, 0);
}
int fallocate(int file, int mode, off_t offset, off_t bytes) {
    return allocated(file, offset, bytes, 0, mode);
}
int fallocate64(int file, int mode, off64_t offset, off64_t bytes) {
    return allocated(file, offset, bytes, 0, mode);
}

static int synced(int (*real)(int), int file) {
    const char *path = path_of(file);
    if (!path) return real(file);
    FAIL(SYNC_BEGIN, path);
    uint64_t number = atomic_fetch_add(&syncs, 1);
    lock();
    note(SYNC_BEGIN, file, number, NULL, 0, NULL, 0);
    unlock();
    int result = real(file);
    if (!result) {
        lock();
        note(SYNC_END, file, number, NULL, 0, NULL, 0);
        unlock();
    }
    return result;
}
int fsync(int file) {
    REAL(fsync);
    return synced(real, file);
}
int fdatasync(int file) {
    REAL(fdatasync);
    return synced(real, file);
}

int rename(const char *from, const char *to) {
    REAL(rename);
    if (!is_below(from) && !is_below(to)) return real(from, to);
    FAIL(RENAME, from);
    lock();
    int result = real(from, to);
    if (!result) note(RENAME, -1, 0, from, 0, to, strlen(to));
    unlock();
    return result;
}

#define CHANGER(name, kind) \
    int name(const char *path) { \
        REAL(name); \
        if (!is_below(path)) return real(path); \
        FAIL(kind, path); \
        lock(); \
        int result = real(path); \
        if (!result) note(kind, -1, 0, path, 0, NULL, 0); \
        unlock(); \
        return result; \
    }
CHANGER(unlink, UNLINK)
CHANGER(rmdir, REMOVE_FOLDER)

int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    if (!is_below(path)) return real(path, mode);
    FAIL(MAKE_FOLDER, path);
    lock();
    int result = real(path, mode);
    if (!result) note(MAKE_FOLDER, -1, 0, path, 0, NULL, 0);
    unlock();
    return result;
}

/* How large a file is, and whether it is there: what asks for that is told that it cannot be told. */
int fstat(int file, struct stat *found) {
    REAL(fstat);
    const char *path = path_of(file);
    if (path) FAIL(STAT, path);
    return real(file, found);
}
int fstat64(int file, struct stat64 *found) {
    REAL(fstat64);
    const char *path = path_of(file);
    if (path) FAIL(STAT, path);
    return real(file, found);
}

DIR *opendir(const char *path) {
    REAL(opendir);
    if (is_below(path)) {
        int error = fault(LIST, path);
        if (error > 0) {
            errno = error;
            return NULL;
        }
    }
    return real(path);
}
