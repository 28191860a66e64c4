//! Where other nodes may be found: names that are looked up again and again, and what came of
//! those who were asked there.

use crate::host::Fault;
use crate::id::AskId;
use crate::note::{Missing, Note};
use crate::time::Instant;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

/// The names of `cluster.join`, and what is behind them.
#[derive(Debug)]
pub(super) struct Seeds {
    names: Vec<Name>,
    /// What is being looked up, as numbers of `names`.
    open: BTreeMap<AskId, usize>,
    /// What came of those who were asked last: only of addresses that belong to a name.
    asked: BTreeMap<SocketAddr, Missing>,
    /// While nobody is found: when that is told next, and how long it is until the time after.
    lament: Option<(Instant, Duration)>,
}

#[derive(Debug)]
struct Name {
    host: String,
    port: u16,
    found: Vec<SocketAddr>,
    /// Why it could not be looked up the last time.
    fault: Option<Fault>,
    /// When it is looked up again, unless it is being looked up.
    due: Option<Instant>,
    /// How long it waits after the next failure.
    pause: Duration,
}

impl Seeds {
    pub(super) fn new(now: Instant, join: Vec<(String, u16)>) -> Self {
        let name = |(host, port)| Name {
            host,
            port,
            found: Vec::new(),
            fault: None,
            due: Some(now),
            pause: PAUSE_MIN,
        };
        Self {
            names: join.into_iter().map(name).collect(),
            open: BTreeMap::new(),
            asked: BTreeMap::new(),
            lament: None,
        }
    }

    /// Whether there are none: this is the first node.
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// A name that is to be looked up now, by this question.
    pub(super) fn next(&mut self, now: Instant, ask: AskId) -> Option<(String, u16)> {
        let due = |name: &Name| name.due.is_some_and(|due| due <= now);
        let at = self.names.iter().position(due)?;
        let name = self.names.get_mut(at)?;
        name.due = None;
        self.open.insert(ask, at);
        Some((name.host.clone(), name.port))
    }

    /// A name was looked up, or could not be. Says where others may be found, if that is news.
    pub(super) fn resolved(
        &mut self,
        now: Instant,
        ask: AskId,
        result: Result<Vec<SocketAddr>, Fault>,
    ) -> Option<Vec<SocketAddr>> {
        let at = self.open.remove(&ask)?;
        let name = self.names.get_mut(at)?;
        match result {
            Ok(found) if !found.is_empty() => {
                (name.found, name.fault) = (found, None);
                (name.due, name.pause) = (Some(now + LOOK_UP_EVERY), PAUSE_MIN);
            }
            // What cannot be looked up now is where it was.
            Ok(_) | Err(_) => {
                name.fault = Some(result.err().unwrap_or(Fault::NoSuchHost));
                name.due = Some(now + name.pause);
                name.pause = name.pause.saturating_mul(2).min(LOOK_UP_EVERY);
                return None;
            }
        }
        let all: Vec<SocketAddr> =
            self.names.iter().flat_map(|name| &name.found).copied().collect();
        self.asked.retain(|addr, _| all.contains(addr));
        Some(all)
    }

    /// Whoever was asked at this address is no node of this cluster, or nobody.
    pub(super) fn missed(&mut self, addr: SocketAddr, why: Missing) {
        if self.names.iter().any(|name| name.found.contains(&addr)) {
            self.asked.insert(addr, why);
        }
    }

    /// Tells, if it is time to, why nobody is found; `alone` is whether that is so.
    pub(super) fn lament(&mut self, now: Instant, alone: bool, me: SocketAddr) -> Vec<Note> {
        if !alone || self.names.is_empty() {
            self.lament = None;
            return Vec::new();
        }
        let (due, pause) = *self.lament.get_or_insert((now + LAMENT_MIN, LAMENT_MIN));
        if now < due {
            return Vec::new();
        }
        let pause = pause.saturating_mul(2).min(LAMENT_MAX);
        self.lament = Some((now + pause, pause));
        self.why(me)
    }

    /// Why nobody is found, for each name.
    pub(super) fn why(&self, me: SocketAddr) -> Vec<Note> {
        let told = |name: &Name| {
            let Name { host, port, .. } = name;
            let seed = match port {
                0 => host.clone(),
                _ if host.contains(':') => format!("[{host}]:{port}"),
                _ => format!("{host}:{port}"),
            };
            Note::Alone { seed, why: self.missing(name, me) }
        };
        self.names.iter().map(told).collect()
    }

    fn missing(&self, name: &Name, me: SocketAddr) -> Missing {
        let others: Vec<&SocketAddr> = name.found.iter().filter(|addr| **addr != me).collect();
        if let (Some(fault), true) = (name.fault, name.found.is_empty()) {
            return Missing::Name(fault);
        }
        if others.is_empty() && !name.found.is_empty() {
            return Missing::Oneself;
        }
        // Whoever is there and is somebody else is worth more words than who is not.
        let answers = others.iter().filter_map(|addr| self.asked.get(addr));
        let strange = |why: &&Missing| {
            matches!(why, Missing::Stranger(_) | Missing::Other | Missing::Oneself)
        };
        let (strangers, silent): (Vec<&Missing>, Vec<&Missing>) = answers.partition(strange);
        let told = strangers.first().or(silent.first()).copied();
        told.cloned().unwrap_or(Missing::Silent(Fault::TimedOut))
    }

    /// When it wants to be asked again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let names = self.names.iter().filter_map(|name| name.due);
        names.chain(self.lament.map(|(due, _)| due)).min()
    }
}

/// How often names are looked up.
const LOOK_UP_EVERY: Duration = Duration::from_secs(30);
/// How soon a name is looked up again that could not be; then twice as long each time.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// How soon it is told that nobody is found; then twice as long each time, up to the other.
const LAMENT_MIN: Duration = Duration::from_secs(5);
const LAMENT_MAX: Duration = Duration::from_mins(5);
