//! How requests fail.

use super::{Action, Proxy};
use crate::http1::server as http1;
use crate::reason::Reason;
use crate::routing::Place;
use crate::rpc::{Reset, Word};
use crate::server::answer::{self, Reply};
use crate::server::exchange::{Call, Exchange, Response, told_to_client};
use crate::server::flow::Flow;
use crate::server::forward;
use crate::varint::wide;
use alloc::boxed::Box;

impl Proxy {
    /// The callee cut the call short.
    pub(super) fn failed(&mut self, reset: Reset) {
        let Some(exchange) = &mut self.exchange else { return };
        let Call::Live(place, _) = exchange.call else { return };
        exchange.started |= reset.started;
        let retry = exchange.may_retry(reset);
        exchange.call = Call::Over;
        self.actions.push_back(Action::Over(place));
        if retry && let Some((endpoint, head)) = exchange.again.take() {
            let end = exchange.upload.restart();
            return self.call(endpoint, head, end, Some((place, reset.reason)));
        }
        if exchange.response != Response::Ended {
            let told = told_to_client(reset.reason, exchange.started);
            self.fail(told);
        } else if exchange.is_raw() {
            // The service's FIN was passed on, but nobody takes the client's bytes any more.
            self.tell(http1::Input::Abort);
        }
    }

    /// No response has begun in time: the service is late, unless all waits for the client to go on
    /// with its body, whose next piece begins the wait anew.
    pub(super) fn late(&mut self) {
        self.response_due = None;
        let ahead = self.exchange.as_ref().is_some_and(|e| e.upload.is_ahead());
        if !(ahead && self.http.owes_body()) {
            self.cancel(Reason::UpstreamTimeout);
            self.fail(Reason::UpstreamTimeout);
        }
    }

    /// Tells the client that its request failed: by an answer if none has begun, else by a
    /// response that is visibly cut.
    pub(super) fn fail(&mut self, reason: Reason) {
        let Some(exchange) = &mut self.exchange else { return };
        if exchange.response <= Response::Interim {
            return self.refuse(reason);
        }
        exchange.log.reason = Some(reason);
        self.tell(http1::Input::Abort);
    }

    /// Answers in the service's stead. What was malformed before it was a request is noted too.
    pub(super) fn refuse(&mut self, reason: Reason) {
        self.cancel(Reason::Canceled);
        let salt = self.fresh();
        let since = self.clock.now();
        if self.exchange.is_none() {
            self.begun();
        }
        let exchange = self.exchange.get_or_insert_with(|| {
            let id = forward::new_id(salt);
            let upload = Flow::new(true, 0);
            let mut exchange = Exchange::new(id, None, upload, false);
            exchange.log.since = since;
            Box::new(exchange)
        });
        if exchange.response > Response::Interim {
            return self.tell(http1::Input::Abort);
        }
        let refusal = answer::refusal(reason, &exchange.id);
        self.answer(refusal, Some(reason));
    }

    /// Answers in the service's stead, to say why or because the request goes no further.
    pub(super) fn answer(&mut self, (head, bytes): Reply, reason: Option<Reason>) {
        let Some(exchange) = &mut self.exchange else { return };
        let since = self.clock.now();
        exchange.response = Response::Ended;
        exchange.log.reason = reason;
        exchange.log.status = head.status.as_u16();
        exchange.log.first = Some(since - exchange.log.since);
        exchange.log.bytes_out = wide(bytes.len());
        self.response_due = None;
        let end = bytes.is_empty();
        self.tell(http1::Input::Respond { head, end });
        if !end {
            self.tell(http1::Input::Data { bytes, end: true });
        }
    }

    /// Ends the call, if one is under way, and tells the callee why.
    pub(super) fn cancel(&mut self, reason: Reason) {
        let Some(exchange) = &mut self.exchange else { return };
        let call = core::mem::replace(&mut exchange.call, Call::Over);
        if let Call::Live(place, _) = call {
            self.say_reset(place, self.serial, reason);
        }
    }

    pub(super) fn say_reset(&mut self, place: Place, serial: u64, reason: Reason) {
        let word = Word::Reset(Reset { reason, started: true });
        self.actions.push_back(Action::Say(place, self.call_id(serial), word));
        self.actions.push_back(Action::Over(place));
    }

    /// The client is gone, or too slow, or the node is about to be.
    pub(in crate::server) fn abandon(&mut self, reason: Reason) {
        if let Some(exchange) = &mut self.exchange
            && exchange.log.reason.is_none()
        {
            exchange.log.reason = Some(reason);
            if exchange.log.status == 0 {
                exchange.log.status = reason.told().status;
            }
        }
        self.cancel(Reason::Canceled);
        self.finish();
    }
}
