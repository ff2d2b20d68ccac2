//! A file as the rules see it: code without comments, strings and tests, with lines where they were.

/// One file of `src/`.
pub struct Source {
    /// Its path from the repository's root.
    pub path: String,
    /// The modules it stands for: `["wire", "ttheader"]`; empty for `lib.rs`.
    pub module: Vec<String>,
    /// Its text with everything that is not code replaced by blanks, byte for byte.
    pub code: String,
}

/// A function with a body.
pub struct Function {
    pub name: String,
    pub offset: usize,
    /// Lines of its body that hold code, without the braces' own lines.
    pub lines: usize,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Source {
        let inside = path.strip_prefix("src/").unwrap_or(path);
        let inside = inside.strip_suffix(".rs").unwrap_or(inside);
        let mut module: Vec<String> = inside.split('/').map(str::to_owned).collect();
        match module.last().map(String::as_str) {
            Some("lib") if module.len() == 1 => module.clear(),
            Some("mod") => drop(module.pop()),
            _ => {}
        }
        let only_tests = module.iter().skip(1).any(|name| name == "tests");
        let code = if only_tests { String::new() } else { without_tests(blanked(text)) };
        Source { path: path.to_owned(), module, code }
    }

    /// The room, or "" for `lib.rs`.
    pub fn room(&self) -> &str {
        self.module.first().map_or("", String::as_str)
    }

    /// The line of an offset, from 1.
    pub fn line(&self, offset: usize) -> usize {
        self.code[..offset].matches('\n').count() + 1
    }

    /// Every path that starts at `crate` or `super`, from the crate's root, with groups spread out.
    pub fn paths(&self) -> Vec<(usize, Vec<String>)> {
        let mut found = Vec::new();
        for start in ["crate", "super"] {
            for offset in words(&self.code, start) {
                // `super` after `::` continues a path that is followed from its start.
                if start == "super" && self.code[..offset].trim_end().ends_with("::") {
                    continue;
                }
                let mut prefix = self.module.clone();
                prefix.extend(enclosing_modules(&self.code[..offset]));
                spread(&self.code[offset..], prefix, &mut |path| found.push((offset, path)));
            }
        }
        found
    }

    /// Every function that has a body.
    pub fn functions(&self) -> Vec<Function> {
        words(&self.code, "fn").into_iter().filter_map(|offset| self.function(offset)).collect()
    }

    fn function(&self, offset: usize) -> Option<Function> {
        let rest = &self.code[offset + 2..];
        let name: String = rest.trim_start().chars().take_while(|c| is_word(*c)).collect();
        let open = rest.find(['{', ';'])?;
        if name.is_empty() || rest.as_bytes()[open] == b';' {
            return None;
        }
        let body = &rest[open..=closing(&rest[open..])? + open];
        let lines = body.trim_matches(['{', '}']).lines().filter(|line| !line.trim().is_empty()).count();
        Some(Function { name, offset, lines })
    }
}

/// Follows one path, and the branches of its groups, from `text`.
fn spread(text: &str, mut path: Vec<String>, emit: &mut impl FnMut(Vec<String>)) {
    let mut rest = text.trim_start();
    loop {
        if let Some(group) = rest.strip_prefix('{') {
            let end = closing(rest).map_or(group.len(), |close| close - 1);
            for branch in branches(&group[..end]) {
                spread(branch, path.clone(), emit);
            }
            return;
        }
        let word: String = rest.chars().take_while(|c| is_word(*c)).collect();
        match word.as_str() {
            "" => break,
            "crate" => path.clear(),
            "super" => drop(path.pop()),
            "self" => {}
            _ => path.push(word.clone()),
        }
        rest = rest[word.len()..].trim_start();
        match rest.strip_prefix("::") {
            Some(tail) => rest = tail.trim_start(),
            None => break,
        }
    }
    emit(path);
}

/// The parts of a group, cut at its own commas.
fn branches(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&group[start..]);
    parts.into_iter().filter(|part| !part.trim().is_empty()).collect()
}

/// The inline modules that are open at the end of `code`.
fn enclosing_modules(code: &str) -> Vec<String> {
    let mut open: Vec<Option<String>> = Vec::new();
    for (at, c) in code.char_indices() {
        match c {
            '{' => {
                let head = code[..at].rsplit(['{', '}', ';']).next().unwrap_or_default();
                let mut words = head.split_whitespace().rev();
                let (name, keyword) = (words.next(), words.next());
                open.push(name.filter(|_| keyword == Some("mod")).map(str::to_owned));
            }
            '}' => drop(open.pop()),
            _ => {}
        }
    }
    open.into_iter().flatten().collect()
}

/// Where the brace that opens at 0 closes.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where `needle` stands as a word (or path) of its own.
pub fn words(code: &str, needle: &str) -> Vec<usize> {
    let ends_open = !needle.ends_with(is_word);
    code.match_indices(needle)
        .map(|(at, _)| at)
        .filter(|at| !code[..*at].ends_with(is_word))
        .filter(|at| ends_open || !code[at + needle.len()..].starts_with(is_word))
        .collect()
}

pub fn has_word(code: &str, needle: &str) -> bool {
    !words(code, needle).is_empty()
}

/// Blanks the items behind `#[cfg(test)]`: to the end of their braces, or to their semicolon.
fn without_tests(mut code: String) -> String {
    while let Some(at) = code.find("#[cfg(test)]") {
        let Some(open) = code[at..].find(['{', ';']).map(|open| at + open) else { break };
        let end = if code.as_bytes()[open] == b';' {
            open
        } else {
            closing(&code[open..]).map_or(open, |end| open + end)
        };
        let blank: String = code[at..=end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        code.replace_range(at..=end, &blank);
    }
    code
}

/// Blanks comments, string and character literals.
fn blanked(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = at + literal_or_comment(&bytes[at..], code.last().copied());
        if end == at {
            code.push(if bytes[at].is_ascii() { bytes[at] } else { b'_' });
            at += 1;
        }
        while at < end {
            code.push(if bytes[at] == b'\n' { b'\n' } else { b' ' });
            at += 1;
        }
    }
    String::from_utf8(code).expect("ASCII only")
}

/// The length of the comment or literal that starts here, or 0.
fn literal_or_comment(rest: &[u8], before: Option<u8>) -> usize {
    let after_word = before.is_some_and(|b| is_word(b as char));
    match rest {
        [b'/', b'/', ..] => rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => comment(rest),
        [b'"', ..] => quoted(rest, 0),
        [b'r', tail @ ..] if !after_word => raw(tail).map_or(0, |length| length + 1),
        [b'b' | b'c', b'r', tail @ ..] if !after_word => raw(tail).map_or(0, |length| length + 2),
        [b'\'', b'\\', ..] => 3 + rest[3..].iter().position(|b| *b == b'\'').map_or(0, |end| end + 1),
        [b'\'', ..] => {
            // A character has its closing quote right behind it; a lifetime has none.
            let wide = rest[1..].iter().skip(1).take_while(|b| **b & 0xC0 == 0x80).count();
            if rest.get(2 + wide) == Some(&b'\'') { 3 + wide } else { 0 }
        }
        _ => 0,
    }
}

fn comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn quoted(rest: &[u8], from: usize) -> usize {
    let mut at = from + 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// A raw string from its hashes on.
fn raw(rest: &[u8]) -> Option<usize> {
    let hashes = rest.iter().take_while(|b| **b == b'#').count();
    if rest.get(hashes) != Some(&b'"') {
        return None;
    }
    let mut end = vec![b'#'; hashes + 1];
    end[0] = b'"';
    let body = &rest[hashes + 1..];
    let close = body.windows(end.len()).position(|window| window == end)?;
    Some(hashes + 1 + close + end.len())
}
