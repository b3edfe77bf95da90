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


def describe(folder):
    memory_gib = int(_first("/proc/meminfo", "MemTotal").split()[0]) / 2**20
    return (f"{os.cpu_count()} x {_first('/proc/cpuinfo', 'model name')}, {memory_gib:.0f} GiB, Linux {platform.release()}; data on {file_system(folder)}, "
            f"write and fdatasync of 4 KiB {sync_us(folder):.0f} us; {time.strftime('%Y-%m-%d')}")


def kernel_bytes():
    """Memory that sockets, files and their like take: slab and socket buffers. Compare two readings."""
    kib = sum(int(_first("/proc/meminfo", name).split()[0]) for name in ("Slab:", "PageTables:", "KernelStack:"))
    with open("/proc/net/sockstat") as file:
        pages = next(int(line.split()[line.split().index("mem") + 1]) for line in file if line.startswith("TCP:"))
    return kib * 1024 + pages * os.sysconf("SC_PAGESIZE")
