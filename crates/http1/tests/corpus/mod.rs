//! The corpus of attacks: text files of one row for each message, its verdict and its escaped bytes.

/// Requests, with the verdict on their first head.
pub(crate) const REQUESTS: &str = include_str!("request.txt");
/// Responses to GET, with the verdict on their first head.
pub(crate) const RESPONSES: &str = include_str!("response.txt");
/// Chunked bodies.
pub(crate) const BODIES: &str = include_str!("body.txt");

/// One message.
pub(crate) struct Row {
    /// `ok`, `more` or the code of the rule that refuses it.
    pub(crate) verdict: &'static str,
    /// The bytes as they stand in the file.
    pub(crate) text: &'static str,
    /// The bytes.
    pub(crate) bytes: Vec<u8>,
}

/// The rows of a file.
pub(crate) fn rows(file: &'static str) -> Vec<Row> {
    let lines = file.lines().filter(|line| !line.is_empty() && !line.starts_with("# "));
    lines
        .map(|line| {
            let (verdict, text) = line.split_once(' ').unwrap();
            Row { verdict, text, bytes: unescaped(text) }
        })
        .collect()
}

/// `\r`, `\n`, `\t`, `\0`, `\\` and `\xNN` become the bytes they stand for.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next().unwrap() {
                b'r' => b'\r',
                b'n' => b'\n',
                b't' => b'\t',
                b'0' => b'\0',
                b'\\' => b'\\',
                b'x' => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                other => panic!("unknown escape {:?} in {text}", char::from(other)),
            },
            byte => byte,
        });
    }
    bytes
}
