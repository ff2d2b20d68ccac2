//! Flags as Go writes them: `-name value`, `-name=value` or, for a switch, `-name`; one dash or two.

use std::collections::HashMap;
use std::str::FromStr;

use anyhow::{Context, Result};

const SWITCHES: [&str; 3] = ["stats", "strict", "v"];

pub struct Flags(HashMap<String, String>);

impl Flags {
    pub fn parse(words: &[String]) -> Result<Flags> {
        let (mut found, mut rest) = (HashMap::new(), words.iter());
        while let Some(word) = rest.next() {
            let name = word.trim_start_matches('-');
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => (name, value.to_owned()),
                None if SWITCHES.contains(&name) => (name, String::new()),
                None => (name, rest.next().with_context(|| format!("{word} needs a value"))?.clone()),
            };
            found.insert(name.to_owned(), value);
        }
        Ok(Flags(found))
    }

    pub fn is_set(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub fn text<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        self.0.get(name).map_or(default, String::as_str)
    }

    pub fn number<T: FromStr>(&self, name: &str, default: T) -> Result<T> {
        let Some(text) = self.0.get(name) else { return Ok(default) };
        text.parse().ok().with_context(|| format!("-{name} {text} is not a number"))
    }
}
