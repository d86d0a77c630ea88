"""One worker holds much and leaves; the kernel kills the other, which has a large file's worth of memory that is not recorded."""
import ctypes
import mmap
import os

large = os.fork()
if large == 0:
    held = bytearray(150 << 20)  # LEAVES
    os._exit(0)
assert os.waitpid(large, 0)[1] == 0
small = os.fork()
if small == 0:
    held = bytearray(20 << 20)  # KILLED
    # System calls, so that nothing of this is recorded.
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    while True:
        block = libc.syscall(9, ctypes.c_long(0), ctypes.c_long(8 << 20), 3, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, ctypes.c_long(0))
        ctypes.memset(block, 1, 8 << 20)
_, status = os.waitpid(small, 0)
assert os.WTERMSIG(status) == 9, status
print("killed", small)
