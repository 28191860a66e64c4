//! Builds what shall find a fault, and runs it.

use super::list::{Seeds, Tests};
use super::tree::Tree;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// One test file, or one sweep. What takes longer is taken to hang.
    pub run: Duration,
}

/// What was built.
#[derive(Debug)]
pub(super) enum Built {
    /// The executable.
    Ready(PathBuf),
    /// It did not compile: the compiler's last words.
    Broken(String),
}

/// How a run ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// Nothing was noticed, by so many tests.
    Well(usize),
    /// It failed: by these tests, or in these words.
    Failed(String),
    /// It was still running when time was up.
    Hung,
}

/// Builds a test file.
pub(super) fn build_tests(tree: &Tree, tests: &Tests) -> io::Result<Built> {
    let mut cargo = cargo(tree, &QUICK);
    cargo.args(["test", "--no-run", "--test", &tests.file]);
    build(cargo, &tests.file)
}

/// Builds the simulator.
pub(super) fn build_simulator(tree: &Tree) -> io::Result<Built> {
    let mut cargo = cargo(tree, &[]);
    cargo.args(["build", "--bin", SIMULATOR]);
    build(cargo, SIMULATOR)
}

/// Runs tests that were built. Shrinking is left out, and what is random is the same each time:
/// a verdict is not a matter of luck.
pub(super) fn run_tests(
    tree: &Tree,
    built: PathBuf,
    tests: &Tests,
    limits: Limits,
) -> io::Result<Ended> {
    let mut command = bounded(built);
    command
        .args(&tests.filter)
        .current_dir(tree.sources().join("tests"))
        .env("PROPTEST_RNG_SEED", "1")
        .env("PROPTEST_MAX_SHRINK_ITERS", "0")
        .env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true");
    run(command, limits.run)
}

/// Plays seeds with a simulator that was built.
pub(super) fn run_seeds(built: PathBuf, seeds: Seeds, limits: Limits) -> io::Result<Ended> {
    let mut command = bounded(built);
    command.args(swarm(seeds));
    run(command, limits.run)
}

/// The command line that plays seeds and fails if one of them breaks an invariant.
fn swarm(seeds: Seeds) -> Vec<String> {
    let faults = if seeds.calm { "off" } else { "swarm" };
    let range = format!("0..{}", seeds.count);
    ["swarm", "--seeds", &range, "--faults", faults].map(str::to_owned).into()
}

fn cargo(tree: &Tree, options: &[&str]) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let plain = ["--config", "profile.dev.debug=false"];
    cargo.args(plain).args(options.iter().flat_map(|option| ["--config", option]));
    cargo.current_dir(tree.sources()).env("CARGO_TARGET_DIR", tree.target());
    cargo
}

fn build(mut cargo: Command, name: &str) -> io::Result<Built> {
    cargo.args(["-p", "pico-sim", "--message-format=json-render-diagnostics"]);
    let output = cargo.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        let first = errors.lines().skip_while(|line| !line.starts_with("error"));
        let words: Vec<&str> = first.take(6).collect();
        return Ok(Built::Broken(format!("cargo: {}: {}", output.status, words.join("\n"))));
    }
    let told = String::from_utf8_lossy(&output.stdout);
    let built = told.lines().filter_map(|line| executable(line, name)).next_back();
    Ok(built.map_or_else(|| Built::Broken(format!("cargo built no {name}")), Built::Ready))
}

/// The executable of the target `name`, if that is what cargo tells of in this line.
fn executable(line: &str, name: &str) -> Option<PathBuf> {
    let told: serde_json::Value = serde_json::from_str(line).ok()?;
    let path = told.get("executable")?.as_str()?;
    (told.get("target")?.get("name")?.as_str()? == name).then(|| path.into())
}

/// A command that fails before it has eaten the machine: a fault may fill memory for ever.
fn bounded(program: PathBuf) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v 8388608; exec \"$0\" \"$@\""]).arg(program);
    command
}

/// Runs it to its end or to the end of its time.
fn run(mut command: Command, limit: Duration) -> io::Result<Ended> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let (said, errors) = (listen(child.stdout.take()), listen(child.stderr.take()));
    // Its output ends when it does.
    let Ok(said) = said.recv_timeout(limit) else {
        end(&mut child)?;
        return Ok(Ended::Hung);
    };
    let status = child.wait()?;
    let errors = errors.recv().unwrap_or_default();
    if status.success() {
        return Ok(Ended::Well(passed(&said).len()));
    }
    let failed = failed(&said);
    let words = || said.lines().chain(errors.lines()).find(|line| !line.trim().is_empty());
    Ok(Ended::Failed(match &failed[..] {
        [] => format!("{status}: {}", words().unwrap_or_default()),
        [one] => one.clone(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    }))
}

fn end(child: &mut Child) -> io::Result<()> {
    child.kill()?;
    child.wait().map(drop)
}

/// Reads to the end, aside.
fn listen(from: Option<impl Read + Send + 'static>) -> mpsc::Receiver<String> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut from) = from {
            from.read_to_end(&mut bytes).ok();
        }
        tell.send(String::from_utf8_lossy(&bytes).into_owned()).ok();
    });
    told
}

fn passed(said: &str) -> Vec<String> {
    ended(said, " ... ok")
}

fn failed(said: &str) -> Vec<String> {
    ended(said, " ... FAILED")
}

/// The tests that ended so.
fn ended(said: &str, how: &str) -> Vec<String> {
    let name = |line: &str| Some(line.strip_prefix("test ")?.strip_suffix(how)?.to_owned());
    said.lines().filter_map(name).collect()
}

/// Tests are built more often than they are run: what is built fast counts.
const QUICK: [&str; 2] =
    ["profile.dev.package.pico-core.opt-level=0", "profile.dev.package.pico-sim.opt-level=0"];

const SIMULATOR: &str = "pico-sim";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_the_tests_that_failed_are_told() {
        let said = "running 3 tests\ntest a ... ok\ntest b::c ... FAILED\ntest d ... FAILED\n";
        assert_eq!(failed(said), ["b::c", "d"]);
        assert_eq!(passed(said), ["a"]);
    }

    #[test]
    fn an_executable_is_found_by_the_name_of_its_target() {
        let line = r#"{"reason":"compiler-artifact","target":{"name":"a"},"executable":"/x/a-1"}"#;
        assert_eq!(executable(line, "a"), Some("/x/a-1".into()));
        assert_eq!(executable(line, "b"), None);
        assert_eq!(executable("{\"target\":{\"name\":\"a\"},\"executable\":null}", "a"), None);
        assert_eq!(executable("nonsense", "a"), None);
    }

    #[test]
    fn a_run_that_fails_is_no_run_that_hangs() {
        let shell = |script: &str, limit| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            run(command, limit).unwrap()
        };
        let long = Duration::from_mins(1);
        assert!(matches!(shell("echo 'test a ... ok'", long), Ended::Well(1)));
        let Ended::Failed(by) = shell("echo 'test a ... FAILED'; exit 1", long) else { panic!() };
        assert_eq!(by, "a");
        assert!(matches!(shell("exec cat /dev/zero", Duration::ZERO), Ended::Hung));
    }
}
