//! The HTTP/1 machines read what the plain reader of whole texts reads.

use pico_core::Limits;
use pico_sim::fuzz;
use pico_sim::model::http::against;
use proptest::prelude::*;
use std::fs;
use std::path::Path;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn a_text_means_to_a_machine_what_it_means_to_the_reader(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        fuzz::http1_model(&bytes);
    }
}

#[test]
fn what_other_targets_keep_means_the_same_too() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let limits = Limits::default();
    let mut texts = 0;
    for name in ["http1_relay", "http1_server", "http1_client", "chain"] {
        for entry in fs::read_dir(corpora.join(name)).expect("a corpus") {
            let path = entry.expect("a folder can be listed").path();
            let text = fs::read(&path).expect("a corpus file can be read");
            println!("{}", path.display());
            for seed in 0..4 {
                against::hold_server(&text, seed, &limits);
                for (method, upgrade) in [("GET", true), ("HEAD", false)] {
                    for fin in [false, true] {
                        against::hold_client(&text, method, upgrade, fin, seed, &limits);
                    }
                }
            }
            texts += 1;
        }
    }
    assert!(texts > 0);
}
