use pico_sim::case::Chance;
use pico_sim::gossip::measure::*;
use std::time::{Duration, Instant};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let nodes: usize = a[2].parse().unwrap();
    let loss = Chance::percent(a[3].parse().unwrap());
    let runs: u64 = a[4].parse().unwrap();
    let t = Instant::now();
    if a[1] == "idle" {
        println!("{} B/s", idle(&Setting { nodes, loss, seed: 1 }, Duration::from_secs(60)));
        println!("{:?}", t.elapsed());
        return;
    }
    if a[1] == "slow" {
        println!(
            "{} wrong",
            slow_nodes(
                &Setting { nodes, loss, seed: 1 },
                a[5].parse().unwrap(),
                Duration::from_secs(300)
            )
        );
        println!("{:?}", t.elapsed());
        return;
    }
    let s = match &a[1][..] {
        "conv" => Subject::Convergence,
        "det" => Subject::Detection,
        "heal" => Subject::Heal(Duration::from_secs(a[5].parse().unwrap())),
        "join" => Subject::Join(a[5].parse().unwrap()),
        _ => Subject::Churn(a[5].parse().unwrap()),
    };
    let mut all = vec![];
    let mut f = 0;
    let mut b = 0;
    for seed in 0..runs {
        match measure(s, &Setting { nodes, loss, seed }) {
            Some(x) => {
                all.extend(x.spans);
                f += x.false_deaths;
                b = x.bytes_s
            }
            None => println!("seed {seed}: no end"),
        }
    }
    all.sort();
    println!(
        "{nodes} {} median {:?} p99 {:?} max {:?} false {f} bytes {b} in {:?}",
        a[1],
        all.get(all.len() / 2),
        all.get(all.len() * 99 / 100),
        all.last(),
        t.elapsed()
    );
}
