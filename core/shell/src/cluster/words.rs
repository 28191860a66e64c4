//! What people type.

/// An order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Command {
    Status,
    Help,
    Quit,
    /// These name a node, counted from 0.
    Kill(usize),
    Pause(usize),
    Resume(usize),
    Restart(usize),
    Drain(usize),
}

impl Command {
    /// Reads a line; nothing is in an empty one. What is wrong is said in one line.
    pub(super) fn parse(line: &str, nodes: usize) -> Result<Option<Self>, String> {
        let mut words = line.split_whitespace();
        let Some(verb) = words.next() else { return Ok(None) };
        let rest: Vec<&str> = words.collect();
        let plain = |command| match rest[..] {
            [] => Ok(Some(command)),
            [..] => Err(format!("{verb} takes nothing more")),
        };
        let order = |command: fn(usize) -> Self| {
            let wrong = || format!("expected {verb} and a node, 1 to {nodes}");
            let [word] = rest[..] else { return Err(wrong()) };
            let number = word.strip_prefix("node-").unwrap_or(word).parse::<usize>();
            let number = number.ok().filter(|number| (1..=nodes).contains(number));
            number.map(|number| Some(command(number - 1))).ok_or_else(wrong)
        };
        match verb {
            "status" => plain(Self::Status),
            "help" => plain(Self::Help),
            "quit" => plain(Self::Quit),
            "kill" => order(Self::Kill),
            "pause" => order(Self::Pause),
            "resume" => order(Self::Resume),
            "restart" => order(Self::Restart),
            "drain" => order(Self::Drain),
            _ => Err(format!("no such command: {verb:?}; see help")),
        }
    }
}

pub(super) const HELP: &str = "\
Commands:
  status      show all nodes
  kill N      end node N at once, as a crash does
  pause N     stop node N without ending it, as a machine that hangs does
  resume N    let it go on
  drain N     ask node N to stop in good order
  restart N   drain node N and start it again; or start one that has ended
  help        show this
  quit        end everything; so does the end of the input";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_named_by_its_number_or_its_name() {
        assert_eq!(Command::parse("kill 2", 3), Ok(Some(Command::Kill(1))));
        assert_eq!(Command::parse("  pause   node-3 ", 3), Ok(Some(Command::Pause(2))));
        assert_eq!(Command::parse("status", 3), Ok(Some(Command::Status)));
        assert_eq!(Command::parse(" ", 3), Ok(None));
    }

    #[test]
    fn what_is_wrong_is_one_line_and_no_command() {
        let lines = ["kill", "kill 0", "kill 4", "kill x", "kill 1 2", "status 1", "KILL 1", "\0"];
        for line in lines {
            let told = Command::parse(line, 3).unwrap_err();
            assert!(!told.is_empty() && !told.contains('\n'), "{line:?}: {told:?}");
        }
    }
}
