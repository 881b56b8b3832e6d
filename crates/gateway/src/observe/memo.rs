//! Texts that line after line need again: made once, then copied.
//!
//! Takes what a text is made of, gives the text. As many places as given and no more: what is new takes the place of
//! what stood there.

/// Texts by what they are made of.
pub(super) struct Memo<K> {
    places: Vec<Option<(K, Vec<u8>)>>,
}

impl<K> Memo<K> {
    /// So many places.
    pub(super) fn with_places(count: usize) -> Memo<K> {
        Memo { places: (0..count.max(1)).map(|_| None).collect() }
    }

    /// The text of a key: the one that stands at the place of `hash` if `is` knows its key, else one that `write`
    /// appends, which then stands there for the key that `key` makes.
    pub(super) fn text(
        &mut self,
        hash: usize,
        is: impl Fn(&K) -> bool,
        key: impl FnOnce() -> K,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> &[u8] {
        let at = hash % self.places.len().max(1);
        let Some(place) = self.places.get_mut(at) else { return &[] };
        if !place.as_ref().is_some_and(|(known, _)| is(known)) {
            let mut text = place.take().map(|(_, text)| text).unwrap_or_default();
            text.clear();
            write(&mut text);
            *place = Some((key(), text));
        }
        place.as_ref().map_or(&[], |(_, text)| text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_made_again_only_when_its_place_was_taken() {
        let mut memo = Memo::with_places(2);
        let mut made = 0;
        for key in [1, 1, 2, 3, 1, 2] {
            let text = memo.text(
                key,
                |known| *known == key,
                || key,
                |text| {
                    made += 1;
                    text.extend_from_slice(key.to_string().as_bytes());
                },
            );
            assert_eq!(text, key.to_string().as_bytes());
        }
        assert_eq!(made, 4, "3 took the place of 1");
    }
}
