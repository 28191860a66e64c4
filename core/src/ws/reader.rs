//! From the peer's bytes to what they mean: frames, fragments and masks undone.

use super::Kind;
use super::codec::{self, Control, HEADER_MAX, Header, Key, Opcode};
use super::utf8::Utf8;
use crate::reason::Reason;
use bytes::{Buf as _, BytesMut};

/// What the peer said.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Event {
    /// Some of a data message.
    Piece { kind: Kind, bytes: BytesMut },
    /// The message is complete.
    End { kind: Kind },
    /// A ping, to be answered with the same payload.
    Ping(BytesMut),
    /// A pong.
    Pong(BytesMut),
    /// The payload of a close frame.
    Close(BytesMut),
}

/// Reads one direction of a connection. Holds no more than a header or a control payload.
#[derive(Debug)]
pub(super) struct Reader {
    /// Whether frames must be masked; if not they must not be.
    masked: bool,
    /// Whether a text message may come.
    takes_text: bool,
    reading: Reading,
    /// The data message under way, between its first frame and its last.
    message: Option<Kind>,
    /// How the text under way, if it is one, goes on.
    text: Utf8,
    /// The start of a header, or of a control payload.
    held: BytesMut,
}

/// What the next byte is part of.
#[derive(Clone, Copy, Debug)]
enum Reading {
    Header,
    Data {
        kind: Kind,
        left: u64,
        /// As it meets the next byte.
        key: Option<Key>,
        fin: bool,
    },
    Control {
        frame: Control,
        /// At most 125.
        len: usize,
        key: Option<Key>,
    },
    Refused(Reason),
}

impl Reader {
    /// The start of a connection.
    pub(super) fn new(masked: bool) -> Self {
        Self {
            masked,
            takes_text: true,
            reading: Reading::Header,
            message: None,
            text: Utf8::default(),
            held: BytesMut::new(),
        }
    }

    /// From now on a text message is an error as soon as its header is there.
    pub(super) fn refuse_text(&mut self) {
        self.takes_text = false;
    }

    /// Takes from the front of `bytes` what makes up the next event; `None` when they are used
    /// up. After an error there is nothing more to be read: what is left was not looked at.
    pub(super) fn next(&mut self, bytes: &mut BytesMut) -> Result<Option<Event>, Reason> {
        loop {
            match self.reading {
                Reading::Header => {
                    let Some(header) = self.header(bytes)? else { return Ok(None) };
                    self.reading = self.begin(header)?;
                }
                Reading::Data { kind, left: 0, fin, .. } => {
                    self.reading = Reading::Header;
                    if fin {
                        return self.end(kind).map(Some);
                    }
                }
                Reading::Data { kind, left, key, fin } => {
                    if bytes.is_empty() {
                        return Ok(None);
                    }
                    let piece = self.piece(bytes, kind, left, key, fin);
                    if !piece.is_empty() {
                        return Ok(Some(Event::Piece { kind, bytes: piece }));
                    }
                }
                Reading::Control { frame, len, key } => {
                    self.hold(bytes, len);
                    if self.held.len() < len {
                        return Ok(None);
                    }
                    self.reading = Reading::Header;
                    return Ok(Some(self.control(frame, key)));
                }
                Reading::Refused(reason) => return Err(reason),
            }
        }
    }

    /// The next header, once it is complete.
    fn header(&mut self, bytes: &mut BytesMut) -> Result<Option<Header>, Reason> {
        let before = self.held.len();
        if before == 0 {
            if let Some((used, header)) = codec::parse(bytes) {
                bytes.advance(used);
                return header.map(Some);
            }
            self.hold(bytes, HEADER_MAX);
            return Ok(None);
        }
        let more = bytes.len().min(HEADER_MAX.saturating_sub(before));
        self.held.extend_from_slice(bytes.get(..more).unwrap_or_default());
        let Some((used, header)) = codec::parse(&self.held) else {
            bytes.advance(more);
            return Ok(None);
        };
        // What was held before was no header, so some of what came now belongs to it.
        bytes.advance(used.saturating_sub(before));
        self.held = BytesMut::new();
        header.map(Some)
    }

    /// Moves bytes to those held until these are `len`.
    fn hold(&mut self, bytes: &mut BytesMut, len: usize) {
        let more = bytes.len().min(len.saturating_sub(self.held.len()));
        self.held.extend_from_slice(bytes.get(..more).unwrap_or_default());
        bytes.advance(more);
    }

    /// What follows a header at this point of the stream.
    fn begin(&mut self, header: Header) -> Result<Reading, Reason> {
        let Header { opcode, fin, len, key } = header;
        if key.is_some() != self.masked {
            return Err(Reason::ProtocolError);
        }
        let kind = match (opcode, self.message) {
            (Opcode::Data(Kind::Text), None) if !self.takes_text => {
                return Err(Reason::UnsupportedData);
            }
            (Opcode::Data(kind), None) | (Opcode::Continue, Some(kind)) => kind,
            (Opcode::Data(_), Some(_)) | (Opcode::Continue, None) => {
                return Err(Reason::ProtocolError);
            }
            (Opcode::Control(frame), _) => {
                let len = usize::try_from(len).expect("the codec refuses long control frames");
                return Ok(Reading::Control { frame, len, key });
            }
        };
        self.message = Some(kind);
        Ok(Reading::Data { kind, left: len, key, fin })
    }

    /// Cuts off what has arrived of a data frame's payload, in clear. Empty if not a byte of it
    /// may be taken.
    fn piece(
        &mut self,
        bytes: &mut BytesMut,
        kind: Kind,
        left: u64,
        key: Option<Key>,
        fin: bool,
    ) -> BytesMut {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let clear = bytes.get_mut(..most).unwrap_or_default();
        let key = key.map(|key| codec::mask(clear, key));
        let good = match kind {
            Kind::Text => self.text.admit(clear),
            Kind::Binary => most,
        };
        self.reading = if good < most {
            Reading::Refused(Reason::BadText)
        } else {
            let taken = u64::try_from(most).expect("a buffer is shorter than 2^64 bytes");
            Reading::Data { kind, left: left - taken, key, fin }
        };
        if good == bytes.len() { core::mem::take(bytes) } else { bytes.split_to(good) }
    }

    /// The end of a message, if it may end here.
    fn end(&mut self, kind: Kind) -> Result<Event, Reason> {
        self.message = None;
        if !self.text.is_complete() {
            return Err(Reason::BadText);
        }
        Ok(Event::End { kind })
    }

    /// The control frame whose payload is complete.
    fn control(&mut self, frame: Control, key: Option<Key>) -> Event {
        let mut payload = core::mem::take(&mut self.held);
        if let Some(key) = key {
            codec::mask(&mut payload, key);
        }
        match frame {
            Control::Close => Event::Close(payload),
            Control::Ping => Event::Ping(payload),
            Control::Pong => Event::Pong(payload),
        }
    }
}
