"""Holds blocks that code of other languages has allocated, one line for each way; says what each holds as JSON, by its marker."""
import ctypes
import json
import sys

MIB = 1 << 20
held = {}
kept = []


def library(path):
    return ctypes.CDLL(path)


def c(lib):
    lib.make.restype = ctypes.c_void_p
    kept.append(lib.make(ctypes.c_size_t(20 * MIB)))  # C
    held["C"] = 20 * MIB


def cpp(lib):
    lib.make_new(ctypes.c_size_t(12 * MIB))  # NEW
    lib.make_aligned(ctypes.c_size_t(16 * MIB))  # ALIGNED
    lib.make_vector(ctypes.c_size_t(8 * MIB))  # VECTOR
    lib.make_in_pool(ctypes.c_size_t(24 * MIB))  # POOL
    held.update(NEW=12 * MIB, ALIGNED=16 * MIB, VECTOR=8 * MIB, POOL=24 * MIB)


def fortran(lib):
    lib.make_fortran(ctypes.byref(ctypes.c_int64(3 * MIB)))  # FORTRAN
    held["FORTRAN"] = 3 * MIB * 8


def openmp(lib):
    lib.make_openmp(ctypes.c_size_t(10 * MIB))  # OPENMP
    held["OPENMP"] = 40 * MIB


def cffi_library(path):
    import cffi

    ffi = cffi.FFI()
    ffi.cdef("void *make(size_t bytes);")
    lib = ffi.dlopen(path)
    kept.append(lib.make(6 * MIB))  # CFFI
    kept.append(ffi.new("char[]", 7 * MIB))  # CFFI_NEW
    held.update(CFFI=6 * MIB, CFFI_NEW=7 * MIB)


def cython_module(folder):
    sys.path.insert(0, folder)
    import native_cython

    kept.append(native_cython.make(9 * MIB))  # CYTHON
    held["CYTHON"] = 9 * MIB


for word in sys.argv[1:]:
    way, path = word.split("=", 1)
    if way in ("c", "cpp", "fortran", "openmp"):
        globals()[way](library(path))
    else:
        globals()[way](path)
print(json.dumps(held))
