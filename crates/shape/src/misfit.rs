//! Why a body cannot be made another one.
//!
//! Each says its stable word, what kind of refusal it is, and one sentence. Nothing of the body is repeated in it.

use std::fmt;

/// Why a body does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// It breaks a rule of its format, at this byte of it.
    Syntax(&'static str, u64),
    /// It ends before it is whole.
    Cut,
    /// It is nested deeper than this.
    Deep(usize),
    /// An object has more members than this.
    Wide(usize),
    /// A name or a number is longer than this.
    Long(&'static str, usize),
    /// An object has two members of one name.
    Duplicate,
    /// It has to be held whole and is larger than this.
    Large(u64),
    /// It unfolds to more than a body may.
    Bomb,
    /// It is coded in a way that is not known here, or not coded as it says.
    Coding(&'static str),
    /// It is of another kind than can be read here.
    Kind(&'static str),
    /// It cannot be said in the format that is asked for.
    Unsayable(&'static str),
    /// The program that was to make another of it made none.
    Program(&'static str),
    /// That program used up what it may.
    Spent(&'static str),
    /// Nobody could run that program in time.
    Busy,
}

/// What kind of refusal a misfit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// What was sent is wrong.
    Bad,
    /// It is too large.
    Large,
    /// It is of a kind that is not taken.
    Kind,
    /// It is right, and cannot be done.
    Undoable,
    /// It could be done at another time.
    Later,
}

impl Misfit {
    /// Its stable word.
    pub fn code(&self) -> &'static str {
        match self {
            Misfit::Syntax(..) => "body_syntax",
            Misfit::Cut => "body_cut",
            Misfit::Deep(_) => "body_too_deep",
            Misfit::Wide(_) => "body_too_wide",
            Misfit::Long(..) => "body_word_too_long",
            Misfit::Duplicate => "body_duplicate_name",
            Misfit::Large(_) => "body_too_large_to_shape",
            Misfit::Bomb => "body_bomb",
            Misfit::Coding(_) => "body_coding",
            Misfit::Kind(_) => "body_kind",
            Misfit::Unsayable(_) => "body_unsayable",
            Misfit::Program(_) => "body_program",
            Misfit::Spent(_) => "body_program_spent",
            Misfit::Busy => "body_programs_busy",
        }
    }

    /// What kind of refusal it is.
    pub fn refusal(&self) -> Refusal {
        match self {
            Misfit::Syntax(..) | Misfit::Cut | Misfit::Deep(_) | Misfit::Wide(_) | Misfit::Long(..) => {
                Refusal::Bad
            }
            Misfit::Duplicate | Misfit::Program(_) | Misfit::Spent(_) => Refusal::Bad,
            Misfit::Large(_) | Misfit::Bomb => Refusal::Large,
            Misfit::Coding(_) | Misfit::Kind(_) => Refusal::Kind,
            Misfit::Unsayable(_) => Refusal::Undoable,
            Misfit::Busy => Refusal::Later,
        }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misfit::Syntax(what, at) => write!(f, "{what}, at byte {at}"),
            Misfit::Cut => f.write_str("the body ends before it is whole"),
            Misfit::Deep(most) => write!(f, "the body is nested deeper than {most}"),
            Misfit::Wide(most) => write!(f, "the objects of the body have more than {most} members"),
            Misfit::Long(what, most) => write!(f, "{what} of the body is longer than {most} bytes"),
            Misfit::Duplicate => f.write_str("an object of the body has two members of one name"),
            Misfit::Large(most) => {
                write!(f, "the body is larger than the {most} bytes that can be shaped whole")
            }
            Misfit::Bomb => f.write_str("the body unfolds to more than a body may"),
            Misfit::Coding(what) | Misfit::Kind(what) | Misfit::Unsayable(what) => f.write_str(what),
            Misfit::Program(what) | Misfit::Spent(what) => f.write_str(what),
            Misfit::Busy => f.write_str("too many bodies wait for a program"),
        }
    }
}

impl std::error::Error for Misfit {}
