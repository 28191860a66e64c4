//! Reading a YAML file into dotted keys, each with its line.

use super::Refusal;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use std::fmt;
use std::path::Path;

/// What a file says.
#[derive(Default)]
pub(super) struct Document {
    /// Its keys, in order.
    pub(super) entries: Vec<Entry>,
    /// The keys of each item of `listeners`.
    pub(super) listeners: Vec<Vec<Entry>>,
}

/// One key and its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) line: u64,
}

/// Reads the file at `path`.
pub(super) fn read(path: &Path) -> Result<Document, Refusal> {
    let shown = path.display();
    let source = std::fs::read_to_string(path)
        .map_err(|error| Refusal(format!("cannot read {shown}: {error}")))?;
    parse(&source, &|name| std::env::var(name).ok())
        .map_err(|(line, why)| Refusal(format!("{shown}:{line}: {why}")))
}

type Wrong = (u64, String);

fn parse(source: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Document, Wrong> {
    let options = serde_saphyr::options! { with_snippet: false };
    let root: Spanned<Node> =
        serde_saphyr::from_str_with_options(source, options).map_err(|error| {
            let line = error.location().map_or(1, |location| location.line());
            (line, error.to_string().lines().next().unwrap_or_default().to_owned())
        })?;
    let mut reader = Reader { source, env, document: Document::default() };
    match &root.value {
        Node::Null => {}
        Node::Map(pairs) => {
            let mut entries = Vec::new();
            reader.map("", pairs, &mut entries)?;
            reader.document.entries = entries;
        }
        Node::Text(_) | Node::Plain | Node::List(_) => {
            return Err((root.referenced.line(), "expected keys and values".into()));
        }
    }
    Ok(reader.document)
}

struct Reader<'a> {
    source: &'a str,
    env: &'a dyn Fn(&str) -> Option<String>,
    document: Document,
}

impl Reader<'_> {
    fn map(
        &mut self,
        prefix: &str,
        pairs: &[(Spanned<String>, Spanned<Node>)],
        entries: &mut Vec<Entry>,
    ) -> Result<(), Wrong> {
        for (key, node) in pairs {
            let name = match prefix {
                "" => key.value.clone(),
                _ => format!("{prefix}.{}", key.value),
            };
            let line = key.referenced.line();
            match &node.value {
                Node::Map(pairs) => self.map(&name, pairs, entries)?,
                Node::List(items) if name == "listeners" => self.listeners(items)?,
                Node::List(items) => {
                    for item in items {
                        let text = self.text(item)?;
                        entries.push(Entry { name: name.clone(), text, line });
                    }
                }
                // A key without a value is as good as none.
                Node::Null => {}
                Node::Text(_) | Node::Plain => {
                    let text = self.text(node)?;
                    entries.push(Entry { name, text, line });
                }
            }
        }
        Ok(())
    }

    fn listeners(&mut self, items: &[Spanned<Node>]) -> Result<(), Wrong> {
        for item in items {
            let Node::Map(pairs) = &item.value else {
                return Err((item.referenced.line(), "expected a listener's keys".into()));
            };
            let mut entries = Vec::new();
            self.map("", pairs, &mut entries)?;
            self.document.listeners.push(entries);
        }
        Ok(())
    }

    /// The text of a scalar, as it was written, with variables filled in.
    fn text(&self, node: &Spanned<Node>) -> Result<String, Wrong> {
        let line = node.referenced.line();
        let text = match &node.value {
            Node::Text(text) => text,
            Node::Plain => self.written(node),
            Node::Map(_) | Node::List(_) | Node::Null => {
                return Err((line, "expected a value".into()));
            }
        };
        expand(text, self.env).map_err(|why| (line, why))
    }

    fn written(&self, node: &Spanned<Node>) -> &str {
        let span = node.defined.span();
        let at = |number: Option<u64>| number.and_then(|n| usize::try_from(n).ok());
        let start = at(span.byte_offset()).unwrap_or(0);
        let end = start.saturating_add(at(span.byte_len()).unwrap_or(0));
        self.source.get(start..end).unwrap_or_default().trim()
    }
}

/// Puts the values of `${VAR}` and `${VAR:default}` in their places.
fn expand(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut done = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (inner, after) = after.split_once('}').ok_or("expected } after ${")?;
        let (name, default) = match inner.split_once(':') {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        done.push_str(before);
        match env(name).or_else(|| default.map(str::to_owned)) {
            Some(value) => done.push_str(&value),
            None => return Err(format!("the environment variable {name} is not set")),
        }
        rest = after;
    }
    done.push_str(rest);
    Ok(done)
}

/// A YAML value.
enum Node {
    Null,
    /// A number or a truth value: what was written counts, not what YAML takes it for.
    Plain,
    Text(String),
    List(Vec<Spanned<Node>>),
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyNode)
    }
}

struct AnyNode;

impl<'de> Visitor<'de> for AnyNode {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list or keys")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Plain)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Plain)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Node, E> {
        Ok(Node::Plain)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Plain)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Node, E> {
        Ok(Node::Plain)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Plain)
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(pair) = pairs.next_entry()? {
            map.push(pair);
        }
        Ok(Node::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        (name == "PORT").then(|| "9000".to_owned())
    }

    fn entries(source: &str) -> Vec<(String, String, u64)> {
        let document = parse(source, &env).unwrap();
        document.entries.into_iter().map(|e| (e.name, e.text, e.line)).collect()
    }

    #[test]
    fn keys_nest_at_the_dots_and_know_their_lines() {
        let source = "proxy:\n  bind-addr: \":8001\"\n  timeout: {head: 5s}\nworkers: 2\n\
                      cluster.name: 1.10\nlog:\n";
        let expected = [
            ("proxy.bind-addr", ":8001", 2),
            ("proxy.timeout.head", "5s", 3),
            ("workers", "2", 4),
            ("cluster.name", "1.10", 5),
        ];
        let expected: Vec<_> =
            expected.map(|(n, t, l)| (n.to_owned(), t.to_owned(), l)).into_iter().collect();
        assert_eq!(entries(source), expected);
    }

    #[test]
    fn variables_are_filled_in() {
        let text = |source| entries(source)[0].1.clone();
        assert_eq!(text("a: 127.0.0.1:${PORT}"), "127.0.0.1:9000");
        assert_eq!(text("a: ${HOST:localhost}:${PORT:1}"), "localhost:9000");
        assert_eq!(text("a: \"${NONE:}\""), "");
        let wrong = parse("b: 1\na: ${NONE}", &env).err().unwrap();
        assert_eq!(wrong, (2, "the environment variable NONE is not set".to_owned()));
    }

    #[test]
    fn listeners_are_a_list_of_keys() {
        let source = "listeners:\n  - endpoint: one\n    addr: 3000\n  - endpoint: two\n";
        let document = parse(source, &env).unwrap();
        let names: Vec<_> = document.listeners.iter().map(|item| item[0].text.as_str()).collect();
        assert_eq!(names, ["one", "two"]);
        assert_eq!(document.listeners[0][1].text, "3000");
    }

    #[test]
    fn what_is_not_yaml_is_refused_with_its_line() {
        for (source, line) in [("a: 1\nb: [", 2), ("a: 1\na: 2", 2), ("- a", 1)] {
            assert_eq!(parse(source, &env).err().unwrap().0, line, "{source:?}");
        }
    }
}
