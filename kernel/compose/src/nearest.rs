//! The known word nearest to a misspelt one.
//!
//! It must not know what the words are for.

/// Longer words are no slips of the finger, and the distance costs their product.
const WORD_CHARS_MAX: usize = 64;

/// Answers the known word with the fewest changed letters, if they are few enough to be a slip.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.chars().take(WORD_CHARS_MAX + 1).collect();
    if word.len() > WORD_CHARS_MAX {
        return None;
    }
    let changes_max = word.len().div_ceil(3);
    known
        .into_iter()
        .map(|candidate| (distance(&word, candidate), candidate))
        .filter(|(changes, _)| *changes <= changes_max)
        .min_by_key(|(changes, _)| *changes)
        .map(|(_, candidate)| candidate)
}

/// Counts the letters to insert, delete, replace, or swap with their neighbour (optimal string alignment).
fn distance(word: &[char], candidate: &str) -> usize {
    let candidate: Vec<char> = candidate.chars().take(WORD_CHARS_MAX).collect();
    let mut before = Vec::new();
    let mut above: Vec<usize> = (0..=word.len()).collect();
    for (line, letter) in candidate.iter().enumerate() {
        let mut row = vec![line + 1];
        for column in 0..word.len() {
            let replaced = above[column] + usize::from(word[column] != *letter);
            let mut changes = replaced.min(row[column] + 1).min(above[column + 1] + 1);
            if line > 0 && column > 0 && word[column] == candidate[line - 1] && word[column - 1] == *letter {
                changes = changes.min(before[column - 1] + 1);
            }
            row.push(changes);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[word.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    const KNOWN: [&str; 4] = ["requires", "provides", "placements", "id"];

    #[test]
    fn a_far_word_has_no_neighbour() {
        assert_eq!(nearest("colour", KNOWN), None);
        assert_eq!(nearest("", KNOWN), None);
        assert_eq!(nearest(&"requires".repeat(100), KNOWN), None);
    }

    #[test]
    fn a_slip_finds_its_word() {
        assert_eq!(nearest("require", KNOWN), Some("requires"));
        assert_eq!(nearest("porvides", KNOWN), Some("provides"));
        assert_eq!(nearest("ids", KNOWN), Some("id"));
        assert_eq!(nearest("rnu", ["man", "run", "serve"]), Some("run"), "two letters changed places");
    }
}
