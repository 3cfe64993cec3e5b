"""Which calls there are to fail, and how the manual lets them."""

import errno
import mmap
import struct

TABLE_BYTES = 65536
ROW = struct.Struct("48sQQ")
HANGS = 1000  # it never comes back
EAI_AGAIN, EAI_FAIL, EAI_MEMORY, EAI_SYSTEM = -3, -4, -10, -11

ERRNOS = {
    "accept4": [errno.EMFILE, errno.ECONNABORTED, errno.ENOBUFS],
    "bind": [errno.EADDRINUSE, errno.EACCES],
    "connect": [errno.ECONNREFUSED, errno.ENETUNREACH, errno.EADDRNOTAVAIL],
    "dup": [errno.EMFILE],
    "epoll_create1": [errno.EMFILE],
    "epoll_ctl": [errno.ENOMEM, errno.ENOSPC],
    "epoll_wait": [errno.EINTR],
    "eventfd": [errno.EMFILE],
    "fallocate": [errno.ENOSPC],
    "fchmodat": [errno.EPERM],
    "fcntl": [errno.EPERM],
    "fork": [errno.EAGAIN],
    "fstat": [errno.ENOMEM],
    "ftruncate": [errno.EINVAL],
    "gethostname": [errno.EPERM],
    "getpwnam": [errno.EIO],
    "getaddrinfo": [EAI_AGAIN, EAI_FAIL, EAI_MEMORY, EAI_SYSTEM],
    "getrandom": [errno.ENOSYS],
    "getrlimit": [errno.EPERM],
    "getsockname": [errno.ENOBUFS],
    "getsockopt": [errno.ENOBUFS],
    "initgroups": [errno.EPERM],
    "ioctl": [errno.EINVAL],
    "listen": [errno.EADDRINUSE],
    "lstat": [errno.EACCES],
    "memfd_create": [errno.EMFILE],
    "open": [errno.EMFILE, errno.EACCES],
    "openat": [errno.EMFILE, errno.EACCES],
    "pipe2": [errno.EMFILE],
    "poll": [errno.EINTR, errno.ENOMEM],
    "prctl": [errno.EINVAL],
    "pread": [errno.EIO, errno.EINTR],
    "pthread_create": [errno.EAGAIN],
    "read": [errno.EIO, errno.EINTR],
    "recv": [errno.ECONNRESET, errno.ETIMEDOUT, errno.EAGAIN],
    "recvmsg": [errno.ENOMEM, errno.EAGAIN],
    "send": [errno.EPIPE, errno.ECONNRESET, errno.EAGAIN],
    "sendmsg": [errno.ENOBUFS, errno.EPIPE, errno.EAGAIN],
    "sendto": [errno.EAGAIN],
    "setresgid": [errno.EPERM],
    "setresuid": [errno.EAGAIN],
    "setrlimit": [errno.EPERM],
    "setsockopt": [errno.ENOBUFS],
    "shutdown": [errno.ENOTCONN],
    "signalfd": [errno.EMFILE],
    "socket": [errno.EMFILE, errno.ENOBUFS],
    "socketpair": [errno.EMFILE],
    "splice": [errno.ENOMEM, errno.EINVAL, errno.ECONNRESET, errno.EAGAIN],
    "stat": [errno.EACCES],
    "syscall": [errno.EMFILE, errno.ENOSYS],
    "write": [errno.ENOSPC, errno.EIO],
}


def errnos(row):
    """Of any other function (memory, OpenSSL, YAML): there is none to be had."""
    return ERRNOS.get(row.removesuffix("@lib"), [errno.ENOMEM])


class Table:
    """The file in which the shim counts, as long as it is open."""

    def __init__(self, path):
        with open(path, "w+b") as file:
            file.truncate(TABLE_BYTES)
            self.memory = mmap.mmap(file.fileno(), TABLE_BYTES)
        self.path = path

    def rows(self):
        """(index, name, calls, failed) of each function."""
        for index in range(TABLE_BYTES // ROW.size):
            name, calls, failed = ROW.unpack_from(self.memory, index * ROW.size)
            name = name.rstrip(b"\0").decode()
            if not name:
                return
            yield index, name, calls, failed

    def failed(self):
        return sum(row[3] for row in self.rows())


def spread(count, most):
    """`most` of the numbers 1 to `count`, evenly, the first and the last among them."""
    if count <= most:
        return list(range(1, count + 1))
    if most == 1:
        return [1 + count // 2]
    return sorted({1 + (count - 1) * i // (most - 1) for i in range(most)})
