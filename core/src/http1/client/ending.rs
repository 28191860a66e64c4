//! How exchanges and connections end, in good time or by the clock.

use super::{Action, Machine, Moved, Progress, Reading, Timer, Writing};
use crate::outbox::Outbox;
use crate::reason::Reason;
use bytes::BytesMut;
use core::time::Duration;

impl Machine {
    /// If the response is complete, ends the exchange: well, if the request is out too, and with
    /// the connection, if it cannot carry another.
    pub(super) fn end_exchange(&mut self) {
        match (&self.reading, self.writing) {
            (Reading::Done, Writing::Done) if !self.outbox.is_empty() && !self.eof => {}
            (Reading::Done, Writing::Done) if self.exchange.persist && self.outbox.is_empty() => {
                self.reading = Reading::Idle;
                self.writing = Writing::Idle;
                self.reused = true;
                self.actions.push_back(Action::Idle);
                self.read();
            }
            (Reading::Done, Writing::Done) if self.outbox.is_empty() => self.part(),
            (Reading::Done, _) => self.close(Reason::Closed),
            (Reading::RawDone, Writing::RawDone) if self.outbox.is_empty() => {
                self.close(Reason::Closed);
            }
            _ => {}
        }
    }

    /// The exchange cannot go on.
    pub(super) fn fail(&mut self, reason: Reason) {
        let started = self.exchange.progress > Progress::Unsent;
        self.fail_as(reason, started);
    }

    /// FIN came before the head of the final response was complete.
    pub(super) fn cut_short(&mut self) {
        if self.input.is_empty() {
            self.lose();
        } else {
            self.fail(Reason::BadResponse);
        }
    }

    /// The connection ended under us. If it had been used before and not a byte of this response
    /// came, the server closed it before it saw the request (RFC 9112, section 9.3.1).
    pub(super) fn lose(&mut self) {
        let unseen = if self.reused { Progress::Sent } else { Progress::Unsent };
        self.fail_as(Reason::ConnectionLost, self.exchange.progress > unseen);
    }

    /// Nothing is under way, and nothing more will be: closes by a FIN (RFC 9112, section 9.5).
    pub(super) fn part(&mut self) {
        self.actions.push_back(Action::Finish);
        self.close(Reason::Closed);
    }

    /// Ends the connection at once.
    pub(super) fn close(&mut self, reason: Reason) {
        if self.is_closed() {
            return;
        }
        self.lost = self.outbox.len();
        if self.lost > 0 {
            // What waits is lost: a FIN must not make it look complete.
            self.actions.retain(|action| *action != Action::Finish);
        }
        self.reading = Reading::Closed;
        self.writing = Writing::Idle;
        self.input = BytesMut::new();
        self.outbox = Outbox::new();
        self.timers.clear_all();
        self.actions.push_back(Action::Closed(reason));
    }

    /// A timer has run out.
    pub(super) fn fire(&mut self, timer: Timer) {
        match timer {
            Timer::Response => self.fail(Reason::UpstreamTimeout),
            Timer::Body => self.fail(Reason::BodyTimeout),
            Timer::Write => self.fail(Reason::WriteTimeout),
        }
    }

    /// Sets or clears the timers that depend on what is waited for.
    pub(super) fn set_timers(&mut self, moved: Moved) {
        if self.is_closed() {
            return;
        }
        let write = !self.outbox.is_empty();
        self.time(Timer::Write, write, moved == Moved::Out, self.limits.write_timeout);
        let response = matches!(self.reading, Reading::Head(_)) && !write;
        self.time(Timer::Response, response, moved == Moved::Out, self.limits.response_timeout);
        let body = matches!(self.reading, Reading::Body(_)) && self.credit > 0;
        self.time(Timer::Body, body, moved == Moved::In, self.limits.stall_timeout);
    }

    fn fail_as(&mut self, reason: Reason, started: bool) {
        match self.reading {
            Reading::Head(_) | Reading::Body(_) | Reading::Raw | Reading::RawDone => {
                self.actions.push_back(Action::Failed { reason, started });
            }
            Reading::Idle | Reading::Done | Reading::Closed => {}
        }
        self.close(reason);
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
