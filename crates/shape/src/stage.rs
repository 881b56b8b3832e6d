//! Operations that run over the stream: what is removed, renamed, masked or kept is decided at each name as it passes.

use std::sync::Arc;

use aws_lc_rs::hmac;

use crate::Misfit;
use crate::op::{Act, Mask};
use crate::path::{Place, Trie};
use crate::text::{plain, written};
use crate::token::{Sink, Token};

/// What stands where something was masked.
const STARS: &str = "****";
/// Bytes of a text that is masked by what is in it.
const MOST_MASKED: usize = 1024 * 1024;
/// Characters that a text has at least where its last ones are shown.
const LEAST_SHOWN: usize = 8;

/// What is skipped or passed without a look.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    /// Nothing.
    No,
    /// An object or array, until this many have ended.
    Levels(usize),
    /// A long text.
    Text,
}

impl Over {
    /// Begins with the first token of a value; what is one token alone is over at once.
    fn begin(token: Token<'_>) -> Over {
        match token {
            Token::ObjectStart | Token::ArrayStart => Over::Levels(1),
            Token::TextStart => Over::Text,
            _ => Over::No,
        }
    }

    fn next(self, token: Token<'_>) -> Over {
        match (self, token) {
            (Over::Levels(open), Token::ObjectStart | Token::ArrayStart) => {
                Over::Levels(open.saturating_add(1))
            }
            (Over::Levels(1), Token::ObjectEnd | Token::ArrayEnd) | (Over::Text, Token::TextEnd) => Over::No,
            (Over::Levels(open), Token::ObjectEnd | Token::ArrayEnd) => Over::Levels(open.saturating_sub(1)),
            (over, _) => over,
        }
    }
}

/// Removes, renames and masks.
pub(crate) struct Edit {
    trie: Arc<Trie>,
    acts: Arc<[Act]>,
    place: Place,
    /// What goes.
    dropping: Over,
    /// What holds nothing that a path leads to.
    passing: Over,
    /// A long text that is masked.
    masking: Option<(u32, Vec<u8>)>,
    /// What the name before the value asks for.
    asked: Option<u32>,
}

impl Edit {
    pub(crate) fn new(trie: &Arc<Trie>, acts: &Arc<[Act]>) -> Edit {
        Edit {
            trie: trie.clone(),
            acts: acts.clone(),
            place: Place::default(),
            dropping: Over::No,
            passing: Over::No,
            masking: None,
            asked: None,
        }
    }

    fn act(&self, number: Option<u32>) -> Option<&Act> {
        self.acts.get(number? as usize)
    }

    pub(crate) fn take(&mut self, token: Token<'_>, next: &mut dyn Sink) -> Result<(), Misfit> {
        if self.dropping != Over::No {
            self.dropping = self.dropping.next(token);
            return Ok(());
        }
        if self.passing != Over::No {
            self.passing = self.passing.next(token);
            return next.take(token);
        }
        if self.masking.is_some() {
            return self.mask_on(token, next);
        }
        match token {
            Token::Name(name) => {
                self.asked = self.place.name(&self.trie, name);
                match self.act(self.asked) {
                    Some(Act::Remove) => Ok(()),
                    Some(Act::Rename(new)) => next.take(Token::Name(new)),
                    Some(Act::Mask(_)) | None => next.take(token),
                }
            }
            Token::ObjectEnd | Token::ArrayEnd => {
                self.place.leave();
                next.take(token)
            }
            Token::TextPart(_) | Token::TextEnd | Token::End => next.take(token),
            _ => self.value(token, next),
        }
    }

    fn value(&mut self, token: Token<'_>, next: &mut dyn Sink) -> Result<(), Misfit> {
        let own = self.place.value(&self.trie);
        let number = self.asked.take().or(own);
        match self.act(number) {
            Some(Act::Remove) => {
                self.dropping = Over::begin(token);
                return Ok(());
            }
            Some(Act::Mask(mask)) => {
                return match token {
                    Token::Scalar(b"null") => next.take(token),
                    Token::Scalar(word) => next.take(Token::Text(&masked(mask, word))),
                    Token::Text(text) => next.take(Token::Text(&masked(mask, &plain(text)))),
                    Token::TextStart => {
                        self.masking = number.map(|number| (number, Vec::new()));
                        Ok(())
                    }
                    _ => {
                        self.dropping = Over::begin(token);
                        next.take(Token::Text(STARS.as_bytes()))
                    }
                };
            }
            Some(Act::Rename(_)) | None => {}
        }
        match token {
            Token::ObjectStart | Token::ArrayStart if self.place.leads_on() || self.trie.is_deep() => {
                self.place.enter(token == Token::ArrayStart);
            }
            Token::ObjectStart | Token::ArrayStart => self.passing = Over::begin(token),
            _ => {}
        }
        next.take(token)
    }

    fn mask_on(&mut self, token: Token<'_>, next: &mut dyn Sink) -> Result<(), Misfit> {
        match (token, &mut self.masking) {
            (Token::TextPart(part), Some((_, text))) => {
                if text.len().saturating_add(part.len()) > MOST_MASKED {
                    return Err(Misfit::Long("a text that is masked", MOST_MASKED));
                }
                text.extend_from_slice(part);
                Ok(())
            }
            (Token::TextEnd, Some((number, text))) => {
                let (number, text) = (*number, std::mem::take(text));
                self.masking = None;
                let Some(Act::Mask(mask)) = self.act(Some(number)) else { return Ok(()) };
                next.take(Token::Text(&masked(mask, &plain(&text))))
            }
            _ => Ok(()),
        }
    }
}

/// What a value becomes, as it is written.
pub(crate) fn masked(mask: &Mask, said: &[u8]) -> Vec<u8> {
    match mask {
        Mask::Stars => STARS.into(),
        Mask::Last4 => {
            let text = String::from_utf8_lossy(said);
            let count = text.chars().count();
            let shown = if count >= LEAST_SHOWN { 4 } else { 0 };
            let last: String = text.chars().skip(count.saturating_sub(shown)).collect();
            written(&(STARS.to_owned() + &last))
        }
        Mask::Hash(key) => {
            let key = hmac::Key::new(hmac::HMAC_SHA256, key);
            let tag = hmac::sign(&key, said);
            let hex: String = tag.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
            hex.into_bytes()
        }
    }
}

/// Lets nothing pass but what is listed.
pub(crate) struct Keep {
    trie: Arc<Trie>,
    place: Place,
    dropping: Over,
    passing: Over,
    /// A name that passes only if its value is gone into.
    name: Option<Vec<u8>>,
    /// Whether the value that comes is kept whole, or goes, as its name said.
    asked: Asked,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Nothing,
    Whole,
    Gone,
}

impl Keep {
    pub(crate) fn new(trie: &Arc<Trie>) -> Keep {
        Keep {
            trie: trie.clone(),
            place: Place::default(),
            dropping: Over::No,
            passing: Over::No,
            name: None,
            asked: Asked::Nothing,
        }
    }

    pub(crate) fn take(&mut self, token: Token<'_>, next: &mut dyn Sink) -> Result<(), Misfit> {
        if self.dropping != Over::No {
            self.dropping = self.dropping.next(token);
            return Ok(());
        }
        if self.passing != Over::No {
            self.passing = self.passing.next(token);
            return next.take(token);
        }
        match token {
            Token::Name(name) => {
                if self.place.name(&self.trie, name).is_some() {
                    self.asked = Asked::Whole;
                    return next.take(token);
                }
                if self.place.leads_on() {
                    self.name = Some(name.to_vec());
                } else {
                    self.asked = Asked::Gone;
                }
                Ok(())
            }
            Token::ObjectEnd | Token::ArrayEnd => {
                self.place.leave();
                next.take(token)
            }
            Token::TextPart(_) | Token::TextEnd | Token::End => next.take(token),
            _ => self.value(token, next),
        }
    }

    fn value(&mut self, token: Token<'_>, next: &mut dyn Sink) -> Result<(), Misfit> {
        let at_top = self.place.is_at_top();
        let own = self.place.value(&self.trie);
        let asked = std::mem::replace(&mut self.asked, Asked::Nothing);
        let name = self.name.take();
        if asked == Asked::Whole || (asked == Asked::Nothing && own.is_some()) {
            self.passing = Over::begin(token);
            return next.take(token);
        }
        let inner = matches!(token, Token::ObjectStart | Token::ArrayStart);
        if asked == Asked::Gone || !inner || !self.place.leads_on() {
            self.dropping = Over::begin(token);
            // Something has to stand for the document.
            return if at_top { next.take(Token::Scalar(b"null")) } else { Ok(()) };
        }
        if let Some(name) = name {
            next.take(Token::Name(&name))?;
        }
        self.place.enter(token == Token::ArrayStart);
        next.take(token)
    }
}
