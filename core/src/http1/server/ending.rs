//! How exchanges and connections end, in good time or by the clock.

use super::{Action, Life, Machine, Moved, Reading, Timer, Writing};
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

    /// The client will ask no more. What it was answered may be on its way, and a connection that
    /// is closed without FIN is reset.
    pub(super) fn part(&mut self, reason: Reason) {
        match self.life {
            Life::Kept => self.finish(reason),
            Life::Fresh | Life::Closing(_) | Life::Closed => {}
        }
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

    /// The client is gone or too slow. One that is gone has given its request up, whatever became
    /// of the connection.
    pub(super) fn give_up(&mut self, reason: Reason) {
        if self.writing != Writing::Idle {
            let gone = reason == Reason::ConnectionLost;
            let told = if gone { Reason::Canceled } else { reason };
            self.actions.push_back(Action::Canceled(told));
        }
        self.close(reason);
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
            (Timer::Head, _, _) if self.draining => self.close(Reason::Draining),
            (Timer::Head, _, Life::Fresh) => self.close(Reason::HeadTimeout),
            (Timer::Head, _, _) => self.close(Reason::IdleTimeout),
            (Timer::Body, _, _) => self.refuse(Reason::BodyTimeout),
            (Timer::Write, _, _) => self.give_up(Reason::WriteTimeout),
            (Timer::HalfClose, _, _) => self.give_up(Reason::ConnectionLost),
            (Timer::Linger, _, Life::Closing(reason)) => self.close(reason),
            (Timer::Linger, _, _) => self.close(Reason::Closed),
        }
    }

    /// Sets or clears the timers that depend on what is waited for.
    pub(super) fn set_timers(&mut self, moved: Moved) {
        if self.life == Life::Closed {
            return;
        }
        let body = matches!(self.reading, Reading::Body(_)) && self.credit > 0 && !self.eof;
        // Whoever waits to be asked for the body is not late with it.
        let body = body && !self.exchange.expects;
        self.time(Timer::Body, body, moved == Moved::In, self.limits.body_timeout);
        let write = !self.outbox.is_empty();
        self.time(Timer::Write, write, moved == Moved::Out, self.limits.write_timeout);
        let under_way =
            matches!(self.writing, Writing::Awaiting | Writing::Body(_) | Writing::Done);
        let half = self.eof && under_way;
        let any = matches!(moved, Moved::Out | Moved::Said);
        self.time(Timer::HalfClose, half, any, self.limits.half_close_timeout);
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
