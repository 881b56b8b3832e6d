//! What the kernel knows of this process: processor time, memory, open files.
//!
//! Read from `/proc` for each page; what cannot be read is left out, as on systems that have no `/proc`.

use std::fs;

/// Units of processor time in a second: `USER_HZ`, 100 on every Linux since 2.6 (`man 5 proc`).
const TICKS: f64 = 100.0;

/// One reading.
#[derive(Default, Debug)]
pub(crate) struct Process {
    /// Seconds in user and in system mode.
    pub(crate) cpu: Option<(f64, f64)>,
    /// Bytes of memory that are resident.
    pub(crate) resident: Option<u64>,
    /// Bytes of address space.
    pub(crate) virtual_size: Option<u64>,
    /// Files and sockets that are open.
    pub(crate) open_files: Option<u64>,
    /// Files and sockets that may be open.
    pub(crate) most_files: Option<u64>,
    /// Threads.
    pub(crate) threads: Option<u64>,
}

impl Process {
    /// Reads all of it.
    pub(crate) fn read() -> Process {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let open_files = fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as u64);
        Process {
            cpu: cpu(&stat),
            resident: kibibytes(&status, "VmRSS:"),
            virtual_size: kibibytes(&status, "VmSize:"),
            // The handle that reads the folder is open too.
            open_files: open_files.map(|count| count.saturating_sub(1)),
            most_files: rustix::process::getrlimit(rustix::process::Resource::Nofile).current,
            threads: word_behind(&status, "Threads:").and_then(|word| word.parse().ok()),
        }
    }
}

/// Fields 14 and 15. The second field is the name of the program in brackets, which may hold blanks and brackets.
fn cpu(stat: &str) -> Option<(f64, f64)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut seconds = || Some(fields.next()?.parse::<f64>().ok()? / TICKS);
    Some((seconds()?, seconds()?))
}

fn kibibytes(status: &str, name: &str) -> Option<u64> {
    word_behind(status, name)?.parse::<u64>().ok()?.checked_mul(1024)
}

fn word_behind<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let stat = "42 (a) b (c) S 1 1 1 0 -1 0 1 2 3 4 250 50 0 0 20 0 3 0 100 200 300";
        assert_eq!(cpu(stat), Some((2.5, 0.5)));
        assert_eq!(cpu("42"), None);
    }

    #[test]
    fn this_process_has_memory_and_files() {
        let process = Process::read();
        assert!(process.resident > Some(100_000) && process.open_files >= Some(1), "{process:?}");
        assert!(process.cpu.is_some() && process.threads >= Some(1), "{process:?}");
    }
}
