//! AMQP's topic patterns.

/// Whether `topic` matches `pattern`: words are parted by dots, `*` is one word, `#` any number of them.
pub(super) fn matches(pattern: &str, topic: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('.').collect();
    let topic: Vec<&str> = topic.split('.').collect();
    matches_words(&pattern, &topic)
}

fn matches_words(pattern: &[&str], topic: &[&str]) -> bool {
    match pattern.split_first() {
        None => topic.is_empty(),
        Some((&"#", rest)) => (0..=topic.len()).any(|skipped| matches_words(rest, &topic[skipped..])),
        Some((&word, rest)) => topic
            .split_first()
            .is_some_and(|(&first, others)| (word == "*" || word == first) && matches_words(rest, others)),
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn star_is_exactly_one_word() {
        assert!(matches("job.*", "job.1"));
        assert!(!matches("job.*", "job"));
        assert!(!matches("job.*", "job.1.done"));
        assert!(matches("*.1.*", "job.1.done"));
    }

    #[test]
    fn hash_is_any_number_of_words() {
        assert!(matches("#", "job.1"));
        assert!(matches("job.#", "job"));
        assert!(matches("job.#.done", "job.1.2.done"));
        assert!(!matches("job.#.done", "job.1.2.failed"));
    }

    #[test]
    fn plain_words_match_themselves() {
        assert!(matches("job.1", "job.1"));
        assert!(!matches("job.1", "job.10"));
    }
}
