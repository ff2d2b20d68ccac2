//! What hangs on definitions: annotations, comments, namespaces, JSON keys.

use std::sync::Arc;

use super::Resolver;
use super::firsts::Firsts;
use crate::idl::ast;
use crate::idl::comment;
use crate::idl::schema::{Annotation, Annotations, Namespace};

impl Resolver<'_> {
    /// Values of a repeated key come together under its first appearance.
    pub(super) fn annotations(&self, written: &[ast::Annotation]) -> Annotations {
        if written.is_empty() {
            return Annotations::default();
        }
        let mut positions = Firsts::new();
        let mut grouped: Vec<(&Arc<str>, Vec<Arc<str>>)> = Vec::with_capacity(written.len());
        for annotation in written {
            let key = &annotation.key.text;
            let value = annotation.value.text.clone();
            match positions.insert(key, grouped.len()).and_then(|at| grouped.get_mut(at)) {
                Some((_, values)) => values.push(value),
                None => grouped.push((key, vec![value])),
            }
        }
        let annotation = |(key, values): (&Arc<str>, Vec<Arc<str>>)| Annotation {
            key: key.clone(),
            values: values.into(),
        };
        Annotations(Some(grouped.into_iter().map(annotation).collect()))
    }

    pub(super) fn doc(&self, comments: &[ast::Comment]) -> Option<Arc<str>> {
        if !self.options.comments || comments.is_empty() {
            return None;
        }
        comment::text(comments, &self.program.sources).map(Arc::from)
    }

    pub(super) fn namespaces(&self, file: usize) -> Box<[Namespace]> {
        let parsed = self.program.files.get(file);
        let lines = parsed.map(|parsed| parsed.document.namespaces.as_slice()).unwrap_or_default();
        let namespace = |line: &ast::Namespace| Namespace {
            scope: line.scope.text.clone(),
            name: line.name.text.clone(),
            annotations: self.annotations(&line.annotations),
        };
        lines.iter().map(namespace).collect()
    }

    /// The field's name in JSON (generic.md §7): `api.key`, else the `json` part of `go.tag`.
    pub(super) fn json_key(&self, name: &Arc<str>, annotations: &Annotations) -> Arc<str> {
        let by_tag = || annotations.first("go.tag").filter(|_| self.options.go_tag).and_then(json_of_go_tag);
        match annotations.first("api.key").filter(|key| !key.is_empty()).or_else(by_tag) {
            Some(key) => key.into(),
            None => name.clone(),
        }
    }
}

/// `x` of `json:"x,omitempty" yaml:"y"`. An empty name means the field's own; `-` is a name like any
/// other here.
fn json_of_go_tag(tag: &str) -> Option<&str> {
    let mut rest = tag.trim_start();
    loop {
        let (key, tail) = rest.split_once(":\"")?;
        let (value, tail) = tail.split_once('"')?;
        if key == "json" {
            let name = value.split(',').next().unwrap_or("");
            return (!name.is_empty()).then_some(name);
        }
        rest = tail.trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::json_of_go_tag;

    #[test]
    fn the_json_part_of_a_go_tag() {
        let table = [
            (r#"json:"x""#, Some("x")),
            (r#"json:"x,omitempty""#, Some("x")),
            (r#"yaml:"y" json:"x" xml:"z""#, Some("x")),
            (r#"json:"-""#, Some("-")),
            (r#"json:",omitempty""#, None),
            (r#"xjson:"x""#, None),
            (r#"json:"x"#, None),
            ("", None),
        ];
        for (tag, expected) in table {
            assert_eq!(json_of_go_tag(tag), expected, "{tag}");
        }
    }
}
