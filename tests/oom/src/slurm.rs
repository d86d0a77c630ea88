//! A Slurm on loopback, of one node or of several on this machine: its daemons are started for a test and stopped with it.

use std::ffi::OsString;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, chown, geteuid};
use tempfile::TempDir;

use crate::{Python, announce, built};

/// A running Slurm.
#[derive(Debug)]
pub struct Slurm {
    place: TempDir,
    host: String,
    /// Names of its nodes.
    nodes: Vec<String>,
    /// The last one is stopped first.
    daemons: Vec<Child>,
}

impl Slurm {
    /// Starts one that kills jobs which use more memory than they asked for. None, and a word on it, where it cannot be had.
    #[track_caller]
    pub fn start() -> Option<Slurm> {
        Slurm::of_nodes(1)
    }

    /// One that takes this machine for so many nodes.
    #[track_caller]
    pub fn of_nodes(count: usize) -> Option<Slurm> {
        if let Some(why) = impossible() {
            announce(&format!("left out: jobs of Slurm, for {why}"));
            return None;
        }
        let place = tempfile::tempdir().expect("a temporary folder can be made");
        // munged and the job's user have to come by.
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        let host = fs::read_to_string("/proc/sys/kernel/hostname").expect("every Linux has it");
        let host = host.trim().to_owned();
        let nodes = match count {
            1 => vec![host.clone()],
            count => (1..=count).map(|number| format!("{host}{number}")).collect(),
        };
        let mut slurm = Slurm {
            place,
            host,
            nodes,
            daemons: Vec::new(),
        };
        slurm.configure();
        slurm.start_munged();
        let names = std::iter::once(("slurmctld", None));
        let nodes = slurm.nodes.clone();
        for (daemon, node) in names.chain(nodes.iter().map(|node| ("slurmd", Some(node)))) {
            let mut command = Command::new(daemon);
            command.arg("-D").env("SLURM_CONF", slurm.configuration());
            if let Some(node) = node {
                command.args(["-N", node]);
            }
            slurm.daemon(daemon, command);
        }
        slurm.wait_for("idle nodes", |slurm| {
            let state = slurm.tool("sinfo").args(["-h", "-N", "-o", "%T"]).output();
            state.is_ok_and(|state| {
                let states = String::from_utf8_lossy(&state.stdout).into_owned();
                states.lines().filter(|state| *state == "idle").count() == slurm.nodes.len()
            })
        });
        Some(slurm)
    }

    /// A folder for jobs, which goes with this value.
    pub fn folder(&self) -> PathBuf {
        self.place.path().join("jobs")
    }

    /// A command of Slurm's, such as `sbatch`, that talks to this one; started in the folder for jobs.
    pub fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command
            .env("SLURM_CONF", self.configuration())
            .current_dir(self.folder());
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if ["CARGO", "FIL_PROFILE_", "LD_", "SLURM_JOB", "PYTHON"]
                .iter()
                .any(|ours| text.starts_with(ours))
            {
                command.env_remove(&name);
            }
        }
        command
    }

    /// What the daemons have logged, to be shown where a test fails.
    pub fn log(&self) -> String {
        let logs = ["munged", "slurmctld", "slurmd"].map(|name| self.place.path().join(format!("{name}.log")));
        logs.iter()
            .map(|path| fs::read_to_string(path).unwrap_or_default())
            .collect()
    }

    fn configuration(&self) -> PathBuf {
        self.place.path().join("slurm.conf")
    }

    fn configure(&self) {
        let place = self.place.path();
        for folder in ["state", "spool", "munge", "jobs"] {
            fs::create_dir(place.join(folder)).expect("the temporary folder is writable");
        }
        let (host, at) = (&self.host, place.display());
        let controller = free_port();
        let node = |name: &String| {
            let port = free_port();
            format!(
                "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=1 RealMemory=2000 State=UNKNOWN\n"
            )
        };
        let nodes: String = self.nodes.iter().map(node).collect();
        let text = format!(
            "ClusterName=test\nSlurmctldHost={host}(127.0.0.1)\nSlurmctldPort={controller}\n\
             SlurmUser=root\nAuthType=auth/munge\nAuthInfo=socket={at}/munge/socket\nMpiDefault=none\n\
             StateSaveLocation={at}/state\nSlurmdSpoolDir={at}/spool/%n\nReturnToService=2\nMailProg=/bin/true\n\
             SlurmctldPidFile={at}/slurmctld.pid\nSlurmdPidFile={at}/slurmd-%n.pid\n\
             ProctrackType=proctrack/cgroup\nTaskPlugin=task/cgroup\nJobAcctGatherType=jobacct_gather/none\n\
             SelectType=select/cons_tres\nSelectTypeParameters=CR_Core_Memory\nSchedulerType=sched/builtin\n\
             {nodes}PartitionName=all Nodes=ALL Default=YES State=UP\n"
        );
        let cgroups = "CgroupPlugin=cgroup/v1\nCgroupMountpoint=/sys/fs/cgroup\nCgroupAutomount=no\n\
                       ConstrainRAMSpace=yes\nConstrainSwapSpace=no\n";
        for (name, text) in [("slurm.conf", &*text), ("cgroup.conf", cgroups)] {
            fs::write(place.join(name), text).expect("the temporary folder is writable");
        }
    }

    /// The daemon by which Slurm's processes know each other; it insists on files of its own user.
    fn start_munged(&mut self) {
        let user = User::from_name("munge").ok().flatten().expect("the package makes it");
        let folder = self.place.path().join("munge");
        let key = folder.join("key");
        fs::write(&key, [7; 1024]).expect("the temporary folder is writable");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("it is ours");
        for path in [&key, &folder] {
            chown(path, Some(user.uid), Some(user.gid)).expect("root may");
        }
        let mut command = Command::new("munged");
        command
            .arg("--foreground")
            .uid(user.uid.as_raw())
            .gid(user.gid.as_raw());
        for (option, name) in [
            ("key-file", "key"),
            ("socket", "socket"),
            ("pid-file", "pid"),
            ("seed-file", "seed"),
        ] {
            command.arg(format!("--{option}={}", folder.join(name).display()));
        }
        command.arg(format!("--log-file={}", folder.join("log").display()));
        self.daemon("munged", command);
        self.wait_for("munged's socket", |slurm| {
            slurm.place.path().join("munge/socket").exists()
        });
    }

    fn daemon(&mut self, name: &str, mut command: Command) {
        let mut log = fs::OpenOptions::new();
        let log = log
            .create(true)
            .append(true)
            .open(self.place.path().join(format!("{name}.log")));
        let log = log.expect("it is writable");
        let also = log.try_clone().expect("a file can be shared");
        let child = command.stdin(Stdio::null()).stdout(log).stderr(also).spawn();
        self.daemons
            .push(child.unwrap_or_else(|error| panic!("cannot start {name}: {error}")));
    }

    #[track_caller]
    fn wait_for(&self, what: &str, is_there: impl Fn(&Slurm) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(300);
        while !is_there(self) {
            assert!(
                Instant::now() < deadline,
                "no {what} before the deadline:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Runs a tool that waits for its job, which may fail.
    #[track_caller]
    pub fn wait(&self, command: &mut Command) -> Output {
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        for mut daemon in self.daemons.drain(..).rev() {
            // It may have ended by itself.
            let _ = kill(Pid::from_raw(daemon.id().cast_signed()), Signal::SIGTERM);
            let deadline = Instant::now() + Duration::from_secs(10);
            while matches!(daemon.try_wait(), Ok(None)) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(10));
            }
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        // What slurmd has made and leaves behind when it is empty.
        for controller in ["memory", "freezer", "cpuset", "devices", "cpuacct"] {
            for node in &self.nodes {
                let folder = Path::new("/sys/fs/cgroup").join(controller);
                let _ = fs::remove_dir(folder.join(format!("slurm_{node}")));
            }
        }
    }
}

/// With `fil-profile` and a python3 on PATH, as a user has them.
pub fn with_path(command: &mut Command) -> &mut Command {
    let folders =
        [built::fil_profile(), &Python::any().path].map(|program| program.parent().expect("it has one").to_owned());
    let all = std::env::var_os("PATH").unwrap_or_default();
    let all: Vec<PathBuf> = folders.into_iter().chain(std::env::split_paths(&all)).collect();
    let path: OsString = std::env::join_paths(all).expect("no colons in these");
    command.env("PATH", path)
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("it is bound").port()
}

/// Why there can be none on this machine.
fn impossible() -> Option<&'static str> {
    if !geteuid().is_root() {
        return Some("only root can start its daemons");
    }
    if !Path::new("/sys/fs/cgroup/memory/cgroup.procs").exists() {
        return Some("this machine has no memory cgroups of version 1");
    }
    let missing = ["munged", "slurmctld", "slurmd", "sbatch"]
        .iter()
        .any(|name| !built::is_on_path(name));
    missing.then_some("it is not installed here (packages slurm-wlm and munge)")
}
