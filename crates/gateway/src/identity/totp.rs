//! Codes of authenticator apps (RFC 6238): six digits, SHA-1, a new one every 30 seconds, as all those apps make them.
//!
//! Takes a secret and a time; says whether a code is that secret's. Reads no clock and remembers nothing: that a code counts
//! only once, and that only so many are tried, is said by whoever asks for it. Never shows a secret, nor how much of a code is
//! right.

use aws_lc_rs::{constant_time, hmac};

/// Seconds for which a code is shown, and its digits.
const STEP: u64 = 30;
const DIGITS: usize = 6;
/// Steps by which the clock of the app may be wrong (RFC 6238 section 5.2).
const LEEWAY: u64 = 1;
/// Least bytes of a secret (RFC 4226 section 4, R6).
const LEAST: usize = 16;

/// The secret that an authenticator app and the gateway share.
pub struct Totp {
    key: hmac::Key,
}

impl Totp {
    /// Of a secret in base32 (RFC 4648 section 6), as apps take it: small letters, spaces and a missing end do not matter.
    ///
    /// # Errors
    /// Why it is none, in words.
    pub fn new(written: &str) -> Result<Totp, &'static str> {
        let bytes = decoded(written).ok_or("it is not written in base32")?;
        if bytes.len() < LEAST {
            return Err("it is too short");
        }
        Ok(Totp { key: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &bytes) })
    }

    /// Which step this is the code of, among those whose codes may come at this second since 1970. All are compared, and
    /// whole, so that the time tells nothing.
    pub fn step_of(&self, code: &[u8], second: u64) -> Option<u64> {
        let now = second / STEP;
        let mut found = None;
        for step in now.saturating_sub(LEEWAY)..=now.saturating_add(LEEWAY) {
            if constant_time::verify_slices_are_equal(&self.code(step), code).is_ok() {
                found = Some(step);
            }
        }
        found
    }

    /// The second at which the code of a step is taken no more.
    pub fn end_of(step: u64) -> u64 {
        step.saturating_add(1 + LEEWAY).saturating_mul(STEP)
    }

    /// The code of a step: the last digits of a number out of the HMAC (RFC 4226 section 5.3).
    fn code(&self, step: u64) -> [u8; DIGITS] {
        let tag = hmac::sign(&self.key, &step.to_be_bytes());
        let tag = tag.as_ref();
        let place = usize::from(tag.last().copied().unwrap_or_default() & 0xf);
        let four = tag.get(place..place.saturating_add(4)).and_then(|four| four.try_into().ok());
        let mut rest = four.map_or(0, u32::from_be_bytes) & 0x7fff_ffff;
        let mut digits = [b'0'; DIGITS];
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        digits
    }
}

/// The bytes of a text in base32.
fn decoded(written: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0_u32);
    for letter in written.trim_end_matches(['=', ' ', '\n']).bytes().filter(|letter| *letter != b' ') {
        let five = match letter.to_ascii_uppercase() {
            letter @ b'A'..=b'Z' => letter - b'A',
            letter @ b'2'..=b'7' => letter - b'2' + 26,
            _ => return None,
        };
        held = held << 5 | u32::from(five);
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
            held &= (1 << bits) - 1;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `12345678901234567890`, the secret of RFC 6238 appendix B for SHA-1.
    const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    #[test]
    fn codes_are_those_of_the_rfc() {
        let totp = Totp::new(SECRET).unwrap();
        // RFC 6238 appendix B has eight digits; six are the last of them (RFC 4226 section 5.3).
        for (second, eight) in [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ] {
            let code = &eight.as_bytes()[2..];
            assert_eq!(totp.code(second / STEP), *code, "{second}");
            assert_eq!(totp.step_of(code, second), Some(second / STEP), "{second}");
        }
        // RFC 4226 appendix D, by the number of the step.
        for (step, code) in ["755224", "287082", "359152", "969429", "338314", "254676"].iter().enumerate() {
            assert_eq!(totp.code(step as u64), *code.as_bytes(), "{step}");
        }
    }

    #[test]
    fn a_code_is_taken_one_step_early_and_one_late() {
        let totp = Totp::new(SECRET).unwrap();
        let step = 37_037_036;
        let code = totp.code(step);
        for (second, taken) in [
            (step * STEP - STEP - 1, false),
            (step * STEP - STEP, true),
            (step * STEP, true),
            (Totp::end_of(step) - 1, true),
            (Totp::end_of(step), false),
        ] {
            assert_eq!(totp.step_of(&code, second).is_some(), taken, "{second}");
        }
        for other in ["", "08180", "0818040", "81804", " 81804", "081805"] {
            assert_eq!(totp.step_of(other.as_bytes(), 1_111_111_109), None, "{other}");
        }
    }

    #[test]
    fn secrets_are_read_as_apps_write_them() {
        // RFC 4648 section 10.
        for (text, bytes) in [
            ("", ""),
            ("MY======", "f"),
            ("MZXW6===", "foo"),
            ("MZXW6YQ=", "foob"),
            ("MZXW6YTBOI======", "foobar"),
        ] {
            assert_eq!(decoded(text).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        let spaced = "gezd gnbv gy3t qojq gezd gnbv gy3t qojq\n";
        assert_eq!(Totp::new(spaced).unwrap().code(1), *b"287082");
        assert_eq!(Totp::new("GEZDGNBVGY3TQOJQ").err(), Some("it is too short"));
        assert_eq!(Totp::new("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJ1").err(), Some("it is not written in base32"));
    }
}
