//! Two ends of a connection under keys, and a net between them that cuts their bytes anywhere,
//! and sometimes changes one.

use crate::choices::Choices;
use bytes::{Buf as _, BytesMut};
use pico_core::gossip::{Key, Ring};
use pico_core::host::{self, Port};
use pico_core::note::Distrust;
use pico_core::{Outbox, Seed};
use pico_shell::wire::{Heard, Noise, Wire, Wires};

/// One end.
struct End {
    noise: Box<Noise>,
    /// What its machine has to say, and has said in all.
    outbox: Outbox,
    said: Vec<u8>,
    finished: bool,
    /// What came, as far as it was understood.
    got: Vec<u8>,
    open: bool,
    ended: bool,
    over: Option<Distrust>,
}

/// The bytes say what both ends do, and what becomes of it.
pub(super) fn play(data: &[u8]) {
    let mut choices = Choices::new(data);
    let rings: [&[u8]; 4] = [&[1], &[1, 2], &[2, 1], &[2]];
    let (mine, others) = (*choices.pick(&rings), *choices.pick(&rings));
    let name = if choices.chance(1, 8) { "other" } else { "pico" };
    let agree = others.contains(&mine[0]) && name == "pico";
    let mut ends = [
        End::new(wires(mine, "pico", 1).dialled(host::Wire::Cluster)),
        End::new(wires(others, name, 2).accepted(Port::Gossip)),
    ];
    let mut altered = [false; 2];
    while !choices.is_empty() {
        let at = choices.below(2);
        let [one, two] = &mut ends;
        let (from, to) = if at == 0 { (one, two) } else { (two, one) };
        match choices.below(16) {
            0..=2 => from.say(choices.bytes(300)),
            3 => from.say(&vec![choices.byte(); choices.below(100_000)]),
            4..=11 => from.send(to, choices.size(40_000), None),
            12 if !altered[at] && !from.noise.outbox().is_empty() => {
                altered[at] = true;
                from.send(to, 1, Some(choices.byte().max(1)));
            }
            13 if choices.chance(1, 4) => from.finished = true,
            _ => from.send(to, 1, None),
        }
    }
    for _ in 0..4 {
        let [one, two] = &mut ends;
        one.send(two, usize::MAX, None);
        two.send(one, usize::MAX, None);
    }
    let [dialler, acceptor] = &ends;
    for ((from, to), altered) in [(dialler, acceptor), (acceptor, dialler)].into_iter().zip(altered)
    {
        assert!(from.said.starts_with(&to.got), "what came is not what was said");
        assert!(agree || !to.open, "an end without the keys was let in");
        let whole = to.got.len() == from.said.len();
        let sound = agree && !altered && from.over.is_none() && to.over.is_none();
        let both = from.open && to.open;
        assert!(!sound || !both || whole, "{} of {} came", to.got.len(), from.said.len());
        assert!(!to.ended || (from.finished && whole), "an end that nobody said");
    }
    if !agree {
        let why = acceptor.over.expect("the acceptor notices");
        assert!(why == Distrust::Key || altered[0], "{why:?}");
    } else if altered == [false; 2] {
        assert!(dialler.open && dialler.over.is_none() && acceptor.over.is_none());
        let spoken = !dialler.said.is_empty() || dialler.finished;
        assert_eq!(acceptor.open, spoken, "it is let in once it has proven itself");
        assert_eq!(acceptor.ended, dialler.finished);
    }
}

fn wires(keys: &[u8], name: &str, seed: u64) -> Wires {
    let ring: Ring = keys.iter().map(|byte| Key::new([*byte; 32])).collect();
    Wires::of(&ring, name, Seed::from_u64(seed))
}

impl End {
    fn new(wire: Wire) -> Self {
        let Wire::Noise(noise) = wire else { unreachable!("there are keys") };
        Self {
            noise,
            outbox: Outbox::new(),
            said: Vec::new(),
            finished: false,
            got: Vec::new(),
            open: false,
            ended: false,
            over: None,
        }
    }

    fn say(&mut self, bytes: &[u8]) {
        if !self.finished {
            self.said.extend_from_slice(bytes);
            self.outbox.push(BytesMut::from(bytes));
        }
    }

    /// Seals what there is, and moves so many bytes to the other end.
    fn send(&mut self, to: &mut End, most: usize, change: Option<u8>) {
        let mut left = most;
        loop {
            let taken = self.noise.seal(&self.outbox);
            self.outbox.advance(taken);
            if self.finished && self.outbox.is_empty() {
                self.noise.finish();
            }
            let Some(piece) = self.noise.outbox().pieces().next() else { return };
            let count = piece.len().min(left);
            if count == 0 {
                return;
            }
            let mut bytes = BytesMut::from(&piece[..count]);
            self.noise.sent(count);
            left -= count;
            if let Some(change) = change {
                bytes[0] ^= change;
            }
            to.hear(bytes);
        }
    }

    fn hear(&mut self, bytes: BytesMut) {
        if self.over.is_some() {
            return;
        }
        self.noise.hear(bytes);
        loop {
            match self.noise.poll() {
                Ok(Some(Heard::Open)) => {
                    assert!(!self.open, "it is open once");
                    self.open = true;
                }
                Ok(Some(Heard::Bytes(bytes))) => {
                    assert!(self.open && !self.ended && !bytes.is_empty());
                    self.got.extend_from_slice(&bytes);
                }
                Ok(Some(Heard::End)) => {
                    assert!(self.open && !self.ended);
                    self.ended = true;
                }
                Ok(None) => return,
                Err(why) => {
                    self.over = Some(why);
                    assert_eq!(self.noise.poll(), Err(why), "that was the end of it");
                    return;
                }
            }
        }
    }
}
