//! The control plane of a node keeps the laws.

use pico_sim::laws::{self, node::Node};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_node_keeps_the_laws(choices in prop::collection::vec(any::<u8>(), 0..1500)) {
        laws::hold::<Node>(&choices);
    }
}
