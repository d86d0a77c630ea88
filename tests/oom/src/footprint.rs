//! What it takes to watch a job: memory, disk and time, beside the same job on its own.

use std::fmt;
use std::mem::offset_of;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use recording::Header;

use crate::{Job, MIB, Outcome, Report, built};

/// A job of a scale test, watched and not.
#[derive(Debug)]
pub struct Footprint {
    /// What the victim says it holds.
    pub held: u64,
    /// What the report says it held at the peak, and one standard deviation.
    pub peak: (u64, u64),
    /// High-water mark of the resident memory beyond that of the job on its own, bytes.
    pub resident: i64,
    /// Processor time of the job by that of the job on its own.
    pub cpu: f64,
    /// Microseconds of processor time for each sample, beyond those of the job on its own.
    pub per_sample: f64,
    /// Samples taken.
    pub samples: u64,
    /// log2 of the interval between samples in the end.
    pub interval: u64,
    /// Bytes of the recording's file.
    pub recording: u64,
    /// How long writing the report again takes.
    pub report_time: Duration,
    /// High-water mark of its resident memory, bytes. No less than the few MiB of who measures it.
    pub report_resident: u64,
    /// The watched job.
    pub outcome: Outcome,
}

impl Footprint {
    /// Runs the job on its own and under `fil-profile`.
    #[track_caller]
    pub fn of(job: Job) -> Footprint {
        let alone = job.clone().unwatched().run();
        assert_eq!(alone.status, Some(0), "{alone}");
        let outcome = job.run();
        assert_eq!((outcome.status, outcome.signal), (Some(0), None), "{outcome}");
        let (before, after) = (alone.truths(), outcome.truths());
        let path = recording_of(&outcome);
        let bytes = std::fs::read(&path).expect("the recording can be read");
        let samples = number(&bytes, offset_of!(Header, samples));
        let more = |name: &str| after[name] as f64 - before[name] as f64;
        let (report_time, report_resident) = report_again(&outcome);
        let report = Report::of(&outcome);
        let at = |pointer| {
            report
                .number(pointer)
                .unwrap_or_else(|| panic!("no {pointer}: {outcome}"))
        };
        Footprint {
            held: after["HELD"],
            peak: (at("/moment/bytes"), at("/moment/error_bytes")),
            resident: more("RESIDENT") as i64,
            cpu: after["CPU_MICROSECONDS"] as f64 / before["CPU_MICROSECONDS"] as f64,
            per_sample: more("CPU_MICROSECONDS") / samples as f64,
            samples,
            interval: number(&bytes, offset_of!(Header, sample_interval)),
            recording: bytes.len() as u64,
            report_time,
            report_resident,
            outcome,
        }
    }

    /// The line above a table of them.
    pub fn head() -> &'static str {
        "| held MiB | ± % | peak/held | resident MiB | cpu × | µs/sample | samples | interval | recording MiB | report s | report MiB |"
    }
}

impl fmt::Display for Footprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / MIB as f64;
        let (peak, error) = self.peak;
        write!(
            f,
            "| {:.0} | {:.2} | {:.3} | {:.1} | {:.2} | {:.2} | {} | {} | {:.1} | {:.2} | {:.0} |",
            mib(self.held),
            100.0 * error as f64 / peak as f64,
            peak as f64 / self.held as f64,
            self.resident as f64 / MIB as f64,
            self.cpu,
            self.per_sample,
            self.samples,
            self.interval,
            mib(self.recording),
            self.report_time.as_secs_f64(),
            mib(self.report_resident),
        )
    }
}

/// The recording of a job that is one process.
#[track_caller]
pub fn recording_of(outcome: &Outcome) -> PathBuf {
    let files = std::fs::read_dir(outcome.run_folder()).expect("it is there").flatten();
    let mut recordings = files
        .map(|file| file.path())
        .filter(|path| path.extension() == Some("recording".as_ref()));
    let found = recordings.next().unwrap_or_else(|| panic!("no recording: {outcome}"));
    assert!(recordings.next().is_none(), "more than one recording: {outcome}");
    found
}

fn number(recording: &[u8], offset: usize) -> u64 {
    let bytes = recording[offset..offset + 8].try_into().expect("eight bytes");
    u64::from_le_bytes(bytes)
}

/// `fil-profile report` of the run: how long it takes, and how much memory, by what the kernel counts for a process's children.
fn report_again(outcome: &Outcome) -> (Duration, u64) {
    const CODE: &str = "import resource, subprocess, sys; subprocess.check_call(sys.argv[1:]); \
                        print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)";
    let began = Instant::now();
    let mut measured = Command::new("python3");
    measured.args(["-SIc", CODE]).arg(built::fil_profile());
    let measured = measured.arg("--no-browser").arg("report").arg(outcome.run_folder());
    let printed = built::run(measured);
    let kib: u64 = printed
        .trim()
        .parse()
        .unwrap_or_else(|_| panic!("no number: {printed}"));
    (began.elapsed(), kib << 10)
}
