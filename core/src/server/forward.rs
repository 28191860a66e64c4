//! What a node changes in the heads that it forwards.

use crate::head::{Absolute, Fields, RequestHead, ResponseHead, valid_authority};
use crate::http1::rules;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;
use http::{Method, Version};

/// Prepares a client's request for the upstream: what concerns this hop goes, what tells of it
/// comes (RFC 9110, section 7.6).
pub(super) fn request(head: &mut RequestHead, about: &About<'_>) {
    to_origin_form(head);
    let fields = &mut head.fields;
    let told = if about.trusted { Told::by(fields) } else { Told::default() };
    // Who speaks HTTP/1.0 gets no trailers from us.
    let trailers = about.version != Version::HTTP_10 && rules::accepts_trailers(fields);
    rules::strip_hop_by_hop(fields, about.upgrade);
    if trailers {
        rules::accept_trailers(fields);
    }
    let host = fields.get("host").map(<[u8]>::to_vec);
    fields.retain(|name, _| !(rules::is_pico(name) || rules::tells_of_client(name)));
    if about.version == Version::HTTP_10 {
        // It means nothing there, and would begin to mean something (RFC 9110, section 10.1.1).
        fields.retain(|name, _| !name.eq_ignore_ascii_case(b"expect"));
    }
    let version = version_of(about.version);
    fields.push(b"Via", format!("{version} {}", about.node).as_bytes());
    let peer = format!("{}", about.peer.ip().to_canonical());
    if told.way.is_empty() {
        fields.push(b"X-Forwarded-For", peer.as_bytes());
    } else {
        fields.push(b"X-Forwarded-For", &[&told.way[..], peer.as_bytes()].concat());
    }
    fields.push(b"X-Forwarded-Proto", told.scheme.as_deref().unwrap_or(b"http"));
    if let Some(host) = told.host.or(host) {
        fields.push(b"X-Forwarded-Host", &host);
    }
    fields.push(b"X-Request-Id", about.request_id.as_bytes());
}

/// What a proxy in front of this node says of its client.
#[derive(Default)]
struct Told {
    /// Those by whom the request came there, each followed by a comma and a blank.
    way: Vec<u8>,
    /// The scheme that the client used.
    scheme: Option<Vec<u8>>,
    /// The host that it asked for.
    host: Option<Vec<u8>>,
}

impl Told {
    /// Reads what the fields say, before those go that `Connection` names: a client that has its
    /// proxy pass `Connection` on must not make the way forgotten. In no other spelling, because
    /// only these names are known to be the proxy's own. What is said twice, or cannot be meant,
    /// is not said.
    fn by(fields: &Fields) -> Self {
        let mut way = Vec::new();
        for part in fields.all("x-forwarded-for").filter(|part| !part.is_empty()) {
            way.extend_from_slice(part);
            way.extend_from_slice(b", ");
        }
        let scheme = only(fields, "x-forwarded-proto").filter(|scheme| valid_scheme(scheme));
        let host = only(fields, "x-forwarded-host").filter(|host| valid_authority(host));
        Self { way, scheme: scheme.map(<[u8]>::to_vec), host: host.map(<[u8]>::to_vec) }
    }
}

/// The value of the one field called `name`.
fn only<'a>(fields: &'a Fields, name: &str) -> Option<&'a [u8]> {
    let mut all = fields.all(name);
    all.next().filter(|_| all.next().is_none())
}

/// Whether `scheme` may be one (RFC 3986, section 3.1).
fn valid_scheme(scheme: &[u8]) -> bool {
    let first = scheme.first().is_some_and(u8::is_ascii_alphabetic);
    first && scheme.iter().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b))
}

/// A version as it stands behind `HTTP/`.
pub(super) fn version_of(version: Version) -> &'static str {
    if version == Version::HTTP_10 { "1.0" } else { "1.1" }
}

/// Replaces `Host` by the authority of a target in absolute form, and the target by the rest of
/// it (RFC 9112, sections 3.2.1, 3.2.2 and 3.2.4): what follows reads one host, not two.
fn to_origin_form(head: &mut RequestHead) {
    let Ok(Some(Absolute { authority, origin })) = head.absolute() else { return };
    let authority = authority.to_vec();
    let target = match origin {
        [] if head.method == Method::OPTIONS => b"*".to_vec(),
        [b'/', ..] => origin.to_vec(),
        [..] => [b"/", origin].concat(),
    };
    head.fields.set(b"Host", &authority);
    head.set_target(&target);
}

/// Prepares an upstream's response for the client.
pub(super) fn response(head: &mut ResponseHead, node: &str) {
    rules::strip_hop_by_hop(&mut head.fields, rules::upgrades(head.status));
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
    /// Whether its word on the clients behind it is taken.
    pub(super) trusted: bool,
    /// The version that the client speaks.
    pub(super) version: Version,
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

    type List = &'static [(&'static str, &'static str)];

    /// What becomes of a request for `target` with these fields.
    fn forwarded(method: Method, target: &[u8], list: &[(&str, &str)]) -> RequestHead {
        forwarded_by(false, method, target, list)
    }

    fn forwarded_by(
        trusted: bool,
        method: Method,
        target: &[u8],
        list: &[(&str, &str)],
    ) -> RequestHead {
        let mut fields = Fields::new();
        for (name, value) in list {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        let mut head = RequestHead::new(method, target, fields);
        let about = About {
            node: "n",
            peer: SocketAddr::from(([192, 0, 2, 1], 5)),
            trusted,
            version: Version::HTTP_11,
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
    #[test]
    fn what_a_trusted_proxy_says_of_its_client_is_kept_if_it_can_be_meant() {
        const FOR: &str = "X-Forwarded-For";
        const PROTO: &str = "x-forwarded-proto";
        const HOST: &str = "X-FORWARDED-HOST";
        let ours: [&str; 3] = ["192.0.2.1", "http", "a"];
        let told: &[(List, [&str; 3])] = &[
            (&[], ours),
            (&[(FOR, "1")], ["1, 192.0.2.1", "http", "a"]),
            (&[(FOR, "1, ::1"), (FOR, ""), (FOR, "x y")], ["1, ::1, x y, 192.0.2.1", "http", "a"]),
            (&[(FOR, "1"), ("Connection", "x-forwarded-for")], ["1, 192.0.2.1", "http", "a"]),
            (&[("X_Forwarded_For", "1"), ("X_Forwarded-Proto", "https")], ours),
            (&[(PROTO, "https"), (HOST, "b.c:1")], ["192.0.2.1", "https", "b.c:1"]),
            (&[(PROTO, "https"), (PROTO, "https"), (HOST, "b"), (HOST, "b")], ours),
            (&[(PROTO, "https,http"), (HOST, "b, c")], ours),
            (&[(PROTO, ""), (HOST, "")], ours),
            (&[(HOST, "u@b"), ("Forwarded", "for=1"), ("X-Real-IP", "1")], ours),
        ];
        for (list, [way, scheme, host]) in told {
            let list = [&[("Host", "a")], *list].concat();
            let head = forwarded_by(true, Method::GET, b"/", &list);
            let all = |name| head.fields.all(name).collect::<Vec<_>>();
            assert_eq!(all("x-forwarded-for"), [way.as_bytes()], "{list:?}");
            assert_eq!(all("x-forwarded-proto"), [scheme.as_bytes()], "{list:?}");
            assert_eq!(all("x-forwarded-host"), [host.as_bytes()], "{list:?}");
            let plain = |name: &[u8]| !name.contains(&b'_');
            assert!(head.fields.iter().all(|(name, _)| plain(name)), "{head:?}");
            assert!(all("forwarded").is_empty() && all("x-real-ip").is_empty(), "{head:?}");
        }
    }
}
