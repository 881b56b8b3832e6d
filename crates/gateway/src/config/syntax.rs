//! What to do about a text that is no YAML.
//!
//! Takes what the parser says and where; gives a sentence for those who write such a file once a year. It guesses by the
//! text at that place, and says nothing where it would have to guess twice.

/// What to do about this fault of the parser at this byte of the text.
pub(super) fn remedy(said: &str, text: &str, at: usize) -> Option<&'static str> {
    let (before, after) = text.split_at_checked(at)?;
    let expected = said.contains("expected ',' or");
    Some(match said {
        _ if expected && before.ends_with('$') && after.starts_with('{') => {
            "inside `{ .. }` and `[ .. ]` write variables in quotes: `\"${NAME}\"`"
        }
        _ if expected => {
            "close what was opened, put a `,` between entries, and quote texts that have one of `,` `{` `}` `[` `]` in them"
        }
        _ if said.contains("tab") => "YAML takes no tabs here: indent with spaces",
        _ if said.contains("anchor") || said.contains("alias") => {
            "a word that begins with `*` or `&` needs quotes: `\"*.example.com/*\"`; a path begins with `/`: `/*`"
        }
        _ if said.contains("quoted scalar") && said.contains("escape") => {
            "between double quotes `\\` is special: write `\\\\`, or use single quotes"
        }
        _ if said.contains("quoted scalar") => "close the quote that begins here",
        _ if said.contains("mapping values") => {
            "keys of one map begin in the same column, deeper than the key above them; a text that has `: ` in it needs quotes"
        }
        _ if said.contains("block mapping") || said.contains("block collection") => {
            "keys of one map, and items of one list, begin in the same column"
        }
        _ if said.contains("unexpected character") => "a text that begins with this character needs quotes",
        _ if said.contains("simple key") => "a key is followed by `:` and a space",
        _ => return None,
    })
}
