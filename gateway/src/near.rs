//! Near names: what somebody probably meant.

/// Similarity above which a name is worth suggesting: `agrs` for `args` is, `b` for `a` is not.
const NEAR: f64 = 0.75;

/// The most similar of `known`, if any is similar.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut best: Option<(f64, &str)> = None;
    for candidate in known {
        let score = strsim::normalized_damerau_levenshtein(name, candidate)
            .max(strsim::jaro_winkler(name, candidate) - 0.1);
        if score >= NEAR && best.is_none_or(|(top, _)| score > top) {
            best = Some((score, candidate));
        }
    }
    best.map(|(_, candidate)| candidate.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_only_what_is_similar() {
        let known = ["command", "native", "python", "sql"];
        assert_eq!(nearest("comand", known), Some("command".to_owned()));
        assert_eq!(nearest("nativ", known), Some("native".to_owned()));
        assert_eq!(nearest("fortran", known), None);
    }
}
