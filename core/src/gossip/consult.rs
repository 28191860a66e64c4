//! Questions and answers over links: what is too long for datagrams, and everything where these
//! do not get through.

use super::catch_up::Known;
use super::hear::{Letter, Source};
use super::machine::{Action, Key, Machine, Missed};
use super::wire::{self, Message, Messages};
use crate::id::{AskId, Boot};
use bytes::Bytes;
use core::net::SocketAddr;

/// What a consultation is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Consult {
    /// To learn whether the other lives.
    Ping,
    /// To learn what the other knows.
    Heads,
    /// The same, to catch up after the start.
    Join,
    /// To follow a log.
    Fetch(Boot),
    /// To learn who is at an address.
    Knock,
    /// To say the last word.
    Farewell,
    /// To answer an answer, and so often more.
    More(u8),
}

/// A consultation under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    of: Boot,
    addr: SocketAddr,
    why: Consult,
}

impl Machine {
    /// Sends a letter as a consultation, unless too many are under way.
    pub(super) fn consult(&mut self, letter: Letter, why: Consult) -> Option<AskId> {
        let of = letter.to;
        let addr = self.members.get(of)?.member.addr;
        self.consult_at(letter, addr, why)
    }

    fn consult_at(&mut self, letter: Letter, addr: SocketAddr, why: Consult) -> Option<AskId> {
        if self.consults.len() >= CONSULTS {
            return None;
        }
        self.asked += 1;
        let (ask, to) = (AskId(self.asked), letter.to);
        self.consults.insert(ask, Open { of: to, addr, why });
        self.after(Key::Consult(ask), self.settings.pace.consult);
        let bytes = letter.into_bytes().freeze();
        self.act(Action::Consult { ask, to, addr, bytes });
        Some(ask)
    }

    /// Pings by a consultation, because datagrams may be what is lost.
    pub(super) fn consult_ping(&mut self, boot: Boot, addr: SocketAddr) -> Option<AskId> {
        let mut letter = self.letter(boot, None);
        // It need not be numbered: who answers at all lives.
        self.say(&mut letter, &Message::Ping { seq: 0, target: boot });
        self.add_news(&mut letter);
        self.consult_at(letter, addr, Consult::Ping)
    }

    /// Says the last word by a consultation.
    pub(super) fn consult_farewell(&mut self, boot: Boot) {
        let mut letter = self.letter(boot, None);
        self.say(&mut letter, &Message::Member(self.me.clone()));
        self.consult(letter, Consult::Farewell);
    }

    /// Asks who is at an address by a consultation: datagrams may not get through, and where it
    /// is the keys that do not fit, a connection shows it.
    pub(super) fn consult_anyone(&mut self, addr: SocketAddr) {
        let mut letter = self.letter(Boot(0), None);
        self.say(&mut letter, &Message::Member(self.me.clone()));
        self.say(&mut letter, &Message::Ping { seq: 0, target: Boot(0) });
        self.consult_at(letter, addr, Consult::Knock);
    }

    /// Another node consults us: answers in any case, so that it need not wait.
    pub(super) fn consulted(&mut self, ask: AskId, bytes: &[u8]) {
        let Some((boot, messages)) = self.open(bytes) else {
            // Whoever looks for another cluster here learns which one this is.
            let bytes = self.letter(Boot(0), None).into_bytes().freeze();
            return self.act(Action::Answer { ask, bytes });
        };
        let source = Source { boot, addr: None, ours: true };
        let mut reply = self.letter(boot, None);
        self.hear(source, messages, &mut reply);
        self.add_news(&mut reply);
        let bytes = reply.into_bytes().freeze();
        self.act(Action::Answer { ask, bytes });
    }

    /// A consultation was answered, or was not.
    pub(super) fn answered(&mut self, ask: AskId, answer: Option<&Bytes>) {
        let Some(Open { of, addr, why }) = self.consults.remove(&ask) else { return };
        self.agenda.forget(Key::Consult(ask));
        if let (Consult::Knock, Some(bytes)) = (why, answer) {
            self.look_who_answers(addr, bytes);
        }
        let meant = |boot: Boot| boot == of || why == Consult::Knock;
        // Nothing at all says whoever was asked in the name of another cluster, or by itself.
        let said = answer.filter(|bytes| !bytes.is_empty());
        let answer = said.and_then(|bytes| self.open(bytes)).filter(|(boot, _)| meant(*boot));
        if let Consult::Fetch(boot) = why {
            let messages = answer.map(|(_, messages)| messages.filter_map(Result::ok).collect());
            return self.fetch_heard(ask, boot, messages);
        }
        let Some((of, messages)) = answer else {
            if why == Consult::Join {
                self.join_failed();
            }
            return;
        };
        if why == Consult::Farewell {
            return self.heard_farewell(of);
        }
        self.reached_by_consultation(of, ask);
        let known = (why == Consult::Join).then(|| known(messages.clone()));
        let source = Source { boot: of, addr: None, ours: true };
        let mut reply = self.letter(of, None);
        let missing = self.begin_to_catch_up(why);
        self.hear(source, messages, &mut reply);
        if let Some(known) = known {
            self.told(of, known);
        }
        if why == Consult::Knock {
            self.found(source);
        }
        let came = self.want_the_rest(missing, &mut reply);
        self.go_on(reply, why, came);
    }

    /// Says so if whoever answers at an address is no other node of this cluster.
    fn look_who_answers(&mut self, addr: SocketAddr, bytes: &[u8]) {
        let Ok((envelope, _)) = wire::open(bytes) else { return };
        let why = if envelope.cluster != self.settings.cluster {
            Missed::Stranger(envelope.cluster.into())
        } else if envelope.from == self.me.boot {
            Missed::Oneself
        } else {
            return;
        };
        self.act(Action::Missed { addr, why });
    }

    /// Answers an answer, if there is anything to say, a few times at most; one by which something
    /// of the logs `came` that this node has to catch up with does not count.
    fn go_on(&mut self, reply: Letter, why: Consult, came: bool) {
        let times = match why {
            Consult::More(times) if came => times.saturating_add(1),
            Consult::Ping | Consult::Heads | Consult::Join | Consult::Knock => FOLLOW_UPS,
            Consult::More(times) => times,
            Consult::Fetch(_) | Consult::Farewell => 0,
        };
        if let Some(left) = times.checked_sub(1)
            && !reply.is_empty()
        {
            self.consult(reply, Consult::More(left));
        }
    }
}

/// What whoever wrote these messages knew.
fn known(messages: Messages<'_>) -> Known {
    let mut known = Known::default();
    for message in messages.filter_map(Result::ok) {
        if let Message::Heads { heads, .. } = message {
            known.goals.extend(heads.iter().map(|head| (head.boot, head.head)));
        } else if let Message::Joining = message {
            known.joining = true;
        }
    }
    known
}

/// Consultations under way at once.
pub(super) const CONSULTS: usize = 64;
/// How often an answer may be answered.
const FOLLOW_UPS: u8 = 4;
