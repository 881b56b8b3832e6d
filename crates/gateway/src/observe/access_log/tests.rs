//! The log from a worker's buffer to its sink, also where the sink fails.

use std::fs;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::path::Path;

use super::*;

const PATIENCE: Duration = Duration::from_secs(60);

fn open(path: &Path) -> Arc<AccessLog> {
    let target = LogTarget::File(path.to_owned());
    let settings = LogSettings { target, format: LineFormat::Json, redact: Vec::new() };
    AccessLog::open(settings).unwrap().unwrap()
}

fn put(lines: &mut LogLines, text: &str) {
    lines.push(|out| out.extend_from_slice(text.as_bytes()));
}

/// Waits until something is so; the writer has no other way to say it.
fn wait_until(so: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < end, "it never came about");
        std::thread::yield_now();
    }
}

#[test]
fn lines_of_all_workers_come_whole_and_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let log = open(&path);
    let workers: Vec<_> = (0..4)
        .map(|worker| {
            let mut lines = log.lines();
            std::thread::spawn(move || {
                for number in 0..5000 {
                    put(&mut lines, &format!("{worker} {number}\n"));
                    if number % 97 == 0 {
                        lines.flush();
                    }
                }
            })
        })
        .collect();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    assert!(log.close(PATIENCE));
    let text = fs::read_to_string(&path).unwrap();
    for worker in 0..4 {
        let start = format!("{worker} ");
        let own: Vec<_> = text.lines().filter_map(|line| line.strip_prefix(&start)).collect();
        let wish: Vec<_> = (0..5000).map(|number| number.to_string()).collect();
        assert_eq!(own, wish);
    }
    assert_eq!((log.written(), log.dropped(), log.failures()), (20_000, 0, 0));
}

#[test]
fn a_full_disk_blocks_nobody_and_every_line_is_accounted_for() {
    let log = open(Path::new("/dev/full"));
    let mut lines = log.lines();
    let line = format!("{}\n", "x".repeat(1023));
    for _ in 0..40_000 {
        put(&mut lines, &line);
    }
    lines.flush();
    assert!(log.dropped() > 0, "the queue holds less than what was given");
    wait_until(|| log.failures() > 1);
    drop(lines);
    assert!(log.close(Duration::from_millis(1)) || log.close(PATIENCE));
    assert_eq!((log.written(), log.dropped()), (0, 40_000));
}

#[test]
fn a_sink_that_hangs_blocks_nobody_and_gets_all_that_was_not_dropped_when_it_goes_on() {
    let (mut reader, writer) = io::pipe().unwrap();
    let log = open(Path::new(&format!("/proc/self/fd/{}", writer.as_raw_fd())));
    drop(writer);
    let mut lines = log.lines();
    for number in 0..60_000 {
        put(&mut lines, &format!("{number:01023}\n"));
    }
    drop(lines);
    assert!(log.dropped() > 0);
    assert!(!log.close(Duration::from_millis(1)), "a write hangs");
    let (mut count, mut line) = (0, [0; 1024]);
    while reader.read_exact(&mut line).is_ok() {
        assert_eq!((line[0], line[1023]), (b'0', b'\n'), "a line was cut");
        count += 1;
    }
    assert!(log.close(PATIENCE), "the writer has ended, and with it the pipe");
    assert_eq!((log.written(), log.written() + log.dropped()), (count, 60_000));
}

#[test]
fn a_file_that_was_moved_away_is_opened_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (path, moved) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
    let log = open(&path);
    let mut lines = log.lines();
    put(&mut lines, "before\n");
    lines.flush();
    wait_until(|| log.written() == 1);
    fs::rename(&path, &moved).unwrap();
    log.reopen();
    wait_until(|| path.exists());
    put(&mut lines, "after\n");
    lines.flush();
    assert!(log.close(PATIENCE));
    assert_eq!(fs::read_to_string(&moved).unwrap(), "before\n");
    assert_eq!(fs::read_to_string(&path).unwrap(), "after\n");
}

#[test]
fn a_line_beyond_the_bound_is_dropped_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let log = open(&path);
    let mut lines = log.lines();
    put(&mut lines, "a\n");
    put(&mut lines, &"x".repeat(MOST_LINE + 1));
    put(&mut lines, "b\n");
    lines.flush();
    assert!(log.close(PATIENCE));
    assert_eq!((fs::read_to_string(&path).unwrap().as_str(), log.dropped()), ("a\nb\n", 1));
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error_and_off_is_off() {
    let settings = |target| LogSettings { target, format: LineFormat::Json, redact: Vec::new() };
    assert!(AccessLog::open(settings(LogTarget::File("/nowhere/access.log".into()))).is_err());
    assert!(AccessLog::open(settings(LogTarget::Off)).unwrap().is_none());
}
