//! The functions that can fail for want of memory.

/// Which function was called when an allocation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum AllocFunction {
    /// `malloc`
    Malloc = 1,
    /// `calloc`
    Calloc = 2,
    /// `realloc`
    Realloc = 3,
    /// `reallocarray`
    ReallocArray = 4,
    /// `posix_memalign`
    PosixMemalign = 5,
    /// `aligned_alloc`
    AlignedAlloc = 6,
    /// `memalign`
    Memalign = 7,
    /// `valloc`
    Valloc = 8,
    /// `pvalloc`
    Pvalloc = 9,
    /// `mmap`
    Mmap = 10,
    /// `mremap`
    Mremap = 11,
    /// `pthread_create`: no memory for the thread's stack.
    PthreadCreate = 12,
    /// `fork`: no memory for the child's page tables, or over-commit refused.
    Fork = 13,
}

impl AllocFunction {
    /// Every function, in the order of their codes.
    pub const ALL: [AllocFunction; 13] = [
        Self::Malloc,
        Self::Calloc,
        Self::Realloc,
        Self::ReallocArray,
        Self::PosixMemalign,
        Self::AlignedAlloc,
        Self::Memalign,
        Self::Valloc,
        Self::Pvalloc,
        Self::Mmap,
        Self::Mremap,
        Self::PthreadCreate,
        Self::Fork,
    ];

    /// The C name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malloc => "malloc",
            Self::Calloc => "calloc",
            Self::Realloc => "realloc",
            Self::ReallocArray => "reallocarray",
            Self::PosixMemalign => "posix_memalign",
            Self::AlignedAlloc => "aligned_alloc",
            Self::Memalign => "memalign",
            Self::Valloc => "valloc",
            Self::Pvalloc => "pvalloc",
            Self::Mmap => "mmap",
            Self::Mremap => "mremap",
            Self::PthreadCreate => "pthread_create",
            Self::Fork => "fork",
        }
    }

    /// The function with this code, or `None`.
    pub fn from_code(code: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|function| *function as u32 == code)
    }
}
