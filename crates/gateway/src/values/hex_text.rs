//! Numbers as hexadecimal text, without a loop: identifiers stand in every request, answer and log line.

/// The sixteen digits of a number, in lower case.
pub fn hex16(number: u64) -> [u8; 16] {
    let mut text = [0; 16];
    let (high, low) = text.split_at_mut(8);
    high.copy_from_slice(&eight_digits((number >> 32) as u32));
    low.copy_from_slice(&eight_digits(number as u32));
    text
}

/// The thirty-two digits of a number, in lower case.
pub fn hex32(number: u128) -> [u8; 32] {
    let mut text = [0; 32];
    let (high, low) = text.split_at_mut(16);
    high.copy_from_slice(&hex16((number >> 64) as u64));
    low.copy_from_slice(&hex16(number as u64));
    text
}

/// All eight digits in one 64-bit number: the nibbles are spread over its bytes, then each becomes its letter.
fn eight_digits(number: u32) -> [u8; 8] {
    let mut spread = u64::from(number);
    spread = (spread << 16 | spread) & 0x0000_ffff_0000_ffff;
    spread = (spread << 8 | spread) & 0x00ff_00ff_00ff_00ff;
    spread = (spread << 4 | spread) & 0x0f0f_0f0f_0f0f_0f0f;
    // Adding 6 carries into the fifth bit of those bytes that are above 9.
    let letters = (spread + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
    (spread + 0x3030_3030_3030_3030 + letters * u64::from(b'a' - b'0' - 10)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_look_as_the_standard_library_writes_them() {
        for number in [0, 1, 0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, u64::MAX] {
            assert_eq!(hex16(number), format!("{number:016x}").as_bytes());
            let wide = u128::from(number) << 64 | u128::from(!number);
            assert_eq!(hex32(wide), format!("{wide:032x}").as_bytes());
        }
    }
}
