//! Reading a YAML file into dotted keys, each with its place.

use super::flaw;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};
use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

/// What a file says.
#[derive(Default)]
pub(super) struct Document {
    /// Its keys, in order.
    pub(super) entries: Vec<Entry>,
    /// Where the key `listeners` is, if it is there.
    pub(super) listed: Option<At>,
    /// Each item of `listeners`: where it begins, and its keys.
    pub(super) listeners: Vec<(At, Vec<Entry>)>,
    /// What is wrong with it, and where.
    pub(super) wrong: Vec<Wrong>,
}

/// One key and its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    /// The key's name, with dots.
    pub(super) name: String,
    /// The value as it was written, with variables filled in.
    pub(super) text: String,
    /// Where the key is.
    pub(super) key: At,
    /// Where the value is.
    pub(super) at: At,
    /// Whether the value is an item of a list.
    pub(super) listed: bool,
}

/// A place in a file: line and column, both from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct At(u64, u64);

impl From<Location> for At {
    fn from(location: Location) -> Self {
        Self(location.line().max(1), location.column().max(1))
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0, self.1)
    }
}

/// Reads the file at `path`, or says why it cannot be read.
pub(super) fn read(path: &Path) -> Result<Document, String> {
    let shown = path.display();
    let source = std::fs::read_to_string(path).map_err(|error| {
        let strange = error.kind() == ErrorKind::InvalidData;
        let why = if strange { "it is not UTF-8".to_owned() } else { error.to_string() };
        format!("cannot read {shown}: {why}")
    })?;
    parse(&source, &|name| std::env::var(name).ok())
        .map_err(|(at, why)| format!("{shown}:{at}: {why}"))
}

type Wrong = (At, String);

fn parse(source: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Document, Wrong> {
    let options = serde_saphyr::options! { with_snippet: false };
    let root: Spanned<Node> =
        serde_saphyr::from_str_with_options(source, options).map_err(|error| {
            let at = error.location().map_or(At(1, 1), At::from);
            (at, flaw::told(&error))
        })?;
    let mut reader = Reader { source, env, document: Document::default(), item: false };
    match &root.value {
        Node::Null => {}
        Node::Map(pairs) => {
            let mut entries = Vec::new();
            reader.map("", pairs, &mut entries);
            reader.document.entries = entries;
        }
        Node::Text(_) | Node::Plain | Node::List(_) => {
            return Err((root.referenced.into(), "expected keys and values".into()));
        }
    }
    Ok(reader.document)
}

struct Reader<'a> {
    source: &'a str,
    env: &'a dyn Fn(&str) -> Option<String>,
    document: Document,
    /// Whether it reads an item of `listeners`.
    item: bool,
}

impl Reader<'_> {
    fn map(
        &mut self,
        prefix: &str,
        pairs: &[(Spanned<String>, Spanned<Node>)],
        entries: &mut Vec<Entry>,
    ) {
        for (key, node) in pairs {
            let name = match prefix {
                "" => key.value.clone(),
                _ => format!("{prefix}.{}", key.value),
            };
            if name == LISTENERS && !self.item {
                self.listeners(key, node);
                continue;
            }
            match &node.value {
                Node::Map(pairs) => self.map(&name, pairs, entries),
                Node::List(items) => {
                    for item in items {
                        self.entry(&name, key, item, true, entries);
                    }
                }
                // A key without a value is as good as none.
                Node::Null => {}
                Node::Text(_) | Node::Plain => self.entry(&name, key, node, false, entries),
            }
        }
    }

    fn entry(
        &mut self,
        name: &str,
        key: &Spanned<String>,
        node: &Spanned<Node>,
        listed: bool,
        entries: &mut Vec<Entry>,
    ) {
        let (key, at) = (key.referenced.into(), node.referenced.into());
        match self.text(node) {
            Ok(text) => entries.push(Entry { name: name.to_owned(), text, key, at, listed }),
            Err(why) => self.document.wrong.push((at, format!("{name}: {why}"))),
        }
    }

    fn listeners(&mut self, key: &Spanned<String>, node: &Spanned<Node>) {
        self.document.listed = Some(key.referenced.into());
        let items = match &node.value {
            Node::List(items) if !items.is_empty() => items,
            Node::List(_) | Node::Null => {
                let why = format!("{LISTENERS}: expected one at least");
                return self.document.wrong.push((key.referenced.into(), why));
            }
            Node::Text(_) | Node::Plain | Node::Map(_) => {
                let why = format!("{LISTENERS}: expected a list of endpoints and their services");
                return self.document.wrong.push((node.referenced.into(), why));
            }
        };
        self.item = true;
        for item in items {
            let at = item.referenced.into();
            let Node::Map(pairs) = &item.value else {
                self.document.wrong.push((at, "expected a listener's keys".into()));
                continue;
            };
            let mut entries = Vec::new();
            self.map("", pairs, &mut entries);
            self.document.listeners.push((at, entries));
        }
        self.item = false;
    }

    /// The text of a scalar, as it was written, with variables filled in.
    fn text(&self, node: &Spanned<Node>) -> Result<String, String> {
        let text = match &node.value {
            Node::Text(text) => text,
            Node::Plain => self.written(node),
            Node::Map(_) | Node::List(_) | Node::Null => return Err("expected a value".into()),
        };
        expand(text, self.env)
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

/// The key whose value is a list of keys.
pub(super) const LISTENERS: &str = "listeners";

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

    fn entries(source: &str) -> Vec<(String, String, String)> {
        let document = parse(source, &env).unwrap();
        assert_eq!(document.wrong, []);
        document.entries.into_iter().map(|e| (e.name, e.text, e.at.to_string())).collect()
    }

    #[test]
    fn keys_nest_at_the_dots_and_know_their_places() {
        let source = "proxy:\n  bind-addr: \":8001\"\n  timeout: {head: 5s}\nworkers: 2\n\
                      cluster.name: 1.10\nlog:\n";
        let expected = [
            ("proxy.bind-addr", ":8001", "2:14"),
            ("proxy.timeout.head", "5s", "3:19"),
            ("workers", "2", "4:10"),
            ("cluster.name", "1.10", "5:15"),
        ];
        let expected: Vec<_> =
            expected.map(|(n, t, l)| (n.to_owned(), t.to_owned(), l.to_owned())).into();
        assert_eq!(entries(source), expected);
    }

    #[test]
    fn variables_are_filled_in() {
        let text = |source| entries(source)[0].1.clone();
        assert_eq!(text("a: 127.0.0.1:${PORT}"), "127.0.0.1:9000");
        assert_eq!(text("a: ${HOST:localhost}:${PORT:1}"), "localhost:9000");
        assert_eq!(text("a: \"${NONE:}\""), "");
    }

    #[test]
    fn all_that_is_wrong_is_told_with_its_place() {
        let document = parse("b: 1\na: ${NONE}\nlisteners: [3]\nc: [{x: 1}]\n", &env).unwrap();
        let told = document.wrong.iter().map(|(at, why)| format!("{at}: {why}"));
        let expected = [
            "2:4: a: the environment variable NONE is not set",
            "3:13: expected a listener's keys",
            "4:5: c: expected a value",
        ];
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn listeners_are_a_list_of_keys() {
        let source = "listeners:\n  - endpoint: one\n    addr: 3000\n  - endpoint: two\n";
        let document = parse(source, &env).unwrap();
        let items = &document.listeners;
        let names: Vec<_> = items.iter().map(|(_, item)| item[0].text.as_str()).collect();
        assert_eq!(names, ["one", "two"]);
        assert_eq!(items[0].1[1].text, "3000");
    }

    #[test]
    fn what_is_not_yaml_is_refused_with_its_line() {
        for (source, told) in [
            ("a: 1\nb: [", "2:4: this bracket is never closed"),
            ("a: 1\n}", "2:1: this bracket closes nothing"),
            ("a: 1\na: 2", "2:1: a is given twice"),
            ("- a", "1:1: expected keys and values"),
            ("a: \"b", "1:4: this quote is never closed"),
            ("a:\n\tb: c", "2:2: a tab stands where only spaces may: indent with spaces"),
            ("a: @b", "1:4: a value cannot begin with this character, unless it stands in quotes"),
            ("a: *b", "1:4: nothing above has this name: there is no such & for *"),
            ("a: 1\n---\nb: 2", "3:1: a second document begins here: expected one in the file"),
            ("? [a]\n: b", "1:3: expected a key that is a name, not a list or keys"),
            (": a", "1:1: there is no key before this colon"),
        ] {
            let (at, why) = parse(source, &env).err().unwrap();
            assert_eq!(format!("{at}: {why}"), told, "{source:?}");
        }
        for source in ["a: b: c", "a: \"\\q\"", "%YAML 3\na: b", &"[".repeat(3000)] {
            let (_, why) = parse(source, &env).err().unwrap();
            assert!(!why.contains(" at line ") && !why.contains("Option"), "{why}");
        }
    }
}
