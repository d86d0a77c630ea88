//! A virtual machine with a kernel that has cgroups of version 2 only: this machine's own files, seen read-only through 9p.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::unistd::geteuid;
use tempfile::TempDir;

use crate::{announce, built};

/// In the order in which they need each other.
const MODULES: [&str; 11] = [
    "virtio_ring",
    "virtio",
    "virtio_pci_modern_dev",
    "virtio_pci_legacy_dev",
    "virtio_pci",
    "virtio_blk",
    "9pnet",
    "9pnet_virtio",
    "netfs",
    "fscache",
    "9p",
];

/// Bytes of the guest's disk.
const DISK: u64 = 256 << 20;

/// It takes 40 seconds where nobody else uses the machine: the processor is emulated.
const DEADLINE: Duration = Duration::from_secs(1200);

/// What a boot has left behind: the files of `/mnt/out`.
#[derive(Debug)]
pub struct Boot {
    place: TempDir,
}

impl Boot {
    /// Boots, runs a shell script as root with this machine's files around it, an empty `/mnt` and in it a writable `out`, here the files of a boot,
    /// and an empty disk `/dev/vda`, and powers off. None, and a word on it, where that cannot be done.
    #[track_caller]
    pub fn run(script: &str) -> Option<Boot> {
        Boot::run_for(script, DEADLINE, 1024)
    }

    /// As [`Boot::run`], for at most so long and with so many MiB of memory.
    #[track_caller]
    pub fn run_for(script: &str, time: Duration, mebibytes: u64) -> Option<Boot> {
        let kernel = match missing().map_or_else(kernel, Err) {
            Ok(kernel) => kernel,
            Err(why) => {
                announce(&format!("left out: cgroups of version 2, for {why}"));
                return None;
            }
        };
        let boot = Boot {
            place: tempfile::tempdir().expect("a temporary folder can be made"),
        };
        for folder in ["out", "image/bin", "image/modules"] {
            fs::create_dir_all(boot.place.path().join(folder)).expect("the temporary folder is writable");
        }
        fs::write(boot.file("script"), script).expect("the temporary folder is writable");
        boot.make_image(&kernel);
        boot.start(&kernel, time, mebibytes);
        Some(boot)
    }

    /// A file or folder of `/mnt/out`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.place.path().join("out").join(name)
    }

    /// A file of `/mnt/out` as text.
    #[track_caller]
    pub fn text(&self, name: &str) -> String {
        let text = fs::read(self.file(name));
        let text = text.unwrap_or_else(|error| panic!("no {name} in /out: {error}\n{self}"));
        String::from_utf8_lossy(&text).into_owned()
    }

    fn make_image(&self, kernel: &Kernel) {
        let image = self.place.path().join("image");
        fs::copy("/bin/busybox", image.join("bin/busybox")).expect("it is installed");
        for module in MODULES {
            let file = kernel.module(module);
            fs::copy(&file, image.join("modules").join(format!("{module}.ko")))
                .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        }
        let init = image.join("init");
        fs::write(&init, init_script()).expect("the temporary folder is writable");
        built::run(Command::new("chmod").arg("755").arg(&init));
        let pack = "cd \"$1\" && find . | cpio -o -H newc --quiet | gzip -1 > ../initrd";
        built::run(Command::new("sh").args(["-c", pack, "sh"]).arg(&image));
    }

    fn start(&self, kernel: &Kernel, time: Duration, mebibytes: u64) {
        let place = self.place.path();
        let share = |path: &Path, tag: &str, options: &str| {
            format!(
                "local,path={},mount_tag={tag},security_model=none,{options}",
                path.display()
            )
        };
        let console = File::create(place.join("console")).expect("the temporary folder is writable");
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(["-m", &mebibytes.to_string()]);
        qemu.args(["-accel", "tcg", "-smp", "1", "-nographic", "-no-reboot", "-net", "none"]);
        qemu.args(["-append", "console=ttyS0 quiet panic=-1 psi=1"]);
        qemu.arg("-kernel")
            .arg(&kernel.image)
            .arg("-initrd")
            .arg(place.join("initrd"));
        let disk = place.join("disk");
        let made = File::create(&disk).and_then(|file| file.set_len(DISK));
        made.expect("the temporary folder is writable");
        let disk = format!("file={},format=raw,if=virtio", disk.display());
        qemu.args(["-drive", &disk]);
        qemu.args(["-virtfs", &share(Path::new("/"), "host", "readonly=on,multidevs=remap")]);
        qemu.args(["-virtfs", &share(&place.join("out"), "out", "multidevs=remap")]);
        let also = console.try_clone().expect("a file can be shared");
        let mut qemu = qemu
            .stdin(Stdio::null())
            .stdout(console)
            .stderr(also)
            .spawn()
            .expect("it is installed");
        let deadline = Instant::now() + time;
        while matches!(qemu.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = qemu.kill();
                let _ = qemu.wait();
                panic!("the virtual machine did not power off before the deadline\n{self}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(
            self.file("finished").exists(),
            "the script did not come to its end\n{self}"
        );
    }
}

impl std::fmt::Display for Boot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |path: PathBuf| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        let console = text(self.place.path().join("console"));
        write!(f, "--- console\n{console}\n--- script\n{}", text(self.file("log")))
    }
}

fn init_script() -> String {
    let modules: String = MODULES.map(|module| format!("insmod /modules/{module}.ko\n")).concat();
    format!(
        "#!/bin/busybox sh\n\
         /bin/busybox --install -s /bin\n\
         mkdir -p /proc /host\n\
         mount -t proc proc /proc\n\
         {modules}\
         mount -t 9p -o trans=virtio,version=9p2000.L,cache=loose,msize=524288,ro host /host\n\
         mount -t proc proc /host/proc\n\
         mount -t sysfs sys /host/sys\n\
         mount -t devtmpfs dev /host/dev\n\
         mount -t tmpfs scratch /host/mnt\n\
         mount -t cgroup2 cgroup2 /host/sys/fs/cgroup\n\
         mkdir /host/mnt/out\n\
         mount -t 9p -o trans=virtio,version=9p2000.L out /host/mnt/out\n\
         chroot /host /bin/sh /mnt/out/script > /host/mnt/out/log 2>&1\n\
         touch /host/mnt/out/finished\n\
         sync\n\
         poweroff -f\n"
    )
}

/// A kernel that is installed here or was downloaded for this.
#[derive(Debug)]
struct Kernel {
    image: PathBuf,
    modules: PathBuf,
}

impl Kernel {
    fn module(&self, name: &str) -> PathBuf {
        let mut find = Command::new("find");
        find.arg(&self.modules).args(["-name", &format!("{name}.ko")]);
        PathBuf::from(built::run(&mut find).lines().next().unwrap_or(name))
    }

    /// Below a folder that is laid out like a system's root.
    fn below(root: &Path) -> Option<Kernel> {
        let entries = fs::read_dir(root.join("boot")).ok()?.flatten();
        let mut images: Vec<_> = entries.map(|entry| entry.path()).collect();
        images.retain(|path| {
            path.file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(b"vmlinuz-"))
        });
        images.sort();
        let image = images.pop()?;
        let version = image.file_name()?.to_str()?.strip_prefix("vmlinuz-")?.to_owned();
        let modules = root.join("lib/modules").join(version);
        modules.is_dir().then_some(Kernel { image, modules })
    }
}

/// Debian's, unpacked below cargo's target folder and not installed.
fn kernel() -> Result<Kernel, &'static str> {
    let folder = built::target().join("kernel");
    if let Some(kernel) = Kernel::below(&folder) {
        return Ok(kernel);
    }
    let package = Command::new("apt-cache")
        .args(["depends", "--important", "linux-image-amd64"])
        .output();
    let package = package.map_err(|_| "there is no apt to get a kernel with")?.stdout;
    let package = String::from_utf8_lossy(&package);
    let package = package.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
    let package = package.ok_or("this system has no package of a kernel")?;
    fs::create_dir_all(&folder).expect("the target folder is writable");
    // apt's own user writes it.
    let _ = built::run(Command::new("chmod").arg("a+rwx").arg(&folder));
    let mut download = Command::new("apt-get");
    let downloaded = download
        .args(["download", "-q", package])
        .current_dir(&folder)
        .stderr(std::io::stderr())
        .output();
    if !downloaded.is_ok_and(|output| output.status.success()) {
        return Err("the package of a kernel cannot be downloaded");
    }
    // Its other modules are 400 MB.
    let unpack = "dpkg --fsys-tarfile linux-image-*.deb | tar -x --wildcards './boot/vmlinuz-*' \
                  '*/virtio*.ko' '*/9p*.ko' '*/netfs.ko' '*/fscache.ko' && rm linux-image-*.deb";
    built::run(Command::new("sh").args(["-c", unpack]).current_dir(&folder));
    Kernel::below(&folder).ok_or("the package of a kernel has none")
}

/// What has to be installed and is not.
fn missing() -> Option<&'static str> {
    if !geteuid().is_root() {
        return Some("only root may read all of this machine's files");
    }
    let tools = [
        (
            "qemu-system-x86_64",
            "qemu is not installed here (package qemu-system-x86)",
        ),
        ("cpio", "cpio is not installed here"),
        ("busybox", "busybox is not installed here (package busybox-static)"),
    ];
    let missing = tools.iter().find(|(name, _)| !built::is_on_path(name));
    missing.map(|(_, why)| *why)
}
