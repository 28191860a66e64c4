//! A tunnel on its bytes.

use bytes::BytesMut;
use http::{Method, StatusCode};
use pico_core::head::{Fields, RequestHead, ResponseHead};
use pico_core::rpc::{self, Identity, Role, Word};
use pico_core::tunnel::{Action, Input, Machine};
use pico_core::{Instant, Limits, Machine as _, Outbox, Reason, Seed};
use std::sync::Arc;

const T0: Instant = Instant::ZERO;

/// Why a tunnel ends, and all that it sends, when these bytes come in pieces of so many.
fn told(bytes: &[u8], size: usize) -> (Reason, Vec<u8>) {
    let limits = Arc::new(Limits::default());
    let (me, seed) = (Identity::default(), Seed::from_u64(7));
    let mut tunnel: Machine<u32> =
        Machine::new(T0, Role::Acceptor, &me, &seed, limits, Outbox::new());
    let (mut sent, mut closed) = (Vec::new(), None);
    let mut drain = |tunnel: &mut Machine<u32>| {
        while let Some(action) = tunnel.poll() {
            if let Action::Closed(reason) = action {
                closed = Some(reason);
            }
        }
        let count = tunnel.outbox().len();
        tunnel.outbox().pieces().for_each(|piece| sent.extend_from_slice(piece));
        tunnel.handle(T0, Input::Sent(count));
    };
    drain(&mut tunnel);
    for piece in bytes.chunks(size) {
        tunnel.handle(T0, Input::Received(BytesMut::from(piece)));
        drain(&mut tunnel);
    }
    tunnel.handle(T0, Input::Eof);
    drain(&mut tunnel);
    (closed.expect("it is closed"), sent)
}

#[test]
fn which_of_two_errors_counts_does_not_hang_on_where_the_bytes_are_cut() {
    let text = &[0x81, 0x83, 0, 0, 0, 0, 0x61, 0xff, 0x62][..];
    let bad_frame = &[0x82, 0x82, 0, 0, 0, 0, 0x00, 0xff][..];
    let unmasked = &[0x82, 0x01, 0x00][..];
    let cases = [
        (vec![text], Reason::UnsupportedData),
        (vec![text, bad_frame], Reason::UnsupportedData),
        (vec![bad_frame, text], Reason::BadFrame),
        (vec![bad_frame, unmasked], Reason::BadFrame),
        (vec![unmasked, bad_frame], Reason::ProtocolError),
    ];
    for (parts, reason) in cases {
        let bytes = parts.concat();
        let whole = told(&bytes, bytes.len());
        assert_eq!(whole.0, reason, "{bytes:02x?}");
        for size in 1..bytes.len() {
            assert_eq!(told(&bytes, size), whole, "{bytes:02x?} by {size}");
        }
    }
}

/// Carries what waits in one outbox to the other side.
fn carry(from: &mut Machine<u32>, to: &mut Machine<u32>) {
    while from.poll().is_some() {}
    let count = from.outbox().len();
    let bytes: Vec<u8> = from.outbox().pieces().flatten().copied().collect();
    from.handle(T0, Input::Sent(count));
    to.handle(T0, Input::Received(BytesMut::from(&bytes[..])));
    while to.poll().is_some() {}
}

#[test]
fn two_sides_with_many_heads_to_say_go_on_reading() {
    let limits = Arc::new(Limits::default());
    let me = Identity::default();
    let [mut node, mut agent] = [Role::Acceptor, Role::Dialer].map(|role| {
        let seed = Seed::from_u64(7);
        Machine::<u32>::new(T0, role, &me, &seed, Arc::clone(&limits), Outbox::new())
    });
    carry(&mut node, &mut agent);
    carry(&mut agent, &mut node);
    let long = vec![b'x'; 30_000];
    let mut fields = Fields::new();
    fields.push(b"Cookie", &long);
    let open = |node: &mut Machine<u32>| {
        let stream = node.next_stream();
        let head = RequestHead::new(Method::GET, b"/", fields.clone());
        node.handle(T0, Input::Rpc(rpc::Input::Open { stream, tag: 1, head, end: true }));
        stream
    };
    let streams: Vec<_> = (0..50).map(|_| open(&mut node)).collect();
    carry(&mut node, &mut agent);
    // Neither socket takes anything now.
    for stream in streams {
        let head = ResponseHead::new(StatusCode::OK, b"", fields.clone());
        let word = Word::Response { head, end: true };
        agent.handle(T0, Input::Rpc(rpc::Input::Say { stream, word }));
    }
    for _ in 0..50 {
        open(&mut node);
    }
    while node.poll().is_some() || agent.poll().is_some() {}
    for side in [&node, &agent] {
        assert!(side.outbox().len() > 1 << 20, "{}", side.outbox().len());
    }
    // Whoever is asked by one who does not read its answers reads no more questions.
    assert_eq!(agent.room(), 0);
    assert!(node.room() > 0, "neither would ever be rid of what it has to say");
}

#[test]
fn a_call_that_is_opened_in_the_turn_in_which_the_tunnel_breaks_has_not_started() {
    let limits = Arc::new(Limits::default());
    let (me, seed) = (Identity::default(), Seed::from_u64(7));
    let role = Role::Acceptor;
    let mut tunnel: Machine<u32> = Machine::new(T0, role, &me, &seed, limits, Outbox::new());
    while tunnel.poll().is_some() {}
    tunnel.handle(T0, Input::Lost);
    let stream = tunnel.next_stream();
    let head = RequestHead::new(Method::GET, b"/", Fields::new());
    tunnel.handle(T0, Input::Rpc(rpc::Input::Open { stream, tag: 5, head, end: true }));
    let mut seen = Vec::new();
    while let Some(action) = tunnel.poll() {
        let said = match &action {
            Action::Rpc(rpc::Action::Said { tag, word: Word::Reset(reset), .. }) => {
                format!("{tag:?} started {}", reset.started)
            }
            Action::Rpc(_) | Action::Finish | Action::Closed(_) => format!("{action:?}"),
        };
        seen.push(said);
    }
    assert_eq!(seen, ["Some(5) started false", "Closed(ConnectionLost)"]);
    // Afterwards it says nothing.
    let head = RequestHead::new(Method::GET, b"/", Fields::new());
    tunnel.handle(T0, Input::Rpc(rpc::Input::Open { stream, tag: 6, head, end: true }));
    assert!(tunnel.poll().is_none());
}
