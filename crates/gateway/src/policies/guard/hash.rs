//! Hashes of paths, agents and clients for the sketches: quick, and with a secret that no client can know.
//!
//! Not for anything that is compared as a proof. Takes bytes; gives 64 bits; allocates nothing.

/// The secret of one table.
#[derive(Clone, Copy)]
pub struct Seed(u64, u64);

impl Seed {
    /// Of a random number.
    pub fn new(random: u64) -> Seed {
        Seed(spread(random, 0x9e37_79b9_7f4a_7c15), spread(random, 0xd1b5_4a32_d192_ed03) | 1)
    }

    /// The hash of some bytes.
    #[inline]
    pub fn bytes(&self, bytes: &[u8]) -> u64 {
        let mut state = self.0 ^ bytes.len() as u64;
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            state = spread(state ^ u64::from_le_bytes(*word), self.1);
        }
        let mut last = [0; 8];
        last.iter_mut().zip(rest).for_each(|(place, byte)| *place = *byte);
        spread(spread(state ^ u64::from_le_bytes(last), self.1), self.0 | 1)
    }

    /// The hash of a number.
    #[inline]
    pub fn number(&self, number: u64) -> u64 {
        spread(spread(self.0 ^ number, self.1), self.0 | 1)
    }
}

/// Both halves of a product, mixed.
#[inline]
fn spread(a: u64, b: u64) -> u64 {
    // It always has room; asking whether it has would cost more than the product.
    let product = u128::from(a).wrapping_mul(u128::from(b));
    (product as u64) ^ ((product >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_in_one_byte_or_in_length_differs() {
        let seed = Seed::new(7);
        let mut seen: Vec<u64> = Vec::new();
        for text in
            ["", "a", "b", "aa", "/orders/1", "/orders/2", "/orders/12345678", "/orders/12345679", "\0"]
        {
            let hash = seed.bytes(text.as_bytes());
            assert!(!seen.contains(&hash), "{text}");
            seen.push(hash);
        }
        assert_ne!(Seed::new(8).bytes(b"/orders/1"), seed.bytes(b"/orders/1"));
    }

    #[test]
    fn paths_spread_over_the_bits() {
        let seed = Seed::new(3);
        let mut counts = [0u32; 64];
        for nth in 0..6_400u64 {
            counts[(seed.bytes(format!("/items/{nth}").as_bytes()) % 64) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (60..=150).contains(count)), "{counts:?}");
    }
}
