"""Uses much that no limit on memory counts: page cache (`cache FILE`), untouched memory (`untouched`, and with quick growth
beside it `sparse`), or little (`little`)."""
import mmap
import sys

kept = bytearray(8 << 20)
if sys.argv[1] == "cache":
    total = 0
    with open(sys.argv[2], "rb", buffering=0) as file:
        while True:
            chunk = file.read(1 << 20)
            total += len(chunk)
            if not chunk:
                break
    print("read", total)
    kept = [bytearray(1 << 20) for _ in range(20)]
elif sys.argv[1] in ("untouched", "sparse"):
    import ctypes

    zeros = ctypes.CDLL(None).calloc
    zeros.restype = ctypes.c_void_p
    zeros.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
    assert zeros(1 << 27, 8)
    also = mmap.mmap(-1, 1 << 30)
    if sys.argv[1] == "sparse":
        kept = bytearray(180 << 20)
print("end")
sys.exit(6)
