//! How exchanges and connections end, in good time or by the clock.

use super::{Action, Life, Machine, Moved, Reading, Timer, Writing};
use crate::limits::Limits;
use crate::outbox::Outbox;
use crate::reason::Reason;
use bytes::BytesMut;
use core::time::Duration;

impl Machine {
    /// If all of an exchange is sent, says so; true if another may begin.
    pub(super) fn end_exchange(&mut self) -> bool {
        if self.writing != Writing::Done || !self.outbox.is_empty() {
            return false;
        }
        self.writing = Writing::Idle;
        if !matches!(self.reading, Reading::Done) {
            return false;
        }
        self.actions.push_back(Action::Finished);
        // Who was told that the connection lasts is answered what was sent in that belief.
        let asks = !matches!(&self.input[..], [] | b"\r" | b"\r\n");
        if !self.exchange.persist || self.draining && !asks {
            self.finish(Reason::Closed);
            self.ignore_input();
            self.read();
            return false;
        }
        self.await_head();
        true
    }

    /// Nothing more will be said: asks for FIN.
    pub(super) fn finish(&mut self, reason: Reason) {
        match self.life {
            Life::Fresh | Life::Kept => {
                self.life = Life::Closing(reason);
                self.actions.push_back(Action::Finish);
            }
            Life::Closing(_) | Life::Closed => {}
        }
    }

    /// Nobody will ask any more: closes by a FIN (RFC 9112, section 9.5). A connection that is
    /// closed without is reset, which destroys what the client was answered and has not read.
    pub(super) fn part(&mut self, reason: Reason) {
        self.finish(reason);
        self.close(reason);
    }

    /// Closes if all is said and sent, and the client has heard it.
    pub(super) fn check_closing(&mut self) {
        if !self.outbox.is_empty() {
            return;
        }
        match (self.life, &self.reading, self.writing) {
            (Life::Closing(reason), Reading::Discard(left), Writing::Idle)
                if self.eof || *left == 0 =>
            {
                self.close(reason);
            }
            (Life::Closing(_), Reading::Discard(_), Writing::Idle)
                if self.timers.get(Timer::Linger).is_none() =>
            {
                let until = self.clock.now() + self.limits.linger_timeout;
                self.timers.set(Timer::Linger, until);
            }
            (_, Reading::RawDone, Writing::RawDone) => self.close(Reason::Closed),
            _ => {}
        }
    }

    /// Finishes what is under way and begins nothing.
    pub(super) fn drain(&mut self) {
        self.draining = true;
        let soon = self.clock.now() + self.limits.linger_timeout;
        match (&self.reading, self.life) {
            // Who has just connected is about to ask, and may not expect to have to ask again.
            (Reading::Head(start), Life::Fresh) if !start.begun => {
                let at = self.timers.get(Timer::Head).unwrap_or(soon).min(soon);
                self.timers.set(Timer::Head, at);
            }
            (Reading::Head(start), Life::Kept) if !start.begun => {
                self.timers.clear(Timer::Head);
                self.ignore_input();
                self.finish(Reason::Closed);
            }
            _ => {}
        }
    }

    /// The client is gone, or takes nothing: ends the exchange, and the connection at once.
    pub(super) fn give_up(&mut self, reason: Reason) {
        self.cancel(reason);
        self.close(reason);
    }

    /// The client has left, or cannot be followed: ends the exchange. What it was answered before
    /// still reaches it, and so does what was said of this response, if it shows that it was cut.
    pub(super) fn break_off(&mut self, reason: Reason) {
        self.cancel(reason);
        if self.writing == Writing::Awaiting {
            // Interim responses to nobody.
            self.outbox = Outbox::new();
            self.part(reason);
        } else {
            self.abort(reason);
        }
    }

    /// Says that the exchange under way has no end. A client that is gone has given its request
    /// up, whatever became of the connection.
    fn cancel(&mut self, reason: Reason) {
        if self.writing != Writing::Idle {
            let gone = reason == Reason::ConnectionLost;
            let told = if gone { Reason::Canceled } else { reason };
            self.actions.push_back(Action::Canceled(told));
        }
    }

    /// Ends the connection at once.
    pub(super) fn close(&mut self, reason: Reason) {
        if self.life == Life::Closed {
            return;
        }
        self.lost = self.outbox.len();
        if self.lost > 0 {
            // What waits is lost: a FIN must not make it look complete.
            self.actions.retain(|action| *action != Action::Finish);
        }
        self.life = Life::Closed;
        self.reading = Reading::Discard(0);
        self.writing = Writing::Idle;
        self.input = BytesMut::new();
        self.outbox = Outbox::new();
        self.timers.clear_all();
        self.actions.push_back(Action::Closed(reason));
    }

    /// A timer has run out.
    pub(super) fn fire(&mut self, timer: Timer) {
        match (timer, &self.reading, self.life) {
            (Timer::Head, Reading::Head(start), _) if start.begun => {
                self.refuse(Reason::HeadTimeout);
            }
            (Timer::Head, _, _) if self.draining => self.part(Reason::Draining),
            (Timer::Head, _, Life::Fresh) => self.part(Reason::HeadTimeout),
            (Timer::Head, _, _) => self.part(Reason::IdleTimeout),
            (Timer::Body, _, _) => self.refuse(Reason::BodyTimeout),
            (Timer::Write, _, _) => self.give_up(Reason::WriteTimeout),
            (Timer::HalfClose, _, _) => self.break_off(Reason::ConnectionLost),
            (Timer::Linger, _, Life::Closing(reason)) => self.close(reason),
            (Timer::Linger, _, _) => self.close(Reason::Closed),
        }
    }

    /// Sets or clears the timers that depend on what is waited for.
    pub(super) fn set_timers(&mut self, moved: Moved) {
        if self.life == Life::Closed {
            return;
        }
        self.time(Timer::Body, self.wants_body(), moved == Moved::In, self.patience());
        let write = !self.outbox.is_empty();
        self.time(Timer::Write, write, moved == Moved::Out, self.limits.write_timeout);
        // Behind the end of the response nothing is to be given up: who is slow to take it has
        // the time to write.
        let half = self.eof && matches!(self.writing, Writing::Awaiting | Writing::Body(_));
        let any = matches!(moved, Moved::Out | Moved::Said);
        self.time(Timer::HalfClose, half, any, self.limits.half_close_timeout);
    }

    /// Whether it is the client's turn to send some of its body.
    pub(super) fn wants_body(&self) -> bool {
        matches!(self.reading, Reading::Body(_)) && self.credit > 0 && !self.eof
    }

    /// How long a body may take to go on. Whoever waits to be asked for it is not late before the
    /// service is, which may have no bound of its own.
    fn patience(&self) -> Duration {
        let Limits { body_timeout, response_timeout, idle_timeout, .. } = *self.limits;
        let asked_in =
            if self.exchange.expects { response_timeout.min(idle_timeout) } else { Duration::ZERO };
        body_timeout.saturating_add(asked_in)
    }

    /// Lets `timer` run while `waiting`, from the last time that something `moved`.
    fn time(&mut self, timer: Timer, waiting: bool, moved: bool, span: Duration) {
        if !waiting {
            self.timers.clear(timer);
        } else if moved || self.timers.get(timer).is_none() {
            self.timers.set(timer, self.clock.now() + span);
        }
    }
}
