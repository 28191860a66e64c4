//! What an intermediary forwards.

mod http1_kit;

use http::StatusCode;
use http1_kit::fields;
use pico_core::http1::rules::{accepts_trailers, strip_hop_by_hop, strip_trailers, upgrades};

#[test]
fn fields_of_one_hop_go_and_the_others_stay_in_order() {
    let mut list = fields(&[
        ("Host", "a"),
        ("Connection", "close, X-Named, \"quoted, comma\""),
        ("X-First", "1"),
        ("x-named", "2"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"),
        ("TE", "trailers"),
        ("Transfer-Encoding", "chunked"),
        ("Transfer_Encoding", "chunked"),
        ("Upgrade", "h2c"),
        ("HTTP2-Settings", "AAMAAABkAAQCAAAAAAIAAAAA"),
        ("Trailer", "X-Sum"),
        ("Proxy-Authorization", "Basic x"),
        ("connection", "x-other"),
        ("X-Other", "3"),
        ("X-Last", "4"),
    ]);
    strip_hop_by_hop(&mut list, false);
    let kept = fields(&[
        ("Host", "a"),
        ("X-First", "1"),
        ("Trailer", "X-Sum"),
        ("Proxy-Authorization", "Basic x"),
        ("X-Last", "4"),
    ]);
    assert_eq!(list, kept);
}

#[test]
fn each_of_many_named_fields_goes() {
    let names: Vec<String> = (0..90).map(|n| format!("X-{n}")).collect();
    let options = names.join(", ").to_uppercase();
    let mut list = fields(&[("Connection", &options), ("X-90", "stays")]);
    for name in &names {
        list.push(name.to_lowercase().as_bytes(), b"goes");
    }
    strip_hop_by_hop(&mut list, false);
    assert_eq!(list, fields(&[("X-90", "stays")]));
}

#[test]
fn an_option_that_is_no_name_hides_no_other() {
    let mut list = fields(&[("Connection", "\"x"), ("Connection", "Y"), ("y", "goes")]);
    strip_hop_by_hop(&mut list, false);
    assert!(list.is_empty());
}

#[test]
fn upgrade_stays_while_an_upgrade_is_under_way() {
    let mut list = fields(&[("Connection", "Upgrade, X"), ("Upgrade", "websocket"), ("X", "y")]);
    strip_hop_by_hop(&mut list, true);
    assert_eq!(list, fields(&[("Upgrade", "websocket")]));
}

#[test]
fn a_101_and_a_426_say_by_upgrade_what_they_mean() {
    let says: Vec<u16> =
        (100..600).filter(|code| upgrades(StatusCode::from_u16(*code).expect("a code"))).collect();
    assert_eq!(says, [101, 426]);
}

#[test]
fn connection_cannot_name_what_makes_the_message() {
    let all = [("Host", "a"), ("Content-Length", "5")];
    let mut list = fields(&[all[0], ("Connection", "host, CONTENT-LENGTH"), all[1]]);
    strip_hop_by_hop(&mut list, false);
    assert_eq!(list, fields(&all));
}

#[test]
fn who_keeps_trailers_says_so_for_this_hop() {
    let accepts = |list: &[(&str, &str)]| accepts_trailers(&fields(list));
    assert!(accepts(&[("TE", "trailers"), ("Connection", "TE")]));
    assert!(accepts(&[("te", "deflate;q=0.5 , Trailers"), ("connection", "keep-alive, te")]));
    assert!(accepts(&[("TE", "gzip"), ("TE", "trailers"), ("Connection", "te")]));
    assert!(!accepts(&[("TE", "trailers")]), "somebody else said it");
    assert!(!accepts(&[("TE", "trailers"), ("Connection", "keep-alive")]));
    assert!(!accepts(&[("Connection", "TE")]));
    for other in ["", "deflate", "trailers;q=1", "\"trailers\"", "trailer"] {
        assert!(!accepts(&[("TE", other), ("Connection", "TE")]), "{other}");
    }
}

#[test]
fn trailers_cannot_reframe_the_message() {
    let mut list = fields(&[
        ("Content-Length", "5"),
        ("Transfer-Encoding", "chunked"),
        ("Host", "a"),
        ("Connection", "x"),
        ("Upgrade", "x"),
        ("TE", "trailers"),
        ("Trailer", "x"),
        ("Authorization", "x"),
        ("CONTENT_LENGTH", "5"),
        ("Content.Length", "5"),
        ("Transfer_Encoding", "chunked"),
        ("Keep_Alive", "x"),
        ("Proxy~Connection", "x"),
        ("X.Forwarded.For", "x"),
        ("X+Real+IP", "x"),
        ("X-Pico-Endpoint", "x"),
        ("x_pico_endpoint", "x"),
        ("X-Forwarded-For", "x"),
        ("X-Forwarded-Anything", "x"),
        ("Forwarded", "x"),
        ("Via", "x"),
        ("X-Request-Id", "x"),
        ("X-Sum", "1"),
    ]);
    strip_trailers(&mut list);
    assert_eq!(list, fields(&[("X-Sum", "1")]));
}
