//! A body on its way out of an actor.

use super::heads::TRAILER;
use super::plan::Body;
use super::wire::chunk;
use crate::draw::Draw as _;
use core::time::Duration;
use pico_core::Dice;

/// How far a body was written.
#[derive(Debug)]
pub(super) struct Writing {
    body: Body,
    at: usize,
    /// Where the last pause was made.
    rested: usize,
    /// Where it breaks off instead of ending.
    cut: Option<usize>,
    trailer: String,
    ended: bool,
}

/// What comes next of a body.
#[derive(Debug)]
pub(super) enum Step {
    /// These bytes.
    Bytes(Vec<u8>),
    /// A pause.
    Rest(Duration),
    /// It breaks off here.
    Cut,
    /// Nothing more.
    Over,
}

impl Writing {
    /// A body, with the value of its trailer if it has one.
    pub(super) fn new(body: Body, trailer: String) -> Self {
        let ended = body.len == 0 && !body.chunked;
        Self { body, at: 0, rested: 0, cut: None, trailer, ended }
    }

    /// Nothing, at all.
    pub(super) fn empty(body: Body) -> Self {
        Self::new(Body { len: 0, chunked: false, ..body }, String::new())
    }

    /// Breaks off after `at` bytes.
    pub(super) fn cut(mut self, at: usize) -> Self {
        self.cut = Some(at);
        self.ended = false;
        self
    }

    pub(super) const fn is_ended(&self) -> bool {
        self.ended
    }

    /// What comes next as it goes to the wire, of the bytes that `content` gives for a place and
    /// a length.
    pub(super) fn step(
        &mut self,
        dice: &mut Dice,
        content: impl Fn(usize, usize) -> Vec<u8>,
    ) -> Step {
        let Self { body, at, .. } = self;
        if self.ended {
            return Step::Over;
        }
        if self.cut == Some(*at) {
            return Step::Cut;
        }
        if *at == body.len {
            self.ended = true;
            return Step::Bytes(self.end());
        }
        let pause = body.pace.pause_at(*at);
        if self.rested != *at && !pause.is_zero() {
            self.rested = *at;
            return Step::Rest(pause);
        }
        let most = (self.cut.unwrap_or(body.len) - *at).min(PIECE_MAX);
        let bytes = content(*at, dice.piece(most.min(body.pace.until_pause(*at))));
        *at += bytes.len();
        self.ended = *at == body.len && !body.chunked && self.cut.is_none();
        Step::Bytes(if body.chunked { chunk(&bytes) } else { bytes })
    }

    fn end(&self) -> Vec<u8> {
        match self.body {
            Body { chunked: false, .. } => Vec::new(),
            Body { trailer: false, .. } => b"0\r\n\r\n".to_vec(),
            Body { .. } => format!("0\r\n{TRAILER}: {}\r\n\r\n", self.trailer).into_bytes(),
        }
    }
}

const PIECE_MAX: usize = 20_000;
