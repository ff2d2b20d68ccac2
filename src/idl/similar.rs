//! "Did you mean …?"

/// Longest word that is compared: the work is quadratic in the length.
const LONGEST: usize = 64;

/// Most candidates that are compared.
const CANDIDATES: usize = 10_000;

/// The candidate that a typing error may have made this word of.
pub(crate) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = match word.len() {
        0..=2 => return None,
        3..=4 => 1,
        _ => 2,
    };
    candidates
        .take(CANDIDATES)
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= allowed)
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| (0..=allowed).contains(distance))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Edit distance, letter case ignored; huge for words that are too long to compare.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > LONGEST || b.len() > LONGEST {
        return usize::MAX;
    }
    let (a, b) = (a.to_ascii_lowercase(), b.to_ascii_lowercase());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        // `diagonal` is the old value left of the one being replaced.
        let mut diagonal = i;
        let mut left = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let above = row.get(j + 1).copied().unwrap_or(usize::MAX - 1);
            let best = (diagonal + usize::from(x != y)).min(left + 1).min(above + 1);
            if let Some(cell) = row.get_mut(j) {
                *cell = left;
            }
            (diagonal, left) = (above, best);
        }
        if let Some(cell) = row.last_mut() {
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_are_found_and_other_words_are_not() {
        let words = ["struct", "service", "enum", "union"];
        let near = |word| nearest(word, words.into_iter());
        assert_eq!(near("strcut"), Some("struct"));
        assert_eq!(near("Struct"), Some("struct"));
        assert_eq!(near("servcie"), Some("service"));
        assert_eq!(near("enmu"), None, "two steps are too many for four letters");
        assert_eq!(near("enun"), Some("enum"));
        assert_eq!(near("message"), None);
        assert_eq!(near("x"), None);
        assert_eq!((distance("", "abc"), distance("abc", ""), distance("kitten", "sitting")), (3, 3, 3));
    }
}
