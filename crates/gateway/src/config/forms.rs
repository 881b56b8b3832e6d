//! Settings that have several forms are written out in the one that they have.
//!
//! Takes the type and its forms; makes it `Serialize`. Reading has to say which forms there are when none fits, so that is
//! derived (`decode`), and a derived `Serialize` would name the form.

/// Writes a value of one of these forms as that form alone.
macro_rules! written_as_it_is {
    ($settings:ty: $($form:ident),+) => {
        impl serde::Serialize for $settings {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Self::$form(form) => serde::Serialize::serialize(form, serializer),)+
                }
            }
        }
    };
}

pub(crate) use written_as_it_is;
