//! Who is measured.

use std::fmt;
use std::str::FromStr;

use super::channels::{Crossbeam, Flume, Kanal, Std, Tokio};
use super::locks::Lock;
use super::ours::Ours;
use super::owner::{Driven, Owner};
use super::parts::Built;
use crate::cpu::Cpu;
use crate::names::by_name;
use crate::table::OURS;

/// A kind of owner.
#[derive(Clone, Copy)]
pub struct Subject {
    pub name: &'static str,
    /// Starts one.
    pub spawn: fn(Option<Cpu>) -> Box<dyn Driven>,
}

impl Subject {
    const fn of<O: Owner>(name: &'static str) -> Self {
        Self { name, spawn: |cpu| Box::new(O::spawn(cpu)) }
    }

    /// In the order of the table.
    pub fn all() -> impl Iterator<Item = Self> {
        let each = const {
            [
                Self::of::<Ours>(OURS),
                Self::of::<Built<Std>>("std-mpsc"),
                Self::of::<Built<Crossbeam>>("crossbeam-oneshot"),
                Self::of::<Built<Flume>>("flume"),
                Self::of::<Built<Kanal>>("kanal"),
                Self::of::<Built<Tokio>>("tokio"),
                Self::of::<Built<Lock<0>>>("parking-lot"),
                Self::of::<Built<Lock<20>>>("parking-lot-spin"),
            ]
        };
        each.into_iter()
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl FromStr for Subject {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        by_name(Self::all(), |subject| subject.name.to_owned(), name)
    }
}
