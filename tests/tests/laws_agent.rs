//! Agents keep the laws.

use pico_sim::laws::{self, agent::Agent};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn an_agent_keeps_the_laws(choices in prop::collection::vec(any::<u8>(), 0..1500)) {
        laws::hold::<Agent>(&choices);
    }
}
