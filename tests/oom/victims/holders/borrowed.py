"""Objects of types that nobody knows, with native blocks that are theirs, that another has too, and that are not theirs at all."""

import ctypes

import truth

malloc = ctypes.CDLL(None).malloc
malloc.restype, malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]


class Pointers(ctypes.Structure):
    """Its two words stand in the object itself."""

    _fields_ = [("first", ctypes.c_void_p), ("second", ctypes.c_void_p)]


def block(bytes_of_it):
    address = malloc(bytes_of_it)
    ctypes.memset(address, 1, bytes_of_it)
    return address


def put(address, index, word):
    ctypes.cast(address, ctypes.POINTER(ctypes.c_uint64))[index] = word


def counted(bytes_of_it):
    """As an object of C++: where its functions are, which is in a file, and two counts."""
    address = block(bytes_of_it)
    put(address, 0, ctypes.cast(malloc, ctypes.c_void_p).value)
    put(address, 1, 1 | 1 << 32)
    return address


def buffer_of(array):
    return ctypes.addressof(ctypes.c_char.from_buffer(array))


def hold():
    kept = bytearray(3_000_000)
    fleet = [bytearray(300_000) for _ in range(10)]
    # Neither has what a bytearray has already, whoever comes first.
    a_borrower = Pointers(buffer_of(kept), buffer_of(fleet[3]))
    z_borrower = Pointers(buffer_of(fleet[7]), buffer_of(fleet[8]))
    owner = Pointers(block(2_000_000), 0)
    truth.NATIVE[id(owner)] = 2_000_000
    address = block(1_600_000)
    one, other = Pointers(address, 0), Pointers(0, address)
    truth.NATIVE[id(one)] = truth.NATIVE[id(other)] = 800_000
    # In the middle of a block that is somebody else's.
    inside = Pointers(buffer_of(kept) + 4096, buffer_of(fleet[0]) + 16)
    # Three pointers away, as the data of a tensor.
    outer, inner = counted(80), counted(64)
    far = Pointers(0, outer)
    put(outer, 2, inner)
    put(inner, 3, block(1_200_000))
    truth.NATIVE[id(far)] = 1_200_000
    array = (ctypes.c_double * 120_000)()
    truth.NATIVE[id(array)] = 8 * 120_000
    # What has no counts may be a remain of what was there before.
    gone = block(64)
    put(gone, 2, address)
    remain = Pointers(gone, 0)
    del address, outer, inner, gone
    truth.wait()


hold()
