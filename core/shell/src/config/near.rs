//! What somebody may have meant.

/// What is wrong with a key that nobody knows: it names the nearest one that is known.
pub(super) fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let below: Vec<&str> = known.clone().filter(|key| begins(key, name, '.')).collect();
    if let Some(first) = below.first() {
        return format!("{name}: expected keys below it, such as {first}");
    }
    match nearest(name, known) {
        Some(key) => format!("unknown key {name}; did you mean {key}?"),
        None => format!("unknown key {name}"),
    }
}

/// The nearest of what is known, if it is not far.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = known.map(|key| (strsim::damerau_levenshtein(name, key), key)).min();
    near.filter(|(far, key)| *far <= name.len().max(key.len()) / 2).map(|(_, key)| key)
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
        let near = unknown("proxy.bind-adr", keys());
        assert_eq!(near, "unknown key proxy.bind-adr; did you mean proxy.bind-addr?");
        assert_eq!(unknown("zzz", keys()), "unknown key zzz");
    }

    #[test]
    fn a_key_that_others_are_below_says_so() {
        let told = unknown("proxy", ["proxy.bind-addr"].into_iter());
        assert_eq!(told, "proxy: expected keys below it, such as proxy.bind-addr");
    }
}
