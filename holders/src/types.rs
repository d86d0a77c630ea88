//! Types: what is known of an object by its type alone. Each is read once.

use crate::fast::Map;

use crate::memory::Pages;
use cpython::flag;

/// Types that are remembered. Words that are no pointers to types fill the table in a torn image.
const MOST_TYPES: usize = 20_000;
/// Bases that are followed, upwards.
const MOST_BASES: usize = 32;
/// Bytes of a name.
const LONGEST_NAME: usize = 200;
/// No type has larger instances than this, without their items.
const LARGEST_BASIC_SIZE: u64 = 1 << 20;

/// How the memory and the references of an object are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// It has no references that count here: numbers, modules, types, code, weak references.
    Leaf,
    /// `str`.
    Str,
    /// `int`.
    Int,
    /// `bytearray`.
    ByteArray,
    /// `list`.
    List,
    /// `tuple`.
    Tuple,
    /// `dict`.
    Dict,
    /// `collections.OrderedDict`.
    OrderedDict,
    /// `set` and `frozenset`.
    Set,
    /// `collections.deque`.
    Deque,
    /// `array.array`.
    Array,
    /// `memoryview`.
    MemoryView,
    /// What a `memoryview` refers to.
    ManagedBuffer,
    /// `mmap.mmap`.
    Mmap,
    /// A function of Python.
    Function,
    /// A generator or a coroutine.
    Generator,
    /// A frame as an object.
    Frame,
    /// `numpy.ndarray`.
    NdArray,
    /// An instance of a Python class.
    Instance,
    /// Any other: its own memory is searched for references.
    Scan,
}

impl Kind {
    /// Whether objects of this kind have no more than a reference to what they are a view of.
    pub fn is_cheap(self) -> bool {
        matches!(
            self,
            Self::Leaf
                | Self::Int
                | Self::Str
                | Self::ByteArray
                | Self::Array
                | Self::Mmap
                | Self::NdArray
                | Self::MemoryView
        )
    }
}

/// What is known of a type.
#[derive(Clone, Debug)]
pub struct Type {
    /// Where it is.
    pub address: u64,
    /// Its name, without that of the module.
    pub name: String,
    /// How its instances are read.
    pub kind: Kind,
    /// Bytes of an instance without its items.
    pub basic_size: u64,
    /// Bytes of an item.
    pub item_size: u64,
    /// See [`cpython::flag`].
    pub flags: u64,
    /// Where instances have the pointer to their dict; negative from their end, 0 for nowhere.
    pub dict_offset: i64,
    /// The part of an instance that `kind` knows; what follows are slots of Python classes.
    pub known_size: u64,
    /// Whether it is of a library in C, C++ or Rust, and nothing else is known of it.
    pub is_foreign: bool,
}

impl Type {
    /// Whether it has all these flags.
    pub fn has(&self, flags: u64) -> bool {
        self.flags & flags == flags
    }
}

/// The number of a type in its table.
pub type TypeId = u32;

/// All types that were met.
#[derive(Default)]
pub struct Types {
    by_address: Map<u64, Option<TypeId>>,
    types: Vec<Type>,
}

impl Types {
    /// A type by its number.
    pub fn get(&self, id: TypeId) -> &Type {
        &self.types[id as usize]
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.types.len()
    }

    /// The type at an address, if there is one.
    pub fn at(&mut self, pages: &mut Pages, address: u64) -> Option<TypeId> {
        if let Some(known) = self.by_address.get(&address) {
            return *known;
        }
        if self.by_address.len() >= MOST_TYPES {
            return None;
        }
        let id = read(pages, address).map(|read| {
            self.types.push(read);
            (self.types.len() - 1) as TypeId
        });
        self.by_address.insert(address, id);
        id
    }
}

/// The fixed part of a type.
struct Head {
    metatype: u64,
    name: u64,
    basic_size: u64,
    item_size: u64,
    flags: u64,
    base: u64,
    dict_offset: i64,
}

fn head(pages: &mut Pages, address: u64) -> Option<Head> {
    if address == 0 || !address.is_multiple_of(8) {
        return None;
    }
    let mut bytes = [0; cpython::TYPE_BYTES];
    pages.read(address, &mut bytes)?;
    let word = |at: u64| {
        let at = at as usize;
        u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap_or_default())
    };
    Some(Head {
        metatype: word(cpython::OBJECT_TYPE),
        name: word(cpython::TYPE_NAME),
        basic_size: word(cpython::TYPE_BASIC_SIZE),
        item_size: word(cpython::TYPE_BASIC_SIZE + 8),
        flags: word(cpython::TYPE_FLAGS),
        base: word(cpython::TYPE_BASE),
        dict_offset: word(cpython::TYPE_DICT_OFFSET) as i64,
    })
}

fn read(pages: &mut Pages, address: u64) -> Option<Type> {
    let head_of_it = head(pages, address)?;
    let Head {
        metatype,
        basic_size,
        item_size,
        flags,
        dict_offset,
        ..
    } = head_of_it;
    let is_sane = flags & flag::READY != 0 && (16..LARGEST_BASIC_SIZE).contains(&basic_size) && item_size <= 1 << 16;
    if !is_sane {
        return None;
    }
    // The type of a type is `type`, or a subclass of it; that of `type` is itself.
    let metatype = head(pages, metatype)?;
    if metatype.flags & (flag::READY | flag::TYPE) != flag::READY | flag::TYPE {
        return None;
    }
    let full = name(pages, &head_of_it)?;
    let (mut kind, mut known_size) = (None, 16);
    let (mut at, mut above) = (head_of_it, full.clone());
    for _base in 0..MOST_BASES {
        if let Some(known) = kind_of(&above, &at) {
            kind = Some(known);
            known_size = at.basic_size;
            break;
        }
        let Some(next) = head(pages, at.base) else { break };
        let Some(text) = name(pages, &next) else { break };
        (at, above) = (next, text);
    }
    let is_foreign = kind == Some(Kind::Scan) && !is_of_the_language(&above);
    Some(Type {
        address,
        is_foreign,
        name: short(&full).to_owned(),
        kind: kind.unwrap_or(Kind::Instance),
        basic_size,
        item_size,
        flags,
        dict_offset,
        known_size: known_size.min(basic_size),
    })
}

fn name(pages: &mut Pages, head: &Head) -> Option<String> {
    let bytes = pages.c_string(head.name, LONGEST_NAME)?;
    let text = String::from_utf8(bytes).ok()?;
    (!text.is_empty() && !text.chars().any(char::is_control)).then_some(text)
}

/// Whether a type is one of the interpreter, or of a module that comes with it and has no large blocks behind its instances.
fn is_of_the_language(name: &str) -> bool {
    let module = name.split_once('.').map(|(module, _)| module);
    module.is_none_or(|module| {
        module.starts_with('_') && module != "_ctypes"
            || matches!(
                module,
                "builtins"
                    | "functools"
                    | "itertools"
                    | "collections"
                    | "operator"
                    | "types"
                    | "re"
                    | "weakref"
                    | "traceback"
            )
    })
}

/// `ndarray` of `numpy.ndarray`.
fn short(name: &str) -> &str {
    name.rsplit('.').find(|part| !part.is_empty()).unwrap_or(name)
}

/// How instances of this very type are read; `None` for `object` and Python classes, whose bases decide.
fn kind_of(name: &str, head: &Head) -> Option<Kind> {
    // The type of a Python class has the name of the class alone, one in C that of its module too, if it is not built in.
    let is_python_class = head.flags & flag::HEAP != 0 && !name.contains('.');
    if is_python_class || name == "object" {
        return None;
    }
    // Each extension module of Cython has types of its own for functions, with the version of Cython before the name.
    if matches!(short(name), "cython_function_or_method" | "fused_cython_function") {
        return Some(Kind::Leaf);
    }
    Some(match name {
        "collections.OrderedDict" => Kind::OrderedDict,
        "dict" | "collections.defaultdict" => Kind::Dict,
        "list" => Kind::List,
        "tuple" => Kind::Tuple,
        "str" => Kind::Str,
        "int" | "bool" => Kind::Int,
        "set" | "frozenset" => Kind::Set,
        "collections.deque" => Kind::Deque,
        "array.array" => Kind::Array,
        "bytearray" => Kind::ByteArray,
        "memoryview" => Kind::MemoryView,
        "managedbuffer" => Kind::ManagedBuffer,
        "mmap.mmap" => Kind::Mmap,
        "function" => Kind::Function,
        "generator" | "coroutine" | "async_generator" => Kind::Generator,
        "frame" => Kind::Frame,
        "numpy.ndarray" => Kind::NdArray,
        "bytes" | "float" | "complex" | "NoneType" | "module" | "type" | "code" | "ellipsis" | "range_iterator" => {
            Kind::Leaf
        }
        "weakref" | "weakref.ReferenceType" | "weakproxy" | "weakref.ProxyType" | "weakcallableproxy" => Kind::Leaf,
        "weakref.CallableProxyType" | "_abc._abc_data" => Kind::Leaf,
        "wrapper_descriptor" | "method_descriptor" | "getset_descriptor" | "member_descriptor" => Kind::Leaf,
        // Its reference to the data of a thread is not counted: the `threading.local` has another.
        "_thread._localdummy" => Kind::Leaf,
        _ if head.flags & flag::TYPE != 0 => Kind::Leaf,
        // Named tuples of C and the like.
        _ if head.flags & flag::TUPLE != 0 => Kind::Tuple,
        _ if head.flags & flag::INT != 0 => Kind::Int,
        _ if head.flags & flag::BYTES != 0 => Kind::Leaf,
        _ if head.flags & flag::DICT != 0 => Kind::Dict,
        _ if head.flags & flag::LIST != 0 => Kind::List,
        _ if head.flags & flag::STR != 0 => Kind::Str,
        _ => Kind::Scan,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_told_without_its_module() {
        assert_eq!(short("numpy.ndarray"), "ndarray");
        assert_eq!(short("dict"), "dict");
        assert_eq!(short("odd."), "odd");
    }
}
