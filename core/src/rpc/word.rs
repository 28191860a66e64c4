//! The words of a call: the same in memory, between workers and on the wire.

use crate::head::{Fields, RequestHead, ResponseHead};
use crate::reason::Reason;
use bytes::BytesMut;

/// What one end of a call says to the other.
///
/// A call is: the caller's `Request`, `Data`… and `Trailers` or an `end`; the callee's interim
/// `Response`s, one final `Response`, `Data`… and `Trailers` or an `end`. Either may say `Reset`
/// at any time, which is the last word of the call, and `Credit` while the other still has data
/// to send. After a `Response` with status 101 both directions carry raw bytes as `Data`, and
/// `end` is a FIN.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Word {
    /// The call begins.
    Request {
        /// What is asked.
        head: RequestHead,
        /// Whether the request ends here, without a body.
        end: bool,
    },
    /// A response head, interim (1xx) or final.
    Response {
        /// What is answered.
        head: ResponseHead,
        /// Whether the response ends here, without a body. Never with an interim one.
        end: bool,
    },
    /// Some of the body.
    Data {
        /// The bytes; empty only with `end`.
        bytes: BytesMut,
        /// Whether these are the last.
        end: bool,
    },
    /// The trailer section, which ends the direction.
    Trailers(Fields),
    /// The call is over, and not well.
    Reset(Reset),
    /// So many more body bytes may be sent. Towards the sender of data it is a grant; from its
    /// consumer it says how many bytes were finally taken.
    Credit(usize),
}

/// How a call was cut short.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reset {
    /// Why.
    pub reason: Reason,
    /// Whether any of the request may have reached the service. If not, it may be tried again.
    pub started: bool,
}
