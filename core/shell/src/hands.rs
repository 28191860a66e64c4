//! The hands of a driver: what they bring to a machine in one turn, and what they do for it.

use crate::clock::Clock;
use crate::datagrams::Datagrams;
use crate::door::Door;
use crate::driver::Notes;
use crate::link::{Brought, Link, Look, Origin, fault};
use crate::log;
use crate::mail::{Post, place};
use crate::names::Names;
use crate::platform::Platform;
use crate::ready::{Ready, Token};
use crate::wire::{Trust, Wire, Wires};
use bytes::BytesMut;
use pico_core::host::{Action, Address, Fault, Host, Input, Port};
use pico_core::id::{ConnId, ConnIds, ConnMap, Side};
use pico_core::note::{Distrust, Note};
use pico_core::{Instant, Outbox, Turn, Wall};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use std::{mem, vec};

/// Everything of a driver but the machine.
pub(crate) struct Hands<P: Platform, L> {
    pub(crate) me: Address,
    pub(crate) ready: Arc<Ready>,
    /// What is still to be looked at in this turn.
    pub(crate) todo: VecDeque<Token>,
    /// What is to be looked at in the next turn, although nothing wakes us for it.
    pub(crate) later: Vec<Token>,
    pub(crate) done: bool,
    post: Post<L>,
    letters: vec::IntoIter<L>,
    outgoing: Vec<Vec<L>>,
    waiting: bool,
    doors: Vec<Option<Door<P>>>,
    /// Out of descriptors: nothing is accepted before one is free, or this time has come.
    closed_until: Option<Instant>,
    /// When that was said last.
    told: Option<Instant>,
    datagrams: Option<Datagrams<P>>,
    /// The system refused to receive: nothing is tried before this time.
    deaf_until: Option<Instant>,
    ids: ConnIds,
    /// Whose slots are free from the next turn on: until then the machine may hold them.
    freed: Vec<ConnId>,
    links: ConnMap<Link<P>>,
    wires: Wires,
    trust: Trust,
    dirty: VecDeque<ConnId>,
    /// Those for which the machine had no room in this turn.
    stopped: Vec<ConnId>,
    names: Names<P>,
    known: VecDeque<Input<L>>,
    buffer: BytesMut,
    notes: Notes,
    turn: u64,
    now: Instant,
    /// What time of day the machine was told last.
    wall: Option<Wall>,
}

impl<P: Platform, L> Hands<P, L> {
    pub(crate) fn new(
        ready: Arc<Ready>,
        post: Post<L>,
        me: Address,
        doors: Vec<Door<P>>,
        datagrams: Option<Datagrams<P>>,
        wires: Wires,
        notes: Notes,
    ) -> Self {
        let mut todo: VecDeque<Token> = (0..doors.len()).map(Token::Accept).collect();
        todo.extend([Token::Mail, Token::Datagram]);
        Self {
            me,
            ready,
            todo,
            later: Vec::new(),
            done: false,
            letters: Vec::new().into_iter(),
            outgoing: (0..post.len()).map(|_| Vec::new()).collect(),
            waiting: false,
            post,
            doors: doors.into_iter().map(Some).collect(),
            closed_until: None,
            told: None,
            datagrams,
            deaf_until: None,
            ids: ConnIds::new(Side::Accepted),
            freed: Vec::new(),
            links: ConnMap::new(),
            wires,
            trust: Trust::default(),
            dirty: VecDeque::new(),
            stopped: Vec::new(),
            names: Names::new(),
            known: VecDeque::new(),
            buffer: BytesMut::new(),
            notes,
            turn: 0,
            now: Instant::ZERO,
            wall: None,
        }
    }

    /// Begins a turn.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.turn += 1;
        self.now = now;
        let wall = Clock::wall();
        if self.wall.replace(wall) != Some(wall) {
            self.known.push_front(Input::Wall(wall));
        }
        self.stopped.clear();
        // The machine has been polled to its end since it heard that these are gone.
        for conn in self.freed.drain(..) {
            self.ids.release(conn);
        }
        while let Some(conn) = self.trust.late(now) {
            self.distrust(conn, Some(Distrust::Late));
            self.forget(conn);
        }
        if self.closed_until.is_some_and(|until| until <= now) {
            self.open_doors();
        }
        if self.deaf_until.is_some_and(|until| until <= now) {
            self.deaf_until = None;
            self.todo.push_back(Token::Datagram);
        }
    }

    /// When what the system refused may be tried again.
    pub(crate) fn again(&self) -> Option<Instant> {
        let refused = self.closed_until.into_iter().chain(self.deaf_until);
        refused.chain(self.trust.deadline()).min()
    }

    /// Moves what was put off to the next turn, and says whether there is any.
    pub(crate) fn postpone(&mut self) -> bool {
        self.todo.extend(self.later.drain(..));
        !self.todo.is_empty()
    }

    /// Hands the letters that were written to the post.
    pub(crate) fn deliver(&mut self) {
        if mem::take(&mut self.waiting) {
            for (place, letters) in self.outgoing.iter_mut().enumerate() {
                if !letters.is_empty() {
                    self.post.deliver(place, letters);
                }
            }
        }
    }

    fn open_doors(&mut self) {
        self.closed_until = None;
        self.todo.extend((0..self.doors.len()).map(Token::Accept));
    }

    fn forget(&mut self, conn: ConnId) {
        if let Some(link) = self.links.remove(conn) {
            if let Origin::Accepted(..) = link.origin() {
                self.freed.push(conn);
            }
            if !link.is_known() {
                self.trust.forget(conn);
            }
            drop(link);
            if self.closed_until.is_some() {
                self.open_doors();
            }
        }
    }

    fn soil(&mut self, conn: ConnId) {
        if let Some(link) = self.links.get_mut(conn)
            && !mem::replace(&mut link.dirty, true)
        {
            self.dirty.push_back(conn);
        }
    }

    /// Looks at the first of `todo`, and takes it off if it has no more.
    fn look(&mut self, token: Token, host: &impl Host<Letter = L>) -> Option<Input<L>> {
        let found = match token {
            Token::Accept(door) => self.accept(door),
            Token::Read(conn) => self.read(conn, host.room(conn)),
            Token::Ask(ask) => match self.names.look(ask) {
                Some(result) => Look::Some(Input::Resolved { ask, result }),
                None => Look::Nothing,
            },
            Token::Datagram => self.datagram(),
            Token::Mail => return self.letter(),
            Token::Write(conn) => {
                self.soil(conn);
                Look::Nothing
            }
            // The tick at the beginning of the turn was all that it was for.
            Token::Alarm => Look::Nothing,
        };
        match found {
            Look::Some(input) => return Some(input),
            Look::Nothing => {}
            Look::Later => self.later.push(token),
            Look::Broken(fault) => return self.broken(token, fault),
        }
        self.todo.pop_front();
        None
    }

    fn broken(&mut self, token: Token, fault: Fault) -> Option<Input<L>> {
        self.todo.pop_front();
        match token {
            Token::Read(conn) | Token::Write(conn) => self.lose(conn, fault),
            Token::Accept(_) => {
                self.closed_until = Some(self.now + PAUSE);
                if self.told.is_none_or(|told| self.now.since(told) >= QUIET) {
                    self.told = Some(self.now);
                    log::crowded(fault);
                }
                None
            }
            Token::Datagram => {
                self.deaf_until = Some(self.now + PAUSE);
                None
            }
            Token::Ask(_) | Token::Alarm | Token::Mail => None,
        }
    }

    /// A connection broke. A machine hears only of those that it knows, or asked for.
    fn lose(&mut self, conn: ConnId, fault: Fault) -> Option<Input<L>> {
        self.distrust(conn, None);
        let link = self.links.get(conn)?;
        let (known, origin) = (link.is_known(), link.origin());
        self.forget(conn);
        match origin {
            Origin::Dialled(_) if !known => Some(Input::Unreachable { conn, fault }),
            Origin::Accepted(..) if !known => None,
            Origin::Dialled(_) | Origin::Accepted(..) => Some(Input::Lost { conn, fault }),
        }
    }

    /// Tells people, now and then, who is not trusted, if anybody.
    fn distrust(&mut self, conn: ConnId, why: Option<Distrust>) {
        let Some(link) = self.links.get_mut(conn) else { return };
        let Some(why) = why.or_else(|| link.distrust()) else { return };
        let (Origin::Dialled(peer) | Origin::Accepted(_, peer)) = link.origin();
        if let Some(suppressed) = self.trust.tell(self.now) {
            (self.notes)(Note::Untrusted { peer, why, suppressed });
        }
    }

    fn accept(&mut self, place: usize) -> Look<Input<L>> {
        let Some(slot) = self.doors.get_mut(place) else { return Look::Nothing };
        if self.closed_until.is_some() {
            return Look::Nothing;
        }
        while let Some(door) = slot {
            if !door.may_accept(self.turn) {
                return Look::Later;
            }
            match door.poll_accept() {
                Poll::Pending => {
                    if !door.is_closing() {
                        return Look::Nothing;
                    }
                    let port = door.port();
                    *slot = None;
                    return Look::Some(Input::Unlistened(port));
                }
                Poll::Ready(Ok((stream, peer))) => {
                    let (conn, port) = (self.ids.issue(), door.port());
                    let wire = self.wires.accepted(port);
                    let link = Link::accepted(conn, stream, (port, peer), wire, &self.ready);
                    if matches!(port, Port::Upstream | Port::Gossip) {
                        link.limit_unsent();
                    }
                    let known = link.is_known();
                    self.links.insert(conn, link);
                    self.todo.push_back(Token::Read(conn));
                    if known {
                        return Look::Some(Input::Accepted { conn, port, peer });
                    }
                    self.trust.begin(self.now, conn);
                }
                // One that was reset before we came to it; the next may be well.
                Poll::Ready(Err(error)) if fault(&error) == Fault::Reset => {}
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => return Look::Broken(fault(&error)),
            }
        }
        Look::Nothing
    }

    fn read(&mut self, conn: ConnId, room: usize) -> Look<Input<L>> {
        let Some(link) = self.links.get_mut(conn) else { return Look::Nothing };
        let open = link.is_open();
        let found = link.look(self.turn, room, &mut self.buffer);
        if link.is_paused() {
            self.stopped.push(conn);
        }
        if link.has_sealed() || link.is_open() != open {
            self.soil(conn);
        }
        match found {
            Look::Some(Brought::Bytes(bytes)) => Look::Some(Input::Received { conn, bytes }),
            Look::Some(Brought::Eof) => Look::Some(Input::Eof { conn }),
            Look::Some(Brought::Open(Origin::Dialled(peer))) => {
                // What the machine wrote while it was dialled is still to be sent.
                self.soil(conn);
                Look::Some(Input::Connected { conn, peer })
            }
            Look::Some(Brought::Open(Origin::Accepted(port, peer))) => {
                self.trust.forget(conn);
                Look::Some(Input::Accepted { conn, port, peer })
            }
            Look::Nothing => Look::Nothing,
            Look::Later => Look::Later,
            Look::Broken(fault) => Look::Broken(fault),
        }
    }

    /// Goes on reading where there is room again within the turn in which there was none: the
    /// machine may not have seen that we stopped, and will not say so.
    fn resume(&mut self, host: &impl Host<Letter = L>) -> bool {
        let Self { stopped, links, todo, .. } = self;
        stopped.retain(|conn| {
            let open = host.room(*conn) > 0;
            if open && links.get_mut(*conn).is_some_and(Link::resume) {
                todo.push_back(Token::Read(*conn));
            }
            !open
        });
        !todo.is_empty()
    }

    fn datagram(&mut self) -> Look<Input<L>> {
        if self.deaf_until.is_some() {
            return Look::Nothing;
        }
        let Some(datagrams) = &mut self.datagrams else { return Look::Nothing };
        match datagrams.look(self.turn) {
            Look::Some((from, bytes)) => Look::Some(Input::Datagram { from, bytes }),
            Look::Nothing => Look::Nothing,
            Look::Later => Look::Later,
            Look::Broken(fault) => Look::Broken(fault),
        }
    }

    fn letter(&mut self) -> Option<Input<L>> {
        self.todo.pop_front();
        let mut letters = Vec::new();
        if let Some(letterbox) = self.post.letterbox(self.me)
            && !letterbox.collect(&mut letters)
        {
            self.done = true;
            return None;
        }
        self.letters = letters.into_iter();
        self.letters.next().map(Input::Letter)
    }

    /// Offers the outbox of the first dirty connection to its socket.
    fn write(&mut self, conn: ConnId, host: &impl Host<Letter = L>) -> Option<Input<L>> {
        let written = match self.links.get_mut(conn) {
            Some(link) => link.write(self.turn, host.outbox(conn)),
            None => Look::Nothing,
        };
        if let Look::Some(count) = written {
            return Some(Input::Sent { conn, count });
        }
        self.dirty.pop_front();
        if let Some(link) = self.links.get_mut(conn) {
            link.dirty = false;
        }
        match written {
            Look::Some(_) | Look::Nothing => None,
            Look::Later => {
                self.later.push(Token::Write(conn));
                None
            }
            Look::Broken(fault) => {
                let link = self.links.get_mut(conn)?;
                if link.stop_writing(fault, host.room(conn)) {
                    self.todo.push_back(Token::Read(conn));
                    return None;
                }
                self.lose(conn, fault)
            }
        }
    }

    fn finish(&mut self, conn: ConnId, outbox: Option<&Outbox>) {
        let Some(link) = self.links.get_mut(conn) else { return };
        link.finish();
        if outbox.is_none_or(Outbox::is_empty) {
            // At once: should the machine close it now, or have let go of it, then all was said.
            link.write(self.turn, None);
        }
        self.soil(conn);
    }

    fn unlisten(&mut self, port: Port) {
        if !self.doors.iter().flatten().any(|door| door.port() == port) {
            return self.known.push_back(Input::Unlistened(port));
        }
        for (place, door) in self.doors.iter_mut().enumerate() {
            if let Some(door) = door.as_mut().filter(|door| door.port() == port) {
                door.close();
                self.todo.push_back(Token::Accept(place));
            }
        }
    }

    fn dial(&mut self, conn: ConnId, to: SocketAddr, wire: Wire) {
        let link = Link::dialing(conn, Box::pin(P::connect(to)), to, wire, &self.ready);
        self.links.insert(conn, link);
        self.todo.push_back(Token::Read(conn));
    }
}

impl<P: Platform, H: Host> Turn<H> for Hands<P, H::Letter> {
    fn next(&mut self, host: &H) -> Option<Input<H::Letter>> {
        loop {
            let known = self.known.pop_front();
            if let Some(input) = known.or_else(|| self.letters.next().map(Input::Letter)) {
                return Some(input);
            }
            let found = if let Some(token) = self.todo.front() {
                self.look(*token, host)
            } else if self.waiting {
                self.deliver();
                None
            } else if let Some(conn) = self.dirty.front() {
                self.write(*conn, host)
            } else if self.resume(host) {
                None
            } else {
                return None;
            };
            if found.is_some() {
                return found;
            }
        }
    }

    fn act(&mut self, host: &H, action: Action<H::Letter>) {
        match action {
            Action::Dial { conn, to, wire } => {
                let wire = self.wires.dialled(wire);
                self.dial(conn, to, wire);
            }
            Action::Resolve { ask, host, port } => {
                match self.names.ask(ask, host, port, &self.ready) {
                    Some(result) => self.known.push_back(Input::Resolved { ask, result }),
                    None => self.todo.push_back(Token::Ask(ask)),
                }
            }
            Action::Write(conn) => self.soil(conn),
            Action::Read(conn) => {
                if self.links.get_mut(conn).is_some_and(Link::resume) {
                    self.todo.push_back(Token::Read(conn));
                }
            }
            Action::Finish(conn) => self.finish(conn, host.outbox(conn)),
            Action::Close(conn) => {
                if let Some(link) = self.links.get_mut(conn) {
                    link.cut_off();
                }
                self.forget(conn);
            }
            Action::Unlisten(port) => self.unlisten(port),
            Action::Datagram { to, bytes } => {
                if let Some(datagrams) = &self.datagrams {
                    datagrams.send(to, &bytes);
                }
            }
            Action::Letter { to, letter } => {
                if let Some(letters) = self.outgoing.get_mut(place(to)) {
                    letters.push(letter);
                    self.waiting = true;
                }
            }
            Action::Note(note) => (self.notes)(note),
            Action::Done => self.done = true,
        }
    }
}

/// How long accepting rests when there are no descriptors and none is freed meanwhile, and
/// receiving when the system refuses it.
const PAUSE: Duration = Duration::from_millis(100);
/// How long nothing more is said of it.
const QUIET: Duration = Duration::from_mins(1);
