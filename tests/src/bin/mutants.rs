//! `mutants`: plants one fault after the other in a copy of the tree and expects each to be
//! found.

use clap::Parser;
use pico_sim::mutants::{self, Judged, Judges, Killers, Limits, Mutant, Tree};
use std::error::Error;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Plants the faults of tests/mutants.yaml one by one and expects what is named there to fail
#[derive(Parser)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
#[command(name = "mutants", version)]
struct Cli {
    /// Where the copy of the tree is kept and built
    #[arg(long, default_value = "target/mutants")]
    work: PathBuf,
    /// Try this one only; repeatable
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Leave out those that only the simulator finds
    #[arg(long)]
    no_seeds: bool,
    /// Do not try first whether the tests pass as they are
    #[arg(long)]
    no_baseline: bool,
    /// How long one test file or one sweep may run
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    limit: u64,
    /// Print the names and what shall find them, and try nothing
    #[arg(long)]
    list: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let cli = Cli::parse();
    let root = mutants::root();
    let chosen = chosen(mutants::load(&root)?, &cli)?;
    if cli.list {
        return list(&chosen);
    }
    let flaws = mutants::flaws(&chosen, &root);
    if !flaws.is_empty() {
        return Err(flaws.join("\n").into());
    }
    let tree = Tree::copy(&root, &cli.work)?;
    let bench = Judges::new(tree, Limits { run: Duration::from_secs(cli.limit) });
    let mut err = io::stderr();
    if !cli.no_baseline {
        writeln!(err, "as it is ...")?;
        let wrong = bench.partial(&chosen)?;
        if !wrong.is_empty() {
            return Err(wrong.join("\n").into());
        }
    }
    let mut judged = Vec::new();
    for (at, mutant) in chosen.iter().enumerate() {
        write!(err, "{}/{} {} ... ", at + 1, chosen.len(), mutant.name)?;
        err.flush()?;
        let one = bench.judge(mutant)?;
        let seconds = one.took.as_secs();
        writeln!(err, "{} {} ({seconds} s)", one.verdict.word(), one.verdict.by())?;
        judged.push(one);
    }
    if cli.json {
        print_json(&judged)?;
    } else {
        print_table(&judged)?;
    }
    let found = judged.iter().all(|one| one.verdict.is_found());
    Ok(if found { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn chosen(all: Vec<Mutant>, cli: &Cli) -> Result<Vec<Mutant>, String> {
    let known = |name: &&String| !all.iter().any(|mutant| mutant.name == **name);
    if let Some(unknown) = cli.only.iter().find(known) {
        return Err(format!("there is no mutant {unknown}"));
    }
    let wanted = |mutant: &Mutant| {
        let named = cli.only.is_empty() || cli.only.contains(&mutant.name);
        named && !(cli.no_seeds && matches!(mutant.killed_by, Killers::Seeds(_)))
    };
    Ok(all.into_iter().filter(wanted).collect())
}

fn list(mutants: &[Mutant]) -> Result<ExitCode, Box<dyn Error>> {
    let mut out = io::stdout().lock();
    for mutant in mutants {
        let by = match &mutant.killed_by {
            Killers::Tests(tests) => {
                tests.iter().map(|tests| tests.file.as_str()).collect::<Vec<_>>().join(", ")
            }
            Killers::Seeds(seeds) => {
                format!("{} {}seeds", seeds.count, if seeds.calm { "calm " } else { "" })
            }
        };
        writeln!(out, "{:<56} {:<36} {by}", mutant.name, mutant.file)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print_table(judged: &[Judged]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for one in judged {
        let (word, by) = (one.verdict.word(), one.verdict.by());
        writeln!(out, "{:<56} {word:<8} {:>4} s  {by}", one.name, one.took.as_secs())?;
    }
    let found = judged.iter().filter(|one| one.verdict.is_found()).count();
    writeln!(out, "{found} of {} found", judged.len())
}

fn print_json(judged: &[Judged]) -> io::Result<()> {
    let all: Vec<_> = judged
        .iter()
        .map(|one| {
            serde_json::json!({
                "name": one.name,
                "verdict": one.verdict.word().to_lowercase(),
                "by": one.verdict.by(),
                "seconds": one.took.as_secs_f64(),
            })
        })
        .collect();
    writeln!(io::stdout(), "{}", serde_json::Value::from(all))
}
