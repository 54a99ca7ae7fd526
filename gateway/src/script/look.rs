//! Whether a text is one query, as far as a look at it tells.

/// First words of queries that are planned at once.
const QUERIES: [&str; 6] = ["SELECT", "WITH", "VALUES", "TABLE", "COPY", "EXPLAIN"];

/// Whether a text can only be one query. A no says nothing: the statements are then told apart by who can parse them.
pub(crate) fn is_one_query(text: &str) -> bool {
    let text = past_comments(text);
    let word: String = text.chars().take_while(char::is_ascii_alphabetic).collect();
    let begins = text.starts_with('(') || QUERIES.iter().any(|query| query.eq_ignore_ascii_case(&word));
    let is_empty = text.is_empty();
    let end = text.trim_end_matches(|c: char| c == ';' || c.is_whitespace());
    is_empty || (begins && !end.contains(';'))
}

/// The text behind the spaces and comments that it begins with.
fn past_comments(text: &str) -> &str {
    let mut rest = text.trim_start();
    loop {
        let behind = if let Some(comment) = rest.strip_prefix("--") {
            comment.split_once('\n').map_or("", |(_, behind)| behind)
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.split_once("*/").map_or("", |(_, behind)| behind)
        } else {
            return rest;
        };
        rest = behind.trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_query_is_told_from_all_else() {
        for text in [
            "",
            "select 1",
            "-- of flights\n/* all */ SELECT 1 ;\n;",
            "(SELECT 1) UNION (SELECT 2)",
            "EXPLAIN SELECT 1",
            "COPY (SELECT 1) TO 'a.csv'",
        ] {
            assert!(is_one_query(text), "{text}");
        }
        // The one in quotes is one query; a parser finds out.
        for text in [
            "CREATE VIEW v AS SELECT 1",
            "SELECT 1; SELECT 2",
            "SHOW TABLES",
            "insert into t select 1",
            "SELECT ';'",
            "SELECTED",
        ] {
            assert!(!is_one_query(text), "{text}");
        }
    }
}
