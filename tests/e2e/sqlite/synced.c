/* A disk that loses power: at every sync of a file its content is copied to $SYNCED, and nothing else is.
   What a killed process leaves there is what a machine keeps that forgets every write without a sync. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void keep(int fd) {
    const char *disk = getenv("SYNCED");
    char link[64], path[PATH_MAX], copy[2 * PATH_MAX], done[2 * PATH_MAX], buffer[65536];
    struct stat about;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (disk == NULL || length < 0 || fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) return;
    path[length] = 0;
    const char *name = strrchr(path, '/') + 1;
    snprintf(done, sizeof done, "%s/%s", disk, name);
    snprintf(copy, sizeof copy, "%s/.%s.%d", disk, name, (int)gettid());
    int to = open(copy, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (to < 0) abort();
    off_t at = 0;
    ssize_t got;
    while ((got = pread(fd, buffer, sizeof buffer, at)) > 0) {
        if (write(to, buffer, got) != got) abort();
        at += got;
    }
    close(to);
    if (rename(copy, done) != 0) abort();
}

int fsync(int fd) {
    keep(fd);
    return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd);
}

int fdatasync(int fd) {
    keep(fd);
    return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd);
}
