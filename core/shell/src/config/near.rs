//! What somebody may have meant.

/// What is wrong with a key that nobody knows: it names the nearest one that is known.
pub(super) fn unknown<'a>(
    at: &str,
    name: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> String {
    let below: Vec<&str> = known.clone().filter(|key| begins(key, name, '.')).collect();
    if let Some(first) = below.first() {
        return format!("{at}: {name}: expected keys below it, such as {first}");
    }
    let near = known.map(|key| (strsim::damerau_levenshtein(name, key), key)).min();
    match near {
        Some((far, key)) if far <= name.len().max(key.len()) / 2 => {
            format!("{at}: unknown key {name}; did you mean {key}?")
        }
        Some(_) | None => format!("{at}: unknown key {name}"),
    }
}

/// Whether `name` is `start`, or goes on after it at a `joint`.
pub(super) fn begins(name: &str, start: &str, joint: char) -> bool {
    name.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with(joint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_named_unless_all_are_far() {
        let keys = || ["proxy.bind-addr", "admin.bind-addr", "workers"].into_iter();
        let near = unknown("f.yaml:3", "proxy.bind-adr", keys());
        assert_eq!(near, "f.yaml:3: unknown key proxy.bind-adr; did you mean proxy.bind-addr?");
        assert_eq!(unknown("f.yaml:3", "zzz", keys()), "f.yaml:3: unknown key zzz");
    }

    #[test]
    fn a_key_that_others_are_below_says_so() {
        let told = unknown("f.yaml:1:1", "proxy", ["proxy.bind-addr"].into_iter());
        assert_eq!(told, "f.yaml:1:1: proxy: expected keys below it, such as proxy.bind-addr");
    }
}
