//! The laws of machines, and the promises of the other fuzz targets, under random choices.

use pico_sim::fuzz;
use proptest::prelude::*;

macro_rules! hold {
    ($($name:ident: $target:path,)*) => {
        proptest! {
            #![proptest_config(ProptestConfig::with_cases(200))]
            $(
                #[test]
                fn $name(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
                    $target(&bytes);
                }
            )*
        }
    };
}

hold! {
    a_chain_gives_sound_requests_and_whole_responses: fuzz::chain,
    an_endpoint_is_named_without_a_guess: fuzz::endpoint,
    the_laws_hold_for_an_http_client: fuzz::http1_client,
    what_is_relayed_means_the_same: fuzz::http1_relay,
    the_laws_hold_for_an_http_server: fuzz::http1_server,
    the_laws_hold_for_a_tunnel: fuzz::rpc,
    a_header_block_means_the_same_when_sent_on: fuzz::rpc_blocks,
    the_ends_of_a_wire_under_keys_agree: fuzz::wire,
    the_laws_hold_for_a_websocket_client: fuzz::ws_client,
    the_laws_hold_for_a_websocket_server: fuzz::ws_server,
}
