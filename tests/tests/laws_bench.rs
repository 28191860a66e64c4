//! What sends the requests of a bench keeps the laws.

use pico_sim::laws::{self, bench::Load};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_load_keeps_the_laws(choices in prop::collection::vec(any::<u8>(), 0..1500)) {
        laws::hold::<Load>(&choices);
    }
}
