//! One line of the file of a day: what was counted of one thing in one hour.
//!
//! Takes bytes from a disk that may have torn or turned them; gives an hour only where the checksum of the line holds.

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::observe::telemetry::{Counts, Key};

/// What a line begins with: of another form, another mark.
const MARK: &str = "TH1";
/// The longest line that is written or read.
pub(super) const LONGEST: usize = 8 * 1024;
/// Where the words behind the checksum begin.
const WORDS: usize = MARK.len() + 1 + 16 + 1;

/// What was counted of one thing in an hour.
#[derive(Debug, PartialEq)]
pub(super) struct Hour {
    /// When the hour begins, in seconds since 1970.
    pub(super) at: u64,
    pub(super) counts: Counts,
}

/// A line with its end; `None` for one that would be too long.
pub(super) fn write(key: &Key, hour: &Hour) -> Option<String> {
    let Counts { calls, classes, refused, faults, bytes_in, bytes_out, latency } = &hour.counts;
    let filled = latency.buckets.iter().enumerate().filter(|(_, count)| **count > 0);
    let buckets: Vec<Value> = filled.map(|(place, count)| json!([place, count])).collect();
    let counted = json!([calls, classes, refused, faults, bytes_in, bytes_out, latency.sum_micros, buckets]);
    let words = format!("{}{} {counted}", begin(key), hour.at);
    let line = format!("{MARK} {} {words}\n", sum(words.as_bytes()));
    (line.len() <= LONGEST).then_some(line)
}

/// What stands behind the checksum of each line of a thing: by it others are passed over unread.
pub(super) fn begin(key: &Key) -> String {
    format!("{} {} ", key.kind.word(), json!([key.name, key.of]))
}

/// The hour of a line, if it is whole and one of the thing whose lines begin so.
pub(super) fn parse(bytes: &[u8], begin: &str) -> Option<Hour> {
    let line = bytes.strip_suffix(b"\n")?;
    let words = line.get(WORDS..)?;
    let rest = words.strip_prefix(begin.as_bytes())?;
    let head = line.get(..WORDS)?;
    if head != format!("{MARK} {} ", sum(words)).as_bytes() {
        return None;
    }
    let (at, counted) = std::str::from_utf8(rest).ok()?.split_once(' ')?;
    type Counted = (u64, [u64; 5], u64, u64, u64, u64, u64, Vec<(usize, u64)>);
    let (calls, classes, refused, faults, bytes_in, bytes_out, sum_micros, buckets): Counted =
        serde_json::from_str(counted).ok()?;
    let mut counts = Counts { calls, classes, refused, faults, bytes_in, bytes_out, ..Counts::default() };
    counts.latency.sum_micros = sum_micros;
    for (place, count) in buckets {
        *counts.latency.buckets.get_mut(place)? = count;
    }
    Some(Hour { at: at.parse().ok()?, counts })
}

/// The first 64 bits of the SHA-256 of the words, in hexadecimal.
fn sum(words: &[u8]) -> String {
    let digest = digest(&SHA256, words);
    digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::telemetry::Kind;

    #[test]
    fn a_line_is_read_as_it_was_written_and_not_at_all_when_it_is_torn_or_turned() {
        let key = Key { kind: Kind::Target, name: "a \"b\":80".into(), of: "users".into() };
        let mut counts = Counts { calls: 7, classes: [0, 5, 0, 1, 1], refused: 1, ..Counts::default() };
        (counts.faults, counts.bytes_in, counts.bytes_out) = (2, 3, u64::MAX);
        (counts.latency.buckets[0], counts.latency.buckets[17], counts.latency.sum_micros) = (5, 2, 99);
        let hour = Hour { at: 1_800_000_000, counts };
        let line = write(&key, &hour).unwrap();
        assert_eq!(line.matches('\n').count(), 1);
        assert_eq!(parse(line.as_bytes(), &begin(&key)), Some(hour));
        assert_eq!(parse(line.as_bytes(), &begin(&Key::gateway())), None);
        for cut in 0..line.len() {
            assert_eq!(parse(&line.as_bytes()[..cut], &begin(&key)), None, "cut at {cut}");
        }
        for place in 0..line.len() - 1 {
            let mut bytes = line.clone().into_bytes();
            bytes[place] ^= 1;
            assert_eq!(parse(&bytes, &begin(&key)), None, "turned at {place}");
        }
        let long = Key::new(Kind::Route, "x".repeat(LONGEST));
        assert_eq!(write(&long, &Hour { at: 0, counts: Counts::default() }), None);
    }
}
