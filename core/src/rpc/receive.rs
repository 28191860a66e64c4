//! One side of one tunnel: what its peer says. `spec/rpc.md` has the tables that this follows.

use super::frame::{Event, Header, Kind};
use super::machine::{Drain, Life, Machine};
use super::say::stage_after;
use super::stream::{Stage, Stream};
use super::{Action, Reset, Word, block, hello};
use crate::id::StreamId;
use crate::reason::Reason;
use crate::varint::Cursor;
use bytes::BytesMut;

impl<T: Copy> Machine<T> {
    pub(super) fn receive(&mut self, mut bytes: BytesMut) {
        if !bytes.is_empty() {
            self.heard();
        }
        loop {
            let done = match self.reader.next(&mut bytes) {
                Ok(Some(event)) => self.event(event),
                Ok(None) => return,
                Err(reason) => Err(reason),
            };
            if let Err(reason) = done {
                return self.close(reason);
            }
        }
    }

    pub(super) fn message_end(&mut self) {
        if !self.reader.between_frames() {
            self.close(Reason::BadFrame);
        }
    }

    fn event(&mut self, event: Event) -> Result<(), Reason> {
        match event {
            Event::Piece { stream, bytes, end } => {
                self.data(stream, bytes, end);
                Ok(())
            }
            Event::Begin(header) => {
                if self.life != Life::Open {
                    return Err(Reason::ProtocolError);
                }
                if header.kind == Kind::Data { self.begin_data(header) } else { Ok(()) }
            }
            Event::Frame(header, payload) => self.frame(header, &payload),
        }
    }

    fn frame(&mut self, header: Header, payload: &[u8]) -> Result<(), Reason> {
        if (self.life == Life::Open) == (header.kind == Kind::Hello) {
            return Err(Reason::ProtocolError);
        }
        let id = header.stream;
        match header.kind {
            Kind::Hello => self.hello(payload),
            Kind::Request => self.request(id, payload, header.end),
            Kind::Response => self.response(id, payload, header.end),
            Kind::Trailers => self.trailers(id, payload),
            Kind::End => self.end(id),
            Kind::Reset => self.reset(id, payload),
            Kind::Credit => self.credit(id, payload),
            Kind::Ping => {
                self.sender.frame(Kind::Pong, StreamId(0), payload);
                Ok(())
            }
            Kind::Pong => {
                self.pong(payload);
                Ok(())
            }
            Kind::Drain => self.peer_drain(),
            Kind::DrainAck => self.drain_ack(),
            Kind::Data | Kind::Skippable => Ok(()),
        }
    }

    fn hello(&mut self, payload: &[u8]) -> Result<(), Reason> {
        let (identity, terms) = hello::decode(payload)?;
        self.theirs = terms;
        self.life = Life::Open;
        self.pulse.beat = self.clock.now() + self.limits.heartbeat;
        self.actions.push_back(Action::Ready(identity));
        self.ping();
        Ok(())
    }

    fn request(&mut self, id: StreamId, payload: &[u8], end: bool) -> Result<(), Reason> {
        let promised = matches!(self.our_drain, Drain::Acknowledged | Drain::Done);
        if self.is_local(id) || id.0 < self.remote.next || promised {
            return Err(Reason::ProtocolError);
        }
        let head = block::request(payload, self.ours.fields)?;
        self.remote.next = id.0 + 2;
        if self.remote.open >= self.limits.streams {
            self.send_reset(id, Reset { reason: Reason::StreamLimit, started: false });
            return Ok(());
        }
        self.remote.open += 1;
        self.actions.push_back(Action::Opened { stream: id, head, end });
        self.insert(id, None, if end { Stage::Ended } else { Stage::Body }, Stage::Head);
        Ok(())
    }

    fn response(&mut self, id: StreamId, payload: &[u8], end: bool) -> Result<(), Reason> {
        let fields_max = self.ours.fields;
        let Some(stream) = self.find(id)? else { return Ok(()) };
        if stream.inbound != Stage::Head {
            return Err(Reason::ProtocolError);
        }
        let head = block::response(payload, fields_max)?;
        stream.inbound = stage_after(&head, end).ok_or(Reason::ProtocolError)?;
        if stream.inbound == Stage::Head {
            stream.interims += 1;
            if stream.interims > INTERIMS_MAX {
                self.cut(id, Reason::BadResponse);
                return Ok(());
            }
        }
        self.said(id, Word::Response { head, end });
        Ok(())
    }

    /// Checks the header of a data frame against its stream before any of the payload is taken.
    fn begin_data(&mut self, header: Header) -> Result<(), Reason> {
        let Some(stream) = self.find(header.stream)? else {
            self.reader.skip_data();
            return Ok(());
        };
        if !matches!(stream.inbound, Stage::Body | Stage::Raw) {
            return Err(Reason::ProtocolError);
        }
        if stream.window.allows(header.length) { Ok(()) } else { Err(Reason::FlowControl) }
    }

    fn data(&mut self, id: StreamId, bytes: BytesMut, end: bool) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.window.received(bytes.len());
            if end {
                stream.inbound = Stage::Ended;
            }
            self.said(id, Word::Data { bytes, end });
        }
    }

    fn trailers(&mut self, id: StreamId, payload: &[u8]) -> Result<(), Reason> {
        let fields_max = self.ours.fields;
        let Some(stream) = self.find(id)? else { return Ok(()) };
        if stream.inbound != Stage::Body {
            return Err(Reason::ProtocolError);
        }
        let fields = block::trailers(payload, fields_max)?;
        stream.inbound = Stage::Ended;
        self.said(id, Word::Trailers(fields));
        Ok(())
    }

    fn end(&mut self, id: StreamId) -> Result<(), Reason> {
        let Some(stream) = self.find(id)? else { return Ok(()) };
        if !matches!(stream.inbound, Stage::Body | Stage::Raw) {
            return Err(Reason::ProtocolError);
        }
        stream.inbound = Stage::Ended;
        self.said(id, Word::Data { bytes: BytesMut::new(), end: true });
        Ok(())
    }

    fn reset(&mut self, id: StreamId, payload: &[u8]) -> Result<(), Reason> {
        if self.find(id)?.is_none() {
            return Ok(());
        }
        let mut cursor = Cursor::new(payload);
        let started = match cursor.byte()? {
            0 => false,
            1 => true,
            _ => return Err(Reason::BadFrame),
        };
        let reason = Reason::from_rpc(cursor.number()?);
        cursor.finish()?;
        self.tell_reset(id, Reset { reason, started });
        self.remove(id);
        Ok(())
    }

    fn credit(&mut self, id: StreamId, payload: &[u8]) -> Result<(), Reason> {
        let Some(stream) = self.find(id)? else { return Ok(()) };
        let mut cursor = Cursor::new(payload);
        let count = cursor.number()?;
        cursor.finish()?;
        if count == 0 {
            return Err(Reason::BadFrame);
        }
        if stream.outbound == Stage::Ended {
            return Ok(());
        }
        let count = stream.granted(count)?;
        self.said(id, Word::Credit(count));
        Ok(())
    }

    fn pong(&mut self, payload: &[u8]) {
        if payload == self.pulse.pings.to_be_bytes()
            && let Some(sent) = self.pulse.waiting.take()
        {
            let rtt = self.clock.now().since(sent);
            self.pulse.rtt = Some(rtt);
            self.actions.push_back(Action::RoundTrip(rtt));
        }
    }

    fn peer_drain(&mut self) -> Result<(), Reason> {
        if self.peer_drains {
            return Err(Reason::ProtocolError);
        }
        self.peer_drains = true;
        self.sender.frame(Kind::DrainAck, StreamId(0), &[]);
        self.actions.push_back(Action::PeerDrains);
        Ok(())
    }

    fn drain_ack(&mut self) -> Result<(), Reason> {
        if self.our_drain != Drain::Asked {
            return Err(Reason::ProtocolError);
        }
        self.our_drain = Drain::Acknowledged;
        self.check_drained();
        Ok(())
    }

    /// The stream of a frame; `None` if its call is over, so that the frame is ignored.
    fn find(&mut self, id: StreamId) -> Result<Option<&mut Stream<T>>, Reason> {
        let calls = if self.is_local(id) { self.local } else { self.remote };
        if id.0 >= calls.next {
            return Err(Reason::ProtocolError);
        }
        Ok(self.streams.get_mut(&id))
    }

    /// Passes a word on, unless the parent wants no more of the call, and forgets the call if that
    /// was all of it.
    fn said(&mut self, id: StreamId, word: Word) {
        if let Some(stream) = self.streams.get(&id) {
            if !stream.sated {
                self.actions.push_back(Action::Said { stream: id, tag: stream.tag, word });
            }
            self.remove_done(id);
        }
    }
}

/// Interim responses to one call. They need no credit, so nothing else bounds them.
const INTERIMS_MAX: usize = 1000;
