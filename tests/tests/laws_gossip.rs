//! Gossip keeps the laws.

use pico_sim::laws::{self, gossip::Gossip, sealed::Sealed};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn gossip_keeps_the_laws(choices in prop::collection::vec(any::<u8>(), 0..1500)) {
        laws::hold::<Gossip>(&choices);
    }

    #[test]
    fn gossip_under_keys_keeps_the_laws(
        choices in prop::collection::vec(any::<u8>(), 0..1500),
    ) {
        laws::hold::<Sealed>(&choices);
    }
}
