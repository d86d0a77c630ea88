//! Hooks around CPython's allocator, which stays underneath. Of pymalloc, the hooks count what fits into its size classes and pass
//! everything on: larger requests go on to malloc, which counts them. Of mimalloc (free-threaded builds, and where PYTHONMALLOC asks for
//! it), they count every block, and what mimalloc maps is a pool of these.
#![expect(unsafe_code, reason = "C function tables of the interpreter")]

use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::mem::{MaybeUninit, transmute};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use recording::{AllocFunction, Kind};

use super::symbol;
use crate::real::Pointer;
use crate::thread::{self, Inside};
use crate::{chunk, emergency, hooks, live, objects, settings};

/// `PyMemAllocatorEx` of CPython's Include/cpython/pymem.h.
#[repr(C)]
#[derive(Clone, Copy)]
struct Allocator {
    context: Pointer,
    malloc: unsafe extern "C" fn(Pointer, usize) -> Pointer,
    calloc: unsafe extern "C" fn(Pointer, usize, usize) -> Pointer,
    realloc: unsafe extern "C" fn(Pointer, Pointer, usize) -> Pointer,
    free: unsafe extern "C" fn(Pointer, Pointer),
}

// SAFETY: `Sync` wants that threads may read it at once: those that are shared are never changed, and only the functions look at
// the context.
unsafe impl Sync for Allocator {}

/// `PyObjectArenaAllocator`.
#[repr(C)]
#[derive(Clone, Copy)]
struct ArenaAllocator {
    context: Pointer,
    alloc: unsafe extern "C" fn(Pointer, usize) -> Pointer,
    free: unsafe extern "C" fn(Pointer, Pointer, usize),
}

type GetAllocator = unsafe extern "C" fn(c_int, *mut Allocator);
type SetAllocator = unsafe extern "C" fn(c_int, *const Allocator);
type GetArenaAllocator = unsafe extern "C" fn(*mut ArenaAllocator);
type SetArenaAllocator = unsafe extern "C" fn(*const ArenaAllocator);

/// `PYMEM_DOMAIN_RAW`.
const RAW: c_int = 0;
/// That, `PYMEM_DOMAIN_MEM` and `PYMEM_DOMAIN_OBJ`.
const DOMAINS: usize = 3;
/// The first of the domains that have hooks: those behind it have them, too.
static FIRST_DOMAIN: AtomicUsize = AtomicUsize::new(1);
/// Whether mimalloc serves them.
static HAS_MIMALLOC: AtomicBool = AtomicBool::new(false);
/// Address range of the program or library that has it.
static MIMALLOC: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];
/// `SMALL_REQUEST_THRESHOLD` of Objects/obmalloc.c: larger requests go on to malloc.
const LARGEST_SMALL: usize = 512;
/// The sizes of an arena: 256 KiB up to 3.9, 1 MiB from 3.10 on.
pub const ARENA_BYTES: [usize; 2] = [256 << 10, 1 << 20];

/// One layer of hooks: the allocator underneath, and the largest size that it counts; 0 for a layer that has been replaced.
#[repr(C)]
struct Layer {
    below: Allocator,
    counts_up_to: AtomicUsize,
}

/// A fresh layer each time: another hook may still call an old one, and writing to it could make a circle.
///
/// Each has functions of its own, which find it by its number and do not look at their context. pymalloc and malloc do not look at theirs
/// either, so there are programs that keep a function of the allocator's and call it with any context: those that Nuitka compiles, with NULL.
const LAYERS_AT_MOST: usize = 16;
struct Layers([UnsafeCell<MaybeUninit<Layer>>; LAYERS_AT_MOST]);
// SAFETY: `Sync` wants that no thread reads while another writes: a layer is written once, before the interpreter learns its
// functions; what changes later is atomic.
unsafe impl Sync for Layers {}
static LAYERS: Layers = Layers([const { UnsafeCell::new(MaybeUninit::uninit()) }; LAYERS_AT_MOST]);
static LAYERS_USED: AtomicUsize = AtomicUsize::new(0);
/// For each of the domains, one more than the number of the layer that counts; 0 for none.
static ACTIVE: [AtomicUsize; DOMAINS] = [const { AtomicUsize::new(0) }; DOMAINS];

macro_rules! functions_of_layers {
    ($($number:literal)*) => { [[$(ours::<$number, false>()),*], [$(ours::<$number, true>()),*]] };
}

/// The functions of each layer, above pymalloc and above mimalloc.
static OURS: [[Allocator; LAYERS_AT_MOST]; 2] = functions_of_layers!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);

struct Arenas(UnsafeCell<Option<ArenaAllocator>>);
// SAFETY: `Sync` wants that no thread reads while another writes: it is written once, before the interpreter learns the functions
// that read it.
unsafe impl Sync for Arenas {}
static ARENAS: Arenas = Arenas(UnsafeCell::new(None));
static FIRST_ARENA_SEEN: AtomicBool = AtomicBool::new(false);

/// Puts the hooks in; `false` if this Python has no such functions or does not use the allocator that it usually has.
pub fn install(allocator: cpython::Allocator) -> bool {
    let has_mimalloc = allocator != cpython::Allocator::Pymalloc || settings::asks_for_mimalloc();
    HAS_MIMALLOC.store(has_mimalloc, Relaxed);
    FIRST_DOMAIN.store((allocator != cpython::Allocator::MimallocForAll) as usize, Relaxed);
    if let (true, Some(own)) = (has_mimalloc, symbol(c"PyMem_SetAllocator")) {
        objects::each(|_, addresses| {
            let is_elsewhere = !addresses.contains(&(own as usize));
            if !is_elsewhere {
                MIMALLOC[0].store(addresses.start, Relaxed);
                MIMALLOC[1].store(addresses.end, Relaxed);
            }
            is_elsewhere
        });
    }
    let (Some(get), Some(set)) = (
        symbol(c"PyObject_GetArenaAllocator"),
        symbol(c"PyObject_SetArenaAllocator"),
    ) else {
        return false;
    };
    if !ensure_active(true) {
        return false;
    }
    // SAFETY: transmute wants a function of this type: it is declared so in every version of CPython.
    let get = unsafe { transmute::<Pointer, GetArenaAllocator>(get) };
    // SAFETY: transmute wants a function of this type: it is declared so in every version of CPython.
    let set = unsafe { transmute::<Pointer, SetArenaAllocator>(set) };
    let mut below = ArenaAllocator {
        context: null_mut(),
        alloc: arena_alloc,
        free: arena_free,
    };
    // SAFETY: the function wants a writable struct, which it fills.
    unsafe { get(&mut below) };
    // SAFETY: a write wants that nobody reads or writes meanwhile: the interpreter does not know the functions yet that read it.
    unsafe { *ARENAS.0.get() = Some(below) };
    let ours = ArenaAllocator {
        context: null_mut(),
        alloc: arena_alloc,
        free: arena_free,
    };
    // SAFETY: the function wants a readable struct, which it copies.
    unsafe { set(&ours) };
    true
}

/// Whether mimalloc maps memory: below a hook, or by a call with these flags, which nothing else in an interpreter uses. It also maps for
/// itself, and while Python's start has reset the hooks.
pub fn is_mimallocs(caller: usize, flags: c_int) -> bool {
    let code = MIMALLOC[0].load(Relaxed)..MIMALLOC[1].load(Relaxed);
    thread::state().is_below() || flags & libc::MAP_NORESERVE != 0 && code.contains(&caller)
}

/// The interpreter's functions to ask for an allocator and to set one.
fn accessors() -> Option<(GetAllocator, SetAllocator)> {
    let (get, set) = (symbol(c"PyMem_GetAllocator")?, symbol(c"PyMem_SetAllocator")?);
    // SAFETY: transmute wants a function of this type: it is declared so in every version of CPython.
    let get = unsafe { transmute::<Pointer, GetAllocator>(get) };
    // SAFETY: transmute wants a function of this type: it is declared so in every version of CPython.
    let set = unsafe { transmute::<Pointer, SetAllocator>(set) };
    Some((get, set))
}

const fn ours<const LAYER: usize, const MIMALLOC: bool>() -> Allocator {
    Allocator {
        context: null_mut(),
        malloc: malloc::<LAYER, MIMALLOC>,
        calloc: calloc::<LAYER, MIMALLOC>,
        realloc: realloc::<LAYER, MIMALLOC>,
        free: free::<LAYER>,
    }
}

/// The functions of the layers above the allocator of this process.
fn functions() -> &'static [Allocator; LAYERS_AT_MOST] {
    &OURS[HAS_MIMALLOC.load(Relaxed) as usize]
}

/// The largest block that a layer counts.
fn largest() -> usize {
    match HAS_MIMALLOC.load(Relaxed) {
        true => usize::MAX,
        false => LARGEST_SMALL,
    }
}

/// The number of the layer that has this function.
fn number_of(allocator: &Allocator) -> Option<usize> {
    functions()
        .iter()
        .position(|ours| ours.malloc as usize == allocator.malloc as usize)
}

/// Makes sure that a layer of ours counts in every domain, if allowed by a new one; `false` if none does.
fn ensure_active(may_install: bool) -> bool {
    let Some((get, set)) = accessors() else { return false };
    let current = |domain| {
        let mut allocator = functions()[0];
        // SAFETY: the function wants a writable struct, which it fills.
        unsafe { get(domain, &mut allocator) };
        allocator
    };
    let raw = current(RAW);
    let mut any = false;
    let has_mimalloc = HAS_MIMALLOC.load(Relaxed);
    for (domain, active) in (RAW..).zip(&ACTIVE).skip(FIRST_DOMAIN.load(Relaxed)) {
        let top = current(domain);
        if let Some(number) = number_of(&top) {
            activate(active, number);
            any = true;
        } else if may_install && (has_mimalloc || top.malloc as usize != raw.malloc as usize) {
            // Not with PYTHONMALLOC=malloc: there malloc sees everything.
            let Some(number) = new_layer(top) else { break };
            activate(active, number);
            // SAFETY: the function wants a readable struct, which it copies.
            unsafe { set(domain, &functions()[number]) };
            any = true;
        }
    }
    any
}

/// This layer counts for its domain from now on, and the layer before it passes everything on.
fn activate(active: &AtomicUsize, number: usize) {
    let before = active.swap(number + 1, Relaxed);
    if before != 0 && before != number + 1 {
        // SAFETY: `layer` wants a layer that was written: `ACTIVE` has the numbers of such layers alone.
        unsafe { layer(before - 1) }.counts_up_to.store(0, Relaxed);
    }
    // SAFETY: `layer` wants a layer that was written: the number is from `new_layer`, or its functions are from the interpreter,
    // which learns those of written layers alone.
    unsafe { layer(number) }.counts_up_to.store(largest(), Relaxed);
}

fn new_layer(below: Allocator) -> Option<usize> {
    let number = LAYERS_USED.fetch_add(1, Relaxed);
    let slot = LAYERS.0.get(number)?;
    // SAFETY: a mutable reference wants to be the only one: a number is given out once, and nobody knows this layer yet.
    unsafe { &mut *slot.get() }.write(Layer {
        below,
        counts_up_to: AtomicUsize::new(largest()),
    });
    Some(number)
}

/// Python's start resets the hooks where PYTHONMALLOC or -X dev is used, and always in 3.6; the arena hook it leaves alone. So an
/// arena is the moment to look again. A layer is put above another hook, such as tracemalloc's, only during that start: a hook
/// that is installed and removed later could save our layer as the one below it, which would make a circle.
fn repair() {
    let is_first = !FIRST_ARENA_SEEN.swap(true, Relaxed);
    let is_starting = || {
        symbol(c"Py_IsInitialized").is_some_and(|asked| {
            // SAFETY: transmute wants a function of this type: `int Py_IsInitialized(void)` in every version.
            let asked = unsafe { transmute::<Pointer, unsafe extern "C" fn() -> c_int>(asked) };
            // SAFETY: the function wants nothing: it reads a variable of the runtime.
            unsafe { asked() == 0 }
        })
    };
    ensure_active(is_first || is_starting());
}

/// # Safety
/// [`new_layer`] has given this number.
#[inline(always)]
unsafe fn layer(number: usize) -> &'static Layer {
    // SAFETY: a shared reference wants that nobody writes: the layers are static, and one that was written is not written again.
    let layer = unsafe { &*LAYERS.0[number].get() };
    // SAFETY: assume_init_ref wants a value: the caller's promise.
    unsafe { layer.assume_init_ref() }
}

/// The layer whose functions are called.
#[inline(always)]
fn called<const LAYER: usize>() -> &'static Layer {
    // SAFETY: `layer` wants a layer that was written: this is called by the layer's functions, which nobody has before.
    unsafe { layer(LAYER) }
}

/// Whether this layer counts this request, and the sampler has to decide about it.
#[inline(always)]
fn looks(layer: &Layer, bytes: usize) -> bool {
    bytes <= layer.counts_up_to.load(Relaxed) && thread::spend(bytes)
}

/// The result of a call that was counted here. If it had not been, malloc below would have noted the failure.
#[inline(always)]
fn attempted(function: AllocFunction, bytes: usize, block: Pointer) -> Pointer {
    if block.is_null() {
        emergency::failed(function, bytes);
    }
    block
}

/// Blocks that are counted here are of Python's own allocator.
fn object(_: Pointer) -> Kind {
    Kind::Object
}

/// Calls the allocator that is underneath. mimalloc maps what it gives out.
#[inline(always)]
fn underneath<const MIMALLOC: bool>(call: impl FnOnce() -> Pointer) -> Pointer {
    match MIMALLOC {
        true => thread::below(call),
        false => call(),
    }
}

/// As [`underneath`], for a block that is not looked at. If mimalloc has no memory, nobody else notes that.
#[inline(always)]
fn unlooked<const MIMALLOC: bool>(function: AllocFunction, bytes: usize, call: impl FnOnce() -> Pointer) -> Pointer {
    let block = underneath::<MIMALLOC>(call);
    match MIMALLOC {
        true => attempted(function, bytes, block),
        false => block,
    }
}

/// As [`underneath`], after the countdown was used up.
fn looking<const MIMALLOC: bool>(function: AllocFunction, bytes: usize, call: impl FnOnce() -> Pointer) -> Pointer {
    let call = || underneath::<MIMALLOC>(call);
    attempted(function, bytes, hooks::allocate_looking(object, bytes, call))
}

unsafe extern "C" fn malloc<const LAYER: usize, const MIMALLOC: bool>(_: Pointer, bytes: usize) -> Pointer {
    let layer = called::<LAYER>();
    if looks(layer, bytes) {
        return malloc_looking::<MIMALLOC>(layer, bytes);
    }
    // SAFETY: the function below gets the interpreter's arguments, and the interpreter keeps its contract.
    let below = || unsafe { (layer.below.malloc)(layer.below.context, bytes) };
    unlooked::<MIMALLOC>(AllocFunction::Malloc, bytes, below)
}

#[cold]
#[inline(never)]
fn malloc_looking<const MIMALLOC: bool>(layer: &'static Layer, bytes: usize) -> Pointer {
    // SAFETY: the function below gets the interpreter's arguments, and the interpreter keeps its contract.
    let below = || unsafe { (layer.below.malloc)(layer.below.context, bytes) };
    looking::<MIMALLOC>(AllocFunction::Malloc, bytes, below)
}

unsafe extern "C" fn calloc<const LAYER: usize, const MIMALLOC: bool>(
    _: Pointer,
    count: usize,
    each: usize,
) -> Pointer {
    let layer = called::<LAYER>();
    let bytes = count.saturating_mul(each);
    if looks(layer, bytes) {
        return calloc_looking::<MIMALLOC>(layer, count, each);
    }
    // SAFETY: the function below gets the interpreter's arguments, and the interpreter keeps its contract.
    let below = || unsafe { (layer.below.calloc)(layer.below.context, count, each) };
    unlooked::<MIMALLOC>(AllocFunction::Calloc, bytes, below)
}

#[cold]
#[inline(never)]
fn calloc_looking<const MIMALLOC: bool>(layer: &'static Layer, count: usize, each: usize) -> Pointer {
    // SAFETY: the function below gets the interpreter's arguments, and the interpreter keeps its contract.
    let below = || unsafe { (layer.below.calloc)(layer.below.context, count, each) };
    looking::<MIMALLOC>(AllocFunction::Calloc, count.saturating_mul(each), below)
}

unsafe extern "C" fn realloc<const LAYER: usize, const MIMALLOC: bool>(
    _: Pointer,
    old: Pointer,
    bytes: usize,
) -> Pointer {
    let layer = called::<LAYER>();
    let counts = bytes <= layer.counts_up_to.load(Relaxed);
    let look = counts && thread::spend(bytes);
    if look || live::may_be_recorded(old as u64) {
        return realloc_looking::<MIMALLOC>(layer, old, bytes, look || !counts && thread::spend(bytes));
    }
    // SAFETY: the function below gets the interpreter's arguments, and the interpreter keeps its contract.
    let below = || unsafe { (layer.below.realloc)(layer.below.context, old, bytes) };
    match (MIMALLOC, counts) {
        (true, _) => unlooked::<MIMALLOC>(AllocFunction::Realloc, bytes, below),
        // A block that shrinks from malloc's into pymalloc's sizes is resized by malloc: only one of the two may count it.
        (false, true) => attempted(AllocFunction::Realloc, bytes, thread::uncounted(below)),
        (false, false) => below(),
    }
}

#[cold]
#[inline(never)]
fn realloc_looking<const MIMALLOC: bool>(layer: &'static Layer, old: Pointer, bytes: usize, look: bool) -> Pointer {
    // SAFETY: the function below gets the interpreter's arguments, and the interpreter keeps its contract.
    let below = || unsafe { (layer.below.realloc)(layer.below.context, old, bytes) };
    let call = || underneath::<MIMALLOC>(below);
    let kind: hooks::KindOf = if MIMALLOC || bytes <= LARGEST_SMALL {
        object
    } else {
        chunk::kind_of
    };
    let block = hooks::reallocate(kind, old, bytes, look, call);
    attempted(AllocFunction::Realloc, bytes, block)
}

unsafe extern "C" fn free<const LAYER: usize>(_: Pointer, block: Pointer) {
    if live::may_be_recorded(block as u64) {
        hooks::freed(block);
    }
    let layer = called::<LAYER>();
    // SAFETY: the function below gets the interpreter's arguments, and the interpreter keeps its contract.
    unsafe { (layer.below.free)(layer.below.context, block) }
}

fn arenas_below() -> Option<ArenaAllocator> {
    // SAFETY: a read wants that nobody writes meanwhile: it is written once, before the interpreter learns the functions that
    // call this.
    unsafe { *ARENAS.0.get() }
}

unsafe extern "C" fn arena_alloc(_: *mut c_void, bytes: usize) -> Pointer {
    let Some(arenas) = arenas_below() else {
        return null_mut();
    };
    // SAFETY: the function below gets the interpreter's arguments, and the interpreter keeps its contract.
    let below = || unsafe { (arenas.alloc)(arenas.context, bytes) };
    if !ARENA_BYTES.contains(&bytes) {
        // mimalloc has no arenas that pass here. The first piece comes before the first function runs.
        if HAS_MIMALLOC.load(Relaxed) && !FIRST_ARENA_SEEN.load(Relaxed) {
            repair();
        }
        // A piece of the interpreter's own frame stack (3.11 on): memory in use like any other, seen at the mmap.
        return below();
    }
    repair();
    let arena = {
        let _uncounted = Inside::enter();
        below()
    };
    if arena.is_null() {
        emergency::arena_failed(bytes);
    } else {
        hooks::arena_changed(bytes as i64);
    }
    arena
}

unsafe extern "C" fn arena_free(_: *mut c_void, arena: Pointer, bytes: usize) {
    let Some(arenas) = arenas_below() else { return };
    // SAFETY: the function below gets the interpreter's arguments, and the interpreter keeps its contract.
    let below = || unsafe { (arenas.free)(arenas.context, arena, bytes) };
    if !ARENA_BYTES.contains(&bytes) {
        return below();
    }
    {
        let _uncounted = Inside::enter();
        below();
    }
    hooks::arena_changed(-(bytes as i64));
}
