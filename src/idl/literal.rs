//! Quoted strings: what their spelling means.
//!
//! Annotations keep escapes as they are written, but for the quotes, because patterns in them count on
//! it (`vt.pattern = "\d+"`). Constants mean what the languages make of them, so `\n` is a line break.

use std::borrow::Cow;

/// The text between the quotes with `\"` and `\'` made plain and every other escape kept.
pub(crate) fn annotation_text(spelling: &str) -> Cow<'_, str> {
    rewrite(inner(spelling), |escape| match escape {
        '"' | '\'' => Some(escape),
        _ => None,
    })
}

/// The text between the quotes with `\n`, `\r`, `\t`, `\\`, `\"`, `\'` replaced by what they stand for;
/// an unknown escape keeps its backslash.
pub(crate) fn constant_text(spelling: &str) -> Cow<'_, str> {
    rewrite(inner(spelling), |escape| match escape {
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        '\\' | '"' | '\'' => Some(escape),
        _ => None,
    })
}

/// A quoted string that means this text where a constant is written.
pub fn quote(text: &str) -> String {
    let mut spelling = String::with_capacity(text.len() + 2);
    spelling.push('"');
    for character in text.chars() {
        match character {
            '\n' => spelling.push_str("\\n"),
            '\r' => spelling.push_str("\\r"),
            '\t' => spelling.push_str("\\t"),
            '\\' => spelling.push_str("\\\\"),
            '"' => spelling.push_str("\\\""),
            _ => spelling.push(character),
        }
    }
    spelling.push('"');
    spelling
}

/// Without the first and the last character, which are the quotes.
fn inner(spelling: &str) -> &str {
    spelling.get(1..spelling.len().saturating_sub(1)).unwrap_or("")
}

fn rewrite(text: &str, replace: impl Fn(char) -> Option<char>) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            out.push(character);
            continue;
        }
        // The escaped character is consumed too, so that the second half of `\\` starts nothing new.
        match rest.next() {
            None => out.push('\\'),
            Some(escaped) => match replace(escaped) {
                Some(plain) => out.push(plain),
                None => out.extend(['\\', escaped]),
            },
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_unescape_and_annotations_keep() {
        let table = [
            (r#""a""#, "a", "a"),
            (r#""""#, "", ""),
            (r#""a\nb""#, "a\nb", r"a\nb"),
            (r#""\\n""#, r"\n", r"\\n"),
            (r#""say \"hi\"""#, "say \"hi\"", "say \"hi\""),
            (r"'it\'s'", "it's", "it's"),
            (r#""\d+\x""#, r"\d+\x", r"\d+\x"),
            (r#""\é""#, r"\é", r"\é"),
        ];
        for (spelling, constant, annotation) in table {
            assert_eq!(constant_text(spelling), constant, "{spelling}");
            assert_eq!(annotation_text(spelling), annotation, "{spelling}");
        }
    }

    proptest::proptest! {
        #[test]
        fn quoting_round_trips(text in "\\PC*|[\\\\\"'nrt\n\r\t ]*") {
            assert_eq!(constant_text(&quote(&text)), text);
        }
    }
}
