//! How programs take values apart and change parts of them: `.a`, `.[0]`, `.[]`, `.[1:2]`, and the same with `|=`.

use std::ops::Range;
use std::rc::Rc;

use bytes::Bytes;
use jaq_core::box_iter::{BoxIter, box_once};
use jaq_core::path::Opt;
use jaq_core::{Error, Exn, ValR, ValX};

use super::meter::{tick, tick_bytes};
use super::number::Num;
use super::value::{Arr, Obj, V, change_items, change_members, own_items, own_members};

/// What a slice may say of where it begins and ends.
type Bounds<'v> = Range<Option<&'v V>>;

/// Names of what errors say a value is not.
const INTEGER: &str = "integer";
const STRING: &str = "string";
const ARRAY: &str = "array";
const ITERABLE: &str = "iterable (array or object)";
const SLICEABLE: &str = "array or string";

/// A place counted from the beginning, or from the end where it is negative.
fn place(at: i64, length: usize) -> Option<usize> {
    match usize::try_from(at) {
        Ok(place) => Some(place),
        Err(_) => length.checked_sub(usize::try_from(at.unsigned_abs()).ok()?),
    }
}

fn whole(index: &V) -> ValR<i64, V> {
    match index {
        V::Num(number) => number.as_whole().ok_or_else(|| Error::typ(index.clone(), INTEGER)),
        _ => Err(Error::typ(index.clone(), INTEGER)),
    }
}

/// Where a slice begins and ends in so many.
fn between(bounds: &Bounds<'_>, length: usize) -> ValR<Range<usize>, V> {
    let bound = |given: Option<&V>, default: usize| match given {
        None | Some(V::Null) => Ok(default),
        Some(index) => whole(index).map(|at| place(at, length).unwrap_or(0).min(length)),
    };
    let (start, end) = (bound(bounds.start, 0)?, bound(bounds.end, length)?);
    Ok(start..end.max(start))
}

/// The bounds that an object says: `{ "start": 1, "end": 2 }`.
fn bounds_of(obj: &Obj) -> Bounds<'_> {
    obj.members().get(&b"start"[..])..obj.members().get(&b"end"[..])
}

/// A slice of a text, counted in characters.
fn text_slice(text: &Bytes, bounds: &Bounds<'_>) -> ValR<V> {
    tick_bytes(text.len().saturating_mul(2));
    let own = std::str::from_utf8(text).unwrap_or_default();
    let range = between(bounds, own.chars().count())?;
    let byte = |nth: usize| own.char_indices().nth(nth).map_or(own.len(), |(byte, _)| byte);
    let part = own.get(byte(range.start)..byte(range.end)).unwrap_or_default();
    Ok(V::Text(text.slice_ref(part.as_bytes())))
}

/// Where `part` stands in `items`.
pub(super) fn places(items: &[V], part: &[V]) -> V {
    tick(items.len());
    if part.is_empty() {
        return V::arr(Vec::new());
    }
    let windows = items.windows(part.len()).enumerate();
    windows.filter(|(_, window)| *window == part).map(|(nth, _)| V::from(nth)).collect()
}

impl V {
    /// What stands at an index; nothing where nothing does.
    pub(super) fn at(self, index: &V) -> ValR<Option<V>, V> {
        tick(1);
        Ok(match (self, index) {
            (V::Null, _) => None,
            (V::Obj(obj), V::Text(name)) => obj.members().get(name).cloned(),
            (V::Arr(arr), V::Num(_)) => {
                let place = place(whole(index)?, arr.items().len());
                place.and_then(|place| arr.items().get(place)).cloned()
            }
            (V::Arr(arr), V::Arr(part)) => Some(places(arr.items(), part.items())),
            (own @ (V::Arr(_) | V::Text(_)), V::Obj(bounds)) => {
                Some(jaq_core::ValT::range(own, bounds_of(bounds))?)
            }
            (own, _) => return Err(Error::index(own, index.clone())),
        })
    }
}

impl jaq_core::ValT for V {
    fn from_num(text: &str) -> ValR<V> {
        Ok(V::Num(Num::read(text)))
    }

    fn from_map<I: IntoIterator<Item = (V, V)>>(pairs: I) -> ValR<V> {
        let mut obj = Obj::default();
        for (name, value) in pairs {
            match name {
                V::Text(name) => drop(obj.insert(name, value)),
                other => return Err(Error::typ(other, STRING)),
            }
        }
        Ok(V::Obj(Rc::new(obj)))
    }

    fn key_values(self) -> BoxIter<'static, ValR<(V, V), V>> {
        match self {
            V::Arr(arr) => Box::new((0..arr.items().len()).map(move |nth| {
                tick(1);
                Ok((V::from(nth), arr.items().get(nth).cloned().unwrap_or_default()))
            })),
            V::Obj(obj) => Box::new((0..obj.members().len()).map(move |nth| {
                tick(1);
                let member = obj.members().get_index(nth);
                Ok(member.map_or((V::Null, V::Null), |(name, value)| (V::Text(name.clone()), value.clone())))
            })),
            other => box_once(Err(Error::typ(other, ITERABLE))),
        }
    }

    fn values(self) -> Box<dyn Iterator<Item = ValR<V>>> {
        match self {
            V::Arr(arr) => Box::new((0..arr.items().len()).map(move |nth| {
                tick(1);
                Ok(arr.items().get(nth).cloned().unwrap_or_default())
            })),
            V::Obj(obj) => Box::new((0..obj.members().len()).map(move |nth| {
                tick(1);
                Ok(obj.members().get_index(nth).map(|(_, value)| value.clone()).unwrap_or_default())
            })),
            other => box_once(Err(Error::typ(other, ITERABLE))),
        }
    }

    fn index(self, index: &V) -> ValR<V> {
        self.at(index).map(Option::unwrap_or_default)
    }

    fn range(self, bounds: Range<Option<&V>>) -> ValR<V> {
        tick(1);
        match self {
            V::Null => Ok(V::Null),
            V::Text(text) => text_slice(&text, &bounds),
            V::Arr(arr) => {
                let range = between(&bounds, arr.items().len())?;
                Ok(arr.items().get(range).unwrap_or_default().iter().cloned().collect())
            }
            other => Err(Error::typ(other, SLICEABLE)),
        }
    }

    fn map_values<'a, I: Iterator<Item = ValX<'a, V>>>(
        self,
        opt: Opt,
        change: impl Fn(V) -> I,
    ) -> ValX<'a, V> {
        tick(1);
        match self {
            V::Arr(arr) => {
                let mut changed = Arr::default();
                for value in own_items(arr).into_iter().flat_map(change) {
                    changed.push(value?);
                }
                Ok(V::Arr(Rc::new(changed)))
            }
            V::Obj(obj) => {
                let mut changed = Obj::default();
                for (name, value) in own_members(obj) {
                    if let Some(value) = change(value).next() {
                        changed.insert(name, value?);
                    }
                }
                Ok(V::Obj(Rc::new(changed)))
            }
            other => opt.fail(other, |other| Exn::from(Error::typ(other, ITERABLE))),
        }
    }

    fn map_index<'a, I: Iterator<Item = ValX<'a, V>>>(
        self,
        index: &V,
        opt: Opt,
        change: impl Fn(V) -> I,
    ) -> ValX<'a, V> {
        tick(1);
        match (self, index) {
            (V::Null, V::Text(_)) => V::Obj(Rc::default()).map_index(index, opt, change),
            (own @ V::Arr(_), V::Obj(bounds)) => own.map_range(bounds_of(bounds), opt, change),
            (V::Obj(mut obj), V::Text(name)) => {
                let own = change_members(&mut obj);
                let changed = change(own.lift(name)).next().transpose()?;
                own.put(name, changed);
                Ok(V::Obj(obj))
            }
            (V::Arr(mut arr), _) => {
                let place = whole(index).map(|at| place(at, arr.items().len()));
                match place {
                    Ok(Some(place)) if place < arr.items().len() => {
                        let own = change_items(&mut arr);
                        let changed = change(own.lift(place)).next().transpose()?;
                        own.put(place, changed);
                        Ok(V::Arr(arr))
                    }
                    Ok(_) => opt.fail(V::Arr(arr), |_| Exn::from(Error::str("there is no such element"))),
                    Err(error) => opt.fail(V::Arr(arr), |_| Exn::from(error)),
                }
            }
            (own, _) => opt.fail(own, |own| Exn::from(Error::index(own, index.clone()))),
        }
    }

    fn map_range<'a, I: Iterator<Item = ValX<'a, V>>>(
        self,
        bounds: Range<Option<&V>>,
        opt: Opt,
        change: impl Fn(V) -> I,
    ) -> ValX<'a, V> {
        tick(1);
        let V::Arr(arr) = self else { return opt.fail(self, |own| Exn::from(Error::typ(own, ARRAY))) };
        let range = match between(&bounds, arr.items().len()) {
            Ok(range) => range,
            Err(error) => return opt.fail(V::Arr(arr), |_| Exn::from(error)),
        };
        let part = |range: Range<usize>| arr.items().get(range).unwrap_or_default().iter().cloned();
        let changed = match change(part(range.clone()).collect()).next().transpose()? {
            None => Vec::new(),
            Some(V::Arr(changed)) => own_items(changed),
            Some(other) => return Err(Exn::from(Error::typ(other, ARRAY))),
        };
        let rest = part(range.end..arr.items().len());
        Ok(part(0..range.start).chain(changed).chain(rest).collect())
    }

    fn as_bool(&self) -> bool {
        !matches!(self, V::Null | V::Bool(false))
    }

    fn into_string(self) -> V {
        match self {
            V::Text(_) => self,
            other => V::text(other.json()),
        }
    }
}

impl jaq_std::ValT for V {
    fn into_seq<S: FromIterator<V>>(self) -> Result<S, V> {
        match self {
            V::Arr(arr) => {
                tick(arr.items().len());
                Ok(own_items(arr).into_iter().collect())
            }
            other => Err(other),
        }
    }

    fn is_int(&self) -> bool {
        matches!(self, V::Num(number) if number.as_whole().is_some())
    }

    fn as_isize(&self) -> Option<isize> {
        match self {
            V::Num(number) => number.as_whole().and_then(|whole| isize::try_from(whole).ok()),
            _ => None,
        }
    }

    fn as_f64(&self) -> Option<f64> {
        match self {
            V::Num(number) => Some(number.as_f64()),
            _ => None,
        }
    }

    fn is_utf8_str(&self) -> bool {
        matches!(self, V::Text(_))
    }

    fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            V::Text(text) => {
                tick_bytes(text.len());
                Some(text)
            }
            _ => None,
        }
    }

    fn as_sub_str(&self, part: &[u8]) -> V {
        match self {
            V::Text(text) => V::Text(text.slice_ref(part)),
            _ => V::text(part.to_vec()),
        }
    }

    fn from_utf8_bytes(bytes: impl AsRef<[u8]> + Send + 'static) -> V {
        V::text(bytes.as_ref().to_vec())
    }
}
