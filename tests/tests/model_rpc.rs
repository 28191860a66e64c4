//! Two real ends of a tunnel do what the model of one does.

use pico_sim::fuzz;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn two_rpc_machines_tell_what_was_said(
        bytes in proptest::collection::vec(any::<u8>(), 0..1500),
    ) {
        fuzz::rpc_model(&bytes);
    }

    #[test]
    fn two_tunnels_tell_what_was_said(
        bytes in proptest::collection::vec(any::<u8>(), 0..1500),
    ) {
        fuzz::tunnel_model(&bytes);
    }
}
