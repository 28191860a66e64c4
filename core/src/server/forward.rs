//! What a node changes in the heads that it forwards.

use crate::head::{Absolute, Fields, RequestHead, ResponseHead};
use crate::http1::rules;
use alloc::format;
use alloc::string::String;
use core::net::SocketAddr;

/// Prepares a client's request for the upstream: what concerns this hop goes, what tells of it
/// comes (RFC 9110, section 7.6).
pub(super) fn request(head: &mut RequestHead, about: &About<'_>) {
    to_origin_form(head);
    let fields = &mut head.fields;
    rules::strip_hop_by_hop(fields, about.upgrade);
    let host = fields.get("host").map(bytes::Bytes::copy_from_slice);
    fields.retain(|name, _| !(rules::is_pico(name) || rules::tells_of_client(name)));
    let version = if about.version == http::Version::HTTP_10 { "1.0" } else { "1.1" };
    fields.push(b"Via", format!("{version} {}", about.node).as_bytes());
    fields.push(b"X-Forwarded-For", format!("{}", about.peer.ip().to_canonical()).as_bytes());
    fields.push(b"X-Forwarded-Proto", b"http");
    if let Some(host) = host {
        fields.push(b"X-Forwarded-Host", &host);
    }
    fields.push(b"X-Request-Id", about.request_id.as_bytes());
}

/// Replaces `Host` by the authority of a target in absolute form, and the target by the rest of
/// it (RFC 9112, sections 3.2.1, 3.2.2 and 3.2.4): what follows reads one host, not two.
fn to_origin_form(head: &mut RequestHead) {
    let Ok(Some(Absolute { authority, origin })) = head.absolute() else { return };
    let authority = authority.to_vec();
    let target = match origin {
        [] if head.method == http::Method::OPTIONS => b"*".to_vec(),
        [b'/', ..] => origin.to_vec(),
        [..] => [b"/", origin].concat(),
    };
    head.fields.set(b"Host", &authority);
    head.set_target(&target);
}

/// Prepares an upstream's response for the client.
pub(super) fn response(head: &mut ResponseHead, node: &str) {
    let upgrade = head.status == http::StatusCode::SWITCHING_PROTOCOLS;
    rules::strip_hop_by_hop(&mut head.fields, upgrade);
    head.fields.retain(|name, _| !rules::is_pico(name));
    if !head.status.is_informational() {
        head.fields.push(b"Via", format!("1.1 {node}").as_bytes());
    }
}

/// Prepares a trailer section, of a request or a response, for the next hop.
pub(super) fn trailers(fields: &mut Fields) {
    rules::strip_trailers(fields);
}

/// What is known about a request besides its head.
pub(super) struct About<'a> {
    /// The node's name.
    pub(super) node: &'a str,
    /// The client.
    pub(super) peer: SocketAddr,
    /// The version that the client speaks.
    pub(super) version: http::Version,
    /// Whether an upgrade is asked for.
    pub(super) upgrade: bool,
    /// The request's ID.
    pub(super) request_id: &'a str,
}

/// The request's ID: the client's, if it is short and plain, else a new one.
pub(super) fn request_id(fields: &Fields, salt: u64) -> String {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-._~".contains(b);
    let mut given = fields.all("x-request-id");
    match (given.next(), given.next()) {
        (Some(id), None) if (1..=128).contains(&id.len()) && id.iter().all(plain) => {
            id.iter().copied().map(char::from).collect()
        }
        _ => new_id(salt),
    }
}

/// An ID that no other request is likely to have, if no other salt is near this one
/// (splitmix64: Steele, Lea, Flood, 2014).
pub(super) fn new_id(salt: u64) -> String {
    let mixed = salt.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    format!("{:016x}", mixed ^ (mixed >> 31))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;

    /// What becomes of a request for `target` with these fields.
    fn forwarded(method: Method, target: &[u8], list: &[(&str, &str)]) -> RequestHead {
        let mut fields = Fields::new();
        for (name, value) in list {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        let mut head = RequestHead::new(method, target, fields);
        let about = About {
            node: "n",
            peer: SocketAddr::from(([192, 0, 2, 1], 5)),
            version: http::Version::HTTP_11,
            upgrade: false,
            request_id: "id",
        };
        request(&mut head, &about);
        head
    }

    #[test]
    fn an_absolute_target_becomes_origin_form_and_its_authority_the_host() {
        for (method, target, origin) in [
            (Method::GET, "http://b.c:80/p?q", "/p?q"),
            (Method::GET, "HTTPS://b.c:80?q", "/?q"),
            (Method::GET, "http://b.c:80", "/"),
            (Method::OPTIONS, "http://b.c:80", "*"),
            (Method::OPTIONS, "http://b.c:80/", "/"),
        ] {
            let head = forwarded(method, target.as_bytes(), &[("X", "y"), ("host", "a")]);
            assert_eq!(head.target(), origin.as_bytes(), "{target}");
            assert!(head.fields.all("host").eq([b"b.c:80"]), "{head:?}");
            assert_eq!(head.fields.get("x-forwarded-host"), Some(&b"b.c:80"[..]));
        }
        let old = forwarded(Method::GET, b"http://b/", &[]);
        assert_eq!(old.fields.get("host"), Some(&b"b"[..]));
        let plain = forwarded(Method::GET, b"/http://b/", &[("Host", "a")]);
        assert_eq!(plain.target(), b"/http://b/");
        assert_eq!(plain.fields.get("x-forwarded-host"), Some(&b"a"[..]));
    }

    #[test]
    fn what_a_client_says_of_the_way_is_not_believed_however_it_is_spelt() {
        let head = forwarded(
            Method::GET,
            b"/",
            &[
                ("Host", "a"),
                ("Forwarded", "for=1"),
                ("X-Real-IP", "1"),
                ("x_real_ip", "1"),
                ("X-Forwarded-For", "1"),
                ("X_Forwarded_For", "1"),
                ("X-Forwarded_Proto", "https"),
                ("X-Forwarded-Port", "1"),
                ("X-Forwarded-Host", "1"),
                ("X_Request_Id", "1"),
                ("X_Pico_Endpoint", "1"),
                ("X-Pico-Endpoint", "1"),
                ("X_Forwarded", "stays"),
                ("X-Forwarder", "stays"),
                ("X-Picot", "stays"),
            ],
        );
        let names = head.fields.iter().map(|(name, _)| String::from_utf8_lossy(name));
        let names: alloc::vec::Vec<_> = names.collect();
        let (old, new) = names.split_at(4);
        assert_eq!(old, ["Host", "X_Forwarded", "X-Forwarder", "X-Picot"]);
        let told =
            ["Via", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Request-Id"];
        assert_eq!(new, told);
        assert_eq!(head.fields.get("x-forwarded-for"), Some(&b"192.0.2.1"[..]));
    }
}
