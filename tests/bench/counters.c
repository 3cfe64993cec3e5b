#include "counters.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

struct counters *counters_map(const char *path, bool make)
{
    int fd = open(path, make ? O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC : O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) {
        return NULL;
    }
    void *at = MAP_FAILED;
    if (!make || ftruncate(fd, sizeof(struct counters)) == 0) {
        at = mmap(NULL, sizeof(struct counters), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    }
    (void)close(fd);
    return at == MAP_FAILED ? NULL : at;
}
