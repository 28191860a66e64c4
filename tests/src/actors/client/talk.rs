//! What comes back to a client, and what it makes of it.

use super::visit::{Exit, Visit};
use super::{Client, Key};
use crate::actors::exchange::Exchange;
use crate::actors::record::Outcome;
use crate::actors::wire::Event;
use pico_core::id::ConnId;

impl Client {
    pub(super) fn received(&mut self, conn: ConnId, bytes: &[u8]) {
        self.moved(conn);
        let Some(visit) = self.conns.get_mut(conn) else { return };
        match visit.leaving {
            Some(true) => {
                self.stray(conn, &String::from_utf8_lossy(bytes));
                return self.cut(conn);
            }
            Some(false) => return,
            None => visit.reader.push(bytes),
        }
        self.read(conn);
        if let Some(visit) = self.conns.get_mut(conn)
            && let Some(pause) = visit.line.front_mut().and_then(Exchange::rest)
        {
            visit.paused = true;
            self.timers.set(Key::Read(conn), self.clock.now() + pause);
        }
        self.tell(conn);
    }

    /// Takes what the reader has.
    fn read(&mut self, conn: ConnId) {
        while let Some(visit) = self.conns.get_mut(conn)
            && visit.leaving.is_none()
            && let Some(event) = visit.reader.find()
        {
            if visit.line.is_empty() {
                // Whatever it is, it answers nothing.
                self.stray(conn, &format!("{event:?}"));
                return self.cut(conn);
            }
            self.found(conn, event);
        }
        // Behind the last answer there must be nothing.
        if let Some(visit) = self.conns.get(conn)
            && visit.leaving == Some(true)
            && !visit.reader.is_between()
        {
            let what = String::from_utf8_lossy(visit.reader.rest()).into_owned();
            self.stray(conn, &what);
            self.cut(conn);
        }
    }

    fn found(&mut self, conn: ConnId, event: Event) {
        let now = self.clock.now();
        let Some(visit) = self.conns.get_mut(conn) else { return };
        let Some(front) = visit.line.front_mut() else { return };
        match event {
            Event::Head(head) if head.status < 200 && head.status != 101 => {
                front.interim(now, &head);
                self.pump(conn);
            }
            Event::Head(head) => {
                front.begin(now, head);
                self.pump(conn);
                self.abort_if_enough(conn);
            }
            Event::Body(bytes) => {
                front.body(now, &bytes);
                self.abort_if_enough(conn);
            }
            Event::End(trailers) => {
                let outcome = front.outcome(&trailers);
                // Who spoke before an upgrade that did not come about has said what is no request,
                // and may be told so.
                let leave = Exit::Leave { clean: !front.plan.eager };
                let parting = if front.keeps() { Exit::Keep } else { leave };
                self.over(conn, outcome, parting);
            }
            Event::Bad(why) => self.over(conn, Outcome::Wrong(why), Exit::Cut),
        }
    }

    fn abort_if_enough(&mut self, conn: ConnId) {
        let front = self.conns.get(conn).and_then(|visit| visit.line.front());
        if front.is_some_and(Exchange::is_enough) {
            self.abort(conn);
        }
    }

    /// The client goes on reading.
    pub(super) fn wake(&mut self, conn: ConnId) {
        let now = self.clock.now();
        if let Some(visit) = self.conns.get_mut(conn) {
            visit.paused = false;
            if let Some(front) = visit.line.front_mut() {
                front.wake(now);
            }
        }
        self.tell(conn);
    }

    /// The peer sent its FIN.
    pub(super) fn eof(&mut self, conn: ConnId) {
        let Some(visit) = self.conns.get_mut(conn) else { return };
        visit.ended = true;
        if visit.leaving.is_some() {
            return self.cut(conn);
        }
        match visit.line.front_mut() {
            None => self.part(conn, Exit::Leave { clean: true }),
            Some(front) if front.talks() => {
                // FIN is the end of the talk; at another place it is a cut that looks like one.
                let outcome = front.outcome(&[]);
                if matches!(outcome, Outcome::Complete { .. }) {
                    self.end_talk(conn);
                } else {
                    self.over(conn, outcome, Exit::Cut);
                }
            }
            Some(front) => {
                let broken = front.broken();
                self.over(conn, broken, Exit::Leave { clean: false });
            }
        }
    }

    /// Ends a tunnel both of whose directions have ended.
    pub(super) fn end_talk(&mut self, conn: ConnId) {
        let Some(visit) = self.conns.get_mut(conn) else { return };
        let over = |visit: &Visit| visit.ended && visit.finished && visit.outbox.is_empty();
        if over(visit)
            && let Some(front) = visit.line.front_mut()
            && front.talks()
        {
            let outcome = front.outcome(&[]);
            self.over(conn, outcome, Exit::Leave { clean: true });
        }
    }

    /// The connection broke.
    pub(super) fn lost(&mut self, conn: ConnId) {
        let Some(visit) = self.conns.get(conn) else { return };
        match visit.line.front().map(Exchange::broken) {
            Some(broken) => self.over(conn, broken, Exit::Gone),
            None => {
                self.forget(conn);
            }
        }
    }
}
