//! Close frames and what their codes mean (RFC 6455, section 7).

use super::codec;
use crate::reason::Reason;
use bytes::{BufMut as _, BytesMut};

/// What a peer's close frame says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Close {
    /// The code, to be sent back; a frame may have none.
    pub(super) code: Option<u16>,
    /// What the code stands for, here.
    pub(super) reason: Reason,
}

/// The payload of a close frame that tells `reason`: its code and, for people and for exactness,
/// its stable name.
pub(super) fn body(reason: Reason) -> BytesMut {
    let told = reason.told();
    let mut body = code_body(Some(told.close));
    body.put_slice(told.code.as_bytes());
    body
}

/// The payload of a close frame with this code and no text.
pub(super) fn code_body(code: Option<u16>) -> BytesMut {
    let mut body = BytesMut::new();
    if let Some(code) = code {
        body.put_u16(code);
    }
    body
}

/// Reads the payload of a close frame.
pub(super) fn read(body: &[u8]) -> Result<Close, Reason> {
    if body.is_empty() {
        return Ok(Close { code: None, reason: Reason::Closed });
    }
    let (code, text) = body.split_first_chunk().ok_or(Reason::ProtocolError)?;
    let code = u16::from_be_bytes(*code);
    if !codec::may_close_with(code) {
        return Err(Reason::ProtocolError);
    }
    if core::str::from_utf8(text).is_err() {
        return Err(Reason::BadText);
    }
    Ok(Close { code: Some(code), reason: reason(code, text) })
}

/// The reason that another Pico named, or the nearest to the code.
fn reason(code: u16, text: &[u8]) -> Reason {
    if code == 1000 {
        return Reason::Closed;
    }
    let named = |reason: &Reason| {
        let told = reason.told();
        told.close == code && told.code.as_bytes() == text
    };
    Reason::ALL.into_iter().find(named).unwrap_or(match code {
        1001 | 1012 => Reason::Draining,
        1002 | 1008 | 1010 => Reason::ProtocolError,
        1003 => Reason::UnsupportedData,
        1007 => Reason::BadText,
        1009 => Reason::MessageTooBig,
        1013 => Reason::Overloaded,
        1014 => Reason::UpstreamLost,
        _ => Reason::Internal,
    })
}
