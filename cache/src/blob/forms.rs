//! The forms in which a blob may be stored, as they are read from its tail.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::OnceCell;

use crate::digest::Digest;
use crate::pack::delta::{self, Delta, Group};
use crate::pack::parts::Recipe;

use super::reader::BlobReader;
use super::table::{Defect, Footer, Form, Proof, Table, let_go};

/// An opened blob.
#[derive(Debug)]
pub(crate) enum Stored {
    Frames(Table, Form),
    Delta(Box<Based>),
    Parts(Apart),
}

/// A delta and what it rests on.
#[derive(Debug)]
pub(crate) struct Based {
    pub(crate) proof: Proof,
    pub(crate) base: Digest,
    pub(crate) delta: Delta,
    /// The base, opened when it is first needed.
    pub(crate) opened: OnceCell<BlobReader>,
    /// The group that was needed last.
    pub(crate) group: Mutex<Option<(usize, Arc<Group>)>>,
}

/// A recipe, and what came of it.
#[derive(Debug)]
pub(crate) struct Apart {
    pub(crate) proof: Proof,
    pub(crate) recipe: Recipe,
    /// For who trusts no copy from before: the whole content, made when it is first needed.
    pub(crate) whole: OnceCell<Bytes>,
}

impl Stored {
    /// Reads a tail, and proves that it is the one of the blob called `digest`.
    pub(crate) fn parse(table: &[u8], footer: &Footer, digest: &Digest) -> Result<Self, Defect> {
        match footer.form {
            Form::Fast | Form::Frames => {
                Ok(Self::Frames(Table::parse(table, footer, digest)?, footer.form))
            }
            Form::Delta => {
                let (proof, recipe) = Proof::parse(table, footer, digest)?;
                let (base, head) = recipe.split_first_chunk::<32>().ok_or(Defect::Recipe)?;
                let delta = Delta::parse(head).map_err(|_| Defect::Recipe)?;
                let fits = delta.new_len() == proof.plain_size()
                    && delta.stored() == footer.table.start
                    && u32::from(proof.log2()) == delta::UNIT_LOG2;
                if !fits {
                    return Err(Defect::Sizes);
                }
                let (opened, group) = (OnceCell::new(), Mutex::default());
                let base = Digest::from(*base);
                Ok(Self::Delta(Box::new(Based { proof, base, delta, opened, group })))
            }
            Form::Parts => {
                let (proof, recipe) = Proof::parse(table, footer, digest)?;
                let recipe = Recipe::parse(recipe).map_err(|_| Defect::Recipe)?;
                if footer.table.start != 0 || recipe.size() != Some(proof.plain_size()) {
                    return Err(Defect::Sizes);
                }
                Ok(Self::Parts(Apart { proof, recipe, whole: OnceCell::new() }))
            }
            Form::LetGo => Err(let_go(table, footer, digest)),
        }
    }

    /// The hashes of the frames.
    pub(crate) fn proof(&self) -> &Proof {
        match self {
            Self::Frames(table, _) => table.proof(),
            Self::Delta(based) => &based.proof,
            Self::Parts(apart) => &apart.proof,
        }
    }

    /// How it is stored.
    pub(crate) fn form(&self) -> Form {
        match self {
            Self::Frames(_, form) => *form,
            Self::Delta(_) => Form::Delta,
            Self::Parts(_) => Form::Parts,
        }
    }

    /// The blobs without which this one can't be read.
    pub(crate) fn rests_on(&self) -> Vec<Digest> {
        match self {
            Self::Frames(..) => Vec::new(),
            Self::Delta(based) => vec![based.base],
            Self::Parts(apart) => apart.recipe.parts(),
        }
    }
}
