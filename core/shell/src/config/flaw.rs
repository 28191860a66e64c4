//! What is wrong with a file that is not YAML, or not the YAML of a configuration, in words.

use serde_saphyr::Error;

/// What is wrong, for somebody who does not know what reads the file. The place is told beside it.
#[expect(clippy::wildcard_enum_match_arm, reason = "most cannot come of what is read here")]
pub(super) fn told(error: &Error) -> String {
    match error {
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("{key} is given twice"),
        Error::DuplicateMappingKey { key: None, .. } => "a key is given twice".into(),
        Error::MultipleDocuments { .. } => {
            "a second document begins here: expected one in the file".into()
        }
        Error::NullIntoString { .. } => "there is no key before this colon".into(),
        Error::Unexpected { expected: "string scalar", .. } => {
            "expected a key that is a name, not a list or keys".into()
        }
        Error::UnknownAnchor { .. } => {
            "nothing above has this name: there is no such & for *".into()
        }
        Error::Budget { .. } => "this nests too deep, or is too long".into(),
        Error::Eof { .. } => "the file ends in the middle of something".into(),
        _ => parsed(&error.to_string()),
    }
}

/// What a parser found, in its words, turned into ours.
fn parsed(found: &str) -> String {
    let found = found.lines().next().unwrap_or_default();
    let found = found.split(" at line ").next().unwrap_or_default();
    let own = WORDS.iter().find(|(theirs, _)| found.contains(theirs));
    match own {
        Some((_, own)) => (*own).to_owned(),
        None => format!("this is not YAML: {found}"),
    }
}

/// What the parser says, and what is said instead.
const WORDS: [(&str, &str); 10] = [
    ("unclosed bracket", "this bracket is never closed"),
    ("misplaced bracket", "this bracket closes nothing"),
    ("unclosed quote", "this quote is never closed"),
    ("tabs disallowed", "a tab stands where only spaces may: indent with spaces"),
    (
        "mapping values are not allowed",
        "a second colon, or a key that is indented otherwise than those before it: quote a value \
         that holds ': '",
    ),
    ("budget breached", "this nests too deep, or is too long"),
    ("recursion limit", "this nests too deep, or is too long"),
    (
        "unexpected character",
        "a value cannot begin with this character, unless it stands in quotes",
    ),
    (
        "unknown escape",
        "this text in double quotes holds a \\ that means nothing: write \\\\ or use single quotes",
    ),
    ("alias", "nothing above has this name: there is no such & for *"),
];
