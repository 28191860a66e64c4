//! The addresses behind the names that an agent dials: asked for once however many wait, and
//! kept for a while.

use super::call::CallId;
use crate::host::Fault;
use crate::id::AskId;
use crate::time::Instant;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

/// The names of one agent: its server and its services.
#[derive(Debug, Default)]
pub(super) struct Names {
    names: Vec<Name>,
    asks: u64,
}

/// Which name, counted from 0. The list never shrinks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct NameId(usize);

/// Who waits for addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Waiter {
    /// A listener that wants to dial the server.
    Listener(usize),
    /// A call that wants to dial its service.
    Call(CallId),
}

/// What is known of a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lookup {
    /// There are addresses, at [`Names::address`].
    Known,
    /// The question was asked already; whoever waits is noted.
    Waiting,
    /// Ask the driver, and give up at the time given; whoever waits is noted.
    Ask(AskId, Instant),
}

/// How a question ended.
#[derive(Debug)]
pub(super) struct Answer {
    /// Everybody who waited, in order.
    pub(super) waiters: Vec<Waiter>,
    /// Whether the addresses differ from those known before, or why there are none.
    pub(super) result: Result<bool, Fault>,
}

#[derive(Debug)]
struct Name {
    host: String,
    port: u16,
    addresses: Vec<SocketAddr>,
    /// Until when the addresses are good.
    good_until: Until,
    /// The open question, and when to give it up.
    asked: Option<(AskId, Instant)>,
    waiters: Vec<Waiter>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Until {
    /// The name is an address.
    Ever,
    Time(Instant),
    /// They did not work, or there are none.
    Never,
}

impl Names {
    /// The place of `host` and `port`, added if it is new.
    pub(super) fn add(&mut self, host: &str, port: u16) -> NameId {
        let same = |name: &Name| name.host == host && name.port == port;
        if let Some(at) = self.names.iter().position(same) {
            return NameId(at);
        }
        let literal = host.parse::<IpAddr>().ok();
        self.names.push(Name {
            host: host.into(),
            port,
            addresses: literal.into_iter().map(|ip| SocketAddr::new(ip, port)).collect(),
            good_until: if literal.is_some() { Until::Ever } else { Until::Never },
            asked: None,
            waiters: Vec::new(),
        });
        NameId(self.names.len() - 1)
    }

    /// Looks for addresses of `id` and, where none are known, has `waiter` wait for them.
    pub(super) fn look(
        &mut self,
        now: Instant,
        id: NameId,
        waiter: Waiter,
        patience: Duration,
    ) -> Lookup {
        let name = self.name_mut(id);
        match name.good_until {
            Until::Ever => return Lookup::Known,
            Until::Time(until) if now < until => return Lookup::Known,
            Until::Time(_) | Until::Never => name.waiters.push(waiter),
        }
        if name.asked.is_some() {
            return Lookup::Waiting;
        }
        let ask = AskId(self.asks);
        self.asks += 1;
        let give_up = now + patience;
        self.name_mut(id).asked = Some((ask, give_up));
        Lookup::Ask(ask, give_up)
    }

    /// Notes that `waiter` no longer waits.
    pub(super) fn leave(&mut self, id: NameId, waiter: Waiter) {
        self.name_mut(id).waiters.retain(|w| *w != waiter);
    }

    /// Forgets that the addresses were good. They are still there to compare with.
    pub(super) fn distrust(&mut self, id: NameId) {
        let name = self.name_mut(id);
        if name.good_until != Until::Ever {
            name.good_until = Until::Never;
        }
    }

    /// Takes the driver's answer, if the question is still open.
    pub(super) fn answered(
        &mut self,
        now: Instant,
        ask: AskId,
        result: Result<Vec<SocketAddr>, Fault>,
    ) -> Option<Answer> {
        let open = |name: &&mut Name| name.asked.is_some_and(|(asked, _)| asked == ask);
        self.names.iter_mut().find(open).map(|name| name.conclude(now, result))
    }

    /// Gives up the question about `id` if it is time.
    pub(super) fn tick(&mut self, now: Instant, id: NameId) -> Option<Answer> {
        let name = self.name_mut(id);
        let due = name.asked.is_some_and(|(_, give_up)| give_up <= now);
        due.then(|| name.conclude(now, Err(Fault::TimedOut)))
    }

    /// The `nth` address to try of `id`, where trying begins at address `first` and goes round.
    /// `None` when all were tried.
    pub(super) fn address(&self, id: NameId, first: usize, nth: usize) -> Option<SocketAddr> {
        let addresses = &self.name(id).addresses;
        if nth >= addresses.len() {
            return None;
        }
        addresses.get(first.wrapping_add(nth) % addresses.len()).copied()
    }

    /// The host and port of `id`, as configured.
    pub(super) fn place(&self, id: NameId) -> (&str, u16) {
        let name = self.name(id);
        (&name.host, name.port)
    }

    /// When the open question about `id` is given up.
    pub(super) fn give_up(&self, id: NameId) -> Option<Instant> {
        self.name(id).asked.map(|(_, give_up)| give_up)
    }

    fn name(&self, id: NameId) -> &Name {
        self.names.get(id.0).expect("names are never removed")
    }

    fn name_mut(&mut self, id: NameId) -> &mut Name {
        self.names.get_mut(id.0).expect("names are never removed")
    }
}

impl Name {
    fn conclude(&mut self, now: Instant, result: Result<Vec<SocketAddr>, Fault>) -> Answer {
        self.asked = None;
        let waiters = core::mem::take(&mut self.waiters);
        let result = match result {
            Ok(mut addresses) if !addresses.is_empty() => {
                addresses.truncate(ADDRESSES_MAX);
                let changed = addresses != self.addresses;
                self.addresses = addresses;
                self.good_until = Until::Time(now + GOOD_FOR);
                Ok(changed)
            }
            // Old addresses are better than none; they are asked for again next time.
            Ok(_) | Err(_) if !self.addresses.is_empty() => Ok(false),
            Ok(_) => Err(Fault::NoSuchHost),
            Err(fault) => Err(fault),
        };
        Answer { waiters, result }
    }
}

/// How long addresses that work are kept: about as long as a resolver's cache holds them.
const GOOD_FOR: Duration = Duration::from_secs(30);

/// More addresses of one name than anybody waits to be tried.
const ADDRESSES_MAX: usize = 16;
