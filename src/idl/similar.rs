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

/// Edit distance, letter case ignored, where swapping two neighbours is one step; huge for words that are
/// too long to compare.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > LONGEST || b.len() > LONGEST {
        return usize::MAX;
    }
    let (a, b) = (a.to_ascii_lowercase(), b.to_ascii_lowercase());
    let (a, b) = (a.as_bytes(), b.as_bytes());
    // The rows of the two letters of `a` before this one; the first is not looked at before it is made.
    let mut earlier: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX - 1);
            let replaced = at(&last, j) + usize::from(x != y);
            let mut best = replaced.min(at(&row, j) + 1).min(at(&last, j + 1) + 1);
            let before = |text: &[u8], at: usize| at.checked_sub(1).and_then(|at| text.get(at)).copied();
            if before(a, i) == Some(*y) && before(b, j) == Some(*x) {
                best = best.min(at(&earlier, j - 1) + 1);
            }
            row.push(best);
        }
        earlier = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(usize::MAX)
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
        assert_eq!(near("enmu"), Some("enum"), "a swap is one step");
        assert_eq!(near("neum"), Some("enum"));
        assert_eq!(near("nemu"), None, "two steps are too many for four letters");
        assert_eq!(near("enun"), Some("enum"));
        assert_eq!(near("message"), None);
        assert_eq!(near("x"), None);
        assert_eq!(nearest("tow", ["two", "three"].into_iter()), Some("two"));
        assert_eq!((distance("abcd", "badc"), distance("ca", "abc")), (2, 3));
        assert_eq!((distance("", "abc"), distance("abc", ""), distance("kitten", "sitting")), (3, 3, 3));
    }
}
