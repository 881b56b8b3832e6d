//! Blocks read along: the examples of RFC 7541, and every way in which a path can be said.

use super::*;

fn head(flags: u8, length: usize) -> Frame {
    Frame { kind: kind::HEADERS, flags, length: u32::try_from(length).unwrap(), stream: 1 }
}

/// A whole block in one frame.
fn read(blocks: &mut Blocks, block: &[u8]) -> Result<Odd, Malformed> {
    let begun = blocks.begin(head(END_HEADERS, block.len()));
    begun.or_else(|| blocks.payload(block)).unwrap()
}

fn bytes(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|digit| !digit.is_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap()).collect()
}

const PSEUDO: Odd = Odd { pseudo: true, fragment: false };
const PLAIN: Odd = Odd { pseudo: false, fragment: false };
const FRAGMENT: Odd = Odd { pseudo: true, fragment: true };

/// RFC 7541 appendix C.3 and C.4: three requests on a connection each, without and with Huffman. The sizes of the table
/// are those of the RFC.
#[test]
fn the_examples_of_the_rfc_are_read() {
    let plain = [
        ("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", 57),
        ("8286 84be 5808 6e6f 2d63 6163 6865", 110),
        ("8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65", 164),
    ];
    let coded = [
        ("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", 57),
        ("8286 84be 5886 a8eb 1064 9cbf", 110),
        ("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", 164),
    ];
    for requests in [plain, coded] {
        let mut blocks = Blocks::default();
        for (request, size) in requests {
            assert_eq!(read(&mut blocks, &bytes(request)), Ok(PSEUDO));
            assert_eq!(blocks.table.size, size);
        }
    }
}

/// RFC 7541 appendix C.5 and C.6, whose table of 256 bytes evicts; here said by the block itself.
#[test]
fn entries_leave_when_there_is_no_more_room() {
    let answers = [
        (
            "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 \
          3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            222,
        ),
        ("4803 3330 37c1 c0bf", 222),
        (
            "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 \
          7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 \
          6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
            215,
        ),
    ];
    let mut blocks = Blocks::default();
    assert_eq!(read(&mut blocks, &bytes("3fe1 01")), Ok(PLAIN), "a table of 256 bytes");
    for (answer, size) in answers {
        assert_eq!(read(&mut blocks, &bytes(answer)), Ok(PSEUDO));
        assert_eq!(blocks.table.size, size);
    }
    assert_eq!(read(&mut blocks, &bytes("20")), Ok(PLAIN));
    assert_eq!((blocks.table.size, blocks.table.entries.len()), (0, 0));
}

/// A literal of these kinds: first byte, name by index or as text, value.
fn literal(first: u8, name: Option<&str>, value: &str) -> Vec<u8> {
    let mut block = vec![first];
    for text in name.into_iter().chain([value]) {
        block.push(u8::try_from(text.len()).unwrap());
        block.extend(text.as_bytes());
    }
    block
}

#[test]
fn a_fragment_is_seen_however_it_is_said() {
    // `/x#y` with Huffman: 6 bits of `/`, 7 of `x`, 12 of `#`, 7 of `y`.
    let coded = [&[0x04, 0x84][..], &bytes("63cf fd7a")].concat();
    for block in [
        literal(0x04, None, "/x#y"),
        literal(0x14, None, "/x#"),
        literal(0x45, None, "#"),
        literal(0x00, Some(":path"), "/x#y"),
        literal(0x40, Some(":path"), "/x#y"),
        coded,
    ] {
        let mut blocks = Blocks::default();
        assert_eq!(read(&mut blocks, &block), Ok(FRAGMENT), "{block:x?}");
        if block[0] & 0x40 != 0 {
            assert_eq!(read(&mut blocks, &[0xbe]), Ok(FRAGMENT), "mentioned again");
            assert_eq!(read(&mut blocks, &literal(0x40 | 0x3e, None, "/z")), Ok(PSEUDO), "its name alone");
        }
        assert_eq!(read(&mut blocks, &literal(0x04, None, "/x%23y")), Ok(PSEUDO));
        assert_eq!(read(&mut blocks, &literal(0x00, Some("x"), "#")), Ok(PLAIN));
        assert_eq!(read(&mut blocks, &literal(0x00, Some(":paths"), "#")), Ok(PSEUDO));
    }
}

#[test]
fn frames_in_any_pieces_make_the_same_block() {
    let block = [literal(0x44, None, "/x#y"), literal(0x00, Some("a"), "b")].concat();
    let padded = [&[3][..], &[0; 5], &block, &[0; 3]].concat();
    for size in 1..=padded.len() {
        let mut blocks = Blocks::default();
        assert_eq!(blocks.begin(head(END_HEADERS | PADDED | PRIORITY, padded.len())), None);
        let mut read = None;
        for piece in padded.chunks(size) {
            assert_eq!(read, None);
            read = blocks.payload(piece);
        }
        assert_eq!(read, Some(Ok(FRAGMENT)), "{size}");
    }
    for cut in 0..=block.len() {
        let mut blocks = Blocks::default();
        let (first, second) = block.split_at(cut);
        let mut read = blocks.begin(head(0, first.len())).or_else(|| blocks.payload(first));
        assert_eq!(read, None);
        let frame = Frame { kind: kind::CONTINUATION, ..head(END_HEADERS, second.len()) };
        read = blocks.begin(frame).or_else(|| blocks.payload(second));
        assert_eq!(read, Some(Ok(FRAGMENT)), "{cut}");
    }
}

#[test]
fn what_cannot_be_read_is_refused() {
    for block in [
        &[0x80][..],
        &[0xbe],
        &[0xff, 0x80],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
        &[0x3f, 0xe2, 0x1f],
        &[0x00, 0x05, b'a'],
        &[0x00, 0x01, b'a'],
        &[0x00, 0x84, 0xff, 0xff, 0xff, 0xff, 0x00],
        &[0x04],
    ] {
        assert_eq!(read(&mut Blocks::default(), block), Err(Malformed), "{block:x?}");
    }
    assert_eq!(Blocks::default().begin(head(END_HEADERS, 0)), Some(Ok(PLAIN)));
    assert_eq!(Blocks::default().begin(head(END_HEADERS | PADDED, 0)), None, "for the engine to refuse");
}
