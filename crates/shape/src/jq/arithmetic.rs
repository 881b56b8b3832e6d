//! What programs do with two values: `+`, `-`, `*`, `/`, `%`, as jq has them.

use std::collections::BTreeSet;
use std::ops::Range;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use jaq_core::ops::Math;
use jaq_core::{Error, ValR};

use super::meter::{Stop, halt, tick, tick_bytes, weigh};
use super::number::Num;
use super::value::{Obj, V, change_items, change_members, own_items, own_members};

impl From<bool> for V {
    fn from(is: bool) -> V {
        V::Bool(is)
    }
}

impl From<isize> for V {
    fn from(number: isize) -> V {
        V::Num(i64::try_from(number).map_or(Num::Float(number as f64), Num::Int))
    }
}

impl From<usize> for V {
    fn from(number: usize) -> V {
        V::Num(Num::of_len(number))
    }
}

impl From<f64> for V {
    fn from(number: f64) -> V {
        V::Num(Num::Float(number))
    }
}

impl From<String> for V {
    fn from(text: String) -> V {
        V::text(text)
    }
}

impl From<Range<Option<V>>> for V {
    fn from(bounds: Range<Option<V>>) -> V {
        let mut obj = Obj::default();
        for (name, bound) in [("start", bounds.start), ("end", bounds.end)] {
            if let Some(bound) = bound {
                obj.insert(Bytes::from_static(name.as_bytes()), bound);
            }
        }
        V::Obj(Rc::new(obj))
    }
}

impl std::ops::Add for V {
    type Output = ValR<V>;

    fn add(self, other: V) -> ValR<V> {
        tick(1);
        match (self, other) {
            (V::Null, value) | (value, V::Null) => Ok(value),
            (V::Num(left), V::Num(right)) => Ok(V::Num(left.plus(&right))),
            (V::Text(left), V::Text(right)) => {
                weigh((left.len() as u64).saturating_add(right.len() as u64), 0);
                // A text that nobody else holds grows in its place.
                tick_bytes(right.len());
                let mut text = left.try_into_mut().unwrap_or_else(|shared| {
                    tick_bytes(shared.len());
                    BytesMut::from(&*shared)
                });
                text.extend_from_slice(&right);
                Ok(V::Text(text.freeze()))
            }
            (V::Arr(mut left), V::Arr(right)) => {
                let own = change_items(&mut left);
                right.items().iter().cloned().for_each(|item| own.push(item));
                Ok(V::Arr(left))
            }
            (V::Obj(mut left), V::Obj(right)) => {
                let own = change_members(&mut left);
                for (name, value) in right.members() {
                    own.insert(name.clone(), value.clone());
                }
                Ok(V::Obj(left))
            }
            (left, right) => Err(Error::math(left, Math::Add, right)),
        }
    }
}

impl std::ops::Sub for V {
    type Output = ValR<V>;

    fn sub(self, other: V) -> ValR<V> {
        tick(1);
        match (self, other) {
            (V::Num(left), V::Num(right)) => Ok(V::Num(left.minus(&right))),
            (V::Arr(left), V::Arr(right)) => {
                let gone: BTreeSet<&V> = right.items().iter().collect();
                Ok(own_items(left).into_iter().filter(|item| !gone.contains(item)).collect())
            }
            (left, right) => Err(Error::math(left, Math::Sub, right)),
        }
    }
}

impl std::ops::Mul for V {
    type Output = ValR<V>;

    fn mul(self, other: V) -> ValR<V> {
        tick(1);
        match (self, other) {
            (V::Num(left), V::Num(right)) => Ok(V::Num(left.times(&right))),
            (V::Text(text), V::Num(times)) | (V::Num(times), V::Text(text)) => Ok(repeated(&text, &times)),
            (V::Obj(left), V::Obj(right)) => Ok(merged(left, right)),
            (left, right) => Err(Error::math(left, Math::Mul, right)),
        }
    }
}

/// A text so many times; null for none.
fn repeated(text: &Bytes, times: &Num) -> V {
    let times = times.as_f64();
    if times.is_nan() || times <= 0.0 {
        return V::Null;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive, and cut off at the top"
    )]
    let times = times.ceil() as usize;
    let Some(length) = text.len().checked_mul(times) else { halt(Stop::Size) };
    weigh(length as u64, 0);
    tick_bytes(length);
    V::text(text.repeat(times))
}

/// The members of both, those of the second in place of the first's; objects inside likewise.
fn merged(mut left: Rc<Obj>, right: Rc<Obj>) -> V {
    let own = change_members(&mut left);
    for (name, value) in own_members(right) {
        tick(1);
        let value = match (own.lift(&name), value) {
            (V::Obj(left), V::Obj(right)) => merged(left, right),
            (_, value) => value,
        };
        own.put(&name, Some(value));
    }
    V::Obj(left)
}

impl std::ops::Div for V {
    type Output = ValR<V>;

    fn div(self, other: V) -> ValR<V> {
        tick(1);
        match (self, other) {
            (V::Num(left), V::Num(right)) => Ok(V::Num(left.by(&right))),
            (V::Text(text), V::Text(between)) => Ok(split(&text, &between)),
            (left, right) => Err(Error::math(left, Math::Div, right)),
        }
    }
}

fn split(text: &Bytes, between: &Bytes) -> V {
    tick_bytes(text.len());
    let (Ok(own), Ok(between)) = (std::str::from_utf8(text), std::str::from_utf8(between)) else {
        return V::Null;
    };
    let part = |part: &str| V::Text(text.slice_ref(part.as_bytes()));
    if own.is_empty() {
        return V::arr(Vec::new());
    }
    if between.is_empty() {
        return own.split_inclusive(|_: char| true).map(part).collect();
    }
    own.split(between).map(part).collect()
}

impl std::ops::Rem for V {
    type Output = ValR<V>;

    fn rem(self, other: V) -> ValR<V> {
        tick(1);
        if let (V::Num(left), V::Num(right)) = (&self, &other)
            && let Some(rest) = left.rest(right)
        {
            return Ok(V::Num(rest));
        }
        Err(Error::math(self, Math::Rem, other))
    }
}

impl std::ops::Neg for V {
    type Output = ValR<V>;

    fn neg(self) -> ValR<V> {
        tick(1);
        match self {
            V::Num(number) => Ok(V::Num(number.negated())),
            other => Err(Error::typ(other, "number")),
        }
    }
}
