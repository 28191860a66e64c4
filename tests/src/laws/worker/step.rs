//! What may happen to a worker under law.

use super::{NODE, STRANGER};
use crate::choices::Choices;
use crate::fuzz::http1_text;
use crate::laws::greet::REQUESTS;
use crate::laws::operator::{self, QUESTIONS, draw_said};
use crate::laws::tunnel::{Act, draw_act};
use pico_core::host::Port;
use pico_core::id::Boot;

/// Something that happens to a worker. The first number says to which connection or call.
#[derive(Debug)]
pub enum Step {
    /// Somebody connects.
    Accept(Port),
    /// The handshake of whoever connects to such a port arrives.
    Shake(usize),
    /// Bytes arrive, whatever they mean.
    Bytes(usize, Vec<u8>),
    /// An agent's end of a tunnel does something.
    Agent(usize, Act),
    /// A peer sends its FIN.
    Eof(usize),
    /// A socket breaks.
    Lost(usize),
    /// A client's socket takes nothing, or everything again.
    Stall(usize, bool),
    /// A client's stalled socket takes some.
    Take(usize, usize),
    /// What the worker dialled is there, with this node, or is not.
    Dialed(Option<Boot>),
    /// The node says whether there is another one.
    Peers(bool),
    /// The node says who serves, with or without the other worker's tunnel and the other node.
    Routes(bool, bool),
    /// The node gives a call back.
    Sought,
    /// The other worker calls.
    Call(usize, bool),
    /// The other worker says something of a call.
    Say(usize, Act),
    /// An operator, or another node for its own, asks.
    Question(usize, usize),
    /// The other worker does.
    Inquire(usize),
    /// Somebody says something to what the worker asked.
    Report(usize, operator::Said),
    /// The node says something else.
    Node(Said),
}

/// What the node says to its workers.
#[derive(Clone, Copy, Debug)]
pub enum Said {
    /// Whether the node is ready.
    Ready(bool),
    /// Have so many agents move.
    Shed(u64),
    /// Begin to stop.
    Drain,
    /// Stop.
    Part,
    /// Nobody needs this node any more.
    Left,
}

impl Step {
    /// The next step of a script.
    pub(super) fn draw(choices: &mut Choices) -> Self {
        let kind = choices.below(36);
        let which = choices.below(8);
        match kind {
            0..=1 => Self::Accept(Port::Proxy),
            2 => Self::Accept(Port::Upstream),
            3 => Self::Accept(Port::Admin),
            4..=6 => Self::Shake(which),
            7..=9 => Self::Bytes(which, choices.pick(&REQUESTS).to_vec()),
            10..=12 => Self::Bytes(which, http1_text::said(choices, false)),
            13..=18 => Self::Agent(which, draw_act(choices)),
            19 => Self::Eof(which),
            20 => Self::Lost(which),
            21 => Self::Stall(which, choices.chance(1, 2)),
            22 => Self::Take(which, choices.size(10_000)),
            23..=24 => Self::Routes(choices.chance(1, 2), choices.chance(1, 2)),
            32 => Self::Accept(Port::Gossip),
            33 => Self::Peers(!choices.chance(1, 4)),
            34..=35 => Self::Dialed(*choices.pick(&[Some(NODE), Some(NODE), Some(STRANGER), None])),
            25 => Self::Sought,
            26 => Self::Call(which, choices.chance(1, 2)),
            27..=30 => Self::Say(which, draw_act(choices)),
            _ => match choices.below(8) {
                7 => Self::Node(Said::Drain),
                6 if choices.chance(1, 2) => Self::Node(Said::Left),
                6 => Self::Node(Said::Part),
                5 => Self::Node(Said::Shed(1)),
                2 => Self::Report(which, draw_said(choices)),
                3 => Self::Inquire(choices.below(8)),
                4 => Self::Question(which, choices.below(QUESTIONS.len())),
                other => Self::Node(Said::Ready(other == 0)),
            },
        }
    }
}
