//! One request of a client and what becomes of it.

use super::flow::Flow;
use super::tally::Outcome;
use crate::head::RequestHead;
use crate::note;
use crate::reason::Reason;
use crate::routing::{EndpointId, Failure, Place};
use crate::rpc::Reset;
use crate::time::Instant;
use alloc::string::String;
use core::time::Duration;
use http::Method;

/// One request of a client and what becomes of it.
#[derive(Debug)]
pub(super) struct Exchange {
    /// The request's ID, for its service, its client and the log.
    pub(super) id: String,
    /// The request, while it may be tried once more.
    pub(super) again: Option<(EndpointId, RequestHead)>,
    /// Its body.
    pub(super) upload: Flow,
    /// Where its call stands.
    pub(super) call: Call,
    /// Whether any of its calls may have reached a service.
    pub(super) started: bool,
    /// How far its response is.
    pub(super) response: Response,
    /// Whether the client was told to go on with its body: some wait for that.
    pub(super) continued: bool,
    /// Whether it asks for an upgrade.
    pub(super) upgrade: bool,
    /// What the log will say.
    pub(super) log: Log,
    /// Unknown for what was refused before it was a request.
    method: Option<Method>,
}

/// Where the call of an exchange stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Call {
    /// An upstream is being chosen, after the call failed at a place for a reason.
    Asked(Option<(Place, Reason)>),
    /// It is under way; the flag tells of a second try.
    Live(Place, bool),
    /// It is over, or never was.
    Over,
}

/// How far a response is, as the client sees it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Response {
    /// Nothing was sent.
    None,
    /// An interim response was.
    Interim,
    /// The final head was.
    Body,
    /// Everything was.
    Ended,
}

/// What the log will say of a request. Its texts are filled only where requests are logged.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// The endpoint.
    pub(super) endpoint: String,
    /// The target's path.
    pub(super) path: String,
    /// The final status.
    pub(super) status: u16,
    /// Why it failed.
    pub(super) reason: Option<Reason>,
    /// Body bytes from the client.
    pub(super) bytes_in: u64,
    /// Body bytes to the client.
    pub(super) bytes_out: u64,
    /// When its head was complete.
    pub(super) since: Instant,
    /// How long after that its response's head was there.
    pub(super) first: Option<Duration>,
    /// Where it was sent last.
    pub(super) upstream: Option<Place>,
}

impl Exchange {
    /// A request whose head has just come.
    pub(super) fn new(id: String, method: Option<Method>, upload: Flow, upgrade: bool) -> Self {
        Self {
            id,
            again: None,
            upload,
            call: Call::Over,
            started: false,
            response: Response::None,
            continued: false,
            upgrade,
            log: Log::default(),
            method,
        }
    }

    /// Whether a call that failed so may be tried once more: it never started, or running it
    /// twice does no harm; nothing of its response was seen; its whole body so far is held.
    pub(super) fn may_retry(&self, reset: Reset) -> bool {
        let first = matches!(self.call, Call::Live(_, false));
        let idempotent = self.method.as_ref().is_some_and(Method::is_idempotent);
        let harmless = !reset.started || idempotent;
        let whole = self.again.is_some() && self.upload.is_whole();
        first && harmless && whole && self.response == Response::None
    }

    /// Whether it was upgraded: each direction ends for itself.
    pub(super) fn is_raw(&self) -> bool {
        self.upgrade && self.response >= Response::Body && self.log.status == 101
    }

    /// What is counted of it.
    pub(super) fn outcome(&self, whole: Duration) -> Outcome {
        let Log { status, reason, bytes_in, bytes_out, first, .. } = self.log;
        let (bytes, stalls) = ((bytes_in, bytes_out), self.upload.stalls());
        Outcome { status, reason, first, whole, bytes, stalls }
    }

    /// The line for the log.
    pub(super) fn note(&mut self, took: Duration) -> note::Request {
        let log = core::mem::take(&mut self.log);
        note::Request {
            id: core::mem::take(&mut self.id),
            endpoint: log.endpoint,
            method: self.method.as_ref().map_or("", Method::as_str).into(),
            path: log.path,
            status: log.status,
            reason: log.reason,
            bytes_in: log.bytes_in,
            bytes_out: log.bytes_out,
            first: log.first,
            took,
            upstream: log.upstream,
            node: None,
        }
    }
}

/// How a call failed for `reason`, and whether it may have reached the service by then, as far as
/// it matters to where it may go next.
pub(super) fn failure(reason: Reason, started: bool) -> Failure {
    let lost = matches!(reason, Reason::UpstreamLost | Reason::ConnectionLost);
    if reason == Reason::NotMine {
        Failure::Stale
    } else if lost && !started {
        Failure::Unreached
    } else {
        Failure::Lost
    }
}

/// What a client is told when its call failed for `reason`, and whether it may have reached the
/// service by then: the reasons that speak of the service and the cluster pass, those that speak
/// of a tunnel become the loss of the upstream, or its being nowhere.
pub(super) fn told_to_client(reason: Reason, started: bool) -> Reason {
    match reason {
        Reason::ServiceUnreachable
        | Reason::BadResponse
        | Reason::UpstreamTimeout
        | Reason::HeadTooLarge
        | Reason::Forbidden
        | Reason::NotImplemented => reason,
        // Whoever was said to serve the endpoint does not, nor does anybody else.
        Reason::NoUpstream | Reason::NotMine if !started => Reason::NoUpstream,
        Reason::Overloaded | Reason::StreamLimit if !started => Reason::Overloaded,
        // An agent or another node: this one knows of itself.
        Reason::Draining if !started => Reason::Draining,
        // What had started at one place was cut short there, whatever the next one said.
        Reason::NoUpstream
        | Reason::NotMine
        | Reason::Overloaded
        | Reason::StreamLimit
        | Reason::Draining
        | Reason::BadRequest
        | Reason::BadFraming
        | Reason::MissingEndpoint
        | Reason::InvalidEndpoint
        | Reason::BadFrame
        | Reason::BadText
        | Reason::NotFound
        | Reason::InvalidQuery
        | Reason::UnknownNode
        | Reason::NodeUnreachable
        | Reason::NodeTimeout
        | Reason::MethodNotAllowed
        | Reason::UpgradeRequired
        | Reason::Unauthenticated
        | Reason::ProtocolError
        | Reason::FlowControl
        | Reason::TargetTooLong
        | Reason::UnsupportedData
        | Reason::VersionMismatch
        | Reason::HeadTimeout
        | Reason::BodyTimeout
        | Reason::WriteTimeout
        | Reason::HeartbeatTimeout
        | Reason::IdleTimeout
        | Reason::MessageTooBig
        | Reason::UpstreamLost
        | Reason::VerifierUnavailable
        | Reason::Canceled
        | Reason::ConnectionLost
        | Reason::Closed
        | Reason::Internal => {
            // Without a start, nobody who serves the endpoint could be reached: the client may
            // ask again, whatever it asks for.
            if started { Reason::UpstreamLost } else { Reason::NoUpstream }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_may_have_run_nobody_is_told_that_it_has_not() {
        for reason in Reason::ALL {
            let told = told_to_client(reason, true);
            let denies = [Reason::NoUpstream, Reason::Overloaded, Reason::Draining];
            assert!(!denies.contains(&told), "{reason:?} becomes {told:?}");
        }
        assert_eq!(told_to_client(Reason::NotMine, false), Reason::NoUpstream);
        assert_eq!(told_to_client(Reason::StreamLimit, false), Reason::Overloaded);
    }
}
