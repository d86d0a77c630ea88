//! "Our signal is invisible: a job sees the handler that it has set, and none of its system calls is interrupted by us."

use nix::sys::signal::Signal;
use oom::{Folded, Job, Python};

/// A request for a report, twice, while a C program waits in the kernel.
#[test]
fn a_request_for_a_report_interrupts_no_call() {
    let awaited = [
        "poll",
        "poll-timeout",
        "ppoll",
        "select",
        "pselect",
        "epoll_wait",
        "epoll_pwait",
    ];
    let timed = [
        "usleep",
        "sleep",
        "nanosleep",
        "clock_nanosleep",
        "until",
        "poll-time",
        "read",
        "readv",
        "recv",
    ];
    for (how, least) in awaited
        .map(|how| (how, "0"))
        .into_iter()
        .chain(timed.map(|how| (how, "2")))
    {
        let mut running = Job::c("waits_in.c").arg(how).arg(least).start();
        running.wait_for_stdout("waiting");
        let job = running.job();
        running.signal(job, Signal::SIGUSR2);
        let report = running.wait_for_file("fil-result/latest/peak-memory.prof");
        assert!(Folded::load(&report).total() >= 3 << 20, "{how}: {running}");
        running.signal(job, Signal::SIGUSR2);
        let pid = running.pid();
        running.signal(pid, Signal::SIGUSR2);
        if least == "0" {
            std::fs::write(running.folder().join("go"), "x").expect("the victim has made it");
        }
        let outcome = running.finish();
        assert_eq!(outcome.status, Some(0), "{how}: {outcome}");
        assert_eq!(outcome.text(), format!("waiting\n{how}: 1, undisturbed\n"), "{outcome}");
    }
}

/// Every way in which the job itself, or the kernel on its behalf, sends SIGUSR2 to one of its processes.
#[test]
fn sigusr2_within_the_job_does_what_it_does_without_us() {
    let kills = [
        "itself",
        "kill",
        "sigqueue",
        "thread",
        "group",
        "shell",
        "no-environment",
        "orphan",
        "timer",
        "queue",
        "aio",
        "file",
        "sigsuspend",
    ];
    let killed = kills.map(|how| (how, "signal 12, status 0"));
    for (how, end) in killed
        .into_iter()
        .chain([("ignored", "signal 0, status 5"), ("parent", "ended")])
    {
        let job = Job::c("gets_sigusr2.c").arg(how);
        let alone = job.clone().unwatched().run();
        assert_eq!(alone.text(), format!("{how}: {end}\n"), "{alone}");
        let watched = job.run();
        assert_eq!(watched.text(), alone.text(), "{watched}");
        assert_eq!((watched.status, watched.signal), (Some(0), None), "{watched}");
    }
}

/// The programs by which a job sends it.
#[test]
fn programs_of_the_job_end_its_processes_by_sigusr2() {
    let timeout = "timeout -s USR2 0.5 sleep 4; echo $?";
    let shell = "sleep 4 & sleep 0.3; kill -USR2 $!; wait $!; echo $?";
    let popen = "
import signal, subprocess, time
child = subprocess.Popen(['sleep', '4'])
time.sleep(0.3)
child.send_signal(signal.SIGUSR2)
print(child.wait())";
    let to_the_job = "sh -c 'sleep 0.3; kill -USR2 '$$'; sleep 0.3' & sleep 4; echo alive";
    for (job, text, signal) in [
        (Job::words(["sh", "-c", timeout]), "124\n", None),
        (Job::words(["bash", "-c", shell]), "140\n", None),
        (Job::code(Python::any(), popen), "-12\n", None),
        (Job::words(["bash", "-c", to_the_job]), "", Some(Signal::SIGUSR2 as i32)),
    ] {
        let alone = job.clone().unwatched().run();
        assert_eq!((alone.text(), alone.signal), (text.to_owned(), signal), "{alone}");
        let watched = job.run();
        assert_eq!(
            (watched.text(), watched.signal),
            (alone.text(), alone.signal),
            "{watched}"
        );
    }
}

#[test]
fn what_a_program_asks_of_its_signals_is_answered_as_without_us() {
    let code = "
import os, signal, subprocess, sys
kept = bytearray(2 << 20)
for number in range(1, signal.NSIG):
    try:
        print(number, signal.getsignal(number))
    except ValueError:
        pass
heard = []
for number in signal.SIGUSR2, signal.SIGBUS:
    before = signal.signal(number, lambda number, frame: heard.append(number))
    print(before, callable(signal.getsignal(number)))
    os.kill(os.getpid(), number)
    print(heard)
    print(callable(signal.signal(number, before)), signal.getsignal(number))
    print(signal.signal(number, signal.SIG_IGN))
    os.kill(os.getpid(), number)
    # What is ignored stays so in a program that is executed.
    show = 'import signal; print(signal.getsignal(%d))' % number
    sys.stdout.flush()
    subprocess.check_call([sys.executable, '-c', show])
    print(signal.signal(number, signal.SIG_DFL))
    sys.stdout.flush()
    subprocess.check_call([sys.executable, '-c', show])
print(signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGBUS, signal.SIGUSR2}))
kept = [str(number) * 20 for number in range(20000)]
print(sorted(signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGBUS})))
print(sorted(signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR2})))
sys.stdout.flush()
os.kill(os.getpid(), int(sys.argv[1]))
print('not reached')";
    Python::each_of(Python::kinds(), |python| {
        for last in [Signal::SIGUSR2, Signal::SIGBUS, Signal::SIGUSR1] {
            let job = Job::code(python, code).arg((last as i32).to_string());
            let alone = job.clone().unwatched().run();
            assert_eq!(alone.signal, Some(last as i32), "{alone}");
            let watched = job.run();
            assert_eq!(watched.text(), alone.text());
            assert_eq!(watched.signal, alone.signal, "{watched}");
            assert_eq!(watched.job_stderr(), alone.job_stderr(), "{watched}");
        }
    });
}

/// Each of the C functions that set a handler, and what they return.
#[test]
fn every_function_that_sets_a_handler_tells_of_the_job_s_alone() {
    let job = Job::c("sets_handlers.c");
    let alone = job.clone().unwatched().run();
    assert_eq!(alone.status, Some(7), "{alone}");
    let watched = job.run();
    assert_eq!((watched.status, watched.text()), (Some(7), alone.text()), "{watched}");
}

/// As Slurm asks the process that it has started for a checkpoint.
#[test]
fn a_job_that_handles_sigusr2_gets_once_what_is_sent_to_us_and_the_report_is_written() {
    let code = "
import os, signal
kept = bytearray(40 << 20)
ours, its = os.pipe()
os.set_blocking(its, False)
for number in signal.SIGUSR1, signal.SIGUSR2:
    signal.signal(number, lambda *_: None)
signal.set_wakeup_fd(its)
print('waiting', flush=True)
while True:
    number = os.read(ours, 1)[0]
    print(signal.Signals(number).name, flush=True)
    if number == signal.SIGUSR1:
        break";
    Python::each_of(Python::kinds(), |python| {
        let mut running = Job::code(python, code).start();
        running.wait_for_stdout("waiting");
        let pid = running.pid();
        running.signal(pid, Signal::SIGUSR2);
        running.wait_for_stdout("SIGUSR2");
        running.wait_for_file("fil-result/latest/peak-memory.prof");
        // What had been passed on twice would come first.
        running.signal(pid, Signal::SIGUSR1);
        let outcome = running.finish();
        assert_eq!(outcome.status, Some(0), "{outcome}");
        assert_eq!(outcome.text(), "waiting\nSIGUSR2\nSIGUSR1\n", "{outcome}");
    });
}
