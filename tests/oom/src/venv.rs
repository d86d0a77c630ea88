//! Virtual environments with packages from PyPI, made once and kept below cargo's target folder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::{Python, built};

/// The python of a virtual environment that has numpy. It stays a link: its path is what makes it that environment's.
pub fn numpy_python() -> &'static Python {
    static READY: OnceLock<Python> = OnceLock::new();
    READY.get_or_init(|| with(Python::any(), "numpy", &["numpy"], &["numpy"]))
}

/// One that has pandas.
pub fn pandas_python() -> &'static Python {
    static READY: OnceLock<Python> = OnceLock::new();
    READY.get_or_init(|| with(Python::any(), "pandas", &["pandas"], &["pandas"]))
}

/// One that has memray, a peer that records every allocation, and the packages of real programs.
pub fn memray_python() -> &'static Python {
    static READY: OnceLock<Python> = OnceLock::new();
    let packages = ["memray", "numpy", "pandas", "scikit-learn"];
    let modules = ["memray", "numpy", "pandas", "sklearn"];
    READY.get_or_init(|| with(Python::any(), "memray", &packages, &modules))
}

/// One that has packages with allocators and threads of their own, and ways to call C.
pub fn allocators_python() -> &'static Python {
    static READY: OnceLock<Python> = OnceLock::new();
    let packages = [
        "pyarrow",
        "polars",
        "numba",
        "numexpr",
        "rocksdict",
        "pandas",
        "scikit-learn",
        "cffi",
        "cython",
        "setuptools",
    ];
    let modules = [
        "pyarrow",
        "polars",
        "numba",
        "numexpr",
        "rocksdict",
        "pandas",
        "sklearn",
        "cffi",
        "Cython",
        "setuptools",
    ];
    READY.get_or_init(|| with(Python::any(), "allocators", &packages, &modules))
}

/// One that compiles and reads messages of protobuf.
pub fn protobuf_python() -> &'static Python {
    static READY: OnceLock<Python> = OnceLock::new();
    READY.get_or_init(|| {
        with(
            Python::any(),
            "protobuf",
            &["grpcio-tools"],
            &["grpc_tools.protoc", "google.protobuf"],
        )
    })
}

/// One that has joblib, whose workers loky starts.
pub fn joblib_python() -> &'static Python {
    static READY: OnceLock<Python> = OnceLock::new();
    READY.get_or_init(|| with(Python::any(), "joblib", &["joblib"], &["joblib"]))
}

/// One that has gunicorn, which forks its workers.
pub fn gunicorn_python() -> &'static Python {
    static READY: OnceLock<Python> = OnceLock::new();
    READY.get_or_init(|| with(Python::any(), "gunicorn", &["gunicorn"], &["gunicorn"]))
}

/// One that has dask, whose nannies end workers.
pub fn dask_python() -> &'static Python {
    static READY: OnceLock<Python> = OnceLock::new();
    READY.get_or_init(|| {
        with(
            Python::any(),
            "dask",
            &["dask", "distributed"],
            &["dask", "distributed"],
        )
    })
}

/// One that has Nuitka, which compiles Python.
pub fn nuitka_python(base: &Python) -> Python {
    with(base, "nuitka", &["nuitka"], &["nuitka"])
}

/// One that has PyTorch, if there is any: it is too large to be installed for a test. A virtual environment `torch` below
/// `target/oom` is used where somebody has made it, else any Python that has it.
pub fn torch_python() -> Option<&'static Python> {
    static READY: OnceLock<Option<Python>> = OnceLock::new();
    let made = Python {
        path: built::target().join("torch/bin/python"),
        version: Python::any().version,
        is_free_threaded: false,
    };
    let others = Python::all().iter().map(|python| Python {
        path: python.path.clone(),
        version: python.version,
        is_free_threaded: python.is_free_threaded,
    });
    READY
        .get_or_init(|| {
            std::iter::once(made)
                .chain(others)
                .find(|python| imports(&python.path, &["torch"]))
        })
        .as_ref()
}

/// A virtual environment of this name for a Python, with these packages, which bring these modules.
fn with(base: &Python, name: &str, packages: &[&str], modules: &[&str]) -> Python {
    let (major, minor, micro) = base.version;
    let folder: PathBuf = built::target().join(format!("{name}-{major}.{minor}.{micro}"));
    let path = folder.join("bin/python");
    if !imports(&path, modules) {
        built::run(Command::new(&base.path).args(["-m", "venv", "--clear"]).arg(&folder));
        if !packages.is_empty() {
            built::run(pip_install(&path).args(packages));
        }
    }
    Python {
        path,
        version: base.version,
        is_free_threaded: base.is_free_threaded,
    }
}

fn pip_install(python: &Path) -> Command {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    pip
}

fn imports(python: &Path, modules: &[&str]) -> bool {
    let code = format!("import {}", modules.join(", "));
    let output = Command::new(python).args(["-c", &code]).output();
    output.is_ok_and(|output| output.status.success())
}

/// The wheel of the checkout, built by pip.
pub fn wheel() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let folder = built::target().join("wheels");
        let _ = std::fs::remove_dir_all(&folder);
        let tool = with(Python::any(), "pip", &[], &["pip"]);
        let mut pip = Command::new(&tool.path);
        pip.args(["-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir"]);
        pip.arg(&folder).arg(built::workspace());
        built::run(pip.env("CARGO_TARGET_DIR", built::target()));
        let mut wheels = std::fs::read_dir(&folder).expect("pip has made it").flatten();
        wheels.next().expect("pip has built one").path()
    })
}

/// The python of a virtual environment that has the wheel and these packages.
pub fn package_python(base: &Python, packages: &[&str]) -> Python {
    let name = [&["package"], packages].concat().join("-");
    // The pip that an older Python brings may not know the tag of such a wheel.
    let newer_pip: &[&str] = if base.version < (3, 10, 0) {
        &["--upgrade", "pip"]
    } else {
        &[]
    };
    let (packages, modules) = ([newer_pip, packages].concat(), [&["pip"], packages].concat());
    let python = with(base, &name, &packages, &modules);
    built::run(
        pip_install(&python.path)
            .args(["--force-reinstall", "--no-deps", "--no-index"])
            .arg(wheel()),
    );
    python
}
