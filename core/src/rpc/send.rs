//! What goes out: frames gathered into messages, and data that waits its turn for room.

use super::block;
use super::frame::{Header, Kind};
use super::stream::{Stream, Tail};
use crate::head::Fields;
use crate::id::StreamId;
use crate::limits::Limits;
use crate::outbox::Outbox;
use crate::varint;
use alloc::collections::VecDeque;
use bytes::BytesMut;

/// The sending half of a tunnel.
///
/// Heads and control frames are framed at once; data while there is room, and else when room
/// comes, the streams taking turns.
#[derive(Debug)]
pub(super) struct Sender {
    /// Messages that are full, oldest first.
    full: VecDeque<Outbox>,
    /// The message that frames are put into.
    open: Outbox,
    /// Messages taken so far, which is also the number of the oldest one that is not.
    taken: u64,
    /// Bytes that the connection would still take.
    room: usize,
    /// Streams with something waiting, in the order of their turns. Never any while there is
    /// room.
    turns: VecDeque<StreamId>,
    /// Where blocks are put together, so that their length is known before they are framed.
    scratch: BytesMut,
    frame_max: usize,
    message_max: usize,
}

impl Sender {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            full: VecDeque::new(),
            open: Outbox::new(),
            taken: 0,
            room: 0,
            turns: VecDeque::new(),
            scratch: BytesMut::new(),
            frame_max: limits.frame_bytes.max(1),
            message_max: limits.message_bytes,
        }
    }

    pub(super) fn has_message(&self) -> bool {
        !self.full.is_empty() || !self.open.is_empty()
    }

    pub(super) fn take_message(&mut self) -> Outbox {
        if !self.has_message() {
            return Outbox::new();
        }
        self.taken += 1;
        self.full.pop_front().unwrap_or_else(|| core::mem::take(&mut self.open))
    }

    /// The number of the message that the last frame was put into.
    pub(super) fn message(&self) -> u64 {
        self.taken + varint::wide(self.full.len())
    }

    /// Whether the message with this number was taken.
    pub(super) const fn was_taken(&self, message: u64) -> bool {
        message < self.taken
    }

    /// Sends a frame of which `payload` is all.
    pub(super) fn frame(&mut self, kind: Kind, stream: StreamId, payload: &[u8]) {
        self.begin(Header { kind, end: false, stream, length: payload.len() });
        self.open.put(payload);
    }

    /// Sends a header block, unless it is longer than `max`. Returns whether it was sent.
    pub(super) fn block(
        &mut self,
        kind: Kind,
        stream: StreamId,
        end: bool,
        max: usize,
        put: impl FnOnce(&mut BytesMut),
    ) -> bool {
        let mut scratch = core::mem::take(&mut self.scratch);
        scratch.clear();
        put(&mut scratch);
        let fits = scratch.len() <= max;
        if fits {
            self.begin(Header { kind, end, stream, length: scratch.len() });
            self.open.put(&scratch);
        }
        self.scratch = scratch;
        fits
    }

    /// Whether the fields of a trailer section are not more than `max` bytes as a block.
    pub(super) fn fits(&mut self, fields: &Fields, max: usize) -> bool {
        self.scratch.clear();
        block::put_fields(&mut self.scratch, fields);
        self.scratch.len() <= max
    }

    /// Sends data of a stream, or queues it.
    pub(super) fn data<T>(
        &mut self,
        id: StreamId,
        stream: &mut Stream<T>,
        mut bytes: BytesMut,
        end: bool,
    ) {
        if bytes.is_empty() {
            if end {
                self.tail(id, stream, Tail::End);
            }
            return;
        }
        if !stream.waits() {
            while self.room > 0 && !bytes.is_empty() {
                let piece = self.piece(&mut bytes);
                self.put_data(id, piece, end && bytes.is_empty());
            }
            if bytes.is_empty() {
                return;
            }
            self.turns.push_back(id);
        }
        while !bytes.is_empty() {
            let piece = self.piece(&mut bytes);
            stream.queue.push(piece);
        }
        if end {
            stream.tail = Tail::End;
        }
    }

    /// Ends a stream's direction, behind its data.
    pub(super) fn tail<T>(&mut self, id: StreamId, stream: &mut Stream<T>, tail: Tail) {
        stream.tail = tail;
        if !stream.waits() {
            self.put_tail(id, stream);
        }
    }

    /// Notes how many bytes the connection would take. Give the [`turns`](Self::next_turn) then.
    pub(super) fn set_room(&mut self, room: usize) {
        self.room = room.saturating_sub(self.pending());
    }

    /// Bytes that are framed and were not taken.
    pub(super) fn pending(&self) -> usize {
        self.full.iter().map(Outbox::len).sum::<usize>() + self.open.len()
    }

    /// Whose turn it is to be framed, if there is room.
    pub(super) fn next_turn(&mut self) -> Option<StreamId> {
        if self.room == 0 { None } else { self.turns.pop_front() }
    }

    /// Frames one segment of what waits on a stream, and its end if that was the last.
    pub(super) fn turn<T>(&mut self, id: StreamId, stream: &mut Stream<T>) {
        let Some(mut segment) = stream.queue.take() else { return };
        let last = !stream.waits();
        let ends = last && matches!(stream.tail, Tail::End);
        while !segment.is_empty() {
            let piece = self.piece(&mut segment);
            self.put_data(id, piece, ends && segment.is_empty());
        }
        if ends {
            stream.tail = Tail::None;
        } else if last {
            self.put_tail(id, stream);
        } else {
            self.turns.push_back(id);
        }
    }

    /// Forgets what waits on a stream that is gone.
    pub(super) fn forget<T>(&mut self, id: StreamId, stream: &Stream<T>) {
        if stream.waits() {
            self.turns.retain(|turn| *turn != id);
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.full = VecDeque::new();
        self.open.clear();
        self.turns = VecDeque::new();
        self.shrink();
    }

    /// Gives back memory that an idle tunnel does not need.
    pub(super) fn shrink(&mut self) {
        self.scratch = BytesMut::new();
        if self.turns.is_empty() {
            self.turns = VecDeque::new();
        }
        if self.full.is_empty() {
            self.full = VecDeque::new();
        }
    }

    fn put_tail<T>(&mut self, id: StreamId, stream: &mut Stream<T>) {
        match core::mem::replace(&mut stream.tail, Tail::None) {
            Tail::None => {}
            Tail::End => self.frame(Kind::End, id, &[]),
            Tail::Trailers(fields) => {
                let put = |out: &mut BytesMut| block::put_fields(out, &fields);
                self.block(Kind::Trailers, id, false, usize::MAX, put);
            }
        }
    }

    fn put_data(&mut self, stream: StreamId, payload: BytesMut, end: bool) {
        self.begin(Header { kind: Kind::Data, end, stream, length: payload.len() });
        self.open.push(payload);
    }

    /// Cuts off what fits into one frame.
    fn piece(&self, bytes: &mut BytesMut) -> BytesMut {
        if bytes.len() <= self.frame_max {
            core::mem::take(bytes)
        } else {
            bytes.split_to(self.frame_max)
        }
    }

    /// Puts a header where its payload has its place too.
    fn begin(&mut self, header: Header) {
        let mut size = header.length;
        header.write(|bytes| {
            size += bytes.len();
            if self.open.len() + size > self.message_max && !self.open.is_empty() {
                self.full.push_back(core::mem::take(&mut self.open));
            }
            self.open.put(bytes);
        });
        self.room = self.room.saturating_sub(size);
    }
}
