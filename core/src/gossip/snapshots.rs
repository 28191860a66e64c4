//! Logs that are too far behind for single ops: the pages of others, asked for and told.

use super::consult::Consult;
use super::directory::{Fetch, FetchLimits, Step};
use super::hear::Letter;
use super::machine::Machine;
use super::wire::Message;
use crate::id::{AskId, Boot};
use crate::routing::EndpointId;
use alloc::vec::Vec;

/// A snapshot of a log on its way.
#[derive(Debug)]
pub(super) struct Fetching {
    fetch: Fetch,
    /// Who sends it.
    pub(super) from: Boot,
    /// The question that is open: an answer to any other belongs to a snapshot that was dropped.
    ask: Option<AskId>,
}

impl Machine {
    pub(super) fn page_wanted(
        &mut self,
        boot: Boot,
        after: Option<&EndpointId>,
        reply: &mut Letter,
    ) {
        if reply.is_datagram() {
            return;
        }
        let Some(replica) = self.directory(boot) else { return };
        let page = replica.page(after, PAGE_BYTES.min(reply.room().saturating_sub(64)));
        let (head, last) = (page.head, page.last);
        self.say(reply, &Message::Page { boot, head, last, entries: page.entries });
    }

    /// Fetches a snapshot of a log from whoever said that ops are not enough.
    pub(super) fn fetch(&mut self, from: Boot, boot: Boot, head: u64) {
        let known = self.replicas.head(boot).is_some_and(|held| held < head);
        if !known || self.replicas.fetches.contains_key(&boot) {
            return;
        }
        if self.replicas.fetches.len() >= FETCHES {
            self.replicas.waiting.insert(boot, (from, head));
            return;
        }
        let fetch = Fetch::new(FetchLimits::default());
        self.replicas.fetches.insert(boot, Fetching { fetch, from, ask: None });
        self.fetch_on(boot);
    }

    /// Fetches those that had to wait, if there is room.
    pub(super) fn fetch_next(&mut self) {
        while self.replicas.fetches.len() < FETCHES {
            let Some((boot, (from, head))) = self.replicas.waiting.pop_first() else { return };
            self.fetch(from, boot, head);
        }
    }

    /// Asks for the next piece of a snapshot, or puts it in place.
    fn fetch_on(&mut self, boot: Boot) {
        let Some(Fetching { fetch, from, .. }) = self.replicas.fetches.get(&boot) else { return };
        let from = *from;
        let message = match fetch.next() {
            Ok(Step::Page { after }) => Message::PageWant { boot, after: after.cloned() },
            Ok(Step::Ops { after }) => Message::Want { boot, after },
            Ok(Step::Done) => return self.fetched(boot),
            Err(_) => {
                self.replicas.fetches.remove(&boot);
                return;
            }
        };
        let mut letter = self.letter(from, None);
        self.say(&mut letter, &message);
        match self.consult(letter, Consult::Fetch(boot)) {
            None => drop(self.replicas.fetches.remove(&boot)),
            ask => {
                if let Some(fetching) = self.replicas.fetches.get_mut(&boot) {
                    fetching.ask = ask;
                }
            }
        }
    }

    /// A piece of a snapshot has come, or nothing has.
    pub(super) fn fetch_heard(&mut self, ask: AskId, boot: Boot, messages: Option<Vec<Message>>) {
        let Some(fetching) = self.replicas.fetches.get_mut(&boot) else { return };
        if fetching.ask != Some(ask) {
            return;
        }
        let mut came = false;
        for message in messages.into_iter().flatten() {
            let result = match message {
                Message::Page { boot: of, head, last, entries } if of == boot => {
                    fetching.fetch.page(super::directory::Page { entries, head, last })
                }
                Message::Ops { boot: of, first, ops } if of == boot => {
                    fetching.fetch.ops(first, ops)
                }
                Message::Behind { boot: of, .. } if of == boot => fetching.fetch.behind(),
                Message::Page { .. }
                | Message::Ops { .. }
                | Message::Behind { .. }
                | Message::Ping { .. }
                | Message::Ack { .. }
                | Message::Relay { .. }
                | Message::Nack { .. }
                | Message::Member(_)
                | Message::Standing(_)
                | Message::Who(_)
                | Message::Root(_)
                | Message::Heads { .. }
                | Message::Want { .. }
                | Message::PageWant { .. }
                | Message::Joining => continue,
            };
            came = result.is_ok();
            // What is newer than the snapshot comes as everything new does.
            if !came || fetching.fetch.next() == Ok(Step::Done) {
                break;
            }
        }
        if came {
            self.fetch_on(boot);
        } else {
            self.replicas.fetches.remove(&boot);
        }
        self.fetch_next();
    }

    fn fetched(&mut self, boot: Boot) {
        let Some(Fetching { fetch, .. }) = self.replicas.fetches.remove(&boot) else { return };
        let Some(entry) = self.replicas.all.get_mut(boot) else { return };
        let before = entry.replica.head();
        let mut changes = Vec::new();
        if fetch.finish(&mut entry.replica, &mut changes).is_ok() {
            entry.wanted = None;
            let head = entry.replica.head();
            // Others have to fetch it too if they lack it: only the head is news.
            self.grown(boot, before.max(head), changes);
        }
    }
}

/// Bytes of one page.
const PAGE_BYTES: usize = 64 * 1024;
/// Snapshots that are fetched at once.
pub(super) const FETCHES: usize = 2;
