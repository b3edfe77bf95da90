# SPDX-License-Identifier: Apache-2.0
"""The machine: what it is, and what its kernel holds."""

import os
import platform
import time


def _first(path, prefix):
    with open(path) as file:
        for line in file:
            if line.startswith(prefix):
                return line.split(":", 1)[1].strip()
    return "?"


def file_system(folder):
    """Type of the file system that the folder is in."""
    best, kind = "", "?"
    with open("/proc/mounts") as mounts:
        for line in mounts:
            _, point, this_kind, *_ = line.split()
            if os.path.realpath(folder).startswith(point) and len(point) >= len(best):
                best, kind = point, this_kind
    return kind


def sync_us(folder, count=200):
    """Median time of an append of 4 KiB and its fdatasync: what a durable commit costs here at least."""
    times, path = [], f"{folder}/sync-probe"
    fd = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    for _ in range(count):
        began = time.perf_counter()
        os.write(fd, bytes(4096))
        os.fdatasync(fd)
        times.append(time.perf_counter() - began)
    os.close(fd)
    os.unlink(path)
    return sorted(times)[count // 2] * 1e6


def commits(folder, seconds, apart_s=0.002):
    """(begin, end) of writes of 8 KiB, each with its fdatasync, that begin at least so far apart: what a log's group commit does, and nothing else."""
    path, pairs, begin = f"{folder}/commit-probe", [], 0.0
    fd = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    first = time.perf_counter()
    while begin < first + seconds:
        time.sleep(max(0.0, begin + apart_s - time.perf_counter()))
        begin = time.perf_counter()
        os.pwrite(fd, bytes(8192), len(pairs) * 8192)
        os.fdatasync(fd)
        pairs.append((begin, time.perf_counter()))
    os.close(fd)
    os.unlink(path)
    return pairs


def commit_p99_ms(folder, seconds):
    """Of somebody who comes at any time, is in the next commit that begins, and waits for its end: the least p99 of whatever is durable first on this disk."""
    pairs, waits = commits(folder, seconds), []
    for (earlier, _), (begin, end) in zip(pairs, pairs[1:]):
        steps = max(1, int((begin - earlier) / 0.0002))
        waits += [end - (earlier + (begin - earlier) * (step + 0.5) / steps) for step in range(steps)]
    return sorted(waits)[int(len(waits) * 0.99)] * 1e3


def describe(folder):
    memory_gib = int(_first("/proc/meminfo", "MemTotal").split()[0]) / 2**20
    return (f"{os.cpu_count()} x {_first('/proc/cpuinfo', 'model name')}, {memory_gib:.0f} GiB, Linux {platform.release()}; data on {file_system(folder)}, "
            f"write and fdatasync of 4 KiB {sync_us(folder):.0f} us; {time.strftime('%Y-%m-%d')}")


# Of a connection's end: socket, its inode, dentry and file, what epoll keeps, what is queued.
SOCKET_CACHES = ("TCP", "sock_inode_cache", "filp", "eventpoll_epi", "eventpoll_pwq", "skbuff_head_cache", "skbuff_small_head", "request_sock_TCP")


def _socket_caches():
    """Name → bytes, of /proc/slabinfo; empty where it may not be read."""
    try:
        with open("/proc/slabinfo") as file:
            rows = [line.split() for line in file][2:]
    except PermissionError:
        return {}
    sizes = {row[0]: (int(row[2]) * int(row[3]), int(row[1])) for row in rows}
    caches = {name: sizes[name][0] for name in SOCKET_CACHES if name in sizes}
    # Each socket has a dentry; the cache itself is full of files' that come and go.
    caches["dentry"] = sizes["TCP"][1] * 192
    return caches


def socket_bytes():
    """Kernel memory of all TCP sockets of the machine, both ends. Compare two readings."""
    with open("/proc/net/sockstat") as file:
        pages = next(int(line.split()[line.split().index("mem") + 1]) for line in file if line.startswith("TCP:"))
    caches = _socket_caches()
    kernel = sum(caches.values()) if caches else int(_first("/proc/meminfo", "Slab:").split()[0]) * 1024
    return kernel + pages * os.sysconf("SC_PAGESIZE")


def resident_bytes(pids):
    """RSS of processes."""
    return sum(int(_first(f"/proc/{pid}/status", "VmRSS:").split()[0]) * 1024 for pid in pids)
