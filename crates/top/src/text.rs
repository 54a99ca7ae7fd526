//! Texts of the cluster as they may be shown: on one line, of known width, and with nothing in them that moves the cursor
//! or turns the direction of writing.

use unicode_width::UnicodeWidthChar as _;

/// Marks that may stand on one letter; more would grow over the lines around it.
const MOST_MARKS: usize = 2;

/// The first letter of those that make flags in pairs, and the last one.
const FLAG_LETTERS: (char, char) = ('\u{1f1e6}', '\u{1f1ff}');

/// `text` on at most so many columns; one that is longer ends in `…`.
pub(crate) fn clean(text: &str, columns: usize) -> String {
    let mut shown = String::new();
    let mut used = 0;
    let mut marks = 0;
    // Where the sign of more would go.
    let mut cut = 0;
    for letter in text.chars().filter_map(harmless) {
        let width = letter.width().unwrap_or(0);
        marks = if width == 0 { marks + 1 } else { 0 };
        if marks > MOST_MARKS || (width == 0 && shown.is_empty()) {
            continue;
        }
        if used + width > columns {
            shown.truncate(cut);
            if columns > 0 {
                shown.push('…');
            }
            return shown;
        }
        used += width;
        shown.push(letter);
        if used < columns {
            cut = shown.len();
        }
    }
    shown
}

/// The lines of a text, each cleaned, at most so many.
pub(crate) fn lines(text: &str, columns: usize, most: usize) -> Vec<String> {
    text.lines().take(most).map(|line| clean(line, columns)).collect()
}

/// What stands for a character; none if it is left out.
fn harmless(letter: char) -> Option<char> {
    match letter {
        '\t' | '\n' | '\r' | '\u{2028}' | '\u{2029}' => Some(' '),
        // Soft hyphens, joiners, marks and turns of direction, byte order marks, variants, skin tones, tags: terminals
        // disagree about their widths, and a turn of direction goes on behind its text.
        '\u{ad}'
        | '\u{61c}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{1f3fb}'..='\u{1f3ff}'
        | '\u{e0000}'..='\u{e0fff}' => None,
        flag if (FLAG_LETTERS.0..=FLAG_LETTERS.1).contains(&flag) => {
            char::from_u32(u32::from('A') + u32::from(flag) - u32::from(FLAG_LETTERS.0))
        }
        control if control.is_control() => Some('·'),
        other => Some(other),
    }
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr as _;

    use super::*;

    #[test]
    fn nothing_that_moves_the_cursor_is_left() {
        assert_eq!(clean("a\u{1b}[2Jb\u{7}\r\nc\u{9b}31m", 40), "a·[2Jb·  c·31m");
        assert_eq!(clean("abc\u{202e}fed\u{2066}", 40), "abcfed");
    }

    #[test]
    fn long_texts_end_in_a_sign_of_more_within_their_width() {
        assert_eq!(clean("abcdef", 6), "abcdef");
        assert_eq!(clean("abcdefg", 6), "abcde…");
        // Each of these takes two columns.
        assert_eq!(clean("漢字漢字", 8), "漢字漢字");
        assert_eq!(clean("漢字漢字", 7), "漢字漢…");
        assert_eq!(clean("漢字漢字", 6), "漢字…");
        for columns in 0..20 {
            let long = "é漢\u{1f469}\u{200d}\u{1f4bb}x".repeat(3_000);
            assert!(clean(&long, columns).width() <= columns, "{columns}");
        }
    }

    #[test]
    fn emoji_are_taken_apart_and_towers_of_marks_cut() {
        assert_eq!(clean("\u{1f44d}\u{1f3fd}\u{fe0f}!", 9), "\u{1f44d}!");
        assert_eq!(clean("\u{1f1e9}\u{1f1ea}", 9), "DE");
        let tower = format!("e{}x", "\u{301}".repeat(50));
        assert_eq!(clean(&tower, 9), "e\u{301}\u{301}x");
        assert_eq!(clean("\u{301}a", 9), "a");
    }
}
