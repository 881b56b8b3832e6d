//! Headers as they stand on the wire, good and bad.

use super::*;
use proptest::prelude::*;

fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE.as_slice(), &[command, family], &length, rest].concat()
}

/// 192.0.2.1:4660 to 198.51.100.2:443.
const IPV4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 2, 0x12, 0x34, 0x01, 0xbb];

fn with_extras(extras: &[u8]) -> Vec<u8> {
    v2(0x21, 0x11, &[IPV4.as_slice(), extras].concat())
}

fn extra_of(kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&[kind], length.as_slice(), value].concat()
}

/// Ends and TLS of what must be a header and nothing else.
fn told(bytes: &[u8]) -> (String, bool) {
    match parse(bytes) {
        Ok(Seen::Header(length, told)) if length == bytes.len() => {
            let ends = told.ends.map_or("none".to_owned(), |(from, to)| format!("{from} {to}"));
            (ends, told.tls)
        }
        other => panic!("{other:?} for {bytes:?}"),
    }
}

#[test]
fn lines_of_version_1() {
    for (line, ends) in [
        ("PROXY TCP4 192.0.2.1 198.51.100.2 4660 443\r\n", "192.0.2.1:4660 198.51.100.2:443"),
        ("PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n", "0.0.0.0:0 255.255.255.255:65535"),
        ("PROXY TCP6 2001:db8::1 2001:db8::2 4660 443\r\n", "[2001:db8::1]:4660 [2001:db8::2]:443"),
        ("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", "[::ffff:192.0.2.1]:1 [::1]:2"),
        ("PROXY UNKNOWN\r\n", "none"),
        ("PROXY UNKNOWN ffff:f:f:f:f:f:f:f ffff:f:f:f:f:f:f:f 65535 65535\r\n", "none"),
    ] {
        assert_eq!(told(line.as_bytes()), (ends.to_owned(), false), "{line}");
    }
}

#[test]
fn lines_that_are_refused() {
    for line in [
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP5 192.0.2.1 198.51.100.2 1 2\r\n",
        "PROXY tcp4 192.0.2.1 198.51.100.2 1 2\r\n",
        "PROXY UDP4 192.0.2.1 198.51.100.2 1 2\r\n",
        "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.2 1 2\r\n",
        "PROXY TCP4  192.0.2.1 198.51.100.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 1 2 \r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 1 2 3\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 1\r\n",
        "PROXY TCP4 192.0.2.01 198.51.100.2 1 2\r\n",
        "PROXY TCP4 192.0.2 198.51.100.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 01 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 +1 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 65536 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 1 2\n",
        "PROXY TCP4 192.0.2.1\r198.51.100.2 1 2\r\n",
        "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
    ] {
        assert!(matches!(parse(line.as_bytes()), Err(Malformed::Line | Malformed::Unknown)), "{line}");
    }
    let endless = format!("PROXY UNKNOWN {}", "x".repeat(100));
    assert_eq!(parse(endless.as_bytes()), Err(Malformed::TooLong));
}

#[test]
fn headers_of_version_2() {
    let ipv6 = [[0x20, 0x01, 0x0d, 0xb8].as_slice(), &[0; 11], &[1], &[0; 15], &[1, 0, 1, 0, 2]].concat();
    let client = [1, 0, 0, 0, 0];
    let clear = [0, 0, 0, 0, 0];
    let common_name = [client.as_slice(), &extra_of(0x22, b"example")].concat();
    let v4 = "192.0.2.1:4660 198.51.100.2:443";
    for (bytes, ends, tls) in [
        (v2(0x21, 0x11, &IPV4), v4, false),
        (v2(0x21, 0x21, &ipv6), "[2001:db8::1]:1 [::1]:2", false),
        (v2(0x21, 0x31, &[0; 216]), "none", false),
        (v2(0x21, 0x00, b"anything"), "none", false),
        (v2(0x20, 0x00, b""), "none", false),
        (v2(0x20, 0x11, &IPV4), "none", false),
        (v2(0x20, 0xff, b"ignored"), "none", false),
        (with_extras(&extra_of(0x01, b"h2")), v4, false),
        (with_extras(&extra_of(0x20, &client)), v4, true),
        (with_extras(&extra_of(0x20, &clear)), v4, false),
        (with_extras(&extra_of(0x20, &common_name)), v4, true),
        (with_extras(&extra_of(0x04, &[0; 1000])), v4, false),
    ] {
        assert_eq!(told(&bytes), (ends.to_owned(), tls), "{bytes:?}");
    }
}

#[test]
fn headers_of_version_2_that_are_refused() {
    let mut lies = with_extras(&extra_of(0x04, b"abc"));
    lies[30] = 9;
    let truncated_inner = extra_of(0x20, &[1, 0, 0, 0, 0, 0x22, 0, 9, b'x']);
    for (bytes, why) in [
        (v2(0x11, 0x11, &IPV4), Malformed::Unknown),
        (v2(0x22, 0x11, &IPV4), Malformed::Unknown),
        (v2(0x21, 0x12, &IPV4), Malformed::Unknown),
        (v2(0x21, 0x10, &IPV4), Malformed::Unknown),
        (v2(0x21, 0x41, &IPV4), Malformed::Unknown),
        (v2(0x21, 0x11, &IPV4[..11]), Malformed::Length),
        (v2(0x21, 0x21, &IPV4), Malformed::Length),
        (v2(0x21, 0x31, &[0; 215]), Malformed::Length),
        (with_extras(&[4]), Malformed::Length),
        (with_extras(&[4, 0, 1]), Malformed::Length),
        (lies, Malformed::Length),
        (with_extras(&extra_of(0x20, &[1, 0])), Malformed::Length),
        (with_extras(&truncated_inner), Malformed::Length),
        (with_extras(&extra_of(0x03, &[0; 3])), Malformed::Length),
        (with_extras(&extra_of(0x03, &[0; 4])), Malformed::Checksum),
        (with_extras(&vec![0; MOST]), Malformed::TooLong),
    ] {
        assert_eq!(parse(&bytes), Err(why), "{bytes:?}");
    }
    // A length beyond every bound is refused before it has come.
    assert_eq!(parse(&[SIGNATURE.as_slice(), &[0x21, 0x11, 0xff, 0xff]].concat()), Err(Malformed::TooLong));
}

/// RFC 3720 appendix B.4: the checksums of 32 zeros and of 32 bytes of ones.
#[test]
fn the_checksum_is_that_of_iscsi() {
    assert_eq!(checksum(&[0; 32], 32), 0x8a91_36aa);
    assert_eq!(checksum(&[0xff; 32], 32), 0x62a8_ab43);
    assert_eq!(checksum(b"123456789", 9), 0xe306_9283);
}

#[test]
fn a_checksum_is_checked() {
    let mut bytes = with_extras(&[extra_of(0x04, b"padding"), extra_of(0x03, &[0; 4])].concat());
    let at = bytes.len() - 4;
    let right = checksum(&bytes, at).to_be_bytes();
    bytes[at..].copy_from_slice(&right);
    assert_eq!(told(&bytes).0, "192.0.2.1:4660 198.51.100.2:443");
    // Without its kind the checksum is none: nothing is told by which it could be missed.
    for place in (FIXED..bytes.len()).filter(|place| *place != at - 3) {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        assert!(matches!(parse(&changed), Err(Malformed::Checksum | Malformed::Length)), "{place}");
    }
}

#[test]
fn what_is_something_else() {
    for bytes in ["GET / HTTP/1.1\r\n\r\n", "PROXYTCP4", "\r\n\r\nGET /", "\u{16}\u{3}\u{1}", "P ", "PROXX"] {
        assert_eq!(parse(bytes.as_bytes()), Ok(Seen::Absent), "{bytes:?}");
    }
    for bytes in ["", "P", "PROXY", "PROXY TCP4 192.0.2.1", "\r\n\r\n", "\r\n\r\n\0\r\nQUIT\n!"] {
        assert!(
            matches!(parse(bytes.as_bytes()), Ok(Seen::Partial(more)) if more > bytes.len()),
            "{bytes:?}"
        );
    }
}

proptest! {
    /// What is written is read as the same, after any cut.
    #[test]
    fn a_header_written_is_read(from: SocketAddr, to: SocketAddr, first: bool, more: Vec<u8>) {
        let version = if first { Version::V1 } else { Version::V2 };
        let written = header(version, from, to);
        let bytes = [written.as_slice(), &more].concat();
        for cut in 0..written.len() {
            prop_assert!(matches!(parse(&bytes[..cut]), Ok(Seen::Partial(needed)) if needed > cut && needed <= written.len()));
        }
        let Ok(Seen::Header(length, told)) = parse(&bytes) else { panic!("{bytes:?}") };
        let plain = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
        let (read_from, read_to) = told.ends.unwrap();
        prop_assert_eq!((length, plain(read_from), plain(read_to)), (written.len(), plain(from), plain(to)));
    }

    /// No bytes make it panic or claim more than is there.
    #[test]
    fn any_bytes_are_taken_or_refused(kind in 0_u8..3, tail: Vec<u8>) {
        let head: &[u8] = match kind { 0 => b"", 1 => WORD, _ => SIGNATURE };
        let bytes = [head, &tail].concat();
        match parse(&bytes) {
            Ok(Seen::Header(length, _)) => prop_assert!(length <= bytes.len() && length <= MOST),
            Ok(Seen::Partial(needed)) => prop_assert!(needed > bytes.len() && needed <= MOST),
            Ok(Seen::Absent) | Err(_) => {}
        }
    }
}
