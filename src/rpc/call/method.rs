//! A method that is called often: prepared once, so that calls hash and copy no names.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::{Error, Result};

/// A method of a service. Cloning shares it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Method {
    names: Arc<Names>,
    oneway: bool,
}

#[derive(PartialEq, Eq, Debug)]
struct Names {
    full: String,
    service: String,
    name: String,
    wire_name: Bytes,
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
        let names = Names {
            full: text.to_owned(),
            service: service.to_owned(),
            name: name.to_owned(),
            wire_name: Bytes::copy_from_slice(name.as_bytes()),
        };
        Ok(Method { names: Arc::new(names), oneway: false })
    }

    /// The same method as one that is never answered.
    pub fn oneway(mut self) -> Method {
        self.oneway = true;
        self
    }

    /// The service's IDL name; empty if it is left to the server.
    pub fn service(&self) -> &str {
        &self.names.service
    }

    /// The method's name.
    pub fn name(&self) -> &str {
        &self.names.name
    }

    /// Whether it is never answered.
    pub fn is_oneway(&self) -> bool {
        self.oneway
    }

    pub(super) fn wire_name(&self) -> &Bytes {
        &self.names.wire_name
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names.full)
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
