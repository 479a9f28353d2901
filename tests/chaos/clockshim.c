/* Shifts the wall clock of one process, and only that: preloaded, it adds a number of nanoseconds to what
 * CLOCK_REALTIME says. The number stands in the first eight bytes of the file that CLOCKSHIM_FILE names, which
 * is mapped, so it can change while the process runs. The monotonic clock and the boot clock stay true. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL

static volatile const int64_t *shift;

__attribute__((constructor)) static void map_the_file(void)
{
    const char *path = getenv("CLOCKSHIM_FILE");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *mapped;
    if (file < 0)
        return;
    mapped = mmap(NULL, sizeof *shift, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED)
        shift = mapped;
}

static int64_t shifted(const struct timespec *at)
{
    return at->tv_sec * SECOND + at->tv_nsec + (shift ? *shift : 0);
}

int clock_gettime(clockid_t clock, struct timespec *at)
{
    int failed = (int)syscall(SYS_clock_gettime, clock, at);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t now = shifted(at);
        at->tv_sec = now / SECOND;
        at->tv_nsec = now % SECOND;
    }
    return failed;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone)
{
    struct timespec now;
    int failed = clock_gettime(CLOCK_REALTIME, &now);
    (void)zone;
    if (!failed) {
        at->tv_sec = now.tv_sec;
        at->tv_usec = now.tv_nsec / 1000;
    }
    return failed;
}

time_t time(time_t *at)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at)
        *at = now.tv_sec;
    return now.tv_sec;
}
