//! Tunnels keep the laws.

use pico_sim::laws::{self, tunnel::Tunnel};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn a_tunnel_keeps_the_laws(choices in prop::collection::vec(any::<u8>(), 0..1500)) {
        laws::hold::<Tunnel>(&choices);
    }
}
