//! The reference of all keys, written from their tables.

use super::key::{Keys, variable};
use super::{AGENT_KEYS, SERVER_KEYS};
use std::fmt::Write as _;

/// The page on configuration, in Markdown.
pub(crate) fn reference() -> String {
    let mut page = INTRODUCTION.to_owned();
    section(&mut page, "pico server", &SERVER_KEYS);
    section(&mut page, "pico agent", &AGENT_KEYS);
    page.push_str(LISTENERS);
    #[cfg(unix)]
    section(&mut page, "pico cluster", &super::CLUSTER_KEYS);
    page
}

fn section<S>(page: &mut String, title: &str, keys: &Keys<S>) {
    let _ = write!(
        page,
        "\n## `{title}`\n\n| key | variable | value | default | what |\n\
         | --- | --- | --- | --- | --- |\n"
    );
    for key in keys.rows {
        let value = key.shape().replace('|', "\\|");
        let default = match key.default {
            "" => String::new(),
            words if words.starts_with('(') => words.trim_matches(['(', ')']).to_owned(),
            text => format!("`{text}`"),
        };
        let marks = [(key.is_list(), "list"), (keys.is_secret(key.name), "secret")];
        let marks: Vec<_> = marks.iter().filter(|(is, _)| *is).map(|(_, mark)| *mark).collect();
        let marks =
            if marks.is_empty() { String::new() } else { format!(" ({})", marks.join(", ")) };
        let _ = writeln!(
            page,
            "| `{}` | `{}` | `{value}`{marks} | {default} | {} |",
            key.name,
            variable(key.name),
            key.help.replace('|', "\\|"),
        );
    }
}

const INTRODUCTION: &str = "\
# Configuration

Written by `pico config reference`; a test holds it to the program.

Every key can be given in a YAML file (`--config FILE` or `PICO_CONFIG`; keys nest at the dots), in \
the environment, and as a flag `--key`; the later of these wins. A list that is given as a flag or \
a variable replaces that of the file. In the file, `${VAR}` and `${VAR:default}` stand for \
environment variables. A key without a value is as good as none.

| value | written as |
| --- | --- |
| `DURATION` | `100ms`, `10s`, `1m30s`, `2h`; time-outs also `off` |
| `SIZE` | bytes, or `64KiB`, `1MiB`, `64kB` |
| `HOST:PORT` | an address or a name and a port; `:8001` is every interface; port 0 is any free one |
| `PERCENT` | `20%`, `0.5%` |

A secret is never shown: not by `pico config show`, in logs, or in what is said of a mistake. Give \
it in a file of its own, so that it stands neither in the configuration nor in the list of \
processes.

`pico config check FILE` says all that is wrong with a file, each with its place, and exits with 2 \
if anything is; `pico config show server` and `pico config show agent` print what each key comes \
to be, and who said so.
";

const LISTENERS: &str = "
In the file, `listeners` is a list, each item of which is one endpoint that the agent serves:

| key of an item | value | default | what |
| --- | --- | --- | --- |
| `endpoint` | `ENDPOINT` | | The name under which clients reach it |
| `addr` | `SERVICE` | | The service: a port, HOST:PORT or an http:// URL |
| `host-header` | `keep\\|rewrite\\|VALUE` | `keep` | The `Host` that the service sees: the client's, \
the service's own address, or a fixed one |
";
