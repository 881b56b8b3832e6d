//! gRPC-Web: the same messages for clients that see no trailers, and in base64 for those that see no bytes.
//!
//! By `PROTOCOL-WEB.md` of the gRPC project. What comes behind a body becomes a last frame of it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http1::Fields;

/// The first byte of the frame that holds trailers.
const TRAILERS: u8 = 0x80;

/// The frame that holds what came behind a body.
pub fn trailers(fields: &Fields) -> Vec<u8> {
    let mut text = Vec::new();
    for field in fields.iter() {
        text.extend(field.name.iter().map(u8::to_ascii_lowercase));
        text.extend_from_slice(b": ");
        text.extend_from_slice(field.value);
        text.extend_from_slice(b"\r\n");
    }
    let mut frame = vec![TRAILERS];
    frame.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
    frame.append(&mut text);
    frame
}

/// A piece in base64, padded: pieces may follow each other.
pub fn encode(piece: &[u8], out: &mut String) {
    out.clear();
    STANDARD.encode_string(piece, out);
}

/// Reads base64 as it comes, of one piece or several behind each other.
#[derive(Default)]
pub struct Decoder {
    /// What is missing its rest.
    group: Vec<u8>,
}

/// What is not base64.
#[derive(Debug, PartialEq, Eq)]
pub struct NotBase64;

impl Decoder {
    /// Puts the bytes of a piece of text behind `out`.
    ///
    /// # Errors
    /// It is not base64.
    pub fn decode(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), NotBase64> {
        for byte in text.iter().filter(|byte| !matches!(byte, b'\r' | b'\n')) {
            self.group.push(*byte);
            if self.group.len() == 4 {
                STANDARD.decode_vec(&self.group, out).map_err(|_| NotBase64)?;
                self.group.clear();
            }
        }
        Ok(())
    }

    /// Whether the text may end here.
    pub fn is_whole(&self) -> bool {
        self.group.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http1::Name;

    #[test]
    fn trailers_are_a_frame() {
        let mut fields = Fields::new();
        fields.push(Name::new(b"Grpc-Status").unwrap(), b"0");
        assert_eq!(trailers(&fields), b"\x80\0\0\0\x10grpc-status: 0\r\n");
    }

    #[test]
    fn base64_is_read_in_any_pieces_and_several_in_a_row() {
        let (mut one, mut other) = (String::new(), String::new());
        encode(b"hello", &mut one);
        encode(b"!", &mut other);
        let text = one + &other;
        for size in 1..text.len() {
            let (mut decoder, mut out) = (Decoder::default(), Vec::new());
            text.as_bytes().chunks(size).for_each(|piece| decoder.decode(piece, &mut out).unwrap());
            assert!(decoder.is_whole());
            assert_eq!(out, b"hello!");
        }
        let mut decoder = Decoder::default();
        assert_eq!(decoder.decode(b"a*bc", &mut Vec::new()), Err(NotBase64));
        let mut decoder = Decoder::default();
        decoder.decode(b"aGV", &mut Vec::new()).unwrap();
        assert!(!decoder.is_whole());
    }
}
