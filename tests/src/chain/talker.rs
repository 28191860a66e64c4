//! Whoever says bytes that were written down before: a client, or a service.

use crate::actors::wire::{Event, Head, Reader};
use bytes::Buf as _;
use core::net::SocketAddr;
use core::time::Duration;
use pico_core::host::{Action, Host, Input, Told, Wire};
use pico_core::id::{ConnId, ConnIds, ConnMap, Side};
use pico_core::{Instant, Machine, Monotonic, Outbox, Timers};
use std::collections::VecDeque;

/// What is said next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Say {
    /// Bytes.
    Bytes(Vec<u8>),
    /// A FIN.
    Finish,
    /// Leaves.
    Close,
}

impl Say {
    /// The bytes, if it is bytes.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Finish | Self::Close => None,
        }
    }
}

/// What is said, each after a pause.
pub type Speech = Vec<(Duration, Say)>;

/// What a service answers to one request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Its bytes, and what then becomes of the connection.
    pub speech: Speech,
    /// Whether it waits for the end of the request.
    pub patient: bool,
}

/// What came on one connection.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Transcript {
    /// All of it.
    pub bytes: Vec<u8>,
    /// How it ended; nothing while it lasts.
    pub ending: Option<Ending>,
}

/// How a connection ends, whatever comes first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// The other side sent a FIN.
    Fin,
    /// It broke.
    Lost,
    /// We left.
    Left,
}

/// A host of one mind.
#[derive(Debug)]
pub struct Talker {
    /// The speech of a client.
    speech: Option<(SocketAddr, Speech)>,
    /// What requests are answered, in the order in which they come; others get a plain one.
    answers: Vec<Answer>,
    /// The requests that came to a service, and on which of its connections each did.
    pub requests: Vec<Head>,
    /// For each request, the place of its connection in `transcripts`.
    pub served_on: Vec<usize>,
    /// What is wrong with what came to a service.
    pub wrong: Option<String>,
    /// What came, on each connection since the last restart.
    pub transcripts: Vec<Transcript>,
    /// Whether it is gone.
    pub over: bool,
    conns: ConnMap<Talk>,
    timers: Timers<ConnId>,
    clock: Monotonic,
    actions: VecDeque<Action<()>>,
}

#[derive(Debug)]
struct Talk {
    /// Its place in the transcripts.
    at: usize,
    outbox: Outbox,
    told: Told,
    queue: VecDeque<(Duration, Say)>,
    /// What to do once all is written.
    then: Option<Say>,
    /// What reads requests; nothing once other bytes are spoken.
    reader: Option<Reader>,
    waiting: Option<usize>,
}

impl Talker {
    /// A client that dials `to` and speaks.
    pub fn client(now: Instant, to: SocketAddr, speech: Speech) -> Self {
        let mut client = Self::service(now, Vec::new());
        let conn = ConnIds::new(Side::Dialed).issue();
        client.actions.push_back(Action::Dial { conn, to, wire: Wire::Plain });
        client.speech = Some((to, speech));
        client
    }

    /// A service that gives these answers.
    pub fn service(now: Instant, answers: Vec<Answer>) -> Self {
        let mut clock = Monotonic::default();
        clock.advance(now);
        Self {
            speech: None,
            answers,
            requests: Vec::new(),
            served_on: Vec::new(),
            wrong: None,
            transcripts: Vec::new(),
            over: false,
            conns: ConnMap::new(),
            timers: Timers::new(),
            clock,
            actions: VecDeque::new(),
        }
    }

    /// Forgets what came, and gives other answers from now on. Nobody must be connected.
    pub fn restart(&mut self, answers: Vec<Answer>) {
        assert!(self.conns.is_empty(), "somebody is still connected");
        self.answers = answers;
        self.requests.clear();
        self.served_on.clear();
        self.transcripts.clear();
        self.wrong = None;
    }

    /// Whether nobody is connected.
    pub fn is_alone(&self) -> bool {
        self.conns.is_empty()
    }

    /// All that came, one connection after the other.
    pub fn heard(&self) -> Vec<u8> {
        self.transcripts.iter().flat_map(|one| &one.bytes).copied().collect()
    }

    fn begin(&mut self, conn: ConnId, speech: Option<Speech>) {
        let reader = speech.is_none().then(Reader::requests);
        let queue = speech.unwrap_or_default().into();
        let (outbox, told) = (Outbox::new(), Told::default());
        let at = self.transcripts.len();
        self.transcripts.push(Transcript::default());
        let talk = Talk { at, outbox, told, queue, then: None, reader, waiting: None };
        self.conns.insert(conn, talk);
        self.next(conn);
    }

    /// Waits for what is said next.
    fn next(&mut self, conn: ConnId) {
        let Some(talk) = self.conns.get(conn) else { return };
        if let Some((pause, _)) = talk.queue.front() {
            self.timers.set(conn, self.clock.now() + *pause);
        }
    }

    fn say(&mut self, conn: ConnId) {
        let Some(talk) = self.conns.get_mut(conn) else { return };
        match talk.queue.pop_front() {
            Some((_, Say::Bytes(bytes))) => talk.outbox.put(&bytes),
            Some((_, last)) => talk.then = Some(last),
            None => return,
        }
        self.flush(conn);
        self.next(conn);
    }

    fn flush(&mut self, conn: ConnId) {
        let Some(talk) = self.conns.get_mut(conn) else { return };
        talk.told.tell(conn, Some(&talk.outbox), ROOM, &mut self.actions);
        if !talk.outbox.is_empty() {
            return;
        }
        match talk.then.take() {
            Some(Say::Finish) => self.actions.push_back(Action::Finish(conn)),
            Some(Say::Close) => {
                self.forget(conn, Ending::Left);
                self.actions.push_back(Action::Close(conn));
            }
            Some(Say::Bytes(_)) | None => {}
        }
    }

    fn forget(&mut self, conn: ConnId, how: Ending) {
        self.timers.clear(conn);
        self.note(conn, how);
        self.conns.remove(conn);
        self.over = true;
    }

    /// Writes down how a connection ended, if it had not before.
    fn note(&mut self, conn: ConnId, how: Ending) {
        if let Some(one) = self.conns.get(conn).and_then(|t| self.transcripts.get_mut(t.at)) {
            one.ending.get_or_insert(how);
        }
    }

    fn received(&mut self, conn: ConnId, bytes: &[u8]) {
        let Some(at) = self.conns.get(conn).map(|talk| talk.at) else { return };
        if let Some(one) = self.transcripts.get_mut(at) {
            one.bytes.extend_from_slice(bytes);
        }
        if let Some(Talk { reader: Some(reader), .. }) = self.conns.get_mut(conn) {
            reader.push(bytes);
        }
        while let Some(Talk { reader: Some(reader), waiting, .. }) = self.conns.get_mut(conn) {
            match reader.find() {
                Some(Event::Head(head)) => {
                    let answer = self.answers.get(self.requests.len());
                    *waiting = Some(self.requests.len());
                    let patient = answer.is_none_or(|answer| answer.patient);
                    self.requests.push(head);
                    self.served_on.push(at);
                    if !patient {
                        self.answer(conn);
                    }
                }
                Some(Event::End(_)) => self.answer(conn),
                Some(Event::Body(_)) => {}
                Some(Event::Bad(why)) => self.wrong = Some(why),
                None => return,
            }
        }
    }

    fn answer(&mut self, conn: ConnId) {
        let Some(talk) = self.conns.get_mut(conn) else { return };
        let Some(at) = talk.waiting.take() else { return };
        let plain = || {
            let text = format!("HTTP/1.1 204 Fine\r\nX-Served: {at}\r\n\r\n");
            vec![(Duration::ZERO, Say::Bytes(text.into_bytes()))]
        };
        let speech = self.answers.get(at).map_or_else(plain, |answer| answer.speech.clone());
        let said: Vec<&[u8]> = speech.iter().filter_map(|(_, say)| say.bytes()).collect();
        let switches = said.concat().windows(5).any(|five| five == b" 101 ");
        let asked = self.requests.get(at).is_some_and(|head| head.field("upgrade").is_some());
        if asked && switches {
            talk.reader = None;
        }
        talk.queue.extend(speech);
        self.next(conn);
    }
}

impl Machine for Talker {
    type Input = Input<()>;
    type Action = Action<()>;

    fn handle(&mut self, now: Instant, input: Input<()>) {
        self.clock.advance(now);
        match input {
            Input::Accepted { conn, .. } => self.begin(conn, None),
            Input::Connected { conn, .. } => {
                let speech = self.speech.take().map(|(_, speech)| speech);
                self.begin(conn, Some(speech.unwrap_or_default()));
            }
            Input::Received { conn, bytes } => self.received(conn, &bytes),
            Input::Sent { conn, count } => {
                if let Some(talk) = self.conns.get_mut(conn) {
                    talk.outbox.advance(count);
                }
                self.flush(conn);
            }
            Input::Eof { conn } => {
                self.note(conn, Ending::Fin);
                if let Some(talk) = self.conns.get_mut(conn) {
                    // What is being said is said to its end.
                    talk.queue.push_back((Duration::ZERO, Say::Close));
                }
                self.next(conn);
            }
            Input::Lost { conn, .. } => self.forget(conn, Ending::Lost),
            Input::Unreachable { .. } => self.over = true,
            Input::Unlistened(_)
            | Input::Resolved { .. }
            | Input::Datagram { .. }
            | Input::Wall(_)
            | Input::Letter(()) => {}
        }
    }

    fn tick(&mut self, now: Instant) {
        let now = self.clock.advance(now);
        while let Some(conn) = self.timers.pop(now) {
            self.say(conn);
        }
    }

    fn poll(&mut self) -> Option<Action<()>> {
        self.actions.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        self.timers.deadline()
    }
}

impl Host for Talker {
    type Letter = ();

    fn outbox(&self, conn: ConnId) -> Option<&Outbox> {
        self.conns.get(conn).map(|talk| &talk.outbox)
    }

    fn room(&self, conn: ConnId) -> usize {
        self.conns.get(conn).map_or(0, |_| ROOM)
    }
}

const ROOM: usize = 64 * 1024;
