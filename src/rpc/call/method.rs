//! A method that is called often: prepared once, so that calls hash and copy no names.

use std::fmt;

use bytes::Bytes;

use crate::base::{Error, Result};

/// A method of a service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Method {
    service: String,
    name: String,
    wire_name: Bytes,
    full: String,
    oneway: bool,
}

impl Method {
    /// From `Service/Method`, or from `Method` alone, which leaves the service to the server (it then
    /// takes its fallback service, or the first that has the method). Two-way.
    pub fn parse(text: &str) -> Result<Method> {
        let (service, name) = text.split_once('/').unwrap_or(("", text));
        if name.is_empty() || name.contains('/') || (service.is_empty() && text.contains('/')) {
            let why = format!("`{text}` is not a method; write Service/Method or Method");
            return Err(Error::invalid_argument("method", why));
        }
        Ok(Method {
            service: service.to_owned(),
            name: name.to_owned(),
            wire_name: Bytes::copy_from_slice(name.as_bytes()),
            full: text.to_owned(),
            oneway: false,
        })
    }

    /// The same method as one that is never answered.
    pub fn oneway(mut self) -> Method {
        self.oneway = true;
        self
    }

    /// The service's IDL name; empty if it is left to the server.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// The method's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is never answered.
    pub fn is_oneway(&self) -> bool {
        self.oneway
    }

    pub(super) fn wire_name(&self) -> &Bytes {
        &self.wire_name
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_split_at_the_one_slash() {
        let method = Method::parse("Chat/Say").unwrap();
        assert_eq!((method.service(), method.name(), method.is_oneway()), ("Chat", "Say", false));
        assert_eq!(Method::parse("Say").unwrap().oneway().service(), "");
        for text in ["", "/", "Chat/", "/Say", "a/b/c"] {
            assert!(Method::parse(text).is_err(), "{text}");
        }
    }
}
