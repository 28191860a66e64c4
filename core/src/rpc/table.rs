//! The static table of field names, each in its lower-case and its usual spelling.

/// What the wire calls a name that is in the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Code(u8);

/// Set in the code of a name in its usual spelling rather than in lower case.
const USUAL: u8 = 0x80;

impl Code {
    /// The code of `name`, if the table has it in this very spelling.
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        let (first, last) = (name.first()?, name.last()?);
        let mut slot = hash(name.len(), *first, *last);
        loop {
            let index = *SLOTS.get(slot).expect("a hash is below the number of slots");
            let (lower, usual) = NAMES.get(usize::from(index).checked_sub(1)?)?;
            if lower.as_bytes() == name {
                return Some(Self(index));
            }
            if usual.as_bytes() == name {
                return Some(Self(index | USUAL));
            }
            slot = (slot + 1) % SLOT_COUNT;
        }
    }

    /// What `byte` stands for, if it is a code.
    pub(super) fn from_byte(byte: u8) -> Option<&'static [u8]> {
        let (lower, usual) = NAMES.get(usize::from(byte & !USUAL).checked_sub(1)?)?;
        Some(if byte & USUAL == 0 { lower.as_bytes() } else { usual.as_bytes() })
    }

    /// As it is written.
    pub(super) const fn byte(self) -> u8 {
        self.0
    }
}

/// Twice as many as there can be names, so that a miss is found after a step or two.
const SLOT_COUNT: usize = 256;

/// Where to look for a name: its index, counted from 1, at its hash or the next free place.
static SLOTS: [u8; SLOT_COUNT] = slots();

const fn hash(len: usize, first: u8, last: u8) -> usize {
    let (first, last) = (widen(first | 0x20), widen(last | 0x20));
    (len.wrapping_mul(MUL_LEN) ^ first.wrapping_mul(MUL_FIRST) ^ last.wrapping_mul(MUL_LAST))
        % SLOT_COUNT
}

/// Odd numbers that spread the names well.
const MUL_LEN: usize = 181;
const MUL_FIRST: usize = 151;
const MUL_LAST: usize = 165;

#[expect(clippy::as_conversions, reason = "`From` is not const; a byte fits")]
const fn widen(byte: u8) -> usize {
    byte as usize
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which would refuse")]
const fn slots() -> [u8; SLOT_COUNT] {
    let mut slots = [0; SLOT_COUNT];
    let mut index = 0_u8;
    while widen(index) < NAMES.len() {
        let name = NAMES[widen(index)].0.as_bytes();
        let mut slot = hash(name.len(), name[0], name[name.len() - 1]);
        while slots[slot] != 0 {
            slot = (slot + 1) % SLOT_COUNT;
        }
        index += 1;
        slots[slot] = index;
    }
    slots
}

/// Index 1 is the first. The order is part of the protocol.
static NAMES: [(&str, &str); 119] = [
    ("host", "Host"),
    ("user-agent", "User-Agent"),
    ("accept", "Accept"),
    ("accept-encoding", "Accept-Encoding"),
    ("accept-language", "Accept-Language"),
    ("content-type", "Content-Type"),
    ("content-length", "Content-Length"),
    ("cookie", "Cookie"),
    ("set-cookie", "Set-Cookie"),
    ("authorization", "Authorization"),
    ("cache-control", "Cache-Control"),
    ("date", "Date"),
    ("server", "Server"),
    ("vary", "Vary"),
    ("etag", "ETag"),
    ("last-modified", "Last-Modified"),
    ("location", "Location"),
    ("expires", "Expires"),
    ("age", "Age"),
    ("via", "Via"),
    ("x-forwarded-for", "X-Forwarded-For"),
    ("x-forwarded-proto", "X-Forwarded-Proto"),
    ("x-forwarded-host", "X-Forwarded-Host"),
    ("x-pico-endpoint", "X-Pico-Endpoint"),
    ("connection", "Connection"),
    ("upgrade", "Upgrade"),
    ("te", "TE"),
    ("trailer", "Trailer"),
    ("transfer-encoding", "Transfer-Encoding"),
    ("expect", "Expect"),
    ("keep-alive", "Keep-Alive"),
    ("referer", "Referer"),
    ("origin", "Origin"),
    ("pragma", "Pragma"),
    ("range", "Range"),
    ("if-none-match", "If-None-Match"),
    ("if-modified-since", "If-Modified-Since"),
    ("if-match", "If-Match"),
    ("if-unmodified-since", "If-Unmodified-Since"),
    ("if-range", "If-Range"),
    ("accept-ranges", "Accept-Ranges"),
    ("content-range", "Content-Range"),
    ("content-encoding", "Content-Encoding"),
    ("content-language", "Content-Language"),
    ("content-disposition", "Content-Disposition"),
    ("content-location", "Content-Location"),
    ("accept-charset", "Accept-Charset"),
    ("allow", "Allow"),
    ("link", "Link"),
    ("retry-after", "Retry-After"),
    ("www-authenticate", "WWW-Authenticate"),
    ("proxy-authenticate", "Proxy-Authenticate"),
    ("proxy-authorization", "Proxy-Authorization"),
    ("max-forwards", "Max-Forwards"),
    ("forwarded", "Forwarded"),
    ("x-real-ip", "X-Real-IP"),
    ("x-request-id", "X-Request-ID"),
    ("x-correlation-id", "X-Correlation-ID"),
    ("x-forwarded-port", "X-Forwarded-Port"),
    ("x-requested-with", "X-Requested-With"),
    ("x-csrf-token", "X-CSRF-Token"),
    ("x-api-key", "X-API-Key"),
    ("x-powered-by", "X-Powered-By"),
    ("traceparent", "Traceparent"),
    ("tracestate", "Tracestate"),
    ("baggage", "Baggage"),
    ("idempotency-key", "Idempotency-Key"),
    ("priority", "Priority"),
    ("early-data", "Early-Data"),
    ("alt-svc", "Alt-Svc"),
    ("server-timing", "Server-Timing"),
    ("timing-allow-origin", "Timing-Allow-Origin"),
    ("strict-transport-security", "Strict-Transport-Security"),
    ("content-security-policy", "Content-Security-Policy"),
    ("x-content-type-options", "X-Content-Type-Options"),
    ("x-frame-options", "X-Frame-Options"),
    ("x-xss-protection", "X-XSS-Protection"),
    ("referrer-policy", "Referrer-Policy"),
    ("permissions-policy", "Permissions-Policy"),
    ("clear-site-data", "Clear-Site-Data"),
    ("cross-origin-opener-policy", "Cross-Origin-Opener-Policy"),
    ("cross-origin-embedder-policy", "Cross-Origin-Embedder-Policy"),
    ("cross-origin-resource-policy", "Cross-Origin-Resource-Policy"),
    ("access-control-allow-origin", "Access-Control-Allow-Origin"),
    ("access-control-allow-credentials", "Access-Control-Allow-Credentials"),
    ("access-control-allow-headers", "Access-Control-Allow-Headers"),
    ("access-control-allow-methods", "Access-Control-Allow-Methods"),
    ("access-control-expose-headers", "Access-Control-Expose-Headers"),
    ("access-control-max-age", "Access-Control-Max-Age"),
    ("access-control-request-headers", "Access-Control-Request-Headers"),
    ("access-control-request-method", "Access-Control-Request-Method"),
    ("sec-fetch-dest", "Sec-Fetch-Dest"),
    ("sec-fetch-mode", "Sec-Fetch-Mode"),
    ("sec-fetch-site", "Sec-Fetch-Site"),
    ("sec-fetch-user", "Sec-Fetch-User"),
    ("sec-ch-ua", "Sec-CH-UA"),
    ("sec-ch-ua-mobile", "Sec-CH-UA-Mobile"),
    ("sec-ch-ua-platform", "Sec-CH-UA-Platform"),
    ("sec-websocket-key", "Sec-WebSocket-Key"),
    ("sec-websocket-version", "Sec-WebSocket-Version"),
    ("sec-websocket-protocol", "Sec-WebSocket-Protocol"),
    ("sec-websocket-extensions", "Sec-WebSocket-Extensions"),
    ("sec-websocket-accept", "Sec-WebSocket-Accept"),
    ("upgrade-insecure-requests", "Upgrade-Insecure-Requests"),
    ("dnt", "DNT"),
    ("save-data", "Save-Data"),
    ("last-event-id", "Last-Event-ID"),
    ("from", "From"),
    ("nel", "NEL"),
    ("report-to", "Report-To"),
    ("warning", "Warning"),
    ("content-digest", "Content-Digest"),
    ("grpc-status", "Grpc-Status"),
    ("grpc-message", "Grpc-Message"),
    ("grpc-encoding", "Grpc-Encoding"),
    ("grpc-accept-encoding", "Grpc-Accept-Encoding"),
    ("grpc-timeout", "Grpc-Timeout"),
    ("x-ratelimit-limit", "X-RateLimit-Limit"),
    ("x-ratelimit-remaining", "X-RateLimit-Remaining"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_both_spellings_and_in_no_other() {
        for (lower, usual) in &NAMES {
            for name in [lower, usual] {
                let code = Code::of(name.as_bytes()).unwrap();
                assert_eq!(Code::from_byte(code.byte()), Some(name.as_bytes()));
            }
            assert_eq!(
                Code::of(lower.to_uppercase().as_bytes()).is_some(),
                lower.len() < 4 && usual.to_uppercase() == **usual
            );
        }
        assert_eq!(Code::of(b""), None);
        assert_eq!(Code::from_byte(0), None);
        assert_eq!(Code::from_byte(USUAL), None);
    }
}
