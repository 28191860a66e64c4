//! The laws of machines hold for WebSocket connections.

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_laws_hold_for_a_client(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        pico_sim::fuzz::ws_client(&bytes);
    }

    #[test]
    fn the_laws_hold_for_a_server(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        pico_sim::fuzz::ws_server(&bytes);
    }
}
