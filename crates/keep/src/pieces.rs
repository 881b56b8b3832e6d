//! Numbers and texts, one behind the other in bytes: written, and read again with every length checked.
//!
//! Numbers stand with their low byte first, texts behind their length. What ends too early gives nothing, never a part.

/// Appends numbers and texts.
pub trait Write {
    /// One byte.
    fn byte(&mut self, value: u8);
    /// A number of two bytes.
    fn short(&mut self, value: u16);
    /// A number of eight bytes.
    fn long(&mut self, value: u64);
    /// A text behind its length; one of 4 GiB or more becomes empty.
    fn text(&mut self, text: &[u8]);
    /// A text that may be missing.
    fn maybe(&mut self, text: Option<&[u8]>);
}

impl Write for Vec<u8> {
    fn byte(&mut self, value: u8) {
        self.push(value);
    }

    fn short(&mut self, value: u16) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn long(&mut self, value: u64) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn text(&mut self, text: &[u8]) {
        let (length, text) = match u32::try_from(text.len()) {
            Ok(length) => (length, text),
            Err(_) => (0, &b""[..]),
        };
        self.extend_from_slice(&length.to_le_bytes());
        self.extend_from_slice(text);
    }

    fn maybe(&mut self, text: Option<&[u8]>) {
        self.byte(u8::from(text.is_some()));
        if let Some(text) = text {
            self.text(text);
        }
    }
}

/// Reads what [`Write`] wrote, from the front.
pub struct Reading<'b>(pub &'b [u8]);

impl<'b> Reading<'b> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*array)
    }

    /// One byte.
    pub fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// A number of two bytes.
    pub fn short(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    /// A number of eight bytes.
    pub fn long(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// So many bytes as they are.
    pub fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.array()
    }

    /// A text.
    pub fn text(&mut self) -> Option<&'b [u8]> {
        let length = u32::from_le_bytes(self.array()?);
        let (text, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(text)
    }

    /// A text that may be missing.
    pub fn maybe(&mut self) -> Option<Option<&'b [u8]>> {
        match self.byte()? {
            0 => Some(None),
            1 => self.text().map(Some),
            _ => None,
        }
    }

    /// Whether nothing is left.
    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }
}
